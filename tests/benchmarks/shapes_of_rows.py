"""The models that several rows take, in numtx alone; `quick`: a small one of the same kind."""

from __future__ import annotations

from functools import cache
from typing import Any

import numtx


def gpt2(width: int, layers: int, heads: int, vocabulary: int, limit: int) -> numtx.Config:
    """A decoder with the mechanisms of GPT-2."""
    return numtx.Config(
        model="decoder-only", width=width, hidden=4 * width, decoder_layers=layers, heads=heads,
        vocabulary=vocabulary, norm_place="pre", activation="gelu_tanh", positions="learned",
        position_limit=limit, tied_output=True, dtype="float32",
        biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    )  # fmt: skip


@cache
def gpt2_small(quick: bool) -> tuple[numtx.Config, dict[str, Any]]:
    """GPT-2 small with random weights, once for all rows."""
    config = gpt2(24, 2, 3, 101, 16) if quick else gpt2(768, 12, 12, 50257, 1024)
    return config, numtx.initialise(config, 0)


def llama_15m() -> numtx.Config:
    """The shape of the 15M model of little stories, which llama3.np takes when told nothing."""
    return numtx.Config(
        model="decoder-only", width=288, hidden=768, decoder_layers=6, heads=6, vocabulary=32000,
        norm="rms", norm_place="pre", epsilon=1e-6, biases=(), positions="rotary",
        activation="silu", gated=True, dtype="float32",
    )  # fmt: skip
