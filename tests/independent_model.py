"""A Transformer written apart from numtx, as somebody else might: plain NumPy with einsum, heads
behind the tokens, masks added as 0 and a large negative number; with switches for mistakes.

`run(config, parameters, batch, mistake)` returns arrays under the stages' names, in its own
layouts: (batch, token, head, d) for queries, keys, values and context.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

HIDDEN = -1e9


class Model:
    def __init__(self, config: Any, parameters: Any, mistake: str = "") -> None:
        self.c, self.p, self.mistake = config, parameters, mistake
        self.out: dict[str, Any] = {}

    def wrong(self, name: str) -> bool:
        return self.mistake == name

    def linear(self, x: Any, place: str, letter: str) -> Any:
        w, b = self.p[f"{place}.w_{letter}"], self.p.get(f"{place}.b_{letter}")
        if self.wrong(f"w_{letter} transposed"):
            w = w.reshape(w.shape[::-1]).T
        y = np.einsum("bti,io->bto", x, w)
        return y if b is None or self.wrong(f"b_{letter} missing") else y + b

    def norm(self, x: Any, place: str) -> Any:
        c, n = self.c, x.shape[-1]
        gain, bias = self.p[f"{place}.gain"], self.p.get(f"{place}.bias")
        epsilon = 1e-3 if self.wrong("epsilon") else c.epsilon
        centre = (c.norm == "layer") != self.wrong("rms for layer")
        if centre:
            x = x - np.einsum("btd->bt", x)[..., None] / n
        spread = np.einsum("btd,btd->bt", x, x)[..., None] / (n - self.wrong("n - 1"))
        y = x / (
            np.sqrt(spread) + epsilon
            if self.wrong("epsilon outside")
            else np.sqrt(spread + epsilon)
        )
        y = y if self.wrong("no gain") else y * gain
        return y if bias is None or self.wrong("no norm bias") else y + bias

    def rotate(self, x: Any, positions: Any) -> Any:
        """As complex numbers: a pair is a + ib, times exp(i angle)."""
        c = self.c
        r = c.rotated
        if self.wrong("positions off by one"):
            positions = positions + 1
        rotary = np.exp(
            (-1j if self.wrong("rotary sign") else 1j) * positions[:, :, None, None]
            * c.position_base ** (-np.arange(0, r, 2) / r)
        )  # fmt: skip
        half = (c.rotary_layout == "half") != self.wrong("rotary layout")
        first, second = (
            (x[..., : r // 2], x[..., r // 2 : r]) if half else (x[..., 0:r:2], x[..., 1:r:2])
        )
        z = (first + 1j * second) * rotary
        y = x.copy()
        if half:
            y[..., : r // 2], y[..., r // 2 : r] = z.real, z.imag
        else:
            y[..., 0:r:2], y[..., 1:r:2] = z.real, z.imag
        return y

    def mask(self, keys_valid: Any, queries: int, causal: bool, window: Any, positions: Any) -> Any:
        batch, keys = keys_valid.shape
        hidden = np.zeros((batch, queries, keys))
        if not self.wrong("padding ignored"):
            hidden += np.where(keys_valid, 0.0, HIDDEN)[:, None, :]
        if causal and not self.wrong("not causal"):
            shift = self.wrong("mask shifted") - self.wrong("mask shifted back")
            hidden += np.triu(np.full((queries, keys), HIDDEN), 1 + shift)
        if window is not None:
            far = np.abs(positions[:, :, None] - positions[:, None, :])
            hidden += np.where(far < window + self.wrong("window off by one"), 0.0, HIDDEN)
        if self.wrong("mask inverted"):
            hidden = np.where(hidden < 0, 0.0, HIDDEN)
        return hidden

    def attention(self, place: str, x: Any, memory: Any, hidden: Any, positions: Any) -> Any:
        c, out = self.c, self.out
        b, t, s = len(x), x.shape[1], memory.shape[1]
        letters = {"q": "q", "k": "k", "v": "v"}
        if self.wrong("k and v swapped"):
            letters.update(k="v", v="k")
        q = self.linear(x, place, letters["q"]).reshape(b, t, c.heads, c.d_k)
        k = self.linear(memory, place, letters["k"]).reshape(b, s, c.kv_heads, -1)
        v = self.linear(memory, place, letters["v"]).reshape(b, s, c.kv_heads, -1)
        if self.wrong("heads split"):
            q = q.reshape(b, t, c.d_k, c.heads).swapaxes(2, 3)
        out[f"{place}.queries"], out[f"{place}.keys"], out[f"{place}.values"] = q, k, v
        if positions is not None:
            q, k = self.rotate(q, positions), self.rotate(k, positions)
            out[f"{place}.rotated_queries"], out[f"{place}.rotated_keys"] = q, k
        share = c.heads // c.kv_heads
        if self.wrong("tiled"):
            k, v = np.tile(k, (1, 1, share, 1)), np.tile(v, (1, 1, share, 1))
        else:
            k, v = np.repeat(k, share, 2), np.repeat(v, share, 2)
        scores = np.einsum("bthk,bshk->bhts", q, k)
        out[f"{place}.products"] = scores
        factor = c.scale**2 if self.wrong("scale doubled") else c.scale
        if self.wrong("scale by width"):
            factor = 1.0 / math.sqrt(c.width)
        scores = scores if self.wrong("scale missing") else scores * factor
        out[f"{place}.scores"] = scores
        scores = scores + hidden[:, None]
        out[f"{place}.masked_scores"] = scores
        axis = -2 if self.wrong("softmax axis") else -1
        weights = np.exp(scores - scores.max(axis, keepdims=True))
        weights = weights / weights.sum(axis, keepdims=True)
        weights = np.where((hidden <= HIDDEN).all(-1)[:, None, :, None], 0.0, weights)
        out[f"{place}.weights"] = weights
        context = np.einsum("bhts,bshc->bthc", weights, v)
        out[f"{place}.context"] = context
        merged = context.swapaxes(1, 2) if self.wrong("merged without transposing") else context
        y = self.linear(merged.reshape(b, t, -1), place, "o")
        out[f"{place}.output"] = y
        return y

    def feed_forward(self, place: str, x: Any) -> Any:
        c, out = self.c, self.out
        up, gate = self.linear(x, place, "in"), None
        if c.gated:
            gate = self.linear(x, place, "gate")
            if self.wrong("gate and up swapped"):
                up, gate = gate, up
            out[f"{place}.gate"] = gate
        out[f"{place}.hidden"] = up
        active = self.activation(up if gate is None else gate)
        out[f"{place}.activation"] = active
        if gate is not None:
            active = active * (up + c.gate_shift)
            out[f"{place}.gated"] = active
        y = self.linear(active, place, "out")
        out[f"{place}.output"] = y
        return y

    def activation(self, x: Any) -> Any:
        kind = self.c.activation
        for name in ("gelu_tanh", "relu", "gelu"):
            if self.wrong(f"{name} for {kind}"):
                kind = name
        if kind == "relu":
            return (x + np.abs(x)) / 2
        if kind in ("silu", "gelu_sigmoid"):
            return x / (1 + np.exp(-x if kind == "silu" else -1.702 * x))
        if kind == "gelu_tanh":
            return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))
        return x / 2 * np.vectorize(lambda v: 1 + math.erf(v / math.sqrt(2)))(x)

    def sublayer(self, place: str, x: Any, inner: Any) -> Any:
        c, out = self.c, self.out
        if c.norm_place == "pre":
            normed = x if self.wrong("norm forgotten") else self.norm(x, f"{place}.norm")
            if not self.wrong("norm forgotten"):
                out[f"{place}.norm"] = normed
            y = inner(normed)
        else:
            y = inner(x)
        if self.wrong("residual doubled"):
            x = 2 * x
        y = y if self.wrong("residual lost") else x + y
        out[f"{place}.residual"] = y
        if c.norm_place == "post":
            y = self.norm(y, f"{place}.norm")
            out[f"{place}.norm"] = y
        return y

    def stack(self, side: str, ids: Any, valid: Any, given: Any, memory: Any) -> Any:
        c, out = self.c, self.out
        table = self.p.get(f"{side}.embedding", self.p.get("embedding"))
        x = table[ids]
        out[f"{side}.tokens"], out[f"{side}.embedding"] = ids, x
        if not self.wrong("embedding scale missing"):
            x = x * c.embedding_scale
        positions = np.maximum(np.cumsum(valid, 1) - 1, 0) if given is None else given
        if self.wrong("positions over padding"):
            positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        if c.positions == "sinusoidal":
            i, half = np.arange(c.width), c.width // 2
            halves = (c.sinusoidal_layout == "half") != self.wrong("sinusoid layout")
            pair, cosine = (i % half, i // half) if halves else (i // 2, i % 2)
            angle = positions[..., None] / c.position_base ** (2 * pair / c.width)
            waves = np.sin(angle + np.pi / 2 * cosine)
            out[f"{side}.positions"], x = waves, x + waves
        elif c.positions == "learned":
            offset = 0 if self.wrong("offset forgotten") else c.position_offset
            rows = self.p[f"{side}.positions"][positions + offset]
            out[f"{side}.positions"], x = rows, x + rows
        out[f"{side}.input"] = x
        causal = side == "decoder" and c.causal
        own = self.mask(valid, ids.shape[1], causal, c.window, positions)
        rotated = positions if c.rotated else None
        for n in range(c.layers(side)):
            place = f"{side}.{n}.self_attention"
            x = self.sublayer(place, x, lambda h, p=place: self.attention(p, h, h, own, rotated))
            if memory is not None:
                place = f"{side}.{n}.cross_attention"
                seen, there = memory
                across = self.mask(there, ids.shape[1], False, None, None)
                if self.wrong("cross causal"):
                    across = across + np.triu(np.full(across.shape[1:], HIDDEN), 1)
                x = self.sublayer(
                    place, x, lambda h, p=place, k=seen, m=across: self.attention(p, h, k, m, None)
                )
            place = f"{side}.{n}.feed_forward"
            x = self.sublayer(place, x, lambda h, p=place: self.feed_forward(p, h))
        if c.norm_place == "pre":
            x = self.norm(x, f"{side}.norm")
        out[f"{side}.output"] = x
        return x

    def run(self, batch: Any) -> dict[str, Any]:
        c, out, memory = self.c, self.out, None
        x = labels = None
        for side in c.sides:
            prefix = "decoder_" if side == "decoder" and len(c.sides) == 2 else ""
            ids = np.array(batch[f"{prefix}ids"])
            valid = np.array(batch.get(f"{prefix}mask", np.ones(ids.shape, bool)))
            x = self.stack(side, ids, valid, batch.get(f"{prefix}positions"), memory)
            memory = (x, valid)
        if c.output_scale != 1.0:
            x = x * c.output_scale
        w = self.p.get("output.w")
        if c.tied_output:
            w = self.p.get(f"{c.sides[-1]}.embedding", self.p.get("embedding")).T
        logits = np.einsum("btd,dv->btv", x, w)
        if "output.b" in self.p and not self.wrong("output bias missing"):
            logits = logits + self.p["output.b"]
        out["logits"] = logits
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        out["log_probabilities"] = logs
        labels = np.array(batch["labels"])
        if self.wrong("labels shifted"):
            labels = np.roll(labels, -1, 1)
        counted = labels >= 0
        rows, columns = np.nonzero(counted)
        losses = np.zeros(labels.shape)
        losses[rows, columns] = -logs[rows, columns, labels[rows, columns]]
        losses[rows, columns] *= 1 - c.label_smoothing
        losses[rows, columns] -= c.label_smoothing * logs[rows, columns].mean(-1)
        out["loss.per_token"] = losses
        count = losses.size if self.wrong("mean over all") else counted.sum()
        out["loss"] = losses.sum() / (1 if self.wrong("sum for mean") else count)
        return out


def run(config: Any, parameters: Any, batch: Any, mistake: str = "") -> dict[str, Any]:
    """The stages of one run."""
    return Model(config, parameters, mistake).run(batch)
