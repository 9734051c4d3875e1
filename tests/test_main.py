"""The door of the command line: an interrupt is answered from the first import on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from children import environment, python

import numtx

HOME = Path(numtx.__file__).parents[1]
SCRIPT = "import sys; from numtx.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize("how", [["-m", "numtx"], ["-c", SCRIPT]], ids=["module", "script"])
@pytest.mark.parametrize("module", ["argparse", "numpy", "tabulate"])
def test_an_interrupt_while_a_module_is_imported(module, how, tmp_path):
    """A module of that name, found first, interrupts as the key does."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    done = python(*how, "trace", env=environment(tmp_path))
    assert done.stderr == "numtx: interrupted\n"
    assert done.returncode == 130


def test_nothing_is_imported_before_the_door_can_answer():
    """What `import numtx.__main__` loads besides the two modules themselves."""
    code = (
        "import os, sys; before = set(sys.modules); import numtx.__main__;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = python("-c", code, check=True)
    assert done.stdout == "['__future__', 'numtx', 'numtx.__main__']\n"


def test_the_script_goes_through_the_same_door():
    text = (HOME / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["scripts"] == {"numtx": "numtx.__main__:main"}


def test_the_readme_cites_this_version():
    text = (HOME / "README.md").read_text(encoding="utf-8")
    assert f"version = {{{numtx.__version__}}}" in text
