"""Models, weights and batches that several tests share, and central differences."""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pytest

import numtx.stages
from numtx import Config
from numtx.batch import Batch, count_positions
from numtx.decoding.record import record_generation
from numtx.models import MODELS
from numtx.parameters import parameter_shapes
from numtx.stages.leaf import Leaf
from numtx.trace.trace import Trace, record

WEATHER: dict[str, Any] = {
    "width": 4, "encoder_layers": 2, "decoder_layers": 2, "hidden": 16, "vocabulary": 10,
    "position_base": 100.0, "biases": ("b_in", "b_out", "norm.bias"),
}  # fmt: skip

VARIANTS: dict[str, dict[str, Any]] = {name: model.fields for name, model in MODELS.items()}

# Which part of the models dear tests take. It changes by the day, in CI it does not.
CI = os.environ.get("NUMTX_PROFILE") == "ci"
DRAW = int(os.environ.get("NUMTX_DRAW") or (0 if CI else date.today().toordinal()))


def some(
    count: int, where: str, among: Iterable[Any] = tuple(MODELS), always: Iterable[str] = ()
) -> list[Any]:
    """Names of models, or other values, for `parametrize`: a drawn part of them; the others are
    heavy.

    where   the test that asks, for each has a part of its own: its `__name__`
    always  names that are tried each time, too
    """
    names = list(among)
    drawn = random.Random(f"{DRAW} {where}").sample(names, min(count, len(names)))
    marks = {name: () if name in drawn else pytest.mark.heavy for name in names}
    return [
        *(pytest.param(name, id=name) for name in always),
        *(
            pytest.param(name, id=name, marks=marks[name])
            if isinstance(name, str)
            else pytest.param(*name, id="-".join(name), marks=marks[name])
            for name in names
        ),
    ]


def part(count: int, where: str, values: Iterable[Any]) -> list[Any]:
    """Values of any kind for `parametrize`, as many of them drawn as `some` does; the others are
    heavy. A tuple is one value of each parameter."""
    every = list(values)
    drawn = random.Random(f"{DRAW} {where}").sample(range(len(every)), min(count, len(every)))
    sets = [value if isinstance(value, tuple) else (value,) for value in every]
    return [
        every[k] if k in drawn else pytest.param(*one, marks=pytest.mark.heavy)
        for k, one in enumerate(sets)
    ]


def config_of(name: str, **changes: Any) -> Config:
    """A model of the list, or that of the weather; in float64 unless it is said otherwise."""
    return _config_with(name, changes) if changes else _config_as_listed(name)


@cache
def _config_as_listed(name: str) -> Config:
    return _config_with(name, {})


def _config_with(name: str, changes: dict[str, Any]) -> Config:
    fields = WEATHER if name == "weather" else VARIANTS[name]
    return Config(**{**fields, "dtype": "float64", **changes})


def all_leaves() -> dict[str, Leaf]:
    """Every leaf of every module of the stages, by its name in the source."""
    found: dict[str, Leaf] = {}
    for module in pkgutil.walk_packages(numtx.stages.__path__, "numtx.stages."):
        for name, leaf in vars(importlib.import_module(module.name)).items():
            if isinstance(leaf, Leaf):
                assert found.setdefault(name, leaf) is leaf, f"two leaves are called {name}"
    return found


def among(holds: Callable[[Config], Any]) -> list[str]:
    """Names of the models of the list of whose configuration something holds."""
    found = [name for name in MODELS if holds(config_of(name))]
    assert found, "no model of the list has it"
    return found


def one(holds: Callable[[Config], Any]) -> str:
    """The first of them."""
    return among(holds)[0]


# The models that can go on from a cache.
GENERATING = among(lambda config: "decoder" in config.sides and config.causal)


def random_parameters(config: Any, seed: int = 0) -> dict[str, Any]:
    """Unit-gain matrices, and biases and gains that are not what they start as."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, shape in parameter_shapes(config).items():
        draw = generator.standard_normal(shape)
        if name.endswith("gain"):
            draw = 1.0 + 0.3 * draw
        elif len(shape) == 1:
            draw = 0.3 * draw
        elif ".w_" in name or name == "output.w":
            draw = draw / np.sqrt(shape[0])
        found[name] = draw.astype(config.dtype)
    return found


def _but_dtype(config: Config) -> Config:
    return replace(config, dtype="float64")


ROWS = {
    _but_dtype(model.config()): (model.length, model.first)
    for model in MODELS.values()
    if model[2:] != (5, 0)
}


def weather_batch() -> dict[str, Any]:
    """The fields of a batch for `WEATHER`: one row of seven tokens, ids repeated."""
    return {
        "ids": [[3, 4, 4, 5, 6, 7, 2]],
        "decoder_ids": [[1, 3, 4, 4, 5, 6, 7]],
        "labels": [[3, 4, 4, 5, 6, 7, 2]],
    }


def ragged_batch(
    config: Any, seed: int = 0, padding: str | None = "left", rows: int = 2
) -> dict[str, Any]:
    """The fields of a batch of two rows or more, the second of them padded, with repeated ids and
    an ignored label; five tokens for a single stack, five and three where there are two. A model
    of the list that says so has longer rows, and its positions begin further out.

    padding  left, right, or None: no row is padded
    """
    generator = np.random.default_rng(seed)
    longest, first = ROWS.get(_but_dtype(config), (5, 0))
    fields: dict[str, Any] = {}
    for side in config.sides:
        last = side == config.sides[-1]
        length = longest - 2 if last and len(config.sides) == 2 else longest
        prefix = "decoder_" if side == "decoder" and len(config.sides) == 2 else ""
        shape = rows, length
        ids = generator.integers(0, config.vocabulary_of(side), shape)
        ids[0, 1] = ids[0, 0]
        mask = np.ones(shape, bool)
        mask[1, 0 if padding == "left" else length - 1] = padding is None
        fields[f"{prefix}ids"], fields[f"{prefix}mask"] = ids, mask
        if first:
            fields[f"{prefix}positions"] = count_positions(mask) + first
        if config.segments:
            fields[f"{prefix}segments"] = generator.integers(0, config.segments, shape)
        if last and config.head is not None:
            labels = generator.integers(0, config.vocabulary, shape)
            labels[1] = np.where(mask[1], labels[1], -100)
            labels[0, 1] = -100
            fields["labels"] = labels
    return fields


def central_difference(f: Callable[[Any], float], x: Any, h: float = 1e-5) -> Any:
    """The gradient of f at x, a cell at a time, in float64."""
    x = np.array(x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += h
        behind[index] -= h
        gradient[index] = (f(ahead) - f(behind)) / (2.0 * h)
    return gradient


def assert_close(got: Any, expected: Any, tolerance: float = 1e-7) -> None:
    """Equal up to a tolerance relative to the larger of 1 and what is expected; shapes too."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    error = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    assert error.size == 0 or float(error.max()) <= tolerance, f"off by {error.max()}"


def run_of(name: str, dtype: str = "float64", padding: str = "left", **options: Any) -> Trace:
    """A model of the list, or that of the weather, over a batch of its own, recorded."""
    config = config_of(name, dtype=dtype)
    fields = weather_batch() if name == "weather" else ragged_batch(config, 4, padding)
    if config.head is None:  # no loss: a gradient of what it gives in its place
        options.setdefault("cotangent", np.cos(np.arange(10.0 * config.width)).reshape(2, 5, -1))
    return record(config, random_parameters(config, 3), Batch(**fields), **options)


def generation_of(name: str) -> Trace:
    """A model of the list that goes on from two prompts, recorded."""
    config = config_of(name)
    prompt = {"ids": [[1, 2, 3], [4, 5, 6]]}
    if len(config.sides) == 2:
        prompt["decoder_ids"] = [[1, 2], [3, 4]]
    parameters = random_parameters(config, 3)
    return record_generation(config, parameters, Batch(**prompt), max_new_tokens=2)[1]
