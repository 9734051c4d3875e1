"""numtx keeps every law, over all kinds of models."""

from __future__ import annotations

import pytest
from children import python
from hypothesis import settings
from samples import some

from numtx.subjects.models import MODELS
from numtx.subjects.own import every_kind
from numtx.testing import NumtxSubject, check, run_machine
from numtx.testing.trial import BROKEN, LAWS, PASSED, Report, attempt, law_names

KINDS = list(every_kind())
NAMES = [subject.name for subject in KINDS]
FIRST = list({subject.config.model: subject for subject in KINDS}.values())  # one of each
ALIKE = {
    "S1",
    "K8",
    "P4",
    "T2",
    "L4",
    "D1",
    "D2",
    "D3",
    "D4",
    "D7",
}  # of operations, whatever the model
DEAR = [name for name in law_names() if LAWS[name].cost >= 5 or name in ALIKE]
CHEAP = [name for name in law_names() if name not in DEAR]


def named(name: str) -> NumtxSubject:
    return next(subject for subject in KINDS if subject.name == name)


def tried(subject: NumtxSubject, names: list[str], examples: int) -> Report:
    return Report([attempt(LAWS[name], subject, examples=examples) for name in names])


def broken(report: Report) -> str:
    return "\n".join(result.why for result in report.broken)


@pytest.mark.parametrize("name", some(4, __name__, NAMES))
def test_a_kind_keeps_every_law(name):
    thorough = settings.default.max_examples > 100
    report = tried(named(name), CHEAP, 50 if thorough else 2)
    assert report.ok, broken(report)


@pytest.mark.parametrize("subject", KINDS[::11], ids=lambda subject: subject.name)
def test_a_kind_keeps_the_other_laws(subject):
    report = tried(subject, DEAR, 2)
    assert report.ok, broken(report)


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


@pytest.mark.parametrize("law", some(3, __name__, law_names(), always=["G1"]))
def test_a_law_alone_passes_on_a_clean_numtx(law):
    code, out = alone(law, "kinds[::16]")
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


def test_every_law_is_exercised_by_some_kind():
    wanted = set(law_names())
    for subject in FIRST:
        wanted -= {
            result.law.name
            for result in tried(subject, sorted(wanted), 6).results
            if result.status == PASSED
        }
    for subject in KINDS:
        wanted -= {name for name in wanted if attempt(LAWS[name], subject, examples=6).exercised}
    assert wanted == set()


def test_kinds_are_all_of_them():
    assert len(KINDS) == len({subject.name for subject in KINDS})
    assert {subject.config for subject in KINDS} == {
        model.config(dtype="float64") for model in MODELS.values()
    }
    assert len(KINDS) == sum(len(model.storages) or 1 for model in MODELS.values())
    storages = {subject.storage.get("storage") for subject in KINDS}
    assert storages == {None, "ring", "paged"}


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
