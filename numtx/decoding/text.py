"""What choosing the next token looks like: the filters one after another, and the beam tree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..show.grid import Grid, clean, grid_text
from ..show.headings import pick
from ..show.numbers import MASKED, fixed
from ..show.table import table_text
from .beam import BeamSearch, BeamStep
from .filters import Filtered, Filters, rule_out
from .generate import Generation, Step

FATES = {"running": "继续", "ended": "结束", "dead": "淘汰"}
SHOWN = 10  # tokens of a step, the most probable first


def filter_steps(
    generation: Generation, filters: Filters, held: tuple[int, Sequence[int]] = (0, ())
) -> Iterator[tuple[Step, list[Filtered]]]:
    """For each step that chose a token: the logits before and after each filter.

    held  min_new_tokens, and the tokens that may not come before so many
    """
    least, ends = held
    rows = [list(row) for row in generation.prompt]
    for number, step in enumerate(one for one in generation.steps if one.tokens is not None):
        assert step.tokens is not None
        going = step.counts
        # A row that has ended is not looked at.
        logits = np.where(going[:, None], step.logits, step.logits.dtype.type(0))
        if ends and number < least:
            kept = Filtered(f"min_new_tokens={least}", rule_out(logits, ends))
            yield step, [Filtered("logits", logits), kept, *filters.steps(kept.logits, rows)[1:]]
        else:
            yield step, filters.steps(logits, rows)
        for row, token, counts in zip(rows, step.tokens.tolist(), going.tolist(), strict=True):
            if counts:
                row.append(token)


def filters_text(
    generation: Generation,
    filters: Filters,
    vocabulary: Sequence[str],
    width: int = 80,
    held: tuple[int, Sequence[int]] = (0, ()),
    lang: str = "en",
) -> str:
    """A grid for each step and row: the probability of the most probable tokens after each
    filter, `.` where a token is ruled out, and the token that was chosen."""
    blocks = []
    for step, filtered in filter_steps(generation, filters, held):
        assert step.tokens is not None
        for row in np.flatnonzero(step.counts).tolist():
            of_row = pick(lang, f"，第 {row} 行", f", row {row}") if len(step.counts) > 1 else ""
            name = step.phase + of_row
            grid = _filters_grid(filtered, row, int(step.tokens[row]), vocabulary, lang)
            left_out = len(vocabulary) - len(grid.rows)
            unseen = pick(
                lang, f"（另有 {left_out} 个概率更小的词元没有列出）",
                f"({left_out} less probable tokens are not shown)",
            )  # fmt: skip
            title = pick(lang, "每个过滤器之后的概率", "probabilities after each filter")
            blocks.append(
                f"{name}: {title}\n{grid_text(grid, width)}" + f"\n{unseen}" * (left_out > 0)
            )
    return "\n\n".join(blocks)


def _filters_grid(
    filtered: Sequence[Filtered], row: int, chosen: int, vocabulary: Sequence[str], lang: str
) -> Grid:
    columns = [one.probabilities[row] for one in filtered]
    kept = [one.logits[row] > -np.inf for one in filtered]
    order = np.argsort(-filtered[0].logits[row], kind="stable")[:SHOWN].tolist()
    if chosen not in order:
        order.append(chosen)
    cells = [
        [fixed(p[token], 4) if k[token] else MASKED for p, k in zip(columns, kept, strict=True)]
        for token in order
    ]
    return Grid(
        [f"{token} {clean(vocabulary[token])}" for token in order],
        ["softmax", *(one.name for one in filtered[1:])],
        cells,
        [pick(lang, "<- 选中", "<- chosen") if token == chosen else "" for token in order],
    )


def beams_text(
    search: BeamSearch,
    vocabulary: Sequence[str],
    row: int = 0,
    lang: str = "en",
    width: int | None = None,
) -> str:
    """The beam tree of one prompt as tables: a step's candidates with the beam they come from,
    and what became of them; then the hypotheses."""
    blocks = [
        f"{step.phase}\n{_candidates(step, row, vocabulary, lang, width)}"
        for step in search.steps
        if step.candidates[row]
    ]
    found = hypotheses_text(search, vocabulary, row, lang, width)
    return "\n\n".join([*blocks, f"{pick(lang, '找到的', 'found')}\n{found}"])


def _candidates(
    step: BeamStep, row: int, vocabulary: Sequence[str], lang: str, width: int | None
) -> str:
    lines, beam = [], 0
    for one in step.candidates[row]:
        fate = FATES[one.fate] if lang == "zh" else one.fate
        name = pick(lang, "束", "beam")
        if one.fate == "running":
            fate = f"-> {name} {beam}"
            beam += 1
        start = pick(lang, "提示", "prompt")
        parent = f"{name} {one.parent}" if len(one.tokens) > 1 else start
        probability = f"{math.exp(one.log_probability):.4f}"
        lines.append(
            [parent, _words(one.tokens, vocabulary), fixed(one.log_probability, 3), probability,
             fate]
        )  # fmt: skip
    heads = ["来自", "文本", "log P", "P", "去向"]
    if lang != "zh":
        heads = ["from", "text", "log P", "P", "fate"]
    return table_text([heads, *lines], "llrrl", width=width)


def hypotheses_text(
    search: BeamSearch,
    vocabulary: Sequence[str],
    row: int = 0,
    lang: str = "en",
    width: int | None = None,
) -> str:
    """What was found for one prompt, the best score first."""
    lines = [
        [
            str(rank), _words(one.tokens, vocabulary), str(len(one.tokens)),
            fixed(one.log_probability, 3), fixed(one.score, 3),
            "" if one.ended else pick(lang, "到上限截断", "cut at the limit"),
        ]
        for rank, one in enumerate(search.hypotheses[row], 1)
    ]  # fmt: skip
    heads = ["", "文本", "长度", "log P", "得分", ""]
    if lang != "zh":
        heads = ["", "text", "length", "log P", "score", ""]
    return table_text([heads, *lines], "rlrrrl", width=width)


def _words(tokens: Sequence[int], vocabulary: Sequence[str]) -> str:
    return " ".join(clean(vocabulary[token]) for token in tokens)
