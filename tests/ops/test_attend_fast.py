"""The fast forms of attention, in one piece and in blocks, equal the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest
from samples import MODELS, assert_close, config_of, ragged_batch, random_parameters

from numtx import NO_TAP, Batch, Recorder, backward, forward
from numtx.check.gradcheck import random_cotangent
from numtx.masks import Mask, allowed
from numtx.ops.attend import attend_backward, attend_forward
from numtx.shapes import Array

B, H, G, T, S, K, C = 2, 6, 3, 13, 17, 4, 5
BLOCKS = [(2, 1), (5, 1 << 17)]  # rows of a block, and its scores: of one group, of several


def _in_blocks(monkeypatch: pytest.MonkeyPatch, rows: int, piece: int) -> None:
    """However few the scores are; in one piece there is nothing."""
    for name, value in (("OF_A_HEAD", 0), ("ROWS", rows), ("PIECE", piece)):
        monkeypatch.setattr(f"numtx.ops.attend_blocks.{name}", value)
    monkeypatch.delattr("numtx.ops.attend.at_once_forward")


@pytest.mark.parametrize("rows, piece", BLOCKS)
@pytest.mark.parametrize("name", MODELS)
def test_a_run_in_blocks_is_the_recorded_run(
    name: str, rows: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(name)
    parameters, batch = random_parameters(config, 3), Batch(**ragged_batch(config, 4))
    recorder = Recorder()
    outputs, context = forward(config, parameters, batch, recorder)
    start = random_cotangent(outputs, np.random.default_rng(5))
    expected = backward(context, start, recorder)
    _in_blocks(monkeypatch, rows, piece)
    again, context = forward(config, parameters, batch)
    for one, other in zip(again, outputs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other, 1e-12)
    for key, gradient in backward(context, start).items():
        assert_close(gradient, expected[key], 1e-12)


def test_blocks_are_for_many_scores() -> None:
    """Many of a head, or of all heads; a single query of a long row is no reason."""
    sizes = (1, 255, 255), (1, 256, 256), (99, 128, 128), (1, 1, 256)
    found = []
    for batch, queries, keys in sizes:
        q, k = (np.ones((batch, 4, n, 2), np.float32) for n in (queries, keys))
        seen = Mask(np.ones((batch, 1, queries, keys), bool), None, True)
        found.append(attend_forward(q, k, k, seen, 1.0, NO_TAP)[1].blocks is not None)
    assert found == [False, True, True, False]


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
@pytest.mark.parametrize("blocks", [None, *BLOCKS])
def test_fast_equals_step_by_step(
    kind: str, dtype: str, blocks: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, keys, values, dcontext = _inputs(dtype)
    mask = _mask(kind)
    if kind != "all":
        keys[0, :, 2] = np.nan  # nobody may attend to this key
        values[0, :, 3] = np.inf
    recorder = Recorder()
    expected, context = attend_forward(queries, keys, values, mask, 0.3, recorder)
    gradients = attend_backward(dcontext, context, recorder)[:3]
    if blocks is not None:
        _in_blocks(monkeypatch, *blocks)
    found, context = attend_forward(queries, keys, values, mask, 0.3, NO_TAP)
    assert (context.blocks is not None) == (blocks is not None)
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
