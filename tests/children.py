"""Child processes of the tests: they import what this process imports, whatever folder they
run in. Every test that starts a Python, or a shell that runs `numtx`, starts it here."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numtx

# The package that this process tests, then what the caller's PYTHONPATH names: relative folders
# mean those of the folder in which the tests were started.
_PATHS = (
    str(Path(numtx.__file__).resolve().parents[1]),
    *(str(Path(p).absolute()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p),
)

# Their bytecode, aside: each of some two hundred would compile numtx anew where none may be written
# beside the sources. Made before the suite forks, so that it goes with its first process.
_BYTECODE = tempfile.TemporaryDirectory(prefix="numtx-bytecode-")


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The variables of a child, with `folders` of its own first on the absolute import path."""
    paths = os.pathsep.join((*(str(folder.absolute()) for folder in folders), *_PATHS))
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": _BYTECODE.name}
    return {**os.environ, **bytecode, **variables, "PYTHONPATH": paths}


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this interpreter with arguments and wait; options are those of `subprocess.run`."""
    given = {"capture_output": True, "encoding": "utf-8", "env": environment(), **options}
    return subprocess.run([sys.executable, *arguments], **given)


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start this interpreter with arguments; options are those of `subprocess.Popen`."""
    return subprocess.Popen([sys.executable, *arguments], **{"env": environment(), **options})


def shell(command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `numtx` is this interpreter's; a pipe fails with its parts."""
    numtx_here = f'numtx() {{ {shlex.quote(sys.executable)} -m numtx "$@"; }}'
    given = {"capture_output": True, "encoding": "utf-8", "env": environment(), **options}
    return subprocess.run(["bash", "-o", "pipefail", "-c", f"{numtx_here}\n{command}"], **given)
