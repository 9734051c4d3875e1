"""PyTorch's scaled_dot_product_attention, right and with mistakes around it."""

from __future__ import annotations

import pytest

from numtx.operators.attention import attention
from numtx.testing import check
from numtx.testing.trial import BROKEN

torch = pytest.importorskip("torch")
sdpa = torch.nn.functional.scaled_dot_product_attention
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_it_is_clean(dtype):
    report = check(sdpa, dtypes=dtype, seed=1, examples=15)
    assert report.ok, report.broken or report.errors
    passed = {result.law.name for result in report.results if result.status == "passed"}
    assert {"A1", "A2", "A3", "A4", "A6", "A11", "A14", "A16", "A16-grouped"} <= passed


def repeated(x, like):
    return x.repeat_interleave(like.shape[1] // x.shape[1], 1)


def unscaled(q, k, v, causal=False):
    return sdpa(q, k, v, is_causal=causal, scale=1.0)


def twice_scaled(q, k, v):
    return sdpa(q * q.shape[-1] ** -0.5, k, v)


def upper_left(q, k, v, causal=False):
    return sdpa(q, k, v, is_causal=causal)


def turned_mask(q, k, v, mask=None):
    return sdpa(q, k, v, attn_mask=None if mask is None else ~mask)


def tiled(q, k, v, grouped=False):
    times = q.shape[1] // k.shape[1]
    return sdpa(q, k.repeat(1, times, 1, 1), v.repeat(1, times, 1, 1))


def nan_for_nothing(q, k, v, mask=None):
    scores = q @ k.mT * q.shape[-1] ** -0.5
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


def over_queries(q, k, v):
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-2) @ v


def window_off_by_one(q, k, v, window=None):
    places = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    far = places - torch.arange(k.shape[2])
    seen = None if window is None else (far.abs() <= window)
    return sdpa(q, k, v, attn_mask=seen)


def key_without_scale(q, k, v):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, q, k, v):
            ctx.save_for_backward(q, k, v)
            return sdpa(q, k, v)

        @staticmethod
        def backward(ctx, dout):
            q, k, v = (x.detach().requires_grad_(True) for x in ctx.saved_tensors)
            with torch.enable_grad():
                dq, dk, dv = torch.autograd.grad(sdpa(q, k, v), (q, k, v), dout)
            return dq, dk * q.shape[-1] ** 0.5, dv

    return Own.apply(q, k, v)


def first_head_only(q, k, v, grouped=False):
    times = q.shape[1] // k.shape[1]
    k, v = (torch.cat([x, repeated(x, q).detach()], 1) for x in (k, v))
    order = [i if t == 0 else k.shape[1] - q.shape[1] + i * times + t
             for i in range(q.shape[1] // times) for t in range(times)]  # fmt: skip
    return sdpa(q, k[:, order], v[:, order])


WRONG = [
    (unscaled, {}, "A1"),
    (twice_scaled, {}, "A1"),
    (upper_left, {"causal": "lower right"}, "A2"),
    (turned_mask, {}, "A3"),
    (nan_for_nothing, {}, "A4"),
    (window_off_by_one, {}, "A7"),
    (tiled, {}, "A11"),
    (over_queries, {}, "A1"),
    (key_without_scale, {}, "A16"),
    (first_head_only, {}, "A16-grouped"),
]


@pytest.mark.parametrize(("function", "declared", "law"), WRONG)
def test_a_wrong_one_is_told(function, declared, law):
    own = attention(function, tensors=True, **declared)
    report = check(own, examples=15, shrink=False)
    broken = {result.law.name for result in report.results if result.status == BROKEN}
    assert law in broken and not report.errors, report.table()
    assert attention(function, tensors=True).name == function.__name__


def test_tensors_without_gradients_are_told():
    def cut(q, k, v):
        return sdpa(q, k, v).detach()

    told = check(attention(cut, tensors=True), ["A16"]).results[0]
    assert "cut gives tensors without gradients; gradients=False says so" in told.why
    assert check(attention(cut, tensors=True, gradients=False), ["A1", "A16"]).ok
