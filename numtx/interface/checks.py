"""Checks and inspections that the command line makes, by their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backwards.check import OwnReport, check
from ..backwards.own import own
from ..checkpoints.folder import Folder
from ..documents.ledger import row_of, rows_of
from ..documents.row import Result, run
from ..testing.report import Report


def check_backward(
    found: Any,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    backward: Any = None,
    *,
    samples: int | None = None,
    seed: int = 0,
) -> OwnReport:
    """Hold a backward pass of your own against finite differences, and name its mistakes.

    found     a `BackwardPass`, a function without arguments that returns (forward, backward,
              inputs), what has forward and backward, or a forward pass where `backward` is given
    samples   cells tried of each input; None: all

    Raises `UsageError` for what is none of these.
    """
    name = getattr(found, "__name__", type(found).__name__)
    return check(own(found, name, inputs, backward), samples, seed)


def inspect(folder: str | Path, dtype: str | None = None) -> Folder:
    """What a saved model is (config, tensors, sizes) before its numbers are read; `to_text` prints
    it. Raises `CheckpointError` for what cannot be read."""
    return Folder(folder, dtype)


def figures(*documents: str, figure: str | None = None) -> list[Result]:
    """The figures and claims of the documents ('000' to '004'; none: all), or one of them by its
    id, recomputed: each with its `verdict`."""
    return run([row_of(figure)] if figure is not None else rows_of(documents))


def check_laws(model: Any, laws: Sequence[str] | None = None, **options: Any) -> Report:
    """Ask the laws of a model, an attention operator or functions that choose tokens, as
    `numtx.testing.check` does, which says what they are and which options there are. It needs
    Hypothesis."""
    from ..testing.trial import check as check_all

    return check_all(model, laws, **options)
