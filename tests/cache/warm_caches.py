"""Two deep models and caches of theirs that hold some tokens."""

from __future__ import annotations

import numpy as np
import pytest
from cache_runs import tokens
from samples import config_of, one, random_parameters

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.models import STORAGES
from numtx.step import step
from numtx.tap import Recorder

ROWS = 2
# Deeper than the list needs: what goes wrong from the third layer on goes wrong here.
DEPTH = 5
CONFIG = config_of(
    one(lambda c: len(c.sides) == 2 and 1 < c.kv_heads < c.heads), decoder_layers=DEPTH
)
WEIGHTS = random_parameters(CONFIG)
LEARNED = one(lambda c: c.sides == ("decoder",) and c.kv_heads == 1 and c.positions == "learned")
DECODER = config_of(LEARNED, window=4, position_limit=9, decoder_layers=DEPTH)
DECODER_WEIGHTS = random_parameters(DECODER)
OTHER = random_parameters(DECODER, 6)


def some(columns, rows=ROWS, seed=0):
    return tokens(CONFIG, rows, columns, seed)


def sources(rows=ROWS, seed=1):
    return tokens(CONFIG, rows, 5, seed, "encoder")


EACH_STORAGE = pytest.mark.parametrize("storage", STORAGES)


def warm(columns=3, capacity=None, storage="contiguous"):
    if storage == "ring":
        capacity = 2 * DECODER.window  # so that some tokens can be taken back
    cache = Cache(DECODER, DECODER_WEIGHTS, ROWS, capacity, **STORAGES[storage])
    step(DECODER, DECODER_WEIGHTS, Batch(some(columns)), cache)
    return cache


def after(cache, config=DECODER, parameters=DECODER_WEIGHTS):
    """Everything that one more token sees."""
    recorder = Recorder()
    ids = some(1, cache.batch, seed=9)
    batch = Batch(ids) if config is DECODER else Batch(None, ids)
    step(config, parameters, batch, cache.fork(), tap=recorder)
    return recorder.values


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)
