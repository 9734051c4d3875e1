"""Known mistakes of backward passes: each is named, where it was made and where only the gradients
of parameters are there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
import pytest
from samples import DRAW, MODELS, config_of, ragged_batch, random_parameters, some

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.oracle.gradients import Sums, pass_on
from numtx.shapes import Array
from numtx.slips import SLIPS
from numtx.slips.passed import BACKWARDS, passed
from numtx.slips.slip import Back
from numtx.trace.trace import Trace, record


def run_of(name: str) -> Trace:
    config = config_of(name)
    return record(config, random_parameters(config, 3), Batch(**ragged_batch(config, 4, "right")))


def backward_with(trace: Trace, change: Callable[[Back], Array | None]) -> dict[str, Array]:
    """All gradients by the formulas of the stages, with changed shares where `change` has one."""
    oracle = trace.oracle()
    sums: dict[str, Array] = {}
    found: dict[str, Array] = {}
    for stage in reversed(list(trace.graph)):
        if stage.name not in trace.gradients:
            continue
        own = sums.get(stage.name)
        given = trace.grad(stage.name)
        dy = given if own is None else own.reshape(given.shape)
        found[stage.name] = dy
        shares = {n: Sums(oracle.cells(n).flat.size) for n in dict.fromkeys(stage.inputs)}
        pass_on(oracle, stage, dy.reshape(-1), shares)
        for operand, source in enumerate(stage.inputs):
            back = Back(trace.graph, stage, trace.arrays, dy, operand)
            wrong = change(back) if source in trace.gradients else None
            if wrong is not None:
                shares[source].total += (wrong - back.right()).reshape(-1)
        for source, reached in shares.items():
            sums[source] = sums.get(source, 0.0) + reached.total
    names = [n for n in trace.gradients if n.startswith("parameters/")]
    found.update({n: sums[n].reshape(trace.grad(n).shape) for n in names if n in sums})
    return found


def test_without_a_change_these_are_the_gradients():
    trace = run_of("encoder-decoder")
    for name, gradient in backward_with(trace, lambda back: None).items():
        assert np.allclose(gradient, trace.grad(name), 1e-9, 1e-12), name


@pytest.mark.parametrize("model", some(4, f"{__name__} passed"))
def test_what_whole_arrays_pass_back_is_what_the_formulas_do(model, monkeypatch):
    trace = run_of(model)
    stages = [s for s in trace.graph if s.name in trace.gradients and s.operation in BACKWARDS]
    fast = [passed(trace.oracle(), s, trace.grad(s.name), trace.arrays) for s in stages]
    monkeypatch.setattr("numtx.slips.passed.BACKWARDS", {})
    for stage, found in zip(stages, fast, strict=True):
        slow = passed(trace.oracle(), stage, trace.grad(stage.name), trace.arrays)
        for name, share in slow.items():
            size = np.abs(share).max() + np.abs(trace.grad(stage.name)).max()
            assert np.abs(share - found[name]).max() <= 1e-12 * size, (stage.name, name)


def causes(trace: Trace, gradients: Mapping[str, Array]) -> list[str]:
    theirs = {**trace.values, **{f"grad/{n}": a for n, a in gradients.items()}}
    arrays = {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}
    found = compare(Side("A", arrays, trace), Side("B", theirs, None))
    assert not found.equal
    return [str(cause) for cause in found.causes]


def forms(trace: Trace, number: int) -> Iterator[tuple[str, str, int]]:
    """Each form of a slip at the last stage of a run in which it makes a difference."""
    seen = set()
    for stage in reversed(list(trace.graph)):
        for operand, source in enumerate(stage.inputs):
            if stage.name not in trace.gradients or source not in trace.gradients:
                continue
            back = Back(trace.graph, stage, trace.arrays, trace.grad(stage.name), operand)
            found = list(SLIPS[number].forms(back))
            right = back.right() if found else None
            for text, share in found:
                apart = np.abs(share - right).max() > 1e-3 * (np.abs(right).max() + 1e-300)
                if apart and text.en not in seen:
                    seen.add(text.en)
                    yield text.en, stage.name, operand


def share_of(number: int, back: Back, en: str) -> Array | None:
    """The share in a form of a slip, where it is made at all."""
    return next((share for text, share in SLIPS[number].forms(back) if text.en == en), None)


def planted(number: int, where: tuple[str, str, int]) -> Callable[[Back], Array | None]:
    en, stage, operand = where

    def change(back: Back) -> Array | None:
        here = (back.stage.name, back.operand) == (stage, operand)
        return share_of(number, back, en) if here else None

    return change


def everywhere(number: int, where: tuple[str, str, int]) -> Callable[[Back], Array | None]:
    """The same in every stage of the operation, as where one function serves all."""
    en, _, operand = where

    def change(back: Back) -> Array | None:
        return share_of(number, back, en) if back.operand == operand else None

    return change


def alike(trace: Trace, cause: str, gradients: Mapping[str, Array], every: bool) -> bool:
    """Whether a cause that is named gives the gradients, made in the stages that it names, or in
    every one of its operation."""
    en, _, places = cause.partition(", in ")
    for number, operand in product(range(len(SLIPS)), range(3)):

        def change(back: Back, number: int = number, operand: int = operand) -> Array | None:
            here = every or back.stage.name in places.split(", ")
            return share_of(number, back, en) if here and back.operand == operand else None

        found = backward_with(trace, change) if en.startswith(NAMES[number]) else {}
        if found and all(np.allclose(found[n], a, 1e-8, 1e-12) for n, a in gradients.items()):
            return True
    return False


NAMES = [slip.name.en for slip in SLIPS]


def test_every_slip_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)


def assert_named(
    trace: Trace, en: str, gradients: Mapping[str, Array], every: bool = False
) -> None:
    """Of all gradients, and of those of parameters alone: the cause, and no other that does not
    give the same numbers."""
    alone = {n: a for n, a in gradients.items() if n.startswith("parameters/")}
    lost = all(np.allclose(a, trace.grad(n), 1e-6, 1e-12) for n, a in alone.items())
    for theirs in (gradients, *([] if lost else [alone])):
        named = causes(trace, theirs)
        assert any(text.startswith(en) for text in named), (en, named)
        others = [text for text in named if not text.startswith(en)]
        assert all(alike(trace, text, theirs, every) for text in others), (en, named)


def first_run(number: int) -> tuple[Trace, list[tuple[str, str, int]]]:
    """The first model of the list in which a slip is made, and its forms."""
    return next(
        (trace, made) for trace in map(run_of, MODELS) if (made := list(forms(trace, number)))
    )


SHORT = pytest.mark.parametrize("most", [2, pytest.param(99, marks=pytest.mark.heavy)])


@SHORT
@pytest.mark.parametrize("name", some(1, __name__, NAMES))
def test_each_form_is_named_and_nothing_else(name, most):
    trace, made = first_run(number := NAMES.index(name))
    for where in random.Random(DRAW).sample(made, min(most, len(made))):
        assert_named(trace, where[0], backward_with(trace, planted(number, where)))


@SHORT
@pytest.mark.parametrize("name", some(1, f"{__name__} everywhere", NAMES))
def test_each_form_is_named_where_it_is_made_in_every_layer(name, most):
    trace, made = first_run(number := NAMES.index(name))
    for where in random.Random(DRAW).sample(made, min(most, len(made))):
        gradients = backward_with(trace, everywhere(number, where))
        assert_named(trace, where[0], gradients, every=True)


LANGUAGE_MODEL = Config(
    model="decoder-only", width=8, decoder_layers=2, hidden=12, vocabulary=11, norm_place="pre"
)
TWICE = [  # a known mistake, in all stages of an operation, and the first gradient it makes wrong
    ("norm", "the mean taken away twice", "decoder.1.feed_forward.residual"),
    (
        "softmax",
        "without the dot product with the weights",
        "decoder.1.self_attention.masked_scores",
    ),
    ("look-up", "repeated ids not summed: the last one counts", "parameters/decoder.embedding"),
]


KEPT = ["values", "stages", "parameters", "loss", "gradients", "input"]


@pytest.mark.parametrize("kept", some(2, f"{__name__} kept", KEPT))
@pytest.mark.parametrize(("operation", "form", "first"), TWICE)
def test_in_files_of_every_kind(operation, form, first, kept):
    """Gradients beside all values, beside the loss alone or beside nothing; of all stages, of the
    parameters, or of the embeddings, beneath all norms."""
    parameters = random_parameters(LANGUAGE_MODEL, 3)
    trace = record(LANGUAGE_MODEL, parameters, Batch([[1, 2, 1, 3]], labels=[[2, 1, 3, 4]]))
    name = f"backward of the {operation}"
    en, number = f"{name} ({form})", NAMES.index(name)
    change = everywhere(number, (en, "", int(operation == "look-up")))
    wrong = backward_with(trace, change)
    some = {n: a for n, a in wrong.items() if n.startswith("parameters/")}
    some = {"stages": wrong, "values": wrong}.get(kept, some)
    if kept == "input":
        some = {
            n: a for n, a in wrong.items() if n in ("decoder.input", "parameters/decoder.embedding")
        }
    values = {"values": trace.values, "gradients": {}}.get(kept, {"loss": trace["loss"]})
    theirs = {**values, **{f"grad/{n}": a for n, a in some.items()}}
    arrays = {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}
    found = compare(Side("A", arrays, trace), Side("B", theirs, None))
    assert found.first is not None and found.causes
    if kept in ("values", "stages") or first in some:
        assert found.first.name == f"grad/{first}"
    assert all(cause.cause == en for cause in found.causes), found.causes
    right = {**values, **{f"grad/{n}": trace.grad(n) for n in some}}
    assert compare(Side("A", arrays, trace), Side("B", right, None)).equal


def test_a_path_that_is_lost_is_named():
    trace, place = run_of("encoder-decoder"), "decoder.1.self_attention.residual"

    def change(back: Back) -> Array | None:
        skipped = (back.stage.name, back.operand) == (place, 0)
        return np.zeros_like(back.x) if skipped else None

    named = causes(trace, backward_with(trace, change))
    assert named == [f"the path through {place} lost, in {place}"]


def test_where_nothing_known_fits_no_cause_is_named():
    trace = run_of("encoder-decoder")
    name = "decoder.1.feed_forward.output"
    noise = np.random.default_rng(0).standard_normal(trace.grad(name).shape)
    assert causes(trace, {**trace.gradients, name: trace.grad(name) + noise}) == []


def test_what_is_too_large_is_not_tried(monkeypatch):
    """And then no cause is named, rather than one that was not held to the numbers."""
    trace, place = run_of("encoder-decoder"), "decoder.1.self_attention.weights"

    def change(back: Back) -> Array | None:
        return back.y * back.dy if back.stage.name == place else None

    gradients = backward_with(trace, change)
    named = "backward of the softmax (without the dot product with the weights)"
    assert causes(trace, gradients) == [f"{named}, in {place}"]
    monkeypatch.setattr("numtx.diagnosis.diagnose_gradient.MOST_CELLS", 1)
    assert causes(trace, gradients) == []


@pytest.mark.parametrize("power", [0, 2])
def test_of_mistakes_that_are_alike_here_that_which_explains_all_is_named(power):
    """Queries and keys get gradients of 2 or 1/2 times what they should be: so does a loss whose
    four labels are divided by two rows, which would change all others too, and a mean over two
    rows, which would change one alone."""
    config = Config(model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=5)
    batch = Batch([[1, 2, 3], [2, 4, 1]], labels=[[2, 3, -100], [4, 1, -100]])
    trace = record(config, random_parameters(config, 3), batch)
    place = "decoder.0.self_attention.scores"
    assert trace.graph[place].attributes["factor"] == 0.5

    def change(back: Back) -> Array | None:
        return back.dy * 0.5**power if back.stage.name == place else None

    gradients = backward_with(trace, change)
    alone = {n: a for n, a in gradients.items() if n.startswith("parameters/")}
    what = "the factor twice" if power else "the factor forgotten"
    assert causes(trace, alone) == [f"backward of the scale ({what}), in {place}"]
    if power == 0:  # with keys alone wrong, those that are right speak against the loss
        few = {n: a for n, a in alone.items() if n.endswith(("w_k", "w_v", "w_o"))}
        assert causes(trace, few) == [f"backward of the scale ({what}), in {place}"]
