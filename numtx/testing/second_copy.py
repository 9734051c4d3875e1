"""A second copy of the package under another name, with its source changed in memory.

A check is worth what it catches. The copy lets a test plant a bug, run the checks on it and
see which of them speak; a benchmark can take the taps out of the source and compare. Nothing
is written to disk, and the package itself stays as it was. This works because the package
imports its own modules relatively only.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from ..errors import SubstitutionError

_PACKAGE = __name__.partition(".")[0]
_HOME = Path(__file__).resolve().parent.parent
_numbers = itertools.count(1)


class Substitution(NamedTuple):
    """In `module` (below the package: 'ops.norm'; '' is the package itself), `old` -> `new`.

    `old` must occur exactly once: a change that hits nothing, or two places, tests nothing.
    """

    module: str
    old: str
    new: str


Transform = Callable[[str, str], str]


class SecondCopy:
    """The copy: `copy.module("check.verify")` is its module of that name, loaded when asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    def module(self, name: str = "") -> ModuleType:
        """A module of the copy, named below the package; '' is the package itself."""
        return importlib.import_module(f"{self.name}.{name}" if name else self.name)


@contextmanager
def second_copy(
    substitutions: Iterable[Substitution | tuple[str, str, str]] = (),
    *,
    transform: Transform | None = None,
) -> Iterator[SecondCopy]:
    """Load the package once more, changed; on leaving, the copy is gone from `sys.modules`.

    substitutions  what is replaced in the source, in this order
    transform      (module name below the package, source) -> source, after the substitutions

    Raises `SubstitutionError` for a module that does not exist and for an `old` that does
    not occur exactly once.
    """
    sources: dict[str, str] = {}
    for module, old, new in substitutions:
        if module not in sources:
            sources[module] = _read(module)
        count = sources[module].count(old)
        if count != 1:
            raise SubstitutionError(
                f"substitution in {module or _PACKAGE!r}: {old!r} occurs {count} times; "
                "it should occur exactly once"
            )
        sources[module] = sources[module].replace(old, new)
    name = f"{_PACKAGE}_copy_{next(_numbers)}"
    finder = _Finder(name, sources, transform)
    sys.meta_path.insert(0, finder)
    try:
        yield SecondCopy(name)
    finally:
        sys.meta_path.remove(finder)
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[loaded]


def _file(module: str) -> Path | None:
    """Where a module's source stands, or None where there is no such module."""
    place = _HOME.joinpath(*module.split(".")) if module else _HOME
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _read(module: str) -> str:
    file = _file(module)
    if file is None:
        raise SubstitutionError(f"substitution in {module!r}: {_PACKAGE} has no such module")
    return file.read_text(encoding="utf-8")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of one copy, and nothing else."""

    def __init__(self, name: str, sources: dict[str, str], transform: Transform | None) -> None:
        self.name = name
        self.sources = sources
        self.transform = transform

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, module = fullname.partition(".")
        file = _file(module) if root == self.name else None
        if file is None:
            return None
        source = self.sources[module] if module in self.sources else _read(module)
        if self.transform is not None:
            source = self.transform(module, source)
        is_package = file.name == "__init__.py"
        spec = importlib.util.spec_from_loader(
            fullname, _Loader(source, str(file)), origin=str(file), is_package=is_package
        )
        assert spec is not None
        if is_package:
            spec.submodule_search_locations = [str(file.parent)]
        spec.has_location = True
        return spec


class _Loader(importlib.abc.Loader):
    """Runs one module's source."""

    def __init__(self, source: str, file: str) -> None:
        self.source = source
        self.file = file

    def exec_module(self, module: ModuleType) -> None:
        exec(_compiled(self.source, self.file), module.__dict__)


@cache
def _compiled(source: str, file: str) -> CodeType:
    """The code of a source: that of most modules is the same in every copy."""
    return compile(source, file, "exec")
