"""The acts and scenes of the documents as data: where the ledger has the rows of a scene, which
stages of the example belong to it, and what is run for it beside them."""
# fmt: off

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..stages.catalogue import Text
from . import shown


class Scene(NamedTuple):
    """A part of an act: sections of the ledger, patterns of the example's stages, and a run of
    its own that is shown there."""

    title: Text
    sections: Sequence[str]
    stages: Sequence[str] = ()
    run: Callable[[str], list[shown.Table]] | None = None


class Act(NamedTuple):
    title: Text
    scenes: Sequence[Scene]


def _act(zh: str, en: str, *scenes: Scene) -> Act:
    return Act(Text(zh, en), scenes)


def _scene(
    zh: str, en: str, sections: str, *stages: str,
    run: Callable[[str], list[shown.Table]] | None = None,
) -> Scene:
    return Scene(Text(zh, en), sections.split("; "), stages, run)


TOKENS = ("*.tokens", "labels")
BACKWARD = "二·第五幕"
_OUT = ("labels", "logits", "*probabilities", "loss*")
_SELF = tuple(
    f"encoder.0.self_attention.{leaf}"
    for leaf in ("queries", "keys", "values", "products", "scores", "mask", "masked_scores", "weights", "context", "output")
)

WEATHER = (
    _act("第一幕：数据预处理", "act 1: the data",
        _scene("特殊 Token 的体系", "systems of special tokens", "一", run=shown.systems),
        _scene("文字、切词、特殊词元、编号", "text, tokens, special tokens, ids", "二·第一幕", *TOKENS)),
    _act("第二幕：编码器", "act 2: the encoder",
        _scene("嵌入", "embedding", "二·第二幕·1", "encoder.embedding"),
        _scene("位置编码", "positions", "二·第二幕·2", "encoder.positions", "encoder.input"),
        _scene("自注意力", "self-attention", "二·第二幕·3", "encoder.mask", *_SELF),
        _scene("残差与归一化", "add and norm", "二·第二幕·4", "encoder.0.self_attention.residual", "encoder.0.self_attention.norm"),
        _scene("前馈网络", "feed-forward", "二·第二幕·5", "encoder.0.feed_forward.*"),
        _scene("堆叠多层", "more layers", "二·第二幕·6", "encoder.[1-9]*", "encoder.output")),
    _act("第三幕：解码器", "act 3: the decoder",
        _scene("输入的准备", "its input", "二·第三幕·1", *(f"decoder.{name}" for name in ("embedding", "positions", "input", "mask"))),
        _scene("掩码自注意力", "masked self-attention", "二·第三幕·2", "decoder.0.self_attention.*"),
        _scene("交叉注意力", "cross-attention", "二·第三幕·3", "decoder.0.cross_attention.*"),
        _scene("前馈与归一化", "feed-forward, add and norm", "二·第三幕·4", "decoder.0.feed_forward.*"),
        _scene("堆叠多层", "more layers", "二·第三幕·5", "decoder.[1-9]*", "decoder.output")),
    _act("第四幕：输出层与损失", "act 4: output and loss",
        _scene("投影到词表", "projection onto the vocabulary", "二·第四幕·1", "logits"),
        _scene("Softmax 得到概率", "softmax gives probabilities", "二·第四幕·2", "log_probabilities", "probabilities"),
        _scene("交叉熵损失", "cross-entropy", "二·第四幕·3; 二·第三、四幕", "loss*")),
    _act("第五幕：反向传播与更新", "act 5: backward pass and update",
        _scene("梯度与一步更新", "gradients and a step", BACKWARD)),
    _act("三、特殊 Token 的作用；四、理论意义", "3, what special tokens do; 4, what it means",
        _scene("<bos>、<eos>、<pad>", "<bos>, <eos>, <pad>", "三"),
        _scene("与 Decoder-only 的区别", "against a decoder alone", "四")),
)  # fmt: skip
CAT = (
    _act("1.1 训练目标", "1.1 the aim of training", _scene("自回归与自编码", "autoregressive and auto-encoding", "1.1")),
    _act("1.2 数据输入", "1.2 the data", _scene("输入与目标", "input and targets", "1.2", *TOKENS)),
    _act("1.3 (1) 输入编码", "1.3 (1) input",
        _scene("词嵌入、位置编码、加和", "embedding, positions, sum", "1.3.1", "decoder.embedding", "decoder.positions", "decoder.input")),
    _act("1.3 (2) 各层", "1.3 (2) the layers",
        _scene("多头注意力与前馈", "multi-head attention and feed-forward", "1.3.2", "decoder.mask", "decoder.[0-9]*")),
    _act("1.3 (3) 输出预测", "1.3 (3) prediction",
        _scene("H 与概率", "H and the probabilities", "1.3.3", "decoder.output", "logits", "log_probabilities", "probabilities")),
    _act("1.3 (4) 损失函数", "1.3 (4) the loss", _scene("交叉熵", "cross-entropy", "1.3.4", "loss*")),
    _act("2. 推理过程", "2. inference", _scene("逐词生成与缓存", "word by word, with a cache", "2", run=shown.cat_writes)),
    _act("3. 总结", "3. summary", _scene("训练与推理", "training and inference", "3")),
)
STORY = (
    _act("起点：编码器", "the start: the encoder",
        _scene("原句与 H_enc", "the source and H_enc", "开篇; 起点", "encoder.*")),
    _act("逐词生成", "word by word",
        _scene("六步在一次前向里，一行一步", "the six steps in one pass, a row each", "第一至六步", "decoder.*"),
        _scene("词表上的概率", "the words' probabilities", "第二至六步", *_OUT),
        _scene("第一步", "step 1", "第一步"),
        _scene("第二步", "step 2", "第二步"),
        _scene("第三步", "step 3", "第三步; 第二、三步"),
        _scene("第四步", "step 4", "第四步"),
        _scene("第五步", "step 5", "第五步"),
        _scene("第六步", "step 6", "第六步"),
        _scene("伪代码，照原样运行", "the pseudo-code, run as it is written", "伪代码", run=shown.loop_as_written)),
    _act("推理与训练的深层对比", "inference and training compared",
        *(_scene(f"差异{n}", f"difference {k}", f"对比·{n}") for k, n in enumerate("一二三四五", 1))),
    _act("KV Cache", "the key/value cache", _scene("存什么，省什么", "what is kept, what is saved", "KV Cache")),
    _act("Beam Search", "beam search",
        _scene("五个束", "five beams", "Beam", run=shown.five_beams),
        _scene("束越大越重复", "more beams, more repetition", "", run=shown.more_beams)),
    _act("其他挑战与技巧", "other techniques",
        _scene("温度、top-k、top-p、重复惩罚、长度归一化", "temperature, top-k, top-p, penalties, length", "技巧", run=shown.length_penalties)),
)
MEMORY = (
    _act("长度不同的两侧", "two lengths",
        _scene("编码器：Memory", "the encoder: memory", "Encoder Decoder 1", "encoder.*"),
        _scene("交叉注意力的形状", "shapes of cross-attention", "Encoder Decoder 2", "decoder.*"),
        _scene("三步", "three steps", "Encoder Decoder 3", *_OUT)),
)
LETTERS = (
    _act("Attention", "attention",
        _scene("进入模型", "into the model", "Attention 1; Attention 2"),
        _scene("if is_prefill 与 else", "if is_prefill, and else", "Attention 3", run=shown.branches)),
    _act("Inference", "inference",
        _scene("像接龙一样生成", "token after token", "Inference 1", "decoder.tokens"),
        _scene("每个位置都有预测", "a prediction at every position", "Inference 2", *_OUT, run=shown.every_position),
        _scene("因果掩码", "the causal mask", "Inference 3", "decoder.[!t]*"),
        _scene("Teacher Forcing", "teacher forcing", "Inference 4")),
)
ACTS = {"weather": WEATHER, "cat": CAT, "story": STORY, "memory": MEMORY, "letters": LETTERS}

# What the tables of an example have to do with the document's numbers.
WHY = {
    "weather": Text(
        "文中的数不出自任何一个模型：嵌入、词表与位置表是输入，可以照用；从注意力分数起，许多数是随手举的例子，"
        "所以从那里起，下面的表与文中不同。--as-stated 把运行固定在文中的数上。",
        "The document's numbers are not those of any one model: embeddings, vocabulary and positions are "
        "inputs and are taken over; from the scores of attention on many are made up, so from there on the "
        "tables differ from the document's. --as-stated holds the run at what it states.",
    ),
    "cat": Text(
        "词嵌入 E 与位置编码 P 是文中的输入，照用；文中的 H 是随手举的例子，没有给出由来，所以从各层起，下面的表"
        "与文中不同。--as-stated 把 H 固定为文中的数。",
        "The embedding E and the positions P are the document's inputs and are taken over; its H is made up, "
        "so from the layers on the tables differ from the document's. --as-stated holds H at what it states.",
    ),
    "story": Text(
        "文中写出了各步的概率与几行注意力权重；这个模型的参数是搜索得来的，为的是给出它们，所以这些数与文中一致。"
        "文中没有写数的阶段，只是这一个模型的。",
        "The document states the probabilities of every step and some rows of attention; the parameters of "
        "this model were found by a search so as to give them, so these numbers are the document's. Where "
        "it states none, the numbers are those of this model alone.",
    ),
    "memory": Text(
        "文中只写了形状，没有写数：要比的是形状；表里的数由种子产生。",
        "The document states shapes and no numbers: the shapes are to be compared, and the numbers here come from a seed.",
    ),
    "letters": Text(
        "文中没有写数，只写了每个位置读到什么、预测什么。下面各表的参数由种子产生，未经训练；"
        "预测什么，由教过这一段的模型回答。",
        "The document states no numbers, only what every position reads and predicts. The tables below are of "
        "parameters from a seed, untrained; what is predicted is asked of a model that was taught the text.",
    ),
}
LISTED = Text(
    "每个场景之后列出：文中、算出、结论与账本里的编号（numtx figures --figure 编号）。",
    "After each scene: what is stated, what is computed, the verdict and the id in the ledger (numtx figures --figure ID).",
)
