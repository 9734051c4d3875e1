"""Objects and callables of anybody's as subjects: arrays in, arrays or tensors out."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import SubjectError
from ..shapes import Array
from .declared import DOCUMENT_ARGUMENT, EDITS, MASKS, PASTS, arguments_of, offers, other_flags
from .logits import as_logits, as_tokens
from .subject import (
    DOCUMENTS,
    FORK,
    LOGITS,
    MASK,
    PATHS,
    SHIFT,
    SPECULATE,
    STEP,
    STEP_MASK,
    Draft,
    Memory,
    Subject,
)

CAUSAL_CLASSES = ("causallm", "lmheadmodel")  # in the name of a class, which says it


def object_subject(
    model: Any, name: str, vocabulary_size: int, tensors: bool
) -> ObjectSubject | PastSubject:
    """A subject for an object: with prefill and step, with a past in its call, or plain."""
    has_steps = all(callable(getattr(model, one, None)) for one in ("prefill", "step"))
    run = model if callable(model) else getattr(model, "logits", None)
    if not has_steps and any(one in arguments_of(run) for one in PASTS):
        return PastSubject(model, name, vocabulary_size, tensors)
    return ObjectSubject(model, name, vocabulary_size, tensors)


class ObjectSubject(Subject):
    """An object with the methods of `HasSteps` and `HasEdits`, or a callable.

    A mask is given as `mask`, boolean, or as `attention_mask`, 1 at real tokens and 0 elsewhere.
    """

    def __init__(self, model: Any, name: str, vocabulary_size: int, tensors: bool) -> None:
        self.model, self.name, self.vocabulary_size = model, name, vocabulary_size
        self.tensors = tensors
        run = model if callable(model) else getattr(model, "logits", None)
        if not callable(run):
            raise SubjectError(f"{name} is {type(model).__name__}; give a callable ids -> logits")
        self._run: Callable[..., Any] = run
        self.called = {"": run}  # what is called, by name
        found = {LOGITS}
        if self._mask_of(run):
            found.add(MASK)
        if DOCUMENT_ARGUMENT in arguments_of(run):
            found.add(DOCUMENTS)
        steps = [getattr(model, name, None) for name in ("prefill", "step")]
        if all(map(callable, steps)):
            self.called |= dict(zip(("prefill", "step"), steps, strict=True))
            found.add(STEP)
            if all(map(self._mask_of, steps)):
                found.add(STEP_MASK)
            found |= {name for name in EDITS if offers(model, name)}
        if offers(model, SPECULATE):
            found.add(SPECULATE)
        self.paths = {
            f"{name}={value}": partial(run, **{name: value}) for name, value in other_flags(run)
        }
        found |= {PATHS} if self.paths else set()
        self.capabilities = frozenset(found)
        if any(word in type(model).__name__.lower() for word in CAUSAL_CLASSES):
            self.said = frozenset({"causal"})

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        with self._quiet():
            found = self._run(self._into(ids), **self._masked(self._run, mask))
        return as_logits(found, ids, self.vocabulary_size, self.name, mask, whole=True)

    def in_documents(self, ids: Array, documents: Array) -> Array:
        with self._quiet():
            found = self._run(self._into(ids), **{DOCUMENT_ARGUMENT: self._into(documents)})
        return as_logits(found, ids, self.vocabulary_size, self.name, whole=True)

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        with self._quiet():
            called = "prefill" if state is None else "step"
            method = getattr(self.model, called)
            past = () if state is None else (state,)
            found = method(self._into(ids), *past, **self._masked(method, mask))
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

    def shift(self, state: Any, keep: int, drop: int) -> Any:
        return self.model.shift(state, keep, drop)

    def hide(self, state: Any, drop: int) -> Any:
        if offers(self.model, "hide"):
            return self.model.hide(state, drop)
        return super().hide(state, drop)

    def speculate(self, ids: Array, draft: Draft, max_new_tokens: int) -> Array:
        with self._quiet():
            found = self.model.speculate(
                self._into(ids), lambda *given: self._into(draft(*given)), max_new_tokens
            )
        return as_tokens(found, self.name)

    def along(
        self, path: Callable[..., Any], ids: Array, mask: Array | None = None
    ) -> Array | None:
        if mask is not None and not self._mask_of(path):
            return None
        own = copy.copy(self)
        own._run = path
        return type(self).logits(own, ids, mask)

    def _quiet(self) -> AbstractContextManager[Any]:
        quiet: AbstractContextManager[Any] = (
            sys.modules["torch"].no_grad() if self.tensors else nullcontext()
        )
        return quiet

    def _into(self, array: Array) -> Any:
        return sys.modules["torch"].as_tensor(array) if self.tensors else array.copy()

    @staticmethod
    def _mask_of(function: Any) -> str:
        """The name that a function has for a mask; empty: it takes none."""
        names = arguments_of(function)
        return next((name for name in MASKS if name in names), "")

    def _masked(self, function: Any, mask: Array | None) -> dict[str, Any]:
        if mask is None:
            return {}
        name = self._mask_of(function)
        return {name: self._into(mask if name == "mask" else mask.astype(np.int64))}


class Past(NamedTuple):
    """What a model returned to be given back to it, and which columns hold real tokens.

    hidden  tokens in front that later ones no longer see
    """

    cache: Any
    mask: Array
    hidden: int = 0

    def shifted(self, cache: Any, keep: int, drop: int) -> Past:
        """Without the columns after the first `keep`, so many; `cache` is what is left."""
        columns = np.r_[:keep, keep + drop : self.mask.shape[1]]
        return Past(self.cache if cache is None else cache, self.mask[:, columns], self.hidden)

    def hiding(self, drop: int) -> Past:
        """With the first columns hidden from later tokens, which stand where they stood."""
        mask = self.mask.copy()
        mask[:, :drop] = False
        return self._replace(mask=mask, hidden=self.hidden + drop)

    def positions(self, columns: int) -> Array:
        """Those of the last columns: the real tokens before them are counted."""
        found: Array = np.maximum(np.cumsum(self.mask, 1) - 1, 0)[:, -columns:] + self.hidden
        return found


class PastSubject(ObjectSubject):
    """`model(ids, past_key_values=..., attention_mask=..., position_ids=..., use_cache=...)`.

    The past may be called `cache` too; it is None at first, and comes back as an attribute or an
    entry of that name, or second of two things. The mask is that of all columns, those of the
    past first, and positions are counted over it; both are given where they are taken.
    """

    def __init__(self, model: Any, name: str, vocabulary_size: int, tensors: bool) -> None:
        super().__init__(model, name, vocabulary_size, tensors)
        names = arguments_of(self._run)
        self.past = next(one for one in PASTS if one in names)
        more = {STEP_MASK} if MASK in self.capabilities else set()
        more |= {SHIFT} if offers(model, SHIFT) else set()
        self.capabilities = self.capabilities | {STEP, FORK} | more

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        past = Past(None, np.ones(ids.shape, bool) if mask is None else mask)
        found = self._found(ids, past, mask is None, use_cache=False)
        return as_logits(found, ids, self.vocabulary_size, self.name, mask, whole=True)

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        new = np.ones(ids.shape, bool) if mask is None else mask
        past = Past(None, new[:, :0]) if state is None else state
        past = past._replace(mask=np.concatenate([past.mask, new], 1))
        found = self._found(ids, past, mask is None and bool(past.mask.all()), use_cache=True)
        cache = _part(found, self.past)
        if cache is None:
            raise SubjectError(
                f"{self.name} gave no {self.past} back; it should give (logits, {self.past})"
            )
        return as_logits(found, ids, self.vocabulary_size, self.name, mask), past._replace(
            cache=cache
        )

    def fork(self, state: Any) -> Any:
        return copy.deepcopy(state)

    def shift(self, state: Any, keep: int, drop: int) -> Any:
        return state.shifted(self.model.shift(state.cache, keep, drop), keep, drop)

    def hide(self, state: Any, drop: int) -> Any:
        if STEP_MASK in self.capabilities and "position_ids" in arguments_of(self._run):
            return state.hiding(drop)
        return super().hide(state, drop)

    def _found(self, ids: Array, past: Past, plain: bool, **options: Any) -> Any:
        """What a call gives; a plain one has no mask."""
        names = arguments_of(self._run)
        given: dict[str, Any] = {} if past.cache is None else {self.past: past.cache}
        given |= self._masked(self._run, None if plain else past.mask)
        if not plain and "position_ids" in names:
            given["position_ids"] = self._into(past.positions(ids.shape[1]))
        given |= {name: value for name, value in options.items() if name in names}
        with self._quiet():
            return self._run(self._into(ids), **given)


def _part(found: Any, name: str) -> Any:
    """A part of what a model gave: an attribute, an entry, or the second of two things."""
    if isinstance(found, Mapping):
        return found.get(name)
    if isinstance(found, tuple | list) and not hasattr(found, name):
        return found[1] if len(found) == 2 else None
    return getattr(found, name, None)
