"""Greedy output: the plain loop against a forward pass by hand, prompts, padding, the end."""

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.config import Config
from numtx.model import forward
from numtx.parameters import initialise
from numtx.training.greedy import answers, predictions, rows, run_freely

DECODER = Config(model="decoder-only", width=8, decoder_layers=1, hidden=6, vocabulary=11)


def test_a_prompt_ends_at_the_first_counted_label():
    batch = Batch(
        [[3, 4, 9, 5, 6], [7, 9, 8, 0, 0]],
        labels=[[-100, -100, 5, 6, 2], [-100, 8, 2, -100, -100]],
        mask=[[True] * 5, [True] * 3 + [False] * 2],
    )
    found = rows(DECODER, batch)
    assert [(row.prompt, row.targets) for row in found] == [
        ([3, 4, 9], [5, 6, 2]),
        ([7, 9], [8, 2]),
    ]


def test_running_freely_is_the_loop_by_hand():
    parameters = initialise(DECODER, 4)
    row = rows(DECODER, Batch([[3, 4, 9, 5, 6]], labels=[[-100, 1, 1, 1, 1]]))[0]
    tokens = [3, 4]
    for _ in range(4):
        logits = forward(DECODER, parameters, Batch([tokens]))[0].logits
        tokens.append(int(logits[0, len(tokens) - 1].argmax()))
    assert run_freely(DECODER, parameters, row) == tokens[2:]
    assert len(set(tokens[2:])) > 1  # the model writes different words, so order is seen
    stopped = run_freely(DECODER, parameters, row, eos=tokens[3])
    assert stopped == tokens[2 : tokens.index(tokens[3], 2) + 1]


@pytest.mark.parametrize("left", [False, True])
def test_padding_does_not_change_what_is_written(left):
    config = Config(width=8, encoder_layers=1, decoder_layers=1, hidden=6, vocabulary=11)
    parameters = initialise(config, 1)
    alone = rows(config, Batch([[3, 4, 5]], [[1, 6]], [[6, 2]]))[0]
    ids, mask = [[3, 4, 5, 0, 0], [7, 7, 8, 9, 2]], [[1, 1, 1, 0, 0], [1] * 5]
    if left:
        ids[0], mask[0] = ids[0][3:] + ids[0][:3], mask[0][::-1]
    batch = Batch(ids, [[1, 6, 0], [1, 5, 4]], [[6, 2, -100], [5, 4, 2]], mask=np.array(mask) == 1)
    padded = rows(config, batch)[0]
    assert padded.prompt == alone.prompt and padded.targets == alone.targets
    assert run_freely(config, parameters, padded) == run_freely(config, parameters, alone)


def test_more_words_than_a_byte_counts_and_the_first_of_equals():
    config = Config(model="decoder-only", width=8, decoder_layers=1, hidden=6, vocabulary=700)
    parameters = initialise(config, 4)
    parameters["output.b"] = np.where(np.arange(700) < 300, -20.0, 0.0)
    batch = Batch([[3, 4, 699]], labels=[[1, 1, 1]])
    logits = forward(config, parameters, batch)[0].logits
    expected = [[max(range(700), key=row.__getitem__) for row in logits[0].tolist()]]
    assert predictions(config, parameters, batch).tolist() == expected and min(expected[0]) >= 300
    assert run_freely(config, parameters, rows(config, batch)[0])[0] == expected[0][0]
    parameters["output.w"][:], parameters["output.b"][:] = 0.0, 0.0
    assert predictions(config, parameters, batch).tolist() == [[0, 0, 0]]


def test_an_encoder_answers_where_there_are_labels():
    config = Config(model="encoder-only", width=8, encoder_layers=1, hidden=6, vocabulary=11)
    parameters = initialise(config, 1)
    batch = Batch([[3, 4, 5], [6, 7, 8]], labels=[[-100, 9, -100], [10, -100, 1]])
    best = predictions(config, parameters, batch)
    found = answers(config, parameters, batch)
    assert [answer.wanted for answer in found] == [[9], [10, 1]]
    assert [answer.given for answer in found] == [[best[0, 1]], [best[1, 0], best[1, 2]]]
