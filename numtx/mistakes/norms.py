"""Mistakes in norms."""

from __future__ import annotations

import numpy as np

from ..recompute import gain_of
from ..shapes import Array
from .at import At, Candidates, Forms, can_fit
from .cause import cause


def _norm_row(at: At) -> tuple[Array, Array]:
    """What is divided, and its mean square."""
    x = at.inputs[0].astype(np.float64)
    away = x - x.mean(-1, keepdims=True) if at.stage.attributes["centred"] else x
    return away, (away * away).mean((1, 3) if _whole(at) else -1, keepdims=True)


def _whole(at: At) -> bool:
    return at.stage.attributes.get("over") == "projection"


def _gained(at: At, normal: Array) -> Array:
    gain = gain_of(at.stage.attributes, at.inputs[1] if len(at.inputs) > 1 else None)
    if gain is None:
        return normal
    return normal * (gain.reshape(normal.shape[1], 1, -1) if _whole(at) else gain)


def _normed(at: At, normal: Array) -> Array:
    y = _gained(at, normal)
    return y + at.inputs[2] if len(at.inputs) > 2 else y


@cause("epsilon 不同", "another epsilon", "@norm")
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
    for epsilon in (0.0, 1e-12, 1e-8, 1e-6, 1e-5, 1e-3):
        if epsilon != given:
            yield f"{epsilon:g}, not {given:g}", at.again(epsilon=epsilon)


@cause("归一化", "norm", "@norm")
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
        normal = away / np.sqrt(variance + epsilon)
        yield "without gain", normal + at.inputs[2] if len(at.inputs) > 2 else normal
        yield "1 + gain for gain", at.again({1: at.inputs[1] + 1.0})
    if len(at.inputs) > 2:
        yield "without bias", at.again({2: None})
        yield "without gain and bias", normal
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


@cause("潜向量的归一化", "norm of latents", "normed_latent normed_query_latent rotated_key")
def latents(at: At) -> Forms:
    """What stands beside a latent: the key for positions, which has no norm, and the other one."""
    key, epsilon = at.near("position_key"), at.config.epsilon
    if at.stage.leaf.name == "rotated_key":
        if at.config.latent_norm and key is not None:
            size = np.sqrt((key * key).mean(-1, keepdims=True) + epsilon)
            yield "the key for positions normed too", at.again({0: key / size})
        return
    x = at.inputs[0]
    if key is not None and at.stage.leaf.name == "normed_latent":
        both = np.concatenate((x, key), -1)
        size = np.sqrt((both * both).mean(-1, keepdims=True) + epsilon)
        yield "over the latent and the key for positions at once", _gained(at, x / size)
    other = {"normed_latent": "query_latent_norm"}.get(at.stage.leaf.name, "latent_norm")
    gain = at.near(f"{other}.gain")
    if gain is not None and gain.shape == at.inputs[1].shape:
        yield f"with the gain of {other}", at.again({1: gain})


@cause("归一化与旋转对调", "norm and rotation exchanged", "@norm @rotate")
def exchanged(at: At) -> Candidates:
    """A norm of rotated queries or keys for a rotation of normed ones, and the other way round."""
    after = at.graph.consumers.get(at.stage.name, ())
    if at.stage.operation == "norm" and after and after[0].operation == "rotate":
        return at.again({0: at._replace(stage=after[0]).again({0: at.inputs[0]})})
    before = at.graph.stages.get(at.stage.inputs[0])
    if before is None or {before.operation, at.stage.operation} != {"norm", "rotate"}:
        return None
    first = at.again({0: at.value(before.inputs[0])})
    return at._replace(stage=before).again({0: first})
