"""What a generation computed and read, step by step, and what it wrote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..config import Config
from ..show.grid import clean
from ..show.headings import below, pick
from ..show.table import table_text
from ..vocabulary import Vocabulary
from .filters import probabilities_of
from .generate import Generation, Step

LISTED = 4  # words of a step, the most probable first
HEADS = {
    "zh": ("步骤", "新算", "读取", "缓存中的 K（V 相同）", "权重", "重算", "下一个", "概率"),
    "en": ("step", "computed", "read", "K in the cache (V alike)", "weights", "again", "next", "p"),
}


def steps_text(
    config: Config,
    generation: Generation,
    vocabulary: Vocabulary,
    cached: bool,
    lang: str,
    width: int | None = None,
) -> str:
    """A line for each step, what the columns mean, and the most probable words of each step."""
    lines: list[Sequence[str]] = [HEADS["zh" if lang == "zh" else "en"]]
    for step in generation.steps:
        total, new = step.read + step.computed, step.computed
        keyed = config.kv_heads * config.d_k
        weights = f"{step.attention[0]}x{step.attention[1]}"
        keys = f"{step.read}x{keyed} + {new}x{keyed} -> {total}x{keyed}" if cached else "-"
        again = str(step.recomputed)
        lines.append(
            [step.phase, str(new), str(step.read), keys, weights, again, *_chosen(step, vocabulary)]
        )
    blocks = [table_text(lines, "lrrlrrlr", width=width), below(
        lang,
        "新算：这一步算出查询、键与值的词元数；读取：键与值取自缓存的词元数；"
        "重算：以前的步已经算过、这一步又算的词元数",
        "computed: tokens whose queries, keys and values this step computed; read: tokens whose "
        "keys and values came from the cache; again: tokens computed that an earlier step had "
        "computed too",
    )]  # fmt: skip
    twice = sum(step.recomputed for step in generation.steps)
    if not cached and twice:
        # Document 000: at "<SOS> The cat" the keys and values of <SOS> and The are known already.
        layers, rows = config.decoder_layers, 2 * twice * config.decoder_layers
        blocks.append(below(
            lang,
            f"没有缓存，{layers} 层的每一层都把 {twice} 个词元的键与值又算了一遍：共 {rows} 行",
            f"without a cache {twice} tokens' keys and values were computed again in each of "
            f"{layers} layers: {rows} rows",
        ))  # fmt: skip
    if len(generation.prompt) == 1:
        blocks.append(_likely(generation, vocabulary, lang, width))
    return "\n\n".join(blocks)


def generation_text(
    config: Config,
    generation: Generation,
    vocabulary: Vocabulary,
    cached: bool,
    lang: str,
    width: int | None = None,
) -> str:
    """The steps, and the text of each row."""
    names = pick(lang, "提示", "prompt"), pick(lang, "输出", "output")
    texts = []
    for before, after in zip(generation.prompt, generation.new, strict=True):
        texts.append(f"{names[0]}: {vocabulary.text(before).lstrip()}")
        texts.append(f"{names[1]}: {vocabulary.text(after)}")
    return "\n\n".join([
        steps_text(config, generation, vocabulary, cached, lang, width), "\n".join(texts)
    ])  # fmt: skip


def _chosen(step: Step, vocabulary: Vocabulary) -> tuple[str, str]:
    """The next token of each row and its probability."""
    if step.tokens is None:
        return "", ""
    odds = probabilities_of(step.logits)[np.arange(len(step.tokens)), step.tokens]
    shown = [
        (vocabulary.token(int(token)), f"{p:.2f}") if real else (".", ".")
        for token, p, real in zip(step.tokens, odds, step.counts, strict=True)
    ]
    return " | ".join(token for token, _ in shown), " | ".join(p for _, p in shown)


def _likely(generation: Generation, vocabulary: Vocabulary, lang: str, width: int | None) -> str:
    """The most probable words of every step, as documents list them."""
    rows = [[pick(lang, "最可能的词", "most probable"), *[""] * LISTED]]
    for step in generation.steps:
        if step.tokens is not None:
            odds = probabilities_of(step.logits)[0]
            best = np.argsort(-odds, kind="stable")[:LISTED].tolist()
            words = [f"{clean(vocabulary.token(i))} {odds[i]:.2f}" for i in best]
            rows.append([step.phase, *words, *[""] * (LISTED - len(words))])
    return table_text(rows, "l" * (LISTED + 1), width=width)
