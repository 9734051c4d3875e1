"""Files of arrays as people have them: `.npz`, `.npy`, safetensors, a folder of `.npy` files.

All are read in one way: names, shapes and types at once, and an array when it is asked for. A
PyTorch file is a pickle, whatever its name, and never loaded.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from .errors import FileError, reason
from .files import ArrayFile, Header, NpzFile, npy_header
from .safetensors import FLOATS, INDEX, SINGLE, WHOLE, Tensor, read_header, read_tensors
from .shapes import Array

NPY: Final = b"\x93NUMPY"
PICKLE: Final = 0x80  # the first byte of a pickle; the second is its protocol
OWN: Final = ("grad", "parameters")  # folders whose names end in / in the name of an array


def open_arrays(path: str | Path) -> ArrayFile:
    """The arrays of a file or folder; what it is, its first bytes say.

    Raises `FileError` or `CheckpointError` for what holds no arrays, or may not be read.
    """
    path = Path(path)
    if path.is_dir():
        if (path / SINGLE).exists() or (path / INDEX).exists():
            return TensorFile(str(path), read_tensors(path))
        return ArrayFolder(str(path), _in_folder(path))
    start = _start(path)
    if start.startswith(NPY):
        return ArrayFolder(str(path), {path.stem: path})
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return TensorFile(str(path), read_header(path))
    if _is_pickle(path, start):
        raise FileError(
            f"{path}: a PyTorch file, which is a pickle and never loaded; convert it: import "
            f"numpy, torch; numpy.savez({str(path.with_suffix('.npz'))!r}, **{{n: (t.float() if "
            "t.dtype == torch.bfloat16 else t).detach().numpy() for n, t in "
            f"torch.load({str(path)!r}, map_location='cpu', weights_only=True).items()}})"
        )
    return NpzFile(path)


def _start(path: Path) -> bytes:
    """The first bytes of a regular file; none of what is missing, of which the reader says so."""
    if not path.is_file():
        if path.exists():
            raise FileError(f"{path}: is no regular file; give a file or a folder of arrays")
        raise FileError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {reason(error)}") from None


def _is_pickle(path: Path, start: bytes) -> bool:
    if start[:1] == bytes([PICKLE]) and start[1:2] in b"\2\3\4\5":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _in_folder(path: Path) -> dict[str, Path]:
    """The arrays of a folder: their files' names without .npy, and the folders before them with
    dots between, but for `grad/` and `parameters/`, which names of arrays begin with."""
    found: dict[str, Path] = {}
    for file in sorted(path.rglob("*.npy")):
        *folders, name = file.relative_to(path).with_suffix("").parts
        count = next((i for i, folder in enumerate(folders) if folder not in OWN), len(folders))
        name = "".join(f"{folder}/" for folder in folders[:count]) + ".".join(
            (*folders[count:], name)
        )
        if name in found:
            raise FileError(f"{path}: {found[name]} and {file} are both called {name!r}")
        found[name] = file
    if not found:
        raise FileError(f"{path}: a folder without .npy files and without {SINGLE}")
    return found


class ArrayFolder(ArrayFile):
    """Arrays in files of their own, as `numpy.save` writes them."""

    def __init__(self, path: str, files: Mapping[str, Path]) -> None:
        self.path, self.files = path, files
        self.headers = {name: self._open(name, False)[0] for name in files}

    def read(self, name: str) -> Array:
        """The data of an array."""
        array = self._open(name, True)[1]
        assert array is not None
        return array

    def _open(self, name: str, whole: bool) -> tuple[Header, Array | None]:
        where = self.files[name]
        try:
            with where.open("rb") as file:
                header = npy_header(file, str(where))
                needed = math.prod(header.shape) * header.dtype.itemsize
                if needed > where.stat().st_size - file.tell():
                    raise FileError(f"{where}: cut short; its shape is {str(header.shape)[:60]}")
                if not whole:
                    return header, None
                header.check_room(str(where))
                file.seek(0)
                return header, np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{where}: cannot be read: {reason(error)}") from None


class TensorFile(ArrayFile):
    """Arrays in safetensors files: bfloat16 as the float32 numbers that it is."""

    def __init__(self, path: str, tensors: Mapping[str, Tensor]) -> None:
        self.path, self.tensors = path, tensors
        kinds = {**FLOATS, **WHOLE, "BF16": "<f4"}
        self.headers: dict[str, Header] = {}
        for name, tensor in tensors.items():
            if tensor.dtype not in kinds:
                raise FileError(
                    f"{tensor.file}: {name[:80]!r} is {tensor.dtype}; save it as F32 or BF16 first"
                )
            self.headers[name] = Header(tensor.shape, np.dtype(kinds[tensor.dtype]))

    def read(self, name: str) -> Array:
        """The data of an array."""
        self.headers[name].check_room(f"{self.path}: {name!r}")
        return self.tensors[name].read_any(name)
