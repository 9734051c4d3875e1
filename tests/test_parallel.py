"""The suite in several processes tells what one process tells."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from children import environment, python

FILE = """
import os, pytest
@pytest.mark.parametrize("n", range(25))
def test_some(n, capfd):
    print("seen", n)
    assert capfd.readouterr().out == f"seen {{n}}\\n"
    assert n != {wrong}
"""


def pytest_alone(folder: Path) -> subprocess.CompletedProcess[str]:
    """Without the plugins that are installed, which take longer than all the rest."""
    alone = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="")
    return python("-m", "pytest", "-p", "no:cacheprovider", str(folder), cwd=folder, env=alone)


@pytest.mark.parametrize(("files", "processes"), [(2, "1"), (3, "2"), (5, "3")])
def test_every_test_is_told_once(tmp_path: Path, monkeypatch, files: int, processes: str) -> None:
    monkeypatch.setenv("NUMTX_PROCESSES", processes)
    tests = Path(__file__).parent
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(tests)!r})\nimport pytest, parallel\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtestloop(session): return parallel.run(session)\n"
        "def pytest_addoption(parser): parser.addoption('--benchmark', action='store_true')\n"
    )
    for number in range(files):
        (tmp_path / f"test_{number}.py").write_text(FILE.format(wrong=7 if number == 0 else -1))
    run = pytest_alone(tmp_path)
    assert run.returncode == 1
    assert f"1 failed, {25 * files - 1} passed" in run.stdout
    assert run.stdout.count("FAILED test_0.py::test_some[7]") == 1


def test_a_process_that_breaks_off_is_no_pass(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NUMTX_PROCESSES", "2")
    tests = Path(__file__).parent
    (tmp_path / "conftest.py").write_text(
        f"import os, sys; sys.path.insert(0, {str(tests)!r})\nimport pytest, parallel\n"
        "FIRST = os.getpid()\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtestloop(session): return parallel.run(session)\n"
        "def pytest_runtest_setup(item):\n    if os.getpid() != FIRST: os._exit(3)\n"
        "def pytest_addoption(parser): parser.addoption('--benchmark', action='store_true')\n"
    )
    for number in range(9):
        (tmp_path / f"test_{number}.py").write_text(FILE.format(wrong=-1))
    run = pytest_alone(tmp_path)
    assert run.returncode == 2 and "process 1 of the tests broke off" in run.stdout
