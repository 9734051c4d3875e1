"""`numtx trace --set`: a run with some cells held, and what that changes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..stages.leaf import Text
    from ..trace.trace import Trace


def add_set(parser: argparse.ArgumentParser) -> None:
    """The option that holds cells."""
    parser.add_argument(
        "--set", action="append", metavar="NAME=VALUE",
        help="hold a stage at the array in a file (.npy, .npz, JSON), a cell at a number "
        "(NAME[2,1]=0.25) or a row (NAME[2]=[0.1,0.9]), and show what changes (repeatable)",
    )  # fmt: skip


def trace_with(settings: list[str], example: Example, before: Trace) -> Trace:
    """The same run once more, with the settings as pins."""
    import numpy as np

    from ..trace.what_if import merge_pins, read_settings

    pins = merge_pins(example.pins, read_settings(settings, before))
    with np.errstate(over="ignore", invalid="ignore"):  # of what was set; the table shows it
        return example.trace(gradients=bool(before.gradients), pins=pins)


def changes_text(before: Trace, after: Trace, lang: str, width: int) -> Iterator[str]:
    """A table of what changed: values and gradients, stage by stage."""
    from ..show.headings import pick
    from ..show.numbers import amount
    from ..show.table import table_text
    from ..trace.what_if import changes

    found = changes(before, after)
    if not found:
        en = "nothing changed: the cells had these values already"
        yield pick(lang, "没有变化：这些格原来就是这些值", en)
        return
    head = ["stage", "cells that changed", "largest change"]
    if lang == "zh":
        head = ["阶段", "变化的格", "最大变化"]
    if before.gradients:
        head += [pick(lang, "梯度：格", "gradient: cells"), head[-1]]
    rows, of = [head], pick(lang, " / ", " of ")
    for change in found:
        row = [
            change.name + " *" * bool(change.pinned), f"{change.cells}{of}{change.of}",
            amount(change.largest),
        ]  # fmt: skip
        if before.gradients:
            none = change.gradient_cells is None
            row += ["", ""] if none else [
                f"{change.gradient_cells}{of}{change.of}", amount(change.gradient_largest)
            ]  # fmt: skip
        rows.append(row)
    yield pick(lang, "变化（* = 固定）：", "what changed (* = held):")
    yield table_text(rows, "l" + "r" * (len(head) - 1), "  ", width)
    if "loss" in before and "loss" in after:
        was, now = f"{before['loss'].item():.6g}", f"{after['loss'].item():.6g}"
        yield pick(lang, f"损失：原来 {was}，现在 {now}", f"loss: {was} before, {now} now")


def changes_in_both(before: Trace, after: Trace) -> Text:
    """The same in Chinese and in English."""
    from ..show.wrap import WIDTH
    from ..stages.leaf import Text

    return Text(*("\n".join(changes_text(before, after, lang, WIDTH)) for lang in ("zh", "en")))
