"""The command line as a user meets it: an exit code, and what is printed."""

from __future__ import annotations

import os
from unittest import mock

import pytest

from numtx.cli import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error; where no width is asked for, in lines that are
    not broken."""
    capsys.readouterr()
    wide = {"COLUMNS": os.environ.get("COLUMNS", "300")}
    try:
        with mock.patch.dict(os.environ, wide):
            code = main(args)
    except SystemExit as stop:  # argparse's own way out
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
