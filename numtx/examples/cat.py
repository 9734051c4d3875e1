"""你 是 一 只 猫 (document 004), as autoregressive and as masked language model."""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from ..config import Config
from ..ops.loss import IGNORED
from ..parameters import initialise
from ..shapes import Array
from ..stages.catalogue import Text
from ..tap import Pin
from ..vocabulary import Vocabulary
from .example import Example

WORDS = ("你", "是", "一", "只", "猫")
EMBEDDING = (
    (1.0, 0.0, 1.0, 0.0),
    (0.0, 1.0, 1.0, 0.0),
    (1.0, 1.0, 0.0, 1.0),
    (0.0, 1.0, 0.0, 1.0),
    (1.0, 0.0, 0.0, 1.0),
)
POSITIONS = (
    (0.1, 0.2, 0.3, 0.4),
    (0.2, 0.3, 0.4, 0.5),
    (0.3, 0.4, 0.5, 0.6),
    (0.4, 0.5, 0.6, 0.7),
    (0.5, 0.6, 0.7, 0.8),
)
HIDDEN = (
    (2.0, 1.2, 0.8, 0.5),
    (1.8, 1.4, 0.9, 0.6),
    (1.5, 1.5, 1.0, 0.7),
    (1.2, 1.6, 1.1, 0.8),
    (1.0, 1.8, 1.2, 0.9),
)

_COMMON = (
    Text("词嵌入 E [5,4] 与位置编码 P [5,4]，因而 X = E + P", "the embedding E [5,4] and the positions P [5,4], and so X = E + P"),
    Text("输出层 softmax(h·W_O + b_O)，带偏置", "the output softmax(h·W_O + b_O), with bias"),
)  # fmt: skip
_CHOSEN = (
    Text("2 个头、2 层（文中只说“多头”“多层”），前馈 4 -> 16 -> 4，ReLU，后置 LayerNorm", "2 heads and 2 layers (the document says 'multi-head' and 'several layers'), feed-forward 4 -> 16 -> 4 with ReLU, post-norm"),
    Text("其余参数由种子 {seed} 产生；W_O 与 b_O 文中没有给出数值", "all other parameters come from seed {seed}; the document gives W_O and b_O no values"),
)  # fmt: skip


def cat(seed: int = 0, as_stated: bool = False) -> Example:
    """Decoder-only: five inputs, four labels, no <eos>.

    as_stated  pin the last hidden states to the document's H
    """
    config = Config(
        model="decoder-only", width=4, decoder_layers=2, heads=2, hidden=16, vocabulary=5,
        positions="learned", position_limit=5,
    )  # fmt: skip
    vocabulary = Vocabulary(WORDS)
    ids = vocabulary.encode(WORDS)
    given = [
        *_COMMON,
        Text("每个词预测下一个词：四个标签，没有 <eos>；最后一个位置不计损失", "each word predicts the next: four labels, no <eos>; the last place takes no loss"),
    ]  # fmt: skip
    pins = {}
    if as_stated:
        given.append(Text("带 * 的格固定为文中的 H", "cells with * are held at the document's H"))
        pins["decoder.output"] = Pin(np.ones((1, 5, 4), bool), np.array([HIDDEN]))
    return Example(
        name="cat",
        title=Text("你 是 一 只 猫：自回归语言模型", "你 是 一 只 猫: an autoregressive language model"),
        source="004",
        config=config,
        parameters=_parameters(config, "decoder", seed),
        batch=Batch([ids], labels=[[*ids[1:], IGNORED]]),
        vocabularies={"decoder": vocabulary},
        given=given,
        chosen=_chosen(seed),
        pins=pins,
    )  # fmt: skip


def masked(seed: int = 0) -> Example:
    """Encoder-only: the sentence as masked language model, each position masked once."""
    config = Config(
        model="encoder-only", width=4, encoder_layers=2, heads=2, hidden=16, vocabulary=6,
        positions="learned", position_limit=5,
    )  # fmt: skip
    vocabulary = Vocabulary((*WORDS, "[MASK]"))
    ids = np.array(vocabulary.encode(WORDS))
    hidden = np.eye(5, dtype=bool)
    return Example(
        name="masked",
        title=Text("你 是 一 只 猫：掩码语言模型，每个位置遮住一次", "你 是 一 只 猫: a masked language model, each position masked once"),
        source="004",
        config=config,
        parameters=_parameters(config, "encoder", seed),
        batch=Batch(
            np.where(hidden, vocabulary["[MASK]"], ids), labels=np.where(hidden, ids, IGNORED)
        ),
        vocabularies={"encoder": vocabulary},
        given=[
            *_COMMON,
            Text("自编码：预测被屏蔽的词", "auto-encoding: the hidden word is predicted"),
        ],
        chosen=[
            Text("五行，第 i 行遮住第 i 个词；[MASK] 为第六个词，其嵌入由种子产生", "five rows, row i hides word i; [MASK] is a sixth word, its embedding is seeded"),
            *_chosen(seed),
        ],
    )  # fmt: skip


def _parameters(config: Config, side: str, seed: int) -> dict[str, Array]:
    parameters = initialise(config, seed)
    parameters[f"{side}.embedding"][:5] = EMBEDDING
    parameters[f"{side}.positions"][:] = POSITIONS
    return parameters


def _chosen(seed: int) -> list[Text]:
    return [Text(t.zh.format(seed=seed), t.en.format(seed=seed)) for t in _CHOSEN]
