"""今天天气很好 through an encoder-decoder that restates it: the worked example of document 003."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..batch import Batch
from ..config import Config
from ..errors import ExampleError
from ..parameters import initialise
from ..sequences import frame
from ..shapes import Array
from ..stages.catalogue import Text
from ..tap import Pin
from ..vocabulary import Vocabulary
from .example import Example

VOCABULARY = ("<pad>", "<bos>", "<eos>", "今", "天", "气", "很", "好", "的", "是")
SENTENCE = tuple("今天天气很好")

# Rows of the embedding that the document states; <pad>, <bos>, 的 and 是 it does not.
EMBEDDING = {
    "今": (0.8, 0.1, 0.3, 0.2),
    "天": (0.2, 0.9, 0.1, 0.4),
    "气": (0.1, 0.2, 0.9, 0.1),
    "很": (0.4, 0.3, 0.2, 0.8),
    "好": (0.5, 0.4, 0.1, 0.6),
    "<eos>": (0.3, 0.5, 0.6, 0.4),
}

# What the document states of the run itself; `--as-stated` pins the run to it.
POSITIONS = (
    (0.00, 1.00, 0.00, 1.00),
    (0.84, 0.54, 0.10, 0.99),
    (0.91, -0.42, 0.20, 0.98),
    (0.14, -0.99, 0.30, 0.95),
    (-0.76, -0.65, 0.39, 0.92),
    (-0.96, 0.28, 0.48, 0.88),
    (-0.28, 0.96, 0.56, 0.83),
)
SCORES = (
    (0.82, 0.69, 0.69, 0.58, 0.61, 0.72, 0.64),
    (0.69, 0.91, 0.91, 0.78, 0.82, 0.79, 0.81),
    (0.69, 0.91, 0.91, 0.78, 0.82, 0.79, 0.81),
    (0.58, 0.78, 0.78, 0.88, 0.76, 0.71, 0.75),
    (0.61, 0.82, 0.82, 0.76, 0.93, 0.84, 0.79),
    (0.72, 0.79, 0.79, 0.71, 0.84, 0.94, 0.85),
    (0.64, 0.81, 0.81, 0.75, 0.79, 0.85, 0.87),
)
ENCODER_OUTPUT = (
    (0.8, 0.1, 0.3, 0.2),
    (0.2, 0.9, 0.1, 0.4),
    (0.3, 0.8, 0.2, 0.3),
    (0.1, 0.2, 0.9, 0.1),
    (0.4, 0.3, 0.2, 0.8),
    (0.5, 0.4, 0.1, 0.6),
    (0.4, 0.5, 0.5, 0.5),
)
SELF_WEIGHTS_1 = (0.45, 0.55, 0.00, 0.00, 0.00, 0.00, 0.00)
CROSS_WEIGHTS_1 = (0.15, 0.25, 0.20, 0.10, 0.12, 0.10, 0.08)
LOGITS_0 = (0.21, 0.18, 0.15, 0.89, 0.54, 0.32, 0.41, 0.38, 0.25, 0.19)
LABEL_PROBABILITIES = (0.131, 0.153, 0.147, 0.162, 0.159, 0.155, 0.185)

CONFIG = Config(
    model="encoder-decoder",
    width=4,
    encoder_layers=2,
    decoder_layers=2,
    heads=1,
    hidden=16,
    vocabulary=10,
    # sin(1/x) = 0.10 in the document's table says that x is 10 = 100^(2/4), not 10000^(2/4).
    position_base=100.0,
    biases=("b_in", "b_out", "norm.bias"),
)

GIVEN = (
    Text("句子、词表（10 个词）与三条序列的编号", "the sentence, the vocabulary of 10 and the ids of the three sequences"),
    Text("d_model = 4；编码器、解码器各 2 层；前馈 4 -> 16 -> 4，ReLU", "d_model = 4; 2 encoder and 2 decoder layers; feed-forward 4 -> 16 -> 4 with ReLU"),
    Text("六个词元的嵌入：今 天 气 很 好 <eos>", "the embeddings of six tokens: 今 天 气 很 好 <eos>"),
    Text("位置编码表：由 base = 100 的公式算出（常用的是 10000）", "the position table: computed with base 100, which fits it (10000 is usual)"),
    Text("编码器层 0：W_Q = W_K = W_V = I，无偏置", "encoder layer 0: W_Q = W_K = W_V = I, no biases"),
    Text("输出层 W_vocab [4,10]，无偏置", "the output W_vocab [4,10] without bias"),
)  # fmt: skip
CHOSEN = (
    Text("其余参数由种子 {seed} 产生（Xavier；偏置 0，增益 1）", "all other parameters come from seed {seed} (Xavier; biases 0, gains 1)"),
    Text("1 个注意力头；编码器与解码器共用一张嵌入表", "one attention head; encoder and decoder share one embedding table"),
    Text("LayerNorm 的 epsilon = 1e-5，方差除以 d", "LayerNorm with epsilon 1e-5, its variance divided by d"),
)  # fmt: skip
WIRINGS = {
    "paper": Text(
        "按原论文接线：每个子层之后都有残差与归一化，注意力有 W_O（编码器层 0 中 W_O = I）；文中推理部分也这样写",
        "wired as in the paper, and as the document's part on inference has it: residual and norm after every sublayer, attention with W_O (W_O = I in encoder layer 0)",
    ),
    "as-written": Text(
        "按文中训练部分的写法接线：解码器的两个注意力之后没有残差与归一化，哪里都没有 W_O",
        "wired to the letter of the document's part on training: no residual and no norm around the decoder's attentions, and no W_O anywhere",
    ),
}  # fmt: skip
STATED = Text(
    "带 * 的格固定为文中所写的数：位置表、编码器层 0 的分数、H_enc、位置 1 的两行权重、位置 0 的 logits、七个标签的对数概率",
    "cells with * are held at what the document states: its position table, the scores of encoder layer 0, H_enc, two rows of weights of position 1, the logits of position 0, the log-probabilities of the seven labels",
)  # fmt: skip


def weather(seed: int = 0, wiring: str = "paper", as_stated: bool = False) -> Example:
    """The example; what the document leaves open is drawn from `seed`.

    wiring     `paper`, or `as-written`: the decoder as the document's training part has it
    as_stated  pin the run to what the document states of its intermediate results
    """
    config = _wired(wiring)
    vocabulary = Vocabulary(VOCABULARY)
    parameters = initialise(config, seed)
    for token, row in EMBEDDING.items():
        parameters["embedding"][vocabulary[token]] = row
    for name in ("w_q", "w_k", "w_v", "w_o"):
        full = f"encoder.0.self_attention.{name}"
        if full in parameters:
            parameters[full] = np.eye(4)
    framed = frame("classic", SENTENCE, SENTENCE)
    ids = vocabulary.encode
    labels = ids(framed.labels)
    return Example(
        name="weather",
        title=Text("今天天气很好：编码器-解码器复述一句话", "今天天气很好: an encoder-decoder restates a sentence"),
        source="003",
        config=config,
        parameters=parameters,
        batch=Batch([ids(framed.encoder)], [ids(framed.decoder)], [labels]),
        vocabularies={"encoder": vocabulary, "decoder": vocabulary},
        given=(*GIVEN, *([STATED] if as_stated else [])),
        chosen=(*(Text(t.zh.format(seed=seed), t.en.format(seed=seed)) for t in CHOSEN), WIRINGS[wiring]),
        pins=_pins(labels) if as_stated else {},
    )  # fmt: skip


def _wired(wiring: str) -> Config:
    if wiring not in WIRINGS:
        raise ExampleError(f"wiring is {wiring!r}; it is 'paper' or 'as-written'")
    if wiring == "paper":
        return CONFIG
    places = ("encoder.self_attention", "encoder.feed_forward", "decoder.feed_forward")
    return dataclasses.replace(
        CONFIG, norm_at=places, residual_at=places, output_projection_at=False
    )


def _pins(labels: Sequence[int]) -> dict[str, Pin]:
    """What the document states, as pins; only the stated cells are held."""
    table = Pin(np.ones((1, 7, 4), bool), np.array([POSITIONS]))
    logs = np.zeros((1, 7, 10))
    logs[0, np.arange(7), labels] = np.log(LABEL_PROBABILITIES)
    return {
        "encoder.positions": table,
        "decoder.positions": table,
        "encoder.0.self_attention.scores": Pin(np.ones((1, 1, 7, 7), bool), np.array([[SCORES]])),
        "encoder.output": Pin(np.ones((1, 7, 4), bool), np.array([ENCODER_OUTPUT])),
        "decoder.0.self_attention.weights": _row_pin((1, 1, 7, 7), 1, SELF_WEIGHTS_1),
        "decoder.0.cross_attention.weights": _row_pin((1, 1, 7, 7), 1, CROSS_WEIGHTS_1),
        "logits": _row_pin((1, 7, 10), 0, LOGITS_0),
        "log_probabilities": Pin(logs != 0.0, logs),
    }


def _row_pin(shape: tuple[int, ...], row: int, values: Sequence[float]) -> Pin:
    where = np.zeros(shape, bool)
    where[..., row, :] = True
    value: Array = np.zeros(shape)
    value[..., row, :] = values
    return Pin(where, value)
