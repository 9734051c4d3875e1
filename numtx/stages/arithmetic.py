"""Writes out the arithmetic of a cell, one writer for each operation.

The numbers come from the oracle's reads; the formulas are those of the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .cells import Cell, Number, Read
from .explanation import Expression, Many, Step, shown_index
from .oracle import Oracle
from .resolve import Stage


class Arithmetic(NamedTuple):
    """The steps to a cell's value, and what is to be said besides."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


class At(NamedTuple):
    """A cell of a stage with what the oracle found there."""

    oracle: Oracle
    stage: Stage
    place: tuple[int, ...]
    cell: Cell

    def reads(self, operand: int) -> list[Read]:
        """The reads of one input."""
        name = self.stage.inputs[operand]
        return [read for read in self.cell.reads if read.source == name]

    def symbol(self, source: str, reads: Sequence[Read]) -> str:
        """`queries[4,:]`: the cells of a source that were read."""
        cells = self.oracle.cells(source)
        places = [cells.index(read.offset) for read in reads]
        shown: list[int | str] = []
        for axis, first in enumerate(places[0]):
            same = all(place[axis] == first for place in places)
            shown.append(first if same else ":")
        return near(source, self.stage.name) + shown_index(cells.shape, shown)

    def last(self, symbols: str, *forms: Expression) -> Step:
        return Step("", symbols, forms, self.cell.value)


def near(source: str, name: str) -> str:
    """A source's name as short as it is clear beside the stage `name`."""
    source = source.removeprefix("parameters/").removeprefix("inputs/")
    place = name.rpartition(".")[0]
    return source.removeprefix(place + ".") if place else source


def arithmetic(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Arithmetic:
    """The arithmetic of one cell of a stage, from the recorded cells that it read."""
    if stage.operation == "given":
        return Arithmetic((), ("given to the run, not computed",))
    at = At(oracle, stage, index, oracle.cell(stage.name, index))
    return WRITERS[stage.operation](at)


def _contract(at: At) -> Arithmetic:
    stage, reads = at.stage, at.cell.reads
    if len(stage.inputs) == 1:
        return Arithmetic((at.last(at.symbol(stage.inputs[0], reads), (reads[0].value,)),))
    biased = len(stage.inputs) > 2
    pairs = reads[:-1] if biased else reads
    first, second = pairs[0::2], pairs[1::2]
    # The factors as the oracle multiplied them: at a weight of exactly 0 it takes 0.
    factors = [(b.partial, a.partial) for a, b in zip(first, second, strict=True)]
    written: list[Expression] = [(x, "*", y) for x, y in factors]
    products: list[Expression] = [(x * y,) for x, y in factors]
    symbols = f"{at.symbol(first[0].source, first)}·{at.symbol(second[0].source, second)}"
    if biased:
        written.append((reads[-1].value,))
        products.append((reads[-1].value,))
        symbols += f" + {at.symbol(reads[-1].source, reads[-1:])}"
    return Arithmetic((at.last(symbols, (Many(tuple(written)),), (Many(tuple(products)),)),))


def _lookup(at: At) -> Arithmetic:
    stage, number = at.stage, at.cell.reads[0].value
    if len(stage.inputs) == 1:
        width = at.oracle.graph.sizes["d"]
        pair, is_cosine = divmod(at.place[2], 2)
        base = _constant(stage.attributes["base"])
        turn = Step(
            "angle", "position / base^(2i/d)", ((number, f" / {base}**(2*{pair}/{width})"),),
            number / stage.attributes["base"] ** (2 * pair / width),
        )  # fmt: skip
        name = "cos" if is_cosine else "sin"
        return Arithmetic((turn, at.last(f"{name}(angle)", (f"{name}(angle)",))))
    table = at.cell.reads[1]
    symbols = at.symbol(table.source, [table])
    return Arithmetic((at.last(symbols, (table.value,)),), (f"row {number} of the table, + "
        f"{stage.attributes['offset']} before position 0" if stage.attributes.get("offset")
        else f"row {number} of the table",))  # fmt: skip


def _add(at: At) -> Arithmetic:
    reads = at.cell.reads
    symbols = " + ".join(at.symbol(read.source, [read]) for read in reads)
    return Arithmetic((at.last(symbols, (Many(tuple((read.value,) for read in reads)),)),))


def _multiply(at: At) -> Arithmetic:
    a, b = at.cell.reads
    symbols = f"{at.symbol(a.source, [a])} * {at.symbol(b.source, [b])}"
    return Arithmetic((at.last(symbols, (a.value, " * ", b.value)),))


def _scale(at: At) -> Arithmetic:
    (read,) = at.cell.reads
    config = at.oracle.graph.config
    factor = f" * {_constant(at.stage.attributes['factor'])}"
    if at.stage.leaf.name == "scores" and config.score_scale is None:
        factor = f" / sqrt({config.d_k})"
    symbols = at.symbol(read.source, [read]) + factor
    return Arithmetic((at.last(symbols, (read.value, factor)),))


def _allowed(at: At) -> Arithmetic:
    stage, (row, _, query, key) = at.stage, at.place
    valid = at.cell.reads[0]
    parts: list[Expression] = [(int(valid.value),)]
    symbols = at.symbol(valid.source, [valid])
    length = at.oracle.cells(valid.source).shape[1]
    lead = length - at.oracle.cells(stage.name).shape[2]
    if stage.attributes["causal"]:
        symbols += " and j <= i"
        parts.append((f"{key} <= {query + lead}",))
    if stage.attributes["window"] is not None:
        positions = at.oracle.cells(stage.attributes["positions"])
        here = positions.flat[positions.offset((row, query + lead))]
        there = positions.flat[positions.offset((row, key))]
        symbols += f" and |p_i - p_j| < {stage.attributes['window']}"
        parts.append((f"abs({here} - {there}) < {stage.attributes['window']}",))
    whole = tuple(
        piece for k, part in enumerate(parts) for piece in ((" and ", *part) if k else part)
    )
    return Arithmetic((at.last(symbols, whole),))


def _mask(at: At) -> Arithmetic:
    score, seen = at.cell.reads
    symbols = f"{at.symbol(score.source, [score])} where {at.symbol(seen.source, [seen])}"
    return Arithmetic((at.last(symbols, (score.value, " if ", int(seen.value), " else -inf")),))


def _softmax(at: At) -> Arithmetic:
    reads = at.cell.reads
    seen = [read.value for read in reads if read.value != -math.inf]
    if not seen:
        return Arithmetic(
            (at.last("0", ("0.0",)),), ("this query may attend to no key: its row is 0",)
        )
    largest, total = max(seen), math.fsum(math.exp(x - max(seen)) for x in seen)
    here = reads[at.place[-1]].value
    row = at.symbol(reads[0].source, reads)
    notes: tuple[str, ...] = ()
    if len(seen) < len(reads):
        notes = (f"masked keys give exp(-inf) = 0: {len(reads) - len(seen)} of {len(reads)}",)
    return Arithmetic((
        Step("largest", f"max of {row}", (("max(", _listed(seen), ")"),), largest),
        Step("total", f"sum of exp({row} - largest)", ((_exponentials(seen),),), total),
        at.last(
            f"exp({at.symbol(reads[0].source, [reads[at.place[-1]]])} - largest) / total",
            ("exp(", here, " - largest) / total"),
        ),
    ), notes)  # fmt: skip


def _log_softmax(at: At) -> Arithmetic:
    reads = at.cell.reads
    row = [read.value for read in reads]
    largest, total = max(row), math.fsum(math.exp(x - max(row)) for x in row)
    whole = at.symbol(reads[0].source, reads)
    one = reads[at.place[-1]]
    return Arithmetic((
        Step("largest", f"max of {whole}", (("max(", _listed(row), ")"),), largest),
        Step("total", f"sum of exp({whole} - largest)", ((_exponentials(row),),), total),
        at.last(
            f"{at.symbol(one.source, [one])} - largest - log(total)",
            (one.value, " - largest - log(total)"),
        ),
    ))  # fmt: skip


def _listed(row: Sequence[Number]) -> Many:
    return Many(tuple((x,) for x in row), ", ")


def _exponentials(row: Sequence[Number]) -> Many:
    return Many(tuple(("exp(", x, " - largest)") for x in row))


def _norm(at: At) -> Arithmetic:
    stage, j = at.stage, at.place[-1]
    width = at.oracle.cells(stage.inputs[0]).shape[-1]
    row = [read.value for read in at.cell.reads[:width]]
    epsilon = _constant(stage.attributes["epsilon"])
    whole = at.symbol(stage.inputs[0], at.cell.reads[:width])
    steps: list[Step] = []
    if stage.attributes["centred"]:
        mean = math.fsum(row) / width
        variance = math.fsum((x - mean) ** 2 for x in row) / width
        sums: Expression = (Many(tuple((x,) for x in row)),)
        squares: Expression = (Many(tuple(("(", x, " - mean)**2") for x in row)),)
        steps.append(Step("mean", f"mean of {whole}", (("(", *sums, f") / {width}"),), mean))
        steps.append(Step(
            "variance", f"mean of ({whole} - mean)^2", (("(", *squares, f") / {width}"),), variance
        ))  # fmt: skip
        normal: Expression = ("(", row[j], " - mean) / deviation * ")
        head = "(x - mean) / deviation * gain"
    else:
        variance = math.fsum(x * x for x in row) / width
        squares = (Many(tuple(("(", x, ")**2") for x in row)),)
        steps.append(
            Step("variance", f"mean of {whole}^2", (("(", *squares, f") / {width}"),), variance)
        )
        normal = (row[j], " / deviation * ")
        head = "x / deviation * gain"
    deviation = math.sqrt(variance + stage.attributes["epsilon"])
    steps.append(Step(
        "deviation", "sqrt(variance + epsilon)", ((f"sqrt(variance + {epsilon})",),), deviation
    ))  # fmt: skip
    terms: list[Expression] = [(*normal, at.cell.reads[width].value)]
    if len(stage.inputs) > 2:
        terms.append((at.cell.reads[width + 1].value,))
        head += " + bias"
    steps.append(at.last(head, (Many(tuple(terms)),)))
    return Arithmetic(tuple(steps))


_ACTIVATIONS = {
    "relu": "max(x, 0)",
    "gelu": "x / 2 * erfc(-x / sqrt(2))",
    "gelu_tanh": "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
    "silu": "x / (1 + exp(-x))",
}


def _activation(at: At) -> Arithmetic:
    (read,) = at.cell.reads
    kind = at.stage.attributes["kind"]
    whole = at.symbol(read.source, [read])
    return Arithmetic((
        Step("x", whole, ((read.value,),), read.value),
        at.last(f"{kind}(x)", (_ACTIVATIONS[kind],)),
    ))  # fmt: skip


def _rotate(at: At) -> Arithmetic:
    stage, j = at.stage, at.place[-1]
    width = stage.attributes["width"]
    if j >= width:
        (read,) = at.cell.reads
        note = f"only the first {width} components are rotated; this one passes"
        return Arithmetic((at.last(at.symbol(read.source, [read]), (read.value,)),), (note,))
    here, there, position = at.cell.reads
    half = stage.attributes["layout"] == "half"
    pair = j % (width // 2) if half else j // 2
    second = j >= width // 2 if half else j % 2 == 1
    base = stage.attributes["base"]
    angle = Step(
        "angle", f"position / base^(2*{pair}/{width})",
        ((position.value, f" / {_constant(base)}**(2*{pair}/{width})"),),
        position.value / base ** (2 * pair / width),
    )  # fmt: skip
    a, b = (there, here) if second else (here, there)
    terms: tuple[Expression, ...] = (
        ((a.value, "*sin(angle)"), (b.value, "*cos(angle)"))
        if second
        else ((a.value, "*cos(angle)"), ("-(", b.value, ")*sin(angle)"))
    )
    first, last = at.symbol(a.source, [a]), at.symbol(b.source, [b])
    symbols = (
        f"{first}*sin(angle) + {last}*cos(angle)"
        if second
        else f"{first}*cos(angle) - {last}*sin(angle)"
    )
    return Arithmetic((angle, at.last(symbols, (Many(terms),))))


def _copy(at: At) -> Arithmetic:
    (read,) = at.cell.reads
    return Arithmetic((at.last(at.symbol(read.source, [read]), (read.value,)),))


def _append(at: At) -> Arithmetic:
    if at.stage.attributes.get("along") == "width":
        return _copy(at)
    earlier = at.cell.reads[0].source == at.stage.inputs[0]
    new = "kept from earlier steps" if earlier else "new in this step"
    return _copy(at)._replace(notes=(new,))


def _pick(at: At) -> Arithmetic:
    label, *rest = at.cell.reads
    if not rest:
        return Arithmetic((at.last("0", ("0.0",)),), (f"the label is ignored ({label.value})",))
    symbols = f"-{at.symbol(rest[0].source, rest)}"
    if at.stage.attributes["smoothing"]:
        terms: tuple[Expression, ...] = tuple((f"{r.partial!r}*", r.value) for r in rest)
        symbols = "-(smoothed target)·" + symbols[1:]
        return Arithmetic((at.last(symbols, (Many(terms),)),))
    return Arithmetic((at.last(symbols, ("-(", rest[0].value, ")")),))


def _mean(at: At) -> Arithmetic:
    counted = [r.value for r in at.cell.reads if r.source == at.stage.inputs[0] and r.partial]
    losses: tuple[Expression, ...] = tuple((x,) for x in counted)
    symbols = "sum / number of counted labels"
    return Arithmetic((at.last(symbols, ("(", Many(losses), f") / {len(counted)}")),))


def _exp(at: At) -> Arithmetic:
    (read,) = at.cell.reads
    return Arithmetic(
        (at.last(f"exp({at.symbol(read.source, [read])})", ("exp(", read.value, ")")),)
    )


def _constant(number: float) -> str:
    """A constant of the formula with all its digits."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


WRITERS: dict[str, Callable[[At], Arithmetic]] = {
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
    "last": _copy,
    "pick": _pick,
    "mean": _mean,
    "exp": _exp,
}
