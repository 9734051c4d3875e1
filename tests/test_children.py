"""Children of the tests find the packages, wherever these were installed and they run."""

import os
import sys
from pathlib import Path

import pytest
from children import python, shell

HERE = Path(__file__).parent


def test_a_relative_import_path_holds_in_another_folder(tmp_path: Path) -> None:
    packages, elsewhere = tmp_path / "some packages", tmp_path / "elsewhere"
    packages.mkdir()
    elsewhere.mkdir()
    (packages / "only_here.py").write_text("print('found')")
    paths = os.pathsep.join([packages.name, str(HERE), *map(os.path.abspath, sys.path)])
    code = (
        "from children import python\n"
        f"done = python('-c', 'import numtx, only_here', cwd={str(elsewhere)!r})\n"
        "print(done.stdout, done.stderr)"
    )
    done = python("-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths})
    assert done.stdout.split() == ["found"], done.stdout + done.stderr


def test_the_shell_runs_this_numtx_from_a_path_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "a folder" / "python"
    name.parent.mkdir()
    name.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    name.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(name))
    done = shell("numtx --version; echo numtx stays", cwd=tmp_path)
    assert done.stdout.splitlines()[1:] == ["numtx stays"], done.stderr


@pytest.mark.parametrize("word", ["sys." + "executable", "PYTHON" + "PATH"])
def test_no_other_test_starts_a_python_by_itself(word: str) -> None:
    files = [file for file in HERE.rglob("*.py") if word in file.read_text(encoding="utf-8")]
    files = [file for file in files if file.parent.name != "benchmarks"]  # started by hand too
    assert {file.name for file in files} - {Path(__file__).name} == {"children.py"}
