"""`numtx cost --model`: what the steps of a model from outside cost."""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from ..checkpoints.folder import read_model
from ..cost_tables import groups_text, phases_text
from ..costs import StepCost, cache_numbers, count_generation
from ..errors import UsageError
from ..show.headings import below
from .loads import loads_text


def of_folder(folder: str, tokens: int, lang: str) -> tuple[list[StepCost], list[StepCost], str]:
    """Three steps after a prompt of so many tokens, all of the id 0 (or vectors of a memory),
    counted from a run: with a cache, without one, and the tables of both."""
    config, parameters, _ = read_model(folder)
    if config.sides[-1] != "decoder":
        raise UsageError(f"{folder} has no decoder, so it makes no token after another")
    rows = [[0] * tokens]
    prompt = Batch(rows)
    if config.model == "encoder-decoder":
        prompt = Batch(rows, [[0]])
    if config.lacks_encoder:
        prompt = Batch(memory=np.zeros((1, tokens, config.width)), decoder_ids=[[0]])

    def count(use_cache: bool) -> list[StepCost]:
        return count_generation(config, parameters, prompt, max_new_tokens=3, use_cache=use_cache)

    cached, without = count(True), count(False)
    own, cross = cache_numbers(config, 1, 1)
    loads = loads_text(config, parameters, prompt, lang)
    text = "\n\n".join([
        below(
            lang, f"numtx cost {folder}: 乘加次数，由一次运行的形状数出",
            f"numtx cost {folder}: multiply-adds, counted from the shapes of a run",
        ),
        phases_text(cached, lang),
        groups_text(without[-1], cached[-1], lang),
        below(
            lang, f"缓存里的数：每个词元 {own:,}" + f"，源句 {cross:,}" * bool(cross),
            f"numbers in the cache: {own:,} a token" + f", {cross:,} of the source" * bool(cross),
        ),
        *([loads] if loads else []),
    ])  # fmt: skip
    return cached, without, text
