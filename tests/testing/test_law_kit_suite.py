"""Laws as tests of pytest, and what is said where hypothesis is missing."""

from __future__ import annotations

import pydoc
import re
from pathlib import Path

import numpy as np
import pytest
from children import pytests, python
from plain_models import Plain, V, right

from numtx.testing import LawSuite, subject
from numtx.testing.trial import law_names

HERE = Path(__file__).parent


def plain_function(ids):
    return right(ids)


plain_function.vocabulary_size = V


class TestRightModel(LawSuite):
    subject = right
    laws = ("K1", "K3", "B2")
    examples = 8


def attend(q, k, v):
    scores = np.einsum("bhtd,bhsd->bhts", q, k) * q.dtype.type(q.shape[-1] ** -0.5)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bhts,bhsd->bhtd", powers / powers.sum(-1, keepdims=True), v)


class TestAnOperator(LawSuite):
    subject = attend
    examples = 5


def test_an_operator_is_asked_the_laws_of_its_kind():
    assert set(TestAnOperator._names()) == set(law_names("attention"))
    assert set(TestKnownFailures._names()) == {"K1", "B1"}


class TestKnownFailures(LawSuite):
    subject = subject(Plain(ahead=1), name="looks ahead")
    laws = ("K1", "B1")
    known_failures = {"K1": "the mask is off by one"}  # noqa: RUF012
    examples = 8


SUITE = """
from plain_models import Plain
from numtx.testing import LawSuite

class TestModel(LawSuite):
    subject = Plain({ahead})
    laws = ("K1", "K5", "C1", "B2")
    known_failures = {known}
    examples = 8
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What pytest says of a broken model, and of a right one of which a failure was known."""
    runs = []
    for ahead, known in ((1, {}), (0, {"K1": "off by one"})):
        folder = tmp_path_factory.mktemp("suite")
        (folder / "test_suite.py").write_text(SUITE.format(ahead=ahead, known=known))
        runs.append((folder, ["-q", "-rs", "test_suite.py"]))
    return [out for _, out in pytests(runs, "", HERE)]


def test_a_broken_law_fails_and_what_was_not_asked_is_skipped(outcomes):
    out = outcomes[0]
    assert "1 failed, 1 passed, 2 skipped" in out
    assert "K1 broken: tokens after t never move outputs at or before t" in out
    assert "vacuous: none of 1 examples exercised it" in out and "skipped: no step" in out


def test_a_known_failure_that_holds_now_fails(outcomes):
    out = outcomes[1]
    assert "1 failed, 1 passed, 2 skipped" in out
    assert "K1 holds now; it was a known failure: off by one" in out


def test_without_hypothesis_there_is_one_line_that_names_the_extra():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import numtx.testing\n"
        "try:\n    numtx.testing.check\n"
        "except ValueError as error:\n    print(error)\n"
        "from numtx.cli import main\nprint(main(['laws']))"
    )
    run = python("-c", code, check=True)
    line = "the laws need hypothesis, which is not installed; install numtx[test]"
    assert run.stdout.splitlines() == [line, "2"]
    assert run.stderr == f"numtx: {line}\n"


def run_python(code):
    run = python("-c", code, check=True)
    return run.stdout


def test_help_and_dir_show_the_kit_and_the_protocol():
    import numtx.testing as kit

    assert set(kit.__all__) <= set(dir(kit))
    shown = pydoc.render_doc(kit, renderer=pydoc.plaintext)
    shown = re.sub(r"\(\s+", "(", shown)  # a long signature may stand on several lines
    for name in ("class HasSteps(", "class HasEdits(", "class LawSuite", "check(model", "subject("):
        assert name in shown
    assert all(getattr(kit, name) is not None for name in kit.__all__)


def test_the_protocol_is_there_without_hypothesis_and_help_too():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import pydoc, numtx.testing\n"
        "from numtx.testing import HasEdits, HasLogits, HasSteps, Memory, NumtxSubject, subject\n"
        "print('check' in dir(numtx.testing), 'HasSteps' in dir(numtx.testing))\n"
        "print('class HasEdits(' in pydoc.render_doc(numtx.testing, renderer=pydoc.plaintext))"
    )
    assert run_python(code).split() == ["False", "True", "True"]


def test_hypothesis_is_loaded_only_where_laws_are_tried():
    code = (
        "import sys, numtx.testing as kit\n"
        "dir(kit); kit.subject(lambda ids: ids, 5); kit.HasSteps\n"
        "print('hypothesis' in sys.modules)\n"
        "kit.check\nprint('hypothesis' in sys.modules)"
    )
    assert run_python(code).split() == ["False", "True"]


class TestFunction(LawSuite):
    """A function in a suite is not bound to it."""

    subject = plain_function
    laws = ("K1",)
    examples = 5
