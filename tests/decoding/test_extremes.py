"""Logits, temperatures and penalties of any size that the type holds: no warning, and what
arithmetic without rounding says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numtx.decoding import Filters, filtered_greedy, sampler
from numtx.decoding import filters as f
from numtx.errors import DecodingError
from numtx.ops.softmax import softmax_forward

TYPES = [np.float32, np.float64]
SHAPES = [[4.0, -4.0, 1.0], [1.0, 1.0, -1.0], [-1.0, -2.0, -np.inf], [0.0, 0.0, 0.0], [1.0, 0.5, 0]]
SIZES = [1e-300, 1e-40, 1e-3, 1.0, 1e30, 1e300, math.inf]  # inf: the largest that there is
WARMTHS = [
    0.0, 5e-324, 2.2250738585072014e-308, 1e-300, 1e-46, 1e-40, 1e-38, 1e-3, 0.9, 1.0, 1.5, 1e40,
    1e300, 1.7976931348623157e308,
]  # fmt: skip


def sized(shape, size, dtype):
    """Logits of a size, as far as the type goes."""
    wanted = np.array(shape)
    wanted /= max(np.abs(wanted[np.isfinite(wanted)]).max(), 1.0)
    return (wanted * min(size, float(np.finfo(dtype).max))).astype(dtype)[None]


def expected(logits, temperature):
    """softmax(logits / T) of one row, in fractions; greedy where the type holds T as 0."""
    row = logits[0]
    top = row.max()
    if logits.dtype.type(min(temperature, float(np.finfo(row.dtype).max))) == 0:
        return np.arange(len(row)) == np.argmax(row)
    gaps = [(Fraction(float(x)) - Fraction(float(top))) / Fraction(temperature)
            if np.isfinite(x) else Fraction(-1000) for x in row]  # fmt: skip
    shares = [math.exp(gap) if gap > -1000 else 0.0 for gap in gaps]
    return np.array(shares) / math.fsum(shares)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_temperature_is_a_softmax_or_greedy(dtype, size, shape):
    logits = sized(shape, size, dtype)
    for temperature in WARMTHS:
        filtered = Filters(temperature=temperature).steps(logits, [[]])[-1]
        assert filtered.logits.dtype == dtype
        assert not np.isnan(filtered.logits).any() and not np.isposinf(filtered.logits).any()
        assert (filtered.probabilities[~np.isfinite(logits)] == 0).all()
        wanted = expected(logits, temperature)
        np.testing.assert_allclose(filtered.probabilities[0], wanted, atol=1e-5, rtol=0)
        if temperature != 1.0:  # a plain softmax can take it
            np.testing.assert_array_equal(softmax_forward(filtered.logits), filtered.probabilities)
        token = sampler(Filters(temperature=temperature), 3)(logits, [[]])
        assert wanted[token[0]] > 0
        assert logits[0, filtered_greedy(Filters(temperature=temperature))(logits, [[]])] == max(
            logits[0]
        )


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.int64(2), 2])
def test_a_number_of_numpy_does_not_change_the_type(dtype, number):
    logits = sized(SHAPES[0], 4.0, dtype)
    assert f.temper(logits, number).dtype == dtype
    assert np.array_equal(f.temper(logits, number), logits / dtype(number))
    assert f.penalise_repetition(logits, [[0, 1]], number).dtype == dtype


@given(
    st.sampled_from(TYPES), st.sampled_from(SIZES), st.sampled_from(SHAPES),
    st.sampled_from(WARMTHS[1:]), st.sampled_from(WARMTHS), st.floats(0.01, 1), st.floats(0, 1),
)  # fmt: skip
def test_filters_of_any_size_leave_a_distribution(dtype, size, shape, penalty, warmth, p, least):
    logits = sized(shape, size, dtype)
    filters = Filters(repetition_penalty=penalty, temperature=warmth, top_p=p, min_p=least)
    rows = [[0, 0, 2]]
    for step in filters.steps(logits, rows):
        assert step.logits.dtype == dtype
        np.testing.assert_allclose(step.probabilities.sum(1), 1.0, rtol=1e-6)
        assert (step.probabilities[np.isneginf(logits)] == 0).all()
    assert step.probabilities[0, sampler(filters, 1)(logits, rows)[0]] > 0


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("penalty", [1e-300, 1e300])
def test_a_penalty_that_overflows_rules_no_token_out(dtype, penalty):
    logits = sized([-1.0, 1.0, -np.inf, 0.0], math.inf, dtype)
    filtered = f.penalise_repetition(logits, [[0, 1, 2, 3]], penalty)
    assert np.isfinite(filtered).tolist() == [[True, True, False, True]]
    assert filtered[0, 3] == 0


def test_a_whole_number_beyond_any_float_is_refused():
    with pytest.raises(DecodingError, match=r"temperature is int 1000.* it is a finite number"):
        Filters(temperature=10**400)
