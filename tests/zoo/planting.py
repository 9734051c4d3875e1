"""Planting: the source of numtx is changed before it is imported, in a process of its own.

A check is worth what it catches. The changed package has its own name, so that checks and laws
import it like any other code. A process that has NumPy and Hypothesis loaded, but not numtx, forks
one child a bug; nothing is written to disk.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
HOME = TESTS.parent / "numtx"
# Where the checks stand that a child may be asked to run.
FOLDERS = ("", "cache", "decoding", "documents", "training")
PATHS = [str(TESTS.parent), *(str(TESTS / name) for name in FOLDERS)]

# What a planted code that is no code raises: no kill, whatever law or check it raises in.
BROKEN_SOURCE = (
    SyntaxError, NameError, UnboundLocalError, AttributeError, ImportError, ModuleNotFoundError,
)  # fmt: skip

Change = tuple[str, str, str]
Transform = Callable[[str, str], str]


class PlantingError(Exception):
    """A change that does not fit, or a child that could not do what it was asked: never a kill."""


def file_of(module: str) -> Path:
    """Where a module's source stands: 'ops.norm', or '' for the package itself."""
    place = HOME.joinpath(*module.split(".")) if module else HOME
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    raise PlantingError(f"change in {module!r}: numtx has no such module")


def changed(changes: Iterable[Sequence[str]]) -> dict[str, str]:
    """The sources of the modules with (module, old, new) replaced, in this order.

    `old` must occur exactly once: a change that hits nothing, or two places, tests nothing.
    """
    sources: dict[str, str] = {}
    for module, old, new in changes:
        source = sources.get(module) or file_of(module).read_text(encoding="utf-8")
        count = source.count(old)
        if count != 1:
            raise PlantingError(
                f"change in {module or 'numtx'!r}: {old!r} occurs {count} times; "
                "it should occur exactly once"
            )
        sources[module] = source.replace(old, new)
    return sources


class Finder(importlib.abc.MetaPathFinder):
    """Finds the changed modules; with a transform, (module, source) -> source, all of numtx."""

    def __init__(self, sources: dict[str, str], transform: Transform | None = None) -> None:
        self.sources, self.transform = sources, transform

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, module = fullname.partition(".")
        if root != "numtx" or (self.transform is None and module not in self.sources):
            return None
        file = file_of(module)
        source = self.sources.get(module) or file.read_text(encoding="utf-8")
        if self.transform is not None:
            source = self.transform(module, source)
        folder = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_Loader(fullname, file, source),
            submodule_search_locations=folder,
        )


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a source that differs from the file's."""

    def __init__(self, fullname: str, file: Path, source: str) -> None:
        super().__init__(fullname, str(file))
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


def plant(changes: Iterable[Sequence[str]], transform: Transform | None = None) -> None:
    """From here on this process has the changed package, which it may not have imported yet."""
    sources = changed(changes)
    assert "numtx" not in sys.modules, "a bug is planted before the package is imported"
    sys.meta_path.insert(0, Finder(sources, transform))


class Child:
    """A fork of this process in which a bug is planted, at work on `module:function`."""

    def __init__(self, changes: Iterable[Sequence[str]], work: str, *arguments: Any) -> None:
        changes = list(changes)
        changed(changes)  # what does not fit is said before the fork
        here, there = os.pipe()
        self.told = "; ".join(f"in {module!r}: {new!r}" for module, _, new in changes)
        self.process = os.fork()
        if not self.process:
            os.close(here)
            _run(there, changes, work, arguments)
        os.close(there)
        self.pipe = os.fdopen(here, "rb")

    def fileno(self) -> int:
        return self.pipe.fileno()

    def answer(self) -> Any:
        """What the work returned; `PlantingError` where it raised."""
        with self.pipe:
            told = self.pipe.read()
        _, status = os.waitpid(self.process, 0)
        if not told:
            raise PlantingError(f"the child ended with status {status}")
        found = json.loads(told)
        if "error" in found:
            raise PlantingError(" ".join((found["error"].rstrip(), self.told)).rstrip())
        return found["value"]

    def end(self) -> None:
        """Stop it; there is no answer."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        self.pipe.close()


def _run(pipe: int, changes: list[Sequence[str]], work: str, arguments: Sequence[Any]) -> None:
    """What the child does; it never returns."""
    os.dup2(2, 1)  # what the work prints is no answer
    sys.path[:0] = PATHS
    try:
        plant(changes)
        module, _, name = work.partition(":")
        told = {"value": getattr(importlib.import_module(module), name)(*arguments)}
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException:
        told = {"error": traceback.format_exc()}
    with os.fdopen(pipe, "w") as file:
        json.dump(told, file)
    os._exit(0)


def planted(changes: Iterable[Sequence[str]], work: str, *arguments: Any) -> Any:
    """`module:function` called with the arguments where the changes are planted: what it returns.

    This process may have numtx loaded: another that has not, started once, forks the child.
    """
    request = json.dumps([[list(change) for change in changes], work, arguments])
    server = _server(os.getpid())
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(request + "\n")
    server.stdin.flush()
    found = json.loads(server.stdout.readline())
    if "error" in found:
        raise PlantingError(found["error"])
    return found["value"]


@cache
def _server(process: int) -> subprocess.Popen[Any]:
    """The one that forks for this process (of which a fork has to start its own)."""
    from children import environment, start  # who imports numtx

    server = start(
        "-m", "zoo.planting", env=environment(TESTS, OMP_NUM_THREADS="1"), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip

    def end() -> None:
        with contextlib.suppress(OSError):
            server.communicate()

    atexit.register(end)
    return server


def serve() -> None:
    """Requests from standard input, answers to standard output, a line each, one at a time."""
    load_libraries()
    for line in sys.stdin:
        changes, work, arguments = json.loads(line)
        try:
            told = {"value": Child(changes, work, *arguments).answer()}
        except PlantingError as error:
            told = {"error": str(error)}
        print(json.dumps(told), flush=True)


def load_libraries() -> None:
    """What all children need and no bug is planted in."""
    import hypothesis
    import hypothesis.stateful
    import numpy
    import pytest

    assert numpy and hypothesis and pytest and "numtx" not in sys.modules


if __name__ == "__main__":
    serve()
