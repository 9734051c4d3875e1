"""The cache's laws under a state machine: every model that goes on from a cache, each storage."""

from __future__ import annotations

import pytest
from cache_checks import MACHINES, run
from cache_machine import machine_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from samples import GENERATING, config_of, some

SETTINGS = settings(
    max_examples=5,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
# Storage, room (of a ring: beyond the window), blocks.
ROOMS = {
    "contiguous": ("contiguous", 14, None),
    "paged": ("paged", 14, None),
    "small pool": ("paged", 30, 12),
    "ring of the window": ("ring", 0, None),
    "ring": ("ring", 4, None),
}


def machine(name, kind):
    storage, room, blocks = ROOMS[kind]
    config = config_of(name)
    changes = {"position_limit": 300} if config.positions == "learned" else {}  # rings go on and on
    if storage == "ring":
        changes |= {"window": config.window if config.widest_window else 3, "chunk": None}
        room += config.widest_window or 3
    return machine_of(config_of(name, **changes), storage, room, blocks)


@pytest.mark.parametrize("kind", ROOMS)
@pytest.mark.parametrize("name", some(1, __name__, GENERATING))
def test_whatever_is_done_to_a_cache(name, kind):
    run_state_machine_as_test(machine(name, kind), settings=SETTINGS)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ROOMS)
@pytest.mark.parametrize("name", GENERATING)
def test_whatever_is_done_to_a_cache_at_length(name, kind):
    thorough = settings(SETTINGS, max_examples=60, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(machine(name, kind), settings=thorough)


@pytest.mark.parametrize("seeds", [1, pytest.param(20, marks=pytest.mark.heavy, id="heavy")])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_that_finds_bugs_passes_without_one(machine, seeds):
    run(machine, seeds)
