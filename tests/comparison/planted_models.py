"""Whole Transformers in PyTorch, written apart from numtx: three families and smaller ones.

`run(settings, weights, batch, mistake)` gives every stage under numtx's names, and with
`gradients` theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from planted_parts import (
    Net,
    bias_by_buckets,
    bias_by_slopes,
    loss,
    normalise,
    value_with_gradient_of,
)
from planted_sublayers import allowed, attention, experts, feed_forward, latent_attention
from torch import Tensor


def sublayer(n: Net, place: str, x: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
    """x and what `work` adds to it, with norms where they stand."""
    how = n.get("norm_place", "post")
    inner = x
    if how in ("pre", "both") and not n.has("norm left out here"):
        inner = n.keep(f"{place}.norm", normalise(n, x, f"{place}.norm"))
    y = work(inner)
    if how == "both" and not n.has("norm after left out"):
        y = n.keep(f"{place}.norm_after", normalise(n, y, f"{place}.norm_after"))
    skip = inner if n.has("residual of the norm") else x
    if n.has("grad: residual lost"):
        skip = value_with_gradient_of(skip, skip.detach())
    z = skip + y
    if n.has("residual lost"):
        z = y
    if n.has("residual twice"):
        z = 2 * skip + y
    z = n.keep(f"{place}.residual", z)
    if how == "post" and not n.has("norm left out here"):
        z = n.keep(f"{place}.norm", normalise(n, z, f"{place}.norm"))
    return z


def looked_up(n: Net, table: Tensor, ids: Tensor) -> Tensor:
    if not n.has("grad: repeated ids not summed"):
        return table[ids]
    first = torch.zeros(ids.numel(), dtype=torch.bool)
    for word in ids.unique():
        first[(ids.flatten() == word).nonzero()[0]] = True
    return value_with_gradient_of(table[ids], table[ids] * first.reshape(*ids.shape, 1))


def placed(n: Net, side: str, where: Tensor) -> Tensor:
    """What is added to an embedding for its position."""
    at, width = where, n.s["width"]
    if n.has("positions over padding"):
        at = torch.arange(at.shape[1]).expand_as(at)
    if n.has("positions by row"):
        at = torch.arange(len(at))[:, None].expand_as(at)
    at = at + 1 if n.has("positions from 1") else at
    if n.s["positions"] == "learned":
        return n.p[f"{side}.positions"][at]
    angle = at[..., None] / 10000.0 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    pair = angle.sin(), angle.cos()
    pair = pair[::-1] if n.has("sine for cosine") else pair
    return torch.cat(pair, -1) if n.has("sines first") else torch.stack(pair, -1).flatten(-2)


def embedded(n: Net, side: str, ids: Tensor, where: Tensor) -> Tensor:
    table = n.p["embedding" if "embedding" in n.p else f"{side}.embedding"]
    x = n.keep(f"{side}.embedding", looked_up(n, table, ids))
    scale = n.get("embedding_scale", 1.0)
    if scale != 1.0:
        scale = 1.0 if n.has("embedding scale missing") else scale
        scale = scale * scale if n.has("embedding scale twice") else scale
        scaled = x * scale
        if n.has("grad: embedding scale forgotten"):
            scaled = value_with_gradient_of(scaled, x)
        x = n.keep(f"{side}.scaled_embedding", scaled)
    if n.s["positions"] in ("learned", "sinusoidal"):
        p = n.keep(f"{side}.positions", placed(n, side, where))
        x = x + p * (2.0 * n.has("positions twice") or 1.0 - n.has("positions left out"))
    return n.keep(f"{side}.input", x)


class Stack:
    """One side: its blocks read what the side has once."""

    def __init__(self, n: Net, side: str, ids: Tensor, valid: Tensor, memory: Any = None) -> None:
        self.n, self.side, self.ids, self.valid, self.memory = n, side, ids, valid, memory
        self.where = (valid.cumsum(1) - 1).clamp(min=0)
        if n.s["model"] == "encoder-decoder":
            self.where = torch.arange(ids.shape[1]).expand_as(ids)
        self.first = embedded(n, side, ids, self.where)
        n.out[f"{side}.mask"] = valid

    def output(self) -> Tensor:
        n, x = self.n, self.first
        for i in range(n.s[f"{self.side}_layers"]):
            place = f"{self.side}.{i}"
            mask = self.mask(i)

            def attending(y: Tensor, here: str = place, mask: Tensor = mask) -> Tensor:
                return self.self_attention(f"{here}.self_attention", y, mask)

            def feeding(y: Tensor, here: str = f"{place}.feed_forward") -> Tensor:
                return (experts if n.get("experts") else feed_forward)(n, here, y)

            def crossing(y: Tensor, here: str = f"{place}.cross_attention") -> Tensor:
                return self.cross_attention(here, y)

            x = sublayer(n, f"{place}.self_attention", x, attending)
            if self.memory is not None:
                x = sublayer(n, f"{place}.cross_attention", x, crossing)
            x = sublayer(n, f"{place}.feed_forward", x, feeding)
        if n.get("norm_place", "post") != "post":
            x = normalise(n, x, f"{self.side}.norm")
        return n.keep(f"{self.side}.output", x)

    def mask(self, layer: int) -> Tensor:
        windows = self.n.get("window") or [None]
        layer += self.n.has("windows in the other layers")
        window, causal = windows[layer % len(windows)], self.side == "decoder"
        return allowed(self.n, self.valid, self.ids.shape[1], causal, window)

    def self_attention(self, place: str, y: Tensor, mask: Tensor) -> Tensor:
        n, kind, bias = self.n, self.n.s["positions"], None
        if "key_value_latent" in n.s:
            return latent_attention(n, place, y, mask, self.where)
        if kind == "alibi":
            bias = bias_by_slopes(n, self.where, self.where)
        if kind == "relative":
            table = n.p[f"{self.side}.relative_bias"]
            bias = bias_by_buckets(n, table, self.where, self.where, self.side == "encoder")
        turned = self.where if kind == "rotary" else None
        return attention(n, place, y, y, mask, positions=turned, bias=bias)

    def cross_attention(self, place: str, y: Tensor) -> Tensor:
        output, valid, first = self.memory
        source = first if self.n.has("cross attention of the input") else output
        mask = valid[:, None].expand(-1, y.shape[1], -1)
        mask = torch.ones_like(mask) if self.n.has("padding forgotten") else mask
        return attention(self.n, place, y, source, mask, own=y)


def run(
    settings: dict[str, Any], weights: dict[str, np.ndarray], batch: dict[str, np.ndarray],
    mistake: str = "", gradients: bool = False, dtype: torch.dtype = torch.float64,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every stage of a model, by numtx's names; with gradients under grad/."""
    p = {k: torch.tensor(w, dtype=dtype, requires_grad=gradients) for k, w in weights.items()}
    n = Net(dict(settings), p, mistake)
    b = {k: torch.tensor(x) for k, x in batch.items()}
    memory, ids, valid, table = None, b["ids"], b["mask"], "decoder.embedding"
    if settings["model"] == "encoder-decoder":
        encoder = Stack(n, "encoder", ids, valid)
        memory = encoder.output(), valid, encoder.first
        ids, valid, table = b["decoder_ids"], b["decoder_mask"], "embedding"
    x = Stack(n, "decoder", ids, valid, memory).output()
    w = p[table].T if n.get("tied_output") else p["output.w"]
    if n.has("grad: tied table once"):
        w = value_with_gradient_of(w, w.detach())
    logits = x @ w
    if "output.b" in p and not n.has("output bias missing"):
        logits = logits + p["output.b"]
    logits = n.keep("logits", logits)
    cap = n.get("logit_cap")
    if cap and not n.has("logit cap left out"):
        logits = n.keep("capped_logits", cap * torch.tanh(logits / cap))
    total = loss(n, logits, b["labels"])
    found = {k: x.detach().numpy() for k, x in n.out.items()}
    if gradients:
        total.backward()
        kept = {f"grad/{k}": x.grad for k, x in n.out.items() if x.retains_grad}
        kept |= {f"grad/parameters/{k}": x.grad for k, x in p.items()}
        found |= {k: g.numpy() for k, g in kept.items() if g is not None}
    return found
