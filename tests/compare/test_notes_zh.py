"""What is said of how an array fits, in Chinese, and both languages of a report."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

import numpy as np
from samples import random_parameters

from numtx import Batch, Config
from numtx.compare import compare as comparing
from numtx.compare.notes_zh import AXES, note_zh
from numtx.compare.sides import Side, side_of
from numtx.fitting import fit
from numtx.fitting.axes import LETTERS
from numtx.trace.trace import record
from numtx.verdicts.compare_report import report

SMALL = Config(model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=6)
TRACE = record(SMALL, random_parameters(SMALL, 0), Batch([[1, 2, 3]]))
NORM = "decoder.0.self_attention.norm"


def notes() -> Iterator[str]:
    """The notes that are written out, with 1 for what is put into them."""
    for function in (fit.fit, fit._shape, fit._other, fit._mask, comparing._transposed):
        (tree,) = ast.parse(inspect.getsource(function)).body
        nodes = list(ast.walk(ast.Module(tree.body[1:], [])))
        inner = [part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values]
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                yield "".join(getattr(part, "value", "") if isinstance(part, ast.Constant) else "1"
                              for part in node.values)  # fmt: skip
            elif isinstance(node, ast.Constant) and node not in inner:
                yield str(node.value)
    yield from fit.SAID.values()
    yield "shape (1, 5); (1, 7) was expected"
    yield "shape (4, 5); (5, 4) was expected (numtx has matrices as (in, out))"
    yield from (f"axes (batch x {word}, token)" for word in LETTERS.values())


def test_every_note_is_said_in_chinese():
    said = [note for note in notes() if re.search("[a-z]{3,}.* [a-z(]|^broadcast", note)]
    assert len(said) > 15
    for note in said:
        zh = note_zh(note)
        assert re.search("[\u4e00-\u9fff]", zh), note
        assert not re.search("[a-z]{4,}", zh.replace("numtx", "")), zh
    assert set(LETTERS.values()) - set(AXES) == {"d"}


def test_both_languages_are_said_where_there_is_room():
    for name, change in (
        ("logits", lambda x: x[:, :, :3]),
        ("decoder.0.feed_forward.residual", lambda x: x - TRACE.arrays[NORM]),
    ):  # fmt: skip
        sides = side_of(TRACE, "A"), Side("B", {name: np.array(change(TRACE.arrays[name]))}, None)
        found = comparing.compare(*sides)
        said = {x: "\n".join(report(found, *sides, False, 5, x)) for x in ("zh", "en", "both")}
        for zh, en in (("第一处不同: ", "first difference: "), ("原因: ", "cause: ")):
            for lang in ("both", "zh"):
                assert zh in said[lang]
            assert en in said["both"] and en in said["en"] and en not in said["zh"]
        assert "从输入到损失" in said["both"] or name == "logits"
        assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", said["zh"].partition("没有比较")[0])
