"""Files: the one writer of the package, and files of arrays, read with headers checked first."""

from __future__ import annotations

import io
import math
import os
import socket
import stat
import sys
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import numpy as np

from .errors import FileError, reason
from .memory import too_large
from .shapes import Array


def write_npz(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an `.npz` file, as `writing` does."""
    with writing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, as `writing` does. What UTF-8 lacks (half a pair of surrogates, as
    in the name of a file that is not UTF-8) is written as the command line prints it."""
    with writing(path) as file:
        file.write(text.encode(errors="backslashreplace"))


@contextmanager
def writing(path: str | Path) -> Iterator[IO[bytes]]:
    """The one writer: a file to write to, whose contents stand at `path` when the block ends.

    A regular file is written aside, under a hidden name in its folder, and renamed: whenever
    this is interrupted, `path` holds the old file or the new one, whole, and a failure leaves
    nothing behind. Links are followed and stay; mode and owner stay; a new file has the mode
    that the umask says. Other hard links to the old file keep the old contents.

    A device, a FIFO, a socket (which is connected to) or an open file of this process, such as
    /dev/stdout, is written straight through, all at once at the end. A reader of a pipe may
    leave before that, as `head` does.

    Raises `FileError`, which names `path`: see `target`, and where writing fails.
    """
    goal = target(path)
    try:
        if goal.straight:
            buffer = io.BytesIO()
            yield buffer
            _write_through(goal, buffer.getbuffer())
        else:
            with _aside(goal) as file:
                yield file
    except OSError as error:
        raise _cannot(path, error) from None


class Target(NamedTuple):
    """Where a path leads.

    place  the file behind all links, or the number of an open file of this process
    old    what stands there now, if anything does
    """

    place: Path | int
    old: os.stat_result | None

    @property
    def straight(self) -> bool:
        """Whether it is written straight through, never replaced."""
        return self.old is not None and (
            isinstance(self.place, int) or not stat.S_ISREG(self.old.st_mode)
        )


def target(path: str | Path) -> Target:
    """Where writing to a path would lead; nothing is opened or changed.

    Raises `FileError` where it cannot be written: a folder, a read-only file (to root too), a
    folder that does not exist, links in a circle.
    """
    name = os.fspath(path)
    if not name or "\0" in name:
        raise FileError(f"{name!r} names no file; give the name of a file to write")
    if name.endswith(("/", os.sep)):
        raise FileError(f"{name}: names a folder; give the name of a file")
    if name == "-":
        raise FileError("-: standard output takes texts alone; give the name of a file")
    path = Path(path)
    try:
        number = _descriptor(path)
        if number is not None:
            return Target(number, os.fstat(number))
        try:
            kind = path.stat().st_mode
        except FileNotFoundError:
            place = path.resolve()
            _check_folder(path, place.parent)
            return Target(place, None)
        if stat.S_ISDIR(kind):
            raise FileError(f"{path}: is a folder; give the name of a file")
        place = path.resolve()
        old = place.stat()
        if stat.S_ISREG(kind):
            if not old.st_mode & 0o222 or not os.access(place, os.W_OK):
                raise FileError(f"{path}: is read-only; make it writable or give another name")
            _check_folder(path, place.parent)
        return Target(place, old)
    except OSError as error:
        raise _cannot(path, error) from None


def check_folder(path: str | Path) -> Path:
    """A folder to write files into, which is there or can be made. Raises `FileError`."""
    name = os.fspath(path)
    if name in ("", "-") or "\0" in name:
        raise FileError(f"{name!r} names no folder; give the name of one")
    path = Path(path)
    try:
        if not path.is_dir():
            if path.exists():
                raise FileError(f"{path}: is a file; give the name of a folder")
            _check_folder(path, path.resolve().parent)
    except OSError as error:
        raise _cannot(path, error) from None
    return path


def make_folder(path: str | Path) -> Path:
    """The folder, made where it is not there. Raises `FileError` as `check_folder` does."""
    path = check_folder(path)
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise _cannot(path, error) from None
    return path


def _descriptor(path: Path) -> int | None:
    """The number of the open file of this process that a path leads to, such as /dev/fd/1.

    Behind it may stand a regular file that others write to as well (`> file`): to go on where
    they are, it must not be opened again.
    """
    folders = {Path("/dev/fd").resolve(), Path("/proc/self/fd").resolve()}
    for _ in range(40):  # as many links as Linux follows
        path = path.parent.resolve() / path.name
        link = path.is_symlink()
        if path.parent in folders and path.name.isdecimal() and (link or path.exists()):
            return int(path.name)
        if not link:
            return None
        path = path.parent / path.readlink()
    return None


def _check_folder(path: Path, folder: Path) -> None:
    if not folder.is_dir():
        raise FileError(
            f"{path}: the folder {str(folder)!r} does not exist; make it or give another"
        )
    if not os.access(folder, os.W_OK):
        raise FileError(f"{path}: the folder {str(folder)!r} is read-only; give another")


def _cannot(path: str | Path, error: OSError) -> FileError:
    return FileError(f"{path}: cannot be written: {error.strerror or error}; give another place")


@contextmanager
def _aside(goal: Target) -> Iterator[IO[bytes]]:
    """A file under a hidden name beside the target, whose name it takes at the end."""
    place, old = goal
    assert isinstance(place, Path)
    # Cut, since the name may be as long as a name can be; 40 characters are up to 160 bytes.
    aside = place.with_name(f".{place.name[:40]}.{os.urandom(6).hex()}.tmp")
    mode = 0o666 if old is None else 0o600  # nobody reads it who may not read the old one

    def create(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    try:
        with open(aside, "xb", opener=create) as file:
            if old is not None:
                _give(aside, os.fstat(file.fileno()), old)
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _give(aside: Path, new: os.stat_result, old: os.stat_result) -> None:
    """Give a file the owner, group and mode of another."""
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.chown(aside, old.st_uid, old.st_gid)
        except PermissionError as error:
            told = "it belongs to another user or group, and would not any longer"
            raise PermissionError(error.errno, told) from None
    aside.chmod(stat.S_IMODE(old.st_mode))


def _write_through(goal: Target, data: memoryview) -> None:
    """Write to what is no regular file, or is open already."""
    place, old = goal
    if isinstance(place, Path) and old is not None and stat.S_ISSOCK(old.st_mode):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))
            connection.sendall(data)
        return
    for stream in (sys.stdout, sys.stderr):  # what was printed before comes before
        if stream is not None:
            stream.flush()
    number = os.dup(place) if isinstance(place, int) else os.open(place, os.O_WRONLY)
    try:
        while data:
            data = data[os.write(number, data) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(number)


class Header(NamedTuple):
    """What a file says of an array before its data is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def check_room(self, where: str) -> None:
        """Raise `FileError` where the data would not fit into memory."""
        told = too_large(math.prod(self.shape) * self.dtype.itemsize)
        if told is not None:
            raise FileError(f"{where}: shape {str(self.shape)[:60]} needs {told}")


def npy_header(file: IO[bytes], where: str) -> Header:
    """The header of an array as `numpy.save` writes it; the file stands behind it afterwards."""
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    except (ValueError, EOFError) as error:
        raise FileError(f"{where} is not an array: {error}") from None
    if dtype.hasobject:
        raise FileError(f"{where} holds Python objects, which are never loaded; save plain numbers")
    return Header(tuple(shape), dtype)


class LazyArrays(Mapping[str, Array]):
    """Arrays by name, read anew whenever one is asked for; read-only."""

    def __init__(self, names: Collection[str], read: Callable[[str], Array]) -> None:
        self.names, self.read = names, read

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        array = self.read(name).view()
        array.setflags(write=False)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


class ArrayFile(ABC):
    """A file of arrays opened for reading: headers at once, data on demand."""

    path: str
    headers: dict[str, Header]

    @abstractmethod
    def read(self, name: str) -> Array:
        """The data of an array."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def arrays(self, names: Mapping[str, str] | None = None) -> LazyArrays:
        """The arrays, each read when it is asked for, while the file stays open.

        names  what an array is called, and its name in the file; None: all, as they are called
        """
        own = {name: name for name in self.headers} if names is None else names
        return LazyArrays(own, lambda name: self.read(own[name]))


class NpzFile(ArrayFile):
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
        except (IsADirectoryError, PermissionError) as error:
            raise FileError(f"{self.path}: cannot be read: {reason(error)}") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise FileError(
                f"{self.path}: not an .npz file, or cut short ({reason(error)}); write it with "
                "numpy.savez"
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

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def _header(self, member: str) -> Header:
        if not member.endswith(".npy"):
            raise FileError(f"{self.path}: {member!r} is not an array; numpy.savez writes .npy")
        try:
            with self._archive.open(member) as file:
                return npy_header(file, f"{self.path}: {member!r}")
        except (OSError, zipfile.BadZipFile) as error:
            raise FileError(f"{self.path}: {member!r} is not an array: {reason(error)}") from None

    def read(self, name: str) -> Array:
        """The data of an array."""
        self.headers[name].check_room(f"{self.path}: {name!r}")
        try:
            with self._archive.open(f"{name}.npy") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
                return array
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileError(f"{self.path}: {name!r} cannot be read: {reason(error)}") from None
