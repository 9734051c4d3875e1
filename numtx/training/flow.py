"""Act five of document 003: how the gradient flows back, and what a step makes of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..config import Config
from ..head import tied_name
from ..parameters import parameter_shapes
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.catalogue import Text
from ..trace.trace import Trace

FORK = Text(
    "岔路：解码器的损失由此训练编码器", "the fork: here the decoder's loss trains the encoder"
)


@small_repr()
class Flow(NamedTuple):
    """One row of the table: a gradient, where it stands, and its size.

    symbol    as the document writes it: W_vocab, H_dec, W_Q ...
    name      the stage, or `parameters/NAME`
    norm      sqrt of the sum of squares
    largest   the largest absolute value
    note      what the place means, where it means something
    """

    symbol: str
    name: str
    shape: tuple[int, ...]
    norm: float
    largest: float
    note: Text | None = None


def gradient_flow(trace: Trace) -> list[Flow]:
    """The gradients of a recorded run in the order in which the document lists them.

    W_vocab, H_dec; then from the last decoder layer to the first: feed-forward,
    cross-attention, its share of the gradient of H_enc (the fork), masked self-attention; the
    decoder's input; then the other branch of the fork: H_enc, the encoder's layers, its input.
    The shares of all layers add up to the gradient of H_enc.
    """
    return list(_flow(trace))


def _flow(trace: Trace) -> Iterator[Flow]:
    config = trace.config
    output = tied_name(config) if config.tied_output else "output.w"
    yield _parameter(trace, "W_vocab", output)
    if config.has_bias("output.b"):
        yield _parameter(trace, "b_vocab", "output.b")
    for side in reversed(config.sides):
        short = side[:3]
        note = FORK if side == "encoder" and config.model == "encoder-decoder" else None
        yield _row(f"H_{short}", f"{side}.output", trace.grad(f"{side}.output"), note)
        for layer in reversed(range(config.layers(side))):
            for sublayer in reversed(config.sublayers(side)):
                place = f"{side}.{layer}.{sublayer}"
                for leaf, symbol in SYMBOLS.items():
                    name = f"{place}.{leaf}"
                    if name in parameter_shapes(config):
                        yield _parameter(trace, symbol, name)
                if sublayer == "cross_attention":
                    share = memory_share(trace, layer)
                    yield _row("-> H_enc", f"{place}.memory", share, FORK)
        yield _row(f"X_{short}", f"{side}.input", trace.grad(f"{side}.input"))
        if not config.shared_embedding:
            yield _parameter(trace, f"E_{short}", f"{side}.embedding")
    if config.shared_embedding:
        yield _parameter(trace, "E", "embedding")


SYMBOLS = {
    "w_in": "W_in", "b_in": "b_in", "w_gate": "W_gate", "b_gate": "b_gate", "w_out": "W_out",
    "b_out": "b_out", "w_q": "W_Q", "b_q": "b_Q", "w_k": "W_K", "b_k": "b_K", "w_v": "W_V",
    "b_v": "b_V", "w_o": "W_O", "b_o": "b_O", "norm.gain": "gain", "norm.bias": "bias",
}  # fmt: skip


def memory_share(trace: Trace, layer: int) -> Array:
    """The gradient that one decoder layer sends to H_enc: dK·W_K^T + dV·W_V^T    [B, S, d]"""
    place = f"decoder.{layer}.cross_attention"
    share: Array = np.zeros_like(trace.grad("encoder.output"))
    for stage, matrix in (("keys", "w_k"), ("values", "w_v")):
        d = trace.grad(f"{place}.{stage}")  # [B, G, S, k]
        rows = d.transpose(0, 2, 1, 3).reshape(*share.shape[:2], -1)  # [B, S, G*k]
        share = share + rows @ trace.parameters[f"{place}.{matrix}"].T
    return share


def _parameter(trace: Trace, symbol: str, name: str) -> Flow:
    return _row(symbol, f"parameters/{name}", trace.grad(f"parameters/{name}"))


def _row(symbol: str, name: str, gradient: Array, note: Text | None = None) -> Flow:
    length = math.sqrt(float(np.sum(gradient * gradient)))
    return Flow(symbol, name, gradient.shape, length, float(np.abs(gradient).max()), note)


@small_repr()
class Update(NamedTuple):
    """One matrix before and after a step: new = old - rate * gradient"""

    name: str
    old: Array
    gradient: Array
    new: Array


def updates(
    parameters: Mapping[str, Array],
    gradients: Mapping[str, Array],
    names: Sequence[str],
    rate: float = 0.001,
) -> list[Update]:
    """One step of gradient descent for some parameters, W_new = W_old - rate * gradient."""
    return [
        Update(name, parameters[name], gradients[name], parameters[name] - rate * gradients[name])
        for name in names
    ]


def shown_matrices(config: Config) -> list[str]:
    """The output projection and one matrix of every stack, as the document updates them."""
    output = tied_name(config) if config.tied_output else "output.w"
    return [output, *(f"{side}.0.self_attention.w_v" for side in config.sides)]
