"""Folders written and read by numtx alone."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_folders import CONFIGS, config_of, edit, join, parameters_of, split, written

from numtx import Config, forward, read_model, write_model
from numtx.batch import Batch
from numtx.checkpoints.folder import Folder
from numtx.errors import CheckpointError
from numtx.families import LAYOUTS
from numtx.layouts.essence import essence
from numtx.ops.positions import sinusoidal
from numtx.safetensors import from_bfloat16, read_header, to_bfloat16, write_tensors

TOP = {"kind": "softmax", "renormalised": True}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    config = config_of(name)
    parameters = parameters_of(config)
    source = Folder(written(tmp_path / "source", name)) if LAYOUTS[name].carried else None
    write_model(tmp_path / "m", config, parameters, name, source=source)
    again, read, words = read_model(tmp_path / "m")
    assert words is None
    assert essence(again) == essence(config)
    assert list(read) == list(parameters)
    for own, array in parameters.items():
        assert np.array_equal(read[own], array), own


def test_every_family_is_tried() -> None:
    assert set(CONFIGS) == set(LAYOUTS)


@pytest.mark.parametrize("stored", ["F64", "F32", "F16", "BF16"])
def test_types_in_the_file(tmp_path: Path, stored: str) -> None:
    """Half types are widened to float32; what is read so is written so with the same bytes."""
    config = config_of("llama")
    write_model(tmp_path / "a", config, parameters_of(config), "llama", stored=stored)
    model = read_model(tmp_path / "a")
    assert model.config.dtype == ("float64" if stored == "F64" else "float32")
    assert read_model(tmp_path / "a", "float64").config.dtype == "float64"
    write_model(tmp_path / "b", model.config, model.parameters, "llama", stored=stored)
    first, second = (split(tmp_path / x / "model.safetensors") for x in "ab")
    assert first == second
    assert {entry["dtype"] for entry in first[0].values() if "dtype" in entry} == {stored}


def test_bfloat16_is_rounded_to_the_nearest_and_to_even() -> None:
    x = np.float32([1.0, 1 + 2**-9, 1 + 3 * 2**-9, 1 + 2**-8 + 2**-20, 1 + 2**-8, -1 - 2**-7, 0.0])
    wanted = [1.0, 1.0, 1 + 2**-7, 1 + 2**-7, 1.0, -1 - 2**-7, 0.0]
    assert from_bfloat16(to_bfloat16(x)).tolist() == wanted


def test_too_large_for_the_type(tmp_path: Path) -> None:
    config = config_of("llama")
    parameters = parameters_of(config)
    parameters["decoder.norm.gain"][0] = 1e6
    with pytest.raises(CheckpointError, match="F16 cannot hold"):
        write_model(tmp_path / "m", config, parameters, "llama", stored="F16")
    assert not (tmp_path / "m").exists()


def test_the_body_alone_has_no_prefix(tmp_path: Path) -> None:
    folder = written(tmp_path / "m", "gpt2")
    header, data = split(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): entry for name, entry in header.items()}
    join(folder / "model.safetensors", bare, data)
    assert len(read_model(folder).parameters) == len(parameters_of(config_of("gpt2")))


def test_a_head_that_differs_from_what_it_is_tied_to_is_used(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    edit(folder, tie_word_embeddings=True)
    opened = Folder(folder)
    assert not opened.config.tied_output
    assert "differs" in opened.notes[0]
    header, data = split(folder / "model.safetensors")
    size = 13 * 12 * 8
    begin, (end, _) = (
        header[n]["data_offsets"] for n in ("model.embed_tokens.weight", "lm_head.weight")
    )
    same = data[:end] + data[begin[0] : begin[0] + size] + data[end + size :]
    join(folder / "model.safetensors", header, same)
    opened = Folder(folder)
    assert opened.config.tied_output and not opened.notes
    assert "output.w" not in opened.read().parameters


def test_shards(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    before = read_model(folder).parameters
    shard(folder)
    after = read_model(folder).parameters
    assert all(np.array_equal(before[name], after[name]) for name in before)


def shard(folder: Path) -> None:
    """Cut a file of tensors into two, with an index."""
    single = folder / "model.safetensors"
    header, data = split(single)
    header.pop("__metadata__")
    names: dict[str, str] = {}
    for k in range(2):
        part, bytes_, file = {}, b"", f"model-{k + 1}-of-2.safetensors"
        for name in list(header)[k::2]:
            begin, end = header[name]["data_offsets"]
            place = [len(bytes_), len(bytes_) + end - begin]
            part[name] = {**header[name], "data_offsets": place}
            bytes_ += data[begin:end]
            names[name] = file
        join(folder / file, part, bytes_)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    single.unlink()


def test_parts_outside_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "m", "bert")
    header, data = split(folder / "model.safetensors")
    end = [len(data), len(data) + 8]
    header["cls.seq_relationship.bias"] = {"dtype": "F32", "shape": [2], "data_offsets": end}
    join(folder / "model.safetensors", header, data + b"\0" * 8)
    assert Folder(folder).notes == ["left out: the head for the next sentence"]


def rewrite(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the tensors of a folder."""
    file = folder / "model.safetensors"
    found = {name: tensor.read(name) for name, tensor in read_header(file).items()}
    change(found)
    write_tensors(file, {n: (x.shape, partial(np.asarray, x)) for n, x in found.items()}, "F64")


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "deepseek_v2", "deepseek_v3"])
def test_experts_in_one_tensor(tmp_path: Path, name: str) -> None:
    """As they are in memory: gate and up in halves of the rows, whatever the family calls them."""
    before = read_model(written(tmp_path / "m", name)).parameters
    matrices = (
        [("w1", "w3"), ("w2",)] if name == "mixtral" else [("gate_proj", "up_proj"), ("down_proj",)]
    )

    def stack(found: dict[str, np.ndarray]) -> None:
        for router in [
            one for one in found if one.endswith(("moe.gate.weight", "mlp.gate.weight"))
        ]:
            place = router.removesuffix(".gate.weight")
            for parts, whole in zip(matrices, ("gate_up_proj", "down_proj"), strict=True):
                found[f"{place.replace('block_sparse_moe', 'mlp')}.experts.{whole}"] = np.stack([
                    np.concatenate([found.pop(f"{place}.experts.{e}.{x}.weight") for x in parts])
                    for e in range(len(found[router]))
                ])  # fmt: skip

    rewrite(tmp_path / "m", stack)
    after = read_model(tmp_path / "m").parameters
    assert list(after) == list(before)
    assert all(np.array_equal(after[own], array) for own, array in before.items())


def test_more_experts_than_tensors(tmp_path: Path) -> None:
    edit(written(tmp_path / "m", "mixtral"), num_local_experts=10**5)
    with pytest.raises(CheckpointError, match="100000 experts are too many"):
        Folder(tmp_path / "m")


def test_an_expert_is_missing(tmp_path: Path) -> None:
    expert = "model.layers.1.mlp.experts.3.up_proj.weight"
    rewrite(written(tmp_path / "m", "qwen3_moe"), lambda found: found.pop(expert))
    with pytest.raises(CheckpointError, match=f"{expert}' is missing"):
        Folder(tmp_path / "m")


def test_layers_that_predict_further_tokens_are_left_out(tmp_path: Path) -> None:
    """They are known by a tensor that no other layer has; a layer too many is none of them."""
    folder = written(tmp_path / "m", "deepseek_v3")
    norm = {"model.layers.2.input_layernorm.weight": np.ones(12)}
    rewrite(folder, lambda found: found.update(norm))
    with pytest.raises(CheckpointError, match=r"layers\.2\.input_layernorm.* has no place"):
        Folder(folder)
    mark = {"model.layers.2.eh_proj.weight": np.ones((12, 24))}
    rewrite(folder, lambda found: found.update(mark))
    assert Folder(folder).notes == ["left out: layers that predict further tokens"]


@pytest.mark.parametrize(
    ("dtype", "error", "says"),
    [("F32", 0.0, ""), ("F32", 1e-3, "should be a copy"), ("F64", 0.0, ""),
     ("F64", 1e-3, "should be a copy")],
)  # fmt: skip
def test_a_stored_sinusoid_is_held_against_the_formula(
    tmp_path: Path, dtype: str, error: float, says: str
) -> None:
    folder = written(tmp_path / "m", "marian")
    header, data = split(folder / "model.safetensors")
    table = sinusoidal(np.arange(4)[None], 12, 1e4, "float64", "half")[0]
    table[2, 3] += error
    bytes_ = table.astype("<f4" if dtype == "F32" else "<f8").tobytes()
    place = [len(data), len(data) + len(bytes_)]
    name = "model.decoder.embed_positions.weight"
    header[name] = {"dtype": dtype, "shape": [4, 12], "data_offsets": place}
    join(folder / "model.safetensors", header, data + bytes_)
    if not says:
        read_model(folder)
        return
    with pytest.raises(CheckpointError, match=says):
        read_model(folder)


@pytest.mark.parametrize(
    ("layout", "fields", "says"),
    [
        ("gpt2", {}, "positions is 'rotary'"),
        ("llama", {"rotary_layout": "interleaved"}, "rotary_layout is 'interleaved'"),
        ("llama", {"norm_place": "post"}, "norm_place is 'post'"),
        ("llama", {"window": 3}, "window is 3"),
        ("llama", {"value_width": 6}, "value_width is 6"),
        ("llama", {"biases": ("b_q",)}, "'decoder.0.self_attention.b_q'"),
        ("llama", {"residual_at": ("decoder.self_attention",)}, "residual_at"),
        ("llama", {"score_scale": 0.3}, "score_scale is 0.3"),
        ("llama", {"output_scale": 0.5}, "output_scale is 0.5"),
        ("llama", {"query_key_norm": "head"}, "query_key_norm is 'head'"),
        ("qwen2", {}, "b_q"),
        ("mistral", {"window": (3, None)}, "window"),
        ("qwen2", {"biases": ("b_q", "b_k", "b_v"), "window": (3, 4)}, "window"),
        ("gemma", {"activation": "gelu_tanh"}, "gain_offset is 0"),
        ("gemma", {"activation": "gelu_tanh", "gain_offset": 1}, "embedding_scale is 1.0"),
        ("llama", {"hidden": (10, 12)}, "intermediate_size is a list"),
        ("mixtral", {"experts": 4}, "router is"),
        ("mixtral", {"experts": 4, "router": TOP, "shared_experts": 1}, "shared_experts is 1"),
        ("mixtral", {"experts": 4, "router": TOP, "expert_hidden": 3}, "expert_hidden is 3"),
        ("mixtral", {"experts": (4, 3), "router": TOP}, "num_local_experts is a list"),
        ("deepseek_v3", {"epsilon": 1e-6}, "latent_norm is False"),
        ("nobody", {}, "model_type 'nobody' is not known"),
    ],
)
def test_what_a_layout_cannot_say_is_refused(
    tmp_path: Path, layout: str, fields: dict[str, object], says: str
) -> None:
    config = Config(**{**config_of("qwen3").to_dict(), "query_key_norm": None, **fields})
    with pytest.raises(CheckpointError, match=says):
        write_model(tmp_path / "m", config, parameters_of(config), layout)
    assert not (tmp_path / "m").exists()


def test_the_model_that_is_read_runs(tmp_path: Path) -> None:
    config, parameters, _ = read_model(written(tmp_path / "m", "phi3"))
    logits = forward(config, parameters, Batch([[1, 2, 3]]))[0].logits
    own = forward(config_of("phi3"), parameters_of(config_of("phi3")), Batch([[1, 2, 3]]))[0].logits
    assert np.array_equal(logits, own)


@pytest.mark.parametrize("stored", ["F64", "F32", "F16", "BF16"])
def test_one_tensor_at_a_time(tmp_path: Path, stored: str) -> None:
    """Reading takes the parameters and at most twice the largest of them."""
    config = Config(**{**CONFIGS["llama"], "width": 64, "hidden": 900, "vocabulary": 2000})
    write_model(tmp_path / "m", config, parameters_of(config), "llama", stored=stored)
    read_model(tmp_path / "m")  # what is loaded once is loaded
    tracemalloc.start()
    try:
        sizes = [array.nbytes for array in read_model(tmp_path / "m").parameters.values()]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < sum(sizes) + 2 * max(sizes)


@pytest.mark.parametrize("stored", ["F32", "BF16"])
def test_gains_less_one_keep_their_digits(tmp_path: Path, stored: str) -> None:
    """They are kept as they are stored: in float32 1 + w would lose digits of w."""
    config = config_of("gemma")
    noise = np.random.default_rng(3)
    parameters = {
        name: array + 1e-6 * noise.standard_normal(array.shape)
        for name, array in parameters_of(config).items()
    }
    write_model(tmp_path / "a", config, parameters, "gemma", stored=stored)
    read = Folder(tmp_path / "a").read()
    assert read.config.dtype == "float32" and read.config.gain_offset == 1
    write_model(tmp_path / "b", read.config, read.parameters, "gemma", stored=stored)
    first, second = (tmp_path / x / "model.safetensors" for x in "ab")
    assert first.read_bytes() == second.read_bytes()
