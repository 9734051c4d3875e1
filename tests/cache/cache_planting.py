"""A bug planted in a function of the package, and the state machine that must find it."""

from __future__ import annotations

import inspect
import textwrap
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from numtx.attention import KINDS

SETTINGS = settings(
    max_examples=100,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # found is enough; no shrinking
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def planted(place: Any, name: str, old: str, new: str) -> Any:
    """A function again, with a part of its text replaced."""
    function = vars(place)[name]
    is_property = isinstance(function, property)
    plain = function.fget if is_property else function
    assert isinstance(plain, FunctionType)
    text = textwrap.dedent(inspect.getsource(plain)).removeprefix("@property\n")
    assert old in text, f"{name} no longer says {old!r}"
    scope: dict[str, Any] = {}
    if "super()" in text:  # which needs to know the class that it stands in
        text = text.replace("super()", f"super({place.__name__}, self)")
    source = "from __future__ import annotations\n" + text.replace(old, new)
    exec(compile(source, f"<{name}>", "exec"), plain.__globals__, scope)
    found = scope[name]
    return property(found) if is_property else found


def plant(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, wrong: Any) -> None:
    """Put it in its place, and into the kinds of attention that are made of it."""
    right = vars(place)[name]
    monkeypatch.setattr(place, name, wrong)
    for kind, record in KINDS.items():
        if record.forward is right:
            monkeypatch.setitem(KINDS, kind, record._replace(forward=wrong))
