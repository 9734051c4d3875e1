"""What of a configuration acts on the numbers, whatever way it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import Config

Fields = dict[str, Any]


def essence(config: Config) -> Fields:
    """The fields of a configuration as they act, so that two ways of saying the same are equal.

    Biases are left to the names of parameters; what has no part in the numbers is left out.
    """
    found = config.to_dict()
    places = [f"{side}.{name}" for side in config.sides for name in config.sublayers(side)]
    attentions = [place for place in places if place.endswith("attention")]
    found |= {
        "key_value_heads": config.kv_heads, "key_width": config.d_k, "value_width": config.d_v,
        "score_scale": config.scale, "rotary_width": config.rotated,
        "norm_at": [
            [config.layer(side, i).has_norm(f"{side}.{name}") for name in config.sublayers(side)]
            for side in config.sides for i in range(config.layers(side))
        ],
        "residual_at": [config.has_residual(place) for place in places],
        "output_projection_at": [config.has_output_projection(place) for place in attentions],
    }  # fmt: skip
    if config.values_of("experts") != (None,):
        router = config.routing
        if not router.best:  # one group is as good as all of several
            router = replace(router, groups=1, groups_kept=1, group_score="maximum")
        found |= {
            "router": router.to_dict(), "expert_hidden": config.expert_width,
            "shared_hidden": config.shared_width,
        }  # fmt: skip
    if "rotary" not in config.values_of("positions"):
        del found["rotary_layout"]
        if config.positions != "sinusoidal":
            del found["position_base"]
    if config.model == "encoder-only":
        del found["causal"]
    if config.head == "masked-language-model":
        found["head_activation"] = config.head_activation or config.activation
    if found["rotary_scaling"] and not isinstance(found["rotary_scaling"], list):
        found["rotary_scaling"].pop("length", None)  # of a run, not of a model
    for name in ("biases", "label_smoothing", "loss_reduction", "dtype"):
        del found[name]
    return found
