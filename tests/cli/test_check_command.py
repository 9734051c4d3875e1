"""`numtx learn N --exercise` and `numtx check`: a file with a hole, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import terminal
from samples import some

from numtx.answering import run

RIGHT = """\
    s = np.exp(queries @ keys.T / np.sqrt(queries.shape[1]))
    return s / s.sum(1, keepdims=True)"""
UNSCALED = RIGHT.replace(" / np.sqrt(queries.shape[1])", "")


@pytest.fixture
def hole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "a.py"
    code, out, _ = terminal.run(capsys, "learn", "3", "--exercise", str(path))
    assert code == 0 and "numtx check" in out
    return path


def fill(path: Path, body: str) -> str:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    ...\n", body + "\n"), encoding="utf-8")
    return str(path)


def test_a_lesson_ends_in_what_there_is_to_write(capsys):
    assert terminal.run(capsys, "learn", "26")[1].endswith(
        "window_mask\n  numtx learn 26 --exercise\n"
    )
    assert "--exercise" not in terminal.run(capsys, "learn", "28")[1]


def test_a_hole_is_one_line_and_hints_come_one_by_one(hole, capsys):
    code, out, err = terminal.run(capsys, "check", str(hole))
    assert (code, out) == (2, "") and "attention_weights: not filled in" in err
    said = [
        terminal.run(capsys, "check", str(hole), "--hint", *more)[1] for more in ([], ["1"], ["2"])
    ]
    assert said[0] == said[1] != said[2] and "hint 2:" in said[2] and "hint 2:" not in said[0]
    out = terminal.run(capsys, "check", str(hole), "--answer")[1]
    assert "np.sqrt" in out and "np.sqrt" not in said[2]


@pytest.mark.parametrize("body", ["    pass", "    raise NotImplementedError", "    ...; 'later'"])
def test_a_body_that_does_nothing_is_a_hole(hole, capsys, body):
    code, out, err = terminal.run(capsys, "check", fill(hole, body))
    assert (code, out) == (2, "") and "attention_weights: not filled in" in err


def test_a_right_one(hole, capsys):
    code, out, err = terminal.run(capsys, "check", fill(hole, RIGHT))
    assert (code, err) == (0, "") and out.startswith("attention_weights: right")


def test_a_wrong_one_with_its_cell_and_its_mistake(hole, capsys):
    path = fill(hole, UNSCALED)
    code, out, err = terminal.run(capsys, "check", path)
    assert (code, err) == (1, "") and "the mistake: not divided by sqrt(d_k)" in out
    assert "row 0 今, column 0 今 has 0.177431 (49 of 49 cells" in out and "0.175643" not in out
    assert "0.175643" in terminal.run(capsys, "check", path, "--hint", "3")[1]
    chinese = terminal.run(capsys, "check", path, "--lang", "zh")[1]
    assert "错误：没有除以 sqrt(d_k)" in chinese and "the mistake" not in chinese
    (told,) = json.loads(terminal.run(capsys, "check", path, "--json", "-")[1])
    assert not told["right"] and told["mistakes"][0][0]["en"] == "not divided by sqrt(d_k)"
    assert told["cell"]["index"] == [0, 0] and "expected" not in told["cell"]


def test_a_mistake_that_raises_for_other_shapes_is_named_with_the_error(hole, capsys):
    code, out, _ = terminal.run(capsys, "check", fill(hole, RIGHT.replace(", keepdims=True", "")))
    assert code == 1 and "keepdims missing" in out and "ValueError: operands" in out


UNJUDGED = {
    "    return queries / nothing": "a.py, line 19: NameError: name 'nothing' is not defined",
    "    queries @ keys": "line 19: ValueError: matmul",
    "    queries @ keys.T": "it returns None; is `return` missing?",
    "    return 'weights'": "it returns str; numbers are needed",
    "    return [[1.0], [1.0, 2.0]]": "it returns rows of different lengths",
    "    return (queries @ keys.T).sum()": "it returns [], which should be [7,7]",
    "    return (queries @ keys.T).astype('float16')": "float16 is too coarse to be judged",
    "    return np.full((len(queries), len(keys)), np.nan)": "NaN at [0,0]; look for 0 / 0",
    "    import no_such_package": "ModuleNotFoundError: No module named 'no_such_package'",
    "    raise SystemExit": "line 19: SystemExit",
    "    import os; os._exit(3)": "its process ended (exit code 3)",
    "    return (": "line 19: this is no Python: '(' was never closed",
}


@pytest.mark.parametrize("body", some(3, __name__, UNJUDGED))
def test_what_cannot_be_judged_is_one_line(hole, capsys, body):
    code, out, err = terminal.run(capsys, "check", fill(hole, body))
    assert (code, out) == (2, "") and UNJUDGED[body] in err and err.count("\n") == 1


def test_a_loop_without_end_is_stopped(hole, capsys, monkeypatch):
    monkeypatch.setattr(run, "SECONDS", 1.0)
    code, _, err = terminal.run(capsys, "check", fill(hole, "    while True: pass"))
    assert code == 2 and "ran for 1 s and was stopped; is there a loop without end?" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "does not exist; `numtx learn 3 --exercise"),
        ("def attention_weight(queries, keys): ...", "did you mean 'attention_weights'?"),
        ("x = 1\n", "no function of an exercise is defined in it"),
        ("\0", "this is no Python"),
        ("import no_such_package\ndef attention_weights(q, k): return q", "line 1: ModuleNotFound"),
        ("def attention_weights(q): return q", "takes 1 positional argument but 2 were given"),
    ],
)
def test_a_file_without_the_function_is_one_line(tmp_path, capsys, text, says):
    path = tmp_path / "b.py"
    if text is not None:
        path.write_text(text)
    code, out, err = terminal.run(capsys, "check", str(path))
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1


def test_holes_of_a_lesson_are_judged_apart(tmp_path, capsys):
    path = tmp_path / "six.py"
    assert terminal.run(capsys, "learn", "6", "--exercise", str(path))[0] == 0
    first, rest = path.read_text().split("    ...\n", 1)
    filled = "    return weights * (dweights - (dweights * weights).sum(1)[:, None])\n"
    path.write_text(f"{first}    print('seen')\n{filled}{rest}")
    code, out, err = terminal.run(capsys, "check", str(path))
    assert code == 2 and out == "softmax_backward: right, on 5 sets of numbers\n"
    assert "logits_gradient, norm_backward: not filled in" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["learn", "13", "--exercise", "{new}"], "lesson 13 has no exercise to write; these have:"),
        (["learn", "--exercise", "{new}"], "--exercise is of one lesson; say which"),
        (["learn", "3", "--exercise", "{old}"], "exists, and may hold your solution"),
        (["check", "{old}", "--hint", "0"], "not a whole number from 1"),
    ],
)
def test_what_cannot_be_asked_is_one_line(hole, tmp_path, capsys, words, says):
    names = {"new": str(tmp_path / "c.py"), "old": str(hole)}
    code, out, err = terminal.run(capsys, *(word.format(**names) for word in words))
    assert (code, out) == (2, "") and says in err and not (tmp_path / "c.py").exists()
