"""A training run in a file, from which it goes on bit for bit.

`.npz` with the parameters under `parameters/NAME`, what the optimiser remembers under
`moments/NAME` as vectors [N], the loss before every step under `losses`, and `meta`, the bytes
of a JSON text: format version, configuration, recipe (with the seed: all that is random
follows from it and the step) and the number of steps taken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..errors import NumtxError, TrainingError
from ..files import NpzFile, write_npz
from ..parameters import parameter_shapes
from ..parameters_file import PREFIX
from ..shapes import Array
from ..strict_json import read_json
from .recipe import Recipe
from .run import Run

FORMAT = "numtx training 1"


def save_run(path: str | Path, run: Run) -> None:
    """Write a run to a file; whenever this is interrupted, the old file or the new one is whole."""
    meta = {
        "format": FORMAT,
        "config": run.config.to_dict(),
        "recipe": run.recipe.to_dict(),
        "step": run.step,
    }
    arrays = {PREFIX + name: array for name, array in run.parameters.items()}
    arrays.update({f"moments/{name}": array for name, array in run.moments.items()})
    arrays["losses"] = np.array(run.losses, np.float64)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    write_npz(path, arrays)


def load_run(path: str | Path) -> Run:
    """The run that a file holds.

    Names, shapes and types are checked from the headers before any other array is read. Raises
    `FileError` for a file that is no archive of arrays, `TrainingError` for one that is no
    training run.
    """
    with NpzFile(path) as file:
        meta = _meta(path, file)
        try:
            config = Config.from_dict(meta["config"])
            recipe = Recipe.from_dict(meta["recipe"])
            step = meta["step"]
        except (KeyError, TypeError, NumtxError) as error:
            raise TrainingError(f"{path}: its `meta` describes no training run: {error}") from None
        if type(step) is not int or step < 0:
            raise TrainingError(f"{path}: step is {step!r}; it should be a whole number")
        expected = _expected(config, recipe, step)
        for name, (shape, dtype) in expected.items():
            if name not in file.headers:
                raise TrainingError(f"{path}: {name!r} is missing; it should have shape {shape}")
            header = file.headers[name]
            if header.shape != shape or header.dtype != dtype:
                raise TrainingError(
                    f"{path}: {name!r} is {header.dtype} {header.shape}; it should be "
                    f"{dtype} {shape}"
                )
        for name in file.headers:
            if name not in expected and name != "meta":
                raise TrainingError(f"{path}: {name!r} does not belong to a training run")
        arrays: dict[str, Array] = {}
        for name in expected:
            arrays[name] = file.read(name)
            if not np.isfinite(arrays[name]).all():
                raise TrainingError(f"{path}: {name!r} is not finite")
    run = Run(config, {n: arrays[PREFIX + n] for n in parameter_shapes(config)}, recipe)
    run.step = step
    run.losses = arrays["losses"].tolist()
    run.moments = {name: arrays[f"moments/{name}"] for name in run.moments}
    return run


def _meta(path: str | Path, file: NpzFile) -> dict[str, Any]:
    """The JSON object of a file; the format version is checked."""
    header = file.headers.get("meta")
    if header is None or header.dtype != np.uint8 or len(header.shape) != 1:
        raise TrainingError(f"{path}: no training run (it has no `meta`); give a file of --save")
    meta = read_json(file.read("meta").tobytes(), f"{path}: `meta`", TrainingError)
    got = meta.get("format") if isinstance(meta, dict) else None
    if got != FORMAT:
        raise TrainingError(f"{path}: format is {got!r}; this version reads {FORMAT!r}")
    found: dict[str, Any] = meta
    return found


def _expected(
    config: Config, recipe: Recipe, step: int
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Name -> shape and type of every array of a run but `meta`."""
    dtype = np.dtype(config.dtype)
    shapes = parameter_shapes(config)
    expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        PREFIX + name: (shape, dtype) for name, shape in shapes.items()
    }
    if recipe.optimiser == "adamw":
        size = sum(int(np.prod(shape, dtype=int)) for shape in shapes.values())
        expected.update({f"moments/{name}": ((size,), dtype) for name in ("first", "second")})
    expected["losses"] = ((step,), np.dtype(np.float64))
    return expected
