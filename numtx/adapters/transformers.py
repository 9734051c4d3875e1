"""A live model of the `transformers` package, recorded under numtx's names; loaded on demand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..batch import Batch, Inputs, check_batch
from ..config import Config
from ..config.rotary import LongropeScaling
from ..errors import CheckpointError, ConfigError, SubjectError
from ..families import LAYOUTS
from ..files import write_npz
from ..layouts.layout import Layout
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.graph import Graph
from ..subjects.declared import arguments_of
from ..trace.trace import stages_of
from .arranged import Arranged
from .spots import Place, spots_of
from .torch import Kept, as_array, gradients, watching

# Where a model of transformers has what numtx ends in.
ENDS = {"logits": "logits", "encoder_output": "last_hidden_state", "pooled": "pooler_output"}
IGNORED_INPUTS = ("documents", "decoder_documents", "vectors", "decoder_vectors", "memory")


@small_repr()
class Recorded(NamedTuple):
    """What a model gave in one run.

    arrays   stage -> array; parameters/NAME too, and grad/ of both where there are gradients
    lacking  the stages of numtx that no module gives or is given
    notes    what was otherwise than the model has it
    """

    arrays: dict[str, Array]
    lacking: list[str]
    notes: list[str]

    @property
    def stages(self) -> list[str]:
        """The stages that were recorded."""
        return [name for name in self.arrays if not name.startswith(("parameters/", "grad/"))]

    def __str__(self) -> str:
        count = len(self.stages)
        said = f"{count} of {count + len(self.lacking)} stages recorded"
        return "; ".join([said, *self.notes])

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
    cotangent  in place of labels the gradients of what the model ends in, by the names of
               `numtx.Outputs`

    Raises `CheckpointError` for a model that numtx does not know, `SubjectError` for what a model
    of transformers cannot be given, `BatchError` as every run does.
    """
    return record_batch(
        model, Batch(ids, decoder_ids, labels, mask, decoder_mask, segments=segments), cotangent
    )


def record_batch(
    model: Any, batch: Batch, cotangent: Mapping[str, Any] | None = None
) -> Recorded:
    """The same of a batch, whose positions are taken as `counted` has them."""
    import torch

    config, layout = known(model, np.shape(batch.ids)[-1:])
    for name in IGNORED_INPUTS:
        if getattr(batch, name) is not None:
            raise SubjectError(f"{name}: a model of transformers is given token ids alone")
    inputs = check_batch(config, counted(model, config, batch))
    graph, entries = stages_of(config, batch), layout.entries(config)
    spots = spots_of(model, layout, entries, graph)
    backwards = cotangent is not None or batch.labels is not None
    padding = _padding(model, inputs) if backwards else {}
    with _plain(model, padding), watching(model, spots) as kept, torch.set_grad_enabled(backwards):
        result = model(**_given(model, config, inputs), output_attentions=True, use_cache=False)
        tensors = _parameters(model)
        parameters = _named(layout, config, {name: as_array(x) for name, x in tensors.items()})
        found = Arranged(graph, inputs, parameters)
        for spot, one in kept.items():
            found.add(spots[spot], one)
        for name, tensor in _returned(graph, result):
            found.add(Place((name,)), Kept(tensor, as_array(tensor)))
        if batch.labels is not None:
            loss = _loss(result.logits, inputs.labels)
            found.add(Place(("loss",)), Kept(loss, as_array(loss)))
        arrays = {**found.values(), **parameters}
        if backwards:
            total = loss if cotangent is None else _weighed(result, cotangent)
            sources = {**found.sources, **{("", n): Kept(x, x) for n, x in tensors.items()}}
            every = gradients(total, sources)
            own = {name: every.pop(("", name)) for name in tensors if ("", name) in every}
            both = {**found.values(every), **_named(layout, config, own)}
            arrays |= {f"grad/{name}": x for name, x in both.items()}
    notes = [
        f"token {number} is the padding of the model, whose embedding learns nothing; here it does"
        for number in sorted(set(padding.values()))
    ]
    return Recorded(arrays, [name for name in graph.stages if name not in arrays], notes)


def known(model: Any, length: tuple[int, ...] = ()) -> tuple[Config, Layout]:
    """The configuration of a model in numtx, for rows of a length, and the table of its tensors.

    Raises `CheckpointError` for a model of no family that numtx knows, and one of no such package.
    """
    kind, config = type(model).__name__, getattr(model, "config", None)
    if not hasattr(config, "to_json_string"):
        raise CheckpointError(
            f"{kind} is no model of transformers; numtx.adapters.torch.record takes any module"
        )
    fields = {**json.loads(config.to_json_string()), "architectures": [kind]}
    name = fields.get("model_type")
    if name not in LAYOUTS:
        raise CheckpointError(f"{kind}: model_type {name!r} is not known; {', '.join(LAYOUTS)} are")
    tensors = _parameters(model)
    layout = LAYOUTS[name].of(tensors)
    shown = {
        field: any(layout.place(tensor, [stored])[0] == "mapped" for tensor in tensors)
        for field, stored in layout.shown.items()
    }
    dtype = "float64" if str(model.dtype) == "torch.float64" else "float32"
    try:
        own = Config(**layout.read_fields(fields), **shown, dtype=dtype)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{kind}: {error}") from None
    return for_length(own, *length), layout


def for_length(config: Config, length: int) -> Config:
    """With the factors of longrope that transformers takes for rows of a length."""
    scalings = config.values_of("rotary_scaling")
    if not any(isinstance(one, LongropeScaling) for one in scalings):
        return config
    declared = tuple(
        dataclasses.replace(one, length=length) if isinstance(one, LongropeScaling) else one
        for one in scalings
    )
    return dataclasses.replace(config, rotary_scaling=declared)


def counted(model: Any, config: Config, batch: Batch) -> Batch:
    """A batch with the positions that a model takes: one that cannot be told them counts columns,
    and padding with them, unless positions are a matter of its mask (alibi)."""
    if "position_ids" in arguments_of(model.forward) or config.positions == "alibi":
        return batch
    found = {}
    for prefix in ("", "decoder_") if len(config.sides) > 1 else ("",):
        ids = getattr(batch, f"{prefix}ids")
        if ids is not None and getattr(batch, f"{prefix}positions") is None:
            found[f"{prefix}positions"] = np.zeros_like(ids) + np.arange(np.shape(ids)[-1])
    return dataclasses.replace(batch, **found)


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
    model.eval()
    model.set_attn_implementation("eager")
    model.config._experts_implementation = "eager"
    for table in padding:
        table.padding_idx = None
    try:
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
        prefix = "decoder_" if side == "decoder" and len(inputs.sides) > 1 else ""
        found[f"{prefix}input_ids"] = one.ids
        if not one.valid.all():
            found[f"{prefix}attention_mask"] = one.valid.astype(np.int64)
        if one.segments is not None:
            found["token_type_ids"] = one.segments
        if "position_ids" in taken:
            found["position_ids"] = one.positions + config.position_offset
    return {name: torch.as_tensor(x, device=model.device) for name, x in found.items()}


def _returned(graph: Graph, result: Any) -> Iterator[tuple[str, Any]]:
    """Stages among what a model returns: matrices of weights, and what it ends in."""
    side = graph.config.sides[-1]
    for name, place in (
        ("attentions", f"{side}.{{}}.self_attention"),
        ("encoder_attentions", "encoder.{}.self_attention"),
        ("decoder_attentions", "decoder.{}.self_attention"),
        ("cross_attentions", "decoder.{}.cross_attention"),
    ):
        for i, tensor in enumerate(result.get(name) or ()):
            yield f"{place.format(i)}.weights", tensor
    if result.get("logits") is not None:
        yield "capped_logits" if "capped_logits" in graph else "logits", result.logits


def _loss(logits: Any, labels: Any) -> Any:
    """The mean over the labels that count, as numtx takes it."""
    import torch

    labels = torch.as_tensor(labels, device=logits.device).flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, ignore_index=-100)


def _weighed(result: Any, cotangent: Mapping[str, Any]) -> Any:
    """The number whose gradient at what a model ends in is the given one."""
    import torch

    total = 0.0
    for name, given in cotangent.items():
        end = result.get(ENDS.get(name, name))
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
