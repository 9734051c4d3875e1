"""The cache's laws under a state machine."""

from __future__ import annotations

import pytest
from cache_cases import model
from cache_machine import machine_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

SETTINGS = settings(
    max_examples=8,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
CASES = {
    "encoder-decoder-gqa": model("encoder-decoder", "gqa", "sinusoidal"),
    "encoder-decoder-mqa-rotary": model("encoder-decoder", "mqa", "rotary"),
    "encoder-decoder-latent-rotary": model("encoder-decoder", "latent-both", "rotary"),
    "decoder-only-mha-learned": model("decoder-only", "mha", "learned"),
    "decoder-only-gqa-window": model("decoder-only", "gqa", "rotary", window=3),
    "decoder-only-latent-window": model("decoder-only", "latent", None, window=4),
}
WINDOWED = [name for name, config in CASES.items() if config.window]
STORED = [
    *((name, "contiguous", 14, None) for name in CASES),
    *((name, "paged", 14, None) for name in CASES),
    *((name, "paged", 30, 12) for name in ("decoder-only-mha-learned", "decoder-only-gqa-window")),
    *((name, "ring", CASES[name].window, None) for name in WINDOWED),
    *((name, "ring", 7, None) for name in WINDOWED),
]


@pytest.mark.parametrize(("name", "storage", "room", "blocks"), STORED)
def test_whatever_is_done_to_a_cache(name, storage, room, blocks):
    run_state_machine_as_test(machine_of(CASES[name], storage, room, blocks), settings=SETTINGS)


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "storage", "room", "blocks"), STORED)
def test_whatever_is_done_to_a_cache_at_length(name, storage, room, blocks):
    thorough = settings(SETTINGS, max_examples=60, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(machine_of(CASES[name], storage, room, blocks), settings=thorough)
