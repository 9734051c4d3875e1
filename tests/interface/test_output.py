"""What Python prints of a result is what the command line prints; bad arguments are one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import numtx
from numtx.cli import main

EXAMPLE = numtx.load_example("story")  # trained
TRACE = EXAMPLE.trace()
CELL = "decoder.0.self_attention.scores[2,1]"
MODEL = EXAMPLE.config, EXAMPLE.parameters


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main([*arguments, "--lang", "en"])
    return capsys.readouterr().out


def text(thing: object, *stages: str, **options: object) -> str:
    return numtx.to_text(thing, *stages, lang="en", **options) + "\n"


def test_of_a_trace_and_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    told = text(TRACE, "decoder.0.*", gradients=True)
    options = "--stage", "decoder.0.*", "--gradients"
    assert told in printed(capsys, "trace", "story", *options)
    assert text(numtx.explain(TRACE, CELL)) == printed(capsys, "cell", "story", CELL)
    found = numtx.explain(TRACE, CELL, gradient=True)
    assert text(found) == printed(capsys, "cell", "story", CELL, "--gradient")
    assert found.value == TRACE.grad(CELL.partition("[")[0])[0, 0, 2, 1]
    stage = TRACE.stage("logits")
    assert text(stage).startswith("== ") and "[logits]" not in repr(stage)
    assert np.array_equal(stage.value, TRACE["logits"]) and stage.gradient is TRACE.grad("logits")


def test_of_comparisons_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = (str(tmp_path / name) for name in ("ours.npz", "theirs.npz"))
    numtx.save_trace(TRACE, ours)
    scores = {"a": TRACE["decoder.0.self_attention.scores"] * 2.0}
    names = {"a": "decoder.0.self_attention.scores"}
    np.savez(theirs, **scores)
    (tmp_path / "map.json").write_text(json.dumps(names))
    found = numtx.compare_runs(TRACE, theirs, names=names)
    assert found.verdict == "different" and found.causes
    told = printed(capsys, "compare", ours, theirs, "--map", str(tmp_path / "map.json"))
    again = numtx.compare_runs(ours, theirs, names=names)
    assert text(again) == told and again.first.name in numtx.to_html(again)
    in_memory = numtx.compare_runs(TRACE, scores, names=names)
    assert in_memory.values == found.values
    assert text(TRACE.verify()) == printed(capsys, "verify", ours)
    checked = numtx.check_stages(*MODEL, EXAMPLE.batch, ["logits"], samples=20)
    assert text(checked) == printed(capsys, "gradcheck", "story", "--stage", "logits")


def halved(d: np.ndarray, x: np.ndarray) -> np.ndarray:
    return d * x


def test_of_everything_else(tmp_path: Path) -> None:
    prompt = numtx.Batch(EXAMPLE.batch.ids, [[0]])
    generation, _ = numtx.record_generation(
        *MODEL, prompt, max_new_tokens=2, vocabulary=EXAMPLE.vocabulary.tokens
    )
    bare = numtx.generate(*MODEL, prompt, max_new_tokens=2)
    assert EXAMPLE.vocabulary.text(bare.new[0]) in text(generation)
    assert "output: " + " ".join(map(str, bare.new[0])) in text(bare)
    beams = numtx.beam_search(*MODEL, prompt, max_new_tokens=2, num_beams=2)
    assert "log P" in text(beams)
    costs = numtx.count_generation(*MODEL, prompt, max_new_tokens=2)
    assert "decode.0" in text(costs) and "decode.0" in text(costs[1])
    assert len(json.loads(numtx.to_json(costs))) == 2
    back = numtx.check_backward(numtx.BackwardPass(np.square, halved, [np.ones(3)]))
    assert not back.ok and "cause: " in text(back)
    graph = numtx.stages_of(EXAMPLE.config, EXAMPLE.batch)
    assert text(graph).count("\n") > len(graph)
    assert "->" in text(numtx.train(numtx.Run(*MODEL), EXAMPLE.batch, steps=2))
    (row,) = numtx.figures(figure="004.hidden")
    assert row.verdict in text(row) and row.row.id in numtx.to_json([row])
    report = numtx.check_laws(Own(), ["K1"], examples=3)
    assert "K1" in text(report)
    assert numtx.picture("causal-mask", "cat", lang="zh", width=60).svg.startswith("<svg")
    assert "## " in numtx.to_markdown(TRACE, "decoder.0.*")
    recorded = numtx.record_generation(*MODEL, prompt, max_new_tokens=2)
    pages = (TRACE, "logits"), (recorded,), (row,), ([row],)
    assert all(numtx.to_html(*one).startswith("<!doctype html>") for one in pages)
    held = EXAMPLE.trace(pins={"logits": TRACE["logits"] + 1.0})
    assert "&lt;b&gt;" in numtx.to_html(held, "logits", title="<b>", before=TRACE)
    assert json.loads(numtx.to_json(TRACE))["stages"]
    assert json.loads(numtx.to_json(TRACE.verify()))["skipped"] == []


def test_of_an_exercise(tmp_path: Path) -> None:
    file = tmp_path / "e.py"
    written = numtx.lesson_exercise("self_attention")
    for body, says in (("np.ones((len(queries), len(keys)))", "wrong"), ("[", "e.py")):
        file.write_text(written.replace("    ...", f"    return {body}"))
        if says == "wrong":
            (verdict,) = numtx.check_exercise(file)
            assert not verdict.right and says in text(verdict) and says in verdict._repr_html_()
            continue
        with pytest.raises(numtx.NumtxError, match=says):
            numtx.check_exercise(file)
    file.write_text(written)
    with pytest.raises(numtx.NumtxError, match="not filled in"):
        numtx.check_exercise(file)


def test_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = numtx.Config(
        model="decoder-only", width=8, decoder_layers=1, hidden=4, vocabulary=5, norm="rms",
        norm_place="pre", positions="rotary", activation="silu", gated=True, biases=False,
    )  # fmt: skip
    folder = str(tmp_path / "model")
    numtx.write_model(folder, config, numtx.initialise(config), "llama")
    found = numtx.inspect(folder)
    assert text(found) == printed(capsys, "inspect", folder)
    assert "model.norm.weight" in found._repr_html_()
    assert json.loads(numtx.to_json(found))["numbers"] == len(numtx.Run(config, numtx.read_model(
        folder).parameters).weights)  # fmt: skip


class Own:
    """A model whose logits are of the last token."""

    vocabulary_size = 5

    def __call__(self, ids: list[list[int]]) -> np.ndarray:
        return np.eye(5)[np.asarray(ids)]


WRONG = {
    "unknown option 'langs'": lambda: numtx.to_text(TRACE, langs="zh"),
    "lang is 'de'": lambda: numtx.to_text(TRACE, lang="de"),
    "matches no stage": lambda: numtx.to_text(TRACE, "decoder.9.*"),
    "a dict has no text of its own": lambda: numtx.to_text({}),
    "a dict has no page of its own": lambda: numtx.to_html({}),
    "chosen of a trace": lambda: numtx.to_text(TRACE.verify(), "logits"),
    "do not name a cell": lambda: numtx.explain(TRACE, "logits[0]"),
    "should be a trace, arrays by name, or a path": lambda: numtx.compare_runs(TRACE, 3),
    "numbers are needed": lambda: numtx.compare_runs(TRACE, {"logits": ["a"]}),
    "names are for arrays": lambda: numtx.compare_runs(TRACE, TRACE, names={"a": "b"}),
    "layout: model_type 'gpt9'": lambda: numtx.compare_runs(TRACE, {}, layout="gpt9"),
    "picture 'masks' does not exist": lambda: numtx.picture("masks"),
    "unknown option 'wide'": lambda: numtx.picture("causal-mask", wide=3),
    "stage 'x' is not in this trace": lambda: TRACE.stage("x"),
    "no lesson '99'": lambda: numtx.lesson_notebook("99"),
    "should be zh, en or both": lambda: numtx.lesson_notebook("1", "de"),
}  # fmt: skip


@pytest.mark.parametrize("says", WRONG)
def test_what_is_wrong_is_said(says: str) -> None:
    with pytest.raises(numtx.NumtxError, match=says) as caught:
        WRONG[says]()
    assert "\n" not in str(caught.value)


def test_the_language_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMTX_LANG", "zh")
    told = numtx.to_text(TRACE, "decoder.0.*")
    assert "注意力" in told and "Masked" not in told and "why:" not in told
    monkeypatch.setenv("NUMTX_LANG", "de")
    with pytest.raises(numtx.NumtxError, match="NUMTX_LANG is 'de'"):
        numtx.to_text(TRACE)
