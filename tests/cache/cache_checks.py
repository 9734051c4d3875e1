"""The state machines of `cache_machine` as checks, which run where a bug is planted, too."""

from __future__ import annotations

from functools import partial
from typing import Any

from cache_machine import machine_of
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from samples import config_of, one

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


CHECKS = {f"{name.replace(' ', '_')}_machine": partial(run, name) for name in MACHINES}
