"""The command line: one file a subcommand; input and output happen here and nowhere below.

Exit codes: 0; 1 where a comparison, a check or a law fails; 2 usage or bad input; 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .arguments.completion import SHELLS, completion
from .arguments.options import alone, check_lang
from .errors import NumtxError, nearest
from .screen.pager import paged
from .screen.progress import Progress
from .show.wrap import columns, fold

# In the order in which --help lists them, and the room of each. Each module has `add` and `run`,
# and loads NumPy only in `run`.
COMMANDS = {
    "trace": "commands",
    "cell": "commands",
    "compare": "verdicts",
    "verify": "verdicts",
    "stages": "commands",
    "init": "commands",
    "train": "commands",
    "gradcheck": "gradchecks",
    "generate": "commands",
    "cost": "commands",
    "figures": "verdicts",
    "learn": "learning",
    "check": "verdicts",
    "picture": "commands",
    "laws": "verdicts",
    "inspect": "folders",
    "export": "folders",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help fits the terminal."""

    def format_help(self) -> str:
        return fold(super().format_help(), columns())

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Each parser refuses what it does not know: of a command, the command's own."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            hint = nearest(str(value), map(str, action.choices))
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}; {hint}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    from . import __version__

    top = Parser(
        prog="numtx",
        description="A Transformer in pure NumPy that can be read, printed, checked and compared.",
    )
    top.add_argument("--version", action="version", version=f"numtx {__version__}")
    top.add_argument(
        "--completion", choices=SHELLS,
        help='the script of a shell\'s completion, as in eval "$(numtx --completion bash)"',
    )  # fmt: skip
    plain: dict[str, Any] = {"action": "store_true", "help": "show what is long without a pager"}
    top.add_argument("--no-pager", **plain)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, room in COMMANDS.items():
        importlib.import_module(f".{room}.{name}", __package__).add(commands)
    for one in commands.choices.values():
        one.add_argument("--no-pager", default=argparse.SUPPRESS, **plain)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    if sys.stdout is None or sys.stderr is None:  # closed by the shell: nobody listens
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Chinese on a terminal that says it is ASCII
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    args = argparse.Namespace()
    try:
        top = parser()
        args = top.parse_args(argv)
        if args.completion is not None:
            from .examples.registry import EXAMPLES

            print(completion(top, args.completion, list(EXAMPLES)), end="")
            return 0
        if args.command is None:
            top.print_help(sys.stderr)
            return 2
        check_lang(args)
        through = isinstance(getattr(args, "step", None), str)  # it asks by itself
        waits = through or "-" in vars(args).values()  # for somebody who types
        with Progress(f"numtx {args.command}", not waits, getattr(args, "lang", "en")) as progress:
            args.progress = progress
            with paged(not (args.no_pager or through), progress.stop), alone(args):
                args.code = args.run(args)
        sys.stdout.flush()
        return int(getattr(args, "code", 0))
    except NumtxError as error:
        print(f"numtx: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(getattr(args, "code", 0))  # a verdict stands, whoever listens
    except OSError as error:  # a full disk, say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"numtx: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("numtx: interrupted", file=sys.stderr)
        return 130
