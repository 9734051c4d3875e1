"""The one writer and what is no regular file: written to, never replaced.

All nodes are of the tests' own, in their own folders."""

import io
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import environment, python

from numtx.errors import FileError
from numtx.files import write_npz, write_text, writing

LARGE = "x" * 300_000  # more than a pipe holds at once


def listen(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """Reads in another thread; the result waits for its end."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(read()), daemon=True)
    thread.start()

    def result() -> bytes:
        thread.join(30)
        return found[0]

    return result


@pytest.mark.parametrize("text", ["", "new", LARGE])
def test_a_pipe_is_written_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    heard = listen(path.read_bytes)
    write_text(path, text)
    assert heard().decode() == text
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_pipe_writes_to_the_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    heard = listen((tmp_path / "pipe").read_bytes)
    write_text(tmp_path / "link", "new")
    assert heard() == b"new"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo()


def test_an_npz_through_a_pipe_is_the_one_of_a_file(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5000.0), "b": np.array(True)}
    os.mkfifo(tmp_path / "pipe")
    heard = listen((tmp_path / "pipe").read_bytes)
    write_npz(tmp_path / "pipe", arrays)
    with np.load(io.BytesIO(heard())) as found:
        assert found.files == list(arrays)
        assert (found["a"] == arrays["a"]).all()


def test_nothing_goes_through_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(RuntimeError), writing(path) as file:
        file.write(b"half a fi")
        raise RuntimeError
    assert path.is_fifo()


def test_what_is_written_in_part_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a system may do with a pipe when a signal comes."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:1000]))
    os.mkfifo(tmp_path / "pipe")
    heard = listen((tmp_path / "pipe").read_bytes)
    write_text(tmp_path / "pipe", LARGE)
    assert heard().decode() == LARGE


def test_a_reader_may_leave_early(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def one() -> bytes:
        with path.open("rb", buffering=0) as file:
            return file.read(1)

    heard = listen(one)
    write_text(path, LARGE)
    assert heard() == b"x"


def test_a_socket_is_connected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(FileError, match=r"socket: .*refused; "):
            write_text("socket", "new")  # nobody listens
        server.listen()

        def whole() -> bytes:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as file:
                return file.read()

        heard = listen(whole)
        write_text("socket", LARGE)
        assert heard().decode() == LARGE
    assert Path("socket").is_socket()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes the superuser")
def test_a_device_is_written_to(tmp_path: Path, full_device: Path) -> None:
    """Nodes of the test's own with the numbers of the null and the full device of Linux."""
    null, full = tmp_path / "null", full_device
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    before = null.lstat()
    write_text(null, "new")
    write_npz(null, {"a": np.arange(3)})
    assert null.is_char_device()
    assert null.lstat().st_ino == before.st_ino
    with pytest.raises(FileError, match=r"full: .*No space left on device; "):
        write_text(full, "new")
    assert full.is_char_device()
    assert sorted(tmp_path.iterdir()) == [full, null]


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_file_of_this_process_is_gone_on_with(tmp_path: Path, name: str) -> None:
    """As `>> log` opens it: not truncated, not replaced, written where it stands."""
    log = tmp_path / "log"
    log.write_text("old ")
    with log.open("a") as file:
        name = name.format(file.fileno())
        if name == "link":
            (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
            name = str(tmp_path / "link")
        elif not Path(name).exists():
            pytest.skip("no such names on this system")
        file.write("before ")
        file.flush()
        write_text(name, "new ")
        file.write("after")
    assert log.read_text() == "old before new after"
    assert log.stat().st_nlink == 1


def test_an_open_pipe_of_this_process_is_written_to() -> None:
    end, start = os.pipe()
    with os.fdopen(end, "rb") as reader:
        heard = listen(reader.read)
        write_text(f"/dev/fd/{start}", LARGE)
        os.close(start)
        assert heard().decode() == LARGE


def test_what_was_printed_before_comes_before(tmp_path: Path) -> None:
    code = "from numtx.files import write_text\nprint('before')\n"
    code += "write_text('/dev/stdout', 'new\\n')\nprint('after')"
    log = tmp_path / "log"
    with log.open("w") as file:
        alone = environment(PYTHONUNBUFFERED="")
        python("-c", code, stdout=file, capture_output=False, check=True, env=alone)
    assert log.read_text() == "before\nnew\nafter\n"
