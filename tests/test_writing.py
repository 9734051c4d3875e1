"""The one writer and regular files: what is kept, what is refused, and every kind of failure."""

import errno
import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from numtx.errors import FileError
from numtx.files import target, write_npz, write_text, writing

LARGE = "x" * 300_000  # more than a pipe holds at once
root_only = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes the superuser"
)


def refused(path: str | Path, *words: str) -> None:
    """Writing there is refused, by name and in one line; nothing beside it comes or goes."""
    before = sorted(Path(path).parent.glob("*")) if Path(path).parent.is_dir() else []
    for write in (lambda: write_text(path, "new"), lambda: target(path)):
        with pytest.raises(FileError) as caught:
            write()
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message
        assert ";" in message, "says no mend"
        for word in words:
            assert word in message
    if before:
        assert sorted(Path(path).parent.glob("*")) == before


def bits(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Regular files


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "天\n")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == "天\n".encode()
    assert bits(tmp_path / "new") == 0o640
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_the_new_contents_of_a_private_file_are_never_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chmod, seen = Path.chmod, []

    def watch(path: Path, mode: int) -> None:
        seen.append(bits(path))
        chmod(path, mode)

    path = tmp_path / "old"
    path.touch(mode=0o600)
    monkeypatch.setattr(Path, "chmod", watch)
    write_text(path, "new")
    assert seen == [0o600]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o711, 0o420])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    path.chmod(mode)
    if not os.access(path, os.W_OK):
        pytest.skip("takes the superuser")
    with writing(path) as file:
        file.write(b"new")
        aside = next(tmp_path.glob(".*"))
        assert bits(aside) == mode, "others could read what they may not"
    assert path.read_text() == "new"
    assert bits(path) == mode


@root_only
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid, bits(path)) == (1234, 4321, 0o640)


def test_an_owner_who_cannot_be_kept_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    real = os.fstat

    def other(number: int) -> os.stat_result:
        found = list(real(number))
        found[stat.ST_UID] += 1
        return os.stat_result(found)

    def no(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fstat", other)
    monkeypatch.setattr(os, "chown", no)
    with pytest.raises(FileError, match=r"old: .*another user or group.*; give"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "天" * 85):
        write_text(tmp_path / name, "x")
        write_text(tmp_path / name, "y")
        assert (tmp_path / name).read_text() == "y"


def test_another_hard_link_keeps_the_old_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")
    two.hardlink_to(one)
    write_text(one, "new")
    assert (one.read_text(), two.read_text()) == ("new", "old")


def test_text_that_utf8_lacks_is_written_as_it_is_printed(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "a\udcffb\r\n")
    assert (tmp_path / "x").read_bytes() == b"a\\udcffb\r\n"


# Links


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    file, link, second = tmp_path / "far" / "file", tmp_path / "link", tmp_path / "second"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to("far/file")
    second.symlink_to(link)
    write_text(second, "new")
    assert second.is_symlink() and link.is_symlink() and not file.is_symlink()
    assert file.read_text() == "new"
    assert bits(file) == 0o600
    assert list((tmp_path / "far").iterdir()) == [file]


def test_the_file_of_a_dangling_link_is_made(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("file")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for name, to in (("self", "self"), ("a", "b"), ("b", "a"), ("lost", "no/file"),
                     ("inside", "folder")):  # fmt: skip
        (tmp_path / name).symlink_to(to)
    refused(tmp_path / "folder", "is a folder")
    refused(tmp_path / "inside", "is a folder")
    refused(f"{tmp_path}/folder/", "folder")
    refused(f"{tmp_path}/new/", "folder")
    refused(tmp_path / "no" / "file", f"the folder '{tmp_path}/no' does not exist")
    refused(tmp_path / "lost", f"the folder '{tmp_path}/no' does not exist")
    refused(tmp_path / "file" / "x", "cannot be written")
    refused(tmp_path / "self", "links")
    refused(tmp_path / "a", "links")
    refused(tmp_path / ("n" * 256), "too long")
    for name in ("", "a\0b"):
        with pytest.raises(FileError, match="names no file; give"):
            write_text(name, "new")
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "file").read_text() == "old"


def test_a_read_only_file_is_refused_to_root_too(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    path.chmod(0o444)
    (tmp_path / "link").symlink_to(path)
    refused(path, "read-only")
    refused(tmp_path / "link", "read-only")
    assert path.read_text() == "old"


def test_what_this_user_may_not_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the system's answer is put on."""
    path, folder = tmp_path / "others", tmp_path / "closed"
    path.write_text("old")
    folder.mkdir()
    closed = {path, folder}
    monkeypatch.setattr(os, "access", lambda place, _: place not in closed)
    refused(path, "read-only")
    refused(folder / "new", f"the folder '{folder}' is read-only")


# Failures


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError, OSError])
@pytest.mark.parametrize("old", [True, False])
def test_a_failure_leaves_the_old_file_and_no_rest(
    tmp_path: Path, kind: type[BaseException], old: bool
) -> None:
    path = tmp_path / "x"
    if old:
        path.write_text("old")
    with pytest.raises(FileError if kind is OSError else kind), writing(path) as file:
        file.write(b"half a fi")
        raise kind
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"] * old


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_the_end_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "x.npz"
    path.write_text("old")
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], fails)
    with pytest.raises(FileError, match=r"x\.npz: .*No space left on device; "):
        write_npz(path, {"a": np.arange(3)})
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


@pytest.mark.parametrize("size", [100, 50_000])
def test_a_disk_that_fills_while_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Small data reach the disk only when they are flushed; large ones when they are written."""

    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(name: Path, mode: str, opener: Callable[[str, int], int]) -> io.BufferedWriter:
        return io.BufferedWriter(Full(name, mode, opener=opener))

    path = tmp_path / "x"
    path.write_text("old")
    monkeypatch.setattr("numtx.files.open", full, raising=False)
    with pytest.raises(FileError, match="No space left"):
        write_text(path, "n" * size)
    with pytest.raises(FileError, match="No space left"):
        write_npz(path, {"a": np.zeros(size)})
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("nothing can be mounted here")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "numtx-test", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_old_file_and_no_rest(small_disk: Path) -> None:
    path = small_disk / "x"
    path.write_text("old")
    for write in (
        lambda: write_text(path, LARGE),
        lambda: write_npz(path, {"a": np.random.default_rng(0).random(30_000)}),
    ):
        with pytest.raises(FileError, match=r"/x: .*No space left on device; "):
            write()
        assert list(small_disk.iterdir()) == [path]
        assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
