"""Parameters in a file of arrays, by their own names or by those of a state dict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..array_files import open_arrays
from ..config import Config
from ..errors import CheckpointError, ParameterError
from ..files import ArrayFile
from ..parameters import check_parameters, check_size, parameter_shapes
from ..parameters_file import PREFIX, check_finite, load_parameters
from ..shapes import Array
from ..stages.resolve import resolve
from .names import Names, names_of, why_not


def read_weights(path: str | Path, config: Config) -> dict[str, Array]:
    """The parameters of a configuration from `.npz`, safetensors, or a folder of `.npy` files.

    Names are those of numtx (`load_parameters`), or those of a family of transformers, as of a
    state dict. Raises `ParameterError` for what is missing, left over, or of another shape.
    """
    check_size(config)
    shapes = parameter_shapes(config)
    with open_arrays(path) as file:
        own = {*shapes, *resolve(config).stages}
        if any(name in own or name.startswith(PREFIX) for name in file.headers):
            return load_parameters(path, config)
        try:
            names = names_of(file.headers, config)
        except CheckpointError as error:
            raise ParameterError(f"{path}: {error}") from None
        if names is None or not any(name.startswith(PREFIX) for name in names.found):
            why = why_not(file.headers, config)
            if why:
                raise ParameterError(f"{path}: {why}")
            return load_parameters(path, config)  # which says what it lacks
        return _checked(str(path), file, names)


def _checked(path: str, file: ArrayFile, names: Names) -> dict[str, Array]:
    """All parameters, once every name of the file and of the configuration has its place."""
    config, family = names.config, names.layout.name
    for name in names.unknown:
        raise ParameterError(
            f"{path}: {name!r} has no place in a {family} of this configuration; "
            f"{names.nearest(name)}"
        )
    arrays, found = names.arrays(file.read), {}
    entries = names.layout.entries(config, whole=False)
    for own, shape in parameter_shapes(config).items():
        stored = [name for name, entry in entries.items() if own in entry.shapes]
        if PREFIX + own not in arrays:
            told = f"{stored[0]!r} is missing, which is {own}" if stored else f"{own!r} is missing"
            raise ParameterError(f"{path}: its names are those of {family}, and {told}")
        array = arrays[PREFIX + own]
        if array.shape != shape:
            wanted = entries[stored[0]].stored if stored else shape
            raise ParameterError(
                f"{path}: {names.found[PREFIX + own].theirs[0]!r} does not have shape {wanted}, "
                f"as a {family} of this configuration has it"
            )
        check_finite(array, f"{path}: {names.found[PREFIX + own].theirs[0]!r}")
        found[own] = array.astype(config.dtype)
    for theirs, name in names.twice.items():
        own = name.removeprefix(PREFIX)
        if own in found and not np.array_equal(file.read(theirs).astype(config.dtype), found[own]):
            raise ParameterError(f"{path}: {theirs!r} differs from {own}, of which it is a copy")
    check_parameters(config, found)
    return found
