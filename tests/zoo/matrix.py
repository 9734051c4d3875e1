"""The zoo: planted bugs, and which law catches which.

Each bug is planted by itself, and the laws are tried on a few models. What no law catches is either
proven equivalent or a gap in the laws. Nothing here imports numtx.
"""

from __future__ import annotations

import argparse
import ast
import json
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .bug import Bug
from .planting import Child, PlantingError, file_of, load_libraries
from .registry import OF_LAWS
from .standing import ALONE, IMPLIED, STAYS

# What may be known of a model, from the least to the most: each adds to what stands before it.
LADDER: tuple[tuple[str, frozenset[str]], ...] = (
    ("ids -> logits", frozenset({"logits"})),
    ("+ mask", frozenset({"mask", "documents"})),
    ("+ memory", frozenset({"memory"})),
    ("+ prefill and step", frozenset({"step", "step with mask"})),
    (
        "+ edits of a cache",
        frozenset({"fork", "truncate", "reorder", "shift", "lengths", "reset"}),
    ),
    ("+ trace and parameters", frozenset({"paths", "speculate", "numtx"})),
)


class Kills(NamedTuple):
    """The laws that caught one bug, each with the first message."""

    bug: Bug
    by: dict[str, str]


class Matrix(NamedTuple):
    """Which law catches which bug.

    needs  of each law, the capabilities that it uses
    laws   those that were tried
    """

    kills: list[Kills]
    needs: Mapping[str, Sequence[str]]
    laws: Sequence[str]

    @property
    def survivors(self) -> list[Bug]:
        """Bugs that nothing caught and that are not proven equivalent."""
        return [kill.bug for kill in self.kills if not kill.by and not kill.bug.equivalent]

    @property
    def idle(self) -> list[str]:
        """Laws that caught nothing and do not say why they stay."""
        busy = {name for kill in self.kills for name in kill.by}
        return [name for name in self.laws if name not in busy and name not in STAYS]

    @property
    def disproven(self) -> list[Kills]:
        """Bugs said to be equivalent that some law tells from the original."""
        return [kill for kill in self.kills if kill.by and kill.bug.equivalent]

    @property
    def silent(self) -> list[str]:
        """Laws that did not speak for a bug for which they must."""
        return [
            f"{law}: {kill.bug.name}"
            for kill in self.kills
            for law in kill.bug.laws.split() if law in self.laws and law not in kill.by
        ]  # fmt: skip

    @property
    def misstated(self) -> list[str]:
        """What `standing` says of a law, and was not so."""
        by = {kill.bug.name: kill.by for kill in self.kills}
        found = []
        for law, bug in ALONE.items():
            others = sorted(one for one in by.get(bug, ()) if one[0] != law[0])
            if law in self.laws and others:
                found.append(f"{law} has no bug to itself: {bug}, caught by {' '.join(others)}")
        for law, implied in IMPLIED.items():
            if law in self.laws and set(implied.split()) <= set(self.laws):
                left = [
                    bug
                    for bug, own in by.items()
                    if law in own and own.keys().isdisjoint(implied.split())
                ]
                found += [f"{law} is not implied by {implied}: {bug}" for bug in left]
        return found

    @property
    def ok(self) -> bool:
        wrong = self.survivors or self.silent or self.idle or self.disproven or self.misstated
        return not wrong

    def shares(self) -> list[tuple[str, int, int]]:
        """(what may be known, bugs killed with that alone, bugs that can be killed)"""
        real = [kill for kill in self.kills if not kill.bug.equivalent]
        known: frozenset[str] = frozenset()
        found = []
        for name, more in LADDER:
            known |= more
            asked = {law for law in self.laws if known.issuperset(self.needs[law])}
            found.append((name, sum(not asked.isdisjoint(kill.by) for kill in real), len(real)))
        return found

    def text(self) -> str:
        """The matrix by bug and by law, and what follows from it."""
        lines = ["planted bugs, and the laws that catch them", ""]
        for kill in self.kills:
            by = " ".join(name for name in self.laws if name in kill.by)
            if kill.bug.equivalent:
                by = f"equivalent: {kill.bug.equivalent}"
            lines.append(f"{kill.bug.module:<20} {kill.bug.name}: {by or 'SURVIVES'}")
        lines += ["", "laws, how many bugs each catches, and how many it alone", ""]
        for name in self.laws:
            caught = [kill for kill in self.kills if name in kill.by]
            alone = sum(len(kill.by) == 1 for kill in caught)
            why = f"by itself: {ALONE[name]}" if name in ALONE else STAYS.get(name, "")
            why = f"implied by {IMPLIED[name]}" if name in IMPLIED else why
            lines.append(f"{name:<10} {len(caught):>4} {alone:>4}  {why}")
        lines += ["", "share of the bugs killed by what is known of the model", ""]
        for name, count, total in self.shares():
            lines.append(f"{name:<26} {count:>4} of {total}  {count / max(total, 1):.0%}")
        alone_lines = [
            f"{next(iter(kill.by))}: {kill.bug.name}" for kill in self.kills if len(kill.by) == 1
        ]
        lines += ["", "bugs that one law alone catches", "", *(sorted(alone_lines) or ["none"])]
        lines += ["", f"survivors: {', '.join(bug.name for bug in self.survivors) or 'none'}"]
        if self.idle:
            lines.append(f"laws that catch nothing: {', '.join(self.idle)}")
        if self.silent:
            lines.append(f"laws that should have spoken: {', '.join(self.silent)}")
        lines += self.misstated
        for kill in self.disproven:
            lines.append(f"not equivalent: {kill.bug.name}, caught by {', '.join(kill.by)}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The matrix as strict JSON."""
        rows = [
            {
                "bug": kill.bug.name, "module": kill.bug.module, "old": kill.bug.old,
                "new": kill.bug.new, "equivalent": kill.bug.equivalent, "killed_by": kill.by,
            }
            for kill in self.kills
        ]  # fmt: skip
        shares = [{"known": name, "killed": n, "of": total} for name, n, total in self.shares()]
        return json.dumps({"bugs": rows, "shares": shares}, ensure_ascii=False, indent=1)


def kill_matrix(
    laws: Iterable[str] | None = None,
    bugs: Sequence[Bug] = OF_LAWS,
    *,
    seed: int = 0,
    examples: int = 4,
    workers: int = 2,
    most: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Matrix:
    """Plant each bug by itself and try the laws, so many bugs at a time; on all models, or on so
    many of them."""
    needs = Child((), "zoo.laws:needs").answer()
    names = list(needs) if laws is None else list(laws)
    models = range(Child((), "zoo.laws:models").answer())[:most]
    known = in_children(
        [((), "zoo.laws:reached", number, names, seed, examples) for number in models],
        workers, lambda done: progress(f"what each law runs: model {done}/{len(models)}"),
    )  # fmt: skip
    start = time.monotonic()

    def tell(done: int) -> None:
        left = (time.monotonic() - start) / done * (len(bugs) - done)
        progress(f"{done}/{len(bugs)} bugs, {_minutes(left)} left")

    work = [([bug.change], "zoo.laws:speaking", _plan(bug, known), seed, examples) for bug in bugs]
    found = in_children(work, workers, tell)
    return Matrix([Kills(*pair) for pair in zip(bugs, found, strict=True)], needs, names)


def in_children(
    work: Sequence[tuple[Any, ...]], workers: int, progress: Callable[[int], None]
) -> list[Any]:
    """The answers of children, of whom so many run at a time."""
    waiting = list(enumerate(work))[::-1]
    running: dict[Child, int] = {}
    found: dict[int, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                number, arguments = waiting.pop()
                running[Child(*arguments)] = number
            for child in select.select(list(running), [], [])[0]:
                found[running.pop(child)] = child.answer()
                progress(len(found))
    finally:
        for child in running:
            child.end()
    return [found[number] for number in range(len(work))]


def _plan(
    bug: Bug, known: Sequence[Sequence[tuple[str, list[str]]]]
) -> list[tuple[int, list[str]]]:
    """The models, and of each the laws to be tried: on all models those that must speak, on the
    first and the last others, of those that run the function that a bug stands in."""
    where, must = function_of(bug), bug.laws.split()
    running: dict[str, list[int]] = {}
    for number, laws in enumerate(known):
        for law, places in laws:
            if law in must or where is None or where in places:
                running.setdefault(law, []).append(number)
    wanted = {law: n if law in must else (n[0], n[-1]) for law, n in running.items()}
    return [
        (number, [law for law, _ in laws if number in wanted.get(law, ())])
        for number, laws in enumerate(known)
    ]


def function_of(bug: Bug) -> str | None:
    """The innermost function around all of a change, as `file:line`; None outside of them."""
    file = file_of(bug.module)
    source = file.read_text(encoding="utf-8")
    first = source[: source.index(bug.old)].count("\n") + 1
    last = first + bug.old.rstrip("\n").count("\n")
    around = [
        min([node.lineno, *(one.lineno for one in node.decorator_list)])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and node.body[0].lineno <= first and last <= (node.end_lineno or 0)
    ]  # fmt: skip
    return f"{file}:{max(around)}" if around else None


def _minutes(seconds: float) -> str:
    return f"{seconds / 60.0:.0f} min" if seconds > 90.0 else f"{seconds:.0f} s"


def main() -> int:
    """The matrix as JSON on standard output, its progress on standard error."""
    parser = argparse.ArgumentParser("zoo")
    parser.add_argument("--law", action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=4)
    args = parser.parse_args()
    load_libraries()
    tell = Progress()
    try:
        matrix = kill_matrix(args.law, seed=args.seed, examples=args.examples, progress=tell)
    except KeyboardInterrupt:
        return 130
    except PlantingError as error:
        print(f"numtx: {str(error).splitlines()[-1]}", file=sys.stderr)
        return 2
    finally:
        tell.end()
    print(json.dumps({"ok": matrix.ok, "text": matrix.text(), "json": matrix.to_json()}))
    return 0


class Progress:
    """A line written over on a terminal's standard error; elsewhere a line for each text."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        line = f"\r\x1b[K{text}"[:110] if self.terminal else f"{text}\n"
        print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
