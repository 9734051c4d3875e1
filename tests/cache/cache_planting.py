"""Bugs planted in functions of the package, and the state machines that must find them."""

from __future__ import annotations

import inspect
import textwrap
from types import FunctionType
from typing import Any

import pytest
from cache_machine import machine_of
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from samples import config_of, one

from numtx.attention import KINDS

GROUPED = one(lambda c: c.sides == ("decoder",) and 1 < c.kv_heads < c.heads and c.rotated)
LATENTS = one(lambda c: c.sides == ("decoder",) and c.query_latent and c.rotated)
MEMORY = one(lambda c: len(c.sides) == 2 and 1 < c.kv_heads < c.heads)

# What `machine_of` takes.
MACHINES: dict[str, tuple[Any, ...]] = {
    "window": (config_of(GROUPED, window=5),),
    "memory": (config_of(MEMORY),),
    "ring": (config_of(GROUPED, window=3), "ring", 4),
    "ring of the window": (config_of(GROUPED, window=3), "ring", 3),
    "paged": (config_of(GROUPED, window=None), "paged"),
    "small pool": (config_of(GROUPED, window=None), "paged", 30, 11),
    "latent": (config_of(LATENTS),),
    "latent window": (config_of(LATENTS, window=3), "ring", 3),
}  # fmt: skip

SETTINGS = settings(
    max_examples=8,
    stateful_step_count=12,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # found is enough; no shrinking
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def run(machine: str, seeds: int = 20) -> None:
    """Run a machine: a few examples for each seed, for those of one seed are much alike."""
    for number in range(seeds):
        started = seed(number)(machine_of(*MACHINES[machine]))
        run_state_machine_as_test(started, settings=SETTINGS)


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


def find(
    monkeypatch: pytest.MonkeyPatch, machine: str, where: tuple[Any, str], old: str, new: str
) -> None:
    """Plant a bug and run the machine, which has to fail."""
    place, name = where
    wrong = planted(place, name, old, new)
    right = vars(place)[name]
    monkeypatch.setattr(place, name, wrong)
    for kind, record in KINDS.items():  # those that are made of it
        if record.forward is right:
            monkeypatch.setitem(KINDS, kind, record._replace(forward=wrong))
    with pytest.raises(Exception) as caught:
        run(machine)
    assert not isinstance(caught.value, SyntaxError | NameError | AttributeError)
