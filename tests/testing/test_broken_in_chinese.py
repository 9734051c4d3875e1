"""What laws say of a broken example has its Chinese, and keeps its numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from numtx.testing import check
from numtx.testing.chinese import WORDS, why_in_chinese

HOME = Path(__file__).parents[2] / "numtx"
SAYING = {
    "LawBroken", "expect", "expect_true", "unmoved", "expect_same", "expect_near", "expect_truth",
    "_held", "_check_kept", "told.append",
}  # fmt: skip
NAMED = {"what", "told"}


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        yield "".join(map(str, parts))


def said() -> Iterator[str]:
    """What the laws for any model, cache and operator say."""
    for room in ("laws", "cache_laws", "operator_laws"):
        for file in sorted((HOME / room).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in SAYING:
                    found = [text for one in node.args for text in texts(one)]
                elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in (
                    "what",
                    "told",
                ):
                    found = list(texts(node.value))
                else:
                    continue
                yield from (text for text in found if re.search("[a-z]{2,} [a-z]", text))


def test_everything_that_laws_say_has_its_chinese() -> None:
    assert len(set(said())) > 60
    assert sorted(set(said()) - set(WORDS)) == []
    for en, zh in WORDS.items():
        assert en.count("{}") == zh.count("{}"), en


def leaky(ids: np.ndarray) -> np.ndarray:
    """Sees the sum of all tokens, and fails on long rows."""
    table = np.random.default_rng(0).normal(size=(11, 11))
    return table[ids] + table[ids.sum(-1) % 11][:, None]


def test_a_broken_law_is_told_in_chinese_with_the_same_numbers() -> None:
    report = check(leaky, vocabulary_size=11, laws=["K3"], examples=4, causal=True)
    (result,) = report.results
    assert result.status == "broken"
    told = why_in_chinese(result)
    assert "K3 不成立: " + result.law.statement_zh in told
    assert "单独的前缀结果不同（最大差 " in told and not re.search("[a-z]{3,} [a-z]{3,} ", told)
    numbers = re.findall(r"[-\d.e]*\d", result.why.replace(result.law.statement, ""))
    assert [n for n in numbers if n not in told] == []
