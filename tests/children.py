"""Child processes of the tests: they import what this process imports, whatever folder they
run in. Every test that starts a Python, or a shell that runs `numtx`, starts it here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numtx

# The package that this process tests, then what the caller's PYTHONPATH names: relative folders
# mean those of the folder in which the tests were started.
_PATHS = (
    str(Path(numtx.__file__).resolve().parents[1]),
    *(str(Path(p).absolute()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p),
)

# Their bytecode, aside where none may be written beside the sources: each of some hundred would
# compile numtx anew. Made before the suite forks, so that it goes with its first process.
_ASIDE = sys.dont_write_bytecode or not os.access(_PATHS[0], os.W_OK)
_BYTECODE = tempfile.TemporaryDirectory(prefix="numtx-bytecode-") if _ASIDE else None


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The variables of a child, with `folders` of its own first on the absolute import path."""
    paths = os.pathsep.join((*(str(folder.absolute()) for folder in folders), *_PATHS))
    bytecode = {}
    if _BYTECODE is not None:
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": _BYTECODE.name}
    return {**os.environ, **bytecode, **variables, "PYTHONPATH": paths}


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this interpreter with arguments and wait; options are those of `subprocess.run`."""
    given = {"capture_output": True, "encoding": "utf-8", "env": environment(), **options}
    return subprocess.run([sys.executable, *arguments], **given)


def become(*arguments: str, **variables: str) -> NoReturn:
    """Turn a forked process into this interpreter with arguments; it has `variables`, a path to
    find programs on, and nothing else of this process's environment."""
    bare = {name: environment()[name] for name in ("PATH", "PYTHONPATH")}
    os.execve(sys.executable, [sys.executable, *arguments], {**bare, **variables})


# One interpreter for several runs: most of the time of a small one goes into its imports.
_PYTESTS = """
import contextlib, io, json, os, sys
import pytest
found = []
for folder, arguments in json.loads(sys.argv[1]):
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = pytest.main(["-p", "no:cacheprovider", *arguments])
    found.append((int(code), out.getvalue()))
    for name, module in list(sys.modules.items()):  # the next may have another of this name
        if str(getattr(module, "__file__", "")).startswith(folder + os.sep):
            del sys.modules[name]
print(json.dumps(found))
"""


def pytests(
    runs: Iterable[tuple[Path, Sequence[str]]], before: str = "", *folders: Path, **variables: str
) -> list[tuple[int, str]]:
    """Run pytest in each folder with its arguments, one after another in one child, that has run
    `before` first: the exit code of each, and what it printed."""
    asked = json.dumps([(str(folder), list(arguments)) for folder, arguments in runs])
    given = environment(*folders, PYTEST_ADDOPTS="", **variables)
    told = python("-c", f"{before}\n{_PYTESTS}", asked, env=given, check=True)
    return [(code, out) for code, out in json.loads(told.stdout.splitlines()[-1])]


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start this interpreter with arguments; options are those of `subprocess.Popen`."""
    return subprocess.Popen([sys.executable, *arguments], **{"env": environment(), **options})


def shell(command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `numtx` is this interpreter's; a pipe fails with its parts."""
    numtx_here = f'numtx() {{ {shlex.quote(sys.executable)} -m numtx "$@"; }}'
    given = {"capture_output": True, "encoding": "utf-8", "env": environment(), **options}
    return subprocess.run(["bash", "-o", "pipefail", "-c", f"{numtx_here}\n{command}"], **given)
