"""Choosers of tokens: filters of logits, a sampler, a beam search, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..calls import Call, CallFailed
from ..errors import SubjectError, nearest
from ..shapes import Array
from ..subjects.declared import MISSING, arguments_of
from ..subjects.kinds import BEAM_SEARCH, CHOOSER, CHOOSER_CAPABILITIES, FILTERS, SAMPLE
from ..subjects.subject import Subject

NextLogits = Callable[[Sequence[Sequence[int]]], Array]
Rows = Sequence[Sequence[int]]
Found = list[tuple[tuple[int, ...], float]]
_PLAIN: dict[str, tuple[Any, ...]] = {  # what a plain call of each filter gives it
    "top_k": (2,),
    "top_p": (0.5,),
    "min_p": (0.5,),
    "temperature": (2.0,),
    "repetition_penalty": ([[1], [0, 2]], 2.0),
    "no_repeat_ngram": ([[1, 2, 1], [0]], 2),
    "min_new_tokens": ([0, 3], 2, 1),
}


class ChooserSubject(Subject):
    """A chooser with what is declared of it; see `chooser`."""

    kind = CHOOSER
    wanted = "a filter takes logits [B, V] and gives logits [B, V], a sampler ids [B]"

    def __init__(
        self, functions: dict[str, Callable[..., Any]], name: str, ties: str, tensors: bool
    ) -> None:
        self.functions, self.name, self.ties, self.tensors = functions, name, ties, tensors
        self.capabilities = frozenset({CHOOSER, *functions})
        search = functions.get(BEAM_SEARCH)
        self.penalised = search is not None and "length_penalty" in arguments_of(search)

    def filtered(self, what: str, logits: Array, given: Sequence[Any]) -> Array:
        """The logits after a filter, float64; -inf where a token is ruled out."""
        found, dtype = _array(self.functions[what](self._into(logits), *given))
        if found.shape != logits.shape or found.dtype.kind != "f":
            raise SubjectError(
                f"{self.name}.{what} gave {dtype} of shape {found.shape}; it should be floats of "
                f"shape {logits.shape}"
            )
        if np.isnan(found).any() or np.isposinf(found).any():
            raise SubjectError(f"{self.name}.{what} gave NaN or inf among its logits")
        wide: Array = found.astype(np.float64)
        wide[wide < -1e30] = -np.inf
        return wide

    def sample(self, logits: Array, seed: int) -> Array:
        """The ids [B] that were drawn."""
        found, dtype = _array(self.functions[SAMPLE](self._into(logits), seed))
        whole = found.dtype.kind in "iu" and found.shape in ((len(logits),), (len(logits), 1))
        if not whole or (found < 0).any() or (found >= logits.shape[1]).any():
            raise SubjectError(
                f"{self.name}.{SAMPLE} gave {dtype} of shape {found.shape}; it should be ids of "
                f"shape ({len(logits)},), from 0 to {logits.shape[1] - 1}"
            )
        return found.reshape(-1)

    def search(
        self, next_logits: NextLogits, prompt: Sequence[int], options: dict[str, Any]
    ) -> Found:
        """The texts that a beam search found for one prompt, each with its score."""
        asked = {n: v for n, v in options.items() if n != "length_penalty" or self.penalised}

        def given(texts: Sequence[Sequence[int]]) -> Any:
            plain = [[int(token) for token in text] for text in texts]
            return self._into(next_logits(plain))

        found = self.functions[BEAM_SEARCH](given, list(prompt), **asked)
        try:
            return [(tuple(map(int, tokens)), float(score)) for tokens, score in found]
        except (TypeError, ValueError):
            raise SubjectError(
                f"{self.name}.{BEAM_SEARCH} gave {type(found).__name__}; it should be a list of "
                "(new tokens, score), the best first"
            ) from None

    def first_call(self) -> CallFailed | None:
        """What is raised by a plain call of each of its functions."""
        logits = np.array([[0.5, 2.0, -1.0, 0.25], [1.0, -0.5, 0.0, 3.0]])
        calls: list[tuple[str, Callable[[], Any], dict[str, Any]]] = [
            (what, partial(self.filtered, what, logits, _PLAIN[what]), {"logits": logits})
            for what in FILTERS
            if what in self.functions
        ]
        if SAMPLE in self.functions:
            calls.append((SAMPLE, partial(self.sample, logits, 0), {"logits": logits}))
        for what, run, given in calls:
            try:
                run()
            except (Exception, SystemExit) as error:
                return CallFailed("call", error, Call(what, given))
        return None

    def _into(self, logits: Array) -> Any:
        if not self.tensors:
            return logits.copy()
        from .tensors import as_tensor

        return as_tensor(logits, None)


def _array(found: Any) -> tuple[Array, str]:
    if hasattr(found, "detach"):
        from .tensors import as_array

        return as_array(found)
    array = np.asarray(found)
    return array, str(array.dtype)


def chooser(
    model: Any = None,
    *,
    name: str | None = None,
    ties: str | None = None,
    tensors: bool | None = None,
    **functions: Callable[..., Any],
) -> ChooserSubject:
    """What chooses tokens, to try laws on: some of these functions, or an object that has them.

    top_k(logits, k), top_p(logits, p), min_p(logits, p), temperature(logits, t)
    repetition_penalty(logits, rows, penalty)   rows: the tokens of each row so far, lists
    no_repeat_ngram(logits, rows, n)            rules out what would repeat n tokens in a row
    min_new_tokens(logits, counts, least, eos)  rules eos out where a row has fewer new tokens
    sample(logits, seed) -> ids [B]
    beam_search(next_logits, prompt, num_beams=, max_new_tokens=, eos=[, length_penalty=])
        -> [(new tokens, score)], the best first; next_logits(texts) -> [N, V]. The score is
        log P / length^length_penalty, or log P where it takes none

    logits are [B, V], and so is what a filter gives, with -inf where a token is ruled out.

    ties     'id': of equal logits the smaller id comes first; 'any': nothing is asked of them
    tensors  the functions take tensors of PyTorch

    Raises `SubjectError` for what is none of these.
    """
    own = "chooser" if model is None else type(model).__name__
    name = str(name or getattr(model, "__name__", own))
    known = [one for one in CHOOSER_CAPABILITIES if one != CHOOSER]
    for one, function in functions.items():
        if one not in known:
            raise SubjectError(f"a chooser has no {one!r}; {nearest(one, known)}")
        if not callable(function):
            raise SubjectError(f"{name}: {one} is {type(function).__name__}; it is a function")
    found = {one: getattr(model, one) for one in known if callable(getattr(model, one, None))}
    found |= functions
    if not found:
        raise SubjectError(f"{name} has none of {', '.join(known)}")
    of_ties = _declared(model, "ties", ties, "any")
    if of_ties not in ("id", "any"):
        raise SubjectError(f"{name}: ties is {of_ties!r}; it should be 'id' or 'any'")
    return ChooserSubject(found, name, of_ties, bool(_declared(model, "tensors", tensors, False)))


def _declared(model: Any, name: str, given: Any, otherwise: Any) -> Any:
    if given is not None:
        return given
    found = getattr(model, name, MISSING)
    return otherwise if found is MISSING else found
