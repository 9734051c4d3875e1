"""`numtx cell`, `numtx verify` and `numtx trace --set` on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import terminal

from numtx import Batch, load_example, load_trace
from numtx.cli import main
from numtx.errors import StageError
from numtx.trace.files import save_trace

SCORES = "decoder.0.self_attention.scores[4,1]"


def output(capsys, *args: str, code: int = 0) -> str:
    found, out, _ = terminal.run(capsys, *args)
    assert found == code
    return out


def one_line(capsys, *args: str) -> str:
    assert main(list(args)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "Traceback" not in captured.err
    return captured.err


def test_a_cell_of_the_scores(capsys):
    text = output(capsys, "cell", "weather", SCORES, "--width", "88")
    trace = load_example("weather").trace()
    place = "decoder.0.self_attention"
    q, k = trace[f"{place}.queries"][0, 0, 4], trace[f"{place}.keys"][0, 0, 1]
    assert (
        f"{SCORES}   query 4 气, key 1 今   = {trace[f'{place}.scores'][0, 0, 4, 1].item()!r}"
        in text
    )
    assert " products[4,1] = queries[4,:]·keys[1,:]" in text
    for a, b in zip(q, k, strict=True):
        assert f"{abs(a):.4f}*{b:.4f}" in text
    assert f"{trace[f'{place}.products'][0, 0, 4, 1]:.4f} / sqrt(4) = " in text
    assert "(from the 2-decimal tables one gets 0.21; the table rounds the exact 0.199923" in text


def test_full_precision_and_depth(capsys):
    text = output(capsys, "cell", "weather", SCORES, "--full", "--depth", "3")
    trace = load_example("weather").trace()
    for number in trace["decoder.0.self_attention.queries"][0, 0, 4].tolist():
        assert repr(abs(number)) in text
    assert "decoder.0.self_attention.queries[4,0]   4 气, component 0   = " in text


def test_long_sums_are_cut_in_the_middle(capsys):
    text = output(capsys, "cell", "memory", "encoder.output[1,1]")
    assert "[500 more]" in text and len(text) < 3000


def test_a_gradient(capsys):
    text = output(capsys, "cell", "decoder.0.self_attention.keys[4,1]", "--gradient")
    assert text.startswith("d loss / d decoder.0.self_attention.keys[4,1]")
    assert "products[0,4] and 6 more: gradient * d products / d keys" in text
    assert "4 of 7 shares are 0" in text


def test_a_trace_file(capsys, tmp_path):
    save_trace(load_example("cat").trace(), tmp_path / "cat.npz")
    file = str(tmp_path / "cat.npz")
    cell = "decoder.0.self_attention.weights[1,3,2]"
    assert output(capsys, "cell", file, cell) == output(capsys, "cell", "cat", cell)
    assert "head 1, query 3 只, key 2 一" in output(capsys, "cell", file, cell)


def test_pinned_cells(capsys):
    text = output(capsys, "cell", "cat", "decoder.output[pinned]", "--as-stated", "--limit", "2")
    assert text.count("held at this value by a pin") == 2 and "18 more cells" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["logit[1,2]"], "did you mean 'logits'"),
        (["weather", "logits[99,2]"], "goes from 0 to 6"),
        (["none.npz", "logits[1,2]"], "none.npz: no such file"),
        ([], "numtx cell weather 'logits[4,1]'"),
        (["memory"], "which cell? for example: numtx cell memory 'logits[4,1]'"),
        (["run.npz"], "which cell? for example: numtx cell run.npz 'logits[4,1]'"),
        (["probabilities[1,2]", "--gradient"], "no gradient of 'probabilities'"),
    ],
)
def test_bad_cells(capsys, args, message):
    assert message in one_line(capsys, "cell", *args)


def test_verify(capsys, tmp_path):
    trace = load_example("weather").trace()
    save_trace(trace, tmp_path / "a.npz")
    text = output(capsys, "verify", str(tmp_path / "a.npz"))
    assert "every cell" in text and "right: everything follows" in text
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    arrays["decoder.1.cross_attention.context"][0, 0, 3, 2] += 1e-9
    np.savez(tmp_path / "b.npz", **arrays)
    text = output(capsys, "verify", str(tmp_path / "b.npz"), code=1)
    assert text.startswith("value of decoder.1.cross_attention.context[0,0,3,2]: expected ")
    assert "do not follow from their inputs" in text
    np.savez(tmp_path / "c.npz", logits=arrays["logits"])
    assert "has no `meta`" in one_line(capsys, "verify", str(tmp_path / "c.npz"))


def test_verify_says_what_was_sampled(capsys, tmp_path):
    save_trace(load_example("weather").trace(), tmp_path / "a.npz")
    text = output(capsys, "verify", str(tmp_path / "a.npz"), "--budget", "20000")
    assert "of all, sampled; --all takes every cell" in text and "right: " in text
    text = output(capsys, "verify", str(tmp_path / "a.npz"), "--budget", "20000", "--all")
    assert "every cell" in text


WEIGHTS = "decoder.1.self_attention.weights"


def test_what_if_one_cell(capsys, tmp_path):
    path = str(tmp_path / "t.npz")
    text = output(capsys, "trace", "--quiet", "--set", f"{WEIGHTS}[2,1]=0.25", "--npz", path)
    changed = load_trace(path)
    assert changed[WEIGHTS][0, 0, 2, 1] == 0.25
    assert np.argwhere(changed.pins[WEIGHTS]).tolist() == [[0, 0, 2, 1]]
    assert changed.verify().ok
    lines = {
        line.split()[0]: line.split() for line in text.split("\n") if line.startswith("  decoder")
    }
    # Nothing before the cell changes its value; its own query does after it, and no other.
    assert lines[f"{WEIGHTS}"][1:5] == ["*", "1", "of", "49"]
    assert lines["decoder.1.self_attention.context"][1:4] == ["4", "of", "28"]
    assert lines["decoder.0.self_attention.context"][1:4] == ["0", "of", "28"]
    assert "loss: 3.22098 before, " in text


def test_what_if_a_row_and_a_file(capsys, tmp_path):
    np.save(tmp_path / "w.npy", np.full((7, 7), 1 / 7))
    (tmp_path / "w.json").write_text(json.dumps([[0.5] * 7] * 7))
    np.savez(tmp_path / "w.npz", other=np.zeros(2), **{WEIGHTS: np.eye(7)})
    path = str(tmp_path / "t.npz")
    for file, first in (("w.npy", 1 / 7), ("w.json", 0.5), ("w.npz", 1.0)):
        row = f"{WEIGHTS}[3]=[0,0,0,0,0,0,1]"
        args = ("trace", "--quiet", "--npz", path, "--set", f"{WEIGHTS}={tmp_path / file}")
        output(capsys, *args, "--set", row, "--set", "encoder.mask[6]=0")
        weights = load_trace(path)[WEIGHTS][0, 0]
        assert weights[0, 0] == first and weights[3].tolist() == [0, 0, 0, 0, 0, 0, 1]
        assert not load_trace(path)["encoder.1.self_attention.weights"][..., 6].any()


def test_what_if_nothing_changes(capsys):
    text = output(capsys, "trace", "--quiet", "--set", "decoder.tokens[0]=1")
    assert "nothing changed" in text


def test_the_examples_own_pins_stay(capsys, tmp_path):
    path = str(tmp_path / "t.npz")
    own = load_example("cat", as_stated=True).trace()
    name = "decoder.output"
    assert own.pins[name].all()
    args = ("trace", "cat", "--as-stated", "--quiet", "--npz", path)
    output(capsys, *args, "--set", "logits[0,0]=9", "--set", f"{name}[2,1]=0.125")
    trace = load_trace(path)
    assert trace["logits"][0, 0, 0] == 9 and trace[name][0, 2, 1] == 0.125
    assert trace.pins[name].all() and trace.pins["logits"].sum() == 1
    assert np.count_nonzero(trace[name] != own[name]) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("x", "write NAME=FILE"),
        ("logit[1,2]=2", "did you mean 'logits'"),
        ("logits[1]=2", "does not fit it"),
        ("logits[99,2]=1", "does not fit it"),
        ("logits=none.npy", "is no number, no list and no file"),
        ("logits=[[1,2],[3]]", "rows of numbers of one length"),
        ("decoder.tokens[1]=0.5", "it takes whole numbers"),
        ("encoder.mask[1]=2", "it takes 0 or 1"),
        ("probabilities[1,1]=0.3", "nothing consumes this stage"),
        ("parameters/output.w[1,1]=0.3", "use --parameters"),
    ],
)
def test_bad_settings(capsys, setting, message):
    assert message in one_line(capsys, "trace", "--quiet", "--set", setting)


def test_a_file_without_gradients_says_how_to_make_one_that_has(capsys, tmp_path):
    from numtx import record_generation

    example = load_example("cat")
    file = tmp_path / "cat.npz"
    save_trace(example.trace(gradients=False), file)
    said = one_line(capsys, "cell", str(file), "logits[0,0]", "--gradient")
    assert f"{file}: this trace has no gradients" in said
    assert "numtx trace EXAMPLE --gradients --npz FILE" in said
    again = str(tmp_path / "again.npz")
    output(capsys, "trace", "cat", "--gradients", "--npz", again, "--quiet")
    assert "d loss / d logits[0,0]" in output(capsys, "cell", again, "logits[0,0]", "--gradient")
    _, trace = record_generation(example.config, example.parameters, Batch([[0]]), max_new_tokens=1)
    save_trace(trace, file)
    said = one_line(capsys, "cell", str(file), "prefill.logits[0,0]", "--gradient")
    assert "a generation, which has no gradients" in said
    with pytest.raises(StageError, match="a generation, which has no gradients"):
        trace.grad("prefill.logits")


def test_what_is_no_real_number_has_no_gradient(capsys):
    assert main(["cell", "weather", "encoder.0.self_attention.mask[0,0]", "--gradient"]) == 2
    assert "mask' is bool: what is no real number has no gradient" in capsys.readouterr().err
