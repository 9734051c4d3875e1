"""今天天气很好 through an encoder-decoder that restates it: the worked example of document 003."""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from ..config import Config
from ..parameters import initialise
from ..stages.catalogue import Text
from ..vocabulary import Vocabulary
from .example import Example

VOCABULARY = ("<pad>", "<bos>", "<eos>", "今", "天", "气", "很", "好", "的", "是")

# Rows of the embedding that the document states; <pad>, <bos>, 的 and 是 it does not.
EMBEDDING = {
    "今": (0.8, 0.1, 0.3, 0.2),
    "天": (0.2, 0.9, 0.1, 0.4),
    "气": (0.1, 0.2, 0.9, 0.1),
    "很": (0.4, 0.3, 0.2, 0.8),
    "好": (0.5, 0.4, 0.1, 0.6),
    "<eos>": (0.3, 0.5, 0.6, 0.4),
}

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
    Text("编码器层 0：W_Q = W_K = W_V = W_O = I，无偏置", "encoder layer 0: W_Q = W_K = W_V = W_O = I, no biases"),
    Text("输出层 W_vocab [4,10]，无偏置", "the output W_vocab [4,10] without bias"),
)  # fmt: skip
CHOSEN = (
    Text("其余参数由种子 {seed} 产生（Xavier；偏置 0，增益 1）", "all other parameters come from seed {seed} (Xavier; biases 0, gains 1)"),
    Text("1 个注意力头；编码器与解码器共用一张嵌入表", "one attention head; encoder and decoder share one embedding table"),
    Text("LayerNorm 的 epsilon = 1e-5，方差除以 d", "LayerNorm with epsilon 1e-5, its variance divided by d"),
    Text("解码器按原论文接线：每个子层之后都有残差与归一化", "the decoder is wired as in the paper: residual and norm after every sublayer"),
)  # fmt: skip


def weather(seed: int = 0) -> Example:
    """The example with what the document leaves open drawn from `seed`."""
    vocabulary = Vocabulary(VOCABULARY)
    parameters = initialise(CONFIG, seed)
    for token, row in EMBEDDING.items():
        parameters["embedding"][vocabulary[token]] = row
    for name in ("w_q", "w_k", "w_v", "w_o"):
        parameters[f"encoder.0.self_attention.{name}"] = np.eye(4)
    source = vocabulary.encode(["今", "天", "天", "气", "很", "好", "<eos>"])
    shifted = vocabulary.encode(["<bos>", "今", "天", "天", "气", "很", "好"])
    return Example(
        name="weather",
        title=Text("今天天气很好：编码器-解码器复述一句话", "今天天气很好: an encoder-decoder restates a sentence"),
        source="003",
        config=CONFIG,
        parameters=parameters,
        batch=Batch([source], [shifted], [source]),
        vocabularies={"encoder": vocabulary, "decoder": vocabulary},
        given=GIVEN,
        chosen=[Text(*(part.format(seed=seed) for part in text)) for text in CHOSEN],
    )  # fmt: skip
