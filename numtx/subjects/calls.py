"""What the laws call: a plain call before all else, and what is said where a call raises."""

from __future__ import annotations

import copy
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SubjectError
from ..shapes import Array
from .logits import check_logits, on_one_line
from .subject import LOGITS, Subject

METHODS = (
    "logits", "step", "fork", "truncate", "reorder", "reset", "lengths", "attend", "gradients",
    "filtered", "sample", "search",
)  # fmt: skip
_ROOMS = ("subjects", "operators", "laws", "operator_laws", "testing")
_KIT = tuple(str(Path(__file__).parents[1] / room) + os.sep for room in _ROOMS)
_LIBRARY = str(Path(sysconfig.get_path("stdlib")))
_SITE = ("site-packages", "dist-packages")
_FOREIGN = {"numpy", "torch", "hypothesis", "jax"}


class Call(NamedTuple):
    """One call of a subject's method."""

    method: str
    given: dict[str, Any]

    def lines(self) -> list[str]:
        """The call with shapes, and what was given."""
        method, given = self.method, dict(self.given)
        if method == "step" and given.get("state") is None:
            method = "prefill"
        arrays = {n: a for n, a in given.items() if n != "state" and a is not None}
        words = [
            f"{n} {list(a.shape)}" if isinstance(a, np.ndarray) else n for n, a in arrays.items()
        ]
        if given.get("state") is not None:
            words.insert(min(1, len(words)), "state")
        return [
            f"  call: {method}({', '.join(words)})",
            *(f"  {name}: {on_one_line(value)}" for name, value in arrays.items()),
        ]


class CallFailed(Exception):  # noqa: N818 (the call failed; no law did)
    """A subject raised in a call that a right model can do, or gave what no logits are.

    law    the name of what asked
    error  what was raised
    call   the call that was going on, if any was
    """

    def __init__(self, law: str, error: BaseException, call: Call | None) -> None:
        super().__init__(law)
        self.law, self.error, self.call = law, error, call

    def __str__(self) -> str:
        told = " ".join(str(self.error).split())
        own = isinstance(self.error, SubjectError)
        lines = [f"{self.law} error: {told if own else f'{type(self.error).__name__}: {told}'}"]
        frame = None if own else _line(self.error)
        if frame is not None:
            source = f": {frame.line}" if frame.line else ""
            lines.append(f"  line: {Path(frame.filename).name}:{frame.lineno}{source}")
        return "\n".join(lines + ([] if self.call is None else self.call.lines()))


def _line(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of the model's own code; of a library's where there is none."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_KIT, "<"))
    ]
    own = [frame for frame in frames if not _is_foreign(Path(frame.filename))]
    return own[-1] if own else None


def _is_foreign(file: Path) -> bool:
    """Whether a file is of Python's own library or of a known package, wherever that stands."""
    modules = (sys.modules.get(name) for name in _FOREIGN)
    homes = [str(Path(m.__file__).parent) for m in modules if m is not None and m.__file__]
    if str(file).startswith(tuple(home + os.sep for home in homes)):
        return True
    return str(file).startswith(_LIBRARY) and not any(site in file.parts for site in _SITE)


def watched(subject: Subject, going_on: list[Call]) -> Subject:
    """The same subject; a call stands in `going_on` until it has returned."""

    def watch(name: str) -> Callable[..., Any]:
        method = getattr(subject, name)
        signature = inspect.signature(method)

        def call(*args: Any, **given: Any) -> Any:
            going_on[:] = [Call(name, dict(signature.bind(*args, **given).arguments))]
            found = method(*args, **given)
            going_on.clear()
            return found

        return call

    own = copy.copy(subject)
    for name in METHODS:
        if hasattr(subject, name):
            setattr(own, name, watch(name))
    return own


def first_calls(subject: Subject) -> CallFailed | None:
    """A plain call, one of another number of rows, and one of the longest input.

    What they give must be logits [B, T, V] for ids [B, T]: finite floats, of one V.
    """
    if subject.kind != LOGITS:
        found_wrong: CallFailed | None = subject.first_call()
        return found_wrong
    going_on: list[Call] = []
    own = watched(subject, going_on)
    generator = np.random.default_rng(0)
    longest = subject.longest
    for shape in dict.fromkeys(((2, min(3, longest)), (1, min(2, longest)), (1, longest))):
        ids = generator.integers(0, subject.vocabulary_size, shape)
        call = Call("logits", {"ids": ids})
        try:
            found: Array = own.logits(ids)
            check_logits(np.asarray(found), ids, subject.vocabulary_size, subject.name, whole=True)
        except (Exception, SystemExit) as error:
            return CallFailed("call", error, going_on[0] if going_on else call)
    return None
