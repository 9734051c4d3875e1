"""numtx keeps every law, over all kinds of models."""

from __future__ import annotations

import random

import hypothesis
import pytest
from children import python
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from samples import DRAW, some
from zoo.laws import OF_OPERATIONS

from numtx.laws.law import LawBroken
from numtx.models import MODELS
from numtx.subjects.own import every_kind
from numtx.subjects.subject import STEP
from numtx.testing import NumtxSubject, check, run_machine
from numtx.testing.trial import BROKEN, LAWS, PASSED, Report, attempt, law_names

KINDS = list(every_kind())
DEAR = [name for name in law_names() if LAWS[name].cost >= 5]
KNOWN = frozenset().union(*(subject.capabilities for subject in KINDS))
ASKED = [name for name in law_names() if LAWS[name].needs <= KNOWN]
CHEAP = [name for name in ASKED if name not in DEAR and name not in OF_OPERATIONS]


def named(name: str) -> NumtxSubject:
    return next(subject for subject in KINDS if subject.name == name)


def tried(subject: NumtxSubject, names: list[str], examples: int) -> Report:
    return Report([attempt(LAWS[name], subject, examples=examples) for name in names])


def broken(report: Report) -> str:
    return "\n".join(f"{result.subject}: {result.why}" for result in report.broken)


def one_example(subject: NumtxSubject, names: list[str], seed: int) -> dict[str, bool]:
    """Whether one example exercised each law; all in one run of Hypothesis, of which the first
    example is the simplest, in which most laws have nothing to see."""
    exercised: dict[str, bool] = {}

    def run(data: st.DataObject) -> None:
        if not data.draw(st.integers(0, 2**16)):
            return
        for name in names:
            try:
                exercised[name] = LAWS[name].run(subject, data.draw)
            except LawBroken as broken:
                broken.law = LAWS[name]
                raise AssertionError(f"{subject.name}: {broken}") from broken

    asked = settings(
        max_examples=2, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    hypothesis.seed(seed)(asked(hypothesis.given(st.data())(run)))()
    assert list(exercised) == names, "an example too long for Hypothesis"
    return exercised


def test_every_kind_keeps_every_cheap_law_and_some_kind_exercises_each():
    """Those that no kind before has exercised, and a drawn part of the others, for all of them on
    every kind is the heavy test below; of a model's second storage those of a cache."""
    wanted, models = set(CHEAP), set()
    chance = random.Random(f"{DRAW} {__name__}")
    for seed, subject in enumerate(KINDS):
        asked = wanted | set(chance.sample(CHEAP, len(CHEAP) // 6))
        names = [
            name for name in CHEAP if name in asked and LAWS[name].needs <= subject.capabilities
        ]
        if subject.config in models:
            names = [name for name in names if STEP in LAWS[name].needs]
        models.add(subject.config)
        wanted -= {name for name, seen in one_example(subject, names, seed).items() if seen}
    assert wanted == set()


def test_one_example_of_a_model_that_breaks_a_law_fails():
    class Wrong(NumtxSubject):
        """The last row of a batch is another where there are several."""

        def logits(self, ids, mask=None, memory=None):
            found = super().logits(ids, mask, memory)
            found[1:] *= 1.01
            return found

    right = named("encoder-decoder")
    wrong = Wrong(right.config, right.parameters, right.name)
    assert one_example(right, ["B4"], 0) == {"B4": True}
    with pytest.raises(AssertionError, match="encoder-decoder: B4 broken"):
        for seed in range(10):  # one of them asks for a row that is not the first
            one_example(wrong, ["B4"], seed)


def test_some_kinds_keep_the_other_laws_and_one_exercises_each():
    results = tried(KINDS[0], sorted(OF_OPERATIONS), 6).results
    for subject in KINDS[::17]:
        results += tried(subject, DEAR, 2).results
    report = Report(results)
    assert report.ok, broken(report)
    passed = {result.law.name for result in results if result.status == PASSED}
    assert passed == {*OF_OPERATIONS, *DEAR}


@pytest.mark.heavy
@pytest.mark.parametrize("subject", KINDS, ids=lambda subject: subject.name)
def test_a_kind_keeps_every_law_at_length(subject):
    report = tried(subject, law_names(), 30)
    assert report.ok, broken(report)
    if subject.causal:
        run_machine(subject, examples=20, steps=25)


def alone(law: str, kinds: str) -> tuple[int, str]:
    """`numtx laws --law` in a process of its own: no other module has been loaded before it."""
    code = (
        "import sys; from numtx.subjects import own; from numtx.cli import main\n"
        f"kinds = list(own.every_kind()); own.every_kind = lambda: {kinds}\n"
        "sys.exit(main(['laws', '--law', sys.argv[1]]))"
    )
    run = python("-c", code, law)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("law", some(1, __name__, law_names(), always=["G1"]))
def test_a_law_alone_passes_on_a_clean_numtx(law):
    code, out = alone(law, "kinds[:1]")
    assert code == 0, out


@pytest.mark.heavy
@pytest.mark.parametrize("law", law_names())
def test_every_law_alone_passes_on_a_clean_numtx_of_all_kinds(law):
    code, out = alone(law, "kinds")
    assert code == 0, out


@pytest.mark.parametrize("seed", range(3))
def test_a_slope_along_a_random_direction_is_one_along_a_unit_step(seed):
    (result,) = check(KINDS[0], ["G1"], seed=seed, examples=15, shrink=False).results
    assert result.status == PASSED, result.why


def test_kinds_are_all_of_them():
    assert len(KINDS) == len({subject.name for subject in KINDS})
    assert {subject.config for subject in KINDS} == {
        model.config(dtype="float64", head=model.config().head or "linear")
        for model in MODELS.values()
    }
    assert len(KINDS) == sum(len(model.storages) or 1 for model in MODELS.values())
    storages = {subject.storage.get("storage") for subject in KINDS}
    assert storages == {None, "ring", "paged"}


def test_the_reach_of_windows_by_layer_is_their_sum_and_none_where_a_layer_sees_all():
    assert named("decoder, windows of several widths, ring").reach == (2 - 1) + (4 - 1) + (2 - 1)
    some = "decoder, deep, rotary and windows in some layers, of several bases"
    assert named(some).reach is None
    assert named("encoder, chunks").chunk == 2 and named(some).chunk is None


def test_the_state_machine_holds_for_numtx():
    run_machine(named("decoder, latent, interleaved, deep, paged"), examples=8, steps=8)


def test_a_result_that_is_not_passed_is_never_counted_as_such():
    encoder = named("encoder, latents, interleaved")
    report = tried(encoder, ["K1", "C1", "K4"], 2)
    assert [result.status for result in report.results] == ["vacuous", "skipped", PASSED]
    assert BROKEN not in {result.status for result in report.results}
    assert "vacuous" in report.table() and report.table().endswith(
        "1 passed, 0 broken, 1 skipped, 1 vacuous"
    )
