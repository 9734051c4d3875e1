"""By how much a pair of components turns from one position to the next, in plain Python, pair by
pair: what `ops.angles` computes for all pairs at once, written apart from it."""

from __future__ import annotations

from math import ceil, floor, log, pi
from typing import Any


def turn_of(pair: int, width: int, base: float, scaling: Any) -> tuple[float, str]:
    """w_i of pair i of r = width components under a scaling, and how it came about."""
    wavelength = 2.0 * pi * base ** (2.0 * pair / width)  # tokens of one full turn
    plain, text = 2.0 * pi / wavelength, f"{base!r}**(-2*{pair}/{width})"
    if scaling.kind == "linear":
        return plain / scaling.factor, f"{text}/{scaling.factor!r}"
    if scaling.kind == "longrope":
        by = scaling.long[pair] if scaling.is_long else scaling.short[pair]
        return plain / by, f"{text}/{by!r}"
    if scaling.kind == "llama3":
        kept = (scaling.original / wavelength - scaling.low) / (scaling.high - scaling.low)
    else:
        kept = 1.0 - _ramp(pair, width, base, scaling)
    kept = min(max(kept, 0.0), 1.0)
    turn = kept * plain + (1.0 - kept) * plain / scaling.factor
    return turn, f"{text}*({kept!r} + {1.0 - kept!r}/{scaling.factor!r})"


def _ramp(pair: int, width: int, base: float, scaling: Any) -> float:
    """How far pair i stands between the one that turns beta_fast times within the original length
    and the one that turns beta_slow times: solved for i from original * w_i = 2 pi * turns."""
    ends = [
        width / 2.0 * log(scaling.original / (2.0 * pi * turns)) / log(base)
        for turns in (scaling.beta_fast, scaling.beta_slow)
    ]
    if scaling.truncate:
        ends = [floor(ends[0]), ceil(ends[1])]
    first, last = max(ends[0], 0), min(ends[1], width - 1)
    return (pair - first) / (last - first if last != first else 0.001)


def lengthening(scaling: Any) -> float:
    """The factor a on cosine and sine."""
    kind, given = scaling.kind, getattr(scaling, "attention_factor", None)
    if given is not None or kind not in ("yarn", "longrope"):
        return 1.0 if given is None else float(given)
    if scaling.factor <= 1.0:
        return 1.0
    if kind == "longrope":
        return float((1.0 + log(scaling.factor) / log(scaling.original)) ** 0.5)
    both = scaling.mscale > 0.0 and scaling.mscale_all_dim > 0.0
    above, below = (scaling.mscale, scaling.mscale_all_dim) if both else (1.0, 0.0)
    return (0.1 * above * log(scaling.factor) + 1.0) / (0.1 * below * log(scaling.factor) + 1.0)


def score_lengthening(scaling: Any) -> float:
    """YaRN's factor on scores over latents: (1 + 0.1 * mscale_all_dim * ln(factor)) squared."""
    once = 1.0 + 0.1 * scaling.mscale_all_dim * log(max(scaling.factor, 1.0))
    return float(once * once)
