"""The zoo: its registry, and a handful of bugs; the whole of it is heavy."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from samples import DRAW

from numtx.subjects.models import MODELS
from numtx.testing.trial import LAWS, law_names

from .bug import Bug
from .laws import TRIED, needs
from .matrix import LADDER, STAYS, Kills, Matrix, kill_matrix
from .planting import PlantingError, file_of, planted
from .registry import BUGS

FEW = {
    "causal mask off by one: the next token is seen": "K1",
    "a row uses another row's padding": "B1-mask",
    "window off by one, too wide": "K5",
    "positions taken from the chunk instead of from the cache": "C1",
    "a fork shares memory": "C3",
    "truncation keeps one token too many": "C4",
    "reorder of the first layer only": "C5",
    "gradient of a group's keys from its first head only": "G1",
}
# What is seen of these is that a later call raises.
RAISES = {"reorder of the first layer only"}

# For every law a bug that it catches.
PAIRS = {
    "K1": "causal mask forgotten",
    "K2": "causal mask skipped whenever a cache is passed",
    "K3": "causal mask off by one: the next token is seen",
    "K4": "token 0 is taken for padding",
    "K5": "window off by one, too wide",
    "K6": "padding is not masked",
    "K6-junk": "NaN under padding is let through",
    "K6-memory": "cross-attention forgets the source's padding",
    "K7": "a blind row gives NaN",
    "K8": "additive mask with a finite sentinel",
    "S1": "softmax without taking the largest away",
    "S2": "weights that do not sum to 1",
    "S3": "norm divides by n - 1",
    "S4": "weights that do not sum to 1",
    "V1": "heads split the other way than they are merged",
    "V2": "keys tiled instead of repeated for grouped heads",
    "V3": "latents: heads absorbed in the wrong order",
    "V4": "window off by one, too narrow",
    "V6": "the keys are not normed",
    "P6": "all slopes for the heads beyond",
    "V5": "scale by the width of the model",
    "P1": "angles in float32",
    "P3": "sinusoidal positions not added",
    "P4": "backward rotates on instead of back",
    "P5": "a position past the table is let through",
    "C1": "mask aligned upper left: a decode step sees key 0 only",
    "C2": "positions of a padded chunk start anew",
    "C3": "a shared block is written to",
    "C4": "truncation keeps one token too few",
    "C5": "reorder of keys only",
    "C6": "reset does nothing to the storage",
    "C7": "a full cache takes more",
    "C8": "a cached position leaks into an uncached call",
    "C9": "the memory's keys are scaled each time they are read",
    "C10": "a cache serves other parameters",
    "C11": "reorder forgets the padding",
    "B1": "logits centred over the batch",
    "B1-mask": "a row uses another row's padding",
    "B2": "dropout left on",
    "B3": "left padding shifts positions",
    "B4": "logits centred over the batch",
    "B4-mask": "every row uses the first row's padding",
    "B5": "cross-attention looks at its own input",
    "R1": "dropout left on",
    "L1": "mean over all labels, ignored ones too",
    "L2": "mean's gradient not divided",
    "L3": "ignored labels backpropagate",
    "L4": "labels that are all ignored are let through",
    "L5": "log_softmax backward without its sum",
    "G1": "norm backward without the projection through the variance",
    "G2": "hidden scores get a gradient",
    "G3": "a tied output has no gradient",
    "T1": "fast way: scale missing",
    "T2": "blocks of queries: groups taken in turn",
    "D1": "top-k keeps all that tie with the last",
    "D2": "top-p drops the token that crosses",
    "D3": "temperature multiplies",
    "D4": "the repetition penalty boosts negative logits",
    "D5": "a finished row goes on",
    "D6": "the length penalty counts the prompt",
    "W1": "parameters lose digits when they are read",
    "W2": "token 0 is taken for padding",
    "W4": "a NumPy number turns float32 into float64",
}


def kills_of(bug, laws, examples=4):
    """The laws that speak for a bug (for none: of numtx as it is), each with its message."""
    return planted([bug.change] if bug else [], "zoo.laws:speaking", laws, 0, examples)


def test_every_law_has_a_bug_to_catch():
    assert set(PAIRS) | set(STAYS) == set(LAWS)


@pytest.mark.heavy
@pytest.mark.parametrize("law", PAIRS)
def test_a_law_catches_its_bug(law):
    (bug,) = (bug for bug in BUGS if bug.name == PAIRS[law])
    assert list(kills_of(bug, [law])) == [law]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_stands_in_one_place_and_the_change_is_python(bug):
    source = file_of(bug.module).read_text(encoding="utf-8")
    assert source.count(bug.old) == 1, f"{bug.module}: {bug.old!r}"
    changed = source.replace(bug.old, bug.new)
    assert changed != source
    compile(changed, bug.module, "exec")


def test_there_are_enough_of_them_and_no_two_alike():
    assert len(BUGS) >= 80
    names = Counter(bug.name for bug in BUGS)
    changes = Counter((bug.module, bug.old, bug.new) for bug in BUGS)
    assert max(names.values()) == max(changes.values()) == 1
    assert sum(bool(bug.equivalent) for bug in BUGS) <= 3


def test_the_ladder_ends_with_all_that_laws_need():
    known = frozenset().union(*(more for _, more in LADDER))
    assert all(law.needs <= known for law in LAWS.values())
    assert set(STAYS) <= set(LAWS) and set(TRIED) <= set(MODELS)


@pytest.mark.parametrize("name", FEW)
def test_a_planted_bug_is_caught_by_its_law(name):
    (bug,) = (bug for bug in BUGS if bug.name == name)
    found = kills_of(bug, [FEW[name]])
    assert list(found) == [FEW[name]]
    law = FEW[name]
    told = f"{law} error: ValueError" if name in RAISES else f"{law} broken: {LAWS[law].statement}"
    assert f": {told}" in found[law]


def test_a_change_that_fits_nowhere_is_an_error_and_no_kill():
    gone = Bug("gone", "masks", "no such text", "pass")
    with pytest.raises(PlantingError, match="occurs 0 times"):
        kills_of(gone, ["K1"])


def test_without_a_bug_no_law_is_broken():
    """Of a drawn part of the laws; the heavy test below asks all of them."""
    laws = random.Random(f"{DRAW} {__name__}").sample(law_names(), len(LAWS) // 3)
    assert kills_of(None, laws, examples=1) == {}


def bug(name, equivalent=""):
    return Bug(name, "masks", "a", "b", equivalent=equivalent)


def test_what_a_matrix_says():
    matrix = Matrix(
        [
            Kills(bug("first"), {"K1": "why", "S3": "why"}),
            Kills(bug("second"), {"S3": "why"}),
            Kills(bug("third"), {}),
            Kills(bug("fourth", "nothing differs"), {}),
            Kills(bug("fifth", "wrongly said"), {"S3": "why"}),
        ],
        needs(),
        ["K1", "C1", "S3"],
    )
    assert [one.name for one in matrix.survivors] == ["third"]
    assert matrix.idle == ["C1"] and not matrix.ok
    assert [kill.bug.name for kill in matrix.disproven] == ["fifth"]
    assert matrix.shares()[0] == ("ids -> logits", 1, 3)
    assert matrix.shares()[-1] == ("+ trace and parameters", 2, 3)
    lines = matrix.text().splitlines()
    assert "masks                third: SURVIVES" in lines
    assert "masks                first: K1 S3" in lines
    assert "S3: second" in lines and "survivors: third" in lines
    assert "laws that catch nothing: C1" in lines
    assert "not equivalent: fifth, caught by S3" in lines
    rows = json.loads(matrix.to_json())
    assert rows["bugs"][1]["killed_by"] == {"S3": "why"}
    assert rows["shares"][0] == {"known": "ids -> logits", "killed": 1, "of": 3}


@pytest.mark.heavy
def test_every_bug_is_caught_and_every_law_catches_one():
    matrix = kill_matrix()
    assert matrix.ok, matrix.text()
    assert kills_of(None, law_names()) == {}
