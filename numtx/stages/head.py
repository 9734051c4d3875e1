"""The leaves of what stands on the last stack, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .graph import Stage
from .leaf import Leaf, Text
from .norms import norm_attributes

if TYPE_CHECKING:
    from .resolve import Wiring

POOLER_FIRST = Leaf(
    "first", "first", ("@hidden", "@mask"), "bsd,bs->btd", "first real token of {hidden}",
    Text("首个词元的输出", "Output of the first token"),
    Text("首个词元（如 [CLS]）看过整句，由它代表整句", "the first token, such as [CLS], has looked at all others, and stands for the row"),
)  # fmt: skip
POOLER_HIDDEN = Leaf(
    "hidden", "contract", ("first", "#w", "#b?"), "btd,dw,w->btw", "first·W{+ b}",
    Text("池化层", "Pooler"),
    Text("改造成整句的表示", "makes it over to what describes a whole sentence"),
)  # fmt: skip
POOLER_OUTPUT = Leaf(
    "output", "cap", ("hidden",), "btd->btd", "tanh(hidden)",
    Text("池化后的向量", "Pooled"),
    Text("每个分量在 -1 与 1 之间，供分类用", "every component between -1 and 1, for a classifier to read"),
)  # fmt: skip
LABELS = Leaf(
    "labels", "given", (), "->bt", "ids",
    Text("标签", "Labels"),
    Text("每个位置应当预测的词元", "what each place should predict"),
)  # fmt: skip
HEAD_HIDDEN = Leaf(
    "hidden", "contract", ("@hidden", "#w", "#b?"), "btd,dw,w->btw", "{hidden}·W{+ b}",
    Text("输出层前的线性层", "Linear layer of the head"),
    Text("猜被遮住的词之前，先把向量改造一遍", "before a hidden word is guessed, its vector is made over once more"),
)  # fmt: skip
HEAD_ACTIVATION = Leaf(
    "activation", "activation", ("hidden",), "btd->btd", "{activation}(hidden)",
    Text("输出层前的激活", "Activation of the head"),
    Text("没有非线性，这一层可以并入词表矩阵", "without it this layer could be a part of the matrix of the logits"),
)  # fmt: skip
HEAD_NORM = Leaf(
    "norm", "norm", ("activation", "#norm.gain", "#norm.bias?"), "btd->btd", "{norm}",
    Text("输出层前的归一化", "Norm of the head"),
    Text("使向量与词嵌入的尺度相合，再与每个词比较", "brings the vector to one scale, before it is compared with every word"),
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
SUMMED_LOSS = Leaf(
    "loss", "total", ("loss.per_token", "labels"), "bt,bt->", "sum(loss.per_token)",
    Text("总损失", "Summed loss"),
    Text("把计入的位置加起来：词元越多，损失与梯度越大", "the sum over the counted positions: it grows with their number, and so does every gradient"),
)  # fmt: skip


def head(wiring: Wiring, side: str, labels: bool, last_logits: bool) -> Iterator[Stage]:
    """What stands on the last stack: logits, and with labels the loss."""
    config = wiring.config
    if config.pooler:
        of = {"@hidden": wiring.named(f"{side}.output"), "@mask": wiring.named(f"{side}.mask")}
        yield wiring.stage("pooler", POOLER_FIRST, of, t="last", s=side)
        yield wiring.stage("pooler", POOLER_HIDDEN, t="last")
        yield wiring.stage("pooler", POOLER_OUTPUT, t="last", cap=1.0)
    if config.head is None:
        return
    if labels:
        yield wiring.stage("", LABELS, t=side)
    hidden = wiring.named(f"{side}.output")
    matrix = "output.w"
    if config.tied_output:
        matrix = "embedding" if config.shared_embedding else f"{side}.embedding"
    if last_logits:
        # In generation, of each row's last token; else of the last column.
        where = (wiring.given(f"{side}.last"),) if wiring.prefix else ()
        roles = {"@hidden": hidden, "@last": where}
        yield wiring.stage("", LAST_OUTPUT, roles, t="last", s=side)
        hidden, side = wiring.named("last_output"), "last"
    if config.head == "masked-language-model":
        kind = config.head_activation or config.activation
        yield wiring.stage("head", HEAD_HIDDEN, {"@hidden": hidden}, t=side)
        yield wiring.stage("head", HEAD_ACTIVATION, t=side, kind=kind)
        yield wiring.stage("head", HEAD_NORM, t=side, **norm_attributes(config))
        hidden = wiring.named("head.norm")
    if config.output_scale != 1.0:
        yield wiring.stage(
            "", SCALED_OUTPUT, {"@hidden": hidden}, t=side, factor=config.output_scale
        )
        hidden = wiring.named("scaled_output")
    yield wiring.stage(
        "", TIED_LOGITS if config.tied_output else LOGITS,
        {"@hidden": hidden, "@matrix": f"parameters/{matrix}"}, t=side,
    )  # fmt: skip
    logits = wiring.named("logits")
    if config.logit_cap is not None:
        yield wiring.stage("", CAPPED_LOGITS, t=side, cap=config.logit_cap)
        logits = wiring.named("capped_logits")
    yield wiring.stage("", LOG_PROBABILITIES, {"@logits": logits}, t=side)
    yield wiring.stage("", PROBABILITIES, t=side)
    if labels:
        smoothing = config.label_smoothing
        yield wiring.stage(
            "", SMOOTHED_LOSS if smoothing else PER_TOKEN_LOSS, t=side,
            smoothing=smoothing, words=config.vocabulary,
        )  # fmt: skip
        yield wiring.stage("", LOSS if config.loss_reduction == "mean" else SUMMED_LOSS)
