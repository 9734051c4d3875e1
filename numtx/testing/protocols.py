"""What a model of one's own may offer, as types: logits, steps, edits of a state, speculation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..shapes import Array


class HasLogits(Protocol):
    """A bare callable, with the size of its vocabulary; it may take a `mask` too."""

    vocabulary_size: int

    def __call__(self, ids: Array) -> Any: ...


class HasSteps(Protocol):
    """Prefill and step: both give logits, of every token or of the last ones, and a state.

    The state may be written to in place; what counts is what is returned. Both may take a
    `mask` of the new tokens.
    """

    def prefill(self, ids: Array) -> tuple[Any, Any]: ...

    def step(self, ids: Array, state: Any) -> tuple[Any, Any]: ...


class HasEdits(Protocol):
    """What is done to a state; each of them is a capability of its own.

    fork      a state of the same content that lives on independently
    truncate  keep the first lengths[b] real tokens of row b
    reorder   row b becomes what row index[b] was
    shift     drop the tokens of every row after its first `keep`, so many; those behind them
              stand that much earlier (rotated keys are turned), and so does the next token
    hide      later tokens do not see the first `drop` tokens, and nothing moves: what a model of
              several layers gives after a shift is compared with what it gives after this
    """

    def fork(self, state: Any) -> Any: ...

    def truncate(self, state: Any, lengths: Sequence[int]) -> Any: ...

    def reorder(self, state: Any, index: Sequence[int]) -> Any: ...

    def shift(self, state: Any, keep: int, drop: int) -> Any: ...

    def hide(self, state: Any, drop: int) -> Any: ...


class HasSpeculate(Protocol):
    """Greedy generation with a draft: ids [1, T] -> the new tokens, [1, max_new_tokens].

    draft  called with the text so far, [1, T'], and how many tokens at most; gives tokens that
           may follow it, [1, n], or none. The model verifies them
    """

    def speculate(self, ids: Array, draft: Any, max_new_tokens: int) -> Any: ...
