"""Routers and experts: by hand, their gradients, padding, caches, and who is computed at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanism_checks import token_by_token_is_the_whole
from samples import among, assert_close, config_of, random_parameters, run_of

from numtx import Batch, Config, Recorder, backward, forward
from numtx.check.gradcheck import check_model, check_stages, with_gradient
from numtx.config.experts import ChosenSoftmaxRouter, Router, SigmoidRouter, SoftmaxRouter
from numtx.errors import ConfigError, StageError
from numtx.explaining.explanation import evaluate
from numtx.explaining.writing import arithmetic
from numtx.feed_forward.dense import DENSE
from numtx.feed_forward.experts import EXPERTS
from numtx.feed_forward.routing import choose_forward, group_scores, keep_groups
from numtx.models import MODELS, parameters_of
from numtx.place import Place
from numtx.trace.trace import record

NAMES = among(lambda c: c.values_of("experts") != (None,))
LOGITS = np.array([2.0, -1.0, 0.5, 0.4, -0.3, 1.2, 0.1, 0.2])
CORRECTION = np.array([-0.6, 0.0, 0.1, 0.2, 0.5, -0.2, 0.05, 0.0])
GROUPS: dict[str, Any] = {"groups": 4, "groups_kept": 2}

# By transformers 5.24, of these logits (but the third): who is chosen, and with what weight.
ROUTED: list[tuple[Router, list[int], list[float]]] = [
    (SigmoidRouter(correction=True, group_score="two", renormalised=True, factor=2.5, **GROUPS),
     [4, 3, 2], [0.64607446, 0.90891789, 0.94500765]),
    (SoftmaxRouter(factor=16.0, **GROUPS), [0, 5, 4], [6.83974335, 3.07329479, 0.68574476]),
    (SigmoidRouter(**GROUPS), [0, 5, 4], [0.88079708, 0.76852478, 0.42555748]),
    (SoftmaxRouter(renormalised=True), [0, 5, 2], [0.59792194, 0.26866364, 0.13341442]),
    (SoftmaxRouter(), [0, 5, 2], [0.42748396, 0.19208092, 0.09538456]),
    (ChosenSoftmaxRouter(bias=True), [0, 5, 2], [0.59792194, 0.26866364, 0.13341442]),
]  # fmt: skip


def config(router: Router | None, **changes: Any) -> Config:
    fields: dict[str, Any] = {
        "model": "decoder-only", "width": 4, "decoder_layers": 1, "hidden": 5, "vocabulary": 11,
        "experts": 8, "experts_chosen": 3, "router": router, "biases": True,
    }  # fmt: skip
    return Config(**{**fields, **changes})


@pytest.mark.parametrize(("router", "chosen", "weights"), ROUTED)
def test_routers_by_hand(router: Router, chosen: list[int], weights: list[float]) -> None:
    """The input is 1, so that the router's matrix, or its bias, is the logits."""
    c = config(router, width=1, hidden=1, positions=None)
    shapes = dict(EXPERTS.parameters(c))
    own = {name: np.zeros(shape) for name, shape in shapes.items()}
    own["experts.w_in"][:], own["experts.w_out"][:, 0, 0] = 1.0, np.arange(8.0)
    own["router.b" if router.bias else "router.w"][...] = LOGITS
    if router.correction:
        own["router.correction"][:] = CORRECTION
    recorder = Recorder()
    y, _ = EXPERTS.forward(c, Place(own, recorder), np.ones((1, 1, 1)))
    assert recorder.values["router.chosen"].tolist() == [[chosen]]
    assert_close(recorder.values["router.weights"][0, 0], weights, 1e-8)
    assert y.item() == pytest.approx(sum(e * w for e, w in zip(chosen, weights, strict=True)))


def test_of_equal_scores_the_lower_number_comes_first() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0] * 5])
    assert choose_forward(scores, 3).tolist() == [[1, 2, 4], [0, 1, 2]]
    pairs = np.array([[5.0, 0.0, 3.0, 3.0, 5.0, 0.5]])
    assert group_scores(pairs, 3, 1).tolist() == [[5.0, 3.0, 5.0]]
    assert group_scores(pairs, 3, 2).tolist() == [[5.0, 6.0, 5.5]]
    assert np.isfinite(keep_groups(pairs, 3, 1, 1))[0].tolist() == [True] * 2 + [False] * 4
    assert np.isfinite(keep_groups(pairs, 3, 2, 2))[0].tolist() == [False] * 2 + [True] * 4


ALL = [router for router, _, _ in ROUTED] + [
    SoftmaxRouter(weight_on="input", correction=True), SigmoidRouter(weight_on="input"),
]  # fmt: skip
BATCH = Batch([[1, 2, 3, 4, 5], [6, 7, 2, 1, 9]], labels=[[2, 3, 4, 5, 1], [7, 2, 8, 6, 3]])


@pytest.mark.parametrize(
    ("router", "gated"),
    [
        pytest.param(router, gated, marks=() if (n + gated) % 2 else pytest.mark.heavy)
        for n, router in enumerate(ALL)
        for gated in (False, True)
    ],
)
@pytest.mark.parametrize("samples", [1, pytest.param(8, marks=pytest.mark.heavy)])
def test_gradients_are_slopes(router: Router, gated: bool, samples: int) -> None:
    """Of every parameter and every stage, away from ties; along a random direction, in which every
    cell has its share, and single cells, of which more are heavy. By default each router has
    experts of one kind, in turn: they do not know who chose them."""
    c = config(router, gated=gated, shared_experts=2, shared_hidden=3, activation="silu")
    own = parameters_of(c, 5)
    scores = record(c, own, BATCH)["decoder.0.feed_forward.router.logits"]
    assert np.diff(np.sort(scores, -1), axis=-1).min() > 1e-3
    assert check_model(c, own, BATCH, samples=samples).ok
    names = [name for name in with_gradient(c, own, BATCH) if "feed_forward" in name]
    assert check_stages(c, own, BATCH, names, samples=samples).ok


@pytest.mark.parametrize("router", ALL)
def test_a_choice_is_constant(router: Router) -> None:
    """Where the chosen alone are weighed, the logits of the others have no gradient; where a
    softmax goes over all, they have; who was not chosen, and a correction, never."""
    c = config(router, activation="gelu")
    trace = record(c, parameters_of(c, 5), BATCH)
    place = "decoder.0.feed_forward"
    chosen = trace[f"{place}.router.chosen"]
    unchosen = np.ones(trace[f"{place}.router.logits"].shape, bool)
    np.put_along_axis(unchosen, chosen, False, -1)
    dlogits = trace.grad(f"{place}.router.logits")
    reaches = router.kind == "softmax" and not router.renormalised
    if reaches:
        assert dlogits[unchosen].all()
    else:  # what divides cancels the others, to the last bits where it is a softmax
        bound = 1e-15 if router.kind == "softmax" else 0.0
        assert np.abs(dlogits[unchosen]).max() <= bound * np.abs(dlogits).max()
    assert dlogits[~unchosen].any()
    nobody = np.setdiff1d(np.arange(8), chosen)
    for name in trace.parameters:
        gradient = trace.grad(f"parameters/{name}")
        if ".experts." in name:
            assert not gradient[nobody].any() and gradient.any()
        if name.endswith("correction"):
            assert gradient.shape == (8,) and not gradient.any()


def test_all_of_equal_experts_are_one_dense_layer() -> None:
    c = config(ChosenSoftmaxRouter(), experts_chosen=8, gated=True)
    x, generator = np.random.default_rng(1).standard_normal((2, 3, 4)), np.random.default_rng(0)
    dense = {name: generator.standard_normal(shape) for name, shape in DENSE.parameters(c)}
    own = {f"experts.{name}": np.stack([a] * 8) for name, a in dense.items()}
    own["router.w"] = generator.standard_normal((4, 8))
    assert_close(EXPERTS.forward(c, Place(own), x)[0], DENSE.forward(c, Place(dense), x)[0], 1e-12)


def test_only_the_chosen_are_computed() -> None:
    """NaN in an expert that nobody chose is felt nowhere."""
    c = config(SoftmaxRouter(), experts_chosen=1)
    own = parameters_of(c, 5)
    chosen = record(c, own, BATCH)["decoder.0.feed_forward.router.chosen"]
    nobody = np.setdiff1d(np.arange(8), chosen)
    assert nobody.size
    spoiled = {name: a.copy() for name, a in own.items()}
    for name, array in spoiled.items():
        if ".experts." in name:
            array[nobody] = np.nan
    runs = [forward(c, p, BATCH) for p in (own, spoiled)]
    assert (runs[0][0].logits == runs[1][0].logits).all()
    gradients = [backward(context) for _, context in runs]
    for name in own:
        assert (gradients[0][name] == gradients[1][name]).all(), name


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_under_padding_changes_nothing(name: str) -> None:
    """Nor a last bit: whom padding chooses is left out of every sum."""
    c = config_of(name)
    ids, mask = np.array([[1, 2, 3, 4, 5], [9, 9, 6, 7, 2]]), np.array([[1] * 5, [0, 0, 1, 1, 1]])
    both = len(c.sides) == 2
    found = []
    for under in (9, 10):
        own = dict(random_parameters(c))
        table = "embedding" if c.shared_embedding else f"{c.sides[-1]}.embedding"
        own[table] = own[table].copy()
        own[table][10] = np.nan  # no token of the other run
        row = np.where(mask, ids, under)
        more: dict[str, Any] = {"mask": mask.astype(bool)}
        if both:
            more |= {"decoder_ids": row, "decoder_mask": mask.astype(bool)}
        labels = np.where(mask, ids % 7, -100)
        outputs, context = forward(c, own, Batch(row, labels=labels, **more))
        if table.endswith("embedding") and c.tied_output:
            continue
        found.append((outputs.logits[mask.astype(bool)], backward(context)))
    (one, first), (two, second) = found
    assert (one == two).all()
    for parameter in first:
        assert (first[parameter] == second[parameter]).all(), parameter


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_token_by_token(name: str) -> None:
    token_by_token_is_the_whole(name)


def test_a_pinned_choice_is_taken_and_checked() -> None:
    c = config(SoftmaxRouter(), experts_chosen=2)
    own, name = parameters_of(c, 5), "decoder.0.feed_forward.router.chosen"
    chosen = record(c, own, BATCH)[name].copy()
    chosen[0, 0] = [7, 7]
    trace = record(c, own, BATCH, pins={name: chosen})
    assert trace.verify().ok and (trace[name][0, 0] == 7).all()
    chosen[0, 0] = [7, 8]
    with pytest.raises(StageError, match=r"router.chosen has 8; experts are 0 to 7"):
        record(c, own, BATCH, pins={name: chosen})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "softmax", "groups": 2, "groups_kept": 3}, "groups_kept 3 of groups 2"),
        ({"kind": "chosen_softmax", "renormalised": True}, "renormalised; this softmax sums to 1"),
        ({"kind": "sigmoid", "score": 1}, "unknown field 'score'"),
    ],
)
def test_a_router_that_names_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.from_dict({**config(None).to_dict(), "router": fields})


LIMITED = among(lambda c: c.gate_limit is not None)


@pytest.mark.parametrize("name", dict.fromkeys([*NAMES, *LIMITED]))
def test_every_kind_of_cell_is_written_out(name: str) -> None:
    """The arithmetic of a cell of each stage, evaluated, is the cell."""
    trace = run_of(name)
    oracle = trace.oracle()
    for stage in trace.graph:
        if ".feed_forward" in stage.name:
            last = tuple(n - 1 for n in trace[stage.name].shape)
            steps = arithmetic(oracle, stage, last).steps
            assert evaluate(steps)[-1][0] == pytest.approx(trace[stage.name][last], rel=1e-12)
