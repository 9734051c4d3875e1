"""Answers that were written without a look at the declared mistakes are judged as they should."""

from __future__ import annotations

import numpy as np
import pytest
import wrong_answers_in_training  # noqa: F401
import wrong_answers_in_words  # noqa: F401
import wrong_answers_of_a_class  # noqa: F401
import wrong_answers_of_a_class_on_words  # noqa: F401
from wrong_answers import ANSWERS, RIGHT, UNKNOWN, Answer

from numtx.answering.child import answer, told
from numtx.answering.exercise import copied, exercises
from numtx.answering.judge import Verdict, judge
from numtx.answering.run import outcome

WRONG = [one for one in ANSWERS if RIGHT not in one.kinds]


def verdict_of(one: Answer) -> Verdict:
    """What `numtx check` finds, without a process of its own."""
    exercise = exercises()[one.exercise]
    found = []
    for case in exercise.cases:
        with np.errstate(all="ignore"):
            try:
                found.append(outcome("my.py", answer(one.function(*copied(case.arguments)))))
            except Exception as error:
                found.append(outcome("my.py", told(error, __file__)))
    return judge(exercise, found, "my.py")


@pytest.mark.parametrize("one", ANSWERS, ids=[f"{one.exercise}-{one.kinds[0]}" for one in ANSWERS])
def test_the_mistake_is_named_and_no_other(one: Answer) -> None:
    verdict = verdict_of(one)
    assert verdict.right == (one.kinds == (RIGHT,))
    named = [{text.en for text in names} for names in verdict.kinds]
    wanted = [] if one.kinds[0] in (RIGHT, UNKNOWN) else [one.kinds]
    assert len(named) == len(wanted), named
    for texts, parts in zip(named, wanted, strict=True):
        assert len(texts) == len(parts) and all(any(p in t for t in texts) for p in parts), texts


def test_there_are_enough_of_them() -> None:
    assert len(WRONG) >= 60
    assert len({kind for one in WRONG for kind in one.kinds}) > 40
    assert {one.exercise for one in ANSWERS} == set(exercises())
    assert sum(len(one.kinds) > 1 for one in WRONG) >= 5
    assert sum(one.kinds == (UNKNOWN,) for one in WRONG) >= 4
