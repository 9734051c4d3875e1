"""Every form of every known mistake is told in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from samples import VARIANTS, ragged_batch, random_parameters, some

import numtx
from numtx import Batch, Config
from numtx.diagnosis.diagnose import Case
from numtx.diagnosis.words_zh import DETAILS, cause_zh, detail_zh
from numtx.mistakes_of_positions import CAUSES
from numtx.trace.trace import record

ROOMS = "mistakes", "mistakes_of_positions"
FILES = [file for room in ROOMS for file in (Path(numtx.__file__).parent / room).glob("*.py")]
# Words that stand in Chinese too: of formulas, and names.
KEPT = re.compile(r"log softmax|log_softmax|softmax|sigmoid|sqrt\(\w+\)|exp\(-x\)|tanh\(x|\w+_\w+")


def constants() -> Iterator[str]:
    """The details that are written out."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
                first = node.value.elts[0]
                for one in (first.body, first.orelse) if isinstance(first, ast.IfExp) else [first]:
                    if isinstance(one, ast.Constant) and one.value:
                        yield one.value


def test_every_detail_that_is_written_out_has_chinese_words():
    details = set(constants())
    assert len(details) > 150
    assert not details - set(DETAILS) - {d for d in details if is_chinese(detail_zh(d))}


def is_chinese(text: str) -> bool:
    """Whether it is of Chinese words, and of no two English ones beside one another."""
    bare = KEPT.sub("", text)
    return bool(re.search("[\u4e00-\u9fff]", bare)) and not re.search("[a-z]{3,} [a-z]{2,}", bare)


def test_all_words_are_chinese():
    assert [zh for zh in DETAILS.values() if not is_chinese(zh)] == []


@pytest.mark.parametrize("variant", some(2, __name__, VARIANTS))
def test_every_form_that_is_made_of_a_model_is_told_in_chinese(variant):
    config = Config(**VARIANTS[variant])
    batch = Batch(**ragged_batch(config, 4, "left"))
    trace = record(config, random_parameters(config, 3), batch)
    told = {}
    with np.errstate(all="ignore"):
        for stage in trace.graph:
            case = Case(trace.graph, stage, trace.arrays, trace.arrays, 1e-9)
            for cause in CAUSES:
                if cause.applies_to(stage):
                    told |= {name: cause_zh(name) for name, _ in forms(cause, case, stage)}
    assert len(told) > 50
    bare = {
        name: re.sub(r"（1 / .+?）|^softmax|^log softmax", "数", zh) for name, zh in told.items()
    }
    assert {name: zh for name, zh in bare.items() if not is_chinese(zh)} == {}


def forms(cause, case, stage):
    try:
        yield from cause.forms(case.at(stage, {}))
    except (ValueError, IndexError, KeyError):  # shapes that do not go together
        return
