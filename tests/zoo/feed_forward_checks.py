"""Checks of feed-forward layers: gates with limits, experts."""

from __future__ import annotations

import numpy as np
from samples import among
from test_feed_forward import GATE_CELLS, gated_cell

from .model_checks import oracle_of


def gates_oracle() -> bool:
    return all(map(oracle_of, among(lambda c: c.gate_limit is not None or c.gate_shift)))


def gates_by_hand() -> bool:
    """Cells of released models, and the slope at and beyond a limit."""
    return all(np.isclose(gated_cell(g, u)[0], y, rtol=1e-12) for g, u, y in GATE_CELLS)


CHECKS = (gates_oracle, gates_by_hand)
