"""A trained model of 260,000 parameters; NUMTX_STORIES names its folder, without it these are
skipped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from terminal import run

from numtx import Batch, generate, read_model

STORIES = os.environ.get("NUMTX_STORIES", "")
pytestmark = pytest.mark.skipif(
    not (Path(STORIES) / "model.safetensors").is_file(), reason="NUMTX_STORIES names no folder"
)

IDS = "[1,403,407,261,378]"
TEXT = (
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a big, red ball."
)  # as transformers goes on, greedily


def test_the_known_text(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "generate", "--model", STORIES, "--ids", IDS, "--max-new-tokens", "40"
    )
    assert code == 0
    assert f"prompt: Once upon a time\noutput: {TEXT}" in out


def test_float64_says_the_same() -> None:
    texts = []
    for dtype in ("float32", "float64"):
        config, parameters, words = read_model(STORIES, dtype)
        assert words is not None
        new = generate(config, parameters, Batch([[1, 403, 407, 261, 378]]), max_new_tokens=40).new
        texts.append(words.text(new[0]))
    assert texts[0] == texts[1]


def test_a_trace_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = str(tmp_path / "t.npz"), tmp_path / "t.html"
    code, out, _ = run(
        capsys, "trace", "--model", STORIES, "--ids", IDS, "--npz", file, "--html", str(page),
        "--stage", "decoder.0.self_attention.weights",
    )  # fmt: skip
    assert code == 0 and "1 _Once" in out
    assert "_Once" in page.read_text()
    code, out, _ = run(capsys, "verify", file)
    assert code == 0 and "right: everything" in out
    code, out, _ = run(capsys, "cell", file, "decoder.4.self_attention.scores[2,3,1]")
    assert code == 0 and "_Once" in out


def test_parameters_are_those_of_the_file() -> None:
    config, parameters, _ = read_model(STORIES)
    assert (config.width, config.decoder_layers, config.kv_heads) == (64, 5, 4)
    assert sum(array.size for array in parameters.values()) == 260_032
    assert all(np.isfinite(array).all() for array in parameters.values())
