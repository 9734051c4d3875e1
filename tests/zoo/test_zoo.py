"""The zoo: its registry, one bug a check and a law; the whole of it is heavy."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from children import environment, python
from samples import DRAW, some

from numtx.models import MODELS
from numtx.testing.trial import LAWS, law_names

from .bug import Bug
from .checks import checks_of
from .laws import TRIED, needs
from .matrix import LADDER, Kills, Matrix
from .planting import TESTS, PlantingError, changed, planted
from .registry import BUGS
from .standing import ALONE, IMPLIED, STAYS

CHECKS = dict.fromkeys(name for bug in BUGS for name in bug.checks.split())
EVERYWHERE = range(len(TRIED))


def drawn(word, field):
    """One of the bugs that a check, or a law, must catch."""
    return random.Random(f"{DRAW} {word}").choice(
        [bug for bug in BUGS if word in getattr(bug, field).split()]
    )


def laws_that_speak(bug, laws, examples=4):
    """For a bug, or for none, each with its message."""
    wanted = [(number, list(laws)) for number in EVERYWHERE]
    return planted([bug.change] if bug else [], "zoo.laws:speaking", wanted, 0, examples)


def checks_that_speak(bug, checks):
    """For a bug, or for none, each with what it says."""
    return planted([bug.change] if bug else [], "zoo.checks:speaking", list(checks))


@pytest.mark.parametrize("check", some(len(CHECKS) // 2, f"{__name__} checks", CHECKS))
def test_a_check_catches_a_bug(check):
    bug = drawn(check, "checks")
    assert list(checks_that_speak(bug, [check])) == [check], bug.name


ASKED = [name for name in law_names() if name not in STAYS]


@pytest.mark.parametrize("law", some(6, __name__, ASKED))
def test_a_law_catches_a_bug(law):
    bug = drawn(law, "laws")
    told = laws_that_speak(bug, [law])
    assert list(told) == [law], bug.name
    assert f": {law} error: " in told[law] or f"{law} broken: {LAWS[law].statement}" in told[law]


@pytest.mark.heavy
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_is_caught_by_all_that_must_catch_it(bug):
    wanted = bug.checks.split()
    assert list(checks_that_speak(bug, wanted)) == wanted
    assert set(laws_that_speak(bug, bug.laws.split())) == set(bug.laws.split())


def test_without_a_bug_no_check_speaks():
    """Of a model; those of caches, training and decoding are tests of their own."""
    assert checks_that_speak(None, checks_of("zoo.model_checks")) == {}


def test_without_a_bug_no_law_is_broken():
    """Of a drawn part of the laws; the heavy test below asks all of them."""
    laws = random.Random(f"{DRAW} {__name__}").sample(law_names(), len(LAWS) // 8)
    assert laws_that_speak(None, laws, examples=1) == {}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_stands_in_one_place_and_the_change_is_python(bug):
    compile(changed([bug.change])[bug.module], bug.module, "exec")
    assert bug.checks or bug.laws or bug.equivalent


def test_no_two_bugs_are_alike():
    results = Counter((bug.module, changed([bug.change])[bug.module]) for bug in BUGS)
    assert max(Counter(bug.name for bug in BUGS).values()) == max(results.values()) == 1
    assert not [bug.name for bug in BUGS if bug.old == bug.new]
    assert sum(bool(bug.equivalent) for bug in BUGS) <= 3


def test_every_check_and_every_law_has_a_bug_to_catch():
    names = planted([], "zoo.checks:names")
    assert len(names) == len(set(names)) and set(names) == set(CHECKS)
    assert {law for bug in BUGS for law in bug.laws.split()} | set(STAYS) == set(LAWS)


def test_every_law_has_a_bug_to_itself_or_is_implied_by_laws_that_have():
    assert sorted([*ALONE, *IMPLIED, *STAYS]) == sorted(LAWS)
    must = {bug.name: bug.laws.split() for bug in BUGS}
    for law, bug in ALONE.items():
        assert law in must[bug] and {one[0] for one in must[bug]} == {law[0]}, bug
    grounded, left = set(ALONE), set(IMPLIED)
    while left:
        found = {law for law in left if set(IMPLIED[law].split()) <= grounded}
        assert found, f"{sorted(left)} are implied by one another, or by no law"
        grounded |= found
        left -= found


def test_a_wrong_statement_is_told():
    both = Kills(next(bug for bug in BUGS if bug.name == ALONE["C3"]), {"C3": "why", "K1": "why"})
    alone = Kills(bug("another"), {"K1": "why"})
    wrong = Matrix([both, alone], needs(), ["C3", "K1", "K3"])
    assert wrong.misstated == [
        f"C3 has no bug to itself: {ALONE['C3']}, caught by K1",
        f"K1 is not implied by {IMPLIED['K1']}: {ALONE['C3']}",
        f"K1 is not implied by {IMPLIED['K1']}: another",
    ]
    assert not wrong.ok and set(wrong.misstated) <= set(wrong.text().splitlines())
    assert Matrix([both, alone], needs(), ["K1"]).misstated == []


def test_the_ladder_ends_with_all_that_laws_need():
    known = frozenset().union(*(more for _, more in LADDER))
    assert all(law.needs <= known for law in LAWS.values())
    assert set(STAYS) <= set(LAWS) and set(TRIED) <= set(MODELS)


def test_a_change_that_fits_nowhere_is_an_error_and_no_kill():
    gone = Bug("gone", "masks", "no such text", "pass")
    with pytest.raises(PlantingError, match="occurs 0 times"):
        laws_that_speak(gone, ["K1"])
    broken = Bug("broken", "masks", "keys - queries if causal", "no_such_name if causal")
    with pytest.raises(PlantingError, match="no_such_name"):
        checks_that_speak(broken, ["run"])


@pytest.mark.parametrize(
    ("new", "raised"),
    [
        ("no_such_name if causal", "NameError: name 'no_such_name' is not defined"),
        ("np.no_such_name if causal", "AttributeError: module 'numpy' has no attribute"),
        ("__import__('no_such_module') if causal", "ModuleNotFoundError: No module named"),
    ],
)
def test_a_change_that_is_no_code_is_an_error_and_no_kill_of_a_law(new, raised):
    broken = Bug("broken", "masks", "keys - queries if causal", new)
    with pytest.raises(PlantingError, match=raised) as caught:
        laws_that_speak(broken, ["K1"])
    assert "in 'masks'" in str(caught.value).splitlines()[-1]  # which change it was


def bug(name, equivalent="", laws=""):
    return Bug(name, "masks", "a", "b", laws=laws, equivalent=equivalent)


def test_what_a_matrix_says():
    matrix = Matrix(
        [
            Kills(bug("first"), {"K1": "why", "S3": "why"}),
            Kills(bug("second", laws="K1 S3 C3"), {"S3": "why"}),
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
    assert matrix.silent == ["K1: second"]  # C3 was not tried
    assert matrix.shares()[0] == ("ids -> logits", 1, 3)
    assert matrix.shares()[-1] == ("+ trace and parameters", 2, 3)
    lines = matrix.text().splitlines()
    assert "masks                third: SURVIVES" in lines
    assert "masks                first: K1 S3" in lines
    assert "S3: second" in lines and "survivors: third" in lines
    assert "laws that catch nothing: C1" in lines
    assert "laws that should have spoken: K1: second" in lines
    assert "not equivalent: fifth, caught by S3" in lines
    rows = json.loads(matrix.to_json())
    assert rows["bugs"][1]["killed_by"] == {"S3": "why"}
    assert rows["shares"][0] == {"known": "ids -> logits", "killed": 1, "of": 3}


MATRIX = """
from zoo.matrix import Progress, kill_matrix
from zoo.planting import load_libraries
from zoo.registry import BUGS

load_libraries()
found = kill_matrix(["K1", "K3", "D1"], BUGS[:3], most=3, progress=Progress())
print([sorted(kill.by) for kill in found.kills], found.laws)
"""


def test_a_matrix_of_a_few():
    run = python("-c", MATRIX, env=environment(TESTS), check=True)
    assert run.stdout == "[['K1', 'K3'], ['K3'], []] ['K1', 'K3', 'D1']\n"
    *_, last = told = run.stderr.splitlines()
    assert told[0] == "what each law runs: model 1/3" and last == "3/3 bugs, 0 s left"
    assert len(told) == 3 + 3 and all(" left" in line for line in told[-3:])


@pytest.mark.heavy
def test_every_bug_is_caught_and_every_law_catches_one():
    run = python("-m", "zoo", env=environment(TESTS), check=True, capture_output=True, text=True)
    matrix = json.loads(run.stdout)
    assert matrix["ok"], matrix["text"]
    assert laws_that_speak(None, law_names()) == {}
