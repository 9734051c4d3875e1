"""A live model of the `transformers` package, recorded under numtx's names; loaded on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..batch import Batch, Inputs, check_batch
from ..config import Config
from ..errors import CheckpointError, ConfigError, SubjectError
from ..families import LAYOUTS
from ..files import write_npz
from ..layouts.layout import Layout
from ..layouts.modules import Output
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.leaf import Text
from ..strict_json import read_json
from ..subjects.declared import arguments_of
from ..trace.trace import stages_of
from .spots import Arranged, spots_of
from .torch import Kept, as_array, gradients, watching

# Where a model of transformers has what numtx ends in, the first that there is.
ENDS = {
    "logits": ("logits", "prediction_logits"), "pooled": ("pooler_output",),
    "encoder_output": ("encoder_last_hidden_state", "last_hidden_state"),
    "decoder_output": ("last_hidden_state",),
}  # fmt: skip
NOT_GIVEN = ("documents", "decoder_documents", "vectors", "decoder_vectors", "memory")


@small_repr()
class Recorded(NamedTuple):
    """What a model gave in one run; as text, how much that is.

    arrays   stage -> array; parameters/NAME too, and grad/ of both where there are gradients
    lacking  the stages of numtx that no module gives or is given
    silent   modules that give stages in other models of the family, and were not called in this
    padding  tokens whose embedding the model teaches nothing, and that were taught here
    """

    arrays: dict[str, Array]
    lacking: list[str]
    silent: list[str]
    padding: list[int]

    @property
    def stages(self) -> list[str]:
        """The stages that were recorded."""
        return [name for name in self.arrays if not name.startswith(("parameters/", "grad/"))]

    @property
    def notes(self) -> list[Text]:
        """What is to be known of the run."""
        count = len(self.stages)
        every = count + len(self.lacking)
        found = [
            Text(f"记录了 {every} 个阶段中的 {count} 个", f"{count} of {every} stages recorded")
        ]
        if self.silent:
            names = ", ".join(self.silent)
            found.append(
                Text(f"没有被调用的模块：{names}", f"modules that were not called: {names}")
            )
        for token in self.padding:
            zh = f"词元 {token} 是模型的填充，其嵌入在那里没有梯度；这里照常计算"
            en = f"token {token} is the model's padding, whose embedding gets no gradient there; "
            found.append(Text(zh, f"{en}here it does"))
        return found

    def __str__(self) -> str:
        return "; ".join(note.en for note in self.notes)

    def save(self, path: str | Path) -> None:
        """Write the arrays as `.npz`, for `numtx compare`."""
        write_npz(path, self.arrays)


def record(
    model: Any,
    ids: Any,
    *,
    decoder_ids: Any = None,
    labels: Any = None,
    mask: Any = None,
    decoder_mask: Any = None,
    segments: Any = None,
    cotangent: Mapping[str, Any] | None = None,
) -> Recorded:
    """Run a model of transformers once, with eager attention and without dropout, and give every
    stage that is the output or the input of a module, or a matrix of attention weights.

    ids, decoder_ids, labels, mask, decoder_mask, segments  as those of a `Batch`: labels are what
               each place should predict, and are not shifted. With labels there are gradients
               too, of stages and of parameters; what .grad holds is left alone
    cotangent  in place of labels the gradients of what the model ends in, by the names that
               `numtx.backward` has for it

    Raises `CheckpointError` for a model that numtx does not know, `SubjectError` for what a model
    of transformers cannot be given, `BatchError` as every run does.
    """
    return record_batch(
        model, Batch(ids, decoder_ids, labels, mask, decoder_mask, segments=segments), cotangent
    )


def record_batch(model: Any, batch: Batch, cotangent: Mapping[str, Any] | None = None) -> Recorded:
    """The same of a batch, whose positions are taken as `as_run` has them."""
    import torch

    config, layout = known(model)
    config, batch = as_run(model, config, batch)
    inputs, graph = check_batch(config, batch), stages_of(config, batch)
    spots = spots_of(model, config, layout, graph)
    tensors = _parameters(model)
    parameters = _named(layout, config, {name: as_array(x) for name, x in tensors.items()})
    found = Arranged(graph, inputs, parameters)
    backwards = cotangent is not None or batch.labels is not None
    padding = _padding(model, inputs) if backwards else {}
    learned: dict[str, Array] = {}
    with _plain(model, padding), watching(model, spots) as kept, torch.set_grad_enabled(backwards):
        result = model(**_given(model, config, inputs), use_cache=False)
        for spot, one in kept.items():
            found.add(spots[spot], one)
        ends, logits = {}, _end(result, "logits")
        last = "capped_logits" if "capped_logits" in graph else "logits"
        of_tokens = (*inputs.sides[config.sides[-1]].ids.shape, config.vocabulary)
        if last in graph and logits is not None and logits.shape == of_tokens:
            ends[last] = logits  # of another head they are others
        if inputs.labels is not None:
            if not ends:
                raise SubjectError(f"labels: {type(model).__name__} gives no logits of every token")
            ends["loss"] = _loss(logits, inputs.labels)
        for name, tensor in ends.items():
            found.add(Output("", 0, (name,)), Kept(tensor, as_array(tensor)))
        if backwards:
            total = ends["loss"] if cotangent is None else _weighed(result, cotangent)
            own = {f"parameters/{name}": Kept(x, x) for name, x in tensors.items()}
            learned = gradients(total, {**found.sources, **own})
    taught = {n: learned.pop(f"parameters/{n}") for n in tensors if f"parameters/{n}" in learned}
    arrays = {**found.values(), **parameters}
    both = {**found.values(learned), **_named(layout, config, taught)} if backwards else {}
    arrays |= {f"grad/{name}": x for name, x in both.items()}
    return Recorded(
        arrays,
        [name for name in graph.stages if name not in arrays],
        sorted({path for path, part in spots if (path, part) not in kept}),
        sorted(set(padding.values())),
    )


def known(model: Any) -> tuple[Config, Layout]:
    """The configuration of a model in numtx, and the table of its tensors.

    Raises `CheckpointError` for a model of no family that numtx knows, and one of no such package.
    """
    kind = type(model).__name__
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "to_json_string"):
        raise CheckpointError(
            f"{kind} is no model of transformers; numtx.adapters.torch.record takes any module"
        )
    fields = {**read_json(config.to_json_string(), kind, CheckpointError), "architectures": [kind]}
    name = fields.get("model_type")
    if name not in LAYOUTS:
        raise CheckpointError(f"{kind}: model_type {name!r} is not known; {', '.join(LAYOUTS)} are")
    tensors = _parameters(model)
    layout = LAYOUTS[name].of(tensors)
    shown: dict[str, Any] = {
        field: any(layout.place(tensor, [stored])[0] == "mapped" for tensor in tensors)
        for field, stored in layout.shown.items()
    }
    dtype = "float64" if str(model.dtype) == "torch.float64" else "float32"
    try:
        own = Config(**layout.read_fields(fields), **shown, dtype=dtype)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{kind}: {error}") from None
    if own.tied_output and any(row.ours == ("output.w",) for row in layout.rows):
        head = model.get_output_embeddings().weight  # alone, whatever the configuration says?
        shared = sum(x is head for _, x in model.named_parameters(remove_duplicate=False))
        own = dataclasses.replace(own, tied_output=shared > 1)
    return own, layout


def as_run(model: Any, config: Config, batch: Batch) -> tuple[Config, Batch]:
    """A configuration for the length of a batch, and the batch with the positions that a model
    takes: one that cannot be told them counts columns, and padding with them, unless positions are
    a matter of its mask (alibi).

    Raises `SubjectError` for what a model of transformers is not given, `BatchError` as every run.
    """
    for name in NOT_GIVEN:
        if getattr(batch, name) is not None:
            raise SubjectError(f"{name}: a model of transformers is given token ids alone")
    shapes = {side: one.ids.shape for side, one in check_batch(config, batch).sides.items()}
    if "position_ids" not in arguments_of(model.forward) and config.positions != "alibi":
        columns = {
            _named_for(side, shapes, "positions"): np.tile(np.arange(length), (rows, 1))
            for side, (rows, length) in shapes.items()
        }
        own = {name: getattr(batch, name) for name in columns}
        batch = dataclasses.replace(
            batch, **{name: columns[name] if x is None else x for name, x in own.items()}
        )
    return config.for_length(max(length for _, length in shapes.values())), batch


def _named_for(side: str, sides: Collection[str], name: str) -> str:
    """The name of a side's input, where there are two, with that of the decoder."""
    return f"decoder_{name}" if side == "decoder" and len(sides) > 1 else name


def _padding(model: Any, inputs: Inputs) -> dict[Any, int]:
    """The tables that keep a row without a gradient, and which, where a real token has it."""
    real = {int(i) for one in inputs.sides.values() for i in np.unique(one.ids[one.valid])}
    rows = {one: getattr(one, "padding_idx", None) for one in model.modules()}
    return {one: row for one, row in rows.items() if row in real and hasattr(one, "weight")}


@contextmanager
def _plain(model: Any, padding: Mapping[Any, int]) -> Iterator[None]:
    """Eager attention and eager experts, no dropout, no row without a gradient; as it was,
    afterwards."""
    training = [module for module in model.modules() if module.training]
    attention = model.config._attn_implementation
    experts = getattr(model.config, "_experts_implementation", None)
    try:
        model.eval()
        model.set_attn_implementation("eager")
        model.config._experts_implementation = "eager"
        for table in padding:
            table.padding_idx = None
        yield
    finally:
        for table, row in padding.items():
            table.padding_idx = row
        model.set_attn_implementation(attention)
        model.config._experts_implementation = experts
        for module in training:
            module.training = True


def _given(model: Any, config: Config, inputs: Inputs) -> dict[str, Any]:
    """The arguments of a model for the checked input of a run."""
    import torch

    found: dict[str, Array] = {}
    taken = arguments_of(model.forward)
    for side, one in inputs.sides.items():
        found[_named_for(side, inputs.sides, "input_ids")] = one.ids
        if not one.valid.all():
            mask = _named_for(side, inputs.sides, "attention_mask")
            found[mask] = one.valid.astype(np.int64)
        if one.segments is not None:
            found["token_type_ids"] = one.segments
        if "position_ids" in taken:
            found["position_ids"] = one.positions + config.position_offset
    return {name: torch.as_tensor(x, device=model.device) for name, x in found.items()}


def _loss(logits: Any, labels: Any) -> Any:
    """The mean over the labels that count, as numtx takes it."""
    import torch

    labels = torch.as_tensor(labels, device=logits.device).flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, ignore_index=-100)


def _end(result: Any, name: str) -> Any:
    found = (result.get(theirs) for theirs in ENDS.get(name, ()))
    return next((one for one in found if one is not None), None)


def _weighed(result: Any, cotangent: Mapping[str, Any]) -> Any:
    """The number whose gradient at what a model ends in is the given one."""
    import torch

    total = 0.0
    for name, given in cotangent.items():
        end = _end(result, name)
        if end is None:
            raise SubjectError(f"cotangent of {name!r}, which the model does not give")
        total = total + (end * torch.as_tensor(given, dtype=end.dtype, device=end.device)).sum()
    return total


def _parameters(model: Any) -> dict[str, Any]:
    """The tensors of a model, those too that are buffers in it and parameters in numtx."""
    return dict([*model.named_parameters(), *model.named_buffers()])


def _named(layout: Layout, config: Config, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Parameters of numtx in tensors of a model, as parameters/NAME."""
    entries, found = layout.entries(config), dict[str, Array]()
    for name, array in tensors.items():
        kind, place = layout.place(name, entries)
        if kind == "mapped":
            entries[place].into(found, array, str(array.dtype), config.heads)
    return {f"parameters/{name}": array for name, array in found.items()}
