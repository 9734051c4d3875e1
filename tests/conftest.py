"""Options, markers and the profiles of hypothesis; what tests share stands in `samples`."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

settings.register_profile("default", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=1000,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
)
settings.load_profile(os.environ.get("NUMTX_PROFILE", "default"))

OPT_IN = ("heavy", "benchmark")


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker in OPT_IN:
        parser.addoption(f"--{marker}", action="store_true", help=f"run the {marker} tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in OPT_IN:
        if not config.getoption(f"--{marker}"):
            skip = pytest.mark.skip(reason=f"run with --{marker}")
            for item in items:
                if marker in item.keywords:
                    item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what exact tests were held to where this machine cannot be exact."""
    from numtx.testing.exactness import row_independence

    if row_independence.cache_info().currsize and row_independence().note:  # some test asked
        terminalreporter.write_line(row_independence().note)
