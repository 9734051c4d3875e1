"""Vectors in a file in place of ids, and labels to be shifted, on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from samples import config_of

from numtx import load_trace
from numtx.cli import main

VECTORS = np.cos(np.arange(18.0)).reshape(1, 3, 6)


@pytest.fixture
def model(tmp_path):
    """The options of a model with two stacks, whose configuration stands in a file."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_of("encoder-decoder").to_dict()))
    return ["--config", str(path)]


def given(tmp_path, **arrays):
    np.savez(tmp_path / "given.npz", **arrays)
    return ["--vectors", str(tmp_path / "given.npz")]


@pytest.mark.parametrize("name", ["vectors", "memory"])
def test_a_file_of_vectors_stands_where_ids_can(tmp_path, capsys, model, name):
    own = [*model, *given(tmp_path, **{name: VECTORS}), "--decoder-ids", "[1,2]"]
    out = str(tmp_path / "run.npz")
    labels = ["--labels", "[2,3]"]
    assert main(["trace", *own, *labels, "--gradients", "--npz", out]) == 0
    assert "1 v" in capsys.readouterr().out
    trace = load_trace(out)
    place = "encoder.embedding" if name == "vectors" else "encoder.output"
    np.testing.assert_array_equal(trace[place][0], VECTORS[0])
    assert trace.grad(place).any() and trace.verify().ok
    assert main(["cell", *own, f"{place}[1,2]"]) == main(["stages", *own]) == 0
    assert main(["gradcheck", *own, *labels, "--stage", place]) == 0
    assert main(["verify", *own, *labels]) == 0
    assert main(["verify", out]) == 0


def test_what_is_wrong_with_a_file_of_vectors_is_one_line(tmp_path, capsys, model):
    for arrays, says in (
        ({"vektors": VECTORS}, "'vektors' is none of vectors, decoder_vectors, memory"),
        ({}, "it is empty; give arrays called vectors"),
        ({"vectors": VECTORS[..., :5]}, "vectors has shape (1, 3, 5); it should be"),
    ):
        own = [*model, *given(tmp_path, **arrays), "--decoder-ids", "[1,2]"]
        assert main(["trace", *own]) == 2
        err = capsys.readouterr().err
        assert says in err and err.count("\n") == 1
    assert main(["trace", *model, *given(tmp_path, vectors=VECTORS), "--ids", "[1,2,3]",
                 "--decoder-ids", "[1]"]) == 2  # fmt: skip
    assert "both ids and vectors; give one" in capsys.readouterr().err


def test_labels_are_shifted_and_it_is_said(tmp_path, capsys, model):
    out = str(tmp_path / "run.npz")
    own = [*model, "--ids", "[4,5]", "--decoder-ids", "[1,2,3]"]
    assert main(["trace", *own, "--labels", "[1,2,3]", "--shift-labels", "--npz", out]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "labels shifted by one: each place predicts the next" in said
    assert load_trace(out)["labels"].tolist() == [[2, 3, -100]]
    assert main(["trace", *own, "--shift-labels"]) == 2
    assert "--shift-labels without --labels" in capsys.readouterr().err
    assert main(["trace", "weather", "--shift-labels"]) == 2
    assert "--shift-labels is for a model of your own" in capsys.readouterr().err
