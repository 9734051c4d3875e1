"""`numtx trace FILE.npz`: a saved run in every form in which one that is made is shown."""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from numtx.arguments.saved import _MAKING
from numtx.cli import main, parser

RUN = ["trace", "padding"]
# Options of `numtx trace` that say how a run is shown, or bring another source.
SHOWING = {
    "help", "example", "text", "stage", "gradients", "npz", "json", "html", "markdown", "csv",
    "quiet", "precision", "lang", "full", "row", "color", "width", "last", "heads", "top",
    "layers", "folder", "config", "no_pager",
}  # fmt: skip


def difference(one: str, other: str) -> tuple[str, str] | None:
    """The first lines that differ: long texts are not to be compared by pytest."""
    pairs = zip_longest(one.split("\n"), other.split("\n"))
    return next(((a or "", b or "") for a, b in pairs if a != b), None)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("saved") / "run.npz")
    assert main([*RUN, "--quiet", "--npz", path]) == 0
    return path


@pytest.mark.parametrize("options", [[], ["--gradients", "--row", "1"], ["--stage", "*.weights"]])
def test_the_text_is_that_of_the_run(
    options: list[str], saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, *options]) == 0
    made = capsys.readouterr().out.split("\n== ", 1)
    assert main(["trace", saved, *options]) == 0
    shown = capsys.readouterr().out.split("\n== ", 1)
    assert difference(shown[1], made[1]) is None
    assert shown[0].startswith("run.npz: ") and saved in shown[0]


@pytest.mark.parametrize("kind", ["json", "html", "markdown", "npz"])
def test_files_are_those_of_the_run(kind: str, saved: str, tmp_path: Path) -> None:
    made, shown = tmp_path / f"made.{kind}", tmp_path / f"shown.{kind}"
    assert main([*RUN, "--quiet", f"--{kind}", str(made)]) == 0
    assert main(["trace", saved, "--quiet", f"--{kind}", str(shown)]) == 0
    if kind == "npz":
        with np.load(made) as one, np.load(shown) as other:
            assert one.files == other.files
            assert all(np.array_equal(one[name], other[name]) for name in one.files)
        return
    one, other = (path.read_text(encoding="utf-8") for path in (made, shown))
    if kind == "html":  # from the legend on: above it stands what the example says
        one, other = (text[text.index('<div class="legend">') :] for text in (one, other))
        assert '<table class="grid"' in one
    if kind == "markdown":
        assert one.startswith("# padding: ") and other.startswith("# run.npz: ")
        one, other = (text[text.index("\n## ") :] for text in (one, other))
    assert difference(one, other) is None
    if kind == "json":
        assert json.loads(one)["stages"]


def test_layers_and_a_generation(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", saved, "--layers", "0", "--stage", "*.weights"]) == 0
    assert ".0." in capsys.readouterr().out
    run, config = str(tmp_path / "steps.npz"), tmp_path / "config.json"
    fields = {
        "model": "decoder-only",
        "vocabulary": 5,
        "width": 4,
        "heads": 2,
        "hidden": 6,
        "decoder_layers": 1,
    }
    config.write_text(json.dumps(fields))
    own = ["--config", str(config), "--ids", "[[1,2]]", "--max-new-tokens", "2"]
    assert main(["generate", *own, "--npz", run]) == 0
    assert main(["trace", run, "--stage", "decode.0.*.weights"]) == 0
    assert "decode.0.decoder.0.self_attention" in capsys.readouterr().out
    assert main(["trace", run, "--gradients"]) == 2
    assert "generation, which has no gradients" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "loss=1"], "--set says how a run is made, and"),
        (["--seed", "3"], "--seed says how a run is made, and"),
        (["--record", "*"], "holds one that was made before; drop"),
        (["--npz", "{saved}"], "is read by the same command"),
    ],
)
def test_what_would_make_the_run_again_is_refused(
    options: list[str], words: str, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", saved, *(option.format(saved=saved) for option in options)]) == 2
    assert words in capsys.readouterr().err


def test_a_file_that_is_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert main(["trace", str(tmp_path / "a.npz")]) == 2
    assert "has no `meta`" in capsys.readouterr().err
    assert main(["trace", str(tmp_path / "b.npz")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_every_option_shows_or_is_refused() -> None:
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = {action.dest for action in commands.choices["trace"]._actions}
    assert options == SHOWING | {*_MAKING}
