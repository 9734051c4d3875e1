"""Every lesson in both languages: what it returns, what it prints, and how it is written.

`expected/NN.json` holds the key values of lesson NN (`results`; numbers to a few digits) and
some lines that it prints (`text`, by language; numbers to about two decimals).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import json
import os
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from samples import some
from widths import WIDTHS, out_of_line, too_wide

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "walkthroughs"
LESSONS = sorted(FOLDER.glob("*.py"))
PROSE = {"say": ("zh", "en"), "check": ("zh", "en"), "exercise": ("zh", "en"), "word": ("zh", "en"),
         "head": ("zh", "en"), "Lesson": ("zh", "en", "before")}  # fmt: skip
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
# Some are run in English too, and all of them with --heavy.
BOTH = [
    pytest.param(path, id=param.id, marks=param.marks)
    for path, param in zip(LESSONS, some(2, __name__, [p.stem for p in LESSONS]), strict=True)
]
in_both_languages = pytest.mark.parametrize("path", BOTH)
each_language = pytest.mark.parametrize(
    ("path", "lang"),
    [
        *(pytest.param(path, "zh", id=f"zh-{path.stem}") for path in LESSONS),
        *(pytest.param(p.values[0], "en", id=f"en-{p.id}", marks=p.marks) for p in BOTH),
    ],
)


class Run(NamedTuple):
    results: dict[str, Any]
    claims: int
    text: str


WIDTH = 88  # of the lines that are expected


@functools.cache
def run_of(path: Path, lang: str, width: int = WIDTH) -> Run:
    out = io.StringIO()
    argv = [str(path), "--lang", lang]
    wide = mock.patch.dict(os.environ, {"COLUMNS": str(width)})
    with mock.patch.object(sys, "argv", argv), wide, contextlib.redirect_stdout(out):
        lesson = runpy.run_path(str(path), run_name="__main__")["lesson"]
    return Run({k: plain(v) for k, v in lesson.results.items()}, lesson.claims, out.getvalue())


def plain(value: Any) -> Any:
    """A result as JSON would give it back."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    return value


def expected_of(path: Path) -> Any:
    return json.loads((HERE / "expected" / f"{path.name[:2]}.json").read_text(encoding="utf-8"))


def differences(got: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """Where two results differ: numbers that are not whole by more than 0.5 % and 0.001."""
    if isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        for i, (a, b) in enumerate(zip(got, wanted, strict=True)):
            yield from differences(a, b, f"{where}[{i}]")
    elif isinstance(wanted, float) and isinstance(got, float):
        if got != pytest.approx(wanted, rel=5e-3, abs=1e-3):
            yield f"{where}: {got}, expected {wanted}"
    elif type(got) is not type(wanted) or got != wanted:
        yield f"{where}: {got!r}, expected {wanted!r}"


def same_line(got: str, wanted: str) -> bool:
    """The same words, and numbers within 0.011 of each other; blanks do not count."""
    if [re.sub(r"\s|-", "", s) for s in NUMBER.split(got)] != [
        re.sub(r"\s|-", "", s) for s in NUMBER.split(wanted)
    ]:
        return False
    pairs = zip(NUMBER.findall(got), NUMBER.findall(wanted), strict=True)
    return all(abs(float(a) - float(b)) <= 0.011 * max(1.0, abs(float(b)) / 10) for a, b in pairs)


def test_there_are_lessons_with_numbers_of_their_own() -> None:
    numbers = [path.name[:2] for path in LESSONS]
    assert len(numbers) == len(set(numbers)) > 0
    assert all(re.fullmatch(r"\d\d_[a-z_]+\.py", path.name) for path in LESSONS)


@each_language
def test_results_are_the_expected_ones(path: Path, lang: str) -> None:
    got, wanted = run_of(path, lang).results, expected_of(path)["results"]
    assert wanted and sorted(got) == sorted(wanted)
    wrong = [line for key in wanted for line in differences(got[key], wanted[key], key)]
    assert not wrong, "\n".join(wrong)


@each_language
def test_expected_lines_are_printed(path: Path, lang: str) -> None:
    wanted = expected_of(path)["text"][lang]
    printed = run_of(path, lang).text.splitlines()
    missing = [line for line in wanted if not any(same_line(got, line) for got in printed)]
    assert wanted and not missing, "\n".join(missing)


@each_language
def test_lines_fit_and_grids_are_in_line(path: Path, lang: str) -> None:
    text = run_of(path, lang).text
    assert too_wide(text, WIDTH) == [] and list(out_of_line(text)) == []


@pytest.mark.heavy
@pytest.mark.parametrize("width", WIDTHS)
@each_language
def test_lines_fit_at_every_width(path: Path, lang: str, width: int) -> None:
    text = run_of(path, lang, width).text
    assert too_wide(text, width) == [] and list(out_of_line(text)) == []


@in_both_languages
def test_both_languages_say_it_in_their_own_words(path: Path) -> None:
    zh, en = run_of(path, "zh"), run_of(path, "en")
    assert zh.claims == en.claims >= 3
    assert not list(differences(zh.results, en.results))
    assert zh.text != en.text and zh.text.startswith("问题: ") and en.text.startswith("Question: ")
    for _, field, text in prose(ast.parse(path.read_text(encoding="utf-8"))):
        chinese = sum("\u4e00" <= c <= "\u9fff" for c in text)
        assert chinese > 0 if field == "zh" else chinese < len(text) / 2, text


@each_lesson
def test_prose_has_no_digit_that_is_not_computed(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [
        f"line {line}: {text}" for line, _, text in prose(tree) if any(c.isdigit() for c in text)
    ]
    assert not wrong, "\n".join(wrong)


@each_lesson
def test_form_of_a_lesson(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert 80 <= len(source.splitlines()) <= 200
    assert sum(line.startswith("# %%") for line in source.splitlines()) >= 4
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert top_module(node) in {"numtx", "numpy", "time", "tempfile", "pathlib", "math",
                                        "dataclasses", "__future__"}  # fmt: skip
    calls = [name for name, _ in lesson_calls(tree)]
    assert "exercise" in calls and "check" in calls[calls.index("exercise") :]


# The lesson that says what a term means; those before it do without.
TERMS = {
    1: ("词元", "编码器", "标签", "训练", "向量", "logits"),
    2: ("嵌入", "位置编码", "内积"),
    3: ("softmax", "W_Q", "单位阵", "账本"),
    4: ("掩码", "因果", "交叉注意力", "NaN"),
    5: ("W_O", "残差", "归一化", "偏置", "前馈", "损失", "参数", "梯度", "反向传播"),
    7: ("学习率", "adamw"),
    8: ("贪心", "缓存", "teacher forcing", "exposure bias"),
    9: ("自回归",),
    11: ("预填充",),
    14: ("GQA", "MLA", "潜向量", "旋转位置"),
    15: ("束搜索", "采样", "温度", "种子", "重复惩罚"),
    16: ("[MASK]",),
    17: ("<sep>",),
    18: ("定律",),
    21: ("均方根", "ALiBi"),
    24: ("专家",),
    25: ("sigmoid",),
    27: ("config.json",),
    29: ("fork",),
}


@pytest.mark.parametrize(("number", "term"), [(n, term) for n in TERMS for term in TERMS[n]])
def test_no_lesson_uses_a_term_before_it_is_introduced(number: int, term: str) -> None:
    assert min(n for n, text in said_in_chinese().items() if term in text) == number


@functools.cache
def said_in_chinese() -> dict[int, str]:
    """The Chinese prose of every lesson, by its number."""
    return {
        int(path.name[:2]): "\n".join(
            text
            for _, field, text in prose(ast.parse(path.read_text(encoding="utf-8")))
            if field == "zh"
        )
        for path in LESSONS
    }


def top_module(node: ast.Import | ast.ImportFrom) -> str:
    name = node.names[0].name if isinstance(node, ast.Import) else (node.module or "")
    return name.split(".")[0]


def lesson_calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls of the lesson's methods and of Lesson itself, in order of lines."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        if isinstance(call.func, ast.Attribute):
            yield call.func.attr, call
        elif isinstance(call.func, ast.Name):
            yield call.func.id, call


def prose(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, field and text of every prose string, without what stands in braces."""
    for name, call in lesson_calls(tree):
        for keyword in call.keywords:
            if name not in PROSE or keyword.arg not in PROSE[name]:
                continue
            if keyword.arg == "before":
                assert isinstance(keyword.value, ast.Tuple), "before is a pair of texts"
                for field, text in zip(("zh", "en"), keyword.value.elts, strict=True):
                    yield text.lineno, field, fixed_text(text)
            else:
                yield keyword.value.lineno, keyword.arg, fixed_text(keyword.value)


def fixed_text(node: ast.expr) -> str:
    """The text of a string or f-string; what stands in its braces must be computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    assert isinstance(node, ast.JoinedStr), f"line {node.lineno}: prose is written where it is said"
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(part.value)
        else:
            assert isinstance(part, ast.FormattedValue)
            assert not isinstance(part.value, ast.Constant), f"line {node.lineno}: a number by hand"
    return "".join(parts)


@pytest.mark.parametrize(
    "source",
    [
        'lesson.say(zh="长 7", en="")',
        'lesson.say(zh="", en=f"{n} rows of 4")',
        'lesson.check(n == 7, zh="", en=f"x² {n}")',
        'Lesson(zh="", en="", before=("", "7"), document="003")',
    ],
)
def test_a_digit_in_prose_is_found(source: str) -> None:
    assert any(any(c.isdigit() for c in text) for _, _, text in prose(ast.parse(source)))


@pytest.mark.parametrize("source", ['lesson.say(zh=f"{7} 行", en="")', "lesson.say(zh=a, en=b)"])
def test_prose_from_elsewhere_is_refused(source: str) -> None:
    with pytest.raises(AssertionError):
        list(prose(ast.parse(source)))


def test_lines_are_compared_to_two_decimals() -> None:
    assert same_line("[ok] 0.301 of  -2.00", "[ok] 0.31 of -2.00")
    assert not same_line("[ok] 0.301 of 2.00", "[ok] 0.32 of 2.00")
    assert not same_line("[ok] 0.301 of 2.00", "[ok] 0.301 or 2.00")
    assert not same_line("a 0.301", "a -0.301")
