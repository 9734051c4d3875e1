"""numtx's own operations as the gradient checker takes them: f, its vjp, and some input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..config.output import ACTIVATIONS
from ..config.positions import ROTARY_LAYOUTS
from ..errors import UsageError, nearest
from ..ops.activation import activation_backward, activation_forward
from ..ops.attend import mask_backward, mask_forward
from ..ops.cap import cap_backward, cap_forward
from ..ops.grouped import products_backward, products_forward, weigh_backward, weigh_forward
from ..ops.linear import linear_backward, linear_forward
from ..ops.lookup import lookup_backward, lookup_forward
from ..ops.loss import IGNORED, mean_backward, mean_forward, pick_backward, pick_forward
from ..ops.norm import norm_backward, norm_forward
from ..ops.positions import rotate_backward, rotate_forward, rotation
from ..ops.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)
from ..shapes import Array
from .gradcheck import GradientReport, check_operation

_EPSILON = 1e-5


class CheckedOperation(NamedTuple):
    """What `check_operation` asks for."""

    forward: Callable[..., Array]
    vjp: Callable[..., Sequence[Array | None]]
    arrays: Sequence[Array]
    names: Sequence[str]


def operations(seed: int = 0) -> dict[str, CheckedOperation]:
    """Every operation by name, on seeded input of small sizes that all differ."""
    generator = np.random.default_rng(seed)
    normal = generator.standard_normal
    x, ids = normal((2, 3, 8)), generator.integers(0, 4, (2, 5))
    labels = generator.integers(0, 11, (2, 3))
    labels[0, 1] = IGNORED
    seen = generator.random((2, 4, 3, 5)) < 0.7
    losses, scores, logits = normal((2, 3)), normal((2, 4, 3, 5)), normal((2, 3, 11))
    queries, keys, values = normal((2, 4, 3, 6)), normal((2, 2, 5, 6)), normal((2, 2, 5, 7))
    far = x + 0.1 * np.sign(x)  # away from 0, where relu has no slope
    found = {
        "linear": CheckedOperation(
            lambda x, w, b: linear_forward(x, w, b)[0],
            lambda d, x, w, b: linear_backward(d, linear_forward(x, w, b)[1]),
            (x, normal((8, 7)), normal(7)), ("x", "w", "b"),
        ),
        "lookup": CheckedOperation(
            lambda table: lookup_forward(table, ids),
            lambda d, table: (lookup_backward(d, ids, table),), (normal((11, 8)),), ("table",),
        ),
        "products": CheckedOperation(
            products_forward, products_backward, (queries, keys), ("queries", "keys")
        ),
        "cap": CheckedOperation(
            lambda x: cap_forward(x, 0.7)[0],
            lambda d, x: (cap_backward(d, cap_forward(x, 0.7)[1]),), (x,), ("x",),
        ),
        # What is hidden is -inf and moves nothing: only the rest is summed.
        "mask": CheckedOperation(
            lambda scores: np.where(seen, mask_forward(scores, seen), 0.0),
            lambda d, scores: (mask_backward(d, seen),), (scores,), ("scores",),
        ),
        "softmax": CheckedOperation(
            softmax_forward, lambda d, x: (softmax_backward(d, softmax_forward(x)),),
            (scores,), ("scores",),
        ),
        "log_softmax": CheckedOperation(
            log_softmax_forward, lambda d, x: (log_softmax_backward(d, log_softmax_forward(x)),),
            (logits,), ("logits",),
        ),
        "weigh": CheckedOperation(
            weigh_forward, weigh_backward, (softmax_forward(scores), values), ("weights", "values")
        ),
        "pick": CheckedOperation(
            lambda logs: pick_forward(logs, labels),
            lambda d, logs: (pick_backward(d, labels, logs),), (logits,), ("log_probabilities",),
        ),
        "mean": CheckedOperation(
            lambda losses: mean_forward(losses, labels),
            lambda d, losses: (mean_backward(d, labels),), (losses,), ("losses",),
        ),
    }  # fmt: skip
    for kind, centred in (("layer", True), ("rms", False)):
        found[f"norm_{kind}"] = _norm(centred, (x, normal(8), normal(8)))
    for kind in ACTIVATIONS:
        found[kind] = _activation(kind, far)
    for layout in ROTARY_LAYOUTS:
        found[f"rotate_{layout}"] = _rotate(layout, generator.integers(0, 50, (2, 3)), queries)
    return found


def check_own_operation(name: str, *, samples: int | None = None, seed: int = 0) -> GradientReport:
    """Check an operation of numtx by its name in `operations`."""
    known = operations(seed)
    if name not in known:
        raise UsageError(f"operation {name!r} does not exist; {nearest(name, known)}")
    chosen = known[name]
    return check_operation(
        chosen.forward, chosen.vjp, chosen.arrays, names=chosen.names, samples=samples, seed=seed
    )


def _norm(centred: bool, arrays: Sequence[Array]) -> CheckedOperation:
    def run(x: Array, gain: Array, bias: Array) -> Array:
        return norm_forward(x, gain, bias, _EPSILON, centred)[0]

    def vjp(d: Array, x: Array, gain: Array, bias: Array) -> Sequence[Array | None]:
        return norm_backward(d, norm_forward(x, gain, bias, _EPSILON, centred)[1])

    return CheckedOperation(run, vjp, arrays, ("x", "gain", "bias"))


def _activation(kind: str, x: Array) -> CheckedOperation:
    return CheckedOperation(
        lambda x: activation_forward(kind, x),
        lambda d, x: (activation_backward(kind, d, x),),
        (x,),
        ("x",),
    )


def _rotate(layout: str, positions: Array, x: Array) -> CheckedOperation:
    by = rotation(positions, 4, 100.0, layout, "float64")  # two components stay as they are
    return CheckedOperation(
        lambda x: rotate_forward(x, by), lambda d, x: (rotate_backward(d, by),), (x,), ("x",)
    )
