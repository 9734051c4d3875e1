"""The two sides of `numtx compare --against transformers`: one folder, run by numtx and by the
package."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..arguments.source import own_model
from ..errors import NumtxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..batch import Batch
    from ..compare.sides import Side
    from ..config import Config
    from ..shapes import Array
    from ..trace.trace import Trace


def both_sides(args: argparse.Namespace) -> tuple[Side, Side]:
    """The run of numtx, and what the modules of the package's model gave for the same tokens."""
    from ..adapters.folder import check_installed, load
    from ..adapters.transformers import as_run, record_batch
    from ..compare.sides import Side, side_of
    from ..stages.leaf import Text
    from ..trace.trace import record

    for given in (args.first, args.second):
        if given is not None:
            raise UsageError(f"{given} does not go with --against, which has both sides; drop it")
    if args.folder is None:
        raise UsageError("--against transformers needs --model DIR, the folder that both load")
    for name in ("map", "layout", "parameters"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} does not go with --against: both read the folder alone")
    check_installed("--against transformers")
    example = own_model(args)
    model = load(args.folder, example.config.dtype)
    config, batch = as_run(model, example.config, example.batch)
    if args.length is not None:
        config = example.config
    cotangent = None
    if args.gradients and batch.labels is None:
        batch, cotangent = _to_learn(config, example.parameters, batch, args.seed)
    try:
        theirs = record_batch(model, batch, cotangent)
    except NumtxError:
        raise
    except Exception as error:  # whatever the package says of a batch
        told = " ".join(str(error).split())
        raise UsageError(f"{args.folder}: the package: {type(error).__name__}: {told}") from None
    trace = record(
        config, example.parameters, batch, cotangent=1.0 if cotangent is None else cotangent,
        tokens=example.tokens,
        vocabulary=None if example.vocabulary is None else example.vocabulary.tokens,
    )  # fmt: skip
    count, *notes = theirs.notes
    ran = f"{type(model).__name__}, {model.dtype}: "
    notes = [Text(ran + count.zh, ran + count.en), *notes]
    first = side_of(trace, "numtx")
    arrays = {name: _without_padding(trace, name, x) for name, x in theirs.arrays.items()}
    if any(arrays[name] is not x for name, x in theirs.arrays.items()):
        zh, en = (
            "填充处的数没有作用，没有比较",
            "numbers at padding, which act on nothing, are left out",
        )
        notes.append(Text(zh, en))
    return first, Side("transformers", arrays, None, notes=tuple(notes))


def _to_learn(
    config: Config, parameters: Mapping[str, Array], batch: Batch, seed: int
) -> tuple[Batch, dict[str, Array] | None]:
    """A batch with random labels; for a model that has no logits the gradients of a random sum of
    what it ends in. Padding counts in neither."""
    import dataclasses

    import numpy as np

    from ..batch import check_batch
    from ..model import forward

    draw = np.random.default_rng(seed)
    real = check_batch(config, batch).sides[config.sides[-1]].valid
    if config.head is not None:
        labels = np.where(real, draw.integers(0, config.vocabulary, real.shape), -100)
        return dataclasses.replace(batch, labels=labels), None
    outputs = forward(config, parameters, batch)[0]
    found = {end: draw.standard_normal(getattr(outputs, end).shape) for end in outputs.ends}
    return batch, {end: x if x.ndim < 3 else x * real[..., None] for end, x in found.items()}


def _without_padding(trace: Trace, name: str, array: Array) -> Array:
    """An array of theirs with the trace's numbers at tokens that are padding: a query that may
    attend to nothing has weights 0 in numtx, and attends to everything there."""
    import numpy as np

    bare = name.removeprefix("grad/")
    ours = (trace.values if name == bare else trace.gradients).get(bare)
    if ours is None or bare not in trace.graph or ours.shape != array.shape:
        return array
    stage = trace.graph[bare]
    axes = [letter for letter in "ts" if letter in stage.axes]
    for letter in axes if name != bare else axes[:1]:  # weights on padding are the queries' own
        real = trace.values.get(f"{stage.sides[letter]}.mask")
        if real is not None and not real.all():
            shape = [1] * array.ndim
            shape[0], shape[stage.axes.index(letter)] = real.shape
            array = np.where(real.reshape(shape), array, ours)
    return array
