"""Generation over every content and every storage of the cache gives the same tokens."""

from __future__ import annotations

import numpy as np
import pytest

from numtx import Batch, BlockPool, Cache, Config, generate, record_generation
from numtx.check.verify import verify
from numtx.errors import DecodingError
from numtx.models import parameters_of

FIELDS = {
    "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 4, "hidden": 7,
    "vocabulary": 11, "positions": "rotary", "window": 3,
}  # fmt: skip
CONTENTS = {
    "multi-head": {},
    "grouped": {"key_value_heads": 2},
    "multi-query": {"key_value_heads": 1},
    "latent": {"key_value_latent": 5, "query_latent": 6},
}
STORAGES = {"contiguous": {}, "ring": {}, "paged": {"block_size": 3}}
PROMPT = Batch(
    [[0, 0, 3, 1], [5, 9, 2, 6]], mask=[[False, False, True, True], [True, True, True, True]]
)


def a_model(content):
    config = Config(**{**FIELDS, **CONTENTS[content]})
    own = parameters_of(config, 3)
    return config, {name: 3.0 * array if array.ndim > 1 else array for name, array in own.items()}


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("content", CONTENTS)
def test_the_tokens_are_those_without_a_cache(content, storage, chunk):
    config, own = a_model(content)
    cache = Cache(config, own, 2, storage=storage, **STORAGES[storage])
    expected = generate(config, own, PROMPT, max_new_tokens=9, use_cache=False, eos=4)
    assert len({token for row in expected.new for token in row}) >= 3
    got = generate(config, own, PROMPT, max_new_tokens=9, cache=cache, chunk=chunk, eos=4)
    assert got.new == expected.new
    assert cache.lengths.tolist() == [
        len(row) + len(new) - 1 for row, new in zip(got.prompt, got.new, strict=True)
    ]


@pytest.mark.parametrize("content", ["grouped", "latent"])
def test_a_recorded_generation_from_blocks_follows_from_its_inputs(content):
    config, own = a_model(content)
    cache = Cache(config, own, 2, storage="paged", pool=BlockPool(config, 2))
    options = {"max_new_tokens": 4}
    paged, trace = record_generation(config, own, PROMPT, cache=cache, **options)
    assert verify(trace).ok
    plain, other = record_generation(config, own, PROMPT, **options)
    assert paged.new == plain.new and trace.values.keys() == other.values.keys()
    assert all(np.array_equal(trace[name], other[name]) for name in trace.values)


def test_a_ring_is_not_recorded():
    config, own = a_model("grouped")
    with pytest.raises(DecodingError, match="record with contiguous or paged"):
        record_generation(
            config, own, PROMPT, max_new_tokens=1, cache=Cache(config, own, 2, storage="ring")
        )
