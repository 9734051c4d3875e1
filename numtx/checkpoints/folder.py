"""The folder of a model as transformers writes it, read whole and written whole."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from ..config import Config
from ..errors import CheckpointError, ConfigError, nearest
from ..families import LAYOUTS
from ..files import make_folder, write_text
from ..layouts.layout import SINUSOID, Entry, Layout
from ..ops.positions import sinusoidal
from ..parameters import check_parameters, check_size, parameter_shapes
from ..safetensors import FLOATS, SINGLE, Tensor, read_object, read_tensors, write_tensors
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from .words import Words, read_words

CONFIG: Final = "config.json"
HEAD: Final = "lm_head.weight"
TYPES: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@small_repr()
class Model(NamedTuple):
    """A model from outside, as numtx runs it; `words` is None where there is no tokenizer.json."""

    config: Config
    parameters: dict[str, Array]
    words: Words | None


class Place(NamedTuple):
    """What a tensor of a file is (mapped, copy, skipped, carried or outside), and its name in the
    table; of one outside the part that it is of."""

    kind: str
    name: str


def read_model(folder: str | Path, dtype: str | None = None) -> Model:
    """The model in a folder with config.json and model.safetensors, or shards with an index.

    dtype  float64 or float32; None: float64 where a parameter is stored so, else float32

    Raises `CheckpointError` for what cannot be read, `ParameterError` where memory does not do.
    """
    return Folder(folder, dtype).read()


@in_notebook
class Folder:
    """A folder whose every field and tensor is known, and whose numbers are still to be read.

    config  what numtx makes of it
    entries the tensors of the table that the model needs
    places  what each tensor of the files is
    notes   what a reader has to know: parts that are left out
    """

    def __init__(self, folder: str | Path, dtype: str | None = None) -> None:
        self.path = Path(folder)
        if not self.path.is_dir():
            raise CheckpointError(f"{folder}: is no folder; give one with {CONFIG} and {SINGLE}")
        self.file = read_object(self.path / CONFIG)
        self.layout = layout_of(self.file.get("model_type"), str(self.path / CONFIG))
        self.tensors = read_tensors(self.path)
        self.layout = self.layout.of(self.tensors)
        self.notes: list[str] = []
        fields = self._fields()
        if dtype is None:
            kinds = {tensor.dtype for tensor in self.tensors.values()}
            dtype = "float64" if "F64" in kinds else "float32"
        self.config = self._config({**fields, "dtype": dtype})
        if self.config.depth > len(self.tensors):
            raise CheckpointError(f"{self.path / CONFIG}: {self.config.depth} layers are too many")
        experts = max(count or 0 for count in self.config.values_of("experts"))
        alone = any("{e}" in row.theirs for row in self.layout.rows)
        if alone and experts > len(self.tensors):
            raise CheckpointError(f"{self.path / CONFIG}: {experts} experts are too many")
        if self.config.tied_output and self._has_other_head():
            self.config = dataclasses.replace(self.config, tied_output=False)
            self.notes.append(f"{HEAD} differs from the embedding that {CONFIG} says it is; used")
        self.entries = self.layout.entries(self.config)
        self.places = self._places()
        self._check_all()

    @property
    def stored(self) -> str:
        """The type of most parameters in the files."""
        count = Counter(self.tensors[name].dtype for name in self._mapped().values())
        return count.most_common(1)[0][0]

    def _fields(self) -> dict[str, Any]:
        where = self.path / CONFIG
        most = len(self.tensors)
        for name, key in self.layout.keys.items():
            layers = self.file.get(name)
            if key.ours.endswith("_layers") and isinstance(layers, int) and layers > most:
                raise CheckpointError(
                    f"{where}: {name} is {layers}, for {most} tensors in the files"
                )
        try:
            return {**self.layout.read_fields(self.file), **self._shown()}
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"{where}: {str(error).removeprefix('config: ')}") from None

    def _shown(self) -> dict[str, bool]:
        """What the tensors tell and no field does."""
        return {
            name: any(self.layout.place(tensor, [stored])[0] == "mapped" for tensor in self.tensors)
            for name, stored in self.layout.shown.items()
        }

    def _config(self, fields: dict[str, Any]) -> Config:
        try:
            return Config(**fields)
        except ConfigError as error:
            raise CheckpointError(f"{self.path / CONFIG}: {error}") from None

    def _has_other_head(self) -> bool:
        """Whether there is a head of its own, though the configuration says that there is none."""
        embedded = {
            name: entry
            for name, entry in self.layout.entries(self.config).items()
            if any(own.endswith("embedding") for own in entry.shapes)
        }
        found = [t for t in self.tensors if self.layout.place(t, embedded)[0] == "mapped"]
        untied = any(row.ours == ("output.w",) for row in self.layout.rows)
        if not untied or HEAD not in self.tensors or not found:
            return False
        check_size(self.config)
        return not np.array_equal(self._read(HEAD), self._read(found[0]))

    def _places(self) -> dict[str, Place]:
        found: dict[str, Place] = {}
        for name, tensor in self.tensors.items():
            kind, own = self.layout.place(name, self.entries)
            if kind == "unknown":
                raise CheckpointError(
                    f"{tensor.file}: {name[:80]!r} has no place in a {self.layout.name} of this "
                    f"{CONFIG}; {nearest(name, self.entries)}"
                )
            if kind in ("mapped", "carried") and Place(kind, own) in found.values():
                raise CheckpointError(f"{tensor.file}: {own!r} is there twice, as {name!r} too")
            found[name] = Place(kind, own)
        parts = {
            kind: dict.fromkeys(self.part(place) for place in found.values() if place.kind == kind)
            for kind in ("outside", "carried")
        }
        self.notes += [f"left out: {part}" for part in parts["outside"]]
        self.notes += [f"outside numtx: {part}" for part in parts["carried"]]
        return found

    def part(self, place: Place) -> str:
        """The part outside numtx that a tensor is of; empty where it is of none."""
        return place.name if place.kind == "outside" else self.layout.part(place.name)

    def _mapped(self) -> dict[str, str]:
        """The tensors of the table, and their names in the files."""
        return {place.name: name for name, place in self.places.items() if place.kind == "mapped"}

    def _check_all(self) -> None:
        """Every tensor of the table is there, of its shape and of a type of numbers."""
        mapped = self._mapped()
        for name, entry in self.entries.items():
            if name not in mapped:
                if entry.row.zeros:
                    continue
                raise CheckpointError(
                    f"{self.path}: tensor {name!r} is missing; {CONFIG} asks for shape "
                    f"{entry.stored}" + (" (or tie_word_embeddings true)" if name == HEAD else "")
                )
            tensor = self.tensors[mapped[name]]
            if tensor.shape != entry.stored:
                raise CheckpointError(
                    f"{tensor.file}: {mapped[name]!r} has shape {tensor.shape}; by {CONFIG} it "
                    f"should be {entry.stored}"
                )
            if tensor.dtype not in FLOATS:
                tensor.read(mapped[name])  # says why not

    def read(self) -> Model:
        """The numbers, one tensor after the other."""
        check_size(self.config)
        ends = self.file.get("eos_token_id")
        ends = [end for end in (ends if isinstance(ends, list) else [ends]) if type(end) is int]
        words = read_words(self.path, self.config.vocabulary, ends)
        mapped = self._mapped()
        found: dict[str, Array] = {}
        for name, entry in self.entries.items():
            if name in mapped:
                stored = self._read(mapped[name])
            else:
                stored = np.zeros(entry.stored, self.config.dtype)
            entry.into(found, stored, self.config.dtype, self.config.heads)
        for name, place in self.places.items():
            if place.kind == "copy" and not self._repeats(name, place.name, found):
                raise CheckpointError(
                    f"{self.tensors[name].file}: {name!r} differs from "
                    f"{self.layout.copies[place.name]!r}, of which it should be a copy"
                )
        return Model(self.config, {n: found[n] for n in parameter_shapes(self.config)}, words)

    def _repeats(self, name: str, place: str, found: Mapping[str, Array]) -> bool:
        """Whether a copy is one."""
        own, config = self.layout.copies[place], self.config
        if own == SINUSOID:
            x, base = self._read(name), config.position_base
            places, layout = np.arange(len(x))[None], config.sinusoidal_layout
            table = sinusoidal(places, config.width, base, "float64", layout)[0]
            near = {"F16": 1e-3, "BF16": 1e-2}.get(self.tensors[name].dtype, 1e-6)
            return x.shape == table.shape and bool(np.abs(x - table).max(initial=0) < near)
        own = own if own in found else f"decoder.{own}"  # of two vocabularies
        return own not in found or np.array_equal(self._read(name).astype(config.dtype), found[own])

    def carried(self) -> dict[str, Tensor]:
        """The tensors of parts outside numtx that an export takes over, by name in the table."""
        return {
            place.name: self.tensors[name]
            for name, place in self.places.items()
            if place.kind == "carried"
        }

    def tensor(self, name: str) -> Array:
        """A tensor of the table as it is stored."""
        return self._read(self._mapped()[name])

    def _read(self, name: str) -> Array:
        tensor = self.tensors[name]
        array = tensor.read(name)
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise CheckpointError(f"{tensor.file}: {name!r} has {array[place]} at {place}")
        return array


def layout_of(name: Any, where: str) -> Layout:
    """The layout of a model_type."""
    if name is None:
        raise CheckpointError(
            f"{where}: model_type is missing; it names the family, such as 'llama'"
        )
    if not isinstance(name, str) or name not in LAYOUTS:
        hint = nearest(str(name), LAYOUTS)
        raise CheckpointError(f"{where}: model_type {str(name)[:60]!r} is not known; {hint}")
    return LAYOUTS[name]


def plan(config: Config, layout: str, file: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The config.json of a configuration in a layout.

    file  that of a folder which the model comes from: fields without effect are kept

    Raises `CheckpointError` that says why the layout cannot say it.
    """
    table = layout_of(layout, "layout")
    found = table.write_fields(config)
    table.entries(config)
    kept = {} if file is None or file.get("model_type") != layout else {
        name: value
        for name, value in file.items()
        if name not in ("architectures", "dtype", "torch_dtype", "transformers_version")
        and (table.effect(name) == "none" or name == "max_position_embeddings" not in found)
    }  # fmt: skip
    return {**found, **kept}


def _same(config: Config, layout: str, source: Folder | None) -> Folder:
    """The folder that a model comes from, which has to bring the parts outside numtx."""
    parts = ", ".join(what.partition(" (")[0] for what in LAYOUTS[layout].carried.values())
    said = f"layout {layout}: its models have parts outside numtx ({parts})"
    if source is None or source.layout.name != layout:
        raise CheckpointError(
            f"{said}, which only a folder of such a model brings; give it (export --model DIR)"
        )
    if dataclasses.replace(config, dtype=source.config.dtype) != source.config:
        raise CheckpointError(f"{said}, and those of {source.path} are of another configuration")
    return source


def write_model(
    folder: str | Path,
    config: Config,
    parameters: Mapping[str, Array],
    layout: str,
    *,
    stored: str | None = None,
    source: Folder | None = None,
) -> None:
    """Write a folder that transformers loads as it is: config.json and model.safetensors.

    stored  F64, F32, F16 or BF16; None: that of the source, or of the configuration
    source  the folder that the model comes from: its fields without effect are kept (`plan`), and
            its tensors of parts outside numtx, which some layouts need

    Raises `CheckpointError` where the layout does not fit, before anything is written, and
    `FileError` where the folder cannot be written.
    """
    others = stored is None  # what is carried keeps its types
    if stored is None:
        own = {"float64": "F64", "float32": "F32"}[config.dtype]
        stored = own if source is None else source.stored
    fields = plan(config, layout, None if source is None else source.file)
    carried: dict[str, Tensor] = {}
    if layout_of(layout, "layout").carried:
        source = _same(config, layout, source)
        fields, carried = dict(source.file), source.carried()
        fields.pop("torch_dtype", None)
    fields["dtype"] = TYPES[stored]
    check_parameters(config, parameters)
    entries = LAYOUTS[layout].entries(config)

    def make(entry: Entry) -> Array:
        return entry.fold(parameters, config.heads)

    tensors = {
        name: (entry.stored, partial(make, entry)) for name, entry in sorted(entries.items())
    }
    tensors |= {name: (one.shape, partial(one.read, name)) for name, one in carried.items()}
    kept = {name: one.dtype for name, one in carried.items()} if others else {}
    new = not Path(folder).exists()
    path = make_folder(folder)
    try:
        write_tensors(path / SINGLE, tensors, stored, kept)
        write_text(path / CONFIG, json.dumps(fields, indent=2) + "\n")
    except BaseException:
        if new and not any(path.iterdir()):
            path.rmdir()
        raise
