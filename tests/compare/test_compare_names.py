"""Names that a comparison does not know, and what it leaves out: all of it is told."""

from __future__ import annotations

import re

import numpy as np
import pytest
from samples import VARIANTS, ragged_batch, random_parameters, some

from numtx import Batch, Config, NumtxError
from numtx.cli import main
from numtx.compare.compare import compare
from numtx.compare.sides import Side, read_side
from numtx.diagnosis.diagnose import Found
from numtx.mistakes.cause import CAUSES
from numtx.trace.files import save_trace
from numtx.trace.trace import Trace, record


def traced(gradients: bool = True) -> Trace:
    config = Config(**VARIANTS["encoder-decoder"])
    batch = Batch(**ragged_batch(config, 4, "right"))
    return record(config, random_parameters(config, 3), batch, gradients=gradients)


TRACE = traced()
SMALL = Config(model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=5)
# One name of each kind, and how it may be misspelled.
PLACE = "decoder.0.self_attention"
MISSPELLED = [
    (f"{PLACE}.scores", f"{PLACE}.scroes"),
    (f"parameters/{PLACE}.w_q", f"parameters/{PLACE}.wq"),
    (f"grad/{PLACE}.scores", f"grad/{PLACE}.scoress"),
    (f"grad/parameters/{PLACE}.w_q", "grad/parameters/decoder.0.self_atention.w_q"),
    ("inputs/decoder.positions", "inputs/decoder.position"),
]


def in_file(tmp_path, name: str, trace: Trace = TRACE) -> dict[str, np.ndarray]:
    """All arrays of a trace as a file has them."""
    save_trace(trace, tmp_path / name)
    with np.load(tmp_path / name) as file:
        return dict(file)


@pytest.mark.parametrize("side", some(1, __name__, ["first", "second", "no trace"]))
@pytest.mark.parametrize(("right", "wrong"), MISSPELLED)
def test_a_misspelled_name_is_told(tmp_path, capsys, right, wrong, side):
    arrays = in_file(tmp_path, "a.npz")
    arrays[wrong] = arrays.pop(right) if right in arrays else np.zeros(3)
    if side == "no trace":
        del arrays["meta"]
    np.savez(tmp_path / "b.npz", **arrays)
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    if side == "first":
        paths.reverse()
    code = main(["compare", *paths])
    out = capsys.readouterr().out
    hint = f"{wrong} (did you mean '{right}'?)" if not right.startswith("inputs/") else wrong
    assert f"in {tmp_path / 'b.npz'}: {hint}" in out
    assert code == 0 and " of " in out.partition(" arrays")[0]


def test_the_count_says_how_many_of_how_many(tmp_path, capsys):
    """`n` alone only where nothing is left out: m is the number of names of both together."""
    arrays = in_file(tmp_path, "a.npz")
    names = [name for name in arrays if name != "meta"]
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    for kept in (names, names[1:], names[:1], names[::7]):
        for strays in ({}, {"one": np.zeros(2), "grad/two": np.zeros(2)}):
            np.savez(tmp_path / "b.npz", **{n: arrays[n] for n in kept}, **strays)
            assert main(["compare", *paths, "--full"]) == 0
            out = capsys.readouterr().out
            n, m = len(kept), len(names) + len(strays)
            assert out.startswith(f"equal: {m} arrays" if n == m else f"equal: {n} of {m} arrays")
            for name in {*names, *strays} - set(kept):
                assert name in out
            assert ("not compared" in out) == (n < m)


def test_a_name_that_both_have_and_neither_knows_counts_once(tmp_path):
    arrays = in_file(tmp_path, "a.npz")
    np.savez(tmp_path / "a.npz", **arrays, mine=np.zeros(2))
    side = read_side(tmp_path / "a.npz")
    found = compare(side, side)
    assert found.unknown_first == found.unknown == ["mine"]
    assert found.of == found.compared + 1 == len(arrays)


def test_what_the_trace_has_not_is_told():
    """A file's gradients beside a trace without any, as a stage that the trace left out."""
    bare = traced(gradients=False)
    theirs = {**TRACE.values, f"grad/{PLACE}.scores": TRACE.grad(f"{PLACE}.scores")}
    found = compare(Side("A", bare.arrays, bare), Side("B", theirs, None))
    assert found.only_second == [f"grad/{PLACE}.scores"] and found.compared < found.of


@pytest.mark.parametrize(
    "names", [["grad/nothing"], ["parameters/decoder.0"], ["inputs/decoder.positions"], []]
)
def test_nothing_to_compare_is_an_error(tmp_path, names):
    np.savez(tmp_path / "b.npz", **dict.fromkeys(names, np.zeros(3)))
    side = read_side(tmp_path / "b.npz")
    with pytest.raises(NumtxError, match="has no stage of A; it has"):
        compare(Side("A", TRACE.arrays, TRACE), side)


def test_nothing_to_compare_names_what_may_be_meant():
    side = Side("B", {"logit": TRACE["logits"]}, None)
    with pytest.raises(NumtxError, match=r"it has logit \(did you mean 'logits'\?\)"):
        compare(Side("A", TRACE.arrays, TRACE), side)


@pytest.mark.parametrize("name", [f"{PLACE}.scores", f"grad/{PLACE}.scores"])
def test_no_cause_is_given_for_a_shape_that_does_not_fit(tmp_path, capsys, name):
    arrays = in_file(tmp_path, "a.npz")
    shapes = {"loss": arrays["loss"], name: arrays[name][..., :-1]}
    np.savez(tmp_path / "b.npz", **shapes)
    assert main(["compare", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]) == 1
    out = capsys.readouterr().out
    assert "cause: not looked for, as the shapes do not fit" in out and out.count("cause:") == 1


def test_a_wrong_gradient_is_laid_to_the_backward_pass_only_where_values_were_compared(
    tmp_path, capsys
):
    batch = Batch([[1, 2, 3, 4, 1]], labels=[[2, 3, 4, 1, 2]])
    small = record(SMALL, random_parameters(SMALL, 3), batch)
    arrays = in_file(tmp_path, "a.npz", small)
    name, parameter = f"grad/{PLACE}.scores", f"parameters/{PLACE}.w_q"
    right = arrays[name]
    noise = 1.0 + np.random.default_rng(0).random(right.shape)
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    loss = {"loss": arrays["loss"]}
    for others, cause in (
        (loss, "every value compared is equal, so the mistake is in the back"),
        ({**loss, name: right * 1.7}, f"every number is 1.7 times what it should be, in {PLACE}."),
        ({}, "no value is in both files, so that the forward pass may be wrong too"),
        ({parameter: arrays[parameter] * 2.0}, "not looked for, as the parameters differ"),
    ):
        np.savez(tmp_path / "b.npz", **{name: right * noise, **others})
        assert main(["compare", *paths, "--lang", "en"]) == 1
        assert f"cause: {cause}" in capsys.readouterr().out


def test_every_known_mistake_has_a_chinese_name():
    assert all(re.search("[\u4e00-\u9fff]|softmax", cause.name.zh) for cause in CAUSES)
    assert Found("mask (inverted)", ("a.mask",)).in_chinese() == "掩码（反了），在 a.mask"
