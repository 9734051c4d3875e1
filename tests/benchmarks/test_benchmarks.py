"""Runs each benchmark in a process of its own, on one thread, and shows what it prints.

Times are not judged here: a benchmark fails where the results of its programs differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import numtx

PLACE = Path(__file__).parent


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["bench_tap", "bench_torch"])
def test_benchmark(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    package = str(Path(numtx.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(PLACE / f"{name}.py")],
        env={**os.environ, **threads, "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "aim" in done.stdout or "not installed" in done.stdout
    with capsys.disabled():
        print(f"\n{done.stdout}")
