"""Options, markers and the profiles of hypothesis; what tests share stands in `samples`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import parallel
import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

settings.register_profile("default", deadline=None, max_examples=15)
settings.register_profile("ci", deadline=None, max_examples=15, derandomize=True)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=1000,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
)
settings.load_profile(os.environ.get("NUMTX_PROFILE", "default"))


os.environ.pop("COLUMNS", None)  # what is printed is 80 columns wide, whoever runs the tests


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A node of the test's own with the numbers of the device on which no space is left."""
    node = tmp_path / "full"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        node.open("wb").close()
    except OSError:
        pytest.skip("no devices can be made here")
    return node


OPT_IN = ("heavy", "benchmark")


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker in OPT_IN:
        parser.addoption(f"--{marker}", action="store_true", help=f"run the {marker} tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for: thousands of tests, which take time to be skipped too."""
    left_out = [marker for marker in OPT_IN if not config.getoption(f"--{marker}")]
    others = [item for item in items if any(marker in item.keywords for marker in left_out)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if not any(m in item.keywords for m in left_out)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    return parallel.run(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to run what alone was asked for and is opt-in; which part of the models was drawn,
    where something failed; and what exact tests were held to where this machine cannot be exact."""
    if list(filter(None, terminalreporter.stats)) == ["deselected"]:
        terminalreporter.write_line(f"left out: run with {' or '.join(f'--{m}' for m in OPT_IN)}")
    if terminalreporter.stats.get("failed"):
        from samples import DRAW

        terminalreporter.write_line(f"models that dear tests take: drawn by NUMTX_DRAW={DRAW}")
    from numtx.laws.exactness import row_independence

    if row_independence.cache_info().currsize and row_independence().note:  # some test asked
        terminalreporter.write_line(row_independence().note)
