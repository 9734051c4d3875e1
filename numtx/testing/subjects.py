"""What laws are tried on: a model behind the few methods that they ask of it.

A subject says what it can do. The least is `ids -> logits`; each further capability lets more
laws be asked, and a law whose capability is missing is skipped, never passed.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import SubjectError
from ..shapes import Array

# Capabilities, from the least to the most.
LOGITS = "logits"  # ids [B, T] -> logits [B, T, V]
MASK = "mask"  # the same with a mask [B, T], True at real tokens
STEP = "step"  # prefill, and steps that go on from its state
STEP_MASK = "step with mask"  # padding in the chunks of a step
FORK, TRUNCATE, REORDER = "fork", "truncate", "reorder"  # what is done to a state between steps
LENGTHS, RESET = "lengths", "reset"
MEMORY = "memory"  # an encoder whose output the model looks at
NUMTX = "numtx"  # numtx itself: trace, parameters, gradients
CAPABILITIES = (
    LOGITS, MASK, STEP, STEP_MASK, FORK, TRUNCATE, REORDER, LENGTHS, RESET, MEMORY, NUMTX,
)  # fmt: skip


class Memory(NamedTuple):
    """The tokens of an encoder, and which of them are real."""

    ids: Array
    mask: Array


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
    """What is done to a state; each of the three is a capability of its own.

    fork      a state of the same content that lives on independently
    truncate  keep the first lengths[b] real tokens of row b
    reorder   row b becomes what row index[b] was
    """

    def fork(self, state: Any) -> Any: ...

    def truncate(self, state: Any, lengths: Sequence[int]) -> Any: ...

    def reorder(self, state: Any, index: Sequence[int]) -> Any: ...


class Subject:
    """A model that laws can be tried on.

    name             what reports call it
    vocabulary_size  ids are 0 up to this
    capabilities     what it can do
    causal           no token sees a later one
    reach            how many places away a token still has an effect; None: as far as it goes
    ordered          the model knows the order of tokens
    longest          the longest input to try
    exact            equal shapes give equal bits, so exact laws are asked bit for bit
    tolerance        for equivalences, relative to the largest number; None: by the type
    """

    name = "subject"
    vocabulary_size: int
    capabilities: frozenset[str] = frozenset({LOGITS})
    causal = True
    reach: int | None = None
    ordered = True
    longest = 8
    exact = True
    tolerance: float | None = None

    @property
    def ragged(self) -> bool:
        """Whether the rows of a state may have different lengths."""
        return {MASK, STEP_MASK} <= self.capabilities

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        """The logits of every token, [B, T, V]."""
        raise NotImplementedError

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        """The logits of the new tokens, or of the last of them, and the state after them.

        state  None: there is none yet, this is the prefill
        """
        raise NotImplementedError

    def fork(self, state: Any) -> Any:
        raise NotImplementedError

    def truncate(self, state: Any, lengths: Sequence[int]) -> Any:
        raise NotImplementedError

    def reorder(self, state: Any, index: Sequence[int]) -> Any:
        raise NotImplementedError

    def reset(self, state: Any) -> Any:
        raise NotImplementedError

    def lengths(self, state: Any) -> list[int]:
        """The real tokens of each row."""
        raise NotImplementedError

    def new_memory(self, rows: int, length: int, seed: int) -> Memory | None:
        """Random tokens for the encoder, where there is one."""
        return None


class ObjectSubject(Subject):
    """An object with the methods above, or a callable; arrays in, arrays or tensors out."""

    def __init__(self, model: Any, name: str, vocabulary_size: int, tensors: bool) -> None:
        self.model, self.name, self.vocabulary_size = model, name, vocabulary_size
        self.tensors = tensors
        run = model if callable(model) else getattr(model, "logits", None)
        if run is None:
            raise SubjectError(f"{name} is {type(model).__name__}; give a callable ids -> logits")
        self._run: Callable[..., Any] = run
        found = {LOGITS}
        if _takes_mask(run):
            found.add(MASK)
        if hasattr(model, "prefill") and hasattr(model, "step"):
            found.add(STEP)
            if _takes_mask(model.prefill) and _takes_mask(model.step):
                found.add(STEP_MASK)
            found |= {
                name
                for name in (FORK, TRUNCATE, REORDER, LENGTHS, RESET)
                if callable(getattr(model, name, None))
            }
        self.capabilities = frozenset(found)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        with self._quiet():
            given = {} if mask is None else {"mask": self._into(mask)}
            return self._out(self._run(self._into(ids), **given), ids)

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        with self._quiet():
            given = {} if mask is None else {"mask": self._into(mask)}
            if state is None:
                logits, state = self.model.prefill(self._into(ids), **given)
            else:
                logits, state = self.model.step(self._into(ids), state, **given)
            return self._out(logits, ids), state

    def fork(self, state: Any) -> Any:
        return self.model.fork(state)

    def truncate(self, state: Any, lengths: Sequence[int]) -> Any:
        return self.model.truncate(state, lengths)

    def reorder(self, state: Any, index: Sequence[int]) -> Any:
        return self.model.reorder(state, index)

    def reset(self, state: Any) -> Any:
        return self.model.reset(state)

    def lengths(self, state: Any) -> list[int]:
        return [int(length) for length in self.model.lengths(state)]

    def _quiet(self) -> Any:
        if not self.tensors:
            return _Nothing()
        return sys.modules["torch"].no_grad()

    def _into(self, array: Array) -> Any:
        return sys.modules["torch"].as_tensor(array) if self.tensors else array.copy()

    def _out(self, logits: Any, ids: Array) -> Array:
        return as_logits(logits, ids, self.vocabulary_size, self.name)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def as_logits(logits: Any, ids: Array, vocabulary_size: int, name: str) -> Array:
    """What a model gave, as an array [B, T', V] of its own; T' is T or the last tokens only."""
    if isinstance(logits, tuple):
        logits = logits[0]
    logits = getattr(logits, "logits", logits)
    if hasattr(logits, "detach"):
        logits = logits.detach().cpu()
        if str(logits.dtype) == "torch.bfloat16":
            logits = logits.float()
        logits = logits.numpy()
    array: Array = np.array(logits)
    if array.ndim == 2 and len(array) == len(ids):
        array = array[:, None]
    fits = array.ndim == 3 and len(array) == len(ids) and array.shape[2] == vocabulary_size
    if not fits or not 1 <= array.shape[1] <= ids.shape[1]:
        raise SubjectError(
            f"{name} gave logits of shape {np.shape(logits)} for ids of shape {ids.shape}; they "
            f"should be {(*ids.shape, vocabulary_size)}"
        )
    return array


def _takes_mask(function: Any) -> bool:
    try:
        if type(function).__module__.startswith("torch") or hasattr(function, "forward"):
            function = getattr(function, "forward", function)
        return "mask" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def subject(model: Any, vocabulary_size: int | None = None, **options: Any) -> Subject:
    """A subject for a model; what it can do is read off its methods.

    model            a `Subject`; a module or causal language model of PyTorch; an object with
                     some of the methods of `HasSteps` and `HasEdits`; a callable ids -> logits
    vocabulary_size  where the model does not say it itself
    options          attributes of `Subject` that differ: causal, reach, ordered, longest,
                     exact, tolerance, name; `tensors`: the callable takes tensors of PyTorch

    Raises `SubjectError` for an object that no law can be tried on.
    """
    tensors = options.pop("tensors", None)
    if isinstance(model, Subject):
        found = copy.copy(model) if options else model
    elif _is_language_model(model):
        from .adapters import LanguageModelSubject

        found = LanguageModelSubject(model)
    else:
        name = getattr(model, "__name__", type(model).__name__)
        size = vocabulary_size or getattr(model, "vocabulary_size", None)
        if isinstance(size, bool) or not isinstance(size, int) or size < 2:
            raise SubjectError(
                f"{name} has no vocabulary_size; give it one, a whole number of at least 2"
            )
        torch = sys.modules.get("torch")
        is_module = torch is not None and isinstance(model, torch.nn.Module)
        found = ObjectSubject(model, name, size, is_module if tensors is None else tensors)
    for name, value in options.items():
        if name.startswith("_") or not hasattr(Subject, name) or callable(getattr(Subject, name)):
            raise SubjectError(f"subject has no option {name!r}")
        setattr(found, name, value)
    return found


def _is_language_model(model: Any) -> bool:
    own = any(kind.__module__.startswith("transformers.") for kind in type(model).__mro__)
    return own and hasattr(model, "config") and hasattr(model, "generate")
