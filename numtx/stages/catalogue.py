"""The leaves of a model's inputs; those of blocks, sublayers and the head stand with their wiring."""

from __future__ import annotations

from .leaf import Leaf, Text

__all__ = ["Leaf", "Text"]

TOKENS = Leaf(
    "tokens", "given", (), "->bt", "ids",
    Text("词元编号", "Token ids"),
    Text("模型只认识数字：每个词元是词表里的一个编号", "a model sees numbers only: each token is its number in the vocabulary"),
)  # fmt: skip
EMBEDDING = Leaf(
    "embedding", "lookup", ("tokens", "@table"), "bt,vd->btd", "E[id]",
    Text("词嵌入", "Embedding"),
    Text("查表：同一个词元总得到同一行", "a table look-up: the same token always gets the same row"),
)  # fmt: skip
VECTORS = Leaf(
    "embedding", "given", (), "->btd", "vectors",
    Text("给定的向量", "Vectors"),
    Text("不查表：向量从外面给出，例如图像的小块", "no look-up: vectors come from outside, of the patches of a picture for instance"),
)  # fmt: skip
MEMORY = Leaf(
    "output", "given", (), "->btd", "memory",
    Text("给定的记忆", "Memory"),
    Text("编码器不运行：它的输出从外面给出", "no encoder runs: what it would give comes from outside, such as from sound"),
)  # fmt: skip
SCALED_EMBEDDING = Leaf(
    "scaled_embedding", "scale", ("embedding",), "btd->btd", "{factor} * embedding",
    Text("缩放后的词嵌入", "Scaled embedding"),
    Text("放大嵌入，使它不被位置编码盖过", "enlarged, so that positions do not drown it"),
)  # fmt: skip
SINUSOIDAL_POSITIONS = Leaf(
    "positions", "lookup", ("@positions",), "bt->btd",
    "P[p,2i] = sin(p / {base}^(2i/d)), P[p,2i+1] = cos(p / {base}^(2i/d))",
    Text("位置编码", "Positions"),
    Text("注意力本身不分先后，位置编码给每个位置一个标记", "attention by itself knows no order; this marks every place"),
)  # fmt: skip
SINUSOIDAL_HALVES = SINUSOIDAL_POSITIONS._replace(
    formula="P[p,i] = sin(p / {base}^(2i/d)), P[p,d/2+i] = cos(p / {base}^(2i/d))"
)
LEARNED_POSITIONS = Leaf(
    "positions", "lookup", ("@positions", "#positions"), "bt,vd->btd", "P[p + {offset}]",
    Text("可学习的位置向量", "Learned positions"),
    Text("每个位置一行可学习的向量", "one learned row for every place"),
)  # fmt: skip
SEGMENTS = Leaf(
    "segments", "lookup", ("@segments", "#segments"), "bt,vd->btd", "S[segment]",
    Text("句段嵌入", "Segments"),
    Text("标明词元属于第几句", "says to which sentence a token belongs"),
)  # fmt: skip
EMBEDDING_SUM = Leaf(
    "embedding_sum", "add", ("@summands",), "btd->btd", "{sum}",
    Text("嵌入之和", "Sum of embeddings"),
    Text("归一化之前的和", "the sum before its norm"),
)  # fmt: skip
INPUT_SUM = Leaf(
    "input", "add", ("@summands",), "btd->btd", "X = {sum}",
    Text("输入", "Input"),
    Text("内容加位置：同一个词在不同位置成为不同的向量", "content plus place: the same token differs from place to place"),
)  # fmt: skip
INPUT_NORM = Leaf(
    "input", "norm", ("embedding_sum", "#embedding_norm.gain", "#embedding_norm.bias?"),
    "btd->btd", "X = norm(embedding_sum)",
    Text("输入（归一化）", "Input (normalised)"),
    Text("把每个词元的向量调到同一尺度", "brings every token's vector to one scale"),
)  # fmt: skip
TOKEN_MASK = Leaf(
    "mask", "given", (), "->bt", "1 = a real token, 0 = padding",
    Text("填充掩码", "Padding mask"),
    Text("填充只为对齐长度，谁也不该看它", "padding only aligns lengths; nobody may look at it"),
)  # fmt: skip
ALL_MASK = Leaf(
    "all_mask", "append", ("@parts",), "bt,bt->bs", "{parts}",
    Text("全部词元的填充掩码", "Padding mask of all tokens"),
    Text("缓存里的词元，加上这一步的词元", "the tokens in the cache, and then those of this step"),
)  # fmt: skip
STACK_OUTPUT = Leaf(
    "output", "add", ("@last",), "btd->btd", "= {last}",
    Text("输出", "Output"),
    Text("最后一个块的结果", "what the last block gives"),
)  # fmt: skip
STACK_NORM = Leaf(
    "output", "norm", ("@last", "#norm.gain", "#norm.bias?"), "btd->btd", "norm({last})",
    Text("输出（末层归一化）", "Output (final norm)"),
    Text("前置归一化的块之间从不归一化，所以最后补一次", "pre-norm blocks pass on raw sums, so one norm ends the stack"),
)  # fmt: skip
