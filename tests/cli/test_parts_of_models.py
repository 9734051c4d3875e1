"""A whisper's decoder and a vit's body on the command line: what stands before them is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_folders import CARRIED, written
from terminal import run

from numtx import Batch, load_trace, read_model, save_parameters
from numtx.decoding.generate import generate
from numtx.safetensors import read_header

NOISE = np.random.default_rng(3)
GIVEN = {"memory": NOISE.standard_normal((1, 5, 12)), "vectors": NOISE.standard_normal((1, 7, 12))}
OPTIONS = {
    "whisper": ("--vectors", "memory.npz", "--decoder-ids", "[1,2,3]", "--labels", "[2,3,4]"),
    "vit": ("--vectors", "vectors.npz"),
}
STAGES = {
    "whisper": ("encoder.output", GIVEN["memory"]), "vit": ("encoder.embedding", GIVEN["vectors"])
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with both models, and files of what they are given."""
    monkeypatch.chdir(tmp_path)
    for name in CARRIED:
        written(Path(name), name)
    for name, array in GIVEN.items():
        np.savez(f"{name}.npz", **{name: array})
    np.savez("narrow.npz", memory=GIVEN["memory"][..., :11])
    np.savez("long.npz", vectors=NOISE.standard_normal((1, 8, 12)))
    np.save("bare.npy", GIVEN["memory"])


@pytest.mark.parametrize("name", CARRIED)
def test_a_part_is_a_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--model", name, *OPTIONS[name])
    code, out, err = run(capsys, "trace", *own, "--npz", "t.npz", "--quiet")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert said.count("outside numtx: the") == 1 and "--vectors FILE" in said
    stage, array = STAGES[name]
    assert np.array_equal(load_trace("t.npz")[stage], array)
    for command in (
        ("verify", "t.npz"), ("verify", *own), ("stages", *own), ("compare", "t.npz", *own),
        ("gradcheck", *own, "--samples", "1", "--stage", stage), ("inspect", name),
        ("cell", *own, f"{stage}[1,2]"),
    ):  # fmt: skip
        assert run(capsys, *command)[0] == 0, command


@pytest.mark.heavy
@pytest.mark.parametrize("name", CARRIED)
def test_laws_of_a_part(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, with words, or an encoder, of fixed numbers."""
    code, out, _ = run(capsys, "laws", "--model", name, "--examples", "2")
    assert code == 0 and " 0 broken" in out


def test_generating_from_a_memory(capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--model", "whisper", "--vectors", "memory.npz", "--decoder-ids", "[1,2]")
    config, parameters, _ = read_model("whisper")
    prompt = Batch(memory=GIVEN["memory"], decoder_ids=[[1, 2]])
    (new,) = generate(config, parameters, prompt, max_new_tokens=4).new
    for more in ((), ("--no-cache",), ("--trace", "--npz", "g.npz")):
        code, out, _ = run(capsys, "generate", *own, "--max-new-tokens", "4", *more)
        assert code == 0 and f"output: {' '.join(map(str, new))}" in " ".join(out.split())
    assert run(capsys, "verify", "g.npz")[0] == 0
    code, out, _ = run(capsys, "generate", *own, "--max-new-tokens", "2", "--num-beams", "2")
    assert code == 0 and "output:" in out
    assert run(capsys, "cost", "--model", "whisper")[0] == 0


@pytest.mark.parametrize("name", CARRIED)
def test_export_takes_the_rest_from_the_folder(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, parameters, _ = read_model(name)
    save_parameters("p.npz", {own: array * 2 for own, array in parameters.items()})
    Path("c.json").write_text(json.dumps(config.to_dict()))
    assert run(capsys, "export", "p.npz", "--model", name, "again")[0] == 0
    read = read_model("again").parameters
    assert all(np.array_equal(read[own], 2 * array) for own, array in parameters.items())
    for tensor in CARRIED[name]:
        before, after = (
            read_header(Path(folder) / "model.safetensors")[tensor].read(tensor)
            for folder in (name, "again")
        )
        assert np.array_equal(before, after)
    code, _, err = run(capsys, "export", "p.npz", "--config", "c.json", "--layout", name, "x")
    assert code == 2 and err.count("\n") == 1
    assert "its models have parts outside numtx" in err and "(export --model DIR)" in err
    assert not Path("x").exists()


WHISPER, VIT = ("--model", "whisper"), ("--model", "vit")
MEMORY, ONE = ("--vectors", "memory.npz"), ("--decoder-ids", "[1]")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("trace", *WHISPER, *ONE), "memory is missing; this model has no encoder"),
        (("trace", *WHISPER, "--ids", "[1]", *ONE), "memory in --vectors FILE"),
        (("trace", *WHISPER, *MEMORY), "decoder_ids is missing"),
        (("trace", *WHISPER, *MEMORY, "--ids", "[1]", *ONE),
         "both memory and ids; there is no encoder: what is the decoder's is decoder_ids"),
        (("trace", *WHISPER, "--vectors", "narrow.npz", *ONE),
         "memory has shape (1, 5, 11); it should be (rows, tokens, 12)"),
        (("trace", *WHISPER, "--vectors", "bare.npy", *ONE), "not an .npz file"),
        (("trace", *WHISPER, *MEMORY, "--decoder-ids", "[[1],[2]]"), "memory has 1 rows and dec"),
        (("generate", *WHISPER, *ONE), "memory is missing; this model has no encoder"),
        (("generate", *WHISPER, *MEMORY), "decoder_ids is missing"),
        (("trace", *VIT), "--ids is missing: token ids as JSON, such as [[1,2,3]], or --vectors"),
        (("trace", *VIT, "--ids", "[1]"), "ids[0,0] is 1; it should be 0 to 0"),
        (("trace", *VIT, "--vectors", "long.npz"), "position 7 lies past the learned table of 7"),
        (("trace", *VIT, *MEMORY), "memory given to a model that is encoder-only"),
        (("generate", *VIT, "--vectors", "vectors.npz"), "has no decoder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    args: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *args)
    assert code == 2 and err.count("\n") == 1
    assert says in err
