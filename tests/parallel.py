"""The suite in several processes: each takes the next file of tests until there is none.

They are forked when everything has been collected, so nothing is imported twice. The first process
is pytest itself: it runs tests too, and tells the reports of the others as if they were its own.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import queue
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

FEW = 40  # tests; so many are quicker in one process
MOST = 4  # processes


def processes(session: pytest.Session) -> int:
    """How many processes are to run the tests: one where they stop at a failure, or are timed."""
    option = session.config.option
    alone = option.usepdb or option.maxfail or option.collectonly or option.benchmark
    forks = sys.platform == "linux"  # elsewhere a fork is not to be trusted, or not to be had
    wanted = os.environ.get("NUMTX_PROCESSES")
    if alone or not forks or len(session.items) < FEW:
        return 1
    return int(wanted) if wanted else min(MOST, len(os.sched_getaffinity(0)))


def run(session: pytest.Session) -> bool | None:
    """`pytest_runtestloop`, or None: the usual loop is to do it."""
    gc.collect()
    gc.freeze()  # what was collected stays: there is no need to go through it again and again
    gc.set_threshold(100_000, 50, 100)
    count = processes(session)
    if count < 2 or session.testsfailed:
        return None
    files = [list(items) for _, items in itertools.groupby(session.items, lambda item: item.path)]
    files.sort(key=len, reverse=True)  # no long one at the end, where the others would wait
    context = multiprocessing.get_context("fork")
    taken = context.Value("i", 0)
    told: queue.Queue[Any] = queue.Queue()
    others = []
    for number in range(1, count):
        here, there = context.Pipe(duplex=False)
        other = context.Process(target=_run_there, args=(session, files, taken, there))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of a BLAS
            other.start()
        there.close()
        threading.Thread(target=_listen, args=(number, here, told), daemon=True).start()
        others.append(other)
    running = len(others)
    try:
        for item, next_item in _taken(files, taken):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            while not told.empty():
                running -= _tell(session, told.get())
            _stop_if_asked(session)
        while running:
            running -= _tell(session, told.get())
            _stop_if_asked(session)
    finally:
        for other in others:
            if other.is_alive():
                other.terminate()
            other.join()
    return True


def _taken(
    files: list[list[pytest.Item]], taken: Any
) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """The tests of this process, each with the one that follows it."""

    def stream() -> Iterator[pytest.Item]:
        while True:
            with taken.get_lock():
                number = taken.value
                taken.value += 1
            if number >= len(files):
                return
            yield from files[number]

    previous = None
    for item in stream():
        if previous is not None:
            yield previous, item
        previous = item
    if previous is not None:
        yield previous, None


def _run_there(
    session: pytest.Session, files: list[list[pytest.Item]], taken: Any, pipe: Connection
) -> None:
    """Another process: its reports go through the pipe, and nothing to the terminal."""
    manager = session.config.pluginmanager
    capture: Any = manager.getplugin("capturemanager")
    if capture.is_globally_capturing():  # into a file that is not shared
        capture.stop_global_capturing()
        capture.start_global_capturing()
        capture.suspend_global_capture(in_=True)
    manager.unregister(name="terminalreporter")
    manager.register(_Sender(session.config, pipe))
    with contextlib.suppress(KeyboardInterrupt):
        for item, next_item in _taken(files, taken):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
        pipe.send(None)
    pipe.close()
    os._exit(0)  # what was open at the fork is the first process's to close


class _Sender:
    def __init__(self, config: pytest.Config, pipe: Connection) -> None:
        self.config, self.pipe = config, pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.pipe.send(
            self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        )


def _listen(number: int, pipe: Connection, told: queue.Queue[Any]) -> None:
    """Put what a process says into the queue; at last None, or which process broke off."""
    try:
        while (said := pipe.recv()) is not None:
            told.put(said)
        told.put(None)
    except EOFError:
        told.put(number)


def _tell(session: pytest.Session, said: Any) -> bool:
    """Tell a report, and whether that was the end of a process."""
    if said is None:
        return True
    if isinstance(said, int):
        raise session.Interrupted(
            f"process {said} of the tests broke off; NUMTX_PROCESSES=1 runs one"
        )
    config = session.config
    report = config.hook.pytest_report_from_serializable(config=config, data=said)
    if report.when == "setup":
        config.hook.pytest_runtest_logstart(nodeid=report.nodeid, location=report.location)
    config.hook.pytest_runtest_logreport(report=report)
    return False


def _stop_if_asked(session: pytest.Session) -> None:
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
