"""今天天气很好 -> Today is nice weather today, step by step with document 003's probabilities.

The parameters were found by a search (`aims`, `search`); `story.json` keeps those that it moved.
"""

from __future__ import annotations

import dataclasses
from importlib import resources

import numpy as np

from ..errors import ExampleError
from ..shapes import Array
from ..stages.catalogue import Text
from ..strict_json import read_json
from .example import Example
from .search import Aim, log_near, near, search
from .translation import ENGLISH, translation
from .weather import EMBEDDING, VOCABULARY

SEED = 0
DIGITS = 4  # decimals that are kept of what the search found

# Step -> the largest probabilities that the document states for the next word.
PROBABILITIES: tuple[dict[str, float], ...] = (
    {"Today": 0.35, "The": 0.28, "Weather": 0.12, "It": 0.08},
    {"is": 0.42, "the": 0.25, "was": 0.18},
    {"nice": 0.38, "good": 0.25, "sunny": 0.20},
    {},
    {},
    {"<eos>": 0.55},
)
CHOSEN = ("Today", "is", "nice", "weather", "today", "<eos>")
# Rows of weights: step -> over the decoder's tokens, and over the source. Of the two rows that
# the document gives for Today this is the first; causality lets a model have one only.
SELF_ROWS = {1: (0.4, 0.6), 2: (0.2, 0.4, 0.4)}
CROSS_ROWS = {
    0: (0.12, 0.18, 0.15, 0.10, 0.13, 0.20, 0.12),
    1: (0.08, 0.10, 0.12, 0.15, 0.25, 0.18, 0.12),
}
# Step 2: the weights of pairs, 天气 (places 2 and 3) and 很好 (places 4 and 5).
PAIRS = ((0, 0, 1, 1, 0, 0, 0), (0, 0, 0, 0, 1, 1, 0))
PAIR_WEIGHTS = (0.35, 0.40)


def story(seed: int = 0) -> Example:
    """The translation whose model gives the document's numbers; one layer a side, one head.

    seed  draws nothing here: every parameter was found by the search, from its own seed
    """
    start = _start()
    text = resources.files(__package__).joinpath("story.json").read_text(encoding="utf-8")
    kept = read_json(text, "story.json", ExampleError)
    found = {name: np.array(values) for name, values in kept.items()}
    return dataclasses.replace(
        start,
        parameters={**start.parameters, **found},
        is_trained=True,
        chosen=[
            Text("每侧一层、一个头；目标词表是文中出现过的 17 个词", "one layer and one head a side; the target vocabulary is the 17 words that the document names"),
            Text(f"参数由搜索得到（从种子 {SEED} 出发，numtx 自己的反向传播）；numtx figures --search 重做；种子 {seed} 在此不起作用", f"the parameters were found by a search (from seed {SEED}, by numtx's own backward pass); numtx figures --search repeats it; seed {seed} draws nothing here"),
        ],
    )  # fmt: skip


def _start() -> Example:
    start = translation(seed=SEED, layers=1)
    return dataclasses.replace(
        start,
        name="story",
        title=Text("逐词生成的故事，概率与文中一致", "the story word by word, with the document's probabilities"),
        given=[
            *start.given[:2],
            Text("每一步列出的概率，自注意力与交叉注意力的各行", "the probabilities that every step lists, the rows of self- and cross-attention"),
        ],
    )  # fmt: skip


def aims() -> list[Aim]:
    """What the search aims at: every cell within half a printed unit."""
    found = []
    for step, stated in enumerate(PROBABILITIES):
        places = [ENGLISH.index(word) for word in stated]
        if stated:
            values = tuple(stated.values())
            found.append(log_near("log_probabilities", (step, places), values, 0.005))
            least = min(values)
        else:
            chosen = ENGLISH.index(CHOSEN[step])
            found.append(Aim("log_probabilities", (step, [chosen]), np.log([0.5]), np.log([0.9])))
            places, least = [chosen], 0.5
        others = [i for i in range(len(ENGLISH)) if i not in places]
        high = np.full(len(others), np.log(0.8 * least))
        if step < 3:  # the words that are not listed are less probable than those that are
            found.append(Aim("log_probabilities", (step, others), np.full(len(others), -6.5), high))
    for step, row in SELF_ROWS.items():
        place = (step, slice(0, step + 1))
        found.append(near("decoder.0.self_attention.weights", place, row, 0.005))
    for step, row in CROSS_ROWS.items():
        found.append(near("decoder.0.cross_attention.weights", (step,), row, 0.005))
    pairs = np.array(PAIR_WEIGHTS)
    found.append(
        Aim("decoder.0.cross_attention.weights", (2,), pairs - 0.005, pairs + 0.005,
            np.array(PAIRS, float))
    )  # fmt: skip
    return found


def search_story() -> tuple[dict[str, Array], float]:
    """Repeat the search: the parameters, rounded as they are kept, and their largest distance
    from the stated values in half printed units."""
    start = _start()
    given = np.array([token in EMBEDDING for token in VOCABULARY])
    fixed = {"encoder.embedding": np.repeat(given[:, None], 4, 1)}
    found, worst = search(
        start.config, start.parameters, start.batch, aims(), fixed=fixed, margin=0.1, enough=0.3
    )
    return {name: array.round(DIGITS) for name, array in found.items()}, worst
