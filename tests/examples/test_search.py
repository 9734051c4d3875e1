"""The search's gradient, its arguments and its arithmetic, against plain counterparts."""

from __future__ import annotations

import numpy as np
import pytest

from numtx import load_example
from numtx.documents.d004 import BIAS, GAIN, SEED
from numtx.documents.theorems import on_a_plane, rank_at_most, sums_to_one
from numtx.documents.witnesses import keys_near
from numtx.examples import cat
from numtx.examples.search import Aim, Pull, log_near, near, search, search_norm
from numtx.examples.story import aims
from numtx.model import backward, forward
from numtx.ops.norm import norm_forward

AIMS = [
    near("encoder.output", (slice(None),), np.zeros((7, 4)), 0.05),
    near("decoder.0.cross_attention.weights", (1, slice(0, 3)), (0.1, 0.2, 0.3), 0.05),
    log_near("log_probabilities", (2, [4, 5]), (0.3, 0.2), 0.05),
    Aim(
        "decoder.1.self_attention.weights", (3,), np.array([0.5]), np.array([0.6]),
        np.array([[1.0, 0, 1.0, 0, 0, 0, 0]]),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["output.w", "encoder.0.feed_forward.w_in", "decoder.1.self_attention.w_q"]
)
def test_the_pull_is_the_gradient_of_the_squared_distance(name: str) -> None:
    example = load_example("weather", seed=1)
    parameters = dict(example.parameters)

    def loss(p: dict[str, np.ndarray]) -> float:
        total = 0.0
        trace = Pull(AIMS, 0.6)
        seen: dict[str, np.ndarray] = {}

        class Keep(Pull):
            def __call__(self, stage: str, value: np.ndarray) -> np.ndarray:
                seen[self.prefix + stage] = value
                return value

            def at(self, scope: str) -> Keep:
                return Keep(self.aims, self.margin, f"{self.prefix}{scope}.")

        forward(example.config, p, example.batch, Keep(AIMS, trace.margin))
        for aim in AIMS:
            beyond = np.maximum(np.abs(aim.off(seen[aim.stage])) - 0.6, 0.0)
            total += 0.5 * float((beyond * beyond).sum())
        return total

    tap = Pull(AIMS, 0.6)
    _, context = forward(example.config, parameters, example.batch, tap)
    gradient = backward(context, 0.0, tap)[name]
    direction = np.random.default_rng(2).standard_normal(gradient.shape)
    h = 1e-6
    ahead = loss({**parameters, name: parameters[name] + h * direction})
    behind = loss({**parameters, name: parameters[name] - h * direction})
    slope = (ahead - behind) / (2 * h)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_a_short_search_comes_nearer_and_leaves_the_fixed_cells() -> None:
    example = load_example("weather", seed=1)
    aim = [near("decoder.0.self_attention.weights", (1, slice(0, 2)), (0.45, 0.55), 0.005)]
    fixed = {"embedding": np.ones((10, 4), bool)}
    start = Pull(aim, 0.6)
    forward(example.config, example.parameters, example.batch, start)
    found, worst = search(
        example.config, example.parameters, example.batch, aim, fixed=fixed, steps=60
    )
    assert worst < 0.75 < max(start.worst.values())
    assert np.array_equal(found["embedding"], example.parameters["embedding"])


def test_the_story_meets_every_aim() -> None:
    trace = load_example("story").trace(gradients=False)
    for aim in aims():
        assert np.abs(aim.off(trace[aim.stage])).max() <= 1.0, aim.stage


def rounds_to(rows: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> bool:
    """Whether rows on LayerNorm's sphere, the nearest, come within half a printed unit of these."""
    y, _ = norm_forward((rows - bias) / gain, gain, bias, 1e-5, True)
    return bool(np.abs(y - rows).max() <= 0.05)


def test_gain_and_bias_of_document_004_are_right_and_such_are_found_again() -> None:
    """Three thousand steps of descent blow up a last bit of a product: another machine's search
    ends at another pair, and each pair is held to what it is to do."""
    hidden = np.array(cat.HIDDEN)
    assert rounds_to(hidden, np.array(GAIN), np.array(BIAS))
    gain, bias, worst = search_norm(hidden, 0.05, seed=SEED)
    assert worst <= 1.0 and rounds_to(hidden, gain, bias)
    assert not rounds_to(hidden, -gain[::-1], bias) and not rounds_to(hidden, gain, bias + 0.5)
    again = search_norm(hidden, 0.05, seed=SEED)
    assert np.array_equal(again[0], gain) and np.array_equal(again[1], bias)


@pytest.mark.parametrize("seed", range(5))
def test_the_plane_holds_rows_of_a_norm_and_no_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((7, 4))
    y, _ = norm_forward(x, rng.uniform(0.3, 1.5, 4), rng.standard_normal(4), 1e-5, True)
    assert on_a_plane(y.round(1), 0.05) is None
    assert on_a_plane(rng.standard_normal((7, 4)), 0.001) is not None


def test_the_plane_does_not_speak_of_a_gain_of_zero() -> None:
    rows = np.random.default_rng(0).standard_normal((7, 4))
    rows[:, 2] = 0.3
    assert on_a_plane(rows, 0.001) is None


@pytest.mark.parametrize("seed", range(5))
def test_keys_are_found_within_half_a_printed_unit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.standard_normal((7, 4))
    shares = np.exp(keys @ rng.standard_normal(4))
    found = keys_near(keys.round(1), 0.05, shares / shares.sum())
    assert np.abs(found - keys.round(1)).max() < 0.05
    system, logs = np.column_stack([found, np.ones(7)]), np.log(shares)
    assert np.abs(system @ np.linalg.lstsq(system, logs, rcond=None)[0] - logs).max() < 1e-3


def test_rank_and_sum() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((7, 4)) @ rng.standard_normal((4, 7))
    assert rank_at_most(4)(table.round(2), 0.005) is None
    assert rank_at_most(3)(table.round(2), 0.005) is not None
    assert sums_to_one(np.array([0.34, 0.33, 0.34]), 0.005) is None
    assert sums_to_one(np.array([0.34, 0.33, 0.36]), 0.005) is not None
    assert sums_to_one(np.array([1.1, -0.1]), 0.005) is not None
