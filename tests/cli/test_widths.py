"""At any width and in any language no line is too wide and no grid is out of line: traces of all
examples, and every command that prints prose."""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from typing import Any

import pytest
import terminal
from samples import some
from small_folders import written
from widths import COMBINATIONS, LANGUAGES, WIDTHS, out_of_line, too_wide

from numtx.cli import COMMANDS, parser
from numtx.examples.registry import EXAMPLES, load_example
from numtx.parameters_file import save_parameters
from numtx.trace.files import save_trace

# Runs of each command; {trace} and the like are files.
RUNS = {
    "trace": ["trace cat --set logits[0,0]=1 --stage loss*", "trace --top 3 --stage logits",
              "trace --config {config} --ids [[1,2,3]] --last 2", "trace --act 2 --gradients"],
    "cell": ["cell cat loss", "cell decoder.1.cross_attention.scores[4,1] --depth 3",
             "cell decoder.1.cross_attention.values[4,1] --gradient --full"],
    "compare": ["compare {trace} {other} --cosine logits", "compare {trace} {trace} --full"],
    "verify": ["verify {trace}", "verify {trace} --budget 500"],
    "stages": ["stages", "stages --config {config} --ids [[1,2,3]]"],
    "init": ["init --fields --config {config}", "init --config {config} --list",
             "init --config {config} --out {new}"],
    "train": ["train cat --steps 3", "train cat --demo exposure --steps 3",
              "train cat --demo peeking --steps 3", "train cat --demo depth --steps 3",
              "train --demo flow"],
    "gradcheck": ["gradcheck --operation softmax --samples 1", "gradcheck cat --samples 1"],
    "generate": ["generate cat --no-cache --parameters {parameters}",
                 "generate cat --parameters {parameters} --num-beams 2 --trace",
                 "generate cat --parameters {parameters} --top-k 3 --trace",
                 "generate cat --parameters {parameters} --trace --stage *.weights"],
    "cost": ["cost", "cost --model {folder}"],
    "figures": ["figures --document 004", "figures --figure 003.loss-mean", "figures --summary"],
    "learn": ["learn"],
    "check": ["check {answer} --hint 3"],
    "picture": [f"picture {name}" for name in
                ("causal-mask", "cache-memory", "cached-step", "side-by-side")],
    "laws": ["laws --list", "laws --model {folder} --law K1 --law K3 --examples 1"],
    "inspect": ["inspect {folder}"],
    "export": ["export --model {folder} {folder}2"],
}  # fmt: skip
SLOW = ("figures --summary",)  # every row of the ledger is computed


def combinations(runs: list[str], count: int, where: str) -> list[Any]:
    """Each run at one width in one language, of all runs some; with --heavy everything."""
    drawn = {p.id for p in some(count, where, runs) if not p.marks}
    found = []
    for run in runs:
        own = zlib.crc32(run.encode()) % len(COMBINATIONS)
        for number, (width, lang) in enumerate(COMBINATIONS):
            light = number == own and run in drawn and run not in SLOW
            marks = () if light else pytest.mark.heavy
            found.append(pytest.param(run, width, lang, id=f"{run}-{width}-{lang}", marks=marks))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    names = {name: str(folder / name) for name in ("trace.npz", "other.npz", "parameters.npz")}
    save_trace(load_example("weather").trace(), names["trace.npz"])
    save_trace(load_example("weather", seed=1).trace(), names["other.npz"])
    save_parameters(names["parameters.npz"], load_example("cat").parameters)
    config = folder / "c.json"
    config.write_text(
        '{"model": "decoder-only", "width": 4, "decoder_layers": 3, "hidden": 4, "vocabulary": 5, '
        '"window": [2, null]}'
    )
    answer = folder / "answer.py"
    answer.write_text("def softmax_backward(dweights, weights): return weights * dweights\n")
    own = {
        "answer": answer,
        "config": config,
        "folder": written(folder / "m", "mixtral"),
        "new": folder / "new.npz",
    }
    return {**{Path(k).stem: v for k, v in names.items()}, **{k: str(v) for k, v in own.items()}}


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, *args: str
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = terminal.run(capsys, *args)
    assert code in (0, 1) and err == "" and out
    return out


@pytest.mark.parametrize(
    ("run", "width", "lang"), combinations([r for runs in RUNS.values() for r in runs], 6, __name__)
)
def test_commands_fit(run, width, lang, files, capsys, monkeypatch):
    args = [part.format(**files) for part in run.split()]
    text = printed(capsys, monkeypatch, width, *args, "--lang", lang)
    assert too_wide(text, width) == []


@pytest.mark.parametrize(
    ("example", "width", "lang"), combinations(list(EXAMPLES), 3, f"{__name__} traces")
)
def test_traces_of_examples_fit_and_their_grids_are_in_line(
    example, width, lang, capsys, monkeypatch
):
    text = printed(capsys, monkeypatch, width, "trace", example, "--gradients", "--lang", lang)
    assert too_wide(text, width) == []
    assert list(out_of_line(text)) == []


def test_every_command_has_runs_and_the_option_wins_over_the_environment(capsys, monkeypatch):
    assert set(RUNS) == set(COMMANDS)
    wide = printed(capsys, monkeypatch, 60, "trace", "cat", "--width", "140", "--lang", "both")
    assert too_wide(wide, 60) and not too_wide(wide, 140)
    assert {(w, lang) for w in WIDTHS for lang in LANGUAGES} == set(COMBINATIONS)


@pytest.mark.parametrize("width", WIDTHS)
def test_help_fits(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    top = parser()
    action = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for one in (top, *action.choices.values()):
        assert too_wide(one.format_help(), width) == []


def test_what_is_too_wide_or_out_of_line_is_seen() -> None:
    word = "decoder.0.self_attention.masked_scores"
    assert too_wide(f"a b\n{word}\n  {word}\n天气 x", 5) == [f"  {word}", "天气 x"]
    assert too_wide(word, 40) == []
    grid = "       0 今  1 a\n0 今    1.00  0.25\n1 abc   0.50  -inf  | sum 1.00"
    assert list(out_of_line(grid)) == []
    assert len(list(out_of_line(grid.replace("0 今 ", "0 今")))) == 1
