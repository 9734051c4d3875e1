"""Every option that reads a file, and every such place, given a folder: one clear line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from numtx.cli import main, parser

CONFIG = {
    "model": "decoder-only", "vocabulary": 5, "width": 4, "heads": 2, "hidden": 6,
    "decoder_layers": 1,
}  # fmt: skip
OWN = ["--config", "c.json", "--ids", "[[1]]"]
OPTIONS = {
    "--config": ["trace", "--ids", "[[1]]"], "--parameters": ["trace"],
    "--vectors": ["trace", "--config", "c.json"], "--resume": ["train"],
    "--map": ["compare", "r.npz", "r.npz"], "--expect": ["figures", "--figure", "003.loss-mean"],
    "--known-failures": ["laws", "numtx.cli:main"], "--inputs": ["gradcheck", "json:dumps"],
}  # fmt: skip
PLACES = [
    ["trace"], ["cell", "loss"], ["verify"], ["generate"], ["check"], ["compare", "r.npz"],
    ["trace", "--set", "loss="],
]  # fmt: skip


def test_every_option_that_reads_a_file_is_tried() -> None:
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    found = {
        action.option_strings[0]
        for one in commands.choices.values()
        for action in one._actions
        if action.option_strings and "FILE" in str(action.metavar)
        and not any(word in str(action.help) for word in ("write", "keep"))
    }  # fmt: skip
    assert found == set(OPTIONS)


@pytest.mark.parametrize("folder", ["d", "d.npz", "d.npy"])
@pytest.mark.parametrize(
    "command", [*([*given, option] for option, given in OPTIONS.items()), *PLACES], ids=" ".join
)
def test_a_folder_is_told(
    command: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(json.dumps(CONFIG))
    assert main(["trace", *OWN, "--quiet", "--npz", "r.npz"]) == 0
    Path(folder).mkdir()
    capsys.readouterr()
    *first, last = command
    if last == "loss":
        given = [*first, folder, last]
    else:
        given = [*first, last + folder] if last.endswith("=") else [*command, folder]
    assert main(given) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and folder in err and "Errno" not in err
    assert any(word in err for word in ("folder", "is no file", "no regular file")), err


def test_an_empty_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", ""]) == 2
    assert capsys.readouterr().err == "numtx: the text is empty; give a sentence\n"
