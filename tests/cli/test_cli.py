"""The command line as people meet it."""

import re
from pathlib import Path

import numpy as np
import pytest
from children import python, shell
from terminal import run

from numtx import __version__, load_example
from numtx.cli import COMMANDS, main
from numtx.show.grid import display_width


def test_trace_prints_the_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "trace")
    assert (code, err) == (0, "")
    parts = [
        "tokens", "embedding", "positions", "encoder.0.self_attention",
        "encoder.1.feed_forward", "decoder.0.self_attention", "masked_scores", "weights",
        "decoder.0.cross_attention", "[7,7]", "logits", "[7,4]·[4,10] = [7,10]",
        "probabilities", "loss.per_token", "loss = 3.2",
    ]  # fmt: skip
    place = 0
    for part in parts:
        assert part in out[place:], part
        place = out.index(part, place)


def test_every_line_of_a_grid_has_one_display_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ("trace", "--gradients", "--precision", "4", "--stage", "*", "--lang", "en")
    _, out, _ = run(capsys, *args)
    grids = 0
    for block in out.split("\n\n")[1:]:
        lines = [
            line
            for line in block.split("\n")
            if line and not line.startswith(("[", "why", "==", "gradient", "  loss", "1 head"))
        ]
        if len(lines) > 1:
            grids += 1
            assert len({display_width(line) for line in lines}) == 1, block
    assert grids > 100


def test_a_masked_zero_looks_different(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "trace", "--stage", "decoder.0.self_attention.weights")
    first = next(line for line in out.split("\n") if line.startswith("0 <bos>"))
    assert first.split()[2:9] == ["1.00", *["."] * 6]
    assert "sum 1.00" in first


def test_stage_globs_repeat(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "trace", "--stage", "logits", "--stage", "encoder.?.*.norm")
    numbers = [line for line in out.split("\n") if line.startswith("[")]
    assert [line.split()[1] for line in numbers] == ["norm"] * 4 + ["logits"]


@pytest.mark.parametrize("lang", ["zh", "en", "both"])
def test_languages(capsys: pytest.CaptureFixture[str], lang: str) -> None:
    _, out, _ = run(capsys, "trace", "--lang", lang, "--stage", "logits")
    assert ("词表分数" in out) == (lang != "en")
    assert ("Logits" in out) == (lang != "zh")


def test_seed_and_precision(capsys: pytest.CaptureFixture[str]) -> None:
    losses = {run(capsys, "trace", "--seed", s, "--stage", "loss")[1] for s in ("0", "1", "0")}
    assert len(losses) == 2
    _, out, _ = run(capsys, "trace", "--precision", "6", "--stage", "encoder.positions")
    assert "0.841471" in out


def test_npz(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    code, out, _ = run(capsys, "trace", "--npz", str(path), "--stage", "loss")
    assert code == 0
    assert f"written: {path}" in " ".join(out.split())
    with np.load(path) as file:
        assert file["logits"].shape == (1, 7, 10)


def test_stages_lists_shapes_and_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "stages", "weather", "--lang", "en")
    assert code == 0
    assert len(out.strip().split("\n")) == 111
    assert "decoder.0.cross_attention.products" in out
    assert "[1,7,10]" in out
    assert "S = Q·K^T / sqrt(d_k)" in out


@pytest.mark.parametrize(
    "args",
    [
        ("trace", "wether"),
        ("trace", "--stage", "nothing"),
        ("trace", "--precision", "-1"),
        ("trace", "--precision", "x"),
        ("trace", "--precision", "99"),
        ("trace", "--lang", "fr"),
        ("trace", "--seed", "-1"),
        ("trace", "--row", "1"),
        ("trace", "--npz", "/does/not/exist/t.npz"),
        ("trace", "--nonsense"),
        ("stages", "nothing"),
        ("nothing",),
        ("--nothing",),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    code, _, err = run(capsys, *args)
    assert code == 2
    assert err.count("\n") == 1, err
    assert err.startswith("numtx")


def test_a_near_miss_is_hinted(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'weather'?" in run(capsys, "trace", "wether")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_does_not_know_is_told_of_that_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"picture": ["causal-mask"], "compare": ["a"]}.get(command, [])
    with pytest.raises(SystemExit):
        main([command, *given, "--no-such-option"])
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"(see numtx {command} --help)" in told
    with pytest.raises(SystemExit):
        main([command[:-2] + "x" + command[-1]])
    assert f"did you mean {command!r}? (see numtx --help)" in capsys.readouterr().err


def test_stages_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    graph = load_example("weather").trace().graph
    names = list(graph.stages)
    last = str(len(names))
    assert graph.select(["2-4", "1", last, names[5]]) == [*names[:4], names[5], names[-1]]
    for wrong in ("0", "0-2", "4-2", f"2-{last}0"):
        assert main(["trace", "--stage", wrong]) == 2
        assert f"{wrong!r}: the stages have numbers from 1 to {last}" in capsys.readouterr().err
    assert main(["trace", "--stage", "5"]) == 0
    assert names[4].rpartition(".")[2] in capsys.readouterr().out


def test_help_and_version_do_not_load_numpy() -> None:
    code = "import sys, numtx.cli\ntry: numtx.cli.main([{!r}])\nexcept SystemExit: pass\n"
    code += "assert 'numpy' not in sys.modules and 'tabulate' not in sys.modules"
    for option in ("--help", "--version"):
        done = python("-c", code.format(option))
        assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


def test_head_is_quiet_and_piped_output_has_no_colour() -> None:
    done = shell("numtx trace | head -n 3")
    assert done.stderr == ""
    assert done.stdout.count("\n") == 3
    assert "\x1b" not in done.stdout
    assert "\x1b" in shell("numtx trace --color always --stage loss").stdout


def test_colour_takes_no_room_in_a_grid(capsys: pytest.CaptureFixture[str]) -> None:
    args = ("trace", "--stage", "decoder.0.self_attention.weights", "--width", "80")
    _, plain, _ = run(capsys, *args)
    _, coloured, _ = run(capsys, *args, "--color", "always")
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain
    assert coloured != plain


def test_output_that_cannot_be_written_is_one_line(full_device: Path) -> None:
    done = shell(f"numtx trace > {full_device}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert shell("numtx trace >&-").stderr == ""


def test_the_language_of_a_trace_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    _, english, _ = run(capsys, "trace", "--lang", "en", "--stage", "loss")
    assert "文中给出" not in english
    _, chinese, _ = run(capsys, "trace", "--lang", "zh", "--stage", "loss")
    assert "why" not in chinese
    assert "shown to" not in chinese


def test_broken_and_swapped_traces_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.npz"
    run(capsys, "trace", "--npz", str(path), "--quiet")
    with np.load(path) as file:
        arrays = dict(file)
    scores = "decoder.0.self_attention.scores"
    for name, wrong in (("cut", arrays[scores][..., :3]), ("words", np.array(["a"]))):
        np.savez(tmp_path / f"{name}.npz", **{**arrays, scores: wrong})
        code, _, err = run(capsys, "verify", str(tmp_path / f"{name}.npz"))
        assert code == 2
        assert err.count("\n") == 1
    np.savez(tmp_path / "plain.npz", logits=arrays["logits"][0])
    code, _, err = run(capsys, "compare", str(tmp_path / "plain.npz"), str(path))
    assert code == 2
    assert "give the trace first" in err
    assert run(capsys, "compare", str(path), str(tmp_path / "plain.npz"))[0] == 0
    np.savez(tmp_path / "less.npz", **{n: a for n, a in arrays.items() if n != scores})
    _, out, _ = run(capsys, "verify", str(tmp_path / "less.npz"))
    assert f"not in the file: {scores}" in out
    assert "what was checked" in out
