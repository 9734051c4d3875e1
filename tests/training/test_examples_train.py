"""Every example learns its sentence with the default settings, within seconds."""

import pytest
from samples import some

from numtx.examples.registry import EXAMPLES, load_example
from numtx.training.greedy import answers
from numtx.training.loop import train
from numtx.training.recipe import Recipe
from numtx.training.run import Run

NAMES = ("weather", "translation", "letters", "cat", "padding", "concatenated", "masked")
TRAINED = [name for name in NAMES if name in EXAMPLES]


def learns(name, seed):
    example = load_example(name, seed=seed)
    run = train(Run(example.config, example.parameters), example.batch, 1000)
    assert run.losses[-1] < 0.05
    found = answers(example.config, run.parameters, example.batch)
    assert found and all(answer.given == answer.wanted for answer in found), found


@pytest.mark.parametrize("name", some(1, __name__, TRAINED))
def test_an_example_learns(name):
    learns(name, 0)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_an_example_learns_from_other_seeds(name, seed):
    learns(name, seed)


def test_one_step_of_the_document_lowers_the_loss_of_weather():
    example = load_example("weather")
    run = Run(example.config, example.parameters, Recipe(optimiser="sgd"))
    assert run.recipe.rate(1, run.config) == 0.001
    train(run, example.batch, 2)
    assert run.losses[1] < run.losses[0]
