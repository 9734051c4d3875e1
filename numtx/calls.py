"""What the laws call: a plain call before all else, and what is said where a call raises."""

from __future__ import annotations

import copy
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import SubjectError
from .shapes import Array
from .subjects.logits import COARSE, Widened, check_logits, eps_of, on_one_line
from .subjects.objects import PastSubject
from .subjects.subject import FORK, LOGITS, NUMTX, STEP, STEP_MASK, Subject

METHODS = (
    "logits", "in_documents", "step", "fork", "truncate", "reorder", "reset", "lengths", "shift",
    "hide", "speculate", "along", "attend", "gradients", "filtered", "sample", "search",
)  # fmt: skip
_HOME = Path(__file__).parent
_ROOMS = (
    *_HOME.glob("*laws"),
    *map(_HOME.joinpath, ("subjects", "operators", "adapters", "testing")),
)
_KIT = (__file__, *(str(room) + os.sep for room in _ROOMS))
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
        arrays = {
            n: a for n, a in given.items() if n != "state" and a is not None and not callable(a)
        }
        words = [
            f"{n} {list(a.shape)}" if isinstance(a, np.ndarray) else n for n, a in arrays.items()
        ]
        if given.get("state") is not None:
            words.insert(min(1, len(words)), "state")
        return [
            f"  call: {method}({', '.join(words)})",
            *(f"  {name}: {on_one_line(value)}" for name, value in arrays.items()),
        ]


class Done(NamedTuple):
    """A call that was made, and what it gave; None: it raised."""

    call: Call
    found: Any


class Traced(np.ndarray[Any, Any]):
    """Logits whose parts know where they stood, as long as they are only taken out.

    origin  of their shape: the number of the call, the row and the token, in one number (`placed`)
    """

    origin: Array | None = None

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if isinstance(found, Traced) and self.origin is not None:
            found.origin = self.origin[index]
        return found


class TracedWidened(Traced, Widened):
    """The same of logits that were widened."""


def _traced(logits: Array, call: int) -> Traced:
    """Logits [B, T, V] of a call by its number."""
    rows, tokens = np.indices(logits.shape[:2])
    found = logits.view(TracedWidened if isinstance(logits, Widened) else Traced)
    places = np.asarray(call << 40 | rows << 20 | tokens)
    found.origin = np.broadcast_to(places[..., None], logits.shape)
    return found


def placed(origin: int) -> tuple[int, int, int]:
    """The number of a call, the row and the token."""
    return origin >> 40, origin >> 20 & 0xFFFFF, origin & 0xFFFFF


class CallFailed(Exception):  # noqa: N818 (the call failed; no law did)
    """A subject raised in a call that a right model can do, or gave what no logits are.

    law    the name of what asked
    error  what was raised
    call   the call that was going on, if any was
    """

    def __init__(self, law: str, error: BaseException, call: Call | None) -> None:
        super().__init__(law)
        self.law, self.error, self.call = law, error, call
        self.taken: tuple[int, ...] = ()  # numbers of rows that the same call takes
        self.calls: tuple[Done, ...] = ()  # up to the one that failed, where they are kept

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


def watched(subject: Subject, going_on: list[Call], done: list[Done] | None = None) -> Subject:
    """The same subject; a call stands in `going_on` until it has returned.

    done  where calls are kept, with what they gave
    """

    def watch(name: str) -> Callable[..., Any]:
        method = getattr(subject, name)
        signature = inspect.signature(method)

        def call(*args: Any, **given: Any) -> Any:
            before = list(going_on)  # a draft asks for logits within a call
            going_on[:] = [Call(name, dict(signature.bind(*args, **given).arguments))]
            number = None
            if done is not None:
                number = len(done)
                kept = {
                    n: copy.copy(a) if n != "state" else a for n, a in going_on[0].given.items()
                }
                done.append(Done(Call(name, kept), None))
            found = method(*args, **given)
            going_on[:] = before
            if number is None or done is None:
                return found
            if name in ("logits", "in_documents"):
                found = _traced(found, number)
            elif name == "step":
                found = _traced(found[0], number), found[1]
            done[number] = Done(done[number].call, found)
            return found

        return call

    own = copy.copy(subject)
    for name in METHODS:
        if hasattr(subject, name):
            setattr(own, name, watch(name))
    return own


FAR = (72, 40, 20)  # long inputs to try: blocks and rings of 16 and 32 tokens are passed
ROWS = (1, 2, 3, 4, 8)  # rows to try where a model does not take any number of them


def first_calls(subject: Subject) -> CallFailed | None:
    """A plain call, one of another number of rows, and one of the longest input.

    What they give must be logits [B, T, V] for ids [B, T]: finite floats, of one V.
    """
    if subject.kind != LOGITS:
        wrong: CallFailed | None = subject.first_call()
        return wrong
    longest, fixed = subject.longest, subject.fixed_rows
    rows = (fixed, fixed) if fixed else (2, 1)
    shapes = ((rows[0], min(3, longest)), (rows[1], min(2, longest)), (rows[1], longest))
    for shape in dict.fromkeys(shapes):
        failed = _plain(subject, *shape)
        if failed is not None:
            failed.taken = () if fixed else rows_taken(subject, _plain)
            return failed
    return None


def _plain(subject: Subject, rows: int, length: int) -> CallFailed | None:
    ids = np.random.default_rng(0).integers(0, subject.vocabulary_size, (rows, length))

    def ask(own: Subject) -> None:
        found: Array = own.logits(ids)
        check_logits(np.asarray(found), ids, subject.vocabulary_size, subject.name, whole=True)

    return _failed(subject, ask, Call("logits", {"ids": ids}))


def _stepped(subject: Subject, rows: int, length: int) -> CallFailed | None:
    """A prefill of all tokens but one, and a step."""
    ids = np.random.default_rng(0).integers(0, subject.vocabulary_size, (rows, max(2, length)))

    def ask(own: Subject) -> None:
        _, state = own.step(ids[:, :-1])
        own.step(ids[:, -1:], state)

    return _failed(subject, ask, Call("step", {"ids": ids}))


def _failed(subject: Subject, ask: Callable[[Subject], None], call: Call) -> CallFailed | None:
    going_on: list[Call] = []
    try:
        ask(watched(subject, going_on))
    except (Exception, SystemExit) as error:
        return CallFailed("call", error, going_on[0] if going_on else call)
    return None


def rows_taken(subject: Subject, ask: Any = None) -> tuple[int, ...]:
    """The numbers of rows that a call takes, or a prefill with a step after it."""
    ask, length = ask or _stepped, min(3, subject.longest)
    return tuple(rows for rows in ROWS if ask(subject, rows, length) is None)


def never_truncates(subject: Subject) -> bool:
    """Whether no state of a few tokens can be cut to any length."""
    ids = np.random.default_rng(0).integers(
        0, subject.vocabulary_size, (subject.fixed_rows or 1, 4)
    )
    for length in (3, 2, 1):

        def ask(own: Subject, length: int = length) -> None:
            own.truncate(own.step(ids)[1], [length] * len(ids))

        if _failed(subject, ask, Call("truncate", {"ids": ids})) is None:
            return False
    return True


def settled(subject: Subject) -> Subject:
    """The subject with the longest inputs that it takes, unless that is declared.

    A cache of its call that gives no state back is none, and that is noted.
    """
    own = copy.copy(subject)
    if isinstance(own, PastSubject):
        nothing = _stepped(own, own.fixed_rows or 2, 2)
        if nothing and isinstance(nothing.error, SubjectError):
            own.capabilities = own.capabilities - {STEP, STEP_MASK, FORK}
            own.notes = (*own.notes, f"argument {own.past}: not asked; {nothing.error}")
    kind = type(own)
    if "longest" in own.said or own.far > own.longest or kind.longest is not Subject.longest:
        return own
    if NUMTX in own.capabilities:
        return own
    rows = own.fixed_rows or 1
    for length in (min(length, own.limit or length) for length in FAR):
        if length > own.longest and _takes(own, rows, length):
            own.far = length
            break
    return own


def digits(subject: Subject) -> Iterator[str]:
    """A note on logits of a type in which an effect may be lost."""
    found = subject.logits(np.zeros((subject.fixed_rows or 1, 1), np.int64))
    if eps_of(found) > COARSE:
        kind = "bfloat16" if isinstance(found, Widened) else found.dtype
        yield f"logits are {kind}: that a token has an effect is asked only where it is not lost"


def _takes(subject: Subject, rows: int, length: int) -> bool:
    own = copy.copy(subject)
    own.far = length
    if _plain(own, rows, length) is not None:
        return False
    return STEP not in own.capabilities or _stepped(own, rows, length) is None
