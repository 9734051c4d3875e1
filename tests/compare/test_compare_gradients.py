"""Gradients of another implementation: each is compared, and what is 0 by theory counts as 0."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from samples import MODELS as LIST
from samples import config_of, ragged_batch, random_parameters, some

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.sides import Side
from numtx.trace.trace import Trace, record


def traced(variant: str, dtype: str = "float64", without: str = "") -> Trace:
    """A run of a variant; `without`: parameters whose name ends so are 0."""
    config = config_of(variant, dtype=dtype)
    parameters = random_parameters(config, 3)
    if without:
        parameters = {n: a * (not n.endswith(without)) for n, a in parameters.items()}
    parameters = {n: a.astype(dtype) for n, a in parameters.items()}
    return record(config, parameters, Batch(**ragged_batch(config, 4, "right")))


def with_gradients(trace: Trace) -> dict[str, np.ndarray]:
    return {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}


def against(trace: Trace, theirs: dict[str, np.ndarray]) -> Comparison:
    return compare(Side("A", with_gradients(trace), trace), Side("B", theirs, None))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


KNOWN = [name for name in LIST if config_of(name).head is not None]  # who have a loss
MODELS = some(1, __name__, KNOWN)
TRACES = {model: traced(model) for model in KNOWN}


def seen(config: Config, name: str) -> bool:
    """Whether a softmax sees a bias of the keys: it is rotated, or normed together with what it is
    added to, and so not the same everywhere."""
    if config.query_key_norm is not None:
        return True
    if config.score_cap is not None or (config.sinks and "self_attention" in name):
        return True
    return bool(config.rotated) and "self_attention" in name and config.key_value_latent is None


ZEROS = [  # gradients of constants that a softmax does not see
    (model, name)
    for model in KNOWN
    for name in TRACES[model].gradients
    if name.endswith(".b_k") and not seen(TRACES[model].config, name)
]


def test_there_are_gradients_that_are_zero():
    assert len(ZEROS) > 5 and all(rms(TRACES[m].grad(n)) < 1e-15 for m, n in ZEROS)


@cache
def in_float32(model: str) -> Trace:
    return traced(model, "float32")


def keeps_digits(model: str, name: str, dtype: str) -> bool:
    """Whether a thousandth of a gradient can be told from rounding: not where so much cancels on
    the way there that two right runs in float32 are a millionth apart and more."""
    right = TRACES[model].grad(name)
    apart = rms(in_float32(model).grad(name) - right) if dtype == "float32" else 1e-16
    return apart < 1e-6 * rms(right)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", MODELS)
def test_every_gradient_that_is_off_by_a_thousandth_is_found(model, dtype):
    trace = TRACES[model]
    right = {n: a.astype(dtype) for n, a in with_gradients(trace).items() if n.startswith("grad/")}
    assert against(trace, right).equal
    lost = [n for n in right if not keeps_digits(model, n.removeprefix("grad/"), dtype)]
    assert dtype == "float32" or all(rms(right[name]) < 1e-9 for name in lost)
    for wrong in (lambda g: g * 1.001, lambda g: g + 1e-3 * rms(g)):
        found = against(trace, {n: wrong(g).astype(dtype) for n, g in right.items()})
        assert [d.name for d in found.gradients if d.equal and d.name not in lost] == []


@pytest.mark.parametrize("model", MODELS)
def test_gradients_in_float32_are_equal_to_those_in_float64(model):
    theirs = with_gradients(traced(model, "float32"))
    found = against(TRACES[model], theirs)
    assert [d.name for d in found.gradients if not d.equal] == []


@pytest.mark.parametrize(("model", "name"), some(1, __name__, ZEROS))
def test_a_gradient_that_is_zero_by_theory(model, name):
    """What cancels in it is the gradient of the keys: rounding of that is none of its own."""
    trace, place = TRACES[model], f"grad/{name}"
    keys = trace.grad(name.removeprefix("parameters/").replace("b_k", "keys"))
    noise = np.random.default_rng(0).standard_normal(trace.grad(name).shape)
    other_order = np.asarray(keys[::-1, :, ::-1].sum((0, 2))).reshape(-1)
    for right in (0.0 * noise, 1e-17 * noise, other_order):
        assert against(trace, {place: right}).equal
    own = name.removeprefix("parameters/").replace("b_k", "keys")
    if not keeps_digits(model, own, "float64"):  # a query sees one key, or as good as one
        weights = trace.grad(own.replace("keys", "weights"))
        assert not against(trace, {place: 1e-3 * rms(weights) * noise}).equal
        return
    # A shift along which nothing cancels, of a thousandth of what is summed; one row forgotten.
    row = keys[:1].sum((0, 2)).reshape(-1) + keys[0].max()  # (the first key may have none at all)
    for wrong in (1e-3 * rms(keys) * noise, row):
        assert not against(trace, {place: wrong}).equal
    if keeps_digits(model, own, "float32"):
        assert not against(trace, {place: (1e-3 * rms(keys) * noise).astype(np.float32)}).equal


def test_what_is_summed_of_nothing_but_rounding():
    """Where all values of a head are alike, the scores' gradient is 0 by theory, and all that
    leads to the scores has nothing else to be measured by."""
    trace = traced("encoder-decoder", without=".w_v")
    place = "decoder.0.self_attention"
    names = [f"{place}.{leaf}" for leaf in ("scores", "products", "queries", "keys")]
    names += [f"parameters/{place}.{leaf}" for leaf in ("w_q", "b_q", "w_k", "b_k")]
    noise = np.random.default_rng(0)
    for name in names:
        gradient = trace.grad(name)
        assert rms(gradient) < 1e-15
        other = 1e-17 * noise.standard_normal(gradient.shape)
        for right in (np.zeros_like(gradient), other):
            found = against(trace, {f"grad/{name}": right})
            assert found.equal, found.first
        if name in names[::4]:  # each is sought a cause for, which takes its time
            wrong = 1e-3 * rms(trace.grad(f"{place}.weights")) * other / 1e-17
            assert not against(trace, {f"grad/{name}": wrong}).equal


def test_a_missing_term_is_found():
    """The gradient of a token's embedding, with only the last of its places counted."""
    trace = TRACES["decoder, rotary, grouped, gated"]
    name = "parameters/decoder.embedding"
    name = name if name in trace.gradients else "parameters/embedding"
    ids, flow = trace["decoder.tokens"], trace.grad("decoder.embedding")
    right = trace.grad(name)
    last = right.copy()
    for row, tokens in enumerate(ids):
        for column, token in enumerate(tokens.tolist()):
            if (ids == token).sum() > 1:
                last[token] = flow[row, column]
    assert not np.array_equal(last, right)
    assert against(trace, {f"grad/{name}": right}).equal
    assert not against(trace, {f"grad/{name}": last}).equal


def test_the_first_wrong_gradient_is_the_one_nearest_to_the_loss():
    trace = TRACES["encoder-decoder"]
    theirs = {n: a for n, a in with_gradients(trace).items() if n.startswith("grad/")}
    place = "decoder.0.feed_forward"
    wrong = [f"grad/parameters/{place}.w_in", f"grad/{place}.norm", "grad/decoder.input"]
    for name in [*wrong, "grad/parameters/encoder.embedding"]:
        if name in theirs:
            theirs[name] = theirs[name] * 1.5
    found = against(trace, theirs)
    assert [d.name for d in found.gradients if not d.equal][:3] == [wrong[1], wrong[0], wrong[2]]


def test_parameters_alone_are_compared():
    trace = TRACES["encoder-decoder"]
    own = {n: a for n, a in trace.arrays.items() if n.startswith("parameters/")}
    found = against(trace, own)
    assert found.equal and found.compared == len(own) < found.of
    name = next(iter(own))
    assert not against(trace, {name: own[name] * 1.001}).equal


def test_a_gradient_stored_the_other_way_round():
    trace = TRACES["encoder-decoder"]
    for name in ("parameters/decoder.0.feed_forward.w_in", "parameters/output.w"):
        if name in trace.gradients:
            found = against(trace, {f"grad/{name}": trace.grad(name).T.copy()})
            assert "numtx has matrices as (in, out)" in found.gradients[0].note


def test_every_parameter_value_and_gradient_is_compared():
    """Each off by a little in one cell, the last that is finite: none is looked over."""
    trace = traced("decoder, deep")
    moved = {name: array.copy() for name, array in trace.arrays.items()}
    moved |= {f"grad/{name}": array.copy() for name, array in trace.gradients.items()}
    first = {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}
    whole = []
    for name, array in moved.items():
        flat = array.reshape(-1)
        last = np.flatnonzero(np.isfinite(flat))[-1]
        if array.dtype.kind == "f":
            size = float(np.sqrt(np.square(np.where(np.isfinite(array), array, 0.0)).mean()))
            flat[last] += 1e-6 * (size or 1.0)
        else:
            whole.append(name)
            flat[last] = ~flat[last] if array.dtype.kind == "b" else flat[last] + 1
    found = compare(Side("A", first, trace), Side("B", moved, None))
    assert [d.name for d in found.parameters] == [f"parameters/{n}" for n in trace.parameters]
    assert {d.name for d in found.values} == set(trace.values) and whole
    assert {d.name for d in found.gradients} == {f"grad/{n}" for n in trace.gradients}
    every = (*found.parameters, *found.values, *found.gradients)
    right = [d.name for d in every if d.equal]
    assert right == []
    assert all(d.differing == 1 for d in every)
