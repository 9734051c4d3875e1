"""What a run without a tap costs beside its arithmetic: the calls of Python and NumPy that it
makes. Unlike seconds they are the same on every machine."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from numtx import Batch, Cache, Config, backward, forward, initialise
from numtx.parameters import parameter_shapes
from numtx.step import step

FIELDS: dict[str, dict[str, Any]] = {
    "encoder-decoder": {
        "width": 4, "encoder_layers": 2, "decoder_layers": 2, "hidden": 16, "vocabulary": 12,
    },
    "decoder": {
        "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 2, "hidden": 16,
        "key_value_heads": 1, "vocabulary": 12, "positions": "rotary", "norm": "rms",
        "norm_place": "pre", "gated": True, "activation": "silu", "biases": False, "window": 3,
    },
    "latents": {
        "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 2, "hidden": 16,
        "vocabulary": 12, "positions": "rotary", "key_value_latent": 5, "query_latent": 4,
        "rotary_width": 2, "biases": ("b_o", "b_in", "b_out", "norm.bias", "output.b"),
    },
}  # fmt: skip

# At most so many calls of a forward pass, a backward pass, and a step with a cache. Operators are
# not counted: `x.dot(w)`, the faster, is a call, and `x @ w` is none.
LIMITS = {
    "encoder-decoder": (1076, 912, 620),
    "decoder": (536, 403, 544),
    "latents": (685, 494, 564),
}
IDS = np.array([[1, 2, 3, 4, 5, 6, 7]])


def calls(run: Callable[[], object]) -> int:
    """Calls of functions, Python's and C's, that a run makes."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # others may have hung calls of theirs on it
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def count(config: Config, parameters: dict[str, np.ndarray]) -> tuple[int, int, int]:
    """The calls of a forward pass, a backward pass, and a step of a generation, the third."""
    two, one = config.model == "encoder-decoder", np.array([[3]])
    batch = Batch(IDS, IDS, labels=IDS) if two else Batch(IDS, labels=IDS)
    token = Batch(None, one) if two else Batch(one)
    _, context = forward(config, parameters, batch)
    cache = Cache(config, parameters, 1)
    step(config, parameters, Batch(IDS, IDS) if two else Batch(IDS), cache)
    step(config, parameters, token, cache)
    return (
        calls(lambda: forward(config, parameters, batch)),
        calls(lambda: backward(context)),
        calls(lambda: step(config, parameters, token, cache)),
    )


def counted(name: str) -> tuple[int, int, int]:
    """The same when all is there that is made once and kept."""
    parameter_shapes.cache_clear()  # an equal configuration of another test costs a comparison
    config = Config(**FIELDS[name])
    parameters = initialise(config, 0)
    count(config, parameters)
    return count(config, parameters)


@pytest.mark.parametrize("name", FIELDS)
def test_a_run_makes_no_more_calls_than_it_may(name: str) -> None:
    found = counted(name)
    assert found == counted(name)  # or the number would depend on what ran before
    assert all(map(int.__le__, found, LIMITS[name])), (found, LIMITS[name])


def test_every_call_is_counted() -> None:
    def three() -> int:
        return len([max(1, 2)])

    assert calls(three) - calls(lambda: None) == 2
