"""Mistakes in residuals, norms, activations, positions, sums and the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..config_rotary import BandScaling, LinearScaling, LongropeScaling, YarnScaling
from ..config_rules import ACTIVATIONS
from ..ops.activation import activation_forward
from ..ops.loss import IGNORED
from ..ops.softmax import softmax_forward
from ..shapes import Array
from .at import At, Forms, can_fit


def residual(at: At) -> Forms:
    skip, output = at.inputs
    yield "lost", output
    yield "the input added twice", 2.0 * skip + output
    yield "the output added twice", skip + 2.0 * output
    yield "the output left out", skip
    norm = at.near("norm")
    if norm is not None and at.config.norm_place == "pre":
        yield "of the normalised input, not of the input", norm + output


def _norm_row(at: At) -> tuple[Array, Array]:
    """What is divided, and its mean square."""
    x = at.inputs[0].astype(np.float64)
    away = x - x.mean(-1, keepdims=True) if at.stage.attributes["centred"] else x
    return away, (away * away).mean((1, 3) if _whole(at) else -1, keepdims=True)


def _whole(at: At) -> bool:
    return at.stage.attributes.get("over") == "projection"


def _gained(at: At, normal: Array) -> Array:
    if len(at.inputs) < 2:
        return normal
    gain = at.inputs[1]
    return normal * (gain.reshape(normal.shape[1], 1, -1) if _whole(at) else gain)


def _normed(at: At, normal: Array) -> Array:
    y = _gained(at, normal)
    return y + at.inputs[2] if len(at.inputs) > 2 else y


def another_epsilon(at: At) -> Forms:
    """Solved for: y = away * gain / sqrt(variance + e) + bias."""
    away, variance = _norm_row(at)
    top = _gained(at, away)
    bottom = at.got - at.inputs[2] if len(at.inputs) > 2 else at.got
    sure = np.abs(bottom) > 0.5 * np.abs(bottom).max()
    ratio = top[sure] / bottom[sure]
    found = float(np.median((ratio * ratio) - np.broadcast_to(variance, top.shape)[sure]))
    given = at.stage.attributes["epsilon"]
    digits = (1, 2, 3, 6, 12) if can_fit(at.got) else ()
    solved = [float(f"{found:.{n - 1}e}") for n in digits]
    forms = [(e, at.again(epsilon=e)) for e in solved if 0.0 <= e != given]
    errors = [float(np.abs(y - at.got).max()) for _, y in forms]
    for (epsilon, y), error in zip(forms, errors, strict=True):
        if error <= 2.0 * min(errors):  # the roundest number that does as well as any
            yield f"{epsilon:g}, not {given:g}", y
            break
    yield f"0, not {at.stage.attributes['epsilon']:g}", at.again(epsilon=0.0)


def norms(at: At) -> Forms:
    away, variance = _norm_row(at)
    x, epsilon = at.inputs[0], at.stage.attributes["epsilon"]
    width = x.shape[-1] * (x.shape[1] if _whole(at) else 1)
    centred = at.stage.attributes["centred"]
    if width > 1:
        yield (
            "the variance divided by d - 1, not d",
            _normed(at, away / np.sqrt(variance * width / (width - 1) + epsilon)),
        )
    yield "epsilon outside the square root", _normed(at, away / (np.sqrt(variance) + epsilon))
    yield (
        "d - 1 and epsilon outside the square root",
        _normed(at, away / (np.sqrt(variance * width / max(1, width - 1)) + epsilon)),
    )
    yield "divided by the variance, not its root", _normed(at, away / (variance + epsilon))
    yield "not divided", _normed(at, away)
    if len(at.inputs) > 1:
        yield "without gain", at.again({1: None if len(at.inputs) == 2 else np.ones(width)})
        yield "1 + gain for gain", at.again({1: at.inputs[1] + 1.0})
    if len(at.inputs) > 2:
        yield "without bias", at.again({2: None})
        yield "without gain and bias", at.again({1: np.ones(width), 2: None})
    yield (
        "without the mean taken away (rms for layer)"
        if centred
        else "with the mean taken away (layer for rms)",
        None if _whole(at) else at.again(centred=not centred),
    )
    axes = [(1, "tokens"), (0, "rows of the batch")]
    if x.ndim == 4:  # of each head
        axes = [(2, "tokens"), (1, "heads"), (0, "rows of the batch")]
        other = "key_norm" if at.stage.leaf.name == "normed_queries" else "query_norm"
        gain = at.near(f"{other}.gain")
        if gain is not None and gain.shape == at.inputs[1].shape:
            yield f"with the gain of {other}", at.again({1: gain})
        spread = (away * away).mean(-1 if _whole(at) else (1, 3), keepdims=True)
        ways = "the whole projection, not each head", "each head, not the whole projection"
        yield f"over {ways[_whole(at)]}", _normed(at, away / np.sqrt(spread + epsilon))
    for axis, over in axes:
        if x.shape[axis] > 1:
            mean = x.mean(axis, keepdims=True) if centred else 0.0
            spread = ((x - mean) ** 2).mean(axis, keepdims=True)
            yield f"over the {over}", _normed(at, (x - mean) / np.sqrt(spread + epsilon))
    yield "left out", x
    name = at.stage.inputs[0]
    if name in at.graph and at.graph[name].leaf.name == "residual":
        for k, what in ((1, "the residual lost before it"), (0, "the output left out before it")):
            yield what, at.again({0: at.value(at.graph[name].inputs[k])})


def activations(at: At) -> Forms:
    x, kind = at.inputs[0], at.stage.attributes["kind"]
    for other in ACTIVATIONS:
        if other != kind:
            yield f"{other} for {kind}", activation_forward(other, x)
    yield f"x * sigmoid(1.702 x) for {kind}", x / (1.0 + np.exp(-1.702 * x))
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


def gated(at: At) -> Forms:
    active, hidden = at.inputs
    gate = at.near("gate")
    yield "activation left out", None if gate is None else gate * hidden
    yield "added, not multiplied", active + hidden
    yield "up projection left out", active
    if gate is not None:
        yield "gate and up swapped", activation_forward(at.config.activation, hidden) * gate


def rotations(at: At) -> Forms:
    a, (x, positions) = at.stage.attributes, at.inputs
    other = "interleaved" if a["layout"] == "half" else "half"
    yield f"layout {other}, not {a['layout']}", at.again(layout=other)
    back = {1: -positions}  # the sine changes its sign with the angle, the cosine does not
    yield "the other way round (sign of the sine)", at.again(back)
    yield f"layout {other} and the other way round", at.again(back, layout=other)
    yield "left out", x
    yield "positions one too large", at.again({1: positions + 1})
    yield "positions one too small", at.again({1: positions - 1})
    plain = np.broadcast_to(np.arange(positions.shape[1]), positions.shape)
    yield "positions counted over padding too", at.again({1: plain})
    for base in (10000.0, 100.0, 1000.0, 100000.0, 500000.0, 1000000.0):
        if base != a["base"]:
            yield f"base {base:g}, not {a['base']:g}", at.again(base=base)
    for detail, scaling in other_scalings(a["scaling"]):
        yield detail, at.again(scaling=scaling)
    if a["width"] != x.shape[-1]:
        yield "all of d_k rotated", at.again(width=x.shape[-1] // 2 * 2)


def other_scalings(scaling: Any) -> Iterator[tuple[str, Any]]:
    """What may be done in place of a scaling of the angles."""
    if scaling is None:
        return
    yield "angles not scaled", None
    if isinstance(scaling, YarnScaling | LongropeScaling) and scaling.attention != 1.0:
        yield "attention factor left out", replace(scaling, attention_factor=1.0)
    if isinstance(scaling, YarnScaling | BandScaling):
        yield "every angle divided by the factor", LinearScaling(factor=scaling.factor)
    if isinstance(scaling, YarnScaling):
        whole = "fractions of" if scaling.truncate else "whole"
        yield f"ramp over {whole} pairs", replace(scaling, truncate=not scaling.truncate)
    if isinstance(scaling, LongropeScaling):
        other = scaling.original + (not scaling.is_long)
        name = "short" if scaling.is_long else "long"
        yield f"the list for {name} texts", replace(scaling, length=other)


def tables(at: At) -> Forms:
    ids, a = at.inputs[0], at.stage.attributes
    yield "rows one too far", at.again({0: ids + 1})
    yield "rows one too early", at.again({0: ids - 1})
    plain = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    if at.stage.leaf.name == "positions":
        yield "counted over padding too", at.again({0: plain})
        yield "from the last token on", at.again({0: plain[:, ::-1]})
        if a.get("offset"):
            yield "offset forgotten", at.again(offset=0)
    if len(at.inputs) > 1 and at.config.embedding_scale != 1.0:
        yield "scaled already", at.again() * at.config.embedding_scale


def sinusoids(at: At) -> Forms:
    if len(at.inputs) > 1:
        return
    y, a = at.again(), at.stage.attributes
    sines, cosines = y[..., 0::2], y[..., 1::2]
    yield "all sines before all cosines", np.concatenate([sines, cosines], -1)
    yield "sine and cosine swapped", np.stack([cosines, sines], -1).reshape(y.shape)
    exponent = np.arange(y.shape[-1]) / y.shape[-1]
    for detail, power in (
        ("exponent i/d for each component i", exponent),
        ("exponent 2i/d for each component i", 2 * exponent),
    ):
        angles = at.inputs[0][..., None] / a["base"] ** power
        even = np.arange(y.shape[-1]) % 2 == 0
        yield detail, np.where(even, np.sin(angles), np.cos(angles))
    for base in (10000.0, 100.0, 1000.0):
        if base != a["base"]:
            yield f"base {base:g}, not {a['base']:g}", at.again(base=base)


def inputs(at: At) -> Forms:
    for k, name in enumerate(at.stage.inputs):
        leaf = name.rpartition(".")[2]
        if len(at.inputs) > 1:
            yield f"{leaf} left out", at.again({k: None})
            yield f"{leaf} added twice", at.again() + at.inputs[k]
        if leaf == "scaled_embedding":
            yield "embedding not scaled", at.again({k: at.near("embedding")})


def pick(at: At) -> Forms:
    logs, labels = at.inputs
    yield "labels shifted: the next one", at.again({1: np.roll(labels, -1, 1)})
    yield "labels shifted: the one before", at.again({1: np.roll(labels, 1, 1)})
    yield "sign lost", -at.again()
    yield "logarithm to base 2", at.again() / np.log(2.0)
    yield "label smoothing left out", at.again(smoothing=0.0)
    yield "minus the probability, not its logarithm", at.again({0: np.exp(logs)})
    yield "of the logits, not of their log softmax", at.again({0: at.value("logits")})
    if (labels == IGNORED).any():
        yield "ignored labels counted as 0", at.again({1: np.where(labels == IGNORED, 0, labels)})
        yield (
            "ignored labels taken from the end",
            at.again(
                {1: np.where(labels == IGNORED, logs.shape[-1] + IGNORED, labels) % logs.shape[-1]}
            ),
        )


def mean(at: At) -> Forms:
    losses, labels = at.inputs
    counted = labels != IGNORED
    yield "the sum, not the mean", np.asarray(losses.sum())
    yield "divided by all positions, ignored ones too", np.asarray(losses.mean())
    rows = losses.sum(1) / np.maximum(1, counted.sum(1))
    yield "the mean of the rows' means", np.asarray(rows.mean())
    yield "divided by the number of rows", np.asarray(losses.sum() / len(losses))


def probabilities(at: At) -> Forms:
    logits = at.inputs[0]
    if at.stage.operation == "log_softmax":
        yield "the probabilities, not their logarithms", softmax_forward(logits)
        yield "logits as they are", logits
        yield "over the tokens", np.log(softmax_forward(logits.swapaxes(1, 2)).swapaxes(1, 2))
