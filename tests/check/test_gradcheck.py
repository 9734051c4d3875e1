"""The gradient checker: right gradients pass, planted wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import numtx.feed_forward.dense
from numtx import Batch, Config
from numtx.check.gradcheck import (
    check_model,
    check_operation,
    check_stages,
    count_kinks,
    with_gradient,
)
from numtx.check.operations import check_own_operation, operations
from numtx.errors import NumtxError, StageError, UsageError
from numtx.models import parameters_of
from numtx.trace.trace import record

CONFIG = Config(
    width=8, encoder_layers=1, decoder_layers=2, heads=2, hidden=7, vocabulary=11, activation="silu"
)
BATCH = Batch(
    [[4, 4, 2, 9, 1], [3, 8, 6, 0, 0]],
    [[5, 7, 7], [10, 2, 1]],
    [[7, 7, -100], [2, 1, 0]],
    mask=[[True] * 5, [True, True, True, False, False]],
)
OWN = parameters_of(CONFIG, 3)

SMALL = Config(model="decoder-only", width=4, decoder_layers=1, hidden=5, vocabulary=6)


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x^T y, an operation of somebody else's"""
    return x.T @ y


def product_vjp(d: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y @ d.T, x @ d


def arrays() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return generator.standard_normal((5, 2)), generator.standard_normal((5, 3))


def test_a_right_vjp_passes_in_every_cell():
    report = check_operation(product, product_vjp, arrays(), names=("x", "y"))
    assert report.ok
    assert [(c.name, c.cells) for c in report.comparisons] == [("x", 10), ("y", 15)]


@pytest.mark.parametrize("samples", [None, 2])
def test_a_wrong_vjp_is_named(samples):
    def wrong(d, x, y):
        dx, dy = product_vjp(d, x, y)
        return dx, 1.001 * dy

    report = check_operation(product, wrong, arrays(), names=("x", "y"), samples=samples)
    assert not report.ok
    assert [c.ok for c in report.comparisons] == [True, False]
    assert report.worst.name == "y"
    assert report.worst.numeric == pytest.approx(report.worst.analytic / 1.001, rel=1e-6)
    assert "gradient of y" in str(report.worst)


def test_one_wrong_cell_is_named_exactly():
    def wrong(d, x, y):
        dx, dy = product_vjp(d, x, y)
        dx[3, 1] += 1e-3
        return dx, dy

    report = check_operation(product, wrong, arrays())
    assert report.worst.name == "argument 0"
    assert report.worst.cell == (3, 1)
    assert report.worst.analytic - report.worst.numeric == pytest.approx(1e-3, rel=1e-5)


def test_one_wrong_cell_is_seen_along_the_random_direction_too():
    """Whichever cell is sampled, the direction has a share of every one."""

    def wrong(d, x, y):
        dx, dy = product_vjp(d, x, y)
        dx[3, 1] += 0.1
        return dx, dy

    for seed in range(5):
        assert not check_operation(product, wrong, arrays(), samples=1, seed=seed).ok


def test_a_softmax_without_its_sum_is_seen_though_ones_would_hide_it():
    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def wrong(d, x):  # right for a cotangent of all ones alone
        return (np.zeros_like(x) if np.ptp(d) == 0.0 else softmax(x) * d,)

    assert not check_operation(softmax, wrong, arrays()[:1]).ok


def test_a_gradient_of_nan_fails():
    report = check_operation(product, lambda d, x, y: (np.nan * x, x @ d), arrays())
    assert [c.ok for c in report.comparisons] == [False, True]


@pytest.mark.parametrize("samples", [None, 1])
@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1])
def test_a_gradient_that_is_not_finite_fails_and_excuses_no_other(samples, wrong, place):
    """In one cell; the other array is off by little, and would be right beside infinity."""

    def spoilt(d, x, y):
        found = list(product_vjp(d, x, y))
        found[place][1, 1] = wrong
        found[1 - place] *= 1.001
        return found

    report = check_operation(product, spoilt, arrays(), samples=samples)
    assert [c.ok for c in report.comparisons] == [False, False]
    assert report.comparisons[place].worst == np.inf
    assert report.comparisons[1 - place].worst < np.inf


@pytest.mark.parametrize(("share", "ok"), [(0.5, True), (2.0, False)])
def test_as_much_as_is_tolerated_and_no_more(share, ok):
    """A millionth of an array's largest gradient, or of a thousandth of the largest of all."""
    scale = np.array([1.0, 1e-2, 1e-6])
    for place, room in enumerate((1.0, 1e-2, 1e-3)):

        def vjp(d, *xs, place=place, room=room):
            found = [s * d * np.ones(4) for s in scale]
            found[place][2] += share * 1e-6 * room * abs(d).max()
            return found

        report = check_operation(
            lambda *xs: sum(s * x for s, x in zip(scale, xs, strict=True)), vjp,
            [np.zeros(4)] * 3, seed=3,
        )  # fmt: skip
        # Each cotangent has a size of its own: that of the array's largest gradient counts.
        assert [c.ok for c in report.comparisons] == [ok or k != place for k in range(3)]
        assert report.comparisons[place].worst == pytest.approx(share, rel=0.2)


def test_every_array_is_compared():
    """However many there are: a wrong one is named in whichever place it stands."""
    given = [np.full(2, 1.0 + k) for k in range(24)]
    for wrong in range(24):

        def vjp(d, *xs, wrong=wrong):
            return [2.0 * x * d * (1.01 if k == wrong else 1.0) for k, x in enumerate(xs)]

        report = check_operation(lambda *xs: sum(x * x for x in xs), vjp, given, samples=1)
        assert [c.ok for c in report.comparisons] == [k != wrong for k in range(24)]
        assert not report.ok and report.worst.name == f"argument {wrong}"


def test_every_parameter_and_stage_is_compared(monkeypatch):
    config = SMALL
    own, batch = parameters_of(config, 3), Batch([[1, 2, 1]], labels=[[2, 1, 5]])
    stages = with_gradient(config, own, batch)

    def but(name):
        def recorded(*given, **options):
            trace = record(*given, **options)
            off = {name: trace.grad(name) + 1e-3}  # 0 throughout, too, has to be so
            return replace(trace, gradients={**trace.gradients, **off})

        return recorded

    for name in (*own, *stages):
        stage = f"parameters/{name}" if name in own else name
        monkeypatch.setattr("numtx.check.gradcheck.record", but(stage))
        if name in own:
            report = check_model(config, own, batch, samples=1)
        else:
            report = check_stages(config, own, batch, [name, "logits"], samples=1)
        assert {c.name for c in report.comparisons if not c.ok} == {name}


def test_what_has_no_gradient_is_left_out_and_float32_is_taken_to_float64():
    x = arrays()[0].astype(np.float32)
    ids = np.array([0, 4, 4])

    def vjp(d, x, ids):
        dx = np.zeros_like(x)
        np.add.at(dx, ids, d)
        return dx, None

    report = check_operation(lambda x, ids: x[ids], vjp, (x, ids))
    assert report.ok and len(report.comparisons) == 1


@pytest.mark.parametrize(
    ("vjp", "message"),
    [
        (lambda d, x, y: (x @ d, x @ d), r"gradient of argument 0 has shape \(5, 3\)"),
        (lambda d, x, y: (y @ d.T,), "vjp gave 1 gradients for 2 arrays"),
    ],
)
def test_gradients_that_do_not_fit_are_an_error(vjp, message):
    with pytest.raises(NumtxError, match=message):
        check_operation(product, vjp, arrays())


@pytest.mark.parametrize("name", list(operations()))
@pytest.mark.parametrize("seed", [0, 1])
def test_numtxs_own_operations_pass(name, seed):
    report = check_own_operation(name, seed=seed)
    assert report.ok, report.worst
    assert len(report.comparisons) == len(operations()[name].names)


def test_an_unknown_operation_is_an_error():
    with pytest.raises(UsageError, match="did you mean 'softmax'"):
        check_own_operation("sofmax")


@pytest.mark.parametrize(
    ("dtype", "labels"), [("float64", True), ("float64", False), ("float32", True)]
)
def test_a_whole_model_passes(dtype, labels):
    batch = BATCH if labels else replace(BATCH, labels=None)
    config = replace(CONFIG, dtype=dtype)
    own = {name: array.astype(dtype) for name, array in OWN.items()}
    report = check_model(config, own, batch, samples=1)
    assert report.ok, report.worst
    assert [c.name for c in report.comparisons] == list(own)


def test_every_cell_of_a_model_is_tried_without_samples():
    config = SMALL
    own = parameters_of(config, 3)
    report = check_model(config, own, Batch([[1, 2, 1]], labels=[[2, 1, 5]]), samples=None)
    assert report.ok, report.worst
    assert [c.cells for c in report.comparisons] == [array.size for array in own.values()]


def test_every_stage_passes():
    stages = with_gradient(CONFIG, OWN, BATCH)
    assert "decoder.1.cross_attention.weights" in stages and "loss" in stages
    report = check_stages(CONFIG, OWN, BATCH, stages, samples=1)
    assert report.ok, report.worst
    assert [c.name for c in report.comparisons] == stages


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("decoder.0.self_attention.mask", "has no gradient"),
        ("probabilities", "has no gradient"),
        ("logit", "did you mean 'logits'"),
    ],
)
def test_a_stage_without_gradient_is_an_error(stage, message):
    with pytest.raises(StageError, match=message):
        check_stages(CONFIG, OWN, BATCH, [stage])


def test_a_planted_bug_in_a_model_is_found_beneath_it_and_at_its_stage(monkeypatch):
    right = numtx.feed_forward.dense.activation_backward
    monkeypatch.setattr(
        numtx.feed_forward.dense, "activation_backward", lambda kind, d, x: 1.01 * right(kind, d, x)
    )
    report = check_model(CONFIG, OWN, BATCH, samples=1)
    assert not report.ok
    wrong = {c.name for c in report.comparisons if not c.ok}
    assert "decoder.1.feed_forward.w_in" in wrong
    assert not wrong & {"output.w", "output.b", "decoder.1.feed_forward.w_out"}
    place = "decoder.1.feed_forward"
    report = check_stages(CONFIG, OWN, BATCH, [f"{place}.hidden", f"{place}.activation"])
    assert [c.ok for c in report.comparisons] == [False, True]


def test_inputs_of_a_relu_near_zero_are_counted():
    config = SMALL
    own, batch = parameters_of(config, 3), Batch([[1, 2, 1]], labels=[[2, 1, 5]])
    trace = record(config, own, batch)
    assert count_kinks(trace) == 0
    hidden = trace["decoder.0.feed_forward.hidden"].copy()
    hidden[0, 1, 2], hidden[0, 0, 0] = 5e-5, -5e-5
    near = record(config, own, batch, pins={"decoder.0.feed_forward.hidden": hidden})
    assert count_kinks(near) == 2
    smooth = replace(config, activation="silu")
    assert (
        count_kinks(record(smooth, own, batch, pins={"decoder.0.feed_forward.hidden": hidden})) == 0
    )


@pytest.mark.parametrize(
    ("router", "counted"),
    [
        ([0.3, 0.3, 0.9, 0.1], 0),  # not chosen, and alike
        ([0.9, 0.3, 0.9, 0.3], 1),  # two of them are the largest, and one is chosen
    ],
)
def test_a_choice_between_experts_that_are_alike_is_a_kink(router, counted):
    assert kinks_of(router) == counted


@pytest.mark.parametrize(
    ("router", "counted"),
    [
        ([0.9, 0.5, 0.5, 0.4], 0),  # the second and the third, in different groups
        ([0.9, 0.5, 0.9, 0.2], 1),  # two groups with one maximum, the second and the third apart
    ],
)
def test_of_groups_only_those_that_are_kept_count(router, counted):
    assert kinks_of(router, chosen=2, groups=2, groups_kept=1) == counted


def kinks_of(scores, chosen=1, **groups):
    """Of a model of one token whose experts get scores in the order of these numbers."""
    config = replace(
        SMALL, norm=None, activation="silu", experts=4, experts_chosen=chosen,
        router={"kind": "softmax", **groups},
    )  # fmt: skip
    parameters = parameters_of(config)
    place = "decoder.0.feed_forward.router.w"
    x = record(config, parameters, Batch([[1]]))["decoder.0.self_attention.residual"][0, 0]
    parameters[place] = np.outer(x / (x @ x), scores)
    return count_kinks(record(config, parameters, Batch([[1]])))
