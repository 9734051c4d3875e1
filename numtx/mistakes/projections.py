"""Mistakes in the projections: matrices, biases, what they are taken of, how heads are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .at import At, Candidates, Forms
from .cause import cause


@cause(
    "权重矩阵转置了", "weight matrix transposed", "queries keys values hidden gate output logits"
)
def transposed(at: At) -> Forms:
    if at.stage.operation != "contract" or len(at.inputs) < 2:
        return
    w = at.inputs[1]
    yield "", at.again({1: w.T}) if w.shape[0] == w.shape[1] else None
    yield "read in the order (out, in)", at.again({1: w.reshape(w.shape[::-1]).T})


@cause("缺少偏置", "bias missing", "@contract")
def without_bias(at: At) -> Candidates:
    return at.again({2: None}) if len(at.inputs) > 2 else None


@cause("偏置加了两次", "bias added twice", "@contract")
def with_bias_twice(at: At) -> Candidates:
    return at.again({2: 2.0 * at.inputs[2]}) if len(at.inputs) > 2 else None


@cause(
    "输入没有归一化",
    "input not normalised",
    "queries keys values position_queries position_key query_latent latent hidden gate logits",
)
def not_normalised(at: At) -> Candidates:
    before = at.before(0)
    return None if before is None else at.again({0: before})


OTHERS = {
    "keys values": ("K 与 V 对调", "K and V swapped", "kv"),
    "queries keys": ("Q 与 K 对调", "Q and K swapped", "qk"),
    "hidden gate": ("门与上投影对调", "gate and up swapped", ("in", "gate")),
}


def swapped(leaves: str, letters: Sequence[str]) -> Callable[[At], Candidates]:
    """Each of two projections with the matrix of the other."""

    def make(at: At) -> Candidates:
        if at.stage.operation != "contract":
            return None
        other = at.weights(letters[1 - leaves.split().index(at.stage.leaf.name)])
        return None if other is None else at.again(other)

    return make


for _leaves, (_zh, _en, _letters) in OTHERS.items():
    cause(_zh, _en, _leaves)(swapped(_leaves, _letters))


def taken_from(leaf: str) -> Callable[[At], Candidates]:
    """A projection of what another projection of the sublayer takes."""

    def make(at: At) -> Candidates:
        place = at.stage.name.rpartition(".")[0]
        source = at.graph[f"{place}.{leaf}"].inputs[0]
        return None if source == at.stage.inputs[0] else at.again({0: at.value(source)})

    return make


cause(
    "记忆取自解码器，而不是编码器", "memory taken from the decoder, not the encoder", "keys values"
)(taken_from("queries"))


@cause("记忆", "memory", "keys values")
def memories(at: At) -> Forms:
    if at.stage.inputs[0] == "encoder.output" and at.place.startswith("decoder"):
        yield "the encoder's input, not its output", at.again({0: at.value("encoder.input")})


cause("查询取自编码器", "queries taken from the encoder", "queries")(taken_from("keys"))


@cause("多头切分有误", "heads split wrongly", "queries keys values")
def split_heads(at: At) -> Forms:
    y = at.again()
    batch, heads, length, width = y.shape
    if heads == 1:
        return
    flat = y.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)
    yield (
        "as (d, heads), not (heads, d)",
        flat.reshape(batch, length, width, heads).transpose(0, 3, 1, 2),
    )
    yield "without transposing", flat.reshape(batch, heads, length, width)
    yield "in reverse order", y[:, ::-1]
    yield "moved on by one", np.roll(y, 1, 1)
    yield "moved back by one", np.roll(y, -1, 1)


@cause("多头合并", "heads merged", "output")
def merged(at: At) -> Forms:
    if at.inputs[0].ndim != 4:
        return
    x = at.inputs[0]
    batch, heads, length, width = x.shape
    if heads == 1:
        return
    yield (
        "without transposing",
        at.again({0: x.reshape(batch, length, heads, width).transpose(0, 2, 1, 3)}),
    )
    mixed = x.transpose(0, 2, 3, 1).reshape(batch, length, heads, width).transpose(0, 2, 1, 3)
    yield "as (d, heads), not (heads, d)", at.again({0: mixed})
    yield "in reverse order", at.again({0: x[:, ::-1]})


@cause("缺少 W_O", "W_O missing", "output")
def without_w_o(at: At) -> Candidates:
    if at.inputs[0].ndim != 4:
        return None
    x = at.inputs[0]
    merged = x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)
    return merged if len(at.inputs) > 1 else None
