"""Whatever the model and however a prompt is cut, the cache changes no logit."""

from __future__ import annotations

import numpy as np
import pytest
from cache_cases import (
    ATTENTIONS,
    MODELS,
    POSITIONS,
    SOURCE_VOCABULARY,
    STORAGES,
    VOCABULARY,
    batch_of,
    compositions,
    in_chunks,
    model,
    uncached,
    weights,
)

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.step import step
from numtx.testing.models import MODELS as LIST
from numtx.testing.models import STORAGES as OPTIONS

TOLERANCE = {"rtol": 0.0, "atol": 1e-10}
ROWS, LENGTH, SOURCE = 2, 6, 5

SOURCE_MASK = np.array([[True] * 5, [True, True, True, False, False]])
MASKS = {
    "none": np.ones((ROWS, LENGTH), bool),
    "left": np.array([[True] * 6, [False, False, True, True, True, True]]),
    "right": np.array([[True] * 6, [True, True, True, True, False, False]]),
    "holes": np.array([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]], bool),
}  # fmt: skip


def a_batch(config, padding):
    generator = np.random.default_rng(3)
    return batch_of(
        config, generator.integers(0, VOCABULARY, (ROWS, LENGTH)), MASKS[padding],
        generator.integers(0, SOURCE_VOCABULARY, (ROWS, SOURCE)), SOURCE_MASK,
    )  # fmt: skip


@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.heavy, id="heavy")])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("kind", MODELS)
def test_any_chunking_of_any_padding_is_one_full_pass(kind, attention, positions, storage, share):
    """A ring needs a window; each of the four paddings takes its share of the 32 chunkings."""
    config = model(kind, attention, positions, window=3 if storage == "ring" else None)
    parameters = weights(config)
    for number, padding in enumerate(MASKS):
        batch = a_batch(config, padding)
        expected = uncached(config, parameters, batch)
        for chunks in compositions(LENGTH)[2 * number % share :: share]:
            cache = Cache(config, parameters, ROWS, **STORAGES[storage])
            got = in_chunks(config, parameters, batch, chunks, cache)
            np.testing.assert_allclose(got, expected, **TOLERANCE, err_msg=f"{padding} {chunks}")
            assert cache.lengths.tolist() == MASKS[padding].sum(1).tolist()


@pytest.mark.parametrize(
    ("name", "storage"), [(name, own) for name, one in LIST.items() for own in one.storages]
)
def test_every_model_of_the_list_with_its_storages(name, storage):
    config = LIST[name].config(dtype="float64")
    parameters = weights(config)
    length = max(LENGTH, LIST[name].length)
    generator = np.random.default_rng(3)
    batch = batch_of(
        config, generator.integers(0, config.vocabulary, (ROWS, length)),
        np.resize(MASKS["holes"].T, (length, ROWS)).T,
        generator.integers(0, config.vocabulary_of("encoder"), (ROWS, SOURCE)), SOURCE_MASK,
    )  # fmt: skip
    expected = uncached(config, parameters, batch)
    for chunks in ((length,), (1,) * length, (length - 3, 1, 2), (2, length - 2)):
        cache = Cache(config, parameters, ROWS, **OPTIONS[storage])
        got = in_chunks(config, parameters, batch, chunks, cache)
        np.testing.assert_allclose(got, expected, **TOLERANCE, err_msg=str(chunks))


def test_float32_stays_float32():
    config = model("encoder-decoder", "gqa", "rotary", dtype="float32")
    parameters = weights(config)
    batch = a_batch(config, "left")
    got = in_chunks(config, parameters, batch, (3, 2, 1), Cache(config, parameters, ROWS))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, uncached(config, parameters, batch), atol=1e-4)


def test_the_last_real_position_alone_is_asked_for_in_generation():
    config = model("decoder-only", "mha", "learned")
    parameters = weights(config)
    batch = a_batch(config, "right")
    expected = uncached(config, parameters, batch)
    got = step(config, parameters, batch).logits
    assert got.shape == (ROWS, 1, VOCABULARY)
    np.testing.assert_allclose(got[0, 0], expected[0, 5], **TOLERANCE)
    np.testing.assert_allclose(got[1, 0], expected[1, 3], **TOLERANCE)


def test_junk_in_padding_changes_nothing_bit_for_bit():
    config = model("encoder-decoder", "gqa", "sinusoidal")
    parameters = weights(config)
    batch = a_batch(config, "holes")
    other = Batch(
        np.where(SOURCE_MASK, batch.ids, 3), np.where(MASKS["holes"], batch.decoder_ids, 7),
        mask=SOURCE_MASK, decoder_mask=MASKS["holes"],
    )  # fmt: skip
    pair = [
        in_chunks(config, parameters, one, (2, 3, 1), Cache(config, parameters, ROWS))
        for one in (batch, other)
    ]
    real = MASKS["holes"]
    assert np.array_equal(pair[0][real], pair[1][real])
    assert not np.array_equal(pair[0], pair[1])  # the junk did differ


@pytest.mark.parametrize("kind", MODELS)
def test_a_cached_call_never_alters_a_later_uncached_one(kind):
    config = model(kind, "mqa", "rotary")
    parameters = weights(config)
    batch = a_batch(config, "left")
    before = uncached(config, parameters, batch)
    in_chunks(config, parameters, batch, (4, 2), Cache(config, parameters, ROWS))
    assert np.array_equal(uncached(config, parameters, batch), before)
