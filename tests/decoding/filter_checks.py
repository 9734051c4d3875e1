"""Checks of the filters and of the draw, which run where a bug is planted, too.

The laws take drawn values; `test_choosing.py` draws them with hypothesis, the checks below from a
generator.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from numtx.decoding.filters import (
    Filters,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    temper,
)
from numtx.decoding.generate import greedy
from numtx.decoding.sample import draw, sampler

VOCABULARY = 5


def softmax(logits):
    """Slow and separate from the package: one row at a time, in plain Python."""
    rows = []
    for row in np.asarray(logits, np.float64):
        largest = max(row)
        terms = [math.exp(x - largest) for x in row]
        rows.append([term / math.fsum(terms) for term in terms])
    return np.array(rows)


def drawn(seed, rows=3, tokens=11):
    """Logits of both signs, with ties."""
    generator = np.random.default_rng(seed)
    logits = 2.0 * generator.standard_normal((rows, tokens))
    return np.round(logits * 2) / 2 if seed % 2 else logits


# Laws of the filters (D1 to D4).


def top_k_law(logits, k):
    """Exactly min(k, V), none smaller than one left out, ties by id, values as they were."""
    kept = np.isfinite(keep_top_k(logits, k))
    for row, chosen in zip(logits, kept, strict=True):
        ranked = sorted(range(len(row)), key=lambda token: (-row[token], token))
        assert np.flatnonzero(chosen).tolist() == sorted(ranked[:k])
    unchanged(keep_top_k(logits, k), logits)


def top_p_law(logits, p):
    """The smallest set that reaches p: with the last token in it does, without it it does not."""
    filtered = keep_top_p(logits, p)
    kept = np.isfinite(filtered)
    if p == 1.0:
        assert np.array_equal(filtered, logits)
        return
    for row, chosen, probabilities in zip(logits, kept, softmax(logits), strict=True):
        ranked = sorted(range(len(row)), key=lambda token: (-row[token], token))
        inside = ranked[: chosen.sum()]
        assert chosen.any()
        assert sorted(inside) == np.flatnonzero(chosen).tolist()
        assert math.fsum(probabilities[inside]) >= p - 1e-12
        assert math.fsum(probabilities[inside[:-1]]) < p + 1e-12
    unchanged(filtered, logits)


def exact_boundaries():
    """What reaches a limit exactly. Of 2^n equal logits each has the probability 2^-n exactly;
    of logits that differ by log(p), one has exactly p times the probability of the other."""

    def kept(filtered):
        return np.flatnonzero(np.isfinite(filtered[0])).tolist()

    for dtype, tokens in itertools.product((np.float32, np.float64), (2, 4, 8)):
        logits = np.full((1, tokens + 1), 1.5, dtype)
        logits[0, 1] = -np.inf  # ruled out already
        order = [0, *range(2, tokens + 1)]
        for k in range(1, tokens + 1):
            p = k / tokens
            assert kept(keep_top_p(logits, p)) == order[:k]
            assert kept(keep_top_p(logits, np.nextafter(p, 0.0))) == order[:k]
            beyond = min(np.nextafter(p, 1.0), 1.0)
            assert kept(keep_top_p(logits, beyond)) == order[: k + 1]
            assert kept(keep_top_k(logits, k)) == order[:k]
        assert kept(keep_min_p(logits, 1.0)) == order
        assert kept(temper(logits, 0.0)) == [0]
        assert greedy(logits, [[]]).tolist() == [0]
    gap = math.log(0.25)
    steps = np.array([[gap, 0.0, np.nextafter(gap, -9.0), np.nextafter(gap, 0.0)]])
    assert kept(keep_min_p(steps, 0.25)) == [0, 1, 3]


def min_p_law(logits, p):
    """Kept: at least p times as probable as the most probable one."""
    filtered = keep_min_p(logits, p)
    if p == 0.0:
        assert np.array_equal(filtered, logits)
    probabilities = softmax(logits)
    share = probabilities / probabilities.max(1, keepdims=True)
    sure = np.abs(share - p) > 1e-12
    assert np.array_equal(np.isfinite(filtered)[sure], (share >= p)[sure])
    assert np.isfinite(filtered)[share == 1.0].all()
    unchanged(filtered, logits)


def temperature_law(logits, temperature):
    """1 is the identity, order is kept, the probabilities are those of logits / T, and towards 0
    it is greedy."""
    assert np.array_equal(temper(logits, 1.0), logits)
    scaled = temper(logits, temperature)
    if temperature > 0.01:
        np.testing.assert_allclose(
            softmax(scaled), softmax(logits / temperature), rtol=0, atol=1e-12
        )
        ranks = np.argsort(-logits, 1, kind="stable")
        assert (np.diff(np.take_along_axis(scaled, ranks, 1), axis=1) <= 0).all()
    for cold in (0.0, 1e-320):
        largest = temper(logits, cold)
        assert np.array_equal(np.argmax(largest, 1), np.argmax(logits, 1))
        is_largest = logits == logits.max(1, keepdims=True)
        assert (softmax(largest)[~is_largest] == 0).all()
    assert (np.isfinite(temper(logits, 0.0)).sum(1) == 1).all()


def penalty_law(logits, rows, penalty):
    """Seen tokens fall (or stay, at 0), once each, by the stated formula; others stay."""
    filtered = penalise_repetition(logits, rows, penalty)
    if penalty == 1.0:
        assert np.array_equal(filtered, logits)
    for before, after, seen in zip(logits, filtered, rows, strict=True):
        for token, old in enumerate(before):
            if token not in seen:
                assert after[token] == old
                continue
            if penalty > 1.0:
                assert after[token] <= old
                assert after[token] < old or old == 0
            np.testing.assert_allclose(after[token], old / penalty if old > 0 else old * penalty)


def unchanged(filtered, logits):
    """What is kept keeps its logit and its type."""
    kept = np.isfinite(filtered)
    assert np.array_equal(filtered[kept], logits[kept])
    assert filtered.dtype == logits.dtype


# The same laws over values from a generator, for planted bugs.


def top_k():
    for seed, k in itertools.product(range(6), (1, 2, 5, 11, 30)):
        top_k_law(drawn(seed), k)


def top_p():
    for seed, p in itertools.product(range(8), (1e-9, 0.3, 0.6, 0.9, 0.999, 1.0)):
        top_p_law(drawn(seed), p)


def min_p():
    for seed, p in itertools.product(range(6), (0.0, 0.05, 0.4, 1.0)):
        min_p_law(drawn(seed), p)


def temperature():
    for seed, t in itertools.product(range(6), (0.2, 0.7, 1.0, 3.0)):
        temperature_law(drawn(seed), t)


def penalty():
    rows = [[1, 1, 1, 4], [], [0, 10, 3, 3]]
    for seed, value in itertools.product(range(6), (0.5, 1.0, 1.3, 5.0)):
        penalty_law(drawn(seed), rows, value)


def order_of_filters():
    """Repetition penalty, temperature, top-k, top-p, min-p, each on what the last one left."""
    filters = Filters(repetition_penalty=1.5, temperature=2.0, top_k=4, top_p=0.8, min_p=0.6)
    for seed in range(6):
        logits, rows = drawn(seed) + 1.0, [[2], [3, 3], [0, 7]]
        expected = penalise_repetition(logits, rows, 1.5)
        expected = temper(expected, 2.0)
        expected = keep_top_k(expected, 4)
        expected = keep_top_p(expected, 0.8)
        expected = keep_min_p(expected, 0.6)
        assert np.array_equal(filters(logits, rows), expected)
        steps = filters.steps(logits, rows)
        assert [step.name.split("=")[0] for step in steps] == [
            "logits", "repetition_penalty", "temperature", "top_k", "top_p", "min_p",
        ]  # fmt: skip
        for step in steps:
            np.testing.assert_allclose(step.probabilities.sum(1), 1.0)


# Sampling.


def frequencies():
    """Chi-square over 4000 rows of the same logits: drawn as often as the filters say."""
    filters = Filters(temperature=1.5, top_k=5, top_p=0.97)
    logits = np.tile([[1.0, 3.0, 2.5, -1.0, 2.0, 0.5, 1.5, -2.0]], (4000, 1))
    rows = [[0]] * len(logits)
    choose = sampler(filters, seed=7)
    counts = np.bincount(choose(logits, rows), minlength=8)
    probabilities = softmax(filters(logits[:1], rows[:1]))[0]
    possible = probabilities > 0
    assert possible.sum() == 5
    assert counts[~possible].sum() == 0
    expected = probabilities[possible] * len(logits)
    chi_square = (((counts[possible] - expected) ** 2) / expected).sum()
    assert chi_square < 18.47, chi_square  # 4 degrees of freedom, one in a thousand
    # The draws of one row at growing lengths are independent as well.
    alone = [choose(logits[:1], [[0] * n])[0] for n in range(1, 1500)]
    expected = probabilities[possible] * len(alone)
    observed = np.bincount(alone, minlength=8)[possible]
    assert (((observed - expected) ** 2) / expected).sum() < 18.47


def edges_of_a_draw():
    """A number on the border belongs to the next token; a token of probability 0 is never drawn."""
    probabilities = np.array([[0.0, 0.25, 0.0, 0.75, 0.0]])
    for uniform, token in ((0.0, 1), (0.2499, 1), (0.25, 3), (1 - 2**-53, 3)):
        assert draw(probabilities, np.array([uniform])).tolist() == [token]
    # Of many words the sum is run in float64: each border of 5000 is where it should be.
    many = np.full((4, 5000), 1.0 / 4096, np.float32)  # an exact number, and so are its sums
    for token in (1, 2047, 4998):
        borders = np.array([token, token + 0.999, token + 1, token - 0.001]) / 5000
        assert draw(many, borders).tolist() == [token, token, token + 1, token - 1]
    unlike = np.tile(np.float32([0.1, 0.7, 0.2]), (1, 400)) / np.float32(400)
    running = list(itertools.accumulate(unlike[0].tolist()))
    for token in range(3, 1199, 37):
        border = running[token] / running[-1]
        for uniform, expected in ((border - 1e-12, token), (border + 1e-12, token + 1)):
            assert draw(unlike, np.array([uniform])).tolist() == [expected]


CHECKS = (
    top_k, top_p, min_p, temperature, penalty, order_of_filters, frequencies, edges_of_a_draw,
    exact_boundaries,
)  # fmt: skip
