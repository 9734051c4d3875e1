"""What an attention operator does not say of itself, and a plain call shows: the order of its axes,
whether it is causal, the precision that it computes in. Each is told in a note."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..subjects.declared import arguments_of
from .attention import AXES, EPS, TAKEN, AttentionSubject
from .reference import output_limit, terms_of, truth

# Names in use elsewhere for the arguments that are asked for.
_NAMES = {
    "is_causal": "causal",
    "attn_mask": "mask",
    "attention_mask": "mask",
    "attn_bias": "bias",
    "attention_bias": "bias",
    "window_size": "window",
    "sliding_window": "window",
    "soft_cap": "softcap",
    "logit_cap": "softcap",
    "logits_soft_cap": "softcap",
    "sink": "sinks",
    "attention_sinks": "sinks",
    "softmax_scale": "scale",
    "sm_scale": "scale",
    "alibi_slopes": "slopes",
    "enable_gqa": "grouped",
}
# PyTorch's own, which has no signature to read.
_OF_TORCH: Mapping[str, Any] = {
    "causal": "upper left",
    "together": False,
    "names": {
        "causal": "is_causal",
        "mask": "attn_mask",
        "scale": "scale",
        "grouped": "enable_gqa",
    },
}


def looks_like_one(function: Any) -> bool:
    """Whether a plain function begins with q, k and v."""
    if _is_torchs(function):
        return True
    if not callable(function) or not hasattr(function, "__code__"):
        return False
    first = [name.lower() for name in arguments_of(function)[:3]]
    return first in (["q", "k", "v"], ["query", "key", "value"], ["queries", "keys", "values"])


def _is_torchs(function: Any) -> bool:
    torch = sys.modules.get("torch")
    own = getattr(getattr(torch, "nn", None), "functional", None)
    return own is not None and function is own.scaled_dot_product_attention


def guessed(function: Callable[..., Any], declared: dict[str, Any]) -> AttentionSubject:
    """The subject of a function, with what was not declared read off plain calls."""
    if _is_torchs(function):
        declared = {**_OF_TORCH, **declared}
    notes = _misnamed(function, declared)
    found = AttentionSubject(function, declared)
    open_to = [name for name in ("layout", "causal") if name not in declared]
    if "causal" in found.takes and "causal" not in declared:
        open_to.remove("causal")
        notes.append("causal is taken as aligned to the lower right; causal='upper left' says else")
    if open_to and not _right(found):
        for more in _others(open_to):
            other = AttentionSubject(function, {**declared, **more})
            if _right(other):
                found = other
                told = ", ".join(f"{name}={value!r}" for name, value in more.items())
                notes.append(f"taken as {told}, which is what it does; declare it to be sure")
                break
    notes += _precision(found)
    found.notes = tuple(notes)
    return found


def _others(open_to: list[str]) -> list[dict[str, Any]]:
    layouts = [AXES, "bthd", "htd", "thd", "btd", "td"] if "layout" in open_to else [None]
    causal = [None, True] if "causal" in open_to else [None]
    found = []
    for layout in layouts:
        for one in causal:
            more = {"layout": layout, "causal": one}
            found.append({name: value for name, value in more.items() if value is not None})
    return found


def _right(subject: AttentionSubject) -> bool:
    """Whether plain calls with as many queries as keys give what they should, as well as float32
    does: then these declarations are its own."""
    return _off(subject, subject.dtypes[0], 5) <= 1.0 or _narrow(subject)


def _narrow(subject: AttentionSubject) -> bool:
    return any(
        _off(subject, subject.dtypes[0], 5, dtype) <= 1.0 for dtype in ("float32", "float16")
    )


def _off(subject: AttentionSubject, dtype: str, count: int, as_if: str | None = None) -> float:
    """How far a plain call lies from the truth, in units of what is allowed; inf where it fails."""
    worst = 0.0
    for seed in (0, 1):
        q, k, v = subject.plain(np.random.default_rng(seed), count, count)
        try:
            answer = subject.attend(q, k, v, {}, dtype)
        except (Exception, SystemExit):
            return float("inf")
        terms = terms_of(subject, q, k, {})
        exact = truth(q, k, v, terms)
        limit = output_limit(q, k, v, terms, exact, as_if or answer.dtype)
        off = float(abs(answer.out - exact.out).max(initial=0.0)) / limit
        worst = max(worst, off if np.isfinite(off) else float("inf"))
    return worst


def _precision(subject: AttentionSubject) -> list[str]:
    """Where a wide type is computed in a narrower one, say so and ask no more of it."""
    notes = []
    narrower = {"float64": "float32", "float32": "float16"}
    for dtype in subject.dtypes:
        other = narrower.get(dtype)
        if other is None or _off(subject, dtype, 7) <= 1.0:
            continue
        if _off(subject, dtype, 7, other) <= 1.0:
            subject.inner[dtype] = other
            notes.append(f"{dtype} is computed as exactly as {other}, and held to its bounds")
    return notes


def _misnamed(function: Callable[..., Any], declared: Mapping[str, Any]) -> list[str]:
    """Notes on arguments that look like one that would be asked for."""
    names = arguments_of(function)
    known = set(declared.get("names", {}).values())
    return [
        f"argument {name}: never given; names={{{_NAMES[name]!r}: {name!r}}} says what it is"
        for name in names
        if name in _NAMES and name not in known and _NAMES[name] not in names
    ]


assert set(_NAMES.values()) <= set(TAKEN) and "float64" in EPS
