"""`pytest --numtx MODULE:OBJECT`: one test a law, of a model that knows nothing of numtx."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from children import pytests, python

import numtx

MODEL = """
import numpy as np

TABLE = np.random.default_rng(0).standard_normal((7, 7))

def right(ids):
    return TABLE[ids].cumsum(1)

def ahead(ids):
    return TABLE[ids][:, ::-1].cumsum(1)[:, ::-1].copy()

def step(ids, state=None):
    raise AssertionError("unused")

def noise(ids):
    return np.random.default_rng().standard_normal((*ids.shape, 7))

noise.vocabulary_size = right.vocabulary_size = ahead.vocabulary_size = 7
right.causal = ahead.causal = True
"""


def installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    from importlib.metadata import entry_points

    return any(point.value == "numtx.pytest_plugin" for point in entry_points(group="pytest11"))


NO_MODELS = [
    (["my_model"], "--numtx my_model: 'my_model' is not MODULE:OBJECT"),
    (["my_model:left"], "--numtx my_model:left: module 'my_model' has no 'left'"),
    (["my_model:right", "--numtx-law=K0"], "law 'K0' does not exist"),
    (["my_model:TABLE"], "ndarray has no vocabulary_size"),
]
ASKED = {
    "right": ["--numtx", "my_model:right", "-k", "K1 or C1 or B2"],
    "ahead": ["--numtx", "my_model:ahead", "--numtx-law", "K1"],
    "noise": ["--numtx", "my_model:noise", "--numtx-law", "K1"],
    "several": ["--numtx", "my_model:right", "--numtx", "my_model:ahead", "--numtx-law=B2"],
    **{told: ["--numtx", *arguments] for arguments, told in NO_MODELS},
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[int, str]]:
    """The exit code of each run, and what it said."""
    plugin = () if installed() else ("-p", "numtx.pytest_plugin")
    runs = []
    for name, arguments in ASKED.items():
        folder = tmp_path_factory.mktemp("asked")
        (folder / "my_model.py").write_text(MODEL)
        if name == "several":
            (folder / "test_own.py").write_text("def test_own():\n    assert True\n")
        runs.append((folder, ["-rfs", *plugin, "--numtx-examples=8", *arguments]))
    return dict(zip(ASKED, pytests(runs), strict=True))


def test_a_right_model_passes_and_what_was_not_asked_is_skipped(outcomes):
    code, out = outcomes["right"]
    assert code == 0, out
    assert "2 passed" in out and "skipped" in out and "no step" in out


def test_a_wrong_one_fails_with_the_example_and_without_the_laws_own_lines(outcomes):
    code, out = outcomes["ahead"]
    assert code == 1
    assert "K1 broken: tokens after t never move outputs at or before t" in out
    assert "FAILED" in out and "my_model:ahead[K1]" in out and "runtest" not in out


def test_what_answers_differently_each_time_is_asked_nothing_else(outcomes):
    code, out = outcomes["noise"]
    assert code == 1 and "R1 broken" in out and "K1 broken" not in out


def test_several_models_beside_tests_of_ones_own(outcomes):
    code, out = outcomes["several"]
    assert code == 0 and "3 passed" in out


@pytest.mark.parametrize("told", [told for _, told in NO_MODELS])
def test_what_is_no_model_is_one_line(outcomes, told):
    code, out = outcomes[told]
    assert code == 4 and told in out and "Traceback" not in out


def test_the_file_imports_nothing_of_numtx_when_it_is_loaded():
    file = Path(numtx.__file__).parent / "pytest_plugin.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            assert not node.level and not str(node.module).startswith("numtx")
        if isinstance(node, ast.Import):
            assert not any(name.name.startswith("numtx") for name in node.names)
    code = "import sys, numtx.pytest_plugin; print('numpy' in sys.modules)"
    assert python("-c", code, check=True).stdout.strip() == "False"
