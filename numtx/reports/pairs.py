"""Two runs side by side: before and after a what-if, and the two sides of a comparison."""

from __future__ import annotations

import numpy as np

from ..check.weigh import weigh
from ..compare.compare import pair_of
from ..compare.comparison import Comparison, Difference
from ..compare.notes_zh import note_zh
from ..compare.sides import Side
from ..page.beside import Beside
from ..shapes import Array
from ..stages.catalogue import Text
from ..trace.files import arrays_of
from ..trace.trace import Trace


def before_and_after(before: Trace, after: Trace) -> Beside:
    """A run with some cells held beside the same run without; stages whose values changed
    are open."""
    arrays, own = arrays_of(before), arrays_of(after)
    differing = {
        name: where
        for name in own
        if name in arrays and (where := _apart(own[name], arrays[name])).any()
    }
    opened = frozenset(name for name in differing if not name.startswith("grad/"))
    return Beside(
        Text("之后", "after"), Text("之前", "before"), True, arrays, differing, {}, opened
    )


def _apart(a: Array, b: Array) -> Array:
    """Where two arrays differ; NaN is equal to NaN."""
    differs: Array = a != b
    if a.dtype.kind == "f":
        differs &= ~(np.isnan(a) & np.isnan(b))
    return differs


def two_sides(found: Comparison, first: Side, second: Side) -> Beside:
    """What was compared; the first stage that differs is open."""
    compared = [*found.parameters, *found.values, *found.gradients]
    arrays: dict[str, Array] = {}
    differing: dict[str, Array] = {}
    notes: dict[str, Text] = {}
    for one in compared:
        if not one.fits:
            notes[one.name] = Text(note_zh(one.note), one.note)
            continue
        expected, arrays[one.name] = pair_of(first, second, one.name)
        if not one.equal:
            differing[one.name] = _beyond(one, expected, arrays[one.name])
    opened = {one.name for one in compared if not one.equal and one.name.startswith("parameters/")}
    if found.first is not None:
        opened.add(found.first.name.removeprefix("grad/"))
    return Beside(
        Text(f"应为：{first.name}", f"expected: {first.name}"),
        Text(f"得到：{second.name}", f"got: {second.name}"),
        False, arrays, differing, notes, frozenset(opened),
    )  # fmt: skip


def _beyond(one: Difference, expected: Array, got: Array) -> Array:
    """Where two arrays differ by more than the comparison allowed."""
    weighed = weigh(expected, got, one.tolerance, lambda places: 0.0, expected.size)
    where = np.zeros(expected.shape, bool)
    where.flat[weighed.worst[: one.differing]] = True
    return where
