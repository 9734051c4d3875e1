"""The same models in PyTorch, written simply by hand, with numtx's parameters in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import numtx

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}
LENGTH = 64  # of the sinusoidal table
torch.set_num_threads(1)


class Attention(nn.Module):
    def __init__(self, config: numtx.Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v, self.o = (nn.Linear(config.width, config.width) for _ in range(4))

    def forward(self, x: Any, memory: Any, causal: bool) -> Any:
        batch, length, width = x.shape
        q, k, v = (
            y.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for y in (self.q(x), self.k(memory), self.v(memory))
        )
        context = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.o(context.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, config: numtx.Config, cross: bool) -> None:
        super().__init__()
        self.pre = config.norm_place == "pre"
        self.self_attention = Attention(config)
        self.norm_1 = nn.LayerNorm(config.width, config.epsilon)
        if cross:
            self.cross_attention = Attention(config)
            self.norm_2 = nn.LayerNorm(config.width, config.epsilon)
        self.into = nn.Linear(config.width, config.hidden)
        self.out = nn.Linear(config.hidden, config.width)
        self.norm_3 = nn.LayerNorm(config.width, config.epsilon)
        self.activation = ACTIVATIONS[config.activation]

    def feed_forward(self, x: Any) -> Any:
        return self.out(self.activation(self.into(x)))

    def forward(self, x: Any, memory: Any, causal: bool) -> Any:
        if self.pre:
            h = self.norm_1(x)
            x = x + self.self_attention(h, h, causal)
            return x + self.feed_forward(self.norm_3(x))
        x = self.norm_1(x + self.self_attention(x, x, causal))
        if memory is not None:
            x = self.norm_2(x + self.cross_attention(x, memory, False))
        return self.norm_3(x + self.feed_forward(x))


class Transformer(nn.Module):
    """Encoder-decoder (post-norm, sinusoidal) or decoder-only (pre-norm, learned positions)."""

    def __init__(self, config: numtx.Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.encoder = nn.ModuleList(Block(config, False) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(
            Block(config, config.encoder_layers > 0) for _ in range(config.decoder_layers)
        )
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.position_limit, config.width))
        else:
            pair = torch.arange(0, config.width, 2) / config.width
            angles = torch.arange(LENGTH)[:, None] * config.position_base**-pair
            table = torch.stack((angles.sin(), angles.cos()), -1).reshape(LENGTH, -1)
            self.register_buffer("positions", table)
        pre = config.norm_place == "pre"
        self.norm = nn.LayerNorm(config.width, config.epsilon) if pre else nn.Identity()
        self.output = nn.Linear(config.width, config.vocabulary)

    def forward(self, ids: Any, decoder_ids: Any) -> Any:
        memory, x = None, self.embed(ids)
        if decoder_ids is not None:
            for block in self.encoder:
                x = block(x, None, False)
            memory, x = x, self.embed(decoder_ids)
        for block in self.decoder:
            x = block(x, memory, True)
        return self.output(self.norm(x))

    def embed(self, ids: Any) -> Any:
        return self.embedding(ids) + self.positions[: ids.shape[1]]


def tensors(batch: numtx.Batch) -> Any:
    """ids, decoder_ids and labels"""
    arrays = (batch.ids, batch.decoder_ids, batch.labels)
    return [None if array is None else torch.from_numpy(np.asarray(array)) for array in arrays]


def transformer(config: numtx.Config, parameters: Any) -> Transformer:
    """The model with numtx's parameters."""
    model = Transformer(config)
    side = config.sides[-1]
    with torch.no_grad():
        shared = "embedding" if config.shared_embedding else f"{side}.embedding"
        _copy(model.embedding.weight, parameters[shared])
        if config.positions == "learned":
            _copy(model.positions, parameters[f"{side}.positions"])
        for side in config.sides:
            for i, block in enumerate(getattr(model, side)):
                place = f"{side}.{i}"
                norms = {"self_attention": "norm_1", "cross_attention": "norm_2"}
                for sublayer, norm in norms.items():
                    if not hasattr(block, sublayer):
                        continue
                    for letter in "qkvo":
                        linear = getattr(getattr(block, sublayer), letter)
                        _fill(linear, parameters, f"{place}.{sublayer}", letter)
                    _fill_norm(getattr(block, norm), parameters, f"{place}.{sublayer}.norm")
                _fill(block.into, parameters, f"{place}.feed_forward", "in")
                _fill(block.out, parameters, f"{place}.feed_forward", "out")
                _fill_norm(block.norm_3, parameters, f"{place}.feed_forward.norm")
        if config.norm_place == "pre":
            _fill_norm(model.norm, parameters, f"{side}.norm")
        _copy(model.output.weight, parameters["output.w"].T)
        _copy(model.output.bias, parameters["output.b"])
    return model


def _fill(linear: nn.Linear, parameters: Any, place: str, letter: str) -> None:
    _copy(linear.weight, parameters[f"{place}.w_{letter}"].T)
    _copy(linear.bias, parameters[f"{place}.b_{letter}"])


def _fill_norm(norm: Any, parameters: Any, place: str) -> None:
    _copy(norm.weight, parameters[f"{place}.gain"])
    _copy(norm.bias, parameters[f"{place}.bias"])


def _copy(target: Any, source: Any) -> None:
    assert tuple(target.shape) == source.shape
    target.copy_(torch.from_numpy(source.copy()))
