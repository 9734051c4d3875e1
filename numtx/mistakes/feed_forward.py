"""Mistakes in activations and gates."""

from __future__ import annotations

import numpy as np

from ..config.output import ACTIVATIONS
from ..ops.activation import activation_forward
from .at import At, Forms
from .cause import cause


@cause("激活函数", "activation", "@activation")
def activations(at: At) -> Forms:
    x, kind = at.inputs[0], at.stage.attributes["kind"]
    for other in ACTIVATIONS:
        if other != kind:
            yield f"{other} for {kind}", activation_forward(other, x)
    yield f"tanh for {kind}", np.tanh(x)
    yield f"sigmoid for {kind}", 1.0 / (1.0 + np.exp(-x))
    yield f"leaky relu for {kind}", np.where(x > 0.0, x, 0.01 * x)
    yield "left out", x
    if at.config.gated:
        hidden = at.near("hidden")
        yield (
            "of the up projection, not of the gate",
            None if hidden is None else activation_forward(kind, hidden),
        )


@cause("门", "gate", "gated")
def gated(at: At) -> Forms:
    active, hidden = at.inputs
    gate = at.near("gate")
    yield "activation left out", None if gate is None else gate * hidden
    yield "added, not multiplied", active + hidden
    yield "up projection left out", active
    if gate is not None:
        yield "gate and up swapped", activation_forward(at.config.activation, hidden) * gate
