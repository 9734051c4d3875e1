"""The numbers of a norm's formula, and the formula with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Config


def norm_attributes(config: Config, **own: Any) -> dict[str, Any]:
    """Those of the configuration's norm; `own` are of a norm that is another in something."""
    found = {"epsilon": config.epsilon, "centred": config.norm == "layer", **own}
    return {**found, "offset": config.gain_offset} if config.gain_offset else found


def norm_formula(attributes: Mapping[str, Any], inputs: int) -> str:
    """The formula with the names of its parts; gain and bias where there are so many inputs."""
    epsilon = f"{attributes['epsilon']:g}"
    if attributes["centred"]:
        core = f"(x - mean) / sqrt(variance + {epsilon})"
    else:
        over = " over all heads" if attributes.get("over") == "projection" else ""
        core = f"x / sqrt(mean of x^2{over} + {epsilon})"
    offset = attributes.get("offset")
    gain = f" * ({offset} + gain)" if offset else " * gain"
    return core + (gain if inputs > 1 else "") + (" + bias" if inputs > 2 else "")
