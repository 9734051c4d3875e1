"""Mistakes in gates, routers and experts, planted in numtx's own run, are found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import among, config_of, run_of

import numtx.feed_forward.dense as dense
import numtx.feed_forward.experts as experts
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.feed_forward.routing import route_forward

GROUPED = "decoder, latents, experts in groups, shared ones"
DENSE_FIRST = "decoder, experts after a dense layer, grouped, window"
LIMITED = "decoder, experts with limits, sinks, windows in some layers"


def wrong_route(**changed: Any) -> Any:
    def route(scores: Any, chosen: Any, how: str, factor: float, room: float = 0.0) -> Any:
        given = {"how": how, "factor": factor, "room": room, **changed}
        return route_forward(scores, chosen, **given)

    return route


MISTAKES: list[tuple[str, Any, str, Any, str, str]] = [
    (GROUPED, experts, "keep_groups", lambda s, *a: s, "router.chosen", "groups left out"),
    (GROUPED, experts, "route_forward", wrong_route(factor=1.0), "router.weights", "factor left"),
    (DENSE_FIRST, experts, "route_forward", wrong_route(how="kept"), "router.weights",
     "not divided by their sum"),
    (LIMITED, dense, "clamp_forward", lambda x, low, high, shift=0.0: np.clip(x, low, high),
     "experts.clamped_hidden", "not shifted"),
    (LIMITED, dense, "clamp_forward",
     lambda x, low, high, shift=0.0: np.clip(x, -high, high) + shift,
     "experts.clamped_gate", "clamped below too"),
    (GROUPED, experts, "expert_forward",
     lambda x, w, b, groups: experts_without_bias(x, w, groups), "experts.hidden", "without bias"),
]  # fmt: skip


def experts_without_bias(x: Any, w: Any, groups: Any) -> Any:
    from numtx.feed_forward.routing import expert_forward

    return expert_forward(x, w, None, groups)


@pytest.mark.parametrize(("model", "module", "name", "wrong", "stage", "cause"), MISTAKES)
def test_a_planted_mistake_is_named(
    monkeypatch: pytest.MonkeyPatch, model: str, module: Any, name: str, wrong: Any,
    stage: str, cause: str,
) -> None:  # fmt: skip
    right = run_of(model)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, wrong)
        other = run_of(model, gradients=False)
    found = compare(Side("A", right.arrays, right), Side("B", dict(other.arrays), None))
    assert found.first is not None and found.first.name.endswith(f".feed_forward.{stage}")
    assert any(cause in str(one) for one in found.causes), list(map(str, found.causes))


def test_they_are_models_of_the_list() -> None:
    assert {GROUPED, DENSE_FIRST, LIMITED} <= {*among(lambda c: c.values_of("experts") != (None,))}
    assert config_of(LIMITED).gate_limit is not None
