from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import VARIANTS, random_parameters

from numtx import Batch, Config, forward, pad, record
from numtx.batch import check_batch, count_positions
from numtx.errors import BatchError, MaskError, NumtxError

CONFIG = Config(**VARIANTS["encoder-decoder"])
LEARNED = Config(**VARIANTS["two vocabularies, learned positions, pre-norm"])
SEGMENTED = Config(**VARIANTS["encoder, segments, embedding norm"])
DECODER = Config(**VARIANTS["decoder, rotary, grouped, gated"])

GOOD: dict[str, Any] = {
    "ids": [[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]],
    "decoder_ids": [[1, 2, 3], [4, 5, 0]],
    "labels": [[2, 3, 10], [5, 0, -100]],
}


def refused(config: Config = CONFIG, kind: type[NumtxError] = BatchError, **changes: Any) -> str:
    fields = GOOD if config.model == "encoder-decoder" else {"ids": GOOD["ids"]}
    with pytest.raises(kind) as caught:
        forward(config, random_parameters(config), Batch(**{**fields, **changes}))
    assert type(caught.value) is kind and "\n" not in str(caught.value)
    return str(caught.value)


def test_everything_becomes_arrays_of_int64():
    inputs = check_batch(CONFIG, Batch(**GOOD))
    encoder, decoder = inputs.sides["encoder"], inputs.sides["decoder"]
    assert list(inputs.sides) == ["encoder", "decoder"]
    assert encoder.ids.dtype == np.int64 and encoder.ids.shape == (2, 5)
    assert encoder.valid.all() and encoder.valid.dtype == bool
    assert decoder.positions.tolist() == [[0, 1, 2]] * 2
    assert inputs.labels.tolist() == GOOD["labels"] and encoder.segments is None


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint64"])
def test_every_whole_number_type_serves(dtype):
    """int8 holds no -1 + 256, uint8 no -1: ids are int64 before anybody counts with them."""
    got = check_batch(CONFIG, Batch(**{**GOOD, "ids": np.array(GOOD["ids"], dtype)}))
    assert got.sides["encoder"].ids.dtype == np.int64
    assert got.sides["encoder"].ids.tolist() == GOOD["ids"]
    learned = {**GOOD, "positions": np.array([[0, 1, 2, 3, 4]] * 2, dtype)}
    assert check_batch(LEARNED, Batch(**learned)).sides["encoder"].positions.dtype == np.int64


def test_the_caller_s_arrays_are_neither_changed_nor_kept():
    ids, mask = np.array(GOOD["ids"]), np.ones((2, 5), bool)
    side = check_batch(CONFIG, Batch(**{**GOOD, "ids": ids, "mask": mask})).sides["encoder"]
    ids[0, 0], mask[0, 0] = 9, False
    assert side.ids[0, 0] == 1 and side.valid[0, 0]
    assert ids.flags.writeable and mask.flags.writeable


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([[1, 2, -1, 4, 5]] * 2, "ids[0,2] is -1; it should be 0 to 10"),
        ([[1, 2, 3, 4, 5], [1, 2, 3, 11, 5]], "ids[1,3] is 11; it should be 0 to 10"),
        (np.full((2, 5), -100), "ids[0,0] is -100"),
        (np.ones((2, 5)), "ids is float64 (2, 5); whole numbers"),
        (np.ones((2, 5), bool), "ids is bool (2, 5); whole numbers"),
        ([["a", "b"]] * 2, "whole numbers"),
        ([[None, 1]] * 2, "whole numbers"),
        ([[1, 2, 3], [1, 2]], "ids: the rows have different lengths; pad them"),
        ([], "ids is empty, shape (0,)"),
        ([[], []], "ids is empty, shape (2, 0)"),
        ([1, 2, 3], "ids has 1 axes, shape (3,)"),
        (3, "ids has 0 axes"),
        (np.zeros((1, 2, 3), int), "ids has 3 axes, shape (1, 2, 3)"),
        (np.full((2, 5), 2**64 - 1, np.uint64), "too large for a token id"),
        (None, "ids is missing; the encoder needs token ids"),
        ([[1, 2, 3]], "ids has 1 rows and decoder_ids 2"),
    ],
    ids=str,
)
def test_bad_ids(ids, says):
    assert says in refused(ids=ids)


def test_bad_ids_of_the_decoder_are_named_as_such():
    assert "decoder_ids[1,0] is 11" in refused(decoder_ids=[[1, 2, 3], [11, 0, 0]])
    assert "decoder_ids is missing; the decoder" in refused(decoder_ids=None)
    assert "0 to 8" in refused(LEARNED, ids=[[9, 1, 1, 1, 1]] * 2)  # the source's own vocabulary


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([[1, 2, 11], [1, 2, 3]], "labels[0,2] is 11; it should be 0 to 10, or -100 to ignore"),
        ([[1, 2, -1], [1, 2, 3]], "labels[0,2] is -1"),
        ([[1, 2], [1, 2]], "labels has shape (2, 2); it should be (2, 3)"),
        ([[-100] * 3] * 2, "labels: every position is ignored"),
        (np.ones((2, 3)), "labels is float64"),
    ],
    ids=str,
)
def test_bad_labels(labels, says):
    assert says in refused(labels=labels)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.ones((2, 5), int), "mask is int64 (2, 5); a mask is boolean"),
        (np.zeros((2, 5)), "mask is float64 (2, 5); a mask is boolean"),
        ([[1, 1, 1, 1, 0]] * 2, "mask is int64"),
        (np.ones(5, bool), "mask has shape (5,); it should be (2, 5)"),
        (np.ones((5, 2), bool), "mask has shape (5, 2)"),
        (np.ones((1, 5), bool), "mask has shape (1, 5)"),
        ([[True] * 5, [False] * 5], "mask: row 1 has no real token; drop the row"),
    ],
    ids=str,
)
def test_bad_masks(mask, says):
    assert says in refused(kind=MaskError, mask=mask)


def test_a_square_batch_does_not_hide_a_mask_of_one_axis():
    fields = {"ids": np.ones((3, 3), int), "decoder_ids": np.ones((3, 3), int)}
    assert "(3,)" in refused(kind=MaskError, **fields, labels=None, mask=np.ones(3, bool))


def test_a_mask_of_the_decoder_is_named():
    assert "decoder_mask has shape (2, 5)" in refused(
        kind=MaskError, decoder_mask=np.ones((2, 5), bool)
    )


def test_positions_are_counted_over_real_tokens():
    valid = np.array([[0, 0, 1, 1, 1], [1, 1, 0, 1, 0]], bool)
    assert count_positions(valid).tolist() == [[0, 0, 0, 1, 2], [0, 1, 1, 2, 2]]
    side = check_batch(CONFIG, Batch(**GOOD, mask=valid)).sides["encoder"]
    assert side.positions.tolist() == [[0, 0, 0, 1, 2], [0, 1, 1, 2, 2]]


def test_positions_of_the_caller():
    given = [[4, 3, 2, 1, 0], [0, 0, 0, 0, 6]]
    side = check_batch(LEARNED, Batch(**GOOD, positions=given)).sides["encoder"]
    assert side.positions.tolist() == given
    assert "positions has -1" in refused(positions=[[-1, 0, 1, 2, 3]] * 2)
    assert "positions has shape (2, 3)" in refused(positions=[[0, 1, 2]] * 2)
    assert "decoder_positions is float64" in refused(decoder_positions=np.ones((2, 3)))
    past = refused(LEARNED, positions=[[0, 1, 2, 3, 7]] * 2)
    assert "position 7 lies past the learned table of 7" in past
    assert "position 7" in refused(LEARNED, ids=np.ones((2, 8), int))


def test_segments():
    ids = GOOD["ids"]
    side = check_batch(SEGMENTED, Batch(ids)).sides["encoder"]
    assert side.segments.tolist() == [[0] * 5] * 2
    given = [[0, 0, 1, 1, 1]] * 2
    got = check_batch(SEGMENTED, Batch(ids, segments=given)).sides["encoder"].segments
    assert got.tolist() == given
    assert "segments[0,4] is 2; it should be 0 to 1" in refused(
        SEGMENTED, segments=[[0, 0, 1, 1, 2]] * 2
    )
    assert "segments has shape (1, 5)" in refused(SEGMENTED, segments=[[0] * 5])
    assert "segments given to a model without segments" in refused(segments=given)


@pytest.mark.parametrize(
    "name", ["decoder_ids", "decoder_mask", "decoder_positions", "decoder_segments"]
)
def test_a_single_stack_has_no_decoder_fields(name):
    says = refused(DECODER, **{name: [[1, 2, 3, 4, 5]] * 2})
    assert f"{name} given to a model that is decoder-only" in says


@pytest.mark.parametrize("name", VARIANTS)
def test_a_pin_of_token_ids_is_held_to_the_vocabulary(name):
    config = Config(**VARIANTS[name])
    parameters = random_parameters(config)
    decoder = [[2, 1]] if config.model == "encoder-decoder" else None
    labels = [[1, 2]] if decoder else [[1, 2, 3]]
    batch = Batch([[1, 2, 3]], decoder, None if config.head is None else labels)
    for side in config.sides:
        length = 2 if decoder and side == "decoder" else 3
        size = config.vocabulary_of(side)
        for wrong in (size, -1, size + 90):
            pin = np.full((1, length), 1)
            pin[0, -1] = wrong
            with pytest.raises(BatchError, match=rf"^{side}.tokens\[0,{length - 1}\] is {wrong}; "):
                record(config, parameters, batch, pins={f"{side}.tokens": pin})
        pin[0, -1] = size - 1
        record(config, parameters, batch, pins={f"{side}.tokens": pin})
    if config.head is None:
        return
    pin = np.array(labels)
    pin[0, 0] = config.vocabulary
    with pytest.raises(BatchError, match=rf"^labels\[0,0\] is {config.vocabulary}; .*-100"):
        record(config, parameters, batch, pins={"labels": pin})
    with pytest.raises(BatchError, match="every position is ignored"):
        record(config, parameters, batch, pins={"labels": np.full_like(pin, -100)})


def test_rows_of_different_lengths_are_told_what_to_do():
    rows = [[1], [2, 3]]
    with pytest.raises(BatchError, match=r"numtx\.pad does both"):
        check_batch(Config(**VARIANTS["bare"]), Batch(rows))
    ids, mask = pad(rows)
    assert check_batch(Config(**VARIANTS["bare"]), Batch(ids, mask=mask))
