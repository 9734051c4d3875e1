"""Known mistakes in buckets of distances and in the norms of latents are named."""

from __future__ import annotations

import numpy as np
import pytest
from samples import config_of, one
from test_compare_positions import causes_of

from numtx import Batch

COUNT, FARTHEST, LENGTH = 8, 14, 17
BUCKETS = config_of(
    one(lambda c: c.positions == "relative" and len(c.sides) == 1),
    relative_buckets=COUNT, relative_distance=FARTHEST, window=None,
)  # fmt: skip
LATENTS = one(lambda c: c.latent_norm)
ROW = Batch(np.random.default_rng(2).integers(0, 11, (2, LENGTH)))
PLACE = "decoder.0.self_attention"


def bucket(d, exact=COUNT // 2, rounded=np.trunc, last=COUNT - 1):
    """Of a distance; with other numbers a mistake."""
    parts = 0.0 if d < exact else np.log(d / exact) / np.log(FARTHEST / exact) * (COUNT - exact)
    return int(d if d < exact else min(exact + rounded(parts), last))


WRONG = {
    "one distance more with a bucket of its own": lambda d: bucket(d, exact=COUNT // 2 + 1),
    "one distance less with a bucket of its own": lambda d: bucket(d, exact=COUNT // 2 - 1),
    "parts of the logarithm rounded, not cut": lambda d: bucket(d, rounded=np.rint),
    "parts of the logarithm rounded up, not cut": lambda d: bucket(d, rounded=np.ceil),
    "without the logarithmic part": lambda d: min(d, COUNT - 1),
    "the last bucket never used": lambda d: bucket(d, last=COUNT - 2),
    "buckets one too far": lambda d: min(bucket(d) + 1, COUNT - 1),
    "buckets of equal width": lambda d: min(d * COUNT // FARTHEST, COUNT - 1),
    "the logarithm of the distance, not of its share": lambda d: (
        d
        if d < COUNT // 2
        else min(COUNT // 2 + int(np.log(d) / np.log(FARTHEST) * COUNT / 2), COUNT - 1)
    ),
}


def biased(how, sign=-1):
    """The bias of a row by the buckets of its distances."""

    def wrong(config, trace):
        away = sign * (np.arange(LENGTH)[None] - np.arange(LENGTH)[:, None])
        found = np.vectorize(how)(np.maximum(away, 0))
        table = trace.parameters["decoder.relative_bias"]
        return np.broadcast_to(np.moveaxis(table[found], -1, 0), (2, config.heads, LENGTH, LENGTH))

    return wrong


@pytest.mark.parametrize("cause", WRONG)
def test_wrong_buckets(cause):
    causes = causes_of(BUCKETS, f"{PLACE}.bias", biased(WRONG[cause]), ROW)
    assert any(cause in told for told in causes), causes


def test_the_other_sign_of_the_distance():
    causes = causes_of(BUCKETS, f"{PLACE}.bias", biased(bucket, sign=1), ROW)
    assert any("the other sign of the distance" in told for told in causes), causes


def normed(x, epsilon, *beside):
    every = np.concatenate((x, *beside), -1)
    return x / np.sqrt((every * every).mean(-1, keepdims=True) + epsilon)


LATENT_NORMS = {
    ("normed_latent", "left out"): lambda at, e: at("latent"),
    ("normed_latent", "another epsilon (0.01"): lambda at, e: (
        normed(at("latent"), 0.01) * at("latent_norm.gain")
    ),
    ("normed_latent", "over the latent and the key for positions at once"): lambda at, e: (
        normed(at("latent"), e, at("position_key")) * at("latent_norm.gain")
    ),
    ("normed_query_latent", "without gain"): lambda at, e: normed(at("query_latent"), e),
    ("keys", "input not normalised"): lambda at, e: at.heads(at("latent") @ at("w_uk")),
    ("position_queries", "input not normalised"): lambda at, e: at.heads(
        at("query_latent") @ at("w_qr")
    ),
}


@pytest.mark.parametrize(("stage", "cause"), LATENT_NORMS)
def test_wrong_norms_of_latents(stage, cause):
    def wrong(config, trace):
        def at(name):
            own = trace.parameters.get(f"{PLACE}.{name}")
            return trace[f"{PLACE}.{name}"] if own is None else own

        def heads(x):
            return x.reshape(*x.shape[:-1], config.heads, -1).swapaxes(1, 2)

        at.heads = heads
        return LATENT_NORMS[stage, cause](at, config.epsilon)

    causes = causes_of(config_of(LATENTS), f"{PLACE}.{stage}", wrong, ROW)
    assert any(cause in told for told in causes), causes
