"""Whatever the model and however a prompt is cut, the cache changes no logit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cache_runs import batch_of, compositions, in_chunks, tokens, uncached
from samples import GENERATING, MODELS, config_of, random_parameters, some

from numtx.cache import Cache
from numtx.models import STORAGES
from numtx.step import step

TOLERANCE = {"rtol": 0.0, "atol": 1e-10}
ROWS, LENGTH, SOURCE = 2, 6, 5

SOURCE_MASK = np.array([[True] * 5, [True, True, True, False, False]])
MASKS = {
    "none": np.ones((ROWS, LENGTH), bool),
    "left": np.array([[True] * 6, [False, False, True, True, True, True]]),
    "right": np.array([[True] * 6, [True, True, True, True, False, False]]),
    "holes": np.array([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]], bool),
}  # fmt: skip


def a_batch(config, padding, length=LENGTH):
    """Random tokens, with segments where the model has them."""
    mask = np.resize(MASKS[padding].T, (length, ROWS)).T
    batch = batch_of(
        config, tokens(config, ROWS, length, 3), mask,
        tokens(config, ROWS, SOURCE, 4, "encoder"), SOURCE_MASK,
    )  # fmt: skip
    if not config.segments:
        return batch
    both = len(config.sides) == 2
    segments = {"decoder_segments" if both else "segments": np.resize([0, 1, 1], mask.shape)}
    if both:
        segments["segments"] = np.resize([1, 0], SOURCE_MASK.shape)
    return replace(batch, **segments)


@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.heavy, id="heavy")])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", some(8, __name__, GENERATING))
def test_any_chunking_of_any_padding_is_one_full_pass(name, storage, share):
    """A ring needs a window; each of the four paddings takes its share of the 32 chunkings."""
    config = config_of(name)
    if storage == "ring" and config.widest_window is None:
        config = config_of(name, window=3, chunk=None)
    parameters = random_parameters(config)
    for number, padding in enumerate(MASKS):
        batch = a_batch(config, padding)
        expected = uncached(config, parameters, batch)
        for chunks in compositions(LENGTH)[2 * number % share :: share]:
            cache = Cache(config, parameters, ROWS, **STORAGES[storage])
            got = in_chunks(config, parameters, batch, chunks, cache)
            np.testing.assert_allclose(got, expected, **TOLERANCE, err_msg=f"{padding} {chunks}")
            assert cache.lengths.tolist() == MASKS[padding].sum(1).tolist()


@pytest.mark.parametrize(
    ("name", "storage"), [(name, own) for name in GENERATING for own in MODELS[name].storages]
)
def test_every_model_of_the_list_with_its_storages(name, storage):
    """Rows as long as the list says."""
    config = config_of(name)
    parameters = random_parameters(config)
    length = max(LENGTH, MODELS[name].length)
    batch = a_batch(config, "holes", length)
    expected = uncached(config, parameters, batch)
    for chunks in ((length,), (1,) * length, (length - 3, 1, 2), (2, length - 2)):
        cache = Cache(config, parameters, ROWS, **STORAGES[storage])
        got = in_chunks(config, parameters, batch, chunks, cache)
        np.testing.assert_allclose(got, expected, **TOLERANCE, err_msg=str(chunks))


@pytest.mark.parametrize("name", GENERATING)
def test_float32_stays_float32(name):
    config = config_of(name, dtype="float32")
    parameters = random_parameters(config)
    batch = a_batch(config, "left")
    got = in_chunks(config, parameters, batch, (3, 2, 1), Cache(config, parameters, ROWS))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, uncached(config, parameters, batch), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", GENERATING)
def test_the_last_real_position_alone_is_asked_for_in_generation(name):
    config = config_of(name)
    parameters = random_parameters(config)
    batch = a_batch(config, "right")
    expected = uncached(config, parameters, batch)
    got = step(config, parameters, batch).logits
    assert got.shape == (ROWS, 1, config.vocabulary)
    np.testing.assert_allclose(got[0, 0], expected[0, 5], **TOLERANCE)
    np.testing.assert_allclose(got[1, 0], expected[1, 3], **TOLERANCE)


@pytest.mark.parametrize("name", GENERATING)
def test_what_stands_in_padding_changes_nothing_bit_for_bit(name):
    config = config_of(name)
    parameters = random_parameters(config)
    batch, real = a_batch(config, "holes"), MASKS["holes"]
    own = "decoder_ids" if len(config.sides) == 2 else "ids"
    moved = (getattr(batch, own) + 3) % config.vocabulary
    other = {own: np.where(real, getattr(batch, own), moved)}
    if len(config.sides) == 2:
        other["ids"] = np.where(SOURCE_MASK, batch.ids, 3)
    pair = [
        in_chunks(config, parameters, one, (2, 3, 1), Cache(config, parameters, ROWS))
        for one in (batch, replace(batch, **other))
    ]
    assert np.array_equal(pair[0][real], pair[1][real])
    assert not np.array_equal(pair[0], pair[1])  # padding itself did differ
