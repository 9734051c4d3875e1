"""`numtx train` as people meet it."""

import numpy as np
import pytest
import terminal

from numtx.examples.registry import load_example
from numtx.parameters_file import load_parameters
from numtx.training.checkpoint import load_run
from numtx.training.loop import train


def run(capsys, *arguments):
    return terminal.run(capsys, "train", *arguments)


def test_train_says_what_it_reaches(capsys):
    code, out, err = run(capsys, "weather", "--steps", "700")
    assert (code, err) == (0, "")
    assert "1136 parameters, adamw, rate 0.003, seed 0" in out
    last = next(line for line in out.splitlines() if line.startswith("loss 3."))
    assert float(last.split()[3]) < 0.05
    assert out.endswith("greedy output = target\n") and "WRONG" not in out


def test_a_sentence_of_the_reader(capsys):
    code, out, _ = run(capsys, "你好世界", "--steps", "300")
    assert code == 0 and out.endswith("greedy output = target\n")
    assert "target  你  好  世  界  <eos>" in out


def test_a_short_run_says_what_is_wrong(capsys):
    code, out, _ = run(capsys, "weather", "--steps", "1", "--optimizer", "sgd")
    assert code == 0
    assert "WRONG" in out and out.endswith("greedy output differs from the target\n")


def test_save_and_resume_end_like_one_run(capsys, tmp_path):
    one, two = str(tmp_path / "one.npz"), str(tmp_path / "two.npz")
    options = ["--warmup", "10", "--clip", "1", "--label-smoothing", "0.1", "--seed", "3"]
    assert run(capsys, "weather", "--steps", "30", "--save", one, *options)[0] == 0
    assert run(capsys, "weather", "--steps", "13", "--save", two, *options)[0] == 0
    code, out, _ = run(capsys, "weather", "--steps", "30", "--resume", two, "--save", two)
    assert code == 0
    assert "warmup 10, clip 1, label smoothing 0.1, resumed at step 13" in out
    first, second = load_run(one), load_run(two)
    assert first.losses == second.losses
    assert first.weights.tobytes() == second.weights.tobytes()


def test_a_saved_run_holds_the_parameters_of_its_example(capsys, tmp_path):
    path = tmp_path / "run.npz"
    run(capsys, "weather", "--steps", "2", "--save", str(path))
    parameters = load_parameters(path, load_example("weather").config)
    trained = load_run(path).parameters
    assert list(parameters) == list(trained)
    assert all(np.array_equal(parameters[name], trained[name]) for name in trained)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "example 'nowhere'"),
        (["weather", "--learning-rate", "-1"], "learning_rate is -1.0"),
        (["weather", "--label-smoothing", "1"], "label_smoothing is 1.0"),
        (["weather", "--resume", "missing.npz"], "missing.npz: no such file"),
        (["weather", "--save", "no/such/folder.npz"], "no/such' does not exist; make it"),
        (["weather", "--save", "."], "is a folder"),
        (["weather", "--resume", "x.npz", "--clip", "2"], "--clip with --resume"),
        (["weather", "--optimizer", "sgd", "--learning-rate", "1e200"], "loss is"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err and err.count("\n") == 1


def test_a_run_that_is_further_than_the_steps(capsys, tmp_path):
    path = str(tmp_path / "run.npz")
    run(capsys, "weather", "--steps", "4", "--save", path)
    code, _, err = run(capsys, "weather", "--steps", "3", "--resume", path)
    assert code == 2 and "already taken 4" in err


@pytest.mark.parametrize(
    ("demo", "words"),
    [
        ("flow", "W_new = W_old - 0.001 * gradient"),
        ("exposure", "step 1000"),
        ("peeking", "smallest loss without peeking"),
        ("depth", "without: input / last block"),
    ],
)
def test_demonstrations_print(capsys, monkeypatch, demo, words):
    """What is printed; `exposure` has no shorter run, and is trained a little only: that it shows
    what it claims is a test of the demonstrations."""

    def a_little(training, batch, stop):
        return train(training, batch, stop // 25)

    monkeypatch.setattr("numtx.training.demonstrations.train", a_little)
    steps = [] if demo in ("flow", "exposure") else ["--steps", "5"]
    code, out, err = run(capsys, "weather", "--demo", demo, "--lang", "en", *steps)
    assert (code, err) == (0, "") and words in out
