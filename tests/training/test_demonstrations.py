"""The three demonstrations show what they claim, with numbers."""

import dataclasses

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.config import Config
from numtx.errors import TrainingError
from numtx.examples.registry import load_example
from numtx.model import forward
from numtx.parameters import initialise
from numtx.training.demonstrations import (
    exposure_bias,
    forced_score,
    free_score,
    gradient_depth,
)
from numtx.training.peeking import counting_task, followed, own_task, peeking
from numtx.training.text import depth_text, exposure_text, peeking_text


@pytest.fixture(scope="module")
def weather():
    return load_example("weather")


def test_the_first_word_is_the_same_forced_and_free(weather):
    config, parameters = weather.config, weather.parameters
    batch = dataclasses.replace(weather.batch, labels=[[3, *[-100] * 6]])
    forced, free = (f(config, parameters, batch) for f in (forced_score, free_score))
    assert forced.words == free.words == 1
    assert forced.loss == pytest.approx(free.loss, rel=1e-12)
    loss = forward(config, parameters, weather.batch)[0].loss
    assert forced_score(config, parameters, weather.batch).loss == pytest.approx(float(loss))


def test_exposure_bias(weather):
    table = exposure_bias(weather.config, weather.parameters, weather.batch, (20, 100, 700))
    assert [row.step for row in table] == [20, 100, 700]
    assert all(row.forced.words == 7 and row.stumbled.words == 9 * 6 for row in table)
    last = table[-1]
    assert last.forced.loss < 0.05 and last.forced.right == last.free.right == 7
    assert last.stumbled.loss > 5 * last.free.loss and last.stumbled.share < 1
    assert max(row.free.loss - row.forced.loss for row in table) > 0.01
    assert "7/7" in exposure_text(table, "en", 100)


def test_without_the_mask_a_model_copies_and_collapses():
    task = counting_task(seed=1)
    masked, open_ = peeking(task, 300)
    assert masked.causal and not open_.causal
    assert task.best is not None
    assert task.best < masked.forced.loss < 1.15 * task.best  # as good as can be
    assert open_.forced.loss < 0.5 * task.best  # better than can be: it saw the answer
    assert masked.free.share == 1.0 and masked.given == masked.wanted
    assert open_.free.share < 0.5 and open_.free.loss > 3 * masked.free.loss
    assert open_.followed > 0.9 and masked.followed < 0.1
    text = peeking_text([masked, open_], "title", None, task.best)
    assert "smallest loss without peeking" in text and "56/56" in text


def test_with_the_mask_nothing_can_be_followed(weather):
    task = own_task(weather.config, weather.parameters, weather.batch)
    for causal, most in ((True, 0.5), (False, 1.0)):
        config = dataclasses.replace(weather.config, causal=causal)
        assert 0 <= followed(config, weather.parameters, task.test) <= most
    config = Config(model="decoder-only", width=4, decoder_layers=1, hidden=4, vocabulary=5)
    batch = Batch([[0, 1, 2]], labels=[[1, 2, 3]])
    parameters = initialise(config, 0)
    # One fixed prediction per place is met by at most one of the four wrong words.
    assert followed(config, parameters, batch) <= 1 / 4


def test_gradients_by_depth(weather):
    table = gradient_depth(weather.config, weather.batch, layers=6, steps=5)
    with_residual, without = table
    assert with_residual.residual and not without.residual
    assert len(with_residual.norms) == len(without.norms) == 7
    assert all(norm > 1e-4 for norm in with_residual.norms)
    assert without.norms[0] < 1e-12 * without.norms[-1]
    assert np.isfinite(without.loss_after)
    text = depth_text(table, 5, "en")
    assert text.index("after block 5") < text.index("after block 0") < text.index("\ninput")


@pytest.mark.parametrize("place", ["post", "pre"])
@pytest.mark.parametrize("norm", ["layer", None])
def test_depth_of_every_wiring(place, norm):
    config = Config(
        model="encoder-only", width=4, encoder_layers=1, hidden=6, vocabulary=7,
        norm=norm, norm_place=place,
    )  # fmt: skip
    table = gradient_depth(config, Batch([[1, 2, 3]], labels=[[4, 5, 6]]), layers=3, steps=1)
    assert [len(column.norms) for column in table] == [4, 4]
    assert min(table[0].norms) > 0 and table[1].norms[-1] > 0


def test_an_encoder_alone_never_runs_freely():
    config = Config(model="encoder-only", width=4, encoder_layers=1, hidden=6, vocabulary=7)
    batch = Batch([[1, 2]], labels=[[1, 2]])
    with pytest.raises(TrainingError, match="needs a decoder"):
        exposure_bias(config, initialise(config), batch, (1,))
    with pytest.raises(TrainingError, match="needs a decoder"):
        peeking(own_task(config, initialise(config), batch), 1)
