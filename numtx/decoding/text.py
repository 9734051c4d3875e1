"""What choosing the next token looks like: the filters one after another, and the beam tree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..show.grid import Grid, clean, grid_text, table_text
from ..show.numbers import MASKED, fixed
from .beam import BeamSearch, BeamStep
from .filters import Filtered, Filters, rule_out
from .generate import Generation, Step

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
) -> str:
    """A grid for each step and row: the probability of the most probable tokens after each
    filter, `.` where a token is ruled out, and the token that was chosen."""
    blocks = []
    for step, filtered in filter_steps(generation, filters, held):
        assert step.tokens is not None
        for row in np.flatnonzero(step.counts).tolist():
            name = f"{step.phase}, row {row}" if len(step.counts) > 1 else step.phase
            grid = _filters_grid(filtered, row, int(step.tokens[row]), vocabulary)
            left_out = len(vocabulary) - len(grid.rows)
            more = f"\n({left_out} less probable tokens are not shown)" if left_out > 0 else ""
            blocks.append(
                f"{name}: probabilities after each filter\n{grid_text(grid, width)}{more}"
            )
    return "\n\n".join(blocks)


def _filters_grid(
    filtered: Sequence[Filtered], row: int, chosen: int, vocabulary: Sequence[str]
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
        ["<- chosen" if token == chosen else "" for token in order],
    )


def beams_text(search: BeamSearch, vocabulary: Sequence[str], row: int = 0) -> str:
    """The beam tree of one prompt as tables: a step's candidates with the beam they come from,
    and what became of them; then the hypotheses."""
    blocks = [
        f"{step.phase}\n{_candidates(step, row, vocabulary)}"
        for step in search.steps
        if step.candidates[row]
    ]
    return "\n\n".join([*blocks, f"found\n{hypotheses_text(search, vocabulary, row)}"])


def _candidates(step: BeamStep, row: int, vocabulary: Sequence[str]) -> str:
    lines, beam = [], 0
    for one in step.candidates[row]:
        fate = one.fate
        if fate == "running":
            fate = f"-> beam {beam}"
            beam += 1
        parent = f"beam {one.parent}" if len(one.tokens) > 1 else "prompt"
        probability = f"{math.exp(one.log_probability):.4f}"
        lines.append(
            [parent, _words(one.tokens, vocabulary), fixed(one.log_probability, 3), probability,
             fate]
        )  # fmt: skip
    return table_text([["from", "text", "log P", "P", "fate"], *lines], "llrrl")


def hypotheses_text(search: BeamSearch, vocabulary: Sequence[str], row: int = 0) -> str:
    """What was found for one prompt, the best score first."""
    lines = [
        [
            str(rank), _words(one.tokens, vocabulary), str(len(one.tokens)),
            fixed(one.log_probability, 3), fixed(one.score, 3),
            "" if one.ended else "cut at the limit",
        ]
        for rank, one in enumerate(search.hypotheses[row], 1)
    ]  # fmt: skip
    return table_text([["", "text", "length", "log P", "score", ""], *lines], "rlrrrl")


def _words(tokens: Sequence[int], vocabulary: Sequence[str]) -> str:
    return " ".join(clean(vocabulary[token]) for token in tokens)
