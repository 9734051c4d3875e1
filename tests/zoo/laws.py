"""The laws at work on the models of the zoo: what a child with a planted bug runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from numtx.laws.law import LAWS
from numtx.subjects.models import MODELS, STORAGES, parameters_of
from numtx.subjects.own import NumtxSubject
from numtx.testing.trial import BROKEN, ERROR, attempt, law_names

# Laws of single operations, which are the same whatever the model: one model is enough.
OF_OPERATIONS = frozenset({"S1", "K8", "P4", "T2", "D1", "D2", "D3", "D4"})

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
    "decoder, slopes, six heads",
)


def needs() -> dict[str, list[str]]:
    """The laws in their order, each with the capabilities that it uses."""
    return {name: sorted(LAWS[name].needs) for name in law_names()}


def subjects() -> list[NumtxSubject]:
    """The models of the zoo."""
    found = []
    for name in TRIED:
        model = MODELS[name]
        storage = STORAGES[model.storages[-1]] if model.storages else None
        found.append(NumtxSubject(model.config(), parameters_of(model.config()), name, storage))
    return found


def speaking(laws: Sequence[str], seed: int = 0, examples: int = 4) -> dict[str, str]:
    """The laws that speak here, each with its first message."""
    warnings.simplefilter("ignore")  # a bug may divide by 0 on its way to being caught
    found: dict[str, str] = {}
    for number, one in enumerate(subjects()):
        for name in laws:
            if name not in found and not (number and name in OF_OPERATIONS):
                result = attempt(LAWS[name], one, seed=seed, examples=examples, shrink=False)
                if result.status in (BROKEN, ERROR):  # a bug that raises is seen, too
                    found[name] = f"{one.name}: {result.why}"
    return found
