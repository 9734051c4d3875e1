"""Checks of feed-forward layers: gates with limits, experts."""

from __future__ import annotations

import numpy as np
from samples import among, run_of
from test_experts import (
    ROUTED,
    test_of_equal_scores_the_lower_number_comes_first,
    test_routers_by_hand,
)
from test_feed_forward import GATE_CELLS, gated_cell

from .model_checks import oracle_of


def gates_oracle() -> bool:
    return all(map(oracle_of, among(lambda c: c.gate_limit is not None or c.gate_shift)))


def gates_by_hand() -> bool:
    """Cells of released models, and the slope at and beyond a limit."""
    return all(np.isclose(gated_cell(g, u)[0], y, rtol=1e-12) for g, u, y in GATE_CELLS)


def experts_oracle() -> bool:
    return all(map(oracle_of, among(lambda c: c.values_of("experts") != (None,))))


def experts_catalogue() -> bool:
    """Their stages, in order."""
    trace = run_of("encoder-decoder, weights on the experts' input")
    return list(trace.values) == [stage.name for stage in trace.graph]


def routers_by_hand() -> None:
    """Who is chosen of known logits, with what weight; and ties."""
    test_of_equal_scores_the_lower_number_comes_first()
    for case in ROUTED:
        test_routers_by_hand(*case)


CHECKS = (gates_oracle, gates_by_hand, experts_oracle, experts_catalogue, routers_by_hand)
