"""Values that are none: one line that names the field, what was got and what is right."""

import dataclasses

import pytest

from numtx.batch import Batch
from numtx.config import Config
from numtx.errors import ConfigError, TrainingError
from numtx.parameters import initialise
from numtx.training.loop import train
from numtx.training.recipe import Recipe
from numtx.training.run import Run

CONFIG = Config(model="decoder-only", width=4, decoder_layers=1, hidden=6, vocabulary=7)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimiser": "adam"}, "optimiser is 'adam'.*sgd, adamw"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0.*above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"clip": True}, "clip is True"),
        ({"decay": -0.1}, "decay is -0.1"),
        ({"warmup": -1}, "warmup is -1"),
        ({"warmup": 1.5}, "warmup is 1.5"),
        ({"seed": -3}, "seed is -3"),
    ],
)
def test_a_recipe_that_is_none(fields, words):
    with pytest.raises(TrainingError, match=words) as caught:
        Recipe(**fields)
    assert "\n" not in str(caught.value)


def test_an_unknown_field():
    with pytest.raises(TrainingError, match=r"'optimizer'.*did you mean 'optimiser'"):
        Recipe.from_dict({"optimizer": "sgd"})


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0])
def test_label_smoothing_out_of_range(smoothing):
    with pytest.raises(ConfigError, match="label_smoothing"):
        Config(
            model="decoder-only", width=4, decoder_layers=1, hidden=6, vocabulary=7,
            label_smoothing=smoothing,
        )  # fmt: skip


def test_a_run_without_batches_labels_or_way_to_go():
    run = Run(CONFIG, initialise(CONFIG))
    with pytest.raises(TrainingError, match="no batch"):
        train(run, [], 1)
    with pytest.raises(TrainingError, match="no labels"):
        train(run, Batch([[1, 2]]), 1)
    train(run, Batch([[1, 2]], labels=[[2, 3]]), 2)
    with pytest.raises(TrainingError, match="steps is 1 and the run has taken 2"):
        train(run, Batch([[1, 2]], labels=[[2, 3]]), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_keeps_the_type(dtype):
    config = dataclasses.replace(CONFIG, dtype=dtype)
    for recipe in (Recipe(clip=0.1, warmup=3), Recipe(optimiser="sgd")):
        run = train(Run(config, initialise(config), recipe), Batch([[1, 2]], labels=[[2, 3]]), 4)
        assert run.weights.dtype == dtype
        assert all(moment.dtype == dtype for moment in run.moments.values())
        assert run.losses[-1] < run.losses[0]
