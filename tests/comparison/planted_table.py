"""Every planted mistake held against numtx's own run: `planted_table.py [all|some|last] [WORD]`
prints of each what came of it, and how many were found."""

from __future__ import annotations

import sys
import time
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from planted_mistakes import FAMILIES, VALUES
from planted_models import run
from samples import random_parameters

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.sides import Side, side_of
from numtx.trace.trace import Trace, record

KEPT: dict[str, set[str]] = {  # what a file has of the stages
    "all": set(), "some": {"weights", "residual", "logits", "loss"}, "last": {"logits", "loss"},
}  # fmt: skip


def batch_of(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Three rows, one of them padded: on the left, or in an encoder on the right."""
    draw, words = np.random.default_rng(5), settings["vocabulary"]
    both = settings["model"] == "encoder-decoder"
    found: dict[str, np.ndarray] = {}
    for side in ("", "decoder_") if both else ("",):
        length = 6 if side and settings["positions"] == "relative" else 9
        found[f"{side}ids"] = draw.integers(0, words, (3, length))
        found[f"{side}mask"] = np.ones((3, length), bool)
        found[f"{side}mask"][1, slice(-2, None) if both else slice(0, 2)] = False
    labels = draw.integers(0, words, found["decoder_ids" if both else "ids"].shape)
    labels[0, 2] = labels[2, -1] = -100
    found["labels"] = np.where(found["decoder_mask" if both else "mask"], labels, -100)
    return found


@cache
def right(family: str) -> tuple[Trace, dict[str, np.ndarray], dict[str, np.ndarray]]:
    config = Config(**FAMILIES[family])
    weights = random_parameters(config, 3)
    for name in weights:  # as large as trained ones: caps and limits are felt
        if name.endswith((".w_q", ".w_k")):
            weights[name] = 1.5 * weights[name]
    batch = batch_of(FAMILIES[family])
    counted = {}
    if len(config.sides) == 2:  # theirs counts padding too
        for side in ("", "decoder_"):
            ids = batch[f"{side}ids"]
            counted[f"{side}positions"] = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    return record(config, weights, Batch(**batch, **counted)), weights, batch


def against(family: str, mistake: str, kept: str = "all", **given: Any) -> Comparison:
    trace, weights, batch = right(family)
    with np.errstate(all="ignore"):
        found = run(FAMILIES[family], weights, batch, mistake, **given)
    found = {n: x for n, x in found.items() if _is_kept(n, KEPT[kept])}
    return compare(side_of(trace, "A"), Side("B", found, None))


def _is_kept(name: str, leaves: set[str]) -> bool:
    return not leaves or name in leaves or name.rpartition(".")[2] in leaves - {"logits", "loss"}


def verdict(found: Comparison, words: str) -> tuple[str, list[str]]:
    if found.first is None:
        return "not seen", []
    causes = [str(cause) for cause in found.causes]
    if any(word in cause for cause in causes for word in words.split(" | ")):
        return "right", causes
    return ("wrong" if causes else "none"), causes


def main(kept: str = "all", word: str = "") -> None:
    counts: Counter[str] = Counter()
    for family, mistake, stage, words in VALUES:
        if word not in f"{family} {mistake}":
            continue
        start = time.perf_counter()
        found = against(family, mistake, kept)
        took = time.perf_counter() - start
        said, causes = verdict(found, words)
        first = found.first.name if found.first else "-"
        counts[said] += 1
        is_first = kept != "all" or first == stage
        counts["first stage"] += is_first
        if said != "right" or not is_first or len(causes) > 1 or took > 5.0 or word:
            first += "" if is_first else f" FOR {stage}"
            told = "; ".join(causes)
            print(f"{said:9}{took:5.1f} s {family}: {mistake} | {first} | {told}", flush=True)
    print(kept, dict(counts), "of", len(VALUES))


if __name__ == "__main__":
    main(*sys.argv[1:])
