"""What laws are tried on: a model behind the few methods that they ask of it.

A subject says what it can do. The least is `ids -> logits`; each further capability lets more
laws be asked, and a law whose capability is missing is skipped, never passed.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import SubjectError
from ..shapes import Array
from .declared import checked, declared_on, overlooked
from .kinds import ATTENTION, CHOOSER

if TYPE_CHECKING:
    from .objects import ObjectSubject

# Capabilities, from the least to the most.
LOGITS = "logits"  # ids [B, T] -> logits [B, T, V]
MASK = "mask"  # the same with a mask [B, T], True at real tokens
STEP = "step"  # prefill, and steps that go on from its state
STEP_MASK = "step with mask"  # padding in the chunks of a step
FORK, TRUNCATE, REORDER = "fork", "truncate", "reorder"  # what is done to a state between steps
LENGTHS, RESET = "lengths", "reset"
SHIFT = "shift"  # tokens leave from the front of a state, and those behind them move up
SPECULATE = "speculate"  # greedy generation that verifies drafts
PATHS = "paths"  # other ways to compute the same logits
MEMORY = "memory"  # an encoder whose output the model looks at
DOCUMENTS = "documents"  # several documents in one row, [B, T] says which is a token's
NUMTX = "numtx"  # numtx itself: trace, parameters, gradients
CAPABILITIES = (
    LOGITS, MASK, STEP, STEP_MASK, FORK, TRUNCATE, REORDER, LENGTHS, RESET, SHIFT, SPECULATE,
    PATHS, MEMORY, DOCUMENTS, NUMTX,
)  # fmt: skip


# A draft of a speculation: the text so far [1, T], how many tokens at most -> tokens [1, n]
Draft = Callable[[Any, int], Any]
SHORT, LONG = 8, 512  # tokens of an input, unless `longest` says more


def beyond(window: int, reach: int) -> int:
    """The longest input to try of a model with a window: twice the window, and past the reach."""
    return min(max(SHORT, 2 * window + 2, reach + 2), LONG)


class Memory(NamedTuple):
    """The tokens of an encoder, and which of them are real."""

    ids: Array
    mask: Array


class Subject:
    """A model that laws can be tried on. What may be declared of it:

    name             what reports call it
    vocabulary_size  ids are 0 up to this
    causal           no token sees a later one
    reach            how many places away a token still has an effect; None: as far as it goes
    reach_by         what the reach counts: "columns", or real "tokens" where some are padding;
                     None: nobody said, so it is not asked
    ordered          the model knows the order of tokens
    longest          the longest input to try; unless given, 8 tokens, or enough to go beyond the
                     reach twice, and longer ones where they are taken (`far`)
    exact            equal shapes give equal bits, so exact laws are asked bit for bit
    tolerance        for equivalences, relative to the largest number; None: by the type
    paddings         which padding it takes: some of "left", "right", "holes" (anywhere)
    fixed_rows       every call has so many rows; None: any number
    rollback         tokens can be taken away from a state again
    documents        its call takes `documents`, [B, T], which document a token belongs to
    paths            other ways to compute the same logits: {name: callable}, called as the model
                     is; or names of its methods

    And what is read off the model, or said by adapters:

    capabilities     what it can do
    far              the longest input for what holds at any distance; None: `longest`
    limit            the most tokens that the model takes
    longest_memory   the most tokens of a memory
    chunk            blocks of so many tokens do not see each other; None: there are none
    visible          how many places away an effect is not yet lost in rounding; None: the reach
    notes            what of the object was not taken, for the report
    said             the names of what was declared
    roundings        where differences of a few roundings are counted: (difference, roundings)
    """

    kind = LOGITS  # of the laws that are asked of it; see `kinds`
    wanted = ""  # of another kind: what it takes and gives
    name = "subject"
    vocabulary_size: int
    capabilities: frozenset[str] = frozenset({LOGITS})
    causal = True
    reach: int | None = None
    reach_by: str | None = None
    ordered = True
    exact = True
    tolerance: float | None = None
    paddings: tuple[str, ...] = ("left", "right", "holes")
    fixed_rows: int | None = None
    rollback = True
    documents = False
    paths: Mapping[str, Callable[..., Any]] = {}
    limit: int | None = None
    longest_memory = 4
    chunk: int | None = None
    visible: int | None = None
    notes: tuple[str, ...] = ()
    said: frozenset[str] = frozenset()
    roundings: list[tuple[float, float]] | None = None
    _longest: int | None = None
    _far: int | None = None

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
    def far(self) -> int:
        return max(self._far or 0, self.longest)

    @far.setter
    def far(self, length: int | None) -> None:
        self._far = length

    @property
    def says_causal(self) -> bool:
        """Whether anything it offers says that no token sees a later one."""
        return "causal" in self.said or bool({STEP, NUMTX} & self.capabilities)

    @property
    def ragged(self) -> bool:
        """Whether the rows of a state may have different lengths."""
        one_side = {"left", "right"} & set(self.paddings)
        return {MASK, STEP_MASK} <= self.capabilities and bool(one_side)

    @property
    def holes(self) -> bool:
        """Whether padding between the tokens of a state changes nothing."""
        counted = self.reach_by == "tokens" or (self.reach is None and self.reach_by is None)
        return "holes" in self.paddings and counted

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

    def shift(self, state: Any, keep: int, drop: int) -> Any:
        raise NotImplementedError

    def hide(self, state: Any, drop: int) -> Any:
        raise NotImplementedError(
            "what stays has seen what was dropped; with hide(state, drop) it is asked what is right"
        )

    def speculate(self, ids: Array, draft: Draft, max_new_tokens: int) -> Array:
        """The tokens [1, max_new_tokens] that follow [1, T]."""
        raise NotImplementedError

    def along(
        self, path: Callable[..., Any], ids: Array, mask: Array | None = None
    ) -> Array | None:
        """The logits of every token another way; None where that takes no mask."""
        if not hasattr(self, "model"):
            raise SubjectError(f"{self.name} has paths; it should say what they give in `along`")
        if mask is not None and not getattr(path, "takes_mask", True):
            return None
        own = copy.copy(self)
        own.model = path
        found: Array = type(self).logits(own, ids, mask)
        return found

    def new_memory(self, rows: int, length: int, seed: int) -> Memory | None:
        """Random tokens for the encoder, where there is one."""
        return None

    def in_documents(self, ids: Array, documents: Array) -> Array:
        """The logits of rows that hold several documents; documents [B, T] are their numbers."""
        raise NotImplementedError


def subject(model: Any, vocabulary_size: int | None = None, **options: Any) -> Subject:
    """A subject for a model; what it can do is read off its methods.

    model            a `Subject`; a module or language model of PyTorch; an object with some of
                     the methods of `HasSteps` and `HasEdits`; a callable ids -> logits
    vocabulary_size  where the model does not say it itself
    options          declarations, attributes of `Subject`: causal, reach, reach_by, ordered,
                     longest, exact, tolerance, paddings, fixed_rows, rollback, documents, paths,
                     name; `tensors`: the callable takes tensors of PyTorch; `cache`: which cache
                     of its library a language model is tried with. They may stand on the model
                     too; what is given here comes first

    Raises `SubjectError` for an object that no law can be tried on, and for an option or a
    declaration that is none.
    """
    if (other := of_another_kind(model, options)) is not None:
        return other
    options = checked(options)
    if isinstance(model, Subject) or _is_of_transformers(model):
        found = _ready(model, options)
        if vocabulary_size not in (None, found.vocabulary_size):
            told = f"vocabulary_size is {vocabulary_size}; {found.name} has {found.vocabulary_size}"
            raise SubjectError(told)
        if "tensors" in options:
            raise SubjectError(f"tensors is for callables; {found.name} takes what it takes")
    else:
        found, options = _object(model, vocabulary_size, options)
    declare(found, options)
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


def declare(found: Subject, options: dict[str, Any]) -> None:
    """Set what is declared, and take away the capabilities that it rules out."""
    for name, value in options.items():
        setattr(found, name, _added(found, value) if name == "paths" else value)
    found.said = found.said | {name for name in options if name != "name"}
    if found.paths:
        found.capabilities = found.capabilities | {PATHS}
    gone = set()
    if not found.rollback:
        gone.add(TRUNCATE)
    if not found.paddings:
        gone |= {MASK, STEP_MASK}
    if "documents" in options and not found.documents:
        gone.add(DOCUMENTS)
    found.capabilities = found.capabilities - gone


def _added(found: Subject, paths: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The paths that there are already, and those declared; of names alone, its methods."""
    every = dict(found.paths)
    for name, path in paths.items():
        path = path or getattr(getattr(found, "model", None), name, None)
        if not callable(path):
            raise SubjectError(f"paths: {found.name} has no method {name!r}")
        every[name] = path
    return every


def _ready(model: Any, options: dict[str, Any]) -> Subject:
    """A subject as it is, or a model of transformers with what is declared on it."""
    if "cache" in options and isinstance(model, Subject):
        raise SubjectError("cache is for a language model that is no subject yet")
    if isinstance(model, Subject):
        return copy.copy(model) if options else model
    from ..adapters import adapted

    found = adapted(model, options.pop("cache", None))
    declared, notes = declared_on(model, found.name)
    for name in ("name", "tensors", "cache"):
        declared.pop(name, None)
    declare(found, declared)
    found.notes = (*found.notes, *notes)
    return found


def _object(
    model: Any, vocabulary_size: int | None, options: dict[str, Any]
) -> tuple[ObjectSubject, dict[str, Any]]:
    """A subject for an object, and what is declared of it: on itself, and in the options."""
    from .objects import object_subject

    name = getattr(model, "__name__", type(model).__name__)
    if isinstance(model, type):
        raise SubjectError(f"{name} is a class; give an object of it")
    declared, notes = declared_on(model, name)
    if "cache" in options:
        raise SubjectError(f"cache is for language models of transformers; {name} is none")
    declared.pop("cache", None)
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
    found = object_subject(model, name, int(size), options.pop("tensors", is_module))
    notes += overlooked(model, known, found.called, found.capabilities)
    found.notes = tuple(notes)
    return found, options


def _is_of_transformers(model: Any) -> bool:
    own = any(kind.__module__.startswith("transformers.") for kind in type(model).__mro__)
    return own and hasattr(model, "config")
