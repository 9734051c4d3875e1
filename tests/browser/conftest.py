"""One browser for all tests of pages, and a page whose tables are few, as it is opened often."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import CHROMIUM, Browser
from page_traces import PLACE, written

from numtx import load_example


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    patience = 600.0 if request.config.getoption("--heavy") else 60.0  # a long page takes its time
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Browser(Path(profile), patience=patience) as found,
    ):
        yield found


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trace = load_example("weather").trace()
    stages = [name for name in trace if name.startswith(PLACE) or name == "encoder.embedding"]
    return written(tmp_path_factory.mktemp("report") / "weather.html", trace, stages)
