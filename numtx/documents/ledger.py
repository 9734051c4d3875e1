"""All rows, in the order of the documents."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ExampleError, nearest

# Each module enters its rows when it is loaded, in this order.
from . import d000 as d000  # isort: skip
from . import d001 as d001  # isort: skip
from . import d002 as d002  # isort: skip
from . import d003_tokens as d003_tokens  # isort: skip
from . import d003_encoder as d003_encoder  # isort: skip
from . import d003_decoder as d003_decoder  # isort: skip
from . import d003_loss as d003_loss  # isort: skip
from . import d003_roles as d003_roles  # isort: skip
from . import d003_inference as d003_inference  # isort: skip
from . import d003_story as d003_story  # isort: skip
from . import d003_cache as d003_cache  # isort: skip
from . import d003_search as d003_search  # isort: skip
from . import d003_filters as d003_filters  # isort: skip
from . import d004 as d004  # isort: skip
from .row import ROWS as ENTERED
from .row import Row

ROWS: tuple[Row, ...] = tuple(ENTERED.values())


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
    if name not in ENTERED:
        raise ExampleError(f"figure {name!r} does not exist; {nearest(name, list(ENTERED))}")
    return ENTERED[name]
