"""One browser for all tests of pages, and pages whose tables are few, as they are opened often."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import CHROMIUM, Browser
from page_traces import PLACE, generation_of, written

from numtx import load_example
from numtx.cli import main
from numtx.decoding import record_generation
from numtx.reports.generation import generation_page
from numtx.show.stage_grid import Style
from numtx.stages.catalogue import Text


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


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weather with one score held, beside weather as it is."""
    path = tmp_path_factory.mktemp("pair") / "pair.html"
    setting = f"{PLACE}.scores[4,1]=3"
    command = ["trace", "--quiet", "--stage", f"{PLACE}.*", "--set", setting]
    assert main([*command, "--html", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation of three steps."""
    generation, trace = record_generation(*generation_of("left"), max_new_tokens=3)
    path = tmp_path_factory.mktemp("steps") / "steps.html"
    title, stages = Text("a", "a"), trace.graph.select(["*.weights"])
    path.write_text(generation_page(generation, trace, title, [], Style(), stages), "utf-8")
    return path


@pytest.fixture(scope="session")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lesson") / "lesson.html"
    assert main(["learn", "1", "--lang", "both", "--html", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "figures.html"
    assert main(["figures", "--document", "000", "--html", str(path)]) == 0
    return path
