"""One evaluator for each operation: a cell from the cells that it reads, in plain Python.

Each is written from the formula in its docstring and shares no code with `ops`. `size` and
`magnitude` bound what rounding may do: they are sums of absolute terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .cells import Cell, Cells, Read
from .resolve import Stage

if TYPE_CHECKING:
    from .oracle import Oracle


def _contract(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the sum of products over the letters that the result does not have, + bias"""
    plan = oracle.contraction(stage)
    starts = plan.starts(index)
    reads = []
    if len(plan.operands) == 1:  # a rearrangement
        offset = starts[0]
        entry = plan.operands[0].flat[offset]
        return Cell(entry, 0.0, [Read(stage.inputs[0], offset, entry, 1.0, 1.0)])
    value = magnitude = 0.0
    first, second = plan.operands[:2]
    for i, j in plan.terms:
        i, j = i + starts[0], j + starts[1]
        a, b = first.flat[i], second.flat[j]
        if a == 0.0 and plan.is_context and not math.isfinite(b):
            b = 0.0  # a weight of exactly 0 takes nothing, whatever stands there
        value += a * b
        magnitude += abs(a * b)
        reads.append(Read(first.name, i, a, b, abs(b)))
        reads.append(Read(second.name, j, b, a, abs(a)))
    if len(plan.operands) > 2:
        bias, place = plan.operands[2], starts[2]
        value += bias.flat[place]
        magnitude += abs(bias.flat[place])
        reads.append(Read(bias.name, place, bias.flat[place], 1.0, 1.0))
    return Cell(value, magnitude, reads)


def _lookup(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """a row of a table, or the sine and cosine of a position"""
    ids = oracle.cells(stage.inputs[0])
    place = ids.offset(index[:2])
    number = int(ids.flat[place])
    read = Read(stage.inputs[0], place, number, 0.0, 0.0)
    if len(stage.inputs) == 1:
        width = oracle.graph.sizes["d"]
        pair, is_cosine = divmod(index[2], 2)
        angle = number / stage.attributes["base"] ** (2 * pair / width)
        value = math.cos(angle) if is_cosine else math.sin(angle)
        return Cell(value, 1.0 + abs(angle) * _DOUBLE / oracle.eps, [read])
    row = number + stage.attributes.get("offset", 0)
    table = oracle.cells(stage.inputs[1])
    offset = table.offset((row, index[2]))
    entry = table.flat[offset]
    if "valid" in stage.attributes and not abs(entry) <= _largest_junk(oracle):
        valid = oracle.cells(stage.attributes["valid"])
        if not valid.flat[valid.offset(index[:2])]:
            return Cell(0.0, 0.0, [read])  # junk under padding counts as 0
    return Cell(entry, 0.0, [read, Read(table.name, offset, entry, 1.0, 1.0)])


def _largest_junk(oracle: Oracle) -> float:
    """Beyond this what stands under padding counts as 0 (float64 reaches 2^1024)."""
    return 2.0**128 if oracle.eps == _DOUBLE else 2.0**16


def _add(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the sum of the inputs (of one: a copy)"""
    value = magnitude = 0.0
    reads = []
    for name in stage.inputs:
        cells = oracle.cells(name)
        offset = cells.offset(index)
        term = cells.flat[offset]
        value += term
        magnitude += abs(term)
        reads.append(Read(name, offset, term, 1.0, 1.0))
    return Cell(value, magnitude if len(reads) > 1 else 0.0, reads)


def _multiply(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the product of two inputs, cell by cell"""
    first, second = (oracle.cells(name) for name in stage.inputs)
    i, j = first.offset(index), second.offset(index)
    a, b = first.flat[i], second.flat[j]
    reads = [Read(first.name, i, a, b, abs(b)), Read(second.name, j, b, a, abs(a))]
    return Cell(a * b, abs(a * b), reads)


def _scale(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """a fixed number times the input"""
    factor = stage.attributes["factor"]
    cells = oracle.cells(stage.inputs[0])
    offset = cells.offset(index)
    x = cells.flat[offset]
    return Cell(x * factor, abs(x * factor), [Read(cells.name, offset, x, factor, abs(factor))])


def _allowed(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """may query t attend to key s: a real token, not in the future, within the window"""
    valid = oracle.cells(stage.inputs[0])
    row, _, query, key = index
    offset = valid.offset((row, key))
    real = bool(valid.flat[offset])
    seen = real
    if stage.attributes["causal"]:
        lead = valid.shape[1] - oracle.cells(stage.name).shape[2]
        seen = seen and key <= query + lead
    if stage.attributes["window"] is not None:
        positions = oracle.cells(stage.attributes["positions"])
        lead = positions.shape[1] - oracle.cells(stage.name).shape[2]
        here = positions.flat[positions.offset((row, query + lead))]
        there = positions.flat[positions.offset((row, key))]
        seen = seen and abs(here - there) < stage.attributes["window"]
    return Cell(seen, 0.0, [Read(valid.name, offset, real, 0.0, 0.0)])


def _mask(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the score where the mask is true, -inf elsewhere"""
    scores, mask = (oracle.cells(name) for name in stage.inputs)
    i, j = scores.offset(index), mask.offset(index)
    score, seen = scores.flat[i], bool(mask.flat[j])
    share = 1.0 if seen else 0.0
    reads = [Read(scores.name, i, score, share, share), Read(mask.name, j, seen, 0.0, 0.0)]
    return Cell(score if seen else -math.inf, 0.0, reads)


def _row(cells: Cells, index: Sequence[int]) -> tuple[int, list[float]]:
    """Where the row of a cell begins, and its numbers."""
    start = cells.offset((*index[:-1], 0))
    return start, [float(x) for x in cells.flat[start : start + cells.shape[-1]]]


def _softmax(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """exp(x_j - max) / sum of exp(x - max) along the row; 0 throughout for a row of -inf"""
    cells = oracle.cells(stage.inputs[0])
    start, row = _row(cells, index)
    largest = max(row)
    if largest == -math.inf:
        return Cell(0.0, 0.0, [Read(cells.name, start + i, x, 0.0, 0.0) for i, x in enumerate(row)])
    powers = [math.exp(x - largest) for x in row]
    total = math.fsum(powers)
    weights = [power / total for power in powers]
    # An exponent is off by eps times itself, and that is the relative error of its power.
    spread = math.fsum(
        weight * (largest - x) for weight, x in zip(weights, row, strict=True) if weight
    )
    here = weights[index[-1]]
    depth = largest - row[index[-1]] if here else 0.0
    reads = []
    for i, x in enumerate(row):
        own = 1.0 if i == index[-1] else 0.0
        loose = 2.0 + spread + depth
        reads.append(
            Read(
                cells.name, start + i, x,
                here * (own - weights[i]), here * (own + weights[i]) * loose,
            )
        )  # fmt: skip
    return Cell(here, here * (2.0 + depth + spread), reads)


def _log_softmax(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """x_j - max - log of the sum of exp(x - max) along the row"""
    cells = oracle.cells(stage.inputs[0])
    start, row = _row(cells, index)
    largest = max(row)
    total = math.log(math.fsum(math.exp(x - largest) for x in row))
    here = row[index[-1]]
    reads = []
    for i, x in enumerate(row):
        own = 1.0 if i == index[-1] else 0.0
        share = math.exp(x - largest - total)
        loose = share * (2.0 + (largest - x if share else 0.0) + abs(total))
        reads.append(Read(cells.name, start + i, x, own - share, own + loose))
    return Cell(here - largest - total, abs(here - largest) + abs(total) + 1.0, reads)


def _norm(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """(x - mean) / sqrt(variance + epsilon) * gain + bias along the row (rms: mean taken as 0)"""
    cells = oracle.cells(stage.inputs[0])
    start, row = _row(cells, index)
    width, j = len(row), index[-1]
    centred = stage.attributes["centred"]
    mean = math.fsum(row) / width if centred else 0.0
    away = [x - mean for x in row]
    variance = math.fsum(x * x for x in away) / width
    deviation = math.sqrt(variance + stage.attributes["epsilon"])
    gain = oracle.cells(stage.inputs[1])
    g = gain.flat[j]
    normal = [x / deviation for x in away]
    value = normal[j] * g
    # What is lost where a large mean is taken away, relative to the deviation.
    mean_size = math.fsum(abs(x) for x in row) / width if centred else 0.0
    loss = 1.0 + (max(abs(x) for x in row) + mean_size) / deviation
    magnitude = abs(g) * (1.0 + abs(normal[j])) * loss
    reads = []
    for i, x in enumerate(row):
        own = 1.0 if i == j else 0.0
        through = 1.0 / width if centred else 0.0
        across = normal[j] * normal[i] / width
        partial = g / deviation * (own - through - across)
        size = abs(g) / deviation * (own + through + abs(across)) * loss
        reads.append(Read(cells.name, start + i, x, partial, size))
    reads.append(Read(gain.name, j, g, normal[j], (1.0 + abs(normal[j])) * loss))
    if len(stage.inputs) > 2:
        bias = oracle.cells(stage.inputs[2])
        value += bias.flat[j]
        magnitude += abs(bias.flat[j])
        reads.append(Read(bias.name, j, bias.flat[j], 1.0, 1.0))
    return Cell(value, magnitude, reads)


def _activation(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """relu, gelu (exact), gelu_tanh or silu of one number"""
    cells = oracle.cells(stage.inputs[0])
    offset = cells.offset(index)
    x = float(cells.flat[offset])
    kind = stage.attributes["kind"]
    if kind == "relu":
        value, slope = (x, 1.0) if x > 0.0 else (0.0, 0.0)
    elif kind == "gelu":
        below = 0.5 * math.erfc(-x / math.sqrt(2.0))
        value = x * below
        slope = below + x * math.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)
    elif kind == "gelu_tanh":
        tanh = math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
        inner = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x**2)
        value = x / 2.0 * (1.0 + tanh)
        slope = (1.0 + tanh) / 2.0 + x / 2.0 * (1.0 - tanh**2) * inner
    else:
        sigmoid = 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0
        value, slope = x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))
    size = 0.0 if kind == "relu" else (1.0 + abs(x)) * (1.0 + min(x * x, 50.0))
    return Cell(value, size, [Read(cells.name, offset, x, slope, size + abs(slope))])


def _rotate(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """(a, b) -> (a cos - b sin, a sin + b cos), by the angle p / base^(2i/r) for pair i"""
    cells = oracle.cells(stage.inputs[0])
    width, j = stage.attributes["width"], index[-1]
    offset = cells.offset(index)
    here = cells.flat[offset]
    if j >= width:
        return Cell(here, 0.0, [Read(cells.name, offset, here, 1.0, 1.0)])
    if stage.attributes["layout"] == "half":
        pair, second = j % (width // 2), j >= width // 2
        partner = pair if second else pair + width // 2
    else:
        pair, second = j // 2, j % 2 == 1
        partner = j - 1 if second else j + 1
    positions = oracle.cells(stage.inputs[1])
    place = positions.offset((index[0], index[-2]))
    angle = positions.flat[place] / stage.attributes["base"] ** (2 * pair / width)
    cosine, sine = math.cos(angle), math.sin(angle) if second else -math.sin(angle)
    other = offset + partner - j
    there = cells.flat[other]
    loose = 1.0 + abs(angle) * _DOUBLE / oracle.eps
    return Cell(
        here * cosine + there * sine,
        (abs(here) + abs(there)) * loose,
        [
            Read(cells.name, offset, here, cosine, loose),
            Read(cells.name, other, there, sine, loose),
            Read(positions.name, place, positions.flat[place], 0.0, 0.0),
        ],
    )


def _append(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the inputs one after another, along the tokens (the last axis of a mask, else the last
    but one) or, where the attributes say so, along the width; one without heads serves all"""
    axis = -1 if len(index) == 2 or stage.attributes.get("along") == "width" else -2
    place = list(index)
    for name in stage.inputs:
        cells = oracle.cells(name)
        if place[axis] < cells.shape[axis]:
            break
        place[axis] -= cells.shape[axis]
    if len(cells.shape) < len(place):
        del place[1]
    offset = cells.offset(place)
    entry = cells.flat[offset]
    return Cell(entry, 0.0, [Read(name, offset, entry, 1.0, 1.0)])


def _last(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the row of the last real token, where its place is given, or of the last column"""
    hidden = oracle.cells(stage.inputs[0])
    place = hidden.shape[1] - 1
    if len(stage.inputs) > 1:
        place = int(oracle.cells(stage.inputs[1]).flat[index[0]])
    offset = hidden.offset((index[0], place, index[2]))
    entry = hidden.flat[offset]
    return Cell(entry, 0.0, [Read(hidden.name, offset, entry, 1.0, 1.0)])


def _pick(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """minus the log-probability of the label, less the share that every word has of a smoothed
    target; 0 where the label is ignored"""
    logs, labels = (oracle.cells(name) for name in stage.inputs)
    place = labels.offset(index)
    label = int(labels.flat[place])
    reads = [Read(labels.name, place, label, 0.0, 0.0)]
    if label < 0:
        return Cell(0.0, 0.0, reads)
    smoothing = stage.attributes["smoothing"]
    words = stage.attributes["words"]
    value = magnitude = 0.0
    for word in range(words) if smoothing else (label,):
        target = smoothing / words + (1.0 - smoothing if word == label else 0.0)
        offset = logs.offset((*index, word))
        x = logs.flat[offset]
        value -= target * x
        magnitude += abs(target * x)
        reads.append(Read(logs.name, offset, x, -target, target))
    return Cell(value, magnitude if smoothing else 0.0, reads)


def _mean(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """the sum of the losses whose label is not ignored, divided by their number"""
    losses, labels = (oracle.cells(name) for name in stage.inputs)
    terms = [x for x, label in zip(losses.flat, labels.flat, strict=True) if label >= 0]
    counted = len(terms)
    value = math.fsum(terms) / counted
    magnitude = math.fsum(map(abs, terms)) / counted
    reads = []
    for place, (x, label) in enumerate(zip(losses.flat, labels.flat, strict=True)):
        share = 1.0 / counted if label >= 0 else 0.0
        reads.append(Read(losses.name, place, x, share, share))
        reads.append(Read(labels.name, place, label, 0.0, 0.0))
    return Cell(value, magnitude, reads)


def _exp(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Cell:
    """e to the power of the input"""
    cells = oracle.cells(stage.inputs[0])
    offset = cells.offset(index)
    x = cells.flat[offset]
    value = math.exp(x)
    return Cell(value, value, [Read(cells.name, offset, x, value, value)])


_DOUBLE = 2.0**-52  # angles are taken in float64 whatever the type of the run

EVALUATORS: dict[str, Callable[[Oracle, Stage, tuple[int, ...]], Cell]] = {
    "lookup": _lookup,
    "contract": _contract,
    "add": _add,
    "multiply": _multiply,
    "scale": _scale,
    "allowed": _allowed,
    "mask": _mask,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "norm": _norm,
    "activation": _activation,
    "rotate": _rotate,
    "append": _append,
    "last": _last,
    "pick": _pick,
    "mean": _mean,
    "exp": _exp,
}
