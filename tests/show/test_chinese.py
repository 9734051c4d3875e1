"""Formulas and notes have no English words where Chinese alone is wanted."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from numtx.models import MODELS
from numtx.show.chinese import PHRASES, chinese
from numtx.stages.resolve import resolve

HOME = Path(__file__).parents[2] / "numtx"
FUNCTIONS = {
    "softmax", "logits", "log", "sqrt", "exp", "sin", "cos", "tanh", "max", "concat", "floor",
    "ln", "bucket", "table", "gelu", "relu", "silu", "inf", "ids", "norm", "segment", "sum",
    "sigmoid", "router", "weight",
    "query", "key", "min", "clip",
    "encoder", "decoder", "enc", "out", "gate", "feed_forward", "self_attention",
    "cross_attention", "prefill", "decode",
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_formula_is_in_letters_or_in_chinese(name: str) -> None:
    for stage in resolve(MODELS[name].config()):
        own = {stage.leaf.name, *(part for s in stage.inputs for part in re.split(r"[./]", s))}
        words = set(re.findall(r"(?<![\w.])[a-z]{3,}(?![\w.])", chinese(stage.formula)))
        assert words <= own | FUNCTIONS, (stage.name, chinese(stage.formula))


def templates(file: Path) -> list[str]:
    """The notes that a file writes, a number in each brace."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        said: list[ast.expr] = []
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("note", "formula"):
            said = [node.value]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "notes.append":
            said = node.args
        elif isinstance(node, ast.Lambda):
            said = [node.body]
        for one in said:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                found.append(one.value)
            elif isinstance(one, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "7" for p in one.values)
                found.append("".join(map(str, parts)))
    return found


def test_every_note_is_said_in_chinese() -> None:
    files = [HOME / "check/explain.py", *sorted((HOME / "oracle").glob("*.py"))]
    notes = [
        note
        for file in files
        for note in templates(file)
        if " " in note.lstrip() and note[0] != " "
    ]
    assert len(notes) >= 7
    for note in notes:
        assert not re.search(r"[a-z]{2,} [a-z]{2,}", chinese(note)), (note, chinese(note))


def test_other_languages_stay_as_they_are() -> None:
    assert chinese("A = softmax(S') per row", "both") == "A = softmax(S') per row"
    assert chinese("A = softmax(S') per row") == "A = softmax(S')（逐行）"
    assert len(PHRASES) == len({pattern.pattern for pattern, _ in PHRASES})
