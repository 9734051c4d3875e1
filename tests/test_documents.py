"""Documents in a row: each is what it is alone, in values and gradients."""

from __future__ import annotations

import json

import numpy as np
import pytest
from samples import config_of, random_parameters, some

from numtx import Batch, next_tokens
from numtx.batch import count_positions
from numtx.cache import Cache
from numtx.check.verify import verify
from numtx.cli import main
from numtx.errors import BatchError
from numtx.models import MODELS
from numtx.ops.loss import IGNORED
from numtx.step import step
from numtx.trace.files import load_trace, save_trace
from numtx.trace.trace import record

IDS = np.array([[3, 1, 4, 1, 5, 2], [2, 7, 1, 8, 2, 8]])
NUMBERS = np.array([[0, 0, 0, 1, 1, 1], [5, 5, 2, 2, 2, 2]])
SOURCE = np.array([[6, 2, 3, 1], [1, 4, 2, 2]])
SOURCE_NUMBERS = np.array([[0, 1, 1, 1], [5, 5, 5, 2]])
PACKABLE = [
    name for name in MODELS if config_of(name).depth < 6 and config_of(name).head is not None
]


def loss_weights(trace):
    """What makes a sum of the loss: so that losses of parts can be added."""
    if trace.config.loss_reduction == "sum":
        return 1.0
    return float((trace["labels"] != IGNORED).sum())


@pytest.mark.parametrize("name", some(6, __name__, PACKABLE))
def test_documents_in_a_row_are_each_alone(name):
    config = config_of(name)
    parameters, both = random_parameters(config), len(config.sides) == 2
    labels = next_tokens(IDS, documents=NUMBERS)
    batch = Batch(IDS, documents=NUMBERS, labels=labels)
    if both:
        batch = Batch(SOURCE, IDS, labels, documents=SOURCE_NUMBERS, decoder_documents=NUMBERS)
    together = record(config, parameters, batch)
    gradients, counted = {}, loss_weights(together)
    for row, number in ((0, 0), (0, 1), (1, 5), (1, 2)):
        part = NUMBERS[row] == number
        own = [array[[row]][:, part] for array in (IDS, labels)]
        one = Batch(own[0], labels=own[1])
        if both:
            source = SOURCE[[row]][:, SOURCE_NUMBERS[row] == number]
            one = Batch(source, own[0], own[1])
        alone = record(config, parameters, one)
        np.testing.assert_allclose(
            together["logits"][row, part], alone["logits"][0], rtol=0, atol=1e-12
        )
        for key in parameters:
            share = alone.grad(f"parameters/{key}") * (loss_weights(alone) / counted)
            gradients[key] = gradients.get(key, 0.0) + share
    for key, gradient in gradients.items():
        found = together.grad(f"parameters/{key}")
        np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-12, err_msg=key)


def test_labels_do_not_cross_a_border_or_reach_into_padding():
    mask = [[1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1]]
    found = next_tokens(IDS, np.array(mask, bool), NUMBERS)
    assert found.tolist() == [[1, 4, -100, 5, -100, -100], [-100, -100, 8, 2, 8, -100]]
    assert next_tokens([[1, 2, 3]]).tolist() == [[2, 3, -100]]


def test_positions_count_anew_in_each_document():
    valid = np.array([[False, True, True, True, True, False]])
    numbers = np.array([[4, 4, 4, 1, 1, 1]])
    assert count_positions(valid, None, numbers).tolist() == [[0, 0, 1, 0, 1, 1]]


def test_a_trace_of_them_is_whole(tmp_path):
    config = config_of("decoder, rotary, grouped, gated")
    batch = Batch(IDS, documents=NUMBERS, labels=next_tokens(IDS, documents=NUMBERS))
    trace = record(config, random_parameters(config), batch)
    assert verify(trace).ok
    save_trace(trace, tmp_path / "a.npz")
    again = load_trace(tmp_path / "a.npz")
    assert (
        verify(again).ok and again.inputs["inputs/decoder.documents"].tolist() == NUMBERS.tolist()
    )
    assert "of the same document" in again.graph["decoder.0.self_attention.mask"].formula
    name = "decoder.0.self_attention.mask"
    wrong = again.values[name].copy()
    wrong[0, 0, 4, 0] = True  # a token of the document before
    again.values[name] = wrong
    assert not verify(again).ok


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (Batch(IDS, documents=NUMBERS[:1]), "documents has shape (1, 6); it should be (2, 6)"),
        (Batch(IDS, documents=NUMBERS * 0.5), "whole numbers are needed"),
        (Batch(IDS, decoder_documents=NUMBERS), "decoder_documents given to a model that is"),
    ],
)
def test_bad_documents_are_one_line(batch, told):
    config = config_of("decoder, rotary, grouped, gated")
    with pytest.raises(BatchError) as caught:
        record(config, random_parameters(config), batch)
    assert told in str(caught.value)


def test_one_side_alone_and_a_step_are_refused():
    config = config_of("encoder-decoder")
    with pytest.raises(BatchError, match="documents and decoder_documents go together"):
        record(config, random_parameters(config), Batch(IDS, IDS, documents=NUMBERS))
    config = config_of("decoder, rotary, grouped, gated")
    parameters = random_parameters(config)
    with pytest.raises(BatchError, match="documents given to a step of a generation"):
        batch = Batch(IDS, documents=NUMBERS)
        step(config, parameters, batch, Cache(config, parameters, 2))


def test_the_command(tmp_path, capsys):
    config = config_of("decoder, rotary, grouped, gated")
    path = tmp_path / "c.json"
    path.write_text(json.dumps(config.to_dict()))
    options = ["--config", str(path), "--ids", "[3,1,4,1]", "--documents", "[0,0,1,1]"]
    assert main(["trace", *options, "--stage", "*self_attention.mask", "--lang", "en"]) == 0
    assert "of the same document" in capsys.readouterr().out
    assert main(["cell", "decoder.0.self_attention.mask[0,0,2,1]", *options]) == 0
    assert "1 == 0" in capsys.readouterr().out
