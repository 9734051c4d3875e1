"""Folders of models on the command line, where an example can stand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from small_folders import config_of, edit, parameters_of, written
from terminal import run

from numtx import Batch, load_trace, read_model, save_parameters
from numtx.cli import main
from numtx.costs import count_generation, token_costs
from numtx.folders.loads import expert_loads


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(written(tmp_path / "m", "qwen3"))


MODEL = ("--ids", "[1,2,3]", "--labels", "[2,3,4]")


def test_trace_verify_and_compare(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "t.npz")
    code, out, err = run(
        capsys, "trace", "--model", folder, *MODEL, "--gradients", "--quiet", "--npz", file
    )
    assert (code, err) == (0, "")
    assert f"parameters are those of {folder}" in " ".join(out.split())
    config, parameters, _ = read_model(folder)
    trace = load_trace(file)
    assert trace.config == config
    assert np.array_equal(trace.parameters["decoder.norm.gain"], parameters["decoder.norm.gain"])
    code, out, _ = run(capsys, "verify", file)
    assert code == 0 and "right: everything" in out
    assert (
        run(capsys, "verify", "--model", folder, *MODEL, "--all")[1:]
        == run(capsys, "verify", file, "--all")[1:]
    )
    assert run(capsys, "compare", file, "--model", folder, *MODEL)[0] == 0
    edit(Path(folder), rms_norm_eps=1e-3)
    code, out, _ = run(capsys, "compare", file, "--model", folder, *MODEL)
    assert code == 1 and "epsilon" in out


def test_stages_cell_and_gradcheck(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "stages", "--model", folder, "--ids", "[1,2]")
    assert code == 0 and "decoder.1.self_attention.normed_queries" in out
    code, out, _ = run(capsys, "cell", "--model", folder, "--ids", "[1,2]", "logits[1,3]")
    assert code == 0 and out.startswith("logits[1,3]")
    code, out, _ = run(capsys, "gradcheck", "--model", folder, *MODEL, "--samples", "2")
    assert code == 0 and "ok: " in out


def test_generate_goes_on(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit(Path(folder), eos_token_id=0)
    words = {f"▁w{i}": i for i in range(13)}
    (Path(folder) / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    code, out, _ = run(capsys, "generate", "--model", folder, "--ids", "[1,2]")
    assert code == 0
    assert "prompt: w1 w2\noutput:  w" in out
    code, found, _ = run(capsys, "generate", "--model", folder, "--ids", "[1,2]", "--no-cache")
    assert found.split("output:")[1] == out.split("output:")[1]
    code, found, _ = run(
        capsys, "generate", "--model", folder, "--ids", "[1,2]", "--num-beams", "2"
    )
    assert code == 0 and "output:  w" in found


def test_what_a_token_costs_is_what_a_run_counts(tmp_path: Path) -> None:
    for name in ("gpt2", "phi3", "starcoder2"):
        config, parameters, _ = read_model(written(tmp_path / name, name))
        fixed, by_key = token_costs(config)["decoder"]
        steps = count_generation(config, parameters, Batch([[1, 2]]), max_new_tokens=3)
        assert [step.total() for step in steps[1:]] == [fixed + 3 * by_key, fixed + 4 * by_key]
    config, parameters, _ = read_model(written(tmp_path / "bart", "bart"))
    costs = token_costs(config)
    batch = Batch([[1, 2, 3, 4, 5]], [[2]])
    first, second, _ = count_generation(config, parameters, batch, max_new_tokens=3)
    heads, layers = 2 * config.heads * config.d_k, config.decoder_layers
    own, cross = costs["decoder"], 5 * heads * layers
    assert second.total() == own[0] + 2 * own[1] + cross
    fixed, by_key = costs["encoder"]
    assert first.total() == own[0] + own[1] + cross + 5 * (fixed + 5 * by_key)


@pytest.mark.parametrize("name", ["llama", "gpt2", "bart", "bert"])
def test_inspect(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(name)
    code, out, _ = run(capsys, "inspect", str(written(tmp_path / "m", name)), "--lang", "en")
    assert code == 0
    words = set(out.split())
    assert set(parameters_of(config)) <= words
    assert "张量" not in out and "tensors and parameters" in out
    assert "float64" in words and "multiply-adds," in words


def test_laws(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    laws = [part for name in ("K1", "C1", "B1") for part in ("--law", name)]
    code, out, _ = run(capsys, "laws", "--model", folder, "--examples", "2", *laws)
    assert code == 0 and out.count("passed") == 4


def test_cost(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "cost", "--model", folder)
    assert code == 0 and "numbers in the cache: 48 a token" in out


def test_export_of_trained_parameters(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, parameters, _ = read_model(folder)
    parameters["decoder.norm.gain"] = parameters["decoder.norm.gain"] * 2
    files = str(tmp_path / "p.npz"), str(tmp_path / "c.json")
    save_parameters(files[0], parameters)
    Path(files[1]).write_text(json.dumps(config.to_dict()))
    for options in (("--model", folder), ("--config", files[1], "--layout", "qwen3")):
        out = str(tmp_path / options[0])
        assert run(capsys, "export", files[0], *options, out)[0] == 0
        read = read_model(out).parameters
        assert all(np.array_equal(read[name], parameters[name]) for name in parameters)


AGAINST = ("--against", "transformers", "--ids", "[1]")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["trace", "--model", "{}"], "--ids is missing"),
        (["trace", "weather", "--model", "{}", "--ids", "[1]"], "does not go with --model"),
        (["trace", "--model", "{}", "--config", "c.json", "--ids", "[1]"], "give one"),
        (["trace", "--dtype", "float32"], "add --model"),
        (
            ["trace", "--model", "{}", "--ids", "[1]", "--npz", "{}/model.safetensors"],
            "overwritten",
        ),
        (["verify", "a.npz", "--model", "{}", "--ids", "[1]"], "give one"),
        (["verify"], "which trace"),
        (["compare", "a.npz"], "which file"),
        (["compare", "--model", "{}", "a.npz", "b.npz", "--ids", "[1]"], "give one"),
        (["compare", "--model", "{}", "--ids", "[1]"], "which file is held against the model"),
        (["compare", "--against", "transformers"], "needs --model DIR"),
        (["compare", "a.npz", "b.npz", "--gradients"], "--gradients is for --against"),
        (["compare", "--model", "{}", *AGAINST, "a.npz"], "a.npz does not go with --against"),
        (["compare", "--model", "{}", *AGAINST, "--map", "m.json"], "--map does not go with"),
        (["compare", "--model", "{}", "--against", "jax"], "invalid choice: 'jax'"),
        (["laws", "a:b", "--model", "{}"], "give one"),
        (["export", "{}"], "DIR"),
        (["export", "--model", "{}", "{}"], "overwritten"),
        (["export", "a.npz", "--config", "c.json", "x"], "--layout is missing"),
        (["export", "a.npz", "--layout", "llama", "x"], "give one of"),
        (["generate", "--model", "{}", "--ids", "[1]", "--prompt", "a"], "--prompt"),
        (["inspect", "{}/nothing"], "is no folder"),
    ],
)
def test_what_does_not_go_together(
    folder: str, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    try:
        code = main([part.format(folder) for part in args])
    except SystemExit as end:
        code = end.code
    _, err = capsys.readouterr()
    assert code == 2 and err.count("\n") == 1
    assert says in err


def test_a_package_that_is_not_installed_is_said_in_a_line(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = run(capsys, "compare", "--model", folder, *AGAINST)
    assert code == 2 and err.count("\n") == 1
    assert "--against transformers needs the packages torch and transformers" in err
    assert "pip install torch transformers" in err


def test_a_folder_that_the_package_cannot_load_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    folder = written(tmp_path / "m")
    edit(folder, architectures=["NoModelAtAll"])
    code, _, err = run(capsys, "compare", "--model", str(folder), *AGAINST)
    assert code == 2 and err.count("\n") == 1
    assert "transformers has no NoModelAtAll" in err


def test_the_longest_text_of_a_run_says_which_angles_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(written(tmp_path / "m", "phi3"))
    ids, stage = json.dumps([1] * 33), "decoder.0.self_attention.rotated_keys"
    command = ("trace", "--model", folder, "--stage", stage, "--json", "-")
    code, _, err = run(capsys, *command, "--ids", ids)
    assert code == 2 and "its `length` (--length) says how long" in err
    shown = []
    for length in ("32", "33", "64"):
        code, out, _ = run(capsys, *command, "--ids", "[1,2]", "--length", length)
        assert code == 0
        shown.append(json.loads(out)["stages"][stage]["value"])
    assert shown[0] != shown[1] == shown[2]
    assert run(capsys, *command, "--ids", ids, "--length", "33")[0] == 0
    other = str(written(tmp_path / "o", "qwen3"))
    code, _, err = run(capsys, "trace", "--model", other, "--ids", "[1]", "--length", "3")
    assert code == 2 and "--length is for models with rotary_scaling longrope" in err


def test_the_load_of_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counted from a run; where there is none, an even share."""
    folder = written(tmp_path / "m", "gpt_oss")
    config, parameters, _ = read_model(folder)
    mask = [[True] * 5, [False] * 2 + [True] * 3]
    batch = Batch([[1, 2, 3, 4, 5], [0, 0, 3, 2, 1]], mask=mask)
    loads = expert_loads(config, parameters, batch)
    assert list(loads) == [f"decoder.{i}.feed_forward" for i in range(config.decoder_layers)]
    assert all(len(x) == 5 and sum(x) == 8 * config.experts_chosen for x in loads.values())
    code, out, _ = run(capsys, "cost", "--model", str(folder), "--lang", "en")
    assert code == 0 and "load of each expert" in out and "e4" in out
    code, out, _ = run(capsys, "inspect", str(folder), "--lang", "en")
    assert code == 0 and "2 of 5 a token; 40.0% of the tokens each, if even" in out
    fixed, by_key = token_costs(config)["decoder"]
    steps = count_generation(config, parameters, Batch([[1, 2]]), max_new_tokens=3)
    assert steps[-1].total() == fixed + 4 * by_key
