"""The tables of caches against caches that were filled."""

from __future__ import annotations

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.config import Config
from numtx.costs import cache_numbers, count_generation, step_formula
from numtx.costs_cache import DOCUMENTS, LONG, CacheSizes, cache_configs, cache_table
from numtx.parameters import initialise
from numtx.step import step


def test_the_documents_sizes():
    rows = {row.attention: row for row in cache_table(DOCUMENTS)}
    whole = rows["multi-head"]
    assert whole.total_bytes == 6 * 100 * 2 * 4 * 2  # 4,800 numbers of two bytes
    assert whole.share == 1.0
    assert {name: row.numbers for name, row in rows.items()} == {
        "multi-head": 8, "grouped, 2 heads": 4, "multi-query": 2, "latent": 4, "window of 25": 8,
    }  # fmt: skip
    assert rows["window of 25"].share == 0.25 and rows["window of 25"].held == 25


def test_128k_tokens():
    rows = cache_table(LONG)
    assert [row.formula for row in rows] == [
        "32·(128 + 128)", "8·(128 + 128)", "1·(128 + 128)", "512 + 64", "32·(128 + 128)",
    ]  # fmt: skip
    assert [row.token_bytes for row in rows] == [
        524288, 131072, 16384, 36864, 524288,
    ]  # fmt: skip
    assert [row.total_bytes / 2**30 for row in rows] == [64.0, 16.0, 2.0, 4.5, 2.0]
    assert rows[3].share == 576 / 8192


@pytest.mark.parametrize(
    "sizes", [DOCUMENTS._replace(tokens=30), CacheSizes(2, 4, 6, 2, 7, 4, 5, 9)]
)
def test_the_rows_are_what_caches_hold(sizes):
    for config, row in zip(cache_configs(sizes).values(), cache_table(sizes, 8), strict=True):
        own = initialise(config)
        storage = "ring" if config.window else "contiguous"
        cache = Cache(config, own, 1, storage=storage)
        step(config, own, Batch(np.zeros((1, sizes.tokens), int)), cache)
        assert cache.bytes == row.total_bytes
        assert cache.length == row.held


@pytest.mark.parametrize("fields", [{}, {"query_latent": 5}, {"positions": None}])
def test_counted_operations_of_latents_are_the_formulas(fields):
    config = Config(**{
        "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 4, "key_width": 6,
        "value_width": 3, "hidden": 12, "vocabulary": 11, "key_value_latent": 7,
        "positions": "rotary", **fields,
    })  # fmt: skip
    own = initialise(config)
    for use_cache in (True, False):
        costs = count_generation(
            config, own, Batch([[1, 2, 3]]), max_new_tokens=3, use_cache=use_cache
        )
        for number, cost in enumerate(costs):
            total = 3 + number
            computed = total if number == 0 or not use_cache else 1
            expected = step_formula(config, computed, total, absorbed=use_cache)
            assert {group: cost.total(group) for group in expected} == expected
            assert cost.total() == sum(expected.values())
            if use_cache:
                assert cost.cached == cache_numbers(config, total)[0]
