"""Attention operators of one's own: right ones are clean, each mistake is named by its law."""

from __future__ import annotations

import numpy as np
import pytest
from attention_operators import MISTAKES, InBlocks, Operator

from numtx.laws.law import KINDS
from numtx.masks import Mask, allowed
from numtx.operators.attention import attention
from numtx.operators.reference import Terms, gradients, truth
from numtx.ops.attend import attend_backward, attend_forward
from numtx.subjects.kinds import ATTENTION
from numtx.tap import NO_TAP
from numtx.testing import check
from numtx.testing.trial import BROKEN, PASSED, attempt

LAWS = KINDS[ATTENTION]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of wrong operators


def told(subject, name, seed=0, examples=50):
    return attempt(LAWS[name], subject, seed=seed, examples=examples, shrink=False)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(mistake):
    found = told(attention(Operator(mistake)), MISTAKES[mistake])
    assert found.status == BROKEN, found


def test_every_law_has_a_mistake():
    assert set(MISTAKES.values()) == set(LAWS)


@pytest.mark.parametrize("examples", [8, pytest.param(50, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_right_one_is_clean(dtype, examples):
    report = check(Operator(), dtypes=dtype, seed=len(dtype), examples=examples)
    vacuous = set() if dtype == "float64" else {"A16-differences"}
    assert {r.law.name for r in report.results if r.status != PASSED} == vacuous, report.table()


# What a message says of a mistake that gives every number.
WHY = {
    "no scale": "no scale",
    "scale twice": "the scale applied twice",
    "upper left": "a causal triangle aligned upper left",
    "mask turned round": "the mask turned round",
    "window one wider": "a window of one key more",
    "cap before the scale": "the cap before the scale",
    "cap after the mask": "the cap after the mask",
    "groups tiled": "key/value heads tiled instead of repeated",
    "dk without the scale": "dk differs",
    "dk of the first head of a group": "it is that of the group's first head, not the sum",
    "NaN for nothing": "a query that sees nothing does not give 0",
    "slopes rise": "the slopes with the other sign",
}


@pytest.mark.parametrize("mistake", WHY)
def test_the_message_says_which_mistake_it_is(mistake):
    found = told(attention(Operator(mistake), dtypes="float64"), MISTAKES[mistake])
    assert WHY[mistake] in found.why
    assert "call: q [" in found.why and "of seed" in found.why


def test_blocks_of_keys():
    """A softmax in blocks: right, with its sum over the wrong axis, and without rescaling."""
    assert check(InBlocks(), examples=8).ok
    for wrong in (InBlocks(axis=-2), InBlocks(rescaled=False)):
        assert told(attention(wrong), "A1").status == BROKEN


def own_attention(q, k, v, *, causal=False, window=None, mask=None, bias=None, scale=None):
    """numtx's own, forward: without a triangle and with one."""
    return _own(q, k, v, causal=causal, window=window, mask=mask, bias=bias, scale=scale)[0]


def _own(q, k, v, *, causal, window, mask, bias, scale):
    queries, keys = q.shape[2], k.shape[2]
    places = np.arange(keys)[None].repeat(len(q), 0)
    seen = allowed(
        np.ones(places.shape, bool), queries, causal=causal, window=window,
        query_positions=places[:, :1] + np.arange(keys - queries, keys), key_positions=places,
    )  # fmt: skip
    if mask is not None:
        both = seen.allowed & mask
        seen = Mask(both, both.any((1, 2)))
    scale = q.shape[3] ** -0.5 if scale is None else scale
    return attend_forward(q, k, v, seen, scale, NO_TAP, bias=bias)


def own_backward(dout, q, k, v, *, causal=False, window=None, mask=None, bias=None, scale=None):
    context = _own(q, k, v, causal=causal, window=window, mask=mask, bias=bias, scale=scale)[1]
    return attend_backward(dout, context, NO_TAP)[:3]


def test_numtx_is_clean():
    own = attention(own_attention, causal=True, grouped=True, backward=own_backward)
    report = check(own, examples=20)
    asked = [result for result in report.results if result.status == PASSED]
    assert report.ok and len(asked) >= 17, report.table()


# The reference itself.


def numbers(seed=3):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(s) for s in ((2, 4, 3, 5), (2, 2, 6, 5), (2, 2, 6, 5))]


def test_the_reference_in_plain_loops():
    q, k, v = numbers()
    seen = np.random.default_rng(0).random((2, 1, 3, 6)) < 0.6
    seen[0, 0, 1] = False
    sinks = np.array([0.5, -1.0, 2.0, 0.0])
    got = truth(q, k, v, Terms(0.3, seen, None, 1.5, sinks))
    for b, h, t in np.ndindex(2, 4, 3):
        keys = [s for s in range(6) if seen[b, 0, t, s]]
        scores = [1.5 * np.tanh(0.3 * (q[b, h, t] @ k[b, h // 2, s]) / 1.5) for s in keys]
        total = sum(map(np.exp, scores)) + np.exp(sinks[h])
        expected = sum((np.exp(x) * v[b, h // 2, s] for x, s in zip(scores, keys, strict=True)), 0)
        assert np.allclose(got.out[b, h, t], expected / total, rtol=0, atol=1e-14)


def test_the_references_gradients_are_its_differences():
    q, k, v = numbers()
    seen = np.random.default_rng(1).random((2, 1, 3, 6)) < 0.7
    terms = Terms(
        0.4, seen, np.random.default_rng(2).standard_normal((2, 4, 3, 6)), 2.0, np.ones(4)
    )
    dout = np.random.default_rng(4).standard_normal(q.shape)
    for n, one in enumerate(gradients(q, k, v, terms, dout)):
        way = np.random.default_rng(5).standard_normal(one.shape)
        sums = []
        for sign in (1, -1):
            given = [q, k, v]
            given[n] = given[n] + sign * 1e-5 * way
            sums.append((truth(*given, terms).out * dout).sum())
        assert abs((sums[0] - sums[1]) / 2e-5 - (one * way).sum()) < 1e-7
