from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numtx.errors import MaskError
from numtx.masks import allowed, check_mask, from_additive, inverted, live_keys, to_additive


def rows(text: str) -> list[list[bool]]:
    return [[letter == "x" for letter in row] for row in text.split()]


ALL3 = np.ones((1, 3), bool)


def test_without_a_rule_every_real_token_may_be_seen():
    valid = np.array([[True, True, False], [True, True, True]])
    mask = allowed(valid, queries=4)
    assert mask.allowed.shape == (2, 1, 4, 3) and mask.allowed.dtype == bool
    assert mask.allowed[0, 0].tolist() == rows("xx. xx. xx. xx.")
    assert mask.allowed[1].all()
    assert mask.live.tolist() == [[True, True, False], [True, True, True]]


def test_causal():
    mask = allowed(ALL3, 3, causal=True)
    assert mask.allowed[0, 0].tolist() == rows("x.. xx. xxx")
    assert mask.live is None


def test_causal_with_fewer_queries_is_aligned_bottom_right():
    assert allowed(ALL3, 1, causal=True).allowed[0, 0].tolist() == rows("xxx")
    assert allowed(ALL3, 2, causal=True).allowed[0, 0].tolist() == rows("xx. xxx")


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("right", "x... xx.. xxx. xxx."), ("left", ".... .x.. .xx. .xxx")],
)
def test_causal_with_padding(padding, expected):
    valid = np.ones((1, 4), bool)
    valid[0, 0 if padding == "left" else 3] = False
    mask = allowed(valid, 4, causal=True)
    assert mask.allowed[0, 0].tolist() == rows(expected)
    assert mask.live.tolist() == valid.tolist()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [1, 33, 40, 300])
def test_wide_windows_over_long_rows_by_the_formula(window, causal):
    """Of 50 queries behind 40 keys more, with holes, far out."""
    valid = np.arange(90) % 7 != 3
    places = 5000 + np.maximum(np.cumsum(valid) - 1, 0)
    mask = allowed(
        valid[None], 50, causal=causal, window=window, query_positions=places[None, 40:],
        key_positions=places[None],
    )  # fmt: skip
    for i in range(50):
        for j in range(90):
            near = abs(int(places[40 + i]) - int(places[j])) < window
            seen = bool(valid[j]) and near and (not causal or j <= 40 + i)
            assert mask.allowed[0, 0, i, j] == seen
    assert mask.live.tolist() == [mask.allowed[0, 0].any(0).tolist()]


def test_a_window_measures_positions():
    places = np.array([[0, 1, 2, 3]])
    valid = np.ones((1, 4), bool)
    options = {"query_positions": places, "key_positions": places}
    one = allowed(valid, 4, causal=True, window=1, **options)
    assert one.allowed[0, 0].tolist() == rows("x... .x.. ..x. ...x")
    two = allowed(valid, 4, causal=True, window=2, **options)
    assert two.allowed[0, 0].tolist() == rows("x... xx.. .xx. ..xx")
    both = allowed(valid, 4, window=2, **options)
    assert both.allowed[0, 0].tolist() == rows("xx.. xxx. .xxx ..xx")
    wide = allowed(valid, 4, window=4, **options)
    assert wide.allowed.all()
    late = allowed(
        valid, 1, causal=True, window=2, query_positions=places[:, 3:], key_positions=places
    )
    assert late.allowed[0, 0].tolist() == rows("..xx")


def test_every_row_has_its_own_padding():
    valid = np.array([[True, False], [False, True]])
    mask = allowed(valid, 2)
    assert mask.allowed[0].tolist() == [rows("x. x.")]
    assert mask.allowed[1].tolist() == [rows(".x .x")]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("queries", [1, 2, 3])
def test_a_full_mask_hides_nothing(queries, causal, padded):
    valid = np.array([[True, True, True], [True, not padded, True]])
    mask = allowed(valid, queries, causal=causal)
    assert mask.allowed.shape == (2, 1, queries, 3)
    assert mask.full == mask.allowed.all()
    assert mask.full == (not padded and (queries == 1 or not causal))


def test_live_keys():
    mask = np.zeros((2, 1, 2, 3), bool)
    mask[0, 0, 1, 2] = mask[1, 0] = True
    assert live_keys(mask).tolist() == [[False, False, True], [True, True, True]]
    assert live_keys(mask[1:]) is None


@given(st.integers(0, 2**12 - 1))
def test_converters_are_inverse(bits):
    mask = np.array([bool(bits >> i & 1) for i in range(12)]).reshape(3, 4)
    assert (from_additive(to_additive(mask)) == mask).all()
    assert (inverted(inverted(mask)) == mask).all()
    assert (inverted(mask) != mask).all()
    additive = to_additive(mask, "float32")
    assert additive.dtype == np.float32
    assert ((additive == 0.0) == mask).all() and ((additive == -np.inf) == ~mask).all()


@pytest.mark.parametrize(
    "mask", [np.array([0.0, -1e9]), np.array([0.0, np.nan]), np.array([0, 1]), np.array([True])]
)
def test_what_is_no_additive_mask(mask):
    with pytest.raises(MaskError, match="0 and -inf") as caught:
        from_additive(mask)
    assert "\n" not in str(caught.value)


def test_what_is_no_boolean_mask():
    with pytest.raises(MaskError, match="int64"):
        inverted(np.array([0, 1]))
    with pytest.raises(MaskError, match=r"from_additive and inverted convert"):
        check_mask("mask", np.zeros((2, 3)), (2, 3))
    with pytest.raises(MaskError, match=r"mask has shape \(3,\); it should be \(2, 3\)"):
        check_mask("mask", np.ones(3, bool), (2, 3))
    assert check_mask("mask", [[True, False]], (1, 2)).tolist() == [[True, False]]
