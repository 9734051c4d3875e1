"""What is installed: the package and its lessons, whole, and `numtx learn` from any folder."""

from __future__ import annotations

import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from children import environment, python

ROOT = Path(__file__).parents[1]
LESSONS = sorted(path.name for path in (ROOT / "walkthroughs").glob("*.py"))


def as_pyproject_says(folder: Path) -> None:
    """The folders that pyproject.toml names, copied to where it says, without building."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    wheel = hatch["build"]["targets"]["wheel"]
    for source, target in {**{p: p for p in wheel["packages"]}, **wheel["force-include"]}.items():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, folder / target, ignore=ignored)


def as_hatchling_builds(folder: Path) -> None:
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(folder / "dist"), versions=["standard"])
    zipfile.ZipFile(wheel).extractall(folder)


@pytest.mark.parametrize("laid_out", [as_pyproject_says, as_hatchling_builds])
def test_an_installed_copy_is_whole_and_runs_the_lessons(laid_out, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    laid_out(installed)
    for source, target in (("numtx", "numtx"), ("walkthroughs", "numtx/walkthroughs")):
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = installed / target / path.relative_to(ROOT / source)
                assert copy.read_bytes() == path.read_bytes(), path
    options = {"cwd": elsewhere, "env": environment(installed)}
    code = "import numtx, numtx.cli; print(numtx.__file__); numtx.cli.main(['learn'])"
    home, *listed = python("-c", code, **options).stdout.splitlines()
    assert Path(home).is_relative_to(installed)
    numbers = [line[:2] for line in listed if line[:2].isdigit()]
    assert numbers == [name[:2] for name in LESSONS]
    done = python("-m", "numtx", "learn", "1", **options)
    assert done.returncode == 0 and done.stdout.startswith("Question: "), done.stderr
