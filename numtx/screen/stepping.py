"""A trace stage by stage: a page a stage, below what is under discussion; lines of input choose
which. No more than plain lines and the clearing of the screen, so it works anywhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..show.grid import clean
from ..show.headings import leaf_name, pick, say
from ..show.stage_grid import Style
from ..show.trace_text import trace_text
from ..show.wrap import fold, wrap
from ..stages.catalogue import Text
from ..trace.trace import Trace

CLEAR = "\x1b[2J\x1b[H"
HELP = Text(
    "回车 下一步；b 上一步；阶段的名字（或其末尾，如 weights）或编号 跳到那里；q 退出",
    "Enter: next; b: back; a stage's name (or its end, such as weights) or its number: go there; "
    "q: quit",
)
PROMPT = Text("回车 下一步，b 上一步，? 帮助，q 退出", "Enter next, b back, ? help, q quit")
NEXT, BACK = "n", "b"
TOLD: Mapping[str, Text] = {
    NEXT: Text("这是最后一个阶段", "this is the last stage"),
    BACK: Text("这是第一个阶段", "this is the first stage"),
    "?": HELP,
}


class Stop(NamedTuple):
    """A stage to stop at: its name, its number in computing order, the heading of its act."""

    name: str
    number: int
    heading: str


def stops_of(trace: Trace, stages: Sequence[str], headings: Mapping[str, str]) -> list[Stop]:
    """Where to stop: at these stages, in this order; headings by the names of stages."""
    numbers = {name: n for n, name in enumerate(trace.graph.stages, 1)}
    return [Stop(name, numbers[name], headings.get(name, "")) for name in stages]


def step_through(
    title: str, trace: Trace, stops: Sequence[Stop], style: Style, gradients: bool = False
) -> None:
    """Show one stage after the other, as lines of standard input say, until `q` or its end."""
    screen = sys.stdout.isatty()
    place, part = 0, 0
    while True:
        rule, *blocks = trace_text(trace, style, [stops[place].name], gradients)
        top = "\n".join([*_top(title, trace, stops[place], style), rule])
        body = fold("\n\n".join(blocks), style.width).split("\n")
        lines = shutil.get_terminal_size().lines - top.count("\n") - 3
        room = max(4, lines) if screen else len(body)
        pages = [body[i : i + room] for i in range(0, len(body), room)]
        print((CLEAR if screen else "") + top)
        print("\n".join(pages[part]))
        where = f"{stops[place].number}/{len(trace.graph.stages)}"
        where += f" ({part + 1}/{len(pages)})" * (len(pages) > 1)
        moves = {
            NEXT: part + 1 < len(pages) or place + 1 < len(stops), BACK: part > 0 or place > 0
        }  # fmt: skip
        answer = _ask(stops, place, where, moves, style)
        if answer is None:
            return
        if answer == NEXT:
            place, part = (place, part + 1) if part + 1 < len(pages) else (place + 1, 0)
        elif answer == BACK:
            place, part = (place, part - 1) if part else (place - 1, 0)
        else:
            place, part = int(answer), 0


def _top(title: str, trace: Trace, stop: Stop, style: Style) -> Iterator[str]:
    """What stays: the example, the ids of its tokens, the act and where in the run we are."""
    yield style.painter.bold(wrap(title, style.width, most=1)[0])
    for side, rows in trace.tokens.items():
        if side == "labels" or f"{side}.tokens" not in trace:
            continue
        row = style.row or 0
        ids = trace[f"{side}.tokens"][row].tolist()
        pairs = (f"{clean(t)} {i}" for t, i in zip(rows[row], ids, strict=True))
        yield wrap(f"{side}: {'  '.join(pairs)}", style.width, most=1)[0]
    if stop.heading:
        yield from wrap(stop.heading, style.width)


def _ask(
    stops: Sequence[Stop], place: int, where: str, moves: Mapping[str, bool], style: Style
) -> str | int | None:
    """Where to go: on, back or to a stage; None to stop. What cannot be done is said, and asked
    again."""
    while True:
        print(f"{where}  {pick(style.lang, *PROMPT)} > ", end="", flush=True)
        line = sys.stdin.readline()
        if not line or not sys.stdin.isatty():  # no Enter has ended the line
            print()
        text = line.strip() or NEXT
        if not line or text in ("q", "quit"):
            return None
        if moves.get(text):
            return text
        found = _find(stops, place, text)
        if isinstance(found, int):
            return found
        print(fold(say(found, style.lang), style.width))


def _find(stops: Sequence[Stop], place: int, text: str) -> int | Text:
    """The next stop that a number, a name, its end or a pattern means; or what to say instead."""
    if text in TOLD:
        return TOLD[text]
    order: list[int] = [*range(place + 1, len(stops)), *range(place + 1)]
    for i in order:
        name = stops[i].name
        if text in (name, str(stops[i].number)) or name.endswith(f".{text}"):
            return i
    for i in order:
        if fnmatchcase(stops[i].name, text):
            return i
    names = [stop.name for stop in stops]
    near = get_close_matches(text, [*names, *map(leaf_name, names)], n=1)
    zh, en = (f"像 {near[0]}？", f"perhaps {near[0]}") if near else LISTED
    return Text(f"没有阶段 {text!r}；{zh}", f"no stage {text!r}; {en}")


LISTED = Text("numtx stages 列出所有阶段", "numtx stages lists them")
