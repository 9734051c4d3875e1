"""The operations in which positions act: over numbers that remember, as all of them."""

from __future__ import annotations

from ..arithmetic.number import (
    Operand,
    Value,
    choose,
    in_double,
    log,
    named,
    noted,
)
from ..arithmetic.number import apply as function
from .angles import lengthening, turn_of
from .rows import Rows


def angle_of(r: Rows, number: Operand, pair: int, width: int) -> Operand:
    """p / base^(2i/r) for pair i of r components, or p * w_i where a scaling gives w_i"""
    base, scaling = r.attributes["base"], r.attributes.get("scaling")
    if scaling is not None:
        turn, text = turn_of(pair, width, base, scaling)
        return named("angle", in_double(number * r.constant(turn, lambda: text), r.eps))
    power = r.constant(base ** (2 * pair / width), lambda: f"{base:g}**(2*{pair}/{width})")
    return named("angle", in_double(number / power, r.eps))


def distance(r: Rows) -> Operand:
    """minus the slope of the head times the distance of query and key: slope 2^(-8h/n) for the
    first n heads, n a power of two, then every other one of 2n slopes"""
    row, head, query, key = r.index
    here, there = r.at(0, (row, query)), r.at(1, (row, key))
    p, q = r.plain(here), r.plain(there)
    size = r.constant(abs(p - q), lambda: f"abs({p} - {q})", here, there)
    n = 1
    while 2 * n <= r.attributes["heads"]:
        n *= 2
    of_first, of_others = -8 * (head + 1) / n, -4 * (2 * (head - n) + 1) / n
    power = r.plain(choose(head < n, of_first, of_others))
    slope = r.constant(2.0**power, lambda: f"2**{power:g}")
    return -(size * slope)


def rotate(r: Rows) -> list[Operand]:
    """(a, b) -> (a cos - b sin, a sin + b cos), by the angle p / base^(2i/r) for pair i; what
    lies beyond the rotated width passes. A scaling has other angles, and may lengthen both"""
    row, width = r.row(0), r.attributes["width"]
    position = r.at(1, (r.index[0], r.index[-1]))
    half, scaling = r.attributes["layout"] == "half", r.attributes.get("scaling")
    longer = 1.0 if scaling is None else lengthening(scaling)
    note = f"only the first {width} components are rotated; this one passes"
    cells = [noted(x, lambda: note) for x in row]
    for pair in range(width // 2):
        i, j = (pair, pair + width // 2) if half else (2 * pair, 2 * pair + 1)
        angle = angle_of(r, position, pair, width)
        cosine, sine = function("cos", angle), function("sin", angle)
        if longer != 1.0:
            cosine, sine = cosine * longer, sine * longer
        cells[i] = row[i] * cosine - row[j] * sine
        cells[j] = row[i] * sine + row[j] * cosine
    return cells


def bucket(r: Rows) -> Operand:
    """the table's number for this head and the bucket of key position - query position: the first
    half of the buckets hold one distance each, the others ln(distance) in equal parts"""
    row, head, query, key = r.index
    here = r.value_at(r.stage.inputs[1], (row, query))
    there = r.value_at(r.stage.inputs[2], (row, key))
    count, farthest, both = (r.attributes[name] for name in ("count", "farthest", "both"))
    return r.at(0, (bucket_of(there - here, count, farthest, both), head))


def bucket_of(distance: Value, count: int, farthest: int, both: bool) -> Value:
    """The bucket of a distance, by counting the borders that it has passed; of one, or of many."""
    half = count // 2 if both else count
    exact = half // 2
    away = abs(distance) if both else -distance * (distance < 0)
    bucket = away * (away < exact) + exact * (away >= exact)
    for k in range(1, half - exact):  # a border stands where ln(d / exact) reaches k parts
        bucket = bucket + (away >= exact * (farthest / exact) ** (k / (half - exact)) * (1 - 1e-12))
    return bucket + half * (distance > 0) if both else bucket


def grow(r: Rows) -> Operand:
    """a query times 1 + rate ln(1 + floor((p + 1) / length)), which grows with its position p"""
    length, rate = r.attributes["length"], r.attributes["rate"]
    steps = (r.value_at(r.stage.inputs[1], (r.index[0], r.index[-2])) + 1) // length
    factor = log(r.constant(1.0 + steps, lambda: f"(1 + {steps})")) * rate + 1
    return r.at(0, r.index) * named("factor", factor)
