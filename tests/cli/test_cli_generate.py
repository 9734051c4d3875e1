"""`numtx generate` and `numtx cost` as people meet them."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import terminal

from numtx.check.verify import verify
from numtx.cli import main
from numtx.costs import total_with_cache, total_without_cache
from numtx.errors import UsageError
from numtx.examples.registry import load_example
from numtx.examples.story import PROBABILITIES
from numtx.parameters_file import save_parameters
from numtx.trace.files import load_trace
from numtx.training.loop import train
from numtx.training.run import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Files of trained parameters, by example."""
    files = {}
    for name in ("cat", "translation"):
        example = load_example(name)
        training = Run(example.config, example.parameters)
        train(training, example.batch, 400)
        files[name] = str(tmp_path_factory.mktemp("trained") / f"{name}.npz")
        save_parameters(files[name], training.parameters)
    return files


@pytest.fixture
def run(capsys):
    return partial(terminal.run, capsys)


@pytest.fixture
def soon_trained(monkeypatch):
    """A training that ends when the sentence is learned."""

    def train_less(training, batch, steps, **options):
        return train(training, batch, min(steps, 400), **options)

    monkeypatch.setattr("numtx.training.loop.train", train_less)


@pytest.mark.parametrize("options", [(), ("--no-cache",), ("--chunk", "2")])
def test_the_cat_step_by_step(run, trained, options):
    code, out, err = run("generate", "cat", "--parameters", trained["cat"], *options)
    assert (code, err) == (0, "")
    assert "prompt: 你\noutput: 是 一 只 猫" in out
    code, out, _ = run(
        "generate", "cat", "--prompt", "你 是 一", "--parameters", trained["cat"], *options
    )
    assert code == 0
    assert "prompt: 你 是 一\noutput: 只 猫" in out


def test_the_cat_is_trained_first_where_no_parameters_are_given(run):
    code, out, _ = run("generate", "cat")
    assert code == 0
    assert "training first, 1000 steps" in out
    assert "output: 是 一 只 猫" in out


def test_the_cache_grows_by_a_row_a_step(run, trained):
    _, out, _ = run("generate", "translation", "--parameters", trained["translation"])
    assert "output: Today is nice weather today <eos>" in out
    for line in ("0x4 + 1x4 -> 1x4", "1x4 + 1x4 -> 2x4", "5x4 + 1x4 -> 6x4"):
        assert line in out
    assert re.findall(r"decode\.\d.* (1x\d)  ", out) == ["1x2", "1x3", "1x4", "1x5", "1x6"]


def test_what_is_computed_again_without_a_cache(run, trained):
    _, out, _ = run("generate", "cat", "--parameters", trained["cat"], "--no-cache")
    # 1 + 2 + 3 tokens, keys and values, in two layers
    assert "without a cache 6 tokens' keys and values were computed again" in out
    assert "2 layers: 24 rows" in out


def test_a_stop_token_and_a_length(run, trained):
    _, out, _ = run("generate", "cat", "--stop", "一", "--parameters", trained["cat"])
    assert "output: 是 一\n" in out
    _, out, _ = run("generate", "cat", "--max-new-tokens", "1", "--parameters", trained["cat"])
    assert "output: 是\n" in out
    _, out, _ = run("generate", "cat", "--max-new-tokens", "0", "--parameters", trained["cat"])
    assert "output: \n" in out


def test_the_trace_of_a_generation(run, trained, tmp_path):
    file = str(tmp_path / "trace.npz")
    code, out, _ = run(
        "generate", "translation", "--parameters", trained["translation"], "--trace",
        "--npz", file, "--stage", "decode.1.*.all_keys", "--stage", "prefill.decoder.mask",
        "--stage", "*.all_mask",
    )  # fmt: skip
    assert code == 0
    assert "Prefill, Decoder" in out
    assert "Decode 1, Decoder layer 1: cross-attention" in out
    assert "[[2,4]; [1,4]] = [3,4]" in out
    trace = load_trace(file)
    assert "decode.4.logits" in trace
    assert verify(trace).ok
    code, out, _ = run("generate", "cat", "--parameters", trained["cat"], "--trace")
    assert code == 0
    assert np.all([f"== decode.{n}.decoder.0.self_attention" in out for n in range(3)])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("generate", "masked"), "masked has no decoder"),
        (("generate", "nothing"), "example 'nothing' does not exist"),
        (("generate", "cat", "--prompt", "狗"), "'狗' is not in the vocabulary: 你 是 一 只 猫"),
        (("generate", "cat", "--prompt", " "), "--prompt is empty"),
        (("generate", "cat", "--stop", "狗"), "token '狗' is not in the vocabulary"),
        (("generate", "cat", "--stage", "*"), "add --trace"),
        (("generate", "cat", "--max-new-tokens", "-1"), "is not a whole number from 0 up"),
        (("generate", "cat", "--parameters", "no.npz"), "no.npz"),
        (("generate", "cat", "--max-new-tokens", "9"), "position 5 lies past the learned"),
        (("cost", "--tokens", "0"), "is not a whole number from 1 to 500"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, args, message):
    code, _, err = run(*args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_the_table_of_costs(run):
    code, out, err = run("cost", "--tokens", "9", "--width", "6", "--layers", "2")
    assert (code, err) == (0, "")
    for total in (total_without_cache(9, 6), total_with_cache(9, 6)):
        assert out.count(f"{total:,}") == 2  # counted, and by the formula
    assert "6 x 100 x 2 x 4 = 4,800" in out
    assert "6 x 7 x 2 x 4 = 336" in out
    assert "2,359,296 numbers a token" in out
    assert [line.split()[-2] for line in out.splitlines() if line.endswith("GiB")] == [
        "64.0", "16.0", "2.0",
    ]  # fmt: skip
    assert "prefill O(L^2) 4 4 x 4" in " ".join(out.split())
    assert "1 x 5" in out


def test_long_tables_leave_out_the_middle(run):
    _, out, _ = run("cost", "--tokens", "20", "--width", "5")
    counted = re.findall(r"^(\d+)  ", out, re.MULTILINE)
    assert counted == ["1", "2", "3", "4", "5", "6", "20"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["cat", "--max-new-tokens", "9"], "position 5 lies past the learned"),
        (["weather", "--chunk", "2", "--no-cache"], "chunk given with use_cache=False"),
        (["weather", "--num-beams", "2", "--no-cache"], "--no-cache with --strategy beam"),
        (["weather", "--num-beams", "0"], "num_beams is int 0"),
        (["weather", "--trace", "--stage", "decode.99.*"], "matches no stage"),
        (["weather", "--npz", "no/such/folder.npz"], "no/such' does not exist; make it"),
        (["weather", "--npz", "."], "is a folder"),
        (["weather", "--top-k", "0"], "top_k"),
        (["weather", "--repetition-penalty", "-1"], "repetition_penalty"),
        (["weather", "--stop", "狗"], "token '狗'"),
        (["weather", "--prompt", "狗"], "'狗' is not in the vocabulary"),
    ],
)
def test_options_are_checked_before_the_training(run, monkeypatch, args, message):
    def trained_already(*_args, **_options):
        raise AssertionError("the training has begun")

    monkeypatch.setattr("numtx.training.loop.train", trained_already)
    code, out, err = run("generate", *args)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    with pytest.raises(AssertionError, match="has begun"):
        run("generate", args[0])


def test_a_text_that_stops_before_the_table_of_positions_ends_may_ask_for_more(
    run, trained, soon_trained
):
    args = ("generate", "cat", "--max-new-tokens", "9", "--stop", "猫")
    assert "output: 是 一 只 猫\n" in run(*args, "--parameters", trained["cat"])[1]
    assert "output: 是 一 只 猫\n" in run(*args)[1]


@pytest.mark.parametrize("name", ["cat", "letters", "memory"])
def test_generate_and_train_follow_one_recipe(run, monkeypatch, name):
    """Both hand the same run and the same number of steps to the training loop."""
    asked = []

    def train(training, _batch, steps, **_options):
        asked.append((training.recipe, training.recipe.rate(1, training.config), steps))
        raise UsageError("enough")

    monkeypatch.setattr("numtx.training.loop.train", train)
    for command in ("train", "generate"):
        assert run(command, name)[0] == 2
    assert asked[0] == asked[1]
    assert asked[0][1:] == ((0.0003, 50) if name == "memory" else (0.003, 1000))


def test_a_cost_that_would_take_minutes_is_refused(capsys):
    for option, most in (("--tokens", 500), ("--prompt", 4000)):
        with pytest.raises(SystemExit):
            main(["cost", option, str(most + 1)])
        assert f"is not a whole number from 1 to {most}" in capsys.readouterr().err


def test_what_was_trained_is_kept_where_asked(capsys, tmp_path, soon_trained):
    path = str(tmp_path / "p.npz")
    first = terminal.run(capsys, "generate", "cat", "--save", path, "--lang", "en")
    assert first[0] == 0 and first[1].index("training first") < first[1].index("trained: loss")
    again = terminal.run(capsys, "generate", "cat", "--parameters", path, "--lang", "en")
    assert "training" not in again[1]
    assert again[1].partition("\n\n")[2] == first[1].partition("\n\n")[2]
    code, _, err = terminal.run(capsys, "generate", "story", "--save", path)
    assert code == 2 and "nothing is" in err


def test_the_story_has_the_probabilities_of_its_document(capsys):
    _, out, _ = terminal.run(capsys, "generate", "story", "--lang", "zh")
    assert "训练" not in out
    lines = out.partition("最可能的词")[2].splitlines()
    for line, stated in zip(lines[1:], PROBABILITIES, strict=False):
        assert all(f"{word} {p:.2f}" in line for word, p in stated.items())
