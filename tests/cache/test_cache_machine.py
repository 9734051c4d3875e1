"""The cache's laws under a state machine."""

from __future__ import annotations

import pytest
from cache_cases import model
from cache_machine import machine_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

SETTINGS = settings(
    max_examples=40,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
CASES = {
    "encoder-decoder-gqa": model("encoder-decoder", "gqa", "sinusoidal"),
    "encoder-decoder-mqa-rotary": model("encoder-decoder", "mqa", "rotary"),
    "decoder-only-mha-learned": model("decoder-only", "mha", "learned"),
    "decoder-only-gqa-window": model("decoder-only", "gqa", "rotary", window=3),
}


@pytest.mark.parametrize("name", CASES)
def test_whatever_is_done_to_a_cache(name):
    run_state_machine_as_test(machine_of(CASES[name]), settings=SETTINGS)


@pytest.mark.heavy
@pytest.mark.parametrize("name", CASES)
def test_whatever_is_done_to_a_cache_at_length(name):
    thorough = settings(SETTINGS, max_examples=300, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(machine_of(CASES[name]), settings=thorough)
