"""The mathematics names mechanisms, never products."""

from __future__ import annotations

import re
from pathlib import Path

import numtx

PRODUCTS = re.compile(
    r"(?<![a-z])(?:(?:chat)?gpt|llama|alpaca|(?:ro|al|distil|de)?berta?|qwen|(?:m|flan|u)?t5|m?bart"
    r"|deep_?seek|mistral|mixtral|gemma|pythia|xlnet|electra|marian|chatglm|chinchilla)(?![a-z])",
    re.IGNORECASE,
)
ROOT = Path(numtx.__file__).parent
# `sequences` is data about families of models, and names them: it computes nothing.
HIGHER = {"sequences.py", "trace", "training", "decoding", "examples", "testing", "cli"}


def sources() -> list[Path]:
    """The files of floors 0 to 5."""
    return [
        path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in HIGHER
    ]


def test_no_file_of_the_mathematics_names_a_product() -> None:
    found = sources()
    assert {"attention.py", "model.py", "config.py"} <= {path.name for path in found}
    named = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in found
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in PRODUCTS.finditer(line)
    ]
    assert named == []


def test_the_search_finds_names() -> None:
    for text in ('if name == "llama":', "GPT-2 style", "gpt2", "the Qwen2 layout", "use_t5_bias"):
        assert PRODUCTS.search(text), text
    for text in ("option", "vertical", "Hilbert", "best5", "liberty", "Barton", "margin"):
        assert not PRODUCTS.search(text), text
