"""The leaves of a model's ends; those of blocks and of their sublayers stand with their wiring."""

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
LABELS = Leaf(
    "labels", "given", (), "->bt", "ids",
    Text("标签", "Labels"),
    Text("每个位置应当预测的词元", "what each place should predict"),
)  # fmt: skip
SCALED_OUTPUT = Leaf(
    "scaled_output", "scale", ("@hidden",), "btd->btd", "{factor} * {hidden}",
    Text("缩放后的输出", "Scaled output"),
    Text("投影前乘一个固定的数", "a fixed factor before the projection"),
)  # fmt: skip
LAST_OUTPUT = Leaf(
    "last_output", "last", ("@hidden", "@last"), "bsd->btd", "last of {hidden}",
    Text("最后一个位置的输出", "Output of the last column"),
    Text("只需预测下一个词元，其他位置不必求分数", "only the next token is wanted: the other places need no scores"),
)  # fmt: skip
LOGITS = Leaf(
    "logits", "contract", ("@hidden", "@matrix", "#output.b?"), "btd,dv,v->btv", "{hidden}·W{+ output.b}",
    Text("词表分数", "Logits"),
    Text("每个位置对词表里每个词的原始分数", "a raw score of every word of the vocabulary, at every place"),
)  # fmt: skip
TIED_LOGITS = LOGITS._replace(specification="btd,vd,v->btv", formula="{hidden}·E^T{+ output.b}")
CAPPED_LOGITS = Leaf(
    "capped_logits", "cap", ("logits",), "btv->btv", "{cap} * tanh(logits / {cap})",
    Text("封顶的词表分数", "Capped logits"),
    Text("没有词的分数超过上限，模型不会过分自信", "no word's logit passes the cap, which keeps the model from being overconfident"),
)  # fmt: skip
LOG_PROBABILITIES = Leaf(
    "log_probabilities", "log_softmax", ("@logits",), "btv->btv", "log softmax(logits) per row",
    Text("对数概率", "Log-probabilities"),
    Text("损失从这里取；直接求对数更精确", "the loss is taken from here; the logarithm is exact where a small probability is not"),
)  # fmt: skip
PROBABILITIES = Leaf(
    "probabilities", "exp", ("log_probabilities",), "btv->btv", "exp(log_probabilities)",
    Text("概率", "Probabilities"),
    Text("每行之和为 1；只给读者看，后面不再用到", "every row sums to 1; for the reader, nothing uses it further on"),
)  # fmt: skip
PER_TOKEN_LOSS = Leaf(
    "loss.per_token", "pick", ("log_probabilities", "labels"), "btv,bt->bt", "-log P(label)",
    Text("每个位置的损失", "Loss per token"),
    Text("正确答案的概率越高，损失越小", "the more probable the right answer, the smaller the loss"),
)  # fmt: skip
SMOOTHED_LOSS = PER_TOKEN_LOSS._replace(
    formula="-(1 - {smoothing}) * log P(label) - {smoothing}/{words} * sum of log P",
    why=Text("标签平滑：正确答案不再占满目标，过分自信也要付出代价", "label smoothing: the label is not the whole target, so overconfidence has a price"),
)  # fmt: skip
LOSS = Leaf(
    "loss", "mean", ("loss.per_token", "labels"), "bt,bt->", "sum(loss.per_token) / labels counted",
    Text("损失", "Loss"),
    Text("对计入的位置取平均", "the mean over the counted positions"),
)  # fmt: skip
