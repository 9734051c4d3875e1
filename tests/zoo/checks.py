"""The checks at work: what a child with a planted bug runs, or one without."""

from __future__ import annotations

import importlib
import inspect
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from .planting import BROKEN_SOURCE

# Where the checks stand: functions in CHECKS, that give False or raise where something is wrong.
MODULES = (
    "zoo.model_checks", "zoo.block_checks", "zoo.feed_forward_checks", "zoo.head_checks",
    "filter_checks",
    "decoding_checks", "training_checks", "cache_checks",
)  # fmt: skip


def checks_of(module: str) -> dict[str, Callable[..., Any]]:
    """The checks of a module, by name."""
    checks = importlib.import_module(module).CHECKS
    return checks if isinstance(checks, dict) else {check.__name__: check for check in checks}


def names() -> list[str]:
    """Of all checks."""
    return [name for module in MODULES for name in checks_of(module)]


def check_of(name: str) -> Callable[..., Any]:
    """A check by its name; modules are imported as far as it takes."""
    return next(own[name] for own in map(checks_of, MODULES) if name in own)


def speaking(wanted: Iterable[str]) -> dict[str, str]:
    """The checks, of those wanted, that speak here, each with what it says."""
    warnings.simplefilter("error")
    found: dict[str, str] = {}
    for name in wanted:
        check = check_of(name)
        with tempfile.TemporaryDirectory() as folder:
            given = (Path(folder),) if "folder" in inspect.signature(check).parameters else ()
            try:
                if check(*given) is False:
                    found[name] = "False"
            except BROKEN_SOURCE:
                raise
            except (Exception, pytest.fail.Exception) as error:
                found[name] = f"{type(error).__name__}: {error}"
    return found
