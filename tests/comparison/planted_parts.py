"""Parts of Transformers in PyTorch, written apart from numtx, with a switch for each mistake.

Heads stand behind the tokens, [B, T, H, k]. What is kept goes by numtx's names of stages.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Net:
    """A run: settings, weights by name, the one mistake, and what is kept of it."""

    def __init__(self, settings: dict[str, Any], weights: dict[str, Tensor], wrong: str) -> None:
        self.s, self.p, self.wrong = settings, weights, wrong
        self.out: dict[str, Tensor] = {}

    def has(self, *mistakes: str) -> bool:
        return self.wrong in mistakes

    def keep(self, name: str, x: Tensor) -> Tensor:
        x = x.to(next(iter(self.p.values())).dtype)  # angles are taken in float64
        if x.requires_grad:
            x.retain_grad()
        self.out[name] = x
        return x

    def get(self, name: str, default: Any = None) -> Any:
        return self.s.get(name, default)


def value_with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """The numbers of one, with the gradient of another."""
    return surrogate + (value - surrogate).detach()


def linear(n: Net, x: Tensor, w: str, b: str | None = None) -> Tensor:
    bias = n.p.get(b or "")
    return x @ n.p[w] if bias is None else x @ n.p[w] + bias


def normalise(n: Net, x: Tensor, place: str, kind: str = "") -> Tensor:
    kind = kind or n.get("norm", "layer")
    gain, bias, eps = n.p[f"{place}.gain"], n.p.get(f"{place}.bias"), n.get("epsilon", 1e-5)
    if n.has("norm missing") or (n.has("final norm missing") and place.count(".") == 1):
        return x
    if n.has("query and key norm missing") and place.endswith(("query_norm", "key_norm")):
        return x
    if n.has("latent norm missing") and "latent" in place:
        return x
    layer = (kind == "layer") != n.has("rms for layer", "layer for rms")
    eps = 1e-3 if n.has("epsilon 1e-3") else eps
    axis = 1 if n.has("norm over the tokens") else -1
    centred = x - x.mean(axis, keepdim=True) if layer else x
    if n.has("grad: norm without the mean") and layer:
        centred = value_with_gradient_of(centred, x)
    count = x.shape[axis] - n.has("n - 1")
    spread = centred.pow(2).sum(axis, keepdim=True) / count
    if n.has("grad: norm without the spread"):
        spread = spread.detach()
    y = centred * torch.rsqrt(spread + eps)
    if n.has("epsilon outside"):
        y = centred / (spread.sqrt() + eps)
    if n.has("no gain"):
        return y if bias is None else y + bias
    offset = n.get("gain_offset", 0)
    offset = 1 - offset if n.has("1 + gain", "gain without 1") else offset
    gained = y * (gain + offset)
    if n.has("grad: gain left out"):
        gained = value_with_gradient_of(gained, y + gain - gain.detach())
    y = gained
    return y if bias is None or n.has("no norm bias") else y + bias


def frequencies(n: Net, width: int) -> tuple[Tensor, float]:
    """Of each pair, and the factor on cosine and sine."""
    base = 500000.0 if n.has("base") else n.get("position_base", 10000.0)
    plain = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    if n.has("exponent over the head's half"):
        plain = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / (width // 2))
    how = dict(n.get("rotary_scaling") or {"kind": "none"})
    how = {"kind": "none"} if n.has("angles not scaled") else how
    how = {"kind": "linear", "factor": 4.0} if n.has("angles divided by 4") else how
    if n.has("angles in bands"):
        how = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "original": 16}
    if n.has("angles on a ramp"):
        how = {"kind": "yarn", "factor": 4.0, "original": 16}
    if n.has("dynamic base"):
        return plain * 0 + (base * 4.0 ** (width / (width - 2))) ** (
            -torch.arange(0, width, 2, dtype=torch.float64) / width
        ), 1.0
    if n.has("divided throughout") or how["kind"] == "linear":
        return plain / how["factor"], 1.0
    if how["kind"] == "none":
        return plain, 1.0
    turns = how["original"] * plain / (2 * math.pi)
    if how["kind"] == "llama3":
        share = (turns - how["low"]) / (how["high"] - how["low"])
        keep = share.clamp(0.0, 1.0)
        factor = 1.0
    else:

        def index(beta: float) -> float:
            return width * math.log(how["original"] / (beta * 2 * math.pi)) / 2 / math.log(base)

        low = max(math.floor(index(how.get("beta_fast", 32.0))), 0)
        high = min(math.ceil(index(how.get("beta_slow", 1.0))), width - 1)
        ramp = (torch.arange(width // 2, dtype=torch.float64) - low) / max(high - low, 1e-3)
        keep = 1.0 - ramp.clamp(0.0, 1.0)
        factor = 0.1 * math.log(how["factor"]) + 1.0
    if n.has("no attention factor"):
        factor = 1.0
    return plain * keep + plain / how["factor"] * (1.0 - keep), factor


def rotate(n: Net, x: Tensor, positions: Tensor) -> Tensor:
    """[B, T, H, k] or [B, T, k]"""
    width = n.get("rotary_width") or x.shape[-1]
    width = x.shape[-1] if n.has("rotation of all of the head") else width
    if n.has("positions by row"):
        positions = torch.arange(len(positions))[:, None].expand_as(positions)
    if n.has("positions from 1"):
        positions = positions + 1
    if n.has("positions over padding"):
        positions = torch.arange(positions.shape[1]).expand_as(positions)
    rates, factor = frequencies(n, width)
    angles = positions[..., None] * rates
    angles = angles[:, :, None] if x.ndim == 4 else angles
    cos, sin = angles.cos() * factor, angles.sin() * factor
    sin = -sin if n.has("rotation the other way") else sin
    half = (n.get("rotary_layout", "half") == "half") != n.has("pairs interleaved")

    def turned(sin: Tensor) -> Tensor:
        part, rest = x[..., :width], x[..., width:]
        if half:
            a, b = part.chunk(2, -1)
            return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), -1)
        pairs = part.unflatten(-1, (width // 2, 2))
        a, b = pairs[..., 0], pairs[..., 1]
        both = torch.stack((a * cos - b * sin, a * sin + b * cos), -1)
        return torch.cat((both.flatten(-2), rest), -1)

    if n.has("grad: rotated the same way"):
        return value_with_gradient_of(turned(sin), turned(-sin))
    return turned(sin)


def activation(n: Net, x: Tensor) -> Tensor:
    kind = n.get("activation", "relu")
    for mistake, other in {
        "gelu for gelu_tanh": "gelu", "gelu_tanh for gelu": "gelu_tanh", "relu for gelu": "relu",
        "gelu for silu": "gelu", "gelu for relu": "gelu", "silu for relu": "silu",
    }.items():  # fmt: skip
        kind = other if n.has(mistake) else kind
    y = {
        "relu": torch.relu, "gelu": functional.gelu, "silu": functional.silu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    }[kind](x)  # fmt: skip
    if n.has("grad: gelu for gelu_tanh"):
        return value_with_gradient_of(y, functional.gelu(x))
    if n.has("grad: silu without its second term"):
        return value_with_gradient_of(y, x * torch.sigmoid(x).detach())
    if n.has("grad: relu passes everything"):
        return value_with_gradient_of(y, x)
    return y


def softmax(n: Net, x: Tensor, axis: int = -1) -> Tensor:
    top = torch.zeros(()) if n.has("exp overflows") else x.amax(axis, keepdim=True)
    top = torch.where(torch.isneginf(top), 0.0, top)
    e = (x - top.detach()).exp()
    total = e.sum(axis, keepdim=True)
    total = total.detach() if n.has("grad: softmax without the sum") else total
    if n.has("nan in empty rows"):
        return e / total
    return e / torch.where(total == 0.0, 1.0, total)


def bias_by_slopes(n: Net, queries: Tensor, keys: Tensor) -> Tensor:
    """ALiBi: [B, H, T, S]"""
    h = n.s["heads"]

    def slopes(h: int) -> list[float]:
        power = 2 ** math.floor(math.log2(h))
        if n.has("slopes of a plain power") or power == h:
            return [2.0 ** (-8.0 * (i + 1) / h) for i in range(h)]
        return slopes(power) + [2.0 ** (-4.0 * (2 * i + 1) / power) for i in range(h - power)]

    far = (queries[:, :, None] - keys[:, None, :]).abs().double()
    sign = 1.0 if n.has("slopes with the other sign") else -1.0
    each = torch.tensor(slopes(h), dtype=torch.float64)
    each = each.flip(0) if n.has("slopes reversed") else each
    return sign * each[:, None, None] * far[:, None]


def bias_by_buckets(n: Net, table: Tensor, queries: Tensor, keys: Tensor, both: bool) -> Tensor:
    """T5: [B, H, T, S]"""
    count, farthest = n.s["relative_buckets"], n.s["relative_distance"]
    farthest = 128 if n.has("farthest 128") else farthest
    both = not both if n.has("buckets of the other kind") else both
    away = keys[:, None, :] - queries[:, :, None]
    away = -away if n.has("distance the other way") else away
    start = torch.zeros_like(away)
    if both:
        count //= 2
        start = (away > 0).long() * count
        away = away.abs()
    else:
        away = (-away).clamp(min=0)
    exact = count // 2 + n.has("one bucket more")
    share = (away.clamp(min=1).double() / exact).log() / math.log(farthest / exact)
    grown = exact + (share * (count - exact)).long()
    return table[start + torch.where(away < exact, away, grown.clamp(max=count - 1))].movedim(-1, 1)


def loss(n: Net, logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with smoothing; labels of -100 do not count."""
    logs = n.keep("log_probabilities", functional.log_softmax(logits, -1))
    n.out["probabilities"] = logs.exp()
    share, words = n.get("label_smoothing", 0.0), logits.shape[-1]
    share = 0.0 if n.has("smoothing left out") else share
    labels = labels.clone()
    if n.has("labels shifted twice"):
        logs, labels = logs[:, :-1], labels[:, 1:]
    if n.has("labels shifted twice, flat"):
        logs, labels = logs.flatten(0, 1)[:-1][None], labels.flatten()[1:][None]
    counted = labels != -100
    counted = torch.ones_like(counted) if n.has("ignored labels counted") else counted
    right = -logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    every = -logs.sum(-1)
    each = (1.0 - share) * right + share / words * every
    if n.has("smoothing over V - 1"):
        each = (1.0 - share) * right + share / (words - 1) * (every - right)
    if n.has("smoothing not taken from the right word"):
        each = right + share / words * every
    if n.has("grad: smoothing left out"):
        each = value_with_gradient_of(each, right)
    each = torch.where(counted, each, 0.0)
    if not n.has("labels shifted twice, flat", "labels shifted twice"):
        each = n.keep("loss.per_token", each)
    total = (each * counted).sum() / counted.sum()
    if n.has("mean over all"):
        total = each.mean()
    if n.has("sum for mean"):
        total = each.sum()
    if n.has("mean of the rows' means"):
        total = (each.sum(-1) / counted.sum(-1)).mean()
    if n.has("grad: the mean's divisor"):
        total = value_with_gradient_of(total, (each * counted).sum())
    return n.keep("loss", total)
