"""All rows, in the order of the documents."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ExampleError, nearest
from . import (
    d000,
    d001,
    d002,
    d003_decoding,
    d003_encoder,
    d003_inference,
    d003_training,
    d004,
)
from .rows import Row
from .verdicts import VERDICTS

ROWS: tuple[Row, ...] = (
    *d000.ROWS, *d001.ROWS, *d002.ROWS, *d003_encoder.ROWS, *d003_training.ROWS,
    *d003_inference.ROWS, *d003_decoding.ROWS, *d004.ROWS,
)  # fmt: skip


def rows_of(documents: Sequence[str] = ()) -> list[Row]:
    """The rows of some documents ('003' or '3'), or all."""
    known = sorted({row.document for row in ROWS})
    wanted = [name.zfill(3) for name in documents]
    for name in wanted:
        if name not in known:
            raise ExampleError(f"document {name!r} does not exist; known: {', '.join(known)}")
    return [row for row in ROWS if not wanted or row.document in wanted]


def row_of(name: str) -> Row:
    """A row by its id."""
    for row in ROWS:
        if row.id == name:
            return row
    raise ExampleError(f"figure {name!r} does not exist; {nearest(name, [r.id for r in ROWS])}")


def check_verdict(name: str) -> str:
    """The name of a verdict, or an error that lists them."""
    if name not in VERDICTS:
        raise ExampleError(f"verdict {name!r} does not exist; {nearest(name, VERDICTS)}")
    return name
