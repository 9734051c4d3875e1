"""The trace file: what it holds, and that it comes back as it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from numtx import Pin, load_example, load_trace
from numtx.check.verify import verify
from numtx.errors import TraceError
from numtx.trace.files import save_trace


def test_the_file_opens_with_plain_numpy_and_holds_what_it_should(tmp_path: Path) -> None:
    trace = load_example("weather").trace()
    save_trace(trace, tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as file:
        meta = json.loads(file["meta"].tobytes().decode())
        assert file["meta"].dtype == np.uint8
        assert meta["format"] == 1
        assert meta["stages"] == list(trace.values)
        assert meta["tokens"]["decoder"] == [["<bos>", "今", "天", "天", "气", "很", "好"]]
        scores = "decoder.1.cross_attention.scores"
        assert meta["axes"][scores] == ["batch", "head", "query", "key"]
        assert meta["labels"][scores] == {"query": "decoder", "key": "encoder"}
        assert meta["config"]["width"] == 4
        for name in trace.values:
            assert np.array_equal(file[name], trace[name])
        for name in trace.gradients:
            assert np.array_equal(file[f"grad/{name}"], trace.grad(name))
        for name, array in trace.parameters.items():
            assert np.array_equal(file[f"parameters/{name}"], array)


def test_a_trace_comes_back_whole_and_verifies(tmp_path: Path) -> None:
    where = np.zeros((1, 1, 7, 7), bool)
    where[0, 0, 2, 1] = True
    pin = Pin(where, np.full((1, 1, 7, 7), 0.25))
    trace = load_example("weather").trace(pins={"encoder.1.self_attention.weights": pin})
    save_trace(trace, tmp_path / "t.npz")
    again = load_trace(tmp_path / "t.npz")
    assert again.config == trace.config
    assert list(again.values) == list(trace.values)
    assert again.tokens == trace.tokens
    assert set(again.gradients) == set(trace.gradients)
    assert np.array_equal(again.pins["encoder.1.self_attention.weights"], where)
    assert verify(again).ok


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (None, "no `meta`"),
        (b"\xff", "not JSON"),
        (b'{"format": 99}', "format 99"),
        (b'{"format": 1}', "config"),
        (b'{"format": 1, "config": {"width": 4}}', "missing"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, meta: bytes | None, words: str) -> None:
    arrays = {} if meta is None else {"meta": np.frombuffer(meta, np.uint8)}
    np.savez(tmp_path / "t.npz", x=np.zeros(2), **arrays)
    with pytest.raises(TraceError, match=words) as caught:
        load_trace(tmp_path / "t.npz")
    assert "t.npz" in str(caught.value)
