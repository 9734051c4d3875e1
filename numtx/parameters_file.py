"""Parameters in a file, `.npz` or another file of arrays: one array under each name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .array_files import open_arrays
from .config import Config
from .errors import ParameterError
from .files import write_npz
from .parameters import check_size, hint_of, parameter_shapes
from .shapes import Array

PREFIX = "parameters/"  # of parameters in a file that holds other arrays too


def save_parameters(path: str | Path, parameters: Mapping[str, Array]) -> None:
    """Write parameters to an `.npz` file, as `files.writing` does."""
    write_npz(path, parameters)


def load_parameters(path: str | Path, config: Config) -> dict[str, Array]:
    """Read the parameters of a model from `.npz`, safetensors, or a folder of `.npy` files.

    Names, shapes and types are checked from the headers before any data is read; float32
    and float64 are both taken and converted to the configuration's type. Raises `FileError`
    for a file that is none, `ParameterError` for one that does not fit the configuration.

    A trace and a training run hold parameters too, under `parameters/NAME`; from such a file
    these are taken and the rest is left.
    """
    check_size(config)
    expected = parameter_shapes(config)
    with open_arrays(path) as file:
        prefix = PREFIX if any(name.startswith(PREFIX) for name in file.headers) else ""
        headers = {
            name.removeprefix(prefix): header
            for name, header in file.headers.items()
            if name.startswith(prefix)
        }
        for name, shape in expected.items():
            if name not in headers:
                lacking = f"{path}: {name!r} is missing; it should have shape {shape}"
                if name.startswith("output.") and config.model == "encoder-only":
                    lacking += '; an encoder without an output layer has "head": null'
                raise ParameterError(lacking)
            header = headers[name]
            if header.shape != shape:
                raise ParameterError(
                    f"{path}: {name!r} has shape {header.shape}; the configuration needs {shape}"
                )
            if header.dtype.kind != "f":
                raise ParameterError(f"{path}: {name!r} is {header.dtype}; floats are needed")
        for name in headers:
            if name not in expected:
                raise ParameterError(
                    f"{path}: {name!r} is not a parameter of this model; {hint_of(config, name)}"
                )
        parameters = {}
        for name in expected:
            array = file.read(prefix + name).astype(config.dtype, copy=False)
            check_finite(array, f"{path}: {name!r}")
            parameters[name] = array
    return parameters


def check_finite(array: Array, where: str) -> None:
    """Raise `ParameterError` where a parameter has nan or inf."""
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ParameterError(f"{where} has {array[place]} at {place}")
