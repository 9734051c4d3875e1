"""`numtx gradcheck` as people meet it."""

from __future__ import annotations

import json

import pytest
import terminal

import numtx.feed_forward.dense


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, list[str], str]:
    code, out, err = terminal.run(capsys, "gradcheck", *args)
    return code, out.splitlines(), err


def test_an_example_passes(capsys):
    code, out, err = run(capsys, "weather", "--samples", "1")
    assert (code, err) == (0, "")
    assert any(line.startswith("decoder.1.cross_attention.w_q") for line in out)
    assert out[-1].startswith("ok: ")


def test_a_wrong_gradient_is_named_with_exit_code_1(capsys, monkeypatch):
    right = numtx.feed_forward.dense.activation_backward
    monkeypatch.setattr(
        numtx.feed_forward.dense, "activation_backward", lambda kind, d, x: 1.01 * right(kind, d, x)
    )
    code, out, _ = run(capsys, "weather", "--stage", "decoder.1.feed_forward.*", "--samples", "2")
    assert code == 1
    wrong = [line.split()[0] for line in out if line.endswith("WRONG")]
    assert wrong == ["decoder.1.feed_forward.hidden"]
    assert out[-1].startswith("wrong: gradient of decoder.1.feed_forward.hidden")


def test_a_model_of_ones_own(capsys, tmp_path):
    config = tmp_path / "config.json"
    fields = {"model": "decoder-only", "width": 4, "decoder_layers": 1, "hidden": 5}
    config.write_text(json.dumps({**fields, "vocabulary": 6, "activation": "gelu"}))
    code, out, _ = run(capsys, "--config", str(config), "--ids", "[[1,2,1]]", "--samples", "0")
    assert code == 0
    assert next(line for line in out if line.startswith("output.w")).split()[1] == "24"


def test_operations(capsys):
    assert run(capsys, "--operation", "norm_rms")[1][-1] == "ok: 3 arrays"
    code, out, _ = run(capsys, "--operation", "all", "--samples", "3")
    assert code == 0
    assert any(line.startswith("softmax.scores") for line in out)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--operation", "sofmax"), "did you mean 'softmax'"),
        (("weather", "--operation", "softmax"), "--operation runs no model"),
        (("--stage", "decoder.9.*"), "matches no stage"),
        (("--stage", "*.mask"), "no stage that matches has a gradient"),
    ],
)
def test_bad_options_are_one_line(capsys, args, message):
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, [])
    assert message in err and err.count("\n") == 1
