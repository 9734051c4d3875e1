"""Verdicts of some rows, in a process in which a bug may be planted."""

from __future__ import annotations

import signal
from collections.abc import Sequence

SECONDS = 60
# What rows must run, and where it stands below numtx.
ROOMS = {
    "cache": "cache", "step": "step", "generate": "decoding.generate", "beam": "decoding.beam",
    "filters": "decoding.filters", "sample": "decoding.sample", "costs": "costs",
    "latent attention": "attention.latent", "training": "training",
}  # fmt: skip


def verdicts(names: Sequence[str] = ()) -> dict[str, str]:
    """Verdicts by id, of all rows where none is named; they can be printed, too."""
    from numtx.documents.ledger import ROWS, row_of
    from numtx.documents.row import run
    from numtx.documents.text import ledger_text
    from numtx.show.stage_grid import Style

    signal.alarm(SECONDS)  # a planted bug may leave a loop without an end
    rows = [row_of(name) for name in names] if names else ROWS
    results = run(rows)
    assert list(ledger_text(results, Style()))
    return {result.row.id: result.verdict for result in results}
