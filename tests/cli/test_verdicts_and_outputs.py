"""A verdict stands whoever listens, and no command overwrites what it reads or has written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from children import shell

from numtx import load_example
from numtx.cli import main
from numtx.trace.files import save_trace

TINY = {"model": "decoder-only", "width": 4, "decoder_layers": 1, "hidden": 4, "vocabulary": 5}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.json").write_text(json.dumps(TINY))
    return tmp_path


@pytest.mark.parametrize("command", ["compare a.npz b.npz --full", "verify b.npz"])
def test_a_reader_that_leaves_changes_no_verdict(folder, command):
    trace = load_example("weather").trace()
    save_trace(trace, "a.npz")
    with np.load("a.npz") as file:
        arrays = dict(file)
    for name in list(trace):
        if name.endswith(".scores"):
            arrays[name] = arrays[name] * 1.01
    np.savez("b.npz", **arrays)
    assert shell(f"numtx {command} | true", cwd=folder).returncode == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["init", "--config", "c.json", "--out", "./c.json"], "c.json is read by the same"),
        (["trace", "--config", "c.json", "--ids", "[1]", "--json", "c.json"], "c.json is read"),
        (["trace", "--npz", "a.npz", "--html", "./a.npz"], "a.npz is written by the same command"),
    ],
)
def test_nothing_is_overwritten_by_the_same_command(folder, capsys, args, message):
    before = (folder / "c.json").read_text()
    assert main(args) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert (folder / "c.json").read_text() == before and not (folder / "a.npz").exists()


@pytest.mark.parametrize("content", ["empty", "header", "text", "complex", "nan"])
def test_a_file_that_holds_no_numbers_is_one_line(folder, capsys, content):
    made = {
        "text": np.array(["a"]), "complex": np.array([1j]), "nan": np.array([np.nan]),
    }  # fmt: skip
    if content in made:
        np.save("x.npy", made[content])
    else:
        (folder / "x.npy").write_bytes(
            b"" if content == "empty" else b"\x93NUMPY\x01\x00\x02\x00{'"
        )
    assert main(["trace", "--set", "decoder.output=x.npy"]) == 2
    err = capsys.readouterr().err
    assert "x.npy" in err and err.count("\n") == 1


def test_a_trace_whose_meta_is_no_bytes_is_one_line(folder, capsys):
    np.savez("m.npz", meta=np.array("{}"), logits=np.ones(3))
    for command in (
        ["verify", "m.npz"],
        ["compare", "m.npz", "m.npz"],
        ["cell", "m.npz", "logits"],
    ):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert "`meta` is <U2" in err and err.count("\n") == 1
