"""The formula of a stage: that of its leaf, with the names and numbers of one model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config import Config
from .leaf import Leaf
from .norms import norm_formula


def formula_of(leaf: Leaf, inputs: list[str], attributes: Mapping[str, Any], config: Config) -> str:
    """The leaf's formula with the names and numbers of this stage."""
    short = [name.rpartition("/")[2] for name in inputs]

    def fill(match: re.Match[str]) -> str:
        word = match[1]
        if word.startswith("+ "):
            bias = word[2:]
            present = any(name == bias or name.endswith("." + bias) for name in short)
            return f" + {bias}" if present else ""
        if word == "parts":
            return f"[{'; '.join(short)}]"
        if word == "sum":
            return " + ".join(name.rpartition(".")[2] for name in short)
        if word == "scale":
            if attributes["root"] is None:
                return f"* {attributes['factor']:g}"
            longer = attributes["longer"]
            by = "" if longer is None else f" * {longer.latent_factor:g}"
            return f"/ sqrt({'d_k + d_r' if attributes['apart'] else 'd_k'}){by}"
        if word == "rule":
            return _rule(attributes)
        if word == "norm":
            return norm_formula(attributes, len(inputs))
        if word == "activation":
            return str(attributes["kind"])
        if word == "memory":
            return "H_enc" if inputs[0] == "encoder.output" else "X"
        if word == "branch":
            return short[-1].rpartition(".")[2]
        if word in ("skip", "last", "hidden", "inner", "opened"):
            name = short[0]
            return name if word in ("skip", "last", "hidden") else name.rpartition(".")[2]
        value = attributes[word]
        return value if isinstance(value, str) else f"{value:g}"

    return re.sub(r"\{([^}]*)\}", fill, leaf.formula)


def _rule(attributes: Mapping[str, Any]) -> str:
    parts = ["key is a real token"]
    if attributes["causal"]:
        parts.append("key is not later than query (j <= i)")
    if attributes["window"] is not None:
        parts.append(f"less than {attributes['window']} away")
    if attributes["chunk"] is not None:
        parts.append(f"in the same block of {attributes['chunk']}")
    if "documents" in attributes:
        parts.append("of the same document")
    return " and ".join(parts)
