"""Files of arrays: written aside and renamed, read with their headers checked first."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from .errors import FileError
from .shapes import Array


class Header(NamedTuple):
    """What a file says of an array before its data is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def write_npz(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an `.npz` file: to a temporary file beside it first, which then takes
    its name. Whenever this is interrupted, `path` holds the old file or the new one, whole."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


class replacing:  # noqa: N801 - used as a verb: `with replacing(path) as file`
    """A context that writes to a temporary file and renames it to `path` when all went well."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __enter__(self) -> IO[bytes]:
        folder = self._path.parent
        if not folder.is_dir():
            raise FileError(f"{self._path}: the folder {str(folder)!r} does not exist")
        if self._path.is_dir():
            raise FileError(f"{self._path}: is a folder; give the name of a file")
        try:
            number, self._temporary = tempfile.mkstemp(
                prefix=f".{self._path.name}.", suffix=".tmp", dir=folder
            )
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {error.strerror}") from None
        self._file = os.fdopen(number, "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                umask = os.umask(0)
                os.umask(umask)
                Path(self._temporary).chmod(0o666 & ~umask)
                Path(self._temporary).replace(self._path)
        finally:
            self._file.close()
            Path(self._temporary).unlink(missing_ok=True)


class NpzFile:
    """An `.npz` file opened for reading: headers at once, data on demand, never pickles.

    Raises `FileError` for a file that is missing, empty, truncated, or no archive of arrays,
    for a name that occurs twice, and for an array of Python objects.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._archive = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise FileError(f"{self.path}: no such file") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise FileError(
                f"{self.path}: not an .npz file, or cut short ({error}); write it with numpy.savez"
            ) from None
        self.headers: dict[str, Header] = {}
        try:
            for member in self._archive.namelist():
                name = member.removesuffix(".npy")
                if name in self.headers:
                    raise FileError(f"{self.path}: the name {name!r} occurs twice")
                self.headers[name] = self._header(member)
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def _header(self, member: str) -> Header:
        if not member.endswith(".npy"):
            raise FileError(f"{self.path}: {member!r} is not an array; numpy.savez writes .npy")
        try:
            with self._archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileError(f"{self.path}: {member!r} is not an array: {error}") from None
        if dtype.hasobject:
            raise FileError(
                f"{self.path}: {member!r} holds Python objects, which are never loaded; "
                "save plain numbers"
            )
        return Header(tuple(shape), dtype)

    def read(self, name: str) -> Array:
        """The data of an array."""
        try:
            with self._archive.open(f"{name}.npy") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
                return array
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileError(f"{self.path}: {name!r} cannot be read: {error}") from None
