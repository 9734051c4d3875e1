"""Configurations with experts that name no model, and what is said of them."""

from __future__ import annotations

from numtx.config.experts import SigmoidRouter

WITH_EXPERTS = [
    ({"experts": 4, "experts_chosen": 5}, "experts_chosen 5 with experts 4; of these 4 may be"),
    (
        {"experts": 5, "router": SigmoidRouter(groups=2)},
        "router groups 2 with experts 5; groups are of one size, and of 1 at least",
    ),
    (
        {"experts": 4, "router": SigmoidRouter(groups=4, group_score="two")},
        "router groups 4 with experts 4; groups are of one size, and of 2 at least",
    ),
    ({"expert_hidden": 2}, "expert_hidden 2 is for models with experts given; here"),
    ({"shared_experts": 2}, "shared_experts 2 is for models with experts given"),
    ({"experts": 4, "shared_hidden": 2}, "shared_hidden 2 is for models with shared_experts given"),
    ({"router": SigmoidRouter()}, "is for models with experts given; here experts is None"),
    ({"experts": (None, 4, 4)}, "experts has 3 values with encoder_layers 1 and decoder_layers 2"),
    ({"experts_chosen": 2}, "experts_chosen 2 is for models with experts given"),
]
