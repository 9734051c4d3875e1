"""The options of `numtx generate` that choose the next token."""

from __future__ import annotations

from functools import partial

import pytest
import terminal


@pytest.fixture
def run(capsys):
    return partial(terminal.run, capsys, "generate")


def test_greedy_and_beams_tell_the_documents_story(run):
    code, out, err = run("beams")
    assert (code, err) == (0, "")
    assert "output: Today is nice weather today <eos>" in out
    for options in (("--num-beams", "5"), ("--beams", "5"), ("--strategy", "beam")):
        code, out, err = run("beams", *options)
        assert (code, err) == (0, "")
        assert "beam search: 5 beams, score = log P / length^1" in out
        assert "output: The weather is nice today <eos>" in out
        assert "14,020 multiply-adds; greedy: 2,804\n5 times as many" in out
        assert "dead" not in out
    code, out, _ = run("beams", "--beams", "5", "--trace")
    assert code == 0
    assert "-> beam 4" in out and "dead" in out
    assert "decode.4" in out


def test_the_penalty(run):
    _, out, _ = run("loops", "--max-new-tokens", "8")
    assert "output: very very very good <eos>" in out
    assert "output: I think I think I think I think\n" in out
    _, out, _ = run("loops", "--repetition-penalty", "1.3")
    assert "greedy, repetition penalty 1.3" in out
    assert "output: very good <eos>" in out
    assert "output: so <eos>" in out


def test_sampling_follows_its_seed(run):
    options = ("beams", "--temperature", "1.5", "--top-p", "0.99", "--seed")
    outputs = [run(*options, seed)[1] for seed in ("1", "1", "2", "3")]
    assert outputs[0] == outputs[1]
    assert len({out.split("output:")[1] for out in outputs}) > 1
    assert "sampling with seed 1, temperature 1.5, top p 0.99" in outputs[0]
    _, cold, _ = run("beams", "--strategy", "sample", "--temperature", "0")
    assert "output: Today is nice weather today <eos>" in cold


def test_the_trace_shows_filters_and_stages_on_demand(run):
    _, out, _ = run("beams", "--top-k", "3", "--min-p", "0.1", "--trace")
    assert "softmax  top_k=3  min_p=0.1" in out
    assert "== decode" not in out
    _, out, _ = run("beams", "--top-k", "3", "--trace", "--stage", "decode.0.logits")
    assert "softmax  top_k=3" in out
    assert "a raw score of every word" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperature", "-1"), "temperature is float -1.0"),
        (("--temperature", "nan"), "temperature is float nan"),
        (("--top-k", "0"), "top_k is int 0"),
        (("--top-k", "x"), "invalid int value: 'x'"),
        (("--top-p", "0"), "top_p is float 0.0"),
        (("--min-p", "2"), "min_p is float 2.0"),
        (("--repetition-penalty", "0"), "repetition_penalty is float 0.0"),
        (("--beams", "0"), "num_beams is int 0"),
        (("--length-penalty", "inf"), "length_penalty is float inf"),
        (("--strategy", "greedy", "--top-k", "2"), "--top-k belongs to --strategy sample"),
        (("--strategy", "sample", "--beams", "2"), "--num-beams belongs to --strategy beam"),
        (("--beams", "2", "--temperature", "1"), "belongs to --strategy"),
        (("--beams", "2", "--no-cache"), "--no-cache with --strategy beam"),
        (("--beams", "2", "--npz", "x"), "--npz with --strategy beam"),
    ],
)
def test_bad_input_is_one_line(run, options, message):
    code, _, err = run("beams", *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
