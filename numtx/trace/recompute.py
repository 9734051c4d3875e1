"""A whole stage once more from its inputs, plainly: what a comparison holds against a file.

Everything is taken in float64 and by the specification alone, so that arrays of another
implementation can be put in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..ops.activation import activation_forward
from ..ops.loss import IGNORED
from ..ops.norm import norm_forward
from ..ops.positions import rotate_forward, rotation, sinusoidal
from ..ops.softmax import log_softmax_forward, softmax_forward
from ..shapes import Array, parse
from ..stages.resolve import Graph, Stage

Value = Callable[[str], Array]


def recompute(graph: Graph, stage: Stage, inputs: Sequence[Array], value: Value) -> Array:
    """A stage from its inputs; `value` gives what it reads besides (positions of a window)."""
    inputs = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    attributes = stage.attributes
    x = inputs[0]
    match stage.operation:
        case "contract":
            return contract(stage, inputs, graph.sizes)
        case "lookup":
            return look_up(stage, inputs, graph.sizes["d"])
        case "add":
            return np.asarray(sum(inputs[1:], start=x))
        case "multiply":
            return np.asarray(x * inputs[1])
        case "scale":
            return np.asarray(x * attributes["factor"])
        case "allowed":
            return allowed(stage, x, value)
        case "mask":
            return np.where(inputs[1].astype(bool), x, -np.inf)
        case "softmax":
            return softmax_forward(x)
        case "log_softmax":
            return log_softmax_forward(x)
        case "norm":
            bias = inputs[2] if len(inputs) > 2 else None
            return norm_forward(x, inputs[1], bias, attributes["epsilon"], attributes["centred"])[0]
        case "activation":
            return activation_forward(attributes["kind"], x)
        case "rotate":
            return rotate(stage, x, inputs[1])
        case "append":
            return np.concatenate(inputs, 1 if x.ndim == 2 else 2)
        case "last":
            return last(inputs)
        case "pick":
            return pick(stage, inputs)
        case "mean":
            return np.asarray(x.sum() / max(1, np.count_nonzero(inputs[1] != IGNORED)))
        case "exp":
            return np.exp(x)
    return x


def contract(stage: Stage, inputs: Sequence[Array], known: Mapping[str, int]) -> Array:
    """The contraction of a specification; a third operand is a bias. Keys and values of G heads,
    or already of H, are repeated for the query heads of their group."""
    specification = parse(stage.specification)
    sizes: dict[str, int] = {}
    parts: list[tuple[str, Array]] = []
    for axes, array in zip(specification.operands, inputs, strict=False):
        lengths = zip(axes, array.shape, strict=True)
        sizes.update({axis: length for axis, length in lengths if len(axis) == 1})
    heads = sizes.get("h")
    for axes, array in zip(specification.operands, inputs, strict=False):
        letters = "".join(axes)
        array = array.reshape(_split(axes, array, {**known, **sizes}))
        if heads and "g" in letters:
            array = np.repeat(array, heads // array.shape[letters.index("g")], letters.index("g"))
            letters = letters.replace("g", "h")
        parts.append((letters, array))
    free = [letter for axis in specification.result for letter in axis]
    left = ",".join(letters for letters, _ in parts[:2])
    result = np.einsum(f"{left}->{''.join(free)}", *(array for _, array in parts[:2]))
    if len(parts) > 2:
        letters, bias = parts[2]
        shape = [bias.shape[letters.index(x)] if x in letters else 1 for x in free]
        result = result + bias.reshape(shape)
    found = dict(zip(free, result.shape, strict=True))
    shape = [math.prod(found[x] for x in axis) for axis in specification.result]
    return np.asarray(result.reshape(shape))


def _split(axes: tuple[str, ...], array: Array, sizes: Mapping[str, int]) -> list[int]:
    """The shape of an operand with its bracketed axes taken apart: (hk) -> h, k."""
    shape: list[int] = []
    for axis, length in zip(axes, array.shape, strict=True):
        if len(axis) == 1:
            shape.append(length)
            continue
        outer = sizes[axis[0]]
        shape += [outer, length // outer]
    return shape


def look_up(stage: Stage, inputs: Sequence[Array], width: int) -> Array:
    """Rows of a table, or the sinusoidal table itself."""
    attributes = stage.attributes
    if len(inputs) == 1:
        return sinusoidal(inputs[0], width, attributes["base"], "float64")
    ids = inputs[0] + attributes.get("offset", 0)
    rows: Array = inputs[1][np.clip(ids, 0, len(inputs[1]) - 1)]
    return rows


def allowed(stage: Stage, valid: Array, value: Value) -> Array:
    """Who may attend to whom: [B, 1, T, S]; T is that of the mask on record."""
    attributes = stage.attributes
    keys, queries = valid.shape[1], value(stage.name).shape[2]
    seen = np.broadcast_to(valid.astype(bool)[:, None, None, :], (len(valid), 1, queries, keys))
    i, j = np.arange(keys - queries, keys)[:, None], np.arange(keys)
    if attributes["causal"]:
        seen = seen & (j <= i + attributes.get("shift", 0))
    if attributes["window"] is not None:
        positions = value(attributes["positions"])
        distance = positions[:, None, keys - queries :, None] - positions[:, None, None, :]
        seen = seen & (np.abs(distance) < attributes["window"])
    return np.asarray(seen)


def rotate(stage: Stage, x: Array, positions: Array) -> Array:
    """Queries or keys turned by their positions."""
    a = stage.attributes
    turn = rotation(positions, a["width"], a["base"], a["layout"], "float64")
    return rotate_forward(x, turn._replace(sine=turn.sine * a.get("sign", 1.0)))


def last(inputs: Sequence[Array]) -> Array:
    """The last column, or the one whose place is given for each row."""
    hidden = inputs[0]
    if len(inputs) == 1:
        return hidden[:, -1:]
    return np.take_along_axis(hidden, inputs[1].reshape(-1, 1, 1), 1)


def pick(stage: Stage, inputs: Sequence[Array]) -> Array:
    """The loss of each label."""
    logs, labels = inputs
    counted = labels != IGNORED
    safe = np.where(counted, labels, 0)[..., None]
    loss = -np.take_along_axis(logs, safe, -1)[..., 0]
    smoothing = stage.attributes["smoothing"]
    if smoothing:
        loss = (1.0 - smoothing) * loss - smoothing * logs.mean(-1)
    return np.where(counted, loss, 0.0)
