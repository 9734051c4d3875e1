"""P1 to P4 beyond what `numtx laws` says: of scores, of both stacks, and where order is unseen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_runs import close, last_prefix, logits, padded_run, prefixes, run
from samples import among, config_of, ragged_batch, random_parameters

from numtx.batch import count_positions
from numtx.config import ROTARY_LAYOUTS
from numtx.ops.positions import rotate_backward, rotate_forward, rotation, sinusoidal

layouts = pytest.mark.parametrize("layout", ROTARY_LAYOUTS)


def shifted(config, given, shift):
    """A batch with all positions so much further out."""
    found = dict(given)
    for prefix in prefixes(config).values():
        counted = count_positions(given[f"{prefix}mask"])
        found[f"{prefix}positions"] = given.get(f"{prefix}positions", counted) + shift
    return found


@pytest.mark.parametrize("name", among(lambda config: config.positions == "rotary"))
@pytest.mark.parametrize("shift", [1, 7, 4096, 100_000])
def test_p1_p2_shifting_all_rotary_positions_changes_no_score(name: str, shift: int) -> None:
    config, first = config_of(name), padded_run(name)
    given = shifted(config, ragged_batch(config), shift)
    second = run(config, random_parameters(config), given)
    # An angle of p radians is off by eps * p, and so is what is turned by it.
    tolerance = 1e-13 * (10 + given[f"{last_prefix(config)}positions"].max())
    for stage in (stage for stage in first if stage.endswith((".scores", "logits"))):
        assert np.abs(first[stage] - second[stage]).max() <= tolerance, stage
    turned = [stage for stage in first if ".rotated_" in stage]
    assert turned and not any(close(first[stage], second[stage]) for stage in turned)


@pytest.mark.parametrize("name", among(lambda config: config.positions == "sinusoidal"))
def test_p1_a_shift_of_other_positions_is_noticed(name: str) -> None:
    """The law above can fail: positions that are added are not relative."""
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config)
    assert not close(logits(config, own, given), logits(config, own, shifted(config, given, 7)))


@pytest.mark.parametrize("name", among(lambda config: config.positions is None))
def test_p3_one_layer_without_positions_does_not_notice_the_order(name: str) -> None:
    config = config_of(name, window=None)
    prefix = last_prefix(config)
    config = replace(config, **{f"{side}_layers": 1 for side in config.sides})
    own, given = random_parameters(config), ragged_batch(config, padding=None)
    other = dict(given)
    for field in (f"{prefix}ids", f"{prefix}segments"):
        if field in given:
            other[field] = given[field][:, [*range(given[field].shape[1] - 2, -1, -1), -1]]
    assert not np.array_equal(other[f"{prefix}ids"], given[f"{prefix}ids"])
    assert close(logits(config, own, given)[:, -1], logits(config, own, other)[:, -1])


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


def test_sinusoidal_positions_are_the_formula() -> None:
    table = sinusoidal(np.array([[0, 3, 70]]), 8, 100.0, "float64")
    for column, position in enumerate((0, 3, 70)):
        for i in range(4):
            angle = position / 100.0 ** (2 * i / 8)
            assert abs(table[0, column, 2 * i] - np.sin(angle)) < 1e-13
            assert abs(table[0, column, 2 * i + 1] - np.cos(angle)) < 1e-13
