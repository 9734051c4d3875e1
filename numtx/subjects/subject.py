"""What laws are tried on: a model behind the few methods that they ask of it.

A subject says what it can do. The least is `ids -> logits`; each further capability lets more
laws be asked, and a law whose capability is missing is skipped, never passed.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import SubjectError
from ..shapes import Array
from .declared import EDITS, arguments_of, checked, declared_on, overlooked
from .kinds import ATTENTION, CHOOSER
from .logits import as_logits

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


SHORT, LONG = 8, 512  # tokens of an input, unless `longest` says more


def beyond(window: int, reach: int) -> int:
    """The longest input to try of a model with a window: twice the window, and past the reach."""
    return min(max(SHORT, 2 * window + 2, reach + 2), LONG)


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
    longest          the longest input to try; unless given, 8 tokens, or enough to go beyond the
                     reach twice
    exact            equal shapes give equal bits, so exact laws are asked bit for bit
    tolerance        for equivalences, relative to the largest number; None: by the type

    And what adapters say:

    limit            the most tokens that the model takes
    visible          how many places away an effect is not yet lost in rounding; None: the reach
    holes            padding between the tokens of a state changes nothing
    notes            what of the object was not taken, for the report
    """

    kind = LOGITS  # of the laws that are asked of it; see `kinds`
    wanted = ""  # of another kind: what it takes and gives
    name = "subject"
    vocabulary_size: int
    capabilities: frozenset[str] = frozenset({LOGITS})
    causal = True
    reach: int | None = None
    ordered = True
    exact = True
    tolerance: float | None = None
    limit: int | None = None
    visible: int | None = None
    holes = True
    notes: tuple[str, ...] = ()
    _longest: int | None = None

    @property
    def longest(self) -> int:
        length = self._longest
        if length is None:
            length = SHORT if self.reach is None else beyond(self.reach + 1, self.reach)
        return length if self.limit is None else min(length, self.limit)

    @longest.setter
    def longest(self, length: int | None) -> None:
        self._longest = length

    def first_call(self) -> Any:
        """Of another kind: the `CallFailed` of a plain call that fails, or None."""
        raise NotImplementedError

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
        if not callable(run):
            raise SubjectError(f"{name} is {type(model).__name__}; give a callable ids -> logits")
        self._run: Callable[..., Any] = run
        self.called = {"": run}  # what is called, by name
        found = {LOGITS}
        if "mask" in arguments_of(run):
            found.add(MASK)
        steps = [getattr(model, name, None) for name in ("prefill", "step")]
        if all(map(callable, steps)):
            self.called |= dict(zip(("prefill", "step"), steps, strict=True))
            found.add(STEP)
            if all("mask" in arguments_of(step) for step in steps):
                found.add(STEP_MASK)
            found |= {name for name in EDITS if callable(getattr(model, name, None))}
        self.capabilities = frozenset(found)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        with self._quiet():
            given = {} if mask is None else {"mask": self._into(mask)}
            found = self._run(self._into(ids), **given)
        return as_logits(found, ids, self.vocabulary_size, self.name, mask, whole=True)

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        with self._quiet():
            given = {} if mask is None else {"mask": self._into(mask)}
            if state is None:
                called, found = "prefill", self.model.prefill(self._into(ids), **given)
            else:
                called, found = "step", self.model.step(self._into(ids), state, **given)
        if not isinstance(found, tuple | list) or len(found) != 2:
            told = (
                f"{len(found)} things" if isinstance(found, tuple | list) else type(found).__name__
            )
            raise SubjectError(f"{self.name}.{called} gave {told}; it should give (logits, state)")
        return as_logits(found[0], ids, self.vocabulary_size, self.name, mask), found[1]

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


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def subject(model: Any, vocabulary_size: int | None = None, **options: Any) -> Subject:
    """A subject for a model; what it can do is read off its methods.

    model            a `Subject`; a module or causal language model of PyTorch; an object with
                     some of the methods of `HasSteps` and `HasEdits`; a callable ids -> logits
    vocabulary_size  where the model does not say it itself
    options          declarations, attributes of `Subject`: causal, reach, ordered, longest,
                     exact, tolerance, name; `tensors`: the callable takes tensors of PyTorch.
                     They may stand on the model too; what is given here comes first

    Raises `SubjectError` for an object that no law can be tried on, and for an option or a
    declaration that is none.
    """
    if (other := of_another_kind(model, options)) is not None:
        return other
    options = checked(options)
    if isinstance(model, Subject) or _is_language_model(model):
        found = _ready(model, options)
        if vocabulary_size not in (None, found.vocabulary_size):
            told = f"vocabulary_size is {vocabulary_size}; {found.name} has {found.vocabulary_size}"
            raise SubjectError(told)
        if "tensors" in options:
            raise SubjectError(f"tensors is for callables; {found.name} takes what it takes")
    else:
        found, options = _object(model, vocabulary_size, options)
    for name, value in options.items():
        setattr(found, name, value)
    return found


def of_another_kind(model: Any, options: dict[str, Any]) -> Subject | None:
    """A subject of what is no model of ids: by its `kind`, or by its arguments."""
    from ..operators.attention import attention
    from ..operators.chooser import chooser
    from ..operators.guess import looks_like_one

    if isinstance(model, Subject):
        if model.kind == LOGITS:
            return None
        if options:
            told = f"{model.name} is a subject already; {next(iter(options))} was to be given there"
            raise SubjectError(told)
        return model
    kind = getattr(model, "kind", None)
    if kind == ATTENTION or (kind is None and looks_like_one(model)):
        return attention(model, **options)
    return chooser(model, **options) if kind == CHOOSER else None


def _ready(model: Any, options: dict[str, Any]) -> Subject:
    """A subject as it is, or a language model with what is declared on it."""
    if isinstance(model, Subject):
        return copy.copy(model) if options else model
    from .adapters import LanguageModelSubject

    found = LanguageModelSubject(model)
    declared, notes = declared_on(model, found.name)
    for name in declared.keys() - {"name", "tensors"}:
        setattr(found, name, declared[name])
    found.notes = tuple(notes)
    return found


def _object(
    model: Any, vocabulary_size: int | None, options: dict[str, Any]
) -> tuple[ObjectSubject, dict[str, Any]]:
    """A subject for an object, and what is declared of it: on itself, and in the options."""
    name = getattr(model, "__name__", type(model).__name__)
    if isinstance(model, type):
        raise SubjectError(f"{name} is a class; give an object of it")
    declared, notes = declared_on(model, name)
    options = {"name": name, **declared, **options}
    size = getattr(model, "vocabulary_size", None) if vocabulary_size is None else vocabulary_size
    known = {one for one, value in options.items() if value is not None}
    known |= set() if size is None else {"vocabulary_size"}
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 2:
        like = [one for one in overlooked(model, known, {}) if one.endswith("vocabulary_size?")]
        if (own := getattr(getattr(model, "config", None), "vocab_size", None)) is not None:
            like.append(f"its config has vocab_size {own}")
        hint = f" ({like[-1]})" if like else ""
        raise SubjectError(
            f"{name} has no vocabulary_size; give it one, a whole number of at least 2{hint}"
        )
    torch = sys.modules.get("torch")
    is_module = torch is not None and isinstance(model, torch.nn.Module)
    found = ObjectSubject(model, name, int(size), options.pop("tensors", is_module))
    notes += overlooked(model, known, found.called)
    if _is_of_transformers(model) and not getattr(model.config, "is_decoder", False):
        notes += [] if "causal" in options else [f"{name} generates nothing: taken as not causal"]
        options.setdefault("causal", False)
    found.notes = tuple(notes)
    return found, options


def _is_of_transformers(model: Any) -> bool:
    own = any(kind.__module__.startswith("transformers.") for kind in type(model).__mro__)
    return own and hasattr(model, "config")


def _is_language_model(model: Any) -> bool:
    return _is_of_transformers(model) and hasattr(model, "generate")
