"""Models of a few lines in plain NumPy, right and with one bug, that are not numtx's."""

from __future__ import annotations

from typing import Any

import numpy as np

V, D, LONGEST = 13, 8, 40
generator = np.random.default_rng(4)
EMBEDDING, PLACES = generator.standard_normal((V, D)), generator.standard_normal((LONGEST, D))
W_Q, W_K, W_V, W_O = (generator.standard_normal((D, D)) / D**0.5 for _ in range(4))


def attention(x: Any, seen: Any, keys: Any = None, values: Any = None) -> Any:
    """One head with a residual connection, and the logits of a tied output."""
    keys = x @ W_K if keys is None else keys
    values = x @ W_V if values is None else values
    scores = x @ W_Q @ keys.swapaxes(-1, -2) / D**0.5
    scores = np.where(seen, scores, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return (x + weights @ values @ W_O) @ EMBEDDING.T


class Plain:
    """ids -> logits, with a mask where asked for; `ahead` tokens of the future are seen."""

    vocabulary_size = V

    def __init__(self, ahead: int = 0) -> None:
        self.ahead = ahead

    def __call__(self, ids: Any) -> Any:
        length = ids.shape[1]
        x = EMBEDDING[ids] + PLACES[:length]
        return attention(x, np.tri(length, length, self.ahead, dtype=bool))


class Masked:
    """The same with a mask; `bug` is one of the mistakes that people make."""

    vocabulary_size = V

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def __call__(self, ids: Any, mask: Any = None) -> Any:
        length = ids.shape[1]
        mask = np.ones(ids.shape, bool) if mask is None else mask
        places = np.maximum(np.cumsum(mask, 1) - 1, 0)
        if self.bug == "columns":
            places = np.arange(length)[None]
        if self.bug == "another row":
            mask = mask[::-1]
        seen = mask[:, None, :] & np.tri(length, length, dtype=bool)
        if self.bug == "ignored":
            seen = np.tri(length, length, dtype=bool)[None]
        if self.bug == "queries":
            seen = mask[:, :, None] & np.tri(length, length, dtype=bool)
        return attention(EMBEDDING[ids] + PLACES[places], seen)


class Stepping:
    """Prefill and step with a cache, a list of keys and values that is written in place."""

    vocabulary_size = V

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def __call__(self, ids: Any) -> Any:
        return Plain()(ids)

    def prefill(self, ids: Any) -> Any:
        return self.step(ids, {"keys": np.zeros((len(ids), 0, D)), "values": None})

    def step(self, ids: Any, state: Any) -> Any:
        before = state["keys"].shape[1]
        first = 0 if self.bug == "position" else before
        x = EMBEDDING[ids] + PLACES[first : first + ids.shape[1]]
        if before:
            state["keys"] = np.concatenate([state["keys"], x @ W_K], 1)
            state["values"] = np.concatenate([state["values"], x @ W_V], 1)
        else:
            state["keys"], state["values"] = x @ W_K, x @ W_V
        shift = 0 if self.bug == "upper left" else before
        seen = np.tri(ids.shape[1], before + ids.shape[1], shift, dtype=bool)
        logits = attention(x, seen, state["keys"], state["values"])
        return (logits[:, -1] if self.bug == "" else logits), state

    def fork(self, state: Any) -> Any:
        return state if self.bug == "fork" else dict(state)

    def truncate(self, state: Any, lengths: Any) -> Any:
        if self.bug != "truncate":
            length = lengths[0]
            state = {name: array[:, :length] for name, array in state.items()}
        return state

    def reorder(self, state: Any, index: Any) -> Any:
        index = list(index)
        values = state["values"]
        same = np.arange(len(index)) % len(values)
        kept = values[same if self.bug == "reorder" else index]
        return {"keys": state["keys"][index], "values": kept}


class Windowed:
    """One layer that looks back `window` tokens, itself included."""

    vocabulary_size = V

    def __init__(self, window: int) -> None:
        self.window = window

    def __call__(self, ids: Any) -> Any:
        length = ids.shape[1]
        x = EMBEDDING[ids] + PLACES[:length]
        seen = np.tri(length, length, dtype=bool) & ~np.tri(length, length, -self.window, bool)
        return attention(x, seen)


def function(ids: Any) -> Any:
    """A bare function without a vocabulary_size."""
    return Plain()(ids)


right = Plain()
wrong = Plain(ahead=1)
