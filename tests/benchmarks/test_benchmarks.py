"""Runs each benchmark in a process of its own, on one thread, and shows what it prints.

Times are not judged here: a benchmark fails where the results of its programs differ.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from children import environment, python

BENCHMARKS = sorted(Path(__file__).parent.glob("bench_*.py"))

each_benchmark = pytest.mark.parametrize("path", BENCHMARKS, ids=[path.stem for path in BENCHMARKS])


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = python(str(path), *arguments, env=environment(**threads))
    assert done.returncode == 0, done.stderr
    assert "aim" in done.stdout or "not installed" in done.stdout
    return done


@each_benchmark
def test_benchmark_starts(path: Path) -> None:
    run(path, "--quick")


@pytest.mark.benchmark
@each_benchmark
def test_benchmark(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(path)
    with capsys.disabled():
        print(f"\n{done.stdout}")
