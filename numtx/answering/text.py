"""What is said of an answer, in Chinese and English; hints one by one; the solution when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..show.wrap import wrap
from ..stages.leaf import Text
from .exercise import Exercise
from .judge import Cell, Verdict, inputs_of


def verdict_text(verdict: Verdict, lang: str, width: int) -> str:
    """Right; or wrong with the first wrong cell, and the mistake that makes the numbers."""
    one, name = verdict.exercise, verdict.exercise.name
    if verdict.right:
        count, single = len(one.cases), verdict.single
        zh = f"{name}：正确，试了 {count} 组数" + ("（精度是 float32）" if single else "")
        en = f"{name}: right, on {count} sets of numbers" + (" (in float32)" if single else "")
        return _lines([Text(zh, en)], lang, width, "")
    said = [Text(f"{name}：错", f"{name}: wrong")]
    parts = [] if verdict.cell is None else [_cell_text(one, verdict.cell)]
    if verdict.error:
        parts.append(
            Text(f"另有几组数报错：{verdict.error}", f"other numbers raise: {verdict.error}")
        )
    for number, names in enumerate(verdict.kinds):
        zh = "；并且 ".join(text.zh for text in names)
        en = "; and ".join(text.en for text in names)
        two, again = len(names) > 1, number > 0
        zh = f"{'或者' if again else '两个错误' if two else '错误'}：{zh}"
        en = f"{'or' if again else 'two mistakes' if two else 'the mistake'}: {en}"
        parts.append(Text(zh, en))
    if not verdict.kinds:
        parts.append(Text(
            "错误：不知道；试过的已知错误，一个或两个一起，都得不出这些数",
            "the mistake: not known; no known one, and no two of them, make these numbers",
        ))  # fmt: skip
    return _lines(said, lang, width, "") + "\n" + _lines(parts, lang, width, "  ")


def _cell_text(one: Exercise, cell: Cell) -> Text:
    case = one.cases[cell.case]
    given = inputs_of(one, case)
    zh, en = f"{given} 时", f"with {given}"
    if case.rows:
        zh, en = "课上的数", "the lesson's own numbers"
    where = _where(one, cell)
    if where is not None:
        zh, en = f"{zh}，{where.zh}", f"{en}: {where.en}"
    wrong, cells = cell.wrong, cell.cells
    return Text(
        f"{zh}：是 {cell.got:.6g}（{cells} 格里错了 {wrong} 格）",
        f"{en} has {cell.got:.6g} ({wrong} of {cells} cells differ)",
    )


def _where(one: Exercise, cell: Cell) -> Text | None:
    """A cell by its row and column, with their words where they have some."""
    case, index = one.cases[cell.case], cell.place
    if not index:
        return None
    if len(index) > 2:
        place = f"[{','.join(map(str, index))}]"
        return Text(place, place)
    row = f" {case.rows[index[0]]}" if case.rows else ""
    if len(index) == 1:
        return Text(f"第 {index[0]} 个{row}", f"number {index[0]}{row}")
    column = f" {case.columns[index[1]]}" if case.columns else ""
    return Text(
        f"第 {index[0]} 行{row}，第 {index[1]} 列{column}",
        f"row {index[0]}{row}, column {index[1]}{column}",
    )


def hints_text(one: Exercise, level: int, cell: Cell | None, lang: str, width: int) -> str:
    """The hints up to a level; beyond those of the exercise, the number of the wrong cell."""
    hints = list(one.hints)
    if cell is not None:
        where = _where(one, cell)
        zh, en = (f"{where.zh}那一格", f" at {where.en}") if where else ("", "")
        case = inputs_of(one, one.cases[cell.case])
        hints.append(Text(
            f"（{case}）{zh}应当是 {cell.expected:.6g}",
            f"({case}){en} there should be {cell.expected:.6g}",
        ))  # fmt: skip
    said = [
        Text(f"提示 {k}：{hint.zh}", f"hint {k}: {hint.en}")
        for k, hint in enumerate(hints[:level], 1)
    ]
    if level < len(hints):
        said.append(Text(f"还有：--hint {level + 1}", f"there is more: --hint {level + 1}"))
    else:
        said.append(
            Text("提示到此为止；--answer 给出答案", "no more hints; --answer shows the solution")
        )
    return _lines(said, lang, width, "  ")


def answer_text(one: Exercise) -> str:
    """The solution, as code."""
    return "\n".join([one.signature, *(f"    {line}" for line in one.answer.splitlines())])


def _lines(texts: Sequence[Text], lang: str, width: int, indent: str) -> str:
    said = [t for text in texts for k, t in zip(("zh", "en"), text, strict=True)
            if lang in (k, "both")]  # fmt: skip
    return "\n".join(
        line for text in said for line in wrap(text, width, first=indent, rest=indent + "  ")
    )


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The verdicts with names in both languages; nothing of what would be right."""
    return [_told(verdict) for verdict in verdicts]


def _told(verdict: Verdict) -> dict[str, Any]:
    one, cell = verdict.exercise, verdict.cell
    return {
        "exercise": one.name,
        "right": verdict.right,
        "mistakes": [[text._asdict() for text in names] for names in verdict.kinds],
        "cell": cell and {
            "inputs": inputs_of(one, one.cases[cell.case]),
            "index": list(cell.place), "got": cell.got, "wrong": cell.wrong, "cells": cell.cells,
        },
        "error": verdict.error,
    }  # fmt: skip
