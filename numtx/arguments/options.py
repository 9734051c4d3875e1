"""Options that several commands share."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import UsageError

if TYPE_CHECKING:
    from ..show.stage_grid import Style


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A converter for whole numbers of at least `least`, and of at most `most`."""
    span = f"from {least} up" if most is None else f"from {least} to {most}"

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {span}")
        return number

    return convert


def check_outputs(
    texts: Sequence[str | None], inputs: Sequence[str | None] = (),
    files: Sequence[str | None] = (), folder: str | None = None,
) -> None:  # fmt: skip
    """Raise before any work where a file could not be written, would be written twice, or is
    what the run reads; and for `-`, standard output, where no text is written."""
    from ..files import check_folder, target

    if folder is not None:
        check_folder(folder)
    seen = {str(Path(p).resolve()): f"{p} is read" for p in inputs if p is not None and p != "-"}
    for path in (*(text for text in texts if text != "-"), *files):
        if path is None:
            continue
        goal = target(path)
        if goal.straight:  # a pipe takes both
            continue
        place = str(goal.place)
        if place in seen:
            raise UsageError(f"{path} would be overwritten: {seen[place]} by the same command")
        seen[place] = f"{path} is written"


# The options that write a text; `-` is standard output.
TEXTS = ("json", "html", "markdown", "notebook", "svg", "write", "exercise")


class _Unseen(io.TextIOBase):
    """What is printed beside a text that has standard output alone."""

    def __init__(self, below: TextIO) -> None:
        self.below = below

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def alone(args: argparse.Namespace) -> Iterator[None]:
    """Where an option of `TEXTS` writes to standard output, nothing else is printed to it.

    Raises `UsageError` where two of them do; `--json` without a file does too.
    """
    values = [getattr(args, name, None) for name in TEXTS]
    if sum(value == "-" or value is True for value in values) > 1:
        raise UsageError("two outputs would go to standard output; give one of them a file")
    with redirect_stdout(_Unseen(sys.stdout)) if "-" in values else nullcontext():
        yield


def put_text(path: str, text: str) -> None:
    """Write a text to a file, or to standard output where that is named `-`."""
    from ..files import write_text

    if path == "-":
        getattr(sys.stdout, "below", sys.stdout).write(text)
    else:
        write_text(path, text)


LANGUAGES = ("zh", "en", "both")
VARIABLE = "NUMTX_LANG"  # the environment's, which sets the default of --lang


def add_lang(parser: argparse._ActionsContainer, default: str = "both") -> None:
    """The option of the language; errors are English in any."""
    parser.add_argument(
        "--lang", choices=LANGUAGES, default=os.environ.get(VARIABLE) or default,
        help=f"language of what is printed (default: {VARIABLE}, or {default}); errors are English",
    )  # fmt: skip


def check_lang(args: argparse.Namespace) -> None:
    """Raise where the environment names a language that there is none of."""
    if getattr(args, "lang", "both") not in LANGUAGES:
        raise UsageError(f"{VARIABLE} is {args.lang!r}; it should be zh, en or both")


def add_style(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of how to print."""
    group = parser.add_argument_group("printing")
    group.add_argument(
        "--precision", type=whole(0), default=2, metavar="N", help="decimals (default 2)"
    )
    add_lang(group)
    group.add_argument(
        "--width", type=whole(20), metavar="N", help="columns (default: the terminal's, or 80)"
    )
    group.add_argument("--full", action="store_true", help="print large arrays whole")
    group.add_argument("--row", type=whole(0), metavar="N", help="one row of a batch only")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour, and where there are 256 a ground that says how large a number is",
    )
    return group


def style_of(args: argparse.Namespace) -> Style:
    """The options of `add_style` as a style."""
    from ..show.paint import Painter
    from ..show.stage_grid import Style
    from ..show.wrap import columns

    if args.precision > 17:
        raise UsageError(f"--precision {args.precision}: a float64 has 17 digits at most")
    return Style(
        precision=args.precision,
        lang=args.lang,
        width=args.width or columns(),
        full=args.full,
        row=args.row,
        painter=Painter(use_color(args.color), use_color(args.color) and has_256_colors()),
        last=getattr(args, "last", None),
        top=getattr(args, "top", None),
    )


def indices(option: str, text: str, count: int) -> list[int]:
    """The whole numbers of a list such as `0,3-5,-1`; those below 0 count from the end."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise UsageError(f"{option} {text!r}: {part!r} is no number and no range such as 3-5")
        first, last = int(match[1]), int(match[2] or match[1])
        first, last = (n + count if n < 0 else n for n in (first, last))
        if not 0 <= first <= last < count:
            raise UsageError(f"{option} {text!r}: {part.strip()} is not within 0 to {count - 1}")
        found += range(first, last + 1)
    return sorted(set(found))


def has_256_colors() -> bool:
    """Whether the terminal says that it has them."""
    return "256color" in os.environ.get("TERM", "") or bool(os.environ.get("COLORTERM"))


def use_color(choice: str) -> bool:
    """Whether to colour: by choice, and by default on a terminal unless NO_COLOR is set."""
    if choice == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return choice == "always"
