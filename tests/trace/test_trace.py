"""A recorded run and the names of its tokens."""

from __future__ import annotations

import numpy as np

from numtx import Batch, Config, initialise, load_example, record, record_generation
from numtx.sequences import pad

CONFIG = Config(model="decoder-only", width=6, decoder_layers=1, heads=2, hidden=5, vocabulary=7)


def test_names_follow_the_tokens_that_are_held():
    example = load_example("weather")
    plain = example.trace()
    ids = plain["encoder.tokens"].copy()
    ids[0, 3] = example.vocabularies["encoder"]["很"]
    held = example.trace(pins={"encoder.tokens": ids})
    wanted = list(plain.tokens["encoder"][0])
    wanted[3] = "很"
    assert held.tokens["encoder"] == [wanted]
    for side in ("decoder", "labels"):  # the loss's labels stay
        assert held.tokens[side] == plain.tokens[side]
    labels = plain["labels"].copy()
    labels[0, 0] = example.vocabularies["decoder"]["很"]
    held = example.trace(pins={"labels": labels})
    assert held.tokens["labels"][0][0] == "很"
    assert held.tokens["decoder"] == plain.tokens["decoder"]


def test_where_names_are_the_caller_s_a_held_token_is_named_by_its_id():
    parameters, batch = initialise(CONFIG), Batch([[1, 2, 3]])
    pins = {"decoder.tokens": np.array([[1, 6, 3]])}
    assert record(CONFIG, parameters, batch, pins=pins).tokens["decoder"] == [["1", "6", "3"]]
    given = {"decoder": [["a", "b", "c"]]}
    named = record(CONFIG, parameters, batch, pins=pins, tokens=given)
    assert named.tokens["decoder"] == [["a", "6", "c"]]
    assert record(CONFIG, parameters, batch, tokens=given).tokens["decoder"] == [["a", "b", "c"]]


def test_names_in_a_generation_follow_too():
    parameters = initialise(CONFIG)
    ids, mask = pad([[1, 2, 3], [4, 5]], side="left")
    words = [f"w{i}" for i in range(7)]
    pins = {"prefill.decoder.tokens": np.array([[1, 6, 3], [0, 4, 6]])}
    _, trace = record_generation(
        CONFIG, parameters, Batch(ids, mask=mask), max_new_tokens=2, pins=pins, vocabulary=words
    )
    assert trace.tokens["prefill.decoder"] == [["w1", "w6", "w3"], ["w0", "w4", "w6"]]
    assert trace.tokens["prefill.last"] == [["w3"], ["w6"]]
    assert [row[:3] for row in trace.tokens["decode.0.decoder.all"]] == [
        ["w1", "w6", "w3"], ["w0", "w4", "w6"],
    ]  # fmt: skip
