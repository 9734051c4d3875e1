"""Prefixes reused: for identical tokens, model and dtype, and for nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from numtx import Batch, Config, PrefixCache, Recorder, forward
from numtx.errors import BatchError, CacheError
from numtx.models import parameters_of
from numtx.step import step

CONFIG = Config(
    model="decoder-only", width=8, decoder_layers=2, heads=4, key_value_heads=2, hidden=7,
    vocabulary=11, positions="rotary",
)  # fmt: skip
OWN = parameters_of(CONFIG, 3)
FIRST = [3, 1, 4, 1, 5, 9, 2]


def last_logits(tokens, config=CONFIG, own=OWN):
    return forward(config, own, Batch([tokens]))[0].logits[0, -1]


@pytest.mark.parametrize(
    ("second", "reused"),
    [
        ([3, 1, 4, 1, 5, 9, 2, 6, 5], 7),
        ([3, 1, 4, 1, 5, 9, 2], 6),  # the last is always run
        ([3, 1, 4], 2),
        ([3, 1, 4, 1, 8, 9, 2], 4),  # the same tokens after another one are not the same
        ([8, 1, 4, 1, 5, 9, 2], 0),
        ([1, 4, 1, 5, 9], 0),  # the same tokens at other places
        ([3], 0),
    ],
)
def test_what_is_common_from_the_first_token_on(second, reused):
    prefixes = PrefixCache(CONFIG, OWN, block_size=3)
    assert prefixes.prefill(CONFIG, OWN, FIRST).reused == 0
    recorder = Recorder()
    found = prefixes.prefill(CONFIG, OWN, second, recorder)
    assert found.reused == reused
    assert recorder.values["decoder.tokens"].tolist() == [second[reused:]]
    np.testing.assert_allclose(found.logits, last_logits(second), rtol=0.0, atol=1e-10)
    assert found.cache.lengths.tolist() == [len(second)]
    more = step(CONFIG, OWN, Batch([[7]]), found.cache).logits[0, 0]
    np.testing.assert_allclose(more, last_logits([*second, 7]), rtol=0.0, atol=1e-10)


def test_the_callers_cache_is_its_own():
    prefixes = PrefixCache(CONFIG, OWN, block_size=3)
    first = prefixes.prefill(CONFIG, OWN, FIRST)
    step(CONFIG, OWN, Batch([[0, 0, 0]]), first.cache)
    first.cache.truncate(2)
    step(CONFIG, OWN, Batch([[10, 10]]), first.cache)
    again = prefixes.prefill(CONFIG, OWN, [*FIRST, 6])
    np.testing.assert_allclose(again.logits, last_logits([*FIRST, 6]), rtol=0.0, atol=1e-10)
    assert again.reused == 7


def test_blocks_are_shared_and_come_back():
    prefixes = PrefixCache(CONFIG, OWN, block_size=3)
    first = prefixes.prefill(CONFIG, OWN, FIRST)  # 3 + 3 + 1 columns
    assert prefixes.pool.used == 3
    second = prefixes.prefill(CONFIG, OWN, [*FIRST[:6], 8])
    assert prefixes.pool.used == 4 and len(prefixes) == 2
    prefixes.release()
    assert prefixes.pool.used == 4 and len(prefixes) == 0
    del first
    assert prefixes.pool.used == 3
    second.cache.release()
    assert prefixes.pool.used == 0
    with pytest.raises(BatchError):
        prefixes.prefill(CONFIG, OWN, [3, 11])
    assert prefixes.pool.used == 0


def test_the_one_unused_for_longest_goes_first():
    prefixes = PrefixCache(CONFIG, OWN, entries=2)
    for tokens in ([1, 2, 3], [4, 5, 6], [1, 2, 3, 7]):  # the first is used by the third
        prefixes.prefill(CONFIG, OWN, tokens)
    assert len(prefixes) == 2
    assert prefixes.prefill(CONFIG, OWN, [4, 5, 6]).reused == 0
    assert prefixes.prefill(CONFIG, OWN, [1, 2, 3, 7]).reused == 3


@pytest.mark.parametrize("tokens", [[], [1.5, 2.0], [[1, 2]], [3, -1], [True]])
def test_tokens_that_are_none(tokens):
    with pytest.raises(BatchError) as caught:
        PrefixCache(CONFIG, OWN).prefill(CONFIG, OWN, tokens)
    assert "\n" not in str(caught.value)


def test_another_model_or_dtype_is_refused():
    prefixes = PrefixCache(CONFIG, OWN)
    prefixes.prefill(CONFIG, OWN, FIRST)
    single = dataclasses.replace(CONFIG, dtype="float32")
    others = (
        (CONFIG, parameters_of(CONFIG, 4)),
        (single, parameters_of(single, 3)),
        (dataclasses.replace(CONFIG, score_scale=0.5), OWN),
    )
    for config, own in others:
        with pytest.raises(CacheError, match="belongs to"):
            prefixes.prefill(config, own, FIRST)
    both = Config(width=8, encoder_layers=1, decoder_layers=1, heads=2, hidden=7, vocabulary=11)
    with pytest.raises(CacheError, match="depend on the source"):
        PrefixCache(both, parameters_of(both, 1))
