"""The two sides of `numtx compare --against transformers`: one folder, run by numtx and by the
package."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..arguments.source import own_model
from ..errors import UsageError

if TYPE_CHECKING:
    from ..compare.sides import Side


def beside(args: argparse.Namespace) -> tuple[Side, Side]:
    """The run of numtx, and what the modules of the package's model gave for the same tokens."""
    import numpy as np

    from ..adapters.folder import check_installed, load
    from ..adapters.transformers import as_run, record_batch
    from ..compare.sides import Side, side_of
    from ..model import forward
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
    cotangent: dict[str, Any] | None = None
    if args.gradients and batch.labels is None:
        outputs = forward(config, example.parameters, batch)[0]
        draw = np.random.default_rng(args.seed)
        cotangent = {end: draw.standard_normal(getattr(outputs, end).shape) for end in outputs.ends}
    theirs = record_batch(model, batch, cotangent)
    trace = record(
        config, example.parameters, batch, cotangent=1.0 if cotangent is None else cotangent,
        tokens=example.tokens,
        vocabulary=None if example.vocabulary is None else example.vocabulary.tokens,
    )  # fmt: skip
    count, *notes = theirs.notes
    ran = f"{type(model).__name__}, {model.dtype}: "
    notes = [Text(ran + count.zh, ran + count.en), *notes]
    return side_of(trace, "numtx"), Side("transformers", theirs.arrays, None, tuple(notes))
