"""Models of which numtx has a part: the rest is named, and an export takes it over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_folders import CARRIED, CONFIGS, config_of, edit, join, parameters_of, split, written

from numtx import Config, read_model, write_model
from numtx.checkpoints.folder import Folder
from numtx.errors import CheckpointError
from numtx.families import LAYOUTS
from numtx.safetensors import read_header, to_bfloat16

FILE = "model.safetensors"
NAMED = {
    "whisper": "outside numtx: the encoder, with its convolutions",
    "vit": "outside numtx: the patch embedding",
}


def as_bfloat16(folder: Path, names: set[str]) -> None:
    """Keep some tensors of a file of float64 in another type."""
    header, data = split(folder / FILE)
    new, body = {"__metadata__": header.pop("__metadata__")}, b""
    for name, entry in header.items():
        part = data[slice(*entry["data_offsets"])]
        if name in names:
            part = to_bfloat16(np.frombuffer(part, "<f8")).tobytes()
            entry["dtype"] = "BF16"
        new[name] = {**entry, "data_offsets": [len(body), len(body) + len(part)]}
        body += part
    join(folder / FILE, new, body)


def test_each_family_in_part_is_tried() -> None:
    assert set(CARRIED) == set(NAMED) == {name for name, one in LAYOUTS.items() if one.carried}


def content(folder: Path) -> dict[str, tuple[str, bytes]]:
    """The type and the numbers of each tensor of a file."""
    header = read_header(folder / FILE)
    return {name: (one.dtype, one.read(name).tobytes()) for name, one in header.items()}


@pytest.mark.parametrize("name", CARRIED)
@pytest.mark.parametrize("prefixed", [True, False])
def test_an_export_takes_over_what_is_outside(tmp_path: Path, name: str, prefixed: bool) -> None:
    """Byte for byte, in its own type, with the fields of config.json; the body may be alone."""
    folder = written(tmp_path / "m", name)
    as_bfloat16(folder, {*CARRIED[name]})
    wanted = content(folder)
    if not prefixed:
        header, data = split(folder / FILE)
        prefix = LAYOUTS[name].prefix
        join(folder / FILE, {one.removeprefix(prefix): e for one, e in header.items()}, data)
    sizes = {"image_size": [4, 6], "patch_size": 2, "num_channels": 3}
    edit(folder, architectures=["One"], **(sizes if name == "vit" else {"num_mel_bins": 4}))
    opened = Folder(folder)
    assert [note.partition(" (")[0] for note in opened.notes] == [NAMED[name]]
    config, parameters, _ = opened.read()
    assert config == config_of(name)
    write_model(tmp_path / "again", config, parameters, name, source=opened)
    assert content(tmp_path / "again") == wanted
    assert Folder(tmp_path / "again").file == {**opened.file, "dtype": "float64"}
    write_model(tmp_path / "half", config, parameters, name, source=opened, stored="F32")
    assert {dtype for dtype, _ in content(tmp_path / "half").values()} == {"F32"}


@pytest.mark.parametrize("name", CARRIED)
def test_an_export_without_what_is_outside_is_refused(tmp_path: Path, name: str) -> None:
    config = config_of(name)
    parameters = parameters_of(config)
    other = next(one for one in CARRIED if one != name)
    for source in (None, Folder(written(tmp_path / other, other))):
        with pytest.raises(CheckpointError, match=r"parts outside numtx .* give it \(export --mod"):
            write_model(tmp_path / "m", config, parameters, name, source=source)
    config = replace(config, hidden=11)
    source = Folder(written(tmp_path / name, name))
    with pytest.raises(CheckpointError, match="are of another configuration"):
        write_model(tmp_path / "m", config, parameters_of(config), name, source=source)
    assert not (tmp_path / "m").exists()


def test_what_is_outside_is_there_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "m", "whisper")
    header, data = split(folder / FILE)
    end = [len(data), len(data) + 96]
    header["encoder.layer_norm.bias"] = {"dtype": "F64", "shape": [12], "data_offsets": end}
    join(folder / FILE, header, data + b"\0" * 96)
    with pytest.raises(CheckpointError, match=r"'model.encoder.layer_norm.bias' is there twice"):
        Folder(folder)


def test_only_what_may_be_zeros_is_left_out(tmp_path: Path) -> None:
    """A table under an axis of one is none of these."""
    folder = written(tmp_path / "m", "vit")
    for name in ("cls_token", "position_embeddings"):
        header, data = split(folder / FILE)
        begin, end = header.pop(f"vit.embeddings.{name}")["data_offsets"]
        for entry in header.values():
            if "data_offsets" in entry and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [at - end + begin for at in entry["data_offsets"]]
        join(folder / FILE, header, data[:begin] + data[end:])
        with pytest.raises(CheckpointError, match=f"'vit.embeddings.{name}' is missing"):
            Folder(folder)
        folder = written(tmp_path / name, "vit")


def test_a_mechanism_that_a_part_has_not(tmp_path: Path) -> None:
    """A whole encoder-decoder is no whisper, and what has words is no vit."""
    for name, fields in (
        ("whisper", {"encoder_layers": 1}), ("whisper", {"biases": True}),
        ("whisper", {"position_offset": 2}), ("vit", {"vocabulary": 2}), ("vit", {"segments": 2}),
    ):  # fmt: skip
        config = Config(**{**CONFIGS[name], **fields})
        source = Folder(written(tmp_path / f"{name}-{next(iter(fields))}", name))
        with pytest.raises(CheckpointError, match=f"layout {name} does not fit"):
            write_model(tmp_path / "m", config, parameters_of(config), name, source=source)


def test_parameters_of_a_whole_are_those_of_its_folder(tmp_path: Path) -> None:
    for name in CARRIED:
        model = read_model(written(tmp_path / name, name))
        expected = parameters_of(config_of(name))
        assert model.parameters.keys() == expected.keys()
        assert all(np.array_equal(model.parameters[own], expected[own]) for own in expected)
