"""Broken and hostile folders: one line, exit code 2, nothing written, and little memory."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_folders import edit, join, split, written
from test_folder import shard

from numtx.array_files import open_arrays
from numtx.cli import main
from numtx.errors import CheckpointError, FileError

EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
MOST_MEMORY = 60_000_000  # bytes beside what the process has

Break = Callable[[Path], object]


def tensors(path: Path) -> Path:
    return path / "model.safetensors"


def header(change: Callable[[dict[str, Any]], object], more: bytes = b"") -> Break:
    """Change the header of the file of tensors."""

    def apply(folder: Path) -> None:
        found, data = split(tensors(folder))
        change(found)
        join(tensors(folder), found, data + more)

    return apply


def text(form: Callable[[str], str]) -> Break:
    """Change the text of the header."""

    def apply(folder: Path) -> None:
        found, data = split(tensors(folder))
        join(tensors(folder), form(json.dumps(found)), data)

    return apply


def entry(name: str = NORM, **fields: Any) -> Break:
    return header(lambda found: found[name].update(fields))


def config(**fields: Any) -> Break:
    return lambda folder: edit(folder, **fields)


def raw(change: Callable[[bytes], bytes], name: str = "model.safetensors") -> Break:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def index(change: Callable[[dict[str, Any]], object]) -> Break:
    """Cut the file into shards, and change the index."""

    def apply(folder: Path) -> None:
        shard(folder)
        file = folder / "model.safetensors.index.json"
        found = json.loads(file.read_text())
        change(found)
        file.write_text(json.dumps(found))

    return apply


def in_map(**names: str) -> Break:
    return index(lambda found: found["weight_map"].update(names))


def put(value: float) -> Break:
    """Put a number into the last tensor but one."""

    def apply(folder: Path) -> None:
        found, data = split(tensors(folder))
        begin = found[NORM]["data_offsets"][0]
        join(tensors(folder), found, data[:begin] + np.float64(value).tobytes() + data[begin + 8 :])

    return apply


def moved(by: int) -> Break:
    """Move the last tensor."""

    def change(found: dict[str, Any]) -> None:
        last = max(
            (v for k, v in found.items() if k != "__metadata__"), key=lambda v: v["data_offsets"]
        )
        last["data_offsets"] = [place + by for place in last["data_offsets"]]

    return header(change, b"\0" * max(by, 0))


def huge(folder: Path) -> None:
    """A sparse file of terabytes, whose configuration agrees with it."""
    vocabulary = 2**36
    found, data = split(tensors(folder))
    size = vocabulary * 12 * 8
    shift = size - (found[EMBEDDING]["data_offsets"][1] - found[EMBEDDING]["data_offsets"][0])
    after = found[EMBEDDING]["data_offsets"][0]
    for name, one in found.items():
        if name != "__metadata__" and one["data_offsets"][0] > after:
            one["data_offsets"] = [place + shift for place in one["data_offsets"]]
    found[EMBEDDING]["shape"] = [vocabulary, 12]
    found[EMBEDDING]["data_offsets"][1] += shift
    join(tensors(folder), found, data)
    try:
        os.truncate(tensors(folder), tensors(folder).stat().st_size + shift)
    except OSError:
        pytest.skip("no sparse files of this size here")
    edit(folder, vocab_size=vocabulary, tie_word_embeddings=True)


def add(name: str, dtype: str = "F64", size: int = 8) -> Break:
    def change(found: dict[str, Any]) -> None:
        end = max(v["data_offsets"][1] for k, v in found.items() if k != "__metadata__")
        found[name] = {"dtype": dtype, "shape": [1], "data_offsets": [end, end + size]}

    return header(change, b"\0" * size)


DEEP = "[" * 200_000 + "]" * 200_000
CASES: dict[str, tuple[Break, str]] = {
    "empty": (raw(lambda b: b""), "cut short"),
    "shorter than a length": (raw(lambda b: b[:5]), "cut short"),
    "header longer than the file": (raw(lambda b: b"\xff" * 8 + b[8:]), "cut short"),
    "header beyond by one": (
        raw(lambda b: (len(b) - 7).to_bytes(8, "little") + b[8:]), "cut short"),
    "header too long": (
        raw(lambda b: (10**7 + 1).to_bytes(8, "little") + b" " * (10**7 + 1)), "taken"),
    "data cut short": (raw(lambda b: b[:-8]), "damaged"),
    "data too long": (raw(lambda b: b + b"\0"), "damaged"),
    "no JSON": (text(lambda t: "{" + t), "not JSON"),
    "no UTF-8": (raw(lambda b: b[:9] + b"\xff\xfe" + b[11:]), "UTF-8"),
    "a list": (text(lambda t: "[]"), "no JSON object"),
    "deep": (text(lambda t: DEEP), "too deeply"),
    "NaN in the header": (text(lambda t: t.replace("[12]", "[NaN]", 1)), "NaN"),
    "a name twice": (
        text(lambda t: t.replace(f'"{EMBEDDING}": ', f'"{NORM}": ', 1)), "occurs twice"),
    "an entry that is a list": (header(lambda h: h.update({NORM: []})), "dtype, shape and"),
    "an entry with more": (entry(more=1), "only and all"),
    "an entry with less": (header(lambda h: h[NORM].pop("shape")), "only and all"),
    "unknown dtype": (entry(dtype="F128"), "F128"),
    "dtype that is a list": (entry(dtype=[]), "dtype"),
    "wrong dtype for the length": (entry(dtype="F32"), "needs 48 bytes"),
    "shape that is text": (entry(shape="12"), "whole numbers"),
    "negative shape": (entry(shape=[-12]), "whole numbers"),
    "shape of truth": (entry(shape=[True]), "whole numbers"),
    "shape of fractions": (entry(shape=[12.0]), "whole numbers"),
    "many axes": (entry(shape=[1] * 40), "whole numbers"),
    "a product that would overflow": (entry(shape=[2**62, 2**62]), "needs"),
    "another shape": (entry(shape=[3, 4]), "should be (12,)"),
    "one offset": (entry(data_offsets=[0]), "[begin, end]"),
    "negative offset": (entry(data_offsets=[-96, 0]), "[begin, end]"),
    "offsets backwards": (entry(data_offsets=[96, 0]), "[begin, end]"),
    "offsets that overlap": (entry(data_offsets=[0, 96]), "the tensor before it"),
    "a gap": (moved(8), "leaves a gap"),
    "an overlap": (moved(-8), "overlaps"),
    "a tensor more": (add("model.layers.0.self_attn.z_proj.weight"), "has no place"),
    "a layer more": (add("model.layers.2.input_layernorm.weight"), "has no place"),
    "a tensor with and without its prefix": (add("norm.weight"), "twice"),
    "a quantised tensor": (
        lambda f: (entry(dtype="I64")(f)), "quantised"),
    "a tensor renamed": (text(lambda t: t.replace(NORM, "model.norm.wait")), "model.norm.wait"),
    "a tensor missing": (config(tie_word_embeddings=None, attention_bias=True), "is missing"),
    "NaN": (put(np.nan), "has nan at (0,)"),
    "infinity": (put(np.inf), "has inf at (0,)"),
    "no tensors": (lambda f: tensors(f).unlink(), "no model.safetensors"),
    "a pickle": (lambda f: tensors(f).rename(f / "pytorch_model.bin"), "pickle"),
    "a folder for a file": (lambda f: (tensors(f).unlink(), tensors(f).mkdir()), "no regular file"),
    "a pipe for a file": (
        lambda f: (tensors(f).unlink(), os.mkfifo(tensors(f))), "no regular file"),
    "a pipe for config.json": (
        lambda f: ((f / "config.json").unlink(), os.mkfifo(f / "config.json")), "no such file"),
    "no config.json": (lambda f: (f / "config.json").unlink(), "no such file"),
    "config.json cut short": (raw(lambda b: b[:-9], "config.json"), "not JSON"),
    "config.json that is deep": (lambda f: (f / "config.json").write_text(DEEP), "too deeply"),
    "config.json that is a list": (
        lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "no model_type": (config(model_type=None), "is missing"),
    "unknown model_type": (config(model_type="lama"), "did you mean 'llama'?"),
    "model_type that is a list": (config(model_type=[]), "not known"),
    "an unknown field": (config(attention_multiplier=2.0), "'attention_multiplier' is not known"),
    "quantised": (config(quantization_config={"bits": 4}), "quantization_config"),
    "a lie about width": (config(hidden_size=16), "by config.json it should be"),
    "a lie about the vocabulary": (config(vocab_size=2**40), "by config.json it should be"),
    "many layers": (config(num_hidden_layers=2**40), "for 21 tensors"),
    "fewer layers": (config(num_hidden_layers=1), "has no place"),
    "width that is text": (config(hidden_size="12"), "hidden_size is '12'"),
    "width 0": (config(hidden_size=0), "hidden_size is 0"),
    "width that is a list": (config(hidden_size=[12, 12]), "is a list"),
    "width missing": (config(hidden_size=None), "'hidden_size' is missing"),
    "unknown activation": (config(hidden_act="mish"), "hidden_act is 'mish'"),
    "activation that is an object": (config(hidden_act={"a": 1}), "hidden_act is"),
    "angles of another kind": (config(rope_parameters={"rope_type": "dynamic"}), "rope_type is"),
    "angles that are a list": (config(rope_parameters=[1]), "it is an object"),
    "angles of two layers": (
        config(rope_parameters={"full_attention": {"rope_type": "default"}}), "full_attention"),
    "base of text": (config(rope_parameters={"rope_theta": "1e4"}), "rope_theta is '1e4'"),
    "bands without their length": (
        config(rope_parameters={"rope_type": "llama3", "factor": 8.0}), "is missing"),
    "bias of text": (config(attention_bias="yes"), "true or false"),
    "a shard missing": (
        lambda f: (shard(f), (f / "model-2-of-2.safetensors").unlink()), "is missing, and"),
    "a tensor in another shard": (
        in_map(**{NORM: "model-2-of-2.safetensors", EMBEDDING: "model-1-of-2.safetensors"}),
        "not in it"),
    "a tensor that no shard has": (in_map(x="model-1-of-2.safetensors"), "'x' is missing"),
    "a tensor that the index lacks": (index(lambda i: i["weight_map"].pop(NORM)), "not in it"),
    "a path outside": (in_map(x="../model-1-of-2.safetensors"), "no plain name"),
    "an absolute path": (in_map(x="/etc/hostname"), "no plain name"),
    "a path that is no text": (in_map(x=[]), "no object of names"),  # type: ignore[arg-type]
    "an index without a map": (index(lambda i: i.pop("weight_map")), "no object of names"),
    "terabytes": (huge, "memory"),
    "words that are no vocabulary": (
        lambda f: (f / "tokenizer.json").write_text('{"model": {"vocab": 3}}'), "model.vocab"),
    "a word whose id is text": (
        lambda f: (f / "tokenizer.json").write_text('{"model": {"vocab": {"a": "0"}}}'), "'0'"),
    "words that are deep": (lambda f: (f / "tokenizer.json").write_text(DEEP), "too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    damage, says = CASES[name]
    folder = written(tmp_path / "m")
    damage(folder)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    tracemalloc.start()
    try:
        code = main(["export", "--model", str(folder), "--layout", "llama", str(tmp_path / "out")])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("numtx: ") and err.count("\n") == 1 and len(err) < 600
    assert says in err
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
    assert most < MOST_MEMORY


def test_the_folder_itself_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the cases break is whole before."""
    folder = written(tmp_path / "m")
    assert main(["export", "--model", str(folder), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == tensors(folder).read_bytes()


def test_files_of_tensors_alone_are_refused_too(tmp_path: Path) -> None:
    """What is wrong with the file itself is found without its configuration, as compare reads
    it."""
    refused = 0
    for number, (damage, says) in enumerate(CASES.values()):
        folder = written(tmp_path / f"m{number}")
        try:
            damage(folder)
        except pytest.skip.Exception:
            continue
        tracemalloc.start()
        try:
            file = open_arrays(tensors(folder))
            assert all(file.read(name).size < 1000 for name in file.headers)
        except (CheckpointError, FileError) as error:
            assert "\n" not in str(error) and len(str(error)) < 600
            refused += says in str(error)
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < MOST_MEMORY, says
    assert refused > 25
