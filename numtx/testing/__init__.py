"""The law kit: property tests for masks and caches, for numtx and for any model.

    from numtx.testing import check
    print(check(my_model, vocabulary_size=50).table())

Names are loaded when they are first used: importing this package loads no test library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .laws import LawBroken as LawBroken
    from .machine import machine_of as machine_of
    from .machine import run_machine as run_machine
    from .numtx_subject import NumtxSubject as NumtxSubject
    from .subjects import Memory as Memory
    from .subjects import Subject as Subject
    from .subjects import subject as subject
    from .trial import LAWS as LAWS
    from .trial import LawSuite as LawSuite
    from .trial import Report as Report
    from .trial import Result as Result
    from .trial import check as check

_HOMES = {
    "LAWS": "trial",
    "LawBroken": "laws",
    "LawSuite": "trial",
    "Memory": "subjects",
    "NumtxSubject": "numtx_subject",
    "Report": "trial",
    "Result": "trial",
    "Subject": "subjects",
    "check": "trial",
    "machine_of": "machine",
    "run_machine": "machine",
    "subject": "subjects",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    need_hypothesis()
    found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def need_hypothesis() -> None:
    """Raise `SubjectError` where hypothesis is missing, which the laws draw their examples with."""
    from ..errors import SubjectError

    try:
        importlib.import_module("hypothesis")
    except ModuleNotFoundError:
        raise SubjectError(
            "the laws need hypothesis, which is not installed; install numtx[test]"
        ) from None
