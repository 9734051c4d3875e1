"""Files of arrays: nothing is lost on the way out, nothing unchecked comes in.

What is written to what kind of path stands in `test_writing`."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from numtx.errors import FileError
from numtx.files import NpzFile, write_npz


def test_round_trip_keeps_every_bit_and_opens_with_plain_numpy(tmp_path: Path) -> None:
    arrays = {
        "a.b": np.random.default_rng(0).standard_normal((2, 3)),
        "grad/c": np.array([np.nan, -np.inf], np.float32),
        "d": np.array(True),
    }
    path = tmp_path / "x.npz"
    write_npz(path, arrays)
    with NpzFile(path) as file, np.load(path, allow_pickle=False) as plain:
        assert list(file.headers) == list(arrays) == plain.files
        for name, array in arrays.items():
            assert file.headers[name].shape == array.shape
            assert file.read(name).dtype == array.dtype
            assert file.read(name).tobytes() == array.tobytes() == plain[name].tobytes()


def npz(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_what_is_no_file_of_arrays_is_refused_in_one_line(tmp_path: Path) -> None:
    good = npz(tmp_path / "good.npz", {"a.npy": npy(np.arange(500.0))})
    cut = tmp_path / "cut.npz"
    cut.write_bytes(good.read_bytes()[:-60])
    empty = tmp_path / "empty.npz"
    empty.touch()
    pickled = npz(tmp_path / "pickled.npz", {"a.npy": npy(np.array([{}], object))})
    text = npz(tmp_path / "text.npz", {"a.txt": b"hello"})
    garbled = npz(tmp_path / "garbled.npz", {"a.npy": b"hello"})
    short = npz(tmp_path / "short.npz", {"a.npy": npy(np.arange(500.0))[:-8]})
    twice = tmp_path / "twice.npz"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a.npy", npy(np.arange(2)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(np.arange(3)))
    for path in (tmp_path / "none.npz", cut, empty, pickled, text, garbled, short, twice):
        with pytest.raises(FileError) as caught, NpzFile(path) as file:
            file.read("a")
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
