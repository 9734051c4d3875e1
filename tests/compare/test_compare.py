"""Two runs beside each other: the stage where another implementation parts, and the mistake."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from independent_model import run
from samples import VARIANTS, part, ragged_batch, random_parameters

from numtx import Batch, Config, NumtxError
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.sides import Side, read_side
from numtx.trace.files import save_trace
from numtx.trace.trace import Trace, record

MODELS = {
    "post": "encoder-decoder",
    "pre": "two vocabularies, learned positions, pre-norm",
    "grouped": "decoder, rotary, grouped, gated",
    "halves": "decoder, not causal",
}
# What a small model cannot feel: many layers, many words, long rows far out.
LARGE = {
    "deep": "decoder, deep",
    "many words": "decoder, many words",
    "long": "decoder, long rows, far positions",
}


def reference(model: str, dtype: str = "float64") -> tuple[Trace, dict, dict]:
    config = Config(**VARIANTS[{**MODELS, **LARGE}[model]], dtype=dtype)
    fields = ragged_batch(config, 4, "right")
    parameters = random_parameters(config, 3)
    return record(config, parameters, Batch(**fields)), parameters, fields


REFERENCES = {model: reference(model) for model in (*MODELS, *LARGE)}


def against(model: str, mistake: str = "", only: tuple[str, ...] = ()) -> Comparison:
    """The independent model with a mistake, held against the trace; `only`: the leaves kept."""
    trace, parameters, fields = REFERENCES[model]
    found = {k: np.asarray(v) for k, v in run(trace.config, parameters, fields, mistake).items()}
    if only:
        found = {name: array for name, array in found.items() if name.split(".")[-1] in only}
    first = Side("A", {**trace.arrays}, trace)
    return compare(first, Side("B", found, None))


@pytest.mark.parametrize("model", REFERENCES)
def test_the_independent_model_is_equal_without_a_mistake(model):
    found = against(model)
    assert found.equal, found.first
    assert found.first is None and found.causes == []
    # The two share enough for this to say something.
    assert len(found.values) > 30 and "loss" in [d.name for d in found.values]


# model, mistake, the first stage that it changes, words of its cause.
ENC, DEC = "encoder.0.self_attention.", "decoder.0.self_attention."
MISTAKES = [
    ("post", "w_q transposed", ENC + "queries", "weight matrix transposed"),
    ("post", "w_in transposed", "encoder.0.feed_forward.hidden", "weight matrix transposed"),
    ("post", "b_k missing", ENC + "keys", "bias missing"),
    ("post", "output bias missing", "logits", "bias missing"),
    ("post", "heads split", ENC + "queries", "as (d, heads)"),
    ("post", "scale missing", ENC + "scores", "scale (missing)"),
    ("post", "scale doubled", ENC + "scores", "scale (doubled)"),
    ("post", "scale by width", ENC + "scores", "sqrt(width)"),
    ("post", "mask shifted", DEC + "masked_scores", "one token too many"),
    ("post", "mask shifted back", DEC + "masked_scores", "does not see itself"),
    ("post", "not causal", DEC + "masked_scores", "not causal"),
    ("post", "mask inverted", ENC + "masked_scores", "inverted"),
    ("post", "padding ignored", ENC + "masked_scores", "ignored"),
    ("post", "cross causal", "decoder.0.cross_attention.masked_scores", "upper left"),
    ("post", "softmax axis", ENC + "weights", "over the queries"),
    ("post", "merged without transposing", ENC + "output", "without transposing"),
    ("post", "residual lost", ENC + "residual", "residual (lost)"),
    ("post", "residual doubled", ENC + "residual", "the input added twice"),
    ("post", "n - 1", ENC + "norm", "d - 1"),
    ("post", "epsilon", ENC + "norm", "another epsilon (0.001, not 1e-05)"),
    ("post", "epsilon outside", ENC + "norm", "outside the square root"),
    ("post", "no gain", ENC + "norm", "without gain"),
    ("post", "no norm bias", ENC + "norm", "without bias"),
    ("post", "rms for layer", ENC + "norm", "rms for layer"),
    ("post", "gelu for relu", "encoder.0.feed_forward.activation", "gelu for relu"),
    ("post", "sinusoid layout", "encoder.positions", "all sines before all cosines"),
    ("halves", "sinusoid layout", "decoder.positions", "sines and cosines in turn"),
    ("post", "labels shifted", "loss.per_token", "labels shifted: the next one"),
    ("post", "mean over all", "loss", "ignored ones too"),
    ("post", "sum for mean", "loss", "the sum, not the mean"),
    ("pre", "gelu_tanh for gelu", "encoder.0.feed_forward.activation", "gelu_tanh for gelu"),
    ("pre", "relu for gelu", "encoder.0.feed_forward.activation", "relu for gelu"),
    ("pre", "k and v swapped", ENC + "keys", "K and V swapped"),
    ("pre", "embedding scale missing", "encoder.input", "embedding not scaled"),
    ("pre", "offset forgotten", "encoder.positions", "offset forgotten"),
    ("pre", "norm forgotten", ENC + "queries", "input not normalised"),
    ("grouped", "tiled", DEC + "products", "tiled instead of repeated"),
    ("grouped", "rotary layout", DEC + "rotated_queries", "interleaved, not half"),
    ("grouped", "rotary sign", DEC + "rotated_queries", "sign of the sine"),
    ("grouped", "positions off by one", DEC + "rotated_queries", "one too large"),
    ("grouped", "positions over padding", DEC + "rotated_queries", "padding too"),
    ("grouped", "gate and up swapped", "decoder.0.feed_forward.hidden", "gate and up swapped"),
    ("grouped", "window off by one", DEC + "masked_scores", "too long by one"),
    ("grouped", "gelu for silu", "decoder.0.feed_forward.activation", "gelu for silu"),
    ("grouped", "w_o transposed", DEC + "output", "weight matrix transposed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "mistake", "stage", "cause"), part(12, f"{__name__} mistakes", MISTAKES)
)
def test_a_planted_mistake_is_found_and_named(model, mistake, stage, cause):
    found = against(model, mistake)
    assert found.first is not None and found.first.name == stage
    assert not found.equal
    names = [str(c) for c in found.causes]
    assert any(cause in name for name in names), names
    # The worst cell is one that differs, and its numbers are those of the two sides.
    worst = found.first.worst[0]
    assert worst.expected != worst.got
    assert REFERENCES[model][0][stage][worst.cell] == worst.expected


# The same with most stages left out: the mistake lies before the first stage that is there.
SPARSE = [
    ("post", "scale missing", ("context", "output"), ENC + "context", "scale (missing)"),
    ("post", "softmax axis", ("output", "norm"), ENC + "output", "over the queries"),
    ("post", "n - 1", ("output",), "encoder.0.feed_forward.output", "d - 1"),
    ("post", "mask shifted", ("norm",), DEC + "norm", "one token too many"),
    ("pre", "gelu_tanh for gelu", ("residual",), "encoder.0.feed_forward.residual", "gelu_tanh"),
    ("pre", "k and v swapped", ("weights",), ENC + "weights", "K and V swapped"),
    ("grouped", "rotary sign", ("scores",), DEC + "scores", "sign of the sine"),
    ("grouped", "gelu for silu", ("logits",), "logits", "gelu for silu"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "mistake", "kept", "stage", "cause"), part(4, f"{__name__} sparse", SPARSE)
)
def test_a_mistake_before_the_first_stage_of_a_sparse_file(model, mistake, kept, stage, cause):
    found = against(model, mistake, kept)
    assert found.first is not None and found.first.name == stage
    names = [str(c) for c in found.causes]
    assert any(cause in name for name in names), names
    assert found.only_first and not found.only_second


def test_no_cause_is_named_where_none_fits():
    trace, parameters, fields = REFERENCES["post"]
    found = {k: np.asarray(v) for k, v in run(trace.config, parameters, fields).items()}
    name = "encoder.0.self_attention.context"
    found[name] = found[name] + np.random.default_rng(0).standard_normal(found[name].shape)
    result = compare(Side("A", trace.arrays, trace), Side("B", found, None))
    assert result.first is not None and result.first.name == name and result.causes == []


def test_a_cause_that_only_nearly_fits_is_not_named():
    trace, parameters, fields = REFERENCES["post"]
    found = {k: np.asarray(v) for k, v in run(trace.config, parameters, fields, "n - 1").items()}
    name = "encoder.0.self_attention.norm"
    found[name] = found[name] + 1e-3 * np.random.default_rng(0).standard_normal(found[name].shape)
    result = compare(Side("A", trace.arrays, trace), Side("B", found, None))
    assert result.first is not None and result.first.name == name and result.causes == []


@pytest.mark.parametrize(
    ("tokens", "enough"),
    [pytest.param(1, False, marks=pytest.mark.heavy), (9, False), (12, True)],  # 9 all but enough
)
def test_a_number_is_fitted_to_ten_numbers_and_more_only(tokens, enough):
    """One free factor explains any one number; what is known without a fit needs no ten."""
    config = Config(
        model="decoder-only", width=6, heads=1, decoder_layers=1, hidden=8, vocabulary=11
    )
    draw = np.random.default_rng(0)
    ids, labels = draw.integers(0, 11, (2, 1, tokens))
    trace = record(config, random_parameters(config, 3), Batch(ids=ids, labels=labels))
    name, number = "loss.per_token", "loss"
    for stage, wrong, cause, is_fit in (
        (name, trace[name] * 0.979208, "every number is 0.979208 times", True),
        (name, -trace[name], "sign lost", False),
        (number, trace[number] * 0.979208, "", True),
    ):
        side = Side("B", {stage: wrong.astype(np.float64)}, None)
        causes = [str(c) for c in compare(Side("A", trace.arrays, trace), side).causes]
        named = bool(cause) and (enough or not is_fit)
        assert any(cause in c for c in causes) if named else causes == [], (stage, causes)


@pytest.mark.parametrize(("tokens", "enough"), [(1, False), (3, True)])
def test_an_epsilon_is_fitted_to_ten_numbers_and_more_only(tokens, enough):
    config = Config(
        model="decoder-only", width=6, heads=1, decoder_layers=1, hidden=8, vocabulary=11
    )
    ids = np.arange(tokens)[None]
    right, wrong = (
        record(c, random_parameters(config, 3), Batch(ids=ids))
        for c in (config, replace(config, epsilon=0.25))
    )
    name = "decoder.0.self_attention.norm"
    side = Side("B", {name: wrong[name]}, None)
    causes = [str(c) for c in compare(Side("A", right.arrays, right), side).causes]
    expected = f"another epsilon (0.25, not {config.epsilon:g})"
    assert any(expected in c for c in causes) if enough else causes == [], causes


def test_a_trace_is_equal_to_itself(tmp_path):
    trace = REFERENCES["grouped"][0]
    save_trace(trace, tmp_path / "a.npz")
    side = read_side(tmp_path / "a.npz")
    found = compare(side, side)
    assert found.equal and len(found.values) == len(trace.values)
    assert len(found.gradients) == len(trace.gradients)
    assert not found.only_first and not found.only_second and not found.unknown


def test_float32_beside_float64():
    trace = REFERENCES["pre"][0]
    half = reference("pre", "float32")[0]
    first, second = Side("A", trace.arrays, trace), Side("B", half.arrays, half)
    found = compare(first, second)
    assert not [d for d in found.values if not d.equal]
    assert found.config == {"dtype": ("float64", "float32")}
    strict = compare(first, second, 1e-12)
    assert strict.first is not None


def test_what_was_computed_in_float32_is_rounding():
    trace, parameters, fields = REFERENCES["post"]
    found = {k: np.asarray(v) for k, v in run(trace.config, parameters, fields).items()}
    name = "decoder.0.feed_forward.output"
    found[name] = found[name].astype(np.float32).astype(np.float64)
    result = compare(Side("A", trace.arrays, trace), Side("B", found, None))
    assert result.verdict == "rounding" and result.first is None
    assert {d.precision for d in result.values if d.name == name} == {"float32"}


def test_a_difference_of_parameters_comes_first():
    trace, parameters, fields = REFERENCES["post"]
    name = "decoder.1.self_attention.w_q"
    changed = {**parameters, name: parameters[name] * 1.5}
    found = {k: np.asarray(v) for k, v in run(trace.config, changed, fields).items()}
    found[f"parameters/{name}"] = changed[name]
    result = compare(Side("A", trace.arrays, trace), Side("B", found, None))
    assert [d.name for d in result.parameters if not d.equal] == [f"parameters/{name}"]
    assert result.first is not None and result.first.name == "decoder.1.self_attention.queries"
    assert "follows rightly" in str(result.causes[0])


def test_gradients_are_compared_backwards():
    trace = REFERENCES["post"][0]
    arrays = {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}
    names = ("grad/decoder.0.self_attention.scores", "grad/decoder.input")
    wrong = {**arrays, **{name: arrays[name] * 2 for name in names}}
    result = compare(Side("A", arrays, trace), Side("B", wrong, None))
    assert result.first is not None
    assert result.first.name == "grad/decoder.0.self_attention.scores"


def test_layouts_of_others():
    trace = REFERENCES["grouped"][0]
    place = "decoder.0.self_attention"
    values = trace.values
    batch, _, length, _ = values[f"{place}.queries"].shape
    merged = values[f"{place}.queries"].transpose(0, 2, 1, 3).reshape(batch, length, -1)
    theirs = {
        f"{place}.queries": merged,
        f"{place}.keys": np.repeat(values[f"{place}.keys"], 2, 1),
        f"{place}.mask": np.where(values[f"{place}.mask"], 0.0, -np.inf)[:, :1],
        f"{place}.masked_scores": np.maximum(values[f"{place}.masked_scores"], -65504.0),
        "logits": values["logits"].reshape(-1, values["logits"].shape[-1]),
        "loss": values["loss"].reshape(1),
    }
    found = compare(Side("A", trace.arrays, trace), Side("B", theirs, None))
    assert found.equal and len(found.values) == len(theirs)
    notes = {d.name: d.note for d in found.values}
    assert notes[f"{place}.queries"] == "heads were side by side"
    assert notes[f"{place}.keys"] == "one for every query head"
    assert "read as -inf" in notes[f"{place}.masked_scores"]


def test_without_the_batch_axis():
    trace = record(
        trace_config := Config(**VARIANTS["encoder-decoder"]),
        random_parameters(trace_config, 1),
        Batch(ids=[[1, 2, 3, 4, 5]], decoder_ids=[[6, 7, 8]], labels=[[7, 8, 9]]),
    )
    theirs = {name: array[0] if array.ndim else array for name, array in trace.values.items()}
    assert compare(Side("A", trace.arrays, trace), Side("B", theirs, None)).equal


def test_a_shape_that_does_not_fit_is_a_difference():
    trace = REFERENCES["post"][0]
    found = compare(
        Side("A", trace.arrays, trace), Side("B", {"logits": np.zeros((2, 3, 12))}, None)
    )
    assert found.first is not None and "(2, 3, 12); (2, 3, 11) was expected" in found.first.note


def test_names_of_others(tmp_path):
    trace = REFERENCES["post"][0]
    np.savez(tmp_path / "b.npz", out=trace["logits"], other=np.zeros(3))
    side = read_side(tmp_path / "b.npz", {"out": "logits"})
    found = compare(Side("A", trace.arrays, trace), side)
    assert (
        found.equal and [d.name for d in found.values] == ["logits"] and found.unknown == ["other"]
    )


@pytest.mark.parametrize(
    ("arrays", "names", "message"),
    [
        ({"out": np.zeros(3)}, None, "has no stage of A; it has out: --map"),
        ({"out": np.zeros(3)}, {"outt": "logits"}, "--map names 'outt'; did you mean 'out'"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, {"a": "b"}, "two arrays are called 'b'"),
        ({"logits": np.array(["x"])}, None, "'logits' is <U1; numbers are needed"),
    ],
)
def test_bad_files(tmp_path, arrays, names, message):
    trace = REFERENCES["post"][0]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(NumtxError, match=message) as error:
        compare(Side("A", trace.arrays, trace), read_side(tmp_path / "b.npz", names))
    assert "\n" not in str(error.value)


def test_the_command(tmp_path, capsys):
    from numtx.cli import main

    trace, parameters, fields = REFERENCES["post"]
    save_trace(trace, tmp_path / "a.npz")
    theirs = run(trace.config, parameters, fields, "n - 1")
    np.savez(tmp_path / "b.npz", **{f"m/{n}": np.asarray(a, np.float32) for n, a in theirs.items()})
    (tmp_path / "map.json").write_text(json.dumps({f"m/{n}": n for n in theirs}))
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    assert main(["compare", paths[0], paths[0]]) == 0
    assert "equal: " in capsys.readouterr().out
    assert main(["compare", *paths, "--map", str(tmp_path / "map.json")]) == 1
    out = capsys.readouterr().out
    assert "first difference: encoder.0.self_attention.norm" in out
    assert "cause: norm (the variance divided by d - 1, not d)" in out
    assert main(["compare", *paths, "--map", str(tmp_path / "none.json")]) == 2
    assert main(["compare", *paths]) == 2
    assert "--map gives them names" in capsys.readouterr().err


def test_two_files_without_meta(tmp_path, capsys):
    from numtx.cli import main

    np.savez(tmp_path / "a.npz", x=np.array([1.0, 2.0]), y=np.array([3.0]))
    np.savez(tmp_path / "b.npz", x=np.array([1.0, 2.0]), y=np.array([4.0]), z=np.array([5.0]))
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    assert main(["compare", *paths]) == 1
    out = capsys.readouterr().out
    assert "first difference: y" in out and "not looked for" in out
    assert f"not compared, no stage (--map gives names), in {paths[1]}: z" in out
    assert main(["compare", *paths, "--tolerance", "0.5"]) == 0


def test_stages_that_one_side_leaves_out(tmp_path, capsys):
    from numtx.cli import main

    trace = REFERENCES["post"][0]
    save_trace(trace, tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", logits=trace["logits"])
    assert main(["compare", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]) == 0
    out = capsys.readouterr().out
    assert "equal: 1 of " in out
    assert f"not compared, only in {tmp_path / 'a.npz'}: encoder.tokens, " in out


def test_a_matrix_stored_the_other_way_round():
    trace = REFERENCES["post"][0]
    w = trace.parameters["output.w"]
    theirs = {"logits": trace["logits"], "parameters/output.w": w.T.copy()}
    found = compare(Side("A", trace.arrays, trace), Side("B", theirs, None))
    assert not found.equal and found.first is None
    assert "numtx has matrices as (in, out)" in found.parameters[0].note


@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf"])
def test_bad_tolerances(capsys, text):
    from numtx.cli import main

    with pytest.raises(SystemExit, match="2"):
        main(["compare", "a", "b", f"--tolerance={text}"])
    assert "is not a number from 0 up" in capsys.readouterr().err
