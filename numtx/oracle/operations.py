"""Every operation of the catalogue, once: its formula over numbers that remember.

A formula reads cells of a stage's inputs from `Rows` and gives the cells of the result: by row,
all cells of its last axis at once, so that they share what lies between (the sum under a softmax,
a mean); otherwise one cell. All else follows: the value and how near it must be, the cells that
were read and the partial derivatives, the arithmetic as text, the gradient of a cell, and the
stage once more under another assumption. It shares no code with `ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..arithmetic.number import (
    Operand,
    Value,
    choose,
    exp,
    largest,
    log,
    named,
    noted,
    sqrt,
    square,
    total,
    written,
    written_as,
)
from ..arithmetic.number import apply as function
from ..formulas.angles import score_lengthening
from ..formulas.experts import choose_experts, expert, route, sigmoid, sum_of_choices
from ..formulas.gates import clamp
from ..formulas.positions import angle_of, bucket, distance, grow, rotate
from ..formulas.rows import Rows


class Operation(NamedTuple):
    """What an operation is.

    formula   from what is read, the cells of a row, or one cell
    by_row    whether it gives all cells of a row, which are made of the row of its first input
    heading   what a heading says of shapes: "·" a product, "+" and "*" of equals, ";" one after
              another, "row" and "table" what becomes the result, "" the result alone
    """

    formula: Callable[[Rows], Operand | list[Operand]]
    by_row: bool = False
    heading: str = ""


def _given(r: Rows) -> Operand:
    """handed to the run, not computed: it is what it is, and reads nothing"""
    return r.constant(r.value_at(r.stage.name, r.index))


def _lookup(r: Rows) -> Operand:
    """a row of a table, or the sine and cosine of a position"""
    number = r.at(0, r.index[:2])
    if len(r.inputs) == 1:
        half, column = r.width // 2, r.index[2]
        pair, is_cosine = divmod(column, 2)
        if r.attributes["layout"] == "half":
            is_cosine, pair = divmod(column, half)
        angle = angle_of(r, number, pair, r.width)
        return choose(is_cosine, lambda: function("cos", angle), lambda: function("sin", angle))
    row, before = r.plain(number), r.attributes.get("offset", 0)
    place = (row + before, r.index[2])

    def entry() -> Operand:
        further = f", + {before} before position 0" if before else ""
        return noted(r.at(1, place, number), lambda: f"row {row} of the table{further}")

    if "valid" not in r.attributes:
        return entry()
    # Under padding, what is too large to be an embedding counts as 0.
    real = r.value_at(r.attributes["valid"], r.index[:2]) != 0
    kept = real | (abs(r.value_at(r.inputs[1], place)) <= r.attributes["limit"])
    return choose(kept, entry, lambda: r.constant(0.0, "0.0", number))


def _contract(r: Rows) -> Operand:
    """the sum over the letters that the result lacks of the product of two operands, + a bias"""
    plan, starts = r.contraction()
    if len(starts) == 1:
        return r.flat(0, starts[0])
    terms = []
    for i, j in zip(*plan.terms, strict=True):
        x, y = r.flat(0, starts[0] + int(i)), r.flat(1, starts[1] + int(j))
        if r.attributes.get("selective") and x.value == 0.0 and not math.isfinite(y.value):
            y.value = 0.0  # a factor of exactly 0 takes nothing, whatever stands there
        terms.append(x * y)
    if len(starts) > 2:
        terms.append(r.flat(2, starts[2]))
    return total(terms)


def _add(r: Rows) -> Operand:
    """the sum of the inputs (of one: a copy)"""
    return total(r.at(k, r.index) for k in range(len(r.inputs)))


def _multiply(r: Rows) -> Operand:
    """the product of two inputs, cell by cell"""
    return r.at(0, r.index) * r.at(1, r.index)


def _scale(r: Rows) -> Operand:
    """a fixed number times the input; 1 / sqrt(n) is written as it is meant"""
    x = r.at(0, r.index)
    root = r.attributes.get("root")
    if root is not None:
        scaled, longer = x / sqrt(r.constant(root)), r.attributes["longer"]
        return scaled if longer is None else scaled * score_lengthening(longer)
    return x * r.constant(r.attributes["factor"])


def _cap(r: Rows) -> Operand:
    """cap * tanh(x / cap)"""
    cap = r.constant(r.attributes["cap"])
    return function("tanh", r.at(0, r.index) / cap) * cap


def _allowed(r: Rows) -> Operand:
    """may query t attend to key s: a real token, not in the future, within the window"""
    row, _, query, key = r.index
    real = r.at(0, (row, key))
    place = query + r.shape(0)[1] - r.length  # queries are the last of the tokens
    seen = r.plain(real) != 0
    parts: list[object] = [real]
    if r.attributes["causal"]:
        seen = seen & (key <= place)
        parts.append(lambda: f" and {key} <= {place}")
    window = r.attributes["window"]
    if window is not None:
        here, there = (r.value_at(r.attributes["positions"], (row, i)) for i in (place, key))
        seen = seen & (abs(here - there) < window)
        parts.append(lambda: f" and abs({here} - {there}) < {window}")
    chunk = r.attributes["chunk"]
    if chunk is not None:
        here, there = (r.value_at(r.attributes["positions"], (row, i)) for i in (place, key))
        seen = seen & (here // chunk == there // chunk)
        parts.append(lambda: f" and {here} // {chunk} == {there} // {chunk}")
    if "documents" in r.attributes:
        names = r.attributes["documents"]
        of = [r.value_at(name, (row, i)) for name, i in zip(names, (query, key), strict=True)]
        seen = seen & (of[0] == of[1])
        parts.append(lambda: f" and {of[0]} == {of[1]}")
    return written(seen, [real], lambda: [p() if callable(p) else p for p in parts])


def _mask(r: Rows) -> Operand:
    """the score where the mask is true, -inf elsewhere"""
    score, seen = r.at(0, r.index), r.at(1, r.index)
    return choose(seen, score, r.constant(-math.inf))


def _powers(r: Rows) -> tuple[list[Operand], Operand, Operand]:
    """The row, its largest number, and the sum of exp(x - largest); a sink counts in both."""
    row = r.row(0)
    every = [*row, r.at(1, (r.index[1],))] if len(r.inputs) > 1 else row
    top = named("largest", largest(every))
    return row, top, named("total", total(exp(x - top) for x in every))


def _softmax(r: Rows) -> list[Operand]:
    """exp(x_j - max) / sum of exp(x - max) along the row, and a sink where there is one; 0
    throughout for a row of -inf"""
    row, top, total_ = _powers(r)
    blind = r.plain(top) == -math.inf
    nothing = r.constant(0.0, "0.0", *row)
    cells = [choose(blind, nothing, lambda x=x: exp(x - top) / total_) for x in row]
    if r.single:
        hidden = sum(r.plain(x) == -math.inf for x in row)
        if blind:
            return [
                noted(x, lambda: "this query may attend to no key: its row is 0") for x in cells
            ]
        if hidden:
            note = f"masked keys give exp(-inf) = 0: {hidden} of {len(row)}"
            return [noted(x, lambda: note) for x in cells]
    return cells


def _log_softmax(r: Rows) -> list[Operand]:
    """x_j - max - log of the sum of exp(x - max) along the row"""
    row, top, total_ = _powers(r)
    logarithm = log(total_)
    return [x - top - logarithm for x in row]


def _norm(r: Rows) -> list[Operand]:
    """(x - mean) / sqrt(variance + epsilon) * gain + bias along the row (rms: mean taken as 0); the
    variance may be that of all heads of a token, and the gain a number more than what is read"""
    row = every = r.row(0)
    first = 0  # place of the row in the gain
    if r.attributes.get("over") == "projection":
        (batch, head, token), heads = r.index, range(r.shape(0)[1])
        every = [r.at(0, (batch, h, token, j)) for h in heads for j in range(len(row))]
        first = head * len(row)
    if r.attributes["centred"]:
        mean = named("mean", total(row) / len(row))
        row = every = [x - mean for x in row]
    variance = named("variance", total(square(x) for x in every) / len(every))
    epsilon = r.constant(r.attributes["epsilon"])
    deviation = named("deviation", sqrt(variance + epsilon))
    cells = [x / deviation for x in row]
    if len(r.inputs) > 1:
        gains = [r.at(1, (first + j,)) for j in range(len(cells))]
        if "offset" in r.attributes:
            gains = [gain + r.constant(r.attributes["offset"]) for gain in gains]
        cells = [y * gain for y, gain in zip(cells, gains, strict=True)]
    if len(r.inputs) > 2:
        return [total([y, r.at(2, (j,))]) for j, y in enumerate(cells)]
    return cells


def _activation(r: Rows) -> Operand:
    """relu, gelu (exact), gelu_tanh, gelu_sigmoid or silu of one number"""
    x = named("x", r.at(0, r.index))
    return ACTIVATIONS[r.attributes["kind"]](r, x)


ACTIVATIONS: dict[str, Callable[[Rows, Operand], Operand]] = {
    "relu": lambda r, x: written_as(
        choose(r.plain(x) > 0.0, x, lambda: r.constant(0.0, "0.0", x)), "max(", x, ", 0)"
    ),
    "gelu": lambda r, x: x / 2 * function("erfc", -x / sqrt(r.constant(2.0))),
    "gelu_tanh": lambda r, x: x / 2 * (
        function("tanh", (x + square(x) * x * 0.044715) * sqrt(r.constant(2.0 / math.pi, "2 / pi")))
        + 1
    ),
    "gelu_sigmoid": lambda r, x: x / (exp(x * -1.702) + 1),
    "silu": lambda r, x: x / (exp(-x) + 1),
}  # fmt: skip


def _append(r: Rows) -> Operand:
    """the inputs one after another, along the tokens (the last axis of a mask, else the last
    but one) or, where the attributes say so, along the width; one without heads serves all"""
    said = ("kept from earlier steps", "new in this step")
    index = list(r.index)
    by_width = r.attributes.get("along") == "width"
    along = len(index) - (1 if len(index) == 2 or by_width else 2)
    kept = len(r.inputs) == len(said) and not by_width

    def part(k: int, place: Value) -> Operand:
        shape = r.shape(k)
        length = shape[along - len(index)]
        where = [*index[:along], place, *index[along + 1 :]]
        if len(shape) < len(where):
            del where[1]

        def here() -> Operand:
            x = r.at(k, where)
            return noted(x, lambda: said[k]) if kept else x

        if k + 1 == len(r.inputs):
            return here()
        return choose(place < length, here, lambda: part(k + 1, place - length))

    return part(0, index[along])


def _last(r: Rows) -> Operand:
    """the row of the last real token, where its place is given, or of the last column"""
    row, _, j = r.index
    place = r.value_at(r.inputs[1], (row,)) if len(r.inputs) > 1 else r.shape(0)[1] - 1
    return r.at(0, (row, place, j))


def _first(r: Rows) -> Operand:
    """the row of the first real token"""
    row, _, j = r.index
    place: Value = 0
    for t in reversed(range(r.shape(1)[1])):
        place = place + (r.value_at(r.inputs[1], (row, t)) != 0) * (t - place)
    return r.at(0, (row, place, j))


def _pick(r: Rows) -> Operand:
    """minus the log-probability of the label, less the share that every word has of a smoothed
    target; 0 where the label is ignored"""
    label = r.at(1, r.index)
    word, smoothing, words = r.plain(label), r.attributes["smoothing"], r.attributes["words"]

    def nothing() -> Operand:
        zero = r.constant(0.0, "0.0", label)
        return noted(zero, lambda: f"the label is ignored ({word})")

    def target(w: int) -> Operand:
        share = smoothing / words
        return choose(word == w, r.constant(share + 1.0 - smoothing), r.constant(share))

    def loss() -> Operand:
        if not smoothing:
            return -r.at(0, (*r.index, word), label)
        return -total(r.at(0, (*r.index, w), label) * target(w) for w in range(words))

    return choose(word < 0, nothing, loss)


def _mean(r: Rows) -> Operand:
    """the sum of the losses whose label is not ignored, divided by their number"""
    return _reduced(r, divided=True)


def _total(r: Rows) -> Operand:
    """the sum of the losses whose label is not ignored"""
    return _reduced(r, divided=False)


def _reduced(r: Rows, divided: bool) -> Operand:
    cells = range(math.prod(r.shape(0)))
    labels = [r.flat(1, k) for k in cells]
    counted = [k for k in cells if r.plain(labels[k]) >= 0]
    losses = [r.flat(0, k) for k in cells]
    if not counted:
        return r.constant(0.0, "0.0", *losses, *labels)
    found = total(losses[k] for k in counted)
    return r.beside(found / len(counted) if divided else found, [*losses, *labels])


def _exp(r: Rows) -> Operand:
    """e to the power of the input"""
    return exp(r.at(0, r.index))


OPERATIONS: dict[str, Operation] = {
    "given": Operation(_given),
    "lookup": Operation(_lookup, heading="table"),
    "contract": Operation(_contract, heading="·"),
    "add": Operation(_add, heading="+"),
    "multiply": Operation(_multiply, heading="*"),
    "scale": Operation(_scale),
    "cap": Operation(_cap),
    "distance": Operation(distance),
    "allowed": Operation(_allowed),
    "mask": Operation(_mask),
    "softmax": Operation(_softmax, by_row=True),
    "log_softmax": Operation(_log_softmax, by_row=True),
    "norm": Operation(_norm, by_row=True),
    "activation": Operation(_activation),
    "rotate": Operation(rotate, by_row=True),
    "bucket": Operation(bucket),
    "grow": Operation(grow),
    "append": Operation(_append, heading=";"),
    "last": Operation(_last),
    "first": Operation(_first),
    "pick": Operation(_pick, heading="row"),
    "mean": Operation(_mean, heading="row"),
    "total": Operation(_total, heading="row"),
    "exp": Operation(_exp),
    "clamp": Operation(clamp),
    "sigmoid": Operation(sigmoid),
    "choose": Operation(choose_experts, by_row=True),
    "route": Operation(route, by_row=True),
    "expert": Operation(expert, heading="·"),
    "sum": Operation(sum_of_choices),
}
