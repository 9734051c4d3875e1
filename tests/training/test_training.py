"""The checks of `training_checks` on the package itself."""

import importlib

import pytest
import training_checks

CHECKS = [
    value
    for value in vars(training_checks).values()
    if callable(value) and getattr(value, "__code__", None) is not None
    and value.__code__.co_varnames[:2] == ("get", "folder")
]  # fmt: skip


def package(name):
    return importlib.import_module(f"numtx.{name}")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_training(check, tmp_path):
    check(package, tmp_path)


def test_every_check_is_found():
    assert len(CHECKS) == 16
