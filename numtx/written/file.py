"""A file of tests for pytest: the laws as a suite, and each broken one as a test without numtx.

The calls of a broken law's smallest example are written out, and what they gave is compared as the
law compared it. What cannot be said so stands there as a comment, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from ..calls import settled
from ..laws.law import Law
from ..strict_json import parse
from ..subjects.subject import Subject
from ..testing.report import BROKEN, ERROR, Report, Result
from ..testing.trial import attempt
from .calls import AGREE, DIFFER, UnstatedError, functions
from .plain_test import WIDTH, PlainTest


class Source(NamedTuple):
    """Where a model comes from.

    name     as it was given
    imports  lines, beside those of Python's own library and NumPy
    lines    that make `model`
    """

    name: str
    imports: Sequence[str]
    lines: Sequence[str]


class Suite(NamedTuple):
    """What the suite asks: with these declarations, these laws (None: all)."""

    options: Mapping[str, Any]
    laws: Sequence[str] | None
    examples: int
    seed: int
    known: Collection[str] = ()

    def text(self) -> str:
        """The suite, where numtx and hypothesis are installed."""
        given = [f"{name}={value!r}" for name, value in self.options.items()]
        line = f"subject = subject({', '.join(['model', *given])})"
        lines = [line]
        if len(line) > WIDTH - 8:
            lines = ["subject = subject(", "    model,", *(f"    {one}," for one in given), ")"]
        if self.laws is not None:
            names = ", ".join(f'"{law}"' for law in self.laws)
            lines.append(f"laws = ({names}{',' if len(self.laws) == 1 else ''})")
        lines += [f"examples = {self.examples}", f"seed = {self.seed}"]
        if self.known:
            lines += ["known_failures: ClassVar = {"]
            lines += [f'    "{law}": "known when this was written",' for law in sorted(self.known)]
            lines += ["}"]
        body = "".join(f"        {line}\n" for line in lines)
        return SUITE.format(body=body)


SUITE = '''
if all(map(importlib.util.find_spec, ("numtx", "hypothesis"))):
    from numtx.testing import LawSuite, subject

    class TestLaws(LawSuite):
        """The laws, one test a law."""

{body}else:

    def test_laws():
        pytest.skip("the laws need numtx and hypothesis: install numtx[test]")
'''.lstrip()


def text_of(
    report: Report,
    subjects: tuple[Subject, Subject | None],
    source: Source,
    suite: Suite,
    place: Path,
) -> str:
    """The file that will stand at `place`.

    Each plain test is tried before, in a process of its own: one that passes there says nothing.
    Its law is then asked once more, of a model that was asked nothing yet in each example.

    subjects  the model that was tried, and a copy from before, where there is one
    """
    own, fresh = settled(subjects[0]), subjects[1]
    if fresh is not None:
        fresh.far, fresh.capabilities = own.far, own.capabilities
    found = {
        "test_" + re.sub(r"\W", "_", result.law.name.lower()): result
        for result in report.results if result.status in (BROKEN, ERROR)
    }  # fmt: skip
    tests: dict[str, PlainTest] = {}
    why: dict[str, str] = {}

    def add(names: Iterable[str], ask: Callable[[Law], Result] | None = None) -> None:
        for name in names:
            result = found[name] if ask is None else ask(found[name].law)
            try:
                if result.example is None:
                    raise UnstatedError(why.get(name, "it was found in no single example"))
                tests[name] = PlainTest(result.law, result.example, own)
                functions(own, tests[name].used, tests[name].masked)
            except UnstatedError as error:
                tests.pop(name, None)
                why[name] = str(error)
        text = _file(own, source, suite, tests, ())
        try:
            passing = dict.fromkeys(_passing(text, list(tests), place) if tests else (), RESTS)
        except UnstatedError as error:
            passing = dict.fromkeys(tests, str(error))
        for name, told in passing.items():
            del tests[name]
            why[name] = told

    def anew(law: Law) -> Result:
        assert fresh is not None
        more = {"record": True, "anew": True}
        return attempt(law, fresh, seed=suite.seed, examples=suite.examples, **more)

    add(found)
    rests = [name for name in why if why[name] == RESTS]
    if rests and fresh is not None:
        add(rests, anew)
    why = {name: told for name, told in why.items() if name not in tests}
    told = [_comment(f"{found[name].law.name}: no plain test; {why[name]}") for name in why]
    return _file(own, source, suite, tests, told)


RESTS = "in a process of its own its example passes, so what was asked before it matters"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in wrap(" ".join(text.split()), WIDTH - 2))


def _file(
    own: Subject,
    source: Source,
    suite: Suite,
    tests: Mapping[str, PlainTest],
    comments: Sequence[str],
) -> str:
    """The whole text."""
    parts = [test.text(name) for name, test in tests.items()]
    helpers = [f for f in (AGREE, DIFFER) if any(f.split("(")[0][5:] + "(" in p for p in parts)]
    used = {method for test in tests.values() for method in test.used}
    masked = any(test.masked for test in tests.values())
    plain = [functions(own, used, masked)] if tests else []
    plain += [helper.strip() + "\n" for helper in helpers]
    body = "\n\n".join([suite.text(), *comments, *plain, *parts])
    told = '"""The laws of numtx, and what broke one as a test without numtx."""'
    lines = [told, "", *_imports(body, source), *source.lines]
    return "\n".join(lines) + "\n\n" + body


def _imports(body: str, source: Source) -> list[str]:
    """What the text needs, in the order that linters ask for."""
    text = "\n".join([*source.lines, body])
    standard = [f"import {n}" for n in ("copy", "importlib.util", "sys") if f"{n}." in text]
    standard += ["from pathlib import Path"] if "Path(" in text else []
    standard += ["from typing import ClassVar"] if ": ClassVar" in text else []
    others = {"import pytest", *source.imports}
    needed = {
        "import numpy as np": "np.", "import torch": "torch.",
        "from transformers import StaticCache": "StaticCache(",
        "from transformers.modeling_outputs import BaseModelOutput": "BaseModelOutput(",
    }  # fmt: skip
    others |= {line for line, word in needed.items() if word in text}
    others_sorted = sorted(others, key=lambda line: (line.startswith("from"), line))
    return [*standard, "", *others_sorted, ""]


TRIED = """
import io, json, sys
names, file = json.loads(sys.argv[1]), sys.argv[2]
space = {"__name__": "written", "__file__": file}
exec(compile(sys.stdin.read(), file, "exec"), space)
passed = []
for name in names:
    try:
        space[name]()
    except Exception:
        continue
    passed.append(name)
print("\\n" + json.dumps(passed))
"""


def _passing(text: str, names: Sequence[str], place: Path) -> list[str]:
    """The plain tests that pass where they are run once more, on the model loaded anew.

    Raises `UnstatedError` where the file cannot be run there.
    """
    command = [sys.executable, "-c", TRIED, json.dumps(names), str(place)]
    paths = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)  # as found here
    run = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    if run.returncode:
        last = (run.stderr.strip() or f"exit code {run.returncode}").splitlines()[-1]
        raise UnstatedError(f"in a process of its own the file cannot be run: {last}")
    passed: list[str] = parse(run.stdout.splitlines()[-1])
    return passed
