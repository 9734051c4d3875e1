"""A plugin of pytest: `pytest --numtx my_model:model` asks a model the laws, one test a law.

Nothing of numtx is imported here until the option is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

PASSES = ("passed", "rounding")
SKIPS = ("skipped", "vacuous")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("numtx", "laws of masks, caches and batches")
    group.addoption(
        "--numtx", action="append", default=[], metavar="MODULE:OBJECT",
        help="ask this model the laws of numtx, one test a law (repeatable): a callable ids -> "
        "logits with a vocabulary_size, in a module or in path/to/file.py:OBJECT",
    )  # fmt: skip
    group.addoption("--numtx-vocabulary", type=int, metavar="N", help="the models' vocabulary_size")
    group.addoption(
        "--numtx-law", action="append", metavar="NAME", help="only this law (repeatable)"
    )
    group.addoption(
        "--numtx-examples", type=int, default=50, metavar="N",
        help="examples of each law (default 50)",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by -k and -m
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    for model in config.getoption("--numtx"):
        items.extend(_tests(session, config, model))


def _tests(session: pytest.Session, config: pytest.Config, model: str) -> Iterator[pytest.Item]:
    """The tests of one model; what cannot be loaded or is no model is an error of usage."""
    from .errors import NumtxError
    from .testing import need_hypothesis

    try:
        need_hypothesis()
        from .laws.law import law_of
        from .subjects.subject import subject
        from .testing.trial import Trial, law_names
        from .verdicts.laws import load

        vocabulary = config.getoption("--numtx-vocabulary")
        options = {} if vocabulary is None else {"vocabulary_size": vocabulary}
        asked = config.getoption("--numtx-law") or ()
        for name in asked:
            law_of(name)
        own = subject(load(model), **options)
        laws = [law_of(name, own.kind) for name in asked or law_names(own.kind)]
    except NumtxError as error:
        raise pytest.UsageError(f"--numtx {model}: {error}") from None
    trial = Trial(own, examples=config.getoption("--numtx-examples"))
    first = cache(lambda: trial.first({law.name for law in laws}))  # once, not before each law
    for law in laws:
        name = f"{model}[{law.name}]"
        yield LawTest.from_parent(session, name=name, trial=trial, first=first, law=law)


class LawTest(pytest.Item):
    """One law, asked of one model."""

    def __init__(self, *, trial: Any, first: Callable[[], Any], law: Any, **given: Any) -> None:
        super().__init__(**given)
        self.trial, self.first, self.law = trial, first, law

    def runtest(self) -> None:
        result = self.first() or self.trial.ask(self.law)
        if result.status in SKIPS:
            pytest.skip(result.why)
        if result.status not in PASSES:
            raise LawFailed(result.why)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the law says; the lines of its code say nothing to the model's owner."""
        if isinstance(excinfo.value, LawFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return "numtx", None, self.name


class LawFailed(AssertionError):  # noqa: N818 (a law failed; that is its name)
    """A law that a model breaks, or that its calls did not get through."""
