"""A layout: one table that says how a family's config.json and tensors become a configuration and
parameters of numtx, read in both directions.

The world is closed: a field of config.json is mapped, known to be without effect, or refused by
name; a tensor is mapped, known to be no parameter, named as a part outside numtx, or refused. What
was written is read back before it is given out, so that a configuration that a layout cannot say
is refused and never written otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np

from ..config import Config
from ..errors import CheckpointError, ConfigError, nearest
from ..fields.field import fields_of
from ..parameters import named_shapes, parameter_shapes
from ..shapes import Array
from .essence import Fields, essence

SINUSOID: Final = "the sinusoidal table"
NEEDED: Final = object()  # the default of a field that a file has to have


class Key(NamedTuple):
    """A field of config.json that is a field of `Config`.

    default  what transformers takes where the file is silent
    values   what their values are called here; empty: the same
    """

    ours: str
    default: Any = NEEDED
    values: Mapping[Any, Any] = {}

    def read(self, name: str, value: Any) -> Any:
        """Our value for theirs; the field of `Config` says what is one, under their name."""
        if not self.values:
            taken = fields_of(Config)[self.ours]
            if isinstance(value, list | tuple):
                raise CheckpointError(f"{name} is a list; one value is for all layers")
            return taken.check(name, value)
        if not isinstance(value, str | bool) or value not in self.values:
            raise CheckpointError(f"{name} is {value!r}; known: {', '.join(map(str, self.values))}")
        return self.values[value]

    def write(self, value: Any) -> Any:
        """Their word for a value: the one that they take by themselves, else the first."""
        if not self.values or self.values.get(self.default) == value:
            return self.default if self.values else value
        return next((theirs for theirs, ours in self.values.items() if ours == value), value)


class Rule(NamedTuple):
    """Fields of config.json that say something together, and both ways of saying it."""

    keys: tuple[str, ...]
    read: Callable[[Fields, Fields], None]  # their fields, ours so far
    write: Callable[[Config, Fields], None]


class Row(NamedTuple):
    """A tensor of the file and the parameters in it, in order; `{i}` is the layer, `{side}` a side,
    `{e}` an expert of a stack, of which the tensor is one.

    unless  a parameter: a model that has it stores this row's in another
    how     same; transposed: (out, in); columns: side by side as they are; heads: transposed, and
            side by side within each head; row: under an axis of one; stacked: each of a stack
            transposed; alternating: column by column in turn
    zeros   where a file leaves it out, it is zeros
    """

    theirs: str
    ours: tuple[str, ...]
    how: str = "same"
    unless: str = ""
    zeros: bool = False


class Entry(NamedTuple):
    """A row of one layer: the shape in the file, and the shapes of the parameters; of a stack the
    expert whose part it is."""

    row: Row
    stored: tuple[int, ...]
    shapes: dict[str, tuple[int, ...]]
    expert: int | None = None

    def into(self, found: dict[str, Array], stored: Array, dtype: str, heads: int) -> None:
        """Put the parameters in a tensor, or their part of a stack, to those found."""
        for name, part in self.unfold(stored, dtype, heads):
            if self.expert is None:
                found[name] = part
                continue
            if name not in found:
                found[name] = np.empty(self.shapes[name], dtype)
            found[name][self.expert] = part

    def unfold(self, stored: Array, dtype: str, heads: int) -> Iterator[tuple[str, Array]]:
        """The parameters in a tensor."""
        how, widths = self.row.how, [shape[-1] for shape in self.shapes.values()]
        x = stored.T if how in ("transposed", "heads") else stored[0] if how == "row" else stored
        x = stored.swapaxes(-1, -2) if how == "stacked" else x
        if how == "alternating":
            parts = [x[..., j :: len(widths)] for j in range(len(widths))]
        elif how == "heads":
            each = np.cumsum([width // heads for width in widths])
            parts = np.split(x.reshape(*x.shape[:-1], heads, -1), each[:-1], -1)
            parts = [part.reshape(*x.shape[:-1], -1) for part in parts]
        else:
            parts = np.split(x, np.cumsum(widths)[:-1], -1)
        for name, part in zip(self.shapes, parts, strict=True):
            yield name, np.ascontiguousarray(part, dtype)

    def fold(self, parameters: Mapping[str, Array], heads: int) -> Array:
        """The tensor of parameters: `unfold` backwards."""
        how, parts = self.row.how, [parameters[name] for name in self.shapes]
        if self.expert is not None:
            parts = [part[self.expert] for part in parts]
        if how == "heads":
            split = [part.reshape(*part.shape[:-1], heads, -1) for part in parts]
            x = np.concatenate(split, -1).reshape(*parts[0].shape[:-1], -1)
        elif how == "alternating":
            x = np.stack(parts, -1).reshape(*parts[0].shape[:-1], -1)
        else:
            x = np.concatenate(parts, -1)
        if how == "stacked":
            return x.swapaxes(-1, -2)
        return x.T if how in ("transposed", "heads") else x[None] if how == "row" else x


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The table of one family.

    name          its model_type
    architecture  the class of transformers that a written folder is of
    prefix        what stands before the names of the body, and may be missing
    fixed         fields of `Config` that all models of the family share
    keys, rules   fields of config.json
    demands       fields that are refused unless at this value
    inert         fields without effect on the numbers, beside those of every family
    shown         fields of `Config` that are true where the file has a tensor, and no field says so
    written       what a folder says beside, so that transformers loads it as it is
    rows          tensors
    stacked       rows in place of those of single experts, in files that have these
    copies        tensors that repeat a parameter, or the SINUSOID
    modules       modules that own no tensor, or give another stage than their tensor's, and the
                  stage that they give, or a place whose last stage that is; `.1`: the second of
                  what they give; empty: no stage (see `modules.py`)
    skipped       tensors that are no parameters, as regular expressions
    outside       tensors of parts that numtx has not, and what these are
    carried       the same, of parts without which the family's models are none: an export takes
                  them over from the folder that the model comes from
    marks         tensors that say that a whole part, the first group of the form, is outside
    spelling      other spellings in names of tensors
    aliases       other names of fields
    """

    name: str
    architecture: str
    prefix: str = ""
    fixed: Fields = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    demands: Fields = field(default_factory=dict)
    inert: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    written: Fields = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    stacked: tuple[Row, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    spelling: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    # Fields.

    def effect(self, name: str) -> str:
        """mapped, demanded, none, or unknown: what a field of config.json does."""
        name = self.aliases.get(name, name)
        if name in self.keys or any(name in rule.keys for rule in self.rules):
            return "mapped"
        if name in self.demands or name in OFF:
            return "demanded"
        known = name in self.inert or name in INERT or re.fullmatch(INERT_FORMS, name)
        return "none" if known else "unknown"

    def read_fields(self, file: Fields) -> Fields:
        """The fields of `Config` that a config.json gives; `CheckpointError` names one that is not
        known or cannot be said."""
        theirs: Fields = {}
        for name, value in file.items():
            own = self.aliases.get(name, name)
            if own in theirs and theirs[own] != value:
                raise CheckpointError(f"{name} is {value!r}, and {own} is {theirs[own]!r}")
            theirs[own] = value
            if self.effect(name) == "unknown":
                known = [*self.keys, *(k for rule in self.rules for k in rule.keys)]
                raise CheckpointError(
                    f"field {name!r} is not known for model_type {self.name}, and what it does to "
                    f"the numbers neither ({nearest(name, known)}); take it out if it does nothing"
                )
        for name, wanted in {**OFF, **self.demands}.items():
            value = theirs.get(name)
            if value is not None and value != wanted and (value or wanted):
                raise CheckpointError(f"{name} is {str(value)[:60]!r}; numtx reads {wanted!r} only")
        ours: Fields = {**self.fixed, "biases": set(self.fixed.get("biases", ()))}
        for name, key in self.keys.items():
            value = theirs.get(name, key.default)
            if value is NEEDED:
                raise CheckpointError(f"field {name!r} is missing")
            value = key.read(name, value)
            if ours.setdefault(key.ours, value) != value:
                raise CheckpointError(f"{name} is {value!r}, and another {ours[key.ours]!r}; one "
                                      "number is for both here")  # fmt: skip
        for rule in self.rules:
            rule.read(theirs, ours)
        return {**ours, "biases": tuple(ours["biases"])}

    def write_fields(self, config: Config) -> Fields:
        """The config.json of a configuration.

        Raises `CheckpointError` that says why where the family cannot say it.
        """
        self._compare(config, {n: v for n, v in self.fixed.items() if n != "biases"})
        file: Fields = {"model_type": self.name, "architectures": [self.architecture]}
        file |= self.written
        acts = essence(config)
        for name, key in self.keys.items():
            value = getattr(config, key.ours)
            file[name] = key.write(acts[key.ours] if value is None else value)
        file |= {name: value for name, value in self.demands.items() if value is not None}
        try:
            for rule in self.rules:
                rule.write(config, file)
            shown = {name: getattr(config, name) for name in self.shown}
            again = Config(**self.read_fields(file), **shown, dtype=config.dtype)
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"layout {self.name} does not fit: {error}") from None
        self._compare(config, essence(again))
        wanted, known = parameter_shapes(config), parameter_shapes(again)
        for name in (*wanted, *known):
            if name not in known or name not in wanted:
                having, lacking = "the configuration", f"a {self.name} of these sizes"
                if name not in wanted:
                    having, lacking = lacking, having
                raise CheckpointError(
                    f"layout {self.name} does not fit: {having} has {name!r}, {lacking} has not"
                )
        return file

    def _compare(self, config: Config, theirs: Mapping[str, Any]) -> None:
        """Raise `CheckpointError` where a configuration is another than the family has."""
        ours = {**config.to_dict(), **essence(config)}
        for name, value in theirs.items():
            if ours[name] != value:
                raise CheckpointError(
                    f"layout {self.name} does not fit: {name} is {ours[name]!r}, and models of "
                    f"this family have {value!r}"
                )

    # Tensors.

    def of(self, tensors: Iterable[str]) -> Layout:
        """The table of a file with tensors of these names: of the two ways in which experts are
        stored that of the file, and with the parts that are outside."""
        names = list(map(self.spelled, tensors))
        found = ((re.fullmatch(form, n), what) for form, what in self.marks.items() for n in names)
        outside = {f"{re.escape(mark[1])}.*": what for mark, what in found if mark is not None}
        rows, ends = self.rows, tuple(row.theirs.rpartition("}")[2] for row in self.stacked)
        if any(name.endswith(ends) for name in names):
            rows = (*(row for row in rows if "{e}" not in row.theirs), *self.stacked)
        return replace(self, rows=rows, outside={**self.outside, **outside})

    def spelled(self, name: str) -> str:
        """The name of a tensor as the table spells it."""
        for other, own in self.spelling.items():
            name = re.sub(other, own, name)
        return name

    def entries(self, config: Config, whole: bool = True) -> dict[str, Entry]:
        """The tensors of a model by name, in order of the table.

        whole  raise `CheckpointError` where the table has no place for a parameter
        """
        shapes = dict(named_shapes(config))
        every = frozenset(shapes)
        found: dict[str, Entry] = {}
        for row in self.rows:
            for side in config.sides if "{side}" in "".join(row.ours) else ("",):
                layered = "{i}" in row.theirs
                own = side or row.ours[0].split(".")[0]
                for i in range(config.layers(own) if layered else 1):
                    names = [name.format(i=i, side=side) for name in row.ours]
                    there = {name: shapes.pop(name) for name in names if name in shapes}
                    if not there or row.unless.format(i=i, side=side) in every:
                        shapes |= there
                        continue
                    if len(there) < len(names) and not whole:
                        continue
                    if len(there) < len(names):
                        lacking = next(name for name in names if name not in there)
                        raise CheckpointError(
                            f"layout {self.name} does not fit: {next(iter(there))!r} stands in one "
                            f"tensor with {lacking!r}, which the configuration has not"
                        )
                    theirs, every_shape = row.theirs.format, list(there.values())
                    if "{e}" not in row.theirs:
                        stored = _stored_shape(row.how, every_shape)
                        found[theirs(i=i, side=side)] = Entry(row, stored, there)
                        continue
                    stored = _stored_shape(row.how, [shape[1:] for shape in every_shape])
                    for e in range(every_shape[0][0]):
                        found[theirs(i=i, side=side, e=e)] = Entry(row, stored, there, e)
        if shapes and whole:
            name = next(iter(shapes))
            raise CheckpointError(f"layout {self.name} does not fit: it has no place for {name!r}")
        return found

    def place(self, name: str, entries: Collection[str]) -> tuple[str, str]:
        """What a tensor of a file is, and its name in the table: mapped, copy, skipped, carried,
        outside (with what it is part of), or unknown."""
        name = self.spelled(name)
        for spelled in (name, self.prefix + name, name.removeprefix(self.prefix)):
            if spelled in entries:
                return "mapped", spelled
            if spelled in self.copies:
                return "copy", spelled
            if any(re.fullmatch(form, spelled) for form in self.skipped):
                return "skipped", spelled
            if self.part(spelled):
                return "carried", spelled
            for form in self.outside:
                if re.fullmatch(form, spelled):
                    return "outside", self.outside[form]
        return "unknown", name

    def part(self, name: str) -> str:
        """What a tensor that is carried is part of; empty for others."""
        found = (what for form, what in self.carried.items() if re.fullmatch(form, name))
        return next(found, "")


def _stored_shape(how: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape in the file of parameters that stand side by side."""
    joined = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    if how in ("transposed", "heads"):
        return joined[::-1]
    if how == "stacked":
        return (*joined[:-2], joined[-1], joined[-2])
    return (1, *joined) if how == "row" else joined


# Fields that every family has to have at this value, where a file has them at all.
OFF: Final[Fields] = {
    "quantization_config": None, "pruned_heads": {}, "is_decoder": False,
    "add_cross_attention": False, "per_layer_config": None, "adapter_fields": None,
}  # fmt: skip
# Fields without effect on the numbers of a run, in every family.
INERT_FORMS: Final = r".*dropout(_prob|_rate)?|.*_pdrop|.*layerdrop|transformers\.js_config"
_INERT: Final = """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures
    auto_map bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward cls_token_id
    cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dtype
    early_stopping encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label init_std
    initializer_factor initializer_range label2id length_penalty max_length min_length model_type
    no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences
    output_attentions output_hidden_states output_past output_scores pad_token_id prefix
    problem_type
    remove_invalid_values repetition_penalty return_dict return_dict_in_generate sep_token_id
    suppress_tokens task_specific_params temperature tokenizer_class top_k top_p torch_dtype
    torchscript transformers_version typical_p unk_token_id use_bfloat16 use_cache
"""
INERT: Final = frozenset(_INERT.split())
