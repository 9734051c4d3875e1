from __future__ import annotations

import math

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.ops.positions import rotate_backward, rotate_forward, rotation, sinusoidal

LAYOUTS = pytest.mark.parametrize("layout", ["half", "interleaved"])
PLACES = np.array([[0, 1, 5], [2, 3, 9]])
# Near, and so far out that every angle has gone round; an angle p is off by some eps * p.
NEAR_AND_FAR = pytest.mark.parametrize(
    ("places", "tolerance"),
    [(PLACES, 1e-14), (np.array([[1023, 4096, 5003], [65_537, 99_999, 1_000_003]]), 1e-9)],
    ids=["near", "far"],
)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def test_the_table_by_hand():
    table = sinusoidal(np.array([[0, 1, 2]]), 4, 100.0, "float64")[0]
    assert table[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert_close(table[1], [0.841470985, 0.540302306, 0.099833417, 0.995004165], 1e-9)
    assert_close(table[2], [0.909297427, -0.416146837, 0.198669331, 0.980066578], 1e-9)


def test_all_sines_before_all_cosines():
    table = sinusoidal(PLACES, 6, 10.0, "float64")
    halves = sinusoidal(PLACES, 6, 10.0, "float64", "half")
    assert np.array_equal(halves, table[..., [0, 2, 4, 1, 3, 5]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@NEAR_AND_FAR
def test_the_table_by_the_formula(places, tolerance, dtype):
    """Angles are taken in float64 whatever the type."""
    table = sinusoidal(places, 6, 10000.0, dtype)
    assert table.dtype == dtype
    for b, t, j in np.ndindex(table.shape):
        angle = places[b, t] / 10000.0 ** ((j - j % 2) / 6.0)
        expected = math.cos(angle) if j % 2 else math.sin(angle)
        assert abs(table[b, t, j] - expected) < max(tolerance, float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@NEAR_AND_FAR
def test_every_angle_of_a_rotation_by_the_formula(places, tolerance, dtype):
    rotary = rotation(places, 6, 10000.0, "half", dtype)
    assert rotary.cosine.dtype == rotary.sines.dtype == dtype
    assert rotary.cosine.shape == (2, 1, 3, 3) and rotary.sines.shape == (2, 1, 3, 2, 3)
    room = max(tolerance, float(np.finfo(dtype).eps))
    for b, t, i in np.ndindex(2, 3, 3):
        angle = places[b, t] / 10000.0 ** (2 * i / 6.0)
        assert abs(rotary.cosine[b, 0, t, i] - math.cos(angle)) < room
        assert abs(rotary.sines[b, 0, t, 1, i] - math.sin(angle)) < room
        assert rotary.sines[b, 0, t, 0, i] == -rotary.sines[b, 0, t, 1, i]


def test_rotation_by_hand():
    """A quarter turn of the first pair; the second pair stands still."""
    x = np.array([1.0, 2.0, 3.0, 4.0, 9.0]).reshape(1, 1, 1, 5)
    for layout, expected in {
        "half": [-3.0, 2.0, 1.0, 4.0, 9.0],
        "interleaved": [-2.0, 1.0, 3.0, 4.0, 9.0],
    }.items():
        rotary = rotation(np.array([[0]]), 4, 100.0, layout, "float64")
        sines = np.array([[[[[-1.0, 0.0], [1.0, 0.0]]]]])
        rotary = rotary._replace(cosine=np.array([[[[0.0, 1.0]]]]), sines=sines)
        assert rotate_forward(x, rotary).ravel().tolist() == expected


@LAYOUTS
@NEAR_AND_FAR
@pytest.mark.parametrize("width", [2, 6, 10])
def test_rotation_by_the_formula(places, tolerance, layout, width):
    x = draw(2, 3, 3, 11)
    y = rotate_forward(x, rotation(places, width, 50.0, layout, "float64"))
    assert (y[..., width:] == x[..., width:]).all()
    for b, h, t, i in np.ndindex(2, 3, 3, width // 2):
        one, two = (i, i + width // 2) if layout == "half" else (2 * i, 2 * i + 1)
        rotated = complex(*x[b, h, t, [one, two]]) * complex(
            math.cos(angle := places[b, t] / 50.0 ** (2 * i / width)), math.sin(angle)
        )
        assert_close(y[b, h, t, [one, two]], [rotated.real, rotated.imag], 10 * tolerance)


def test_the_layouts_differ_by_the_order_of_components():
    x, order = draw(2, 3, 3, 6), [0, 3, 1, 4, 2, 5]  # the pairs of `half` set side by side
    half, interleaved = (
        rotation(PLACES, 6, 10000.0, layout, "float64") for layout in ("half", "interleaved")
    )
    turned = rotate_forward(x, half)
    assert (turned[..., order] == rotate_forward(x[..., order], interleaved)).all()
    assert (turned != rotate_forward(x, interleaved)).any()


@LAYOUTS
def test_rotation_keeps_norms_and_sees_differences_only(layout):
    q, k = draw(1, 2, 1, 8), draw(1, 2, 1, 8, seed=1)

    def product(at: int, other: int) -> np.ndarray:
        rotaries = (rotation(np.array([[p]]), 8, 100.0, layout, "float64") for p in (at, other))
        return (rotate_forward(q, next(rotaries)) * rotate_forward(k, next(rotaries))).sum(-1)

    rotary = rotation(np.array([[7]]), 8, 100.0, layout, "float64")
    assert_close(np.linalg.norm(rotate_forward(q, rotary)), np.linalg.norm(q), 1e-14)
    assert_close(product(5, 5), (q * k).sum(-1), 1e-13)
    assert_close(product(9, 4), product(5, 0), 1e-13)
    assert_close(product(4105, 4100), product(5, 0), 1e-10)
    assert np.abs(product(5, 0) - product(0, 5)).max() > 1e-3


@LAYOUTS
def test_rotation_backward(layout):
    x, dy = draw(2, 2, 3, 8), draw(2, 2, 3, 8, seed=1)
    rotary = rotation(PLACES, 6, 50.0, layout, "float64")
    numeric = central_difference(lambda x: float((rotate_forward(x, rotary) * dy).sum()), x)
    assert_close(rotate_backward(dy, rotary), numeric, 1e-9)
    assert_close(rotate_backward(rotate_forward(x, rotary), rotary), x, 1e-14)


@LAYOUTS
def test_type_and_input_are_kept(layout):
    x = draw(2, 2, 3, 8).astype(np.float32)
    before = x.copy()
    rotary = rotation(PLACES, 6, 50.0, layout, "float32")
    assert rotate_forward(x, rotary).dtype == rotate_backward(x, rotary).dtype == np.float32
    assert (x == before).all()
