"""A training process killed at random moments: its file always loads, and a resumed run ends
like an undisturbed one."""

import random
import time
from pathlib import Path

import pytest
from children import environment, start
from training_checks import same, tiny

from numtx.training.checkpoint import load_run
from numtx.training.loop import train
from numtx.training.recipe import Recipe
from numtx.training.run import Run

STEPS = 250
RECIPE = Recipe(warmup=20, clip=1.0)
HERE = Path(__file__).parent

CHILD = """
import sys
from training_checks import tiny
from numtx.training.loop import train
from numtx.training.recipe import Recipe
from numtx.training.run import Run
config, parameters, batch = tiny()
run = Run(config, parameters, Recipe(warmup=20, clip=1.0))
train(run, batch, int(sys.argv[2]), save=sys.argv[1], save_every=1)
"""


def undisturbed():
    config, parameters, batch = tiny()
    return train(Run(config, parameters, RECIPE), batch, STEPS), batch


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.heavy)])
def test_killed_at_random_moments(kills, tmp_path):
    expected, batch = undisturbed()
    generator = random.Random(7)
    stopped = set()
    for number in range(kills):
        path = tmp_path / f"run{number}.npz"
        child = start("-c", CHILD, str(path), str(STEPS), env=environment(HERE))
        while not path.exists() and child.poll() is None:
            time.sleep(0.001)
        time.sleep(generator.uniform(0.0, 0.4))
        child.kill()
        child.wait()
        run = load_run(path)
        stopped.add(run.step)
        train(run, batch, STEPS)
        same(run, expected)
    assert len(stopped) > 1, "every kill came at the same step"
    assert min(stopped) < STEPS, "no kill came before the end"
    if kills == 50:  # some came while a file was being written
        assert list(tmp_path.glob(".*.tmp"))
