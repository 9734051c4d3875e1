"""Names of state dicts, of modules and of what models of transformers give out, read as numtx's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from samples import some
from small_folders import CONFIGS, config_of, parameters_of, written

from numtx import Batch, Config, record
from numtx.array_files import open_arrays
from numtx.checkpoints.fields import OURS, foreign, ours_for
from numtx.checkpoints.names import names_given, names_of, why_not
from numtx.checkpoints.weights import read_weights
from numtx.cli import main
from numtx.config.config import fields_of
from numtx.errors import CheckpointError, ParameterError
from numtx.families import LAYOUTS
from numtx.files import write_npz
from numtx.layouts.modules import stages_of_modules
from numtx.stages.resolve import resolve

Array = np.ndarray


def tensors(folder: Path, name: str) -> dict[str, Array]:
    """The state dict of a small model."""
    file = open_arrays(written(folder / "m", name) / "model.safetensors")
    return {theirs: file.read(theirs) for theirs in file.headers}


def read(arrays: Mapping[str, Array], config: Config) -> dict[str, Array]:
    names = names_of(arrays, config)
    assert names is not None and not names.unknown
    return dict(names.arrays(arrays.__getitem__))


@pytest.mark.parametrize("name", some(10, f"{__name__} state dicts", CONFIGS))
def test_a_state_dict_is_read_whole(tmp_path: Path, name: str) -> None:
    """Of every family, without being told which: its parameters, and gradients so named."""
    config, arrays = config_of(name), tensors(tmp_path, name)
    wanted = parameters_of(config)
    found = read(arrays, config)
    assert found.keys() == {f"parameters/{own}" for own in wanted}
    for own, array in wanted.items():
        np.testing.assert_array_equal(found[f"parameters/{own}"], array, err_msg=own)
    for form in ("grad/{}", "{}.grad", "grads.{}", "module._orig_mod.{}.grad"):
        renamed = {form.format(theirs): array for theirs, array in arrays.items()}
        grads = read(renamed, config)
        assert grads.keys() == {f"grad/parameters/{own}" for own in wanted}


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "bart"])
def test_names_without_the_prefix_of_the_body(tmp_path: Path, name: str) -> None:
    config, arrays = config_of(name), tensors(tmp_path, name)
    prefix = LAYOUTS[name].prefix
    bare = {theirs.removeprefix(prefix): array for theirs, array in arrays.items()}
    assert bare.keys() != arrays.keys()
    assert read(bare, config).keys() == read(arrays, config).keys()


@pytest.mark.parametrize("name", CONFIGS)
def test_modules_are_read_as_stages(name: str) -> None:
    """Every path, alone in its file: found without being told the family, or with it."""
    config = config_of(name)
    outputs = stages_of_modules(config, LAYOUTS[name]).outputs
    paths = [path for path, output in outputs.items() if not output.item]
    names = names_of(paths, config, name)
    assert names is not None and not names.unknown
    for path in paths:
        stages = set(outputs[path].stages)
        assert stages <= names.found.keys() and (
            path in names.twice or any(names.found[s].theirs == (path,) for s in stages)
        )
    alone = names_of([paths[-1] + ".grad"], config, name)
    assert alone is not None and all(own.startswith("grad/") for own in alone.found)


def test_what_is_fused_is_cut_into_its_stages() -> None:
    config = config_of("gpt2")
    x = np.arange(2 * 4 * 36.0).reshape(2, 4, 36)
    place = "decoder.0.self_attention"
    for shape in ((2, 4, 36), (4, 2, 36), (2, 4, 3, 12), (2, 4, 3, 3, 4)):
        found = read({"transformer.h.0.attn.c_attn": x.reshape(shape)}, config)
        assert list(found) == [f"{place}.{name}" for name in ("queries", "keys", "values")]
        np.testing.assert_array_equal(found[f"{place}.keys"], x.reshape(*shape[:2], 36)[..., 12:24])
    whole = read({"transformer.h.0.attn.c_attn": x[..., :35]}, config)
    assert whole[f"{place}.keys"].shape == (2, 4, 35)  # whose shape is said to be wrong
    bloom = config_of("bloom")
    found = read({"transformer.h.0.self_attention.query_key_value": x}, bloom)
    heads = x.reshape(2, 4, 3, 3, 4)
    np.testing.assert_array_equal(found[f"{place}.keys"], heads[..., 1, :].reshape(2, 4, 12))


def test_two_families_that_do_not_read_alike_are_not_guessed_between() -> None:
    """GPT-2's and BLOOM's `mlp` are two stages: the configuration tells, or the caller."""
    path = ["transformer.h.0.mlp"]
    stages = {}
    for name in ("gpt2", "bloom"):
        found = names_of(path, config_of(name))
        assert found is not None and found.layout.name == name
        stages[name] = list(found.found)
    assert stages["gpt2"] != stages["bloom"]
    neither = Config(**{**CONFIGS["gpt2"], "positions": "rotary", "position_limit": None})
    with pytest.raises(CheckpointError, match=r"gpt2 and of bloom, which do not read .* --layout"):
        names_of(path, neither)
    for name in ("gpt2", "bloom"):
        found = names_of(path, neither, name)
        assert found is not None and list(found.found) == stages[name]


def test_a_second_array_for_a_stage_is_told() -> None:
    found = names_of(["h.0.attn.c_proj", "h.0.attn", "lm_head.weight"], config_of("gpt2"))
    assert found is not None
    assert found.twice == {"h.0.attn": "decoder.0.self_attention.output"}
    assert found.found["parameters/decoder.embedding"].theirs == ("lm_head.weight",)


def test_names_that_do_not_fit_the_configuration(tmp_path: Path) -> None:
    names = [*tensors(tmp_path, "gpt2")]
    assert names_of(names, config_of("bert")) is None
    assert "layout gpt2 does not fit: model is 'encoder-only'" in why_not(names, config_of("bert"))
    assert why_not(["a", "b.weight"], config_of("bert")) == ""


@pytest.mark.parametrize("name", ["llama", "bert", "bart"])
def test_what_models_give_out(name: str) -> None:
    config = config_of(name)
    given, stages = names_given(config), set(resolve(config).stages)
    assert set(given.values()) <= stages
    wanted = {"llama": "attentions.1", "bert": "hidden_states_2", "bart": "cross_attentions.0"}
    ours = {"llama": "decoder.1.self_attention.weights", "bert": "encoder.output",
            "bart": "decoder.0.cross_attention.weights"}  # fmt: skip
    assert given[wanted[name]] == ours[name]


# Parameters from such files.


@pytest.mark.parametrize("name", ["gpt2", "deepseek_v3", "bart"])
def test_weights_are_taken_by_their_names(tmp_path: Path, name: str) -> None:
    config, arrays = config_of(name), tensors(tmp_path, name)
    write_npz(tmp_path / "p.npz", arrays)
    (tmp_path / "folder").mkdir()
    for theirs, array in arrays.items():
        np.save(tmp_path / "folder" / f"{theirs}.npy", array)
    for place in ("p.npz", "folder", "m/model.safetensors", "m"):
        found = read_weights(tmp_path / place, config)
        for own, array in parameters_of(config).items():
            np.testing.assert_array_equal(found[own], array)


LN, WTE = "transformer.h.0.ln_1.weight", "transformer.wte.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.pop(LN), f"those of gpt2, and '{LN}' is missing, which is decoder.0.self_att"),
        (lambda p: p.update({WTE: p[WTE].T}), f"'{WTE}' does not have shape (13, 12), as a gpt2"),
        (lambda p: p.update({LN: p[LN][:3]}), f"'{LN}' does not have shape (12,)"),
        (lambda p: p.update({"transformer.h.0.ln_1.wait": p[LN]}), f"did you mean '{LN}'"),
        (lambda p: p.update({"lm_head.weight": p[WTE] + 1}), "of which it is a copy"),
        (lambda p: p.update({LN: p[LN] * np.nan}), "nan"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change, words: str) -> None:
    arrays = tensors(tmp_path, "gpt2")
    change(arrays)
    write_npz(tmp_path / "p.npz", arrays)
    with pytest.raises(ParameterError) as caught:
        read_weights(tmp_path / "p.npz", config_of("gpt2"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "p.npz", tensors(tmp_path, "gpt2"))
    with pytest.raises(ParameterError, match="layout gpt2 does not fit: model is 'encoder-only'"):
        read_weights(tmp_path / "p.npz", config_of("bert"))
    trace = record(config_of("gpt2"), parameters_of(config_of("gpt2")), Batch([[1, 2]]))
    write_npz(tmp_path / "t.npz", dict(trace.values))
    with pytest.raises(ParameterError, match=r"'decoder.embedding' has shape \(1, 2, 12\)"):
        read_weights(tmp_path / "t.npz", config_of("gpt2"))


# Fields of config.json.


def test_every_field_of_a_family_has_one_of_ours() -> None:
    rules = {key for layout in LAYOUTS.values() for rule in layout.rules for key in rule.keys}
    keys = {key for layout in LAYOUTS.values() for key in layout.keys}
    for name in rules | keys:
        assert ours_for(name) in fields_of(Config), name
    assert set(OURS) <= rules and ours_for("nothing") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model": "decoder-only", "rope_scaling": {"type": "linear", "factor": 4}}',
         "numtx calls it 'rotary_scaling', here \"rotary_scaling\": {\"kind\": \"linear\""),
        ('{"rope_scaling": {"rope_type": "llama3", "factor": 8}}', "'low_freq_factor' is missing"),
        ('{"hidden_size": 12}', "numtx calls it 'width', here \"width\": 12"),
        ('{"sliding_window": 12}', "numtx calls it 'window' ("),
        ('{"model_type": "llama", "vocab_size": 9}', "is a config.json of transformers: --model"),
        ('{"model": "decoder-only", "widht": 9}', "did you mean 'width'"),
    ],
)  # fmt: skip
def test_a_field_of_theirs_leads_to_ours(tmp_path: Path, capsys, text: str, words: str) -> None:
    (tmp_path / "c.json").write_text(text)
    assert main(["trace", "--config", str(tmp_path / "c.json"), "--ids", "[[1]]"]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_foreign_takes_whatever_stands_there() -> None:
    for value in (None, 3, "x", [1], {}, {"rope_type": []}, {"type": "yarn"}):
        for name in OURS:
            assert name in foreign({name: value})
    assert foreign([1]) == foreign({"width": 3}) == ""
