"""Known mistakes, as a table: name, the stages it may be made in, and the stage with the mistake.

A cause makes a stage once more from its inputs with one mistake in it. `diagnose` names it
only where that reproduces the numbers of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..stages.graph import Stage
from . import attention_mistakes as a
from . import other_mistakes as o
from . import score_mistakes as s
from .at import At, Candidates


class Cause(NamedTuple):
    """A mistake: its name, the leaves (or @operations) that it is made in, and how it is made."""

    name: str
    stages: str
    make: Callable[[At], Candidates]

    def applies_to(self, stage: Stage) -> bool:
        names = self.stages.split()
        return stage.leaf.name in names or f"@{stage.operation}" in names

    def candidates(self, at: At) -> Iterator[tuple[str, Array]]:
        """The stage with the mistake, in each of its forms."""
        made = self.make(at)
        if made is None:
            return
        for detail, array in [("", made)] if isinstance(made, np.ndarray) else made:
            if array is not None:
                yield f"{self.name} ({detail})" if detail else self.name, array


PROJECTIONS = "queries keys values hidden gate"

CAUSES: tuple[Cause, ...] = (
    Cause("weight matrix transposed", f"{PROJECTIONS} output logits", a.transposed),
    Cause("bias missing", "@contract", a.without_bias),
    Cause("bias added twice", "@contract", a.with_bias_twice),
    Cause("input not normalised", PROJECTIONS + " logits", a.not_normalised),
    Cause("K and V swapped", "keys", a.swapped("v")),
    Cause("K and V swapped", "values", a.swapped("k")),
    Cause("Q and K swapped", "queries", a.swapped("k")),
    Cause("Q and K swapped", "keys", a.swapped("q")),
    Cause("gate and up swapped", "hidden", a.swapped("gate")),
    Cause("gate and up swapped", "gate", a.swapped("in")),
    Cause("memory taken from the decoder, not the encoder", "keys values", a.taken_from("queries")),
    Cause("queries taken from the encoder", "queries", a.taken_from("keys")),
    Cause("heads split wrongly", "queries keys values", a.split_heads),
    Cause("keys tiled instead of repeated for grouped heads", "products", a.tiled),
    Cause("values tiled instead of repeated for grouped heads", "context", a.tiled),
    Cause("heads of the keys", "products", a.heads_of(1)),
    Cause("heads of the values", "context", a.heads_of(1)),
    Cause("values used as keys", "products", lambda at: at.again({1: at.near("values")})),
    Cause("keys used as values", "context", lambda at: at.again({1: at.near("keys")})),
    Cause("not rotated", "products", a.unrotated),
    Cause("transposed", "products scores weights", lambda at: at.again().swapaxes(-1, -2)),
    Cause("scale", "scores scaled_embedding scaled_output", a.scales),
    Cause("cap", "@cap", s.caps),
    Cause("cap left out", "biased_scores masked_scores weights log_probabilities", s.uncapped),
    Cause("sink", "weights", s.sinks),
    Cause("slopes", "bias", a.slopes),
    Cause("bias by distance", "biased_scores", a.biased),
    Cause("mask", "mask", a.masks),
    Cause("mask", "masked_scores", a.masked),
    Cause("softmax", "weights", a.softmax_axis),
    Cause("softmax", "weights", a.softmax_otherwise),
    Cause("weights transposed", "context", lambda at: at.again({0: at.inputs[0].swapaxes(-1, -2)})),
    Cause("heads merged", "output", a.merged),
    Cause("W_O missing", "output", a.without_w_o),
    Cause("residual", "residual", o.residual),
    Cause("norm and rotation exchanged", "@norm @rotate", s.exchanged),
    Cause("another epsilon", "@norm", o.another_epsilon),
    Cause("norm", "@norm", o.norms),
    Cause("activation", "@activation", o.activations),
    Cause("gate", "gated", o.gated),
    Cause("rotation", "@rotate", o.rotations),
    Cause("look-up", "@lookup", o.tables),
    Cause("positions", "positions", o.sinusoids),
    Cause("sum", "input embedding_sum", o.inputs),
    Cause("loss per token", "loss.per_token", o.pick),
    Cause("loss", "loss", o.mean),
    Cause("log softmax", "log_probabilities", o.probabilities),
)  # fmt: skip
