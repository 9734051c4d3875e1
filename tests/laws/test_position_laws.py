"""P1 to P5: what positions may and may not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_models import S, close, ids, logits, model, padded, parameters, run

from numtx import Batch
from numtx.batch import count_positions
from numtx.config import MODELS, POSITIONS, ROTARY_LAYOUTS
from numtx.errors import BatchError
from numtx.ops.positions import rotate_backward, rotate_forward, rotation, sinusoidal

layouts = pytest.mark.parametrize("layout", ROTARY_LAYOUTS)
kinds = pytest.mark.parametrize("kind", MODELS)


@kinds
@layouts
@pytest.mark.parametrize("shift", [1, 7, 4096, 100_000])
@pytest.mark.parametrize("window", [None, 3])
def test_p1_p2_shifting_all_rotary_positions_changes_no_score(
    kind: str, layout: str, shift: int, window: int | None
) -> None:
    config = model(kind, "rotary", window, rotary_layout=layout, rotary_width=4)
    own, (given, real) = parameters(config), padded(config)
    shifted = replace(given, positions=count_positions(given.mask) + shift)
    if given.decoder_ids is not None:
        shifted = replace(shifted, decoder_positions=count_positions(real) + shift)
    first, second = run(config, own, given), run(config, own, shifted)
    # An angle of p radians is off by eps * p, and so is what is turned by it.
    tolerance = 1e-13 * (10 + shift)
    for name in (stage for stage in first if stage.endswith((".scores", "logits"))):
        assert np.abs(first[name] - second[name]).max() <= tolerance, name
    turned = f"{config.sides[-1]}.0.self_attention.rotated_keys"
    assert not close(first[turned], second[turned])


def test_p1_a_shift_of_other_positions_is_noticed() -> None:
    """The law above can fail: positions that are added are not relative."""
    config = model("decoder-only", "sinusoidal", None)
    given = Batch(ids((2, S)))
    shifted = Batch(given.ids, positions=np.arange(S)[None] + np.full((2, 1), 7))
    own = parameters(config)
    assert not close(logits(config, own, given), logits(config, own, shifted))


@kinds
@pytest.mark.parametrize("positions", POSITIONS)
def test_p3_the_order_of_past_tokens_matters(kind: str, positions: str) -> None:
    config = model(kind, positions, None)
    first, second = swapped(kind)
    own = parameters(config)
    assert np.abs(logits(config, own, first) - logits(config, own, second))[:, -1].max() > 1e-6


@kinds
def test_p3_one_layer_without_positions_does_not_notice_the_order(kind: str) -> None:
    layers = {
        f"{side}_layers": 1 if kind in ("encoder-decoder", f"{side}-only") else 0
        for side in ("encoder", "decoder")
    }
    config = model(kind, None, None, **layers)
    first, second = swapped(kind)
    own = parameters(config)
    assert close(logits(config, own, first)[:, -1], logits(config, own, second)[:, -1])


def swapped(kind: str) -> tuple[Batch, Batch]:
    """Two inputs that differ in the order of two tokens before the last."""
    tokens, other = np.array([[4, 7, 2, 9, 5, 1]]), np.array([[9, 7, 2, 4, 5, 1]])
    if kind == "encoder-decoder":
        return Batch([[3, 8]], tokens), Batch([[3, 8]], other)
    return Batch(tokens), Batch(other)


@layouts
@pytest.mark.parametrize("width", [2, 4, 6])
def test_p4_a_rotation_keeps_lengths_and_products_at_equal_positions(
    layout: str, width: int
) -> None:
    generator = np.random.default_rng(3)
    queries, keys = generator.standard_normal((2, 2, 3, 5, 6))
    turn = rotation(generator.integers(0, 5000, (2, 5)), width, 10000.0, layout, "float64")
    new_queries, new_keys = rotate_forward(queries, turn), rotate_forward(keys, turn)
    assert np.abs(np.vecdot(new_queries, new_queries) - np.vecdot(queries, queries)).max() < 1e-13
    assert np.abs(np.vecdot(new_queries, new_keys) - np.vecdot(queries, keys)).max() < 1e-13
    assert np.array_equal(new_queries[..., width:], queries[..., width:])
    assert not close(new_queries, queries)
    assert close(rotate_backward(new_queries, turn), queries)


@layouts
def test_p4_position_zero_is_no_rotation(layout: str) -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 5, 6))
    turn = rotation(np.zeros((2, 5), int), 6, 100.0, layout, "float64")
    assert np.array_equal(rotate_forward(x, turn), x)


def test_the_layouts_of_rotary_positions_differ_by_the_order_of_components() -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 5, 6))
    places = np.arange(5)[None].repeat(2, 0)
    half, interleaved = (
        rotation(places, 6, 10000.0, layout, "float64") for layout in ROTARY_LAYOUTS
    )
    order = [0, 3, 1, 4, 2, 5]  # the pairs of `half` set side by side
    assert np.array_equal(
        rotate_forward(x, half)[..., order], rotate_forward(x[..., order], interleaved)
    )


@kinds
@pytest.mark.parametrize("offset", [0, 2])
def test_p5_a_position_past_the_learned_table_raises(kind: str, offset: int) -> None:
    config = model(kind, "learned", None, position_limit=S, position_offset=offset)
    own, both = parameters(config), kind == "encoder-decoder"
    fitting, long = ids((1, S)), ids((1, S + 1))
    assert np.isfinite(logits(config, own, Batch(fitting, fitting if both else None))).all()
    with pytest.raises(BatchError, match=f"position {S} lies past the learned table of {S}"):
        logits(config, own, Batch(long, fitting if both else None))
    with pytest.raises(BatchError, match=f"position {S} lies past"):
        places = np.arange(1, S + 1)[None]
        logits(config, own, Batch(fitting, fitting if both else None, positions=places))


def test_sinusoidal_positions_are_the_formula() -> None:
    table = sinusoidal(np.array([[0, 3, 70]]), 8, 100.0, "float64")
    for column, position in enumerate((0, 3, 70)):
        for i in range(4):
            angle = position / 100.0 ** (2 * i / 8)
            assert abs(table[0, column, 2 * i] - np.sin(angle)) < 1e-13
            assert abs(table[0, column, 2 * i + 1] - np.cos(angle)) < 1e-13
