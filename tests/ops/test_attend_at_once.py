"""The fast variants of attention equal the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest

import numtx.ops.attend as attend
from numtx import NO_TAP, Recorder
from numtx.masks import Mask, allowed
from numtx.ops.attend import attend_backward, attend_forward
from numtx.shapes import Array

B, H, G, T, S, K, C = 2, 6, 3, 13, 17, 4, 5


def _inputs(dtype: str) -> tuple[Array, Array, Array, Array]:
    draw = np.random.default_rng(5)
    shapes = (B, H, T, K), (B, G, S, K), (B, G, S, C), (B, H, T, C)
    queries, keys, values, dcontext = (draw.standard_normal(s).astype(dtype) for s in shapes)
    return 3.0 * queries, keys, values, dcontext


def _mask(kind: str) -> Mask:
    valid = np.ones((B, S), bool)
    if kind != "all":
        valid[0, :7] = False  # left padding: the first queries of row 0 see no key
        valid[1, -2:] = False
    positions = np.broadcast_to(np.arange(S), (B, S))
    return allowed(
        valid,
        T,
        causal=kind != "all",
        window=4 if kind == "window" else None,
        query_positions=positions[:, -T:],
        key_positions=positions,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["all", "causal", "window"])
@pytest.mark.parametrize("blocked", [False, True])
def test_at_once_equals_step_by_step(
    kind: str, dtype: str, blocked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, keys, values, dcontext = _inputs(dtype)
    mask = _mask(kind)
    if kind != "all":
        keys[0, :, 2] = np.nan  # nobody may attend to this key
        values[0, :, 3] = np.inf
    if blocked:
        monkeypatch.setattr(attend, "KEPT", 0)
        monkeypatch.setattr(attend, "BLOCK", 3)
    recorder = Recorder()
    expected, context = attend_forward(queries, keys, values, mask, 0.3, recorder)
    gradients = attend_backward(dcontext, context, recorder)[:3]
    found, context = attend_forward(queries, keys, values, mask, 0.3, NO_TAP)
    assert (context.weights is None) == blocked
    tolerance = 50 * np.finfo(dtype).eps
    for one, other in zip(
        (found, *attend_backward(dcontext, context, NO_TAP)[:3]),
        (expected, *gradients),
        strict=True,
    ):
        assert one.dtype == dtype
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()
    blind = ~np.broadcast_to(mask.allowed, (B, H, T, S)).any(-1)
    assert blind.any() == (kind != "all")
    assert (found[blind] == 0.0).all()
