"""A run that was saved in a file, in the place of one that is made."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .source import is_own

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..trace.trace import Trace

# What is said of a run before it is made.
_MAKING = (
    "set", "record", "act", "parameters", "seed", "wiring", "as_stated", "words", "step", "side",
    "ids", "decoder_ids", "labels", "shift_labels", "mask", "decoder_mask", "documents",
    "decoder_documents", "vectors", "dtype", "length",
)  # fmt: skip


def is_saved(args: argparse.Namespace) -> bool:
    """Whether the example that is named is the file of a trace."""
    named = args.example is not None and args.text is None and not is_own(args)
    return named and str(args.example).endswith(".npz")


def saved_run(args: argparse.Namespace) -> tuple[Example, Trace]:
    """The trace in the file, and what can be said of the run.

    Raises `FileError` or `TraceError` where it holds none, and `UsageError` for an option that
    would have to make the run once more.
    """
    from ..batch import Batch
    from ..examples.example import Example
    from ..stages.catalogue import Text
    from ..trace.files import load_trace

    path = args.example
    for name in _MAKING:
        if getattr(args, name, None):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} says how a run is made, and {path} holds one that was made before; "
                "drop it"
            )
    trace = load_trace(path)
    if args.gradients and not trace.gradients:
        raise UsageError(f"{path}: {trace.without_gradients}")
    example = Example(
        Path(path).name, Text("保存的一次运行", "a run that was saved"), path, trace.config,
        trace.parameters, Batch(None), {},
    )  # fmt: skip
    return example, trace
