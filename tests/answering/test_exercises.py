"""The exercises: one for each lesson that shows a matrix; form, answer and reference agree; what
is written for a reader tells nothing of the answer."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from numtx.answering.exercise import Exercise, copied, exercises, of_lesson
from numtx.answering.judge import KIND, RIGHT_IN_SINGLE, Verdict, agree, first_wrong
from numtx.answering.run import template
from numtx.answering.text import answer_text, hints_text, verdict_text
from numtx.show.grid import display_width

LESSONS = sorted((Path(__file__).parents[2] / "walkthroughs").glob("*.py"))
# Lessons that show a matrix and have no exercise to write.
WITHOUT = {
    "20": "what it shows is what documents state, not what a reader could compute",
}
CALLS = {"show", "explain", "grid"}  # of a lesson, that print a matrix or how a cell comes about

every_exercise = pytest.mark.parametrize("name", exercises())


def test_every_lesson_that_shows_a_matrix_has_an_exercise() -> None:
    showing = set()
    for path in LESSONS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "lesson":
                showing |= {path.name[:2]} if node.attr in CALLS else set()
    having = {one.lesson for one in exercises().values()}
    assert showing - having == set(WITHOUT)
    assert having <= {path.name[:2] for path in LESSONS}


def made(one: Exercise, taken: dict[int, int] | None = None) -> list[np.ndarray | None]:
    return [one.result(case, taken) for case in one.cases]


@every_exercise
def test_form_and_answer_are_the_reference(name: str) -> None:
    one = exercises()[name]
    for got, wanted in zip(made(one), one.expected, strict=True):
        assert agree(got, wanted, 1e-10)
    known = {"np": np}
    body = "\n".join(f"    {line}" for line in one.answer.splitlines())
    exec(f"{one.signature}\n{body}", known)
    for case, wanted in zip(one.cases, one.expected, strict=True):
        assert agree(np.asarray(known[name](*copied(case.arguments))), wanted, 1e-10)


@every_exercise
def test_cases_tell_the_mistakes_apart(name: str) -> None:
    """Whatever the precision of an answer, no mistake passes for right or for another one."""
    one, apart = exercises()[name], 10 * max(KIND, RIGHT_IN_SINGLE)
    results = [(each.names, made(one, dict(each.taken))) for each in one.mistaken(1)]
    for names, found in results:
        assert any(x is not None for x in found), names
    results.append(((), list(one.expected)))
    for k, (names, found) in enumerate(results):
        for other, beside in results[:k]:
            pairs = zip(found, beside, strict=True)
            assert names == other or not all(agree(a, b, apart) for a, b in pairs), (names, other)


@every_exercise
def test_nothing_tells_the_answer_before_it_is_asked_for(name: str) -> None:
    one = exercises()[name]
    cell = first_wrong(made(one, {0: 0}), one.expected, 1e-6)
    said = "\n".join(
        [
            template(of_lesson(one.lesson), one.lesson, "both"),
            hints_text(one, 99, None, "both", 80),
            verdict_text(Verdict(one, False, cell=cell), "both", 80),
        ]
    )
    code = [line.strip() for line in one.answer.splitlines() if len(line.strip()) > 12]
    assert code and not [line for line in code if line in said]
    for wanted in one.expected:
        numbers = {f"{x:.6g}" for x in wanted.ravel().tolist() if x not in (0, 1, -100)}
        assert len(numbers & set(re.findall(r"-?\d+\.\d+(?:e-?\d+)?", said))) <= 1
    said += "\n" + answer_text(one)
    assert all(display_width(line) <= 80 for line in said.splitlines()), said
    assert len(one.hints) >= 2


@pytest.mark.parametrize("lang", ["zh", "en", "both"])
def test_a_template_has_a_hole_for_each_exercise(lang: str) -> None:
    tree = ast.parse(template(of_lesson("06"), "06", lang))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert list(functions) == ["softmax_backward", "logits_gradient", "norm_backward"]
    for node in functions.values():
        assert ast.unparse(node.body[-1]) == "..." and len(node.body) == 2
        chinese = sum("一" <= c <= "鿿" for c in ast.get_docstring(node) or "")
        assert (chinese > 0) == (lang != "en")
