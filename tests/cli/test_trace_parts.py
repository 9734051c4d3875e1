"""Parts of a run: which stages are kept, which layers, heads, tokens and words are printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_folders import written
from terminal import run

from numtx import load_trace
from numtx.arguments import parts
from numtx.cli import main
from numtx.trace import trace as recording

PLACE = "decoder.1.self_attention"


@pytest.fixture
def model(tmp_path: Path) -> tuple[str, ...]:
    return ("trace", "--model", str(written(tmp_path / "m", "qwen3")), "--ids", "[1,2,3,4]")


def test_files_have_what_is_recorded_and_verify_says_what_it_could_not_check(
    tmp_path: Path, model: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "t.npz")
    code, out, _ = run(
        capsys, *model, "--record", f"{PLACE}.masked_scores", "--stage", f"{PLACE}.weights",
        "--npz", file,
    )  # fmt: skip
    assert code == 0 and "weights" in out and "] masked_scores" not in out
    assert set(load_trace(file)) == {
        "decoder.tokens", f"{PLACE}.masked_scores", f"{PLACE}.weights", f"{PLACE}.mask",
    }  # fmt: skip
    code, out, _ = run(capsys, "verify", file, "--lang", "en")
    assert code == 0
    assert f"not checked: {PLACE}.mask, {PLACE}.masked_scores\nnot in the file: " in out


def test_what_is_printed_alone_is_kept_alone(
    model: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    record = recording.record

    def watched(*args: object, **options: object) -> object:
        kept.append(options["stages"])
        return record(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("numtx.examples.example.record", watched)
    assert run(capsys, *model, "--stage", "logits")[0] == 0
    assert run(capsys, *model, "--stage", "logits", "--json", "-")[0] == 0
    assert run(capsys, *model)[0] == 0
    assert run(capsys, *model, "--layers=-1")[0] == 0
    assert kept == [["logits"], None, None, ["*.1.*"]]


def test_layers_heads_and_the_last_tokens(
    model: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        capsys, *model, "--layers=-1", "--heads", "2", "--last", "2", "--stage", "*.weights",
        "--stage", "*.keys",
    )  # fmt: skip
    assert code == 0
    assert out.count("] weights") == 1 and "decoder.1" in out and "decoder.0" not in out
    assert "head 2" in out and "head 0\n" not in out and "head 1\n" not in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("0 1", "1 2", "2 3"))]
    assert [row[0] for row in rows] == ["2", "2"]  # of keys and of weights
    for wrong in (("--layers", "2"), ("--heads", "0,x"), ("--heads", "3-1"), ("--layers", "0-9")):
        assert main([*model, *wrong]) == 2
        assert capsys.readouterr().err.startswith(f"numtx: {wrong[0]} '{wrong[1]}': ")
    assert main([*model, "--layers", "0", "--stage", "logits"]) == 2
    assert "no stage" in capsys.readouterr().err
    assert run(capsys, "trace", "translation", "--layers", "1", "--quiet")[0] == 0
    assert main(["trace", "translation", "--layers", "0-1"]) == 2
    assert "from 1 up" in capsys.readouterr().err


def test_the_largest_logits_with_their_probabilities(
    model: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        capsys, *model, "--stage", "logits", "--top", "2", "--last", "1", "--precision", "6"
    )
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("  3 4"))
    code, out, _ = run(capsys, *model, "--stage", "logits", "--json", "-")
    logits = np.array(json.loads(out)["stages"]["logits"]["value"])[0, -1]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    first, second = np.argsort(-logits)[:2]
    assert line.split() == [
        "3", "4", str(first), f"{logits[first]:.6f}", f"({shares[first]:.2f})",
        str(second), f"{logits[second]:.6f}", f"({shares[second]:.2f})",
    ]  # fmt: skip


def test_a_long_run_is_announced_and_one_beyond_memory_refused(
    model: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MUCH", 100)
    code, _, err = run(capsys, *model, "--quiet")
    assert code == 0 and err.startswith("numtx: about 0 s and ") and "--stage keeps a part" in err
    monkeypatch.setattr("numtx.memory.too_large", lambda size: f"{size} bytes, and 9 are free")
    assert main([*model, "--quiet"]) == 2
    assert "and 9 are free; keep less with --stage or --record" in capsys.readouterr().err


def test_record_does_not_go_with_what_reads_everything(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (("--act", "1"), ("--set", "logits[0,0]=1")):
        assert main(["trace", "weather", "--record", "logits", *more]) == 2
        assert "--record goes with neither" in capsys.readouterr().err
