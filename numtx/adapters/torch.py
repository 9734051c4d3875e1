"""What the modules of a live PyTorch model give, by the names of stages; loaded on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SubjectError, nearest
from ..files import write_npz
from ..shapes import Array

Spot = tuple[str, int | None]  # a module's path, and the part of its result; None: its input


class Kept(NamedTuple):
    """A tensor of the run, and its numbers as they were when the module was done."""

    tensor: Any
    array: Array


def record(
    model: Any,
    names: Mapping[str, str | tuple[str | None, ...]],
    *inputs: Any,
    loss: Callable[[Any], Any] | None = None,
    path: str | Path | None = None,
    **options: Any,
) -> dict[str, Array]:
    """Run `model(*inputs, **options)` once and give what its modules gave, for `numtx compare`.

    names  module path -> stage, such as {"layers.0.norm1": "encoder.0.self_attention.norm"}. Of a
           result that is a tuple the first part is taken, or of several those that a tuple names:
           {"layers.0.attn": (None, "encoder.0.self_attention.weights")}. A parameter's path ->
           parameters/NAME takes the parameter, the weight of a Linear as numtx has it, (in, out)
    loss   what the model gave -> a number; with it the gradients are there too, as grad/STAGE.
           Those that the parameters have gathered in .grad are left alone
    path   an .npz file to write

    Raises `SubjectError` for a path that is none, and for a module that was not called, gave no
    tensor, or was called twice.
    """
    import torch

    parameters = dict(model.named_parameters())
    wanted: dict[Spot, str] = {}
    found: dict[str, Kept] = {}
    turned = set()
    for place, given in names.items():
        for part, stage in enumerate((given,) if isinstance(given, str) else given):
            if stage in {*found, *wanted.values()}:
                raise SubjectError(f"{stage!r} is named twice, at last by {place!r}")
            if stage is not None and place in parameters:
                found[stage] = Kept(parameters[place], as_array(parameters[place]))
                owner, _, leaf = place.rpartition(".")
                if leaf == "weight" and isinstance(model.get_submodule(owner), torch.nn.Linear):
                    turned |= {stage, f"grad/{stage}"}
            elif stage is not None:
                wanted[place, part] = stage
    with watching(model, wanted) as kept, torch.set_grad_enabled(loss is not None):
        result = model(*inputs, **options)
        for spot, stage in wanted.items():
            if spot not in kept:
                raise SubjectError(
                    f"module {spot[0]!r}: {stage} was not recorded: the model did not call it, or "
                    "what it gives has no such part"
                )
            found[stage] = kept[spot]
        learned = {} if loss is None else gradients(loss(result), found)
    arrays = {stage: one.array for stage, one in found.items()}
    arrays |= {f"grad/{stage}": x for stage, x in learned.items()}
    arrays = {name: x.T if name in turned else x for name, x in arrays.items()}
    if path is not None:
        write_npz(path, arrays)
    return arrays


@contextmanager
def watching(model: Any, spots: Collection[Spot]) -> Iterator[dict[Spot, Kept]]:
    """What modules are given and give while this is open; nothing is left behind on the model.

    Raises `SubjectError` for a path without a module, and for a module that is called twice.
    """
    modules, kept = dict(model.named_modules()), {}
    for path, _ in spots:
        if path not in modules:
            raise SubjectError(f"the model has no module {path!r}; {nearest(path, modules)}")

    def keep(spot: Spot) -> Callable[..., None]:
        def after(module: Any, args: Any, options: Any, result: Any) -> None:
            if spot in kept:
                raise SubjectError(f"module {spot[0]!r} was called twice; a stage is one array")
            if spot[1] is None:
                parts = [x for x in (*args, *options.values()) if hasattr(x, "detach")]
            else:
                result = result.to_tuple() if hasattr(result, "to_tuple") else result
                parts = list(result if isinstance(result, tuple | list) else (result,))[spot[1] :]
            if parts and hasattr(parts[0], "detach"):
                kept[spot] = Kept(parts[0], as_array(parts[0]))

        return after

    hooks: list[Any] = []
    try:
        for spot in spots:
            hook = modules[spot[0]].register_forward_hook(keep(spot), with_kwargs=True)
            hooks.append(hook)
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def gradients(total: Any, found: Mapping[str, Kept]) -> dict[str, Array]:
    """The gradients of a number, by name; of what it does not depend on there is none."""
    import torch

    learned = {name: one.tensor for name, one in found.items() if one.tensor.requires_grad}
    every = torch.autograd.grad(total, [*learned.values()], allow_unused=True)
    return {name: as_array(x) for name, x in zip(learned, every, strict=True) if x is not None}


def as_array(tensor: Any) -> Array:
    """A copy of a tensor's numbers; NumPy has no bfloat16, which float32 holds."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return np.array(tensor.numpy())
