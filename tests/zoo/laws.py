"""The laws at work on the models of the zoo: what a child with a planted bug runs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from types import CodeType

from numtx.laws.law import LAWS
from numtx.models import MODELS, STORAGES, parameters_of
from numtx.subjects.own import NumtxSubject
from numtx.testing.trial import BROKEN, ERROR, attempt, law_names

from .planting import BROKEN_SOURCE, HOME, PlantingError

Plan = Iterable[tuple[int, list[str]]]

# Laws of single operations, which are the same whatever the model: one model is enough.
OF_OPERATIONS = frozenset(name for name in law_names() if LAWS[name].once)

# The models of the list that the laws are tried on; of a model's storages the last.
TRIED: tuple[str, ...] = (
    "encoder-decoder, multi-query, one table for all words",
    "decoder, rotary, grouped, gated",
    "two vocabularies, learned positions, pre-norm",
    "encoder, segments, embedding norm",
    "encoder-decoder, interleaved, some norms and residuals",
    "decoder, latents, rotary, smoothed",
    "encoder-decoder, grouped, no positions, segments",
    "decoder, deep",
    "decoder, normed queries and keys",
    "encoder, chunks",
    "decoder, slopes, six heads",
    "decoder, norms before and after sublayers",
    "decoder, side by side on one norm",
    "encoder, latent, no positions",
    "decoder, latents, experts in groups, shared ones",
    "encoder-decoder, weights on the experts' input",
)


def needs() -> dict[str, list[str]]:
    """The laws in their order, each with the capabilities that it uses."""
    return {name: sorted(LAWS[name].needs) for name in law_names()}


def models() -> int:
    """How many models the laws are tried on."""
    return len(TRIED)


def subject_of(name: str) -> NumtxSubject:
    """A model of the list, with the last of its storages."""
    model = MODELS[name]
    storage = STORAGES[model.storages[-1]] if model.storages else None
    return NumtxSubject(model.config(), parameters_of(model.config()), name, storage)


def speaking(wanted: Plan, seed: int = 0, examples: int = 4) -> dict[str, str]:
    """The laws that speak here, each with its first message: of these models, these laws."""
    warnings.simplefilter("ignore")  # a bug may divide by 0 on its way to being caught
    found: dict[str, str] = {}
    for number, laws in wanted:
        one = subject_of(TRIED[number])
        for name in laws:
            if name not in found:
                result = attempt(LAWS[name], one, seed=seed, examples=examples, shrink=False)
                if result.status == ERROR:
                    check_source(result.why)
                if result.status in (BROKEN, ERROR):  # a bug that raises is seen, too
                    found[name] = f"{one.name}: {result.why}"
    return found


def check_source(why: str) -> None:
    """Raise `PlantingError` where a law is in error because the planted code is no code: a name
    that is nowhere, say."""
    raised = why.partition(" error: ")[2].partition(":")[0]
    if raised in {kind.__name__ for kind in BROKEN_SOURCE}:
        raise PlantingError(why.splitlines()[0])


def reached(
    number: int, laws: Sequence[str], seed: int = 0, examples: int = 4
) -> list[tuple[str, list[str]]]:
    """Where there is no bug: the laws to be tried on a model, and the functions that each runs.

    All else being seeded, a law can say nothing of a function that it never runs.
    """
    warnings.simplefilter("ignore")
    caches = [
        value
        for name, module in list(sys.modules.items()) if name.startswith("numtx.")
        for value in vars(module).values() if hasattr(value, "cache_clear")
    ]  # fmt: skip
    with Calls() as first:
        one = subject_of(TRIED[number])
    found = []
    for name in laws:
        if number and name in OF_OPERATIONS:
            continue
        for value in caches:  # who fills a cache is chance
            value.cache_clear()
        with Calls() as calls:
            attempt(LAWS[name], one, seed=seed, examples=examples, shrink=False)
        found.append((name, sorted(first.places() | calls.places())))
    return found


class Calls:
    """The functions that are called while it lasts."""

    def __enter__(self) -> Calls:
        self.codes: set[CodeType] = set()
        sys.settrace(lambda frame, event, argument: self.codes.add(frame.f_code))
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def places(self) -> set[str]:
        return {
            f"{code.co_filename}:{code.co_firstlineno}"
            for code in self.codes if code.co_filename.startswith(str(HOME))
        }  # fmt: skip
