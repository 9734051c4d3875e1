"""Document 003, parts three and four: what special tokens do, padding, and what it all means."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..examples import weather as w
from ..examples.translation import TARGET
from ..sequences import frame
from ..training.demonstrations import Exposure, exposure_bias
from ..training.recipe import Recipe
from .judges import Definition, Equal, Order, Same
from .row import row
from .runs import (
    CROSS,
    RATE,
    SELF,
    Kept,
    example,
    gradients,
    logits_of,
    moves,
    said,
    trace,
    trained,
    words_written,
)


@Kept
def exposed() -> Exposure:
    """Exposure bias once letters has learnt its sequence"""
    made = example("letters")
    return exposure_bias(made.config, made.parameters, made.batch, steps=(80,), recipe=Recipe(learning_rate=RATE))[-1]


@row("003.bos-starts", "三", "解码器的第一个位置必须有输入，即 <bos>；只有它时训练过的模型说的第一个词", "the decoder's first position needs an input, <bos>: the first word that the trained model says after it", Equal("今"), at="450; 452")
def _() -> Any:
    return words_written(trained("weather"), most=1)[0]


@row("003.bos-anchor", "三", "第一个词的 Query 看 <bos> 与自己：位置 1 有权重的键", "the first word's query looks at <bos> and at itself: keys of position 1 that have a weight", Equal((0, 1)), note=("每个位置都看 <bos>：位置 1 并不特别", "every position looks at <bos>: position 1 is not special in that"), at="454: 一", stages=("weather", f"{SELF}.weights"))
def _() -> Any:
    return np.flatnonzero(trace("weather")[f"{SELF}.weights"][0, 0, 1])


@row("003.bos-retrieves", "三", "<bos> 位置的 Query 去编码器检索：换掉一个源词后，位置 0 的交叉注意力动不动（会动的位置）", "the query of <bos> looks up the encoder: positions of cross-attention that move with a source token", Equal((0, 1, 2, 3, 4, 5, 6)), at="456")
def _() -> Any:
    return moves("weather", 0, f"{CROSS}.weights", "encoder")


@row("003.eos-collects", "三", "编码器的 <eos> 能汇聚全句：它这一行有权重的词元数", "<eos> in the encoder can collect the sentence: tokens of its row with a weight", Equal(7), note=("其他各行也能：编码器里没有先后", "so can every other row: the encoder has no order of sight"), at="458; 460")
def _() -> Any:
    return int((trace("weather")["encoder.0.self_attention.weights"][0, 0, 6] > 0).sum())


@row("003.eos-last", "三", "最后一个位置必须预测 <eos>：训练过的模型在那里说的", "the last position must predict <eos>: what the trained model says there", Equal("<eos>"), at="462", stages=("weather", "labels"))
def _() -> Any:
    return said("weather")[-1]


@row("003.eos-stops", "三", "<eos> 终止解码循环：允许写 50 个词，训练过的模型写出的词数", "<eos> ends the loop: words that the trained model writes when it may write 50", Equal(7), at="464: 一")
def _() -> Any:
    return len(words_written(trained("weather"), most=50))


@row("003.eos-only", "三", "<eos> 是唯一能让模型自主决定长度的机制", "<eos> is the only thing that lets a model choose its length", Definition("<eos>"), note=("解码的约定；最大长度也会结束，但出自外面", "a convention of decoding; the maximum length ends a run too, from outside"))
def _() -> Any:
    return trace("weather").tokens["labels"][0][-1]


@row("003.pad-rows", "三", "两个样本长 5 与 7，补齐为 7 与 7", "two samples of length 5 and 7, padded to 7 and 7", Equal(([["今", "天", "很", "好", "<eos>", "<pad>", "<pad>"], ["明", "天", "会", "下", "雨", "吧", "<eos>"]], [5, 7], [7, 7])), at="468; 470; 471; 476; 477", stages=("padding", "encoder.tokens", "encoder.mask"))
def _() -> Any:
    rows = trace("padding").tokens["encoder"]
    return rows, np.asarray(example("padding").batch.mask).sum(1), [len(line) for line in rows]


@row("003.pad-vocabulary", "三", "两个样本的词都在写出的词表里：不在的词", "the words of the two samples are in the stated vocabulary: words that are not", Equal(()), note=("numtx 把它们补作编号 10 到 14", "numtx adds them as ids 10 to 14"))
def _() -> Any:
    return sorted({t for line in trace("padding").tokens["encoder"] for t in line} - set(w.VOCABULARY))


@row("003.pad-masked", "三", "<pad> 位置被遮住，也不计入损失：那里最大的权重与损失", "padding is masked and does not count in the loss: largest weight and loss there", Equal((0.0, 0.0)), stages=("padding", "encoder.0.self_attention.weights", "loss.per_token"))
def _() -> Any:
    run = trace("padding")
    return float(run["encoder.0.self_attention.weights"][0, :, :, 5:].max()), float(run["loss.per_token"][0, 5:].max())


@row("003.pad-no-part", "三", "<pad> 不参与计算：第一个样本在批次里与单独一个时的 logits", "padding takes no part: the logits of the first sample in the batch, beside alone", Same(True))
def _() -> Any:
    made = example("padding")
    batch = made.batch
    ids, decoder_ids = ([np.asarray(a)[0][:5].tolist()] for a in (batch.ids, batch.decoder_ids))
    return trace("padding")["logits"][0, :5], logits_of((made.config, made.parameters), Batch(ids, decoder_ids))[0]


@row("003.both-ways", "四", "编码器双向、解码器只看过去：第 4 个位置看到的词元数（编码器、解码器）", "the encoder looks both ways, the decoder at the past alone: tokens that position 3 sees (encoder, decoder)", Equal((7, 4)))
def _() -> Any:
    run = trace("weather")
    return [int((run[place + ".weights"][0, 0, 3] > 0).sum()) for place in ("encoder.0.self_attention", SELF)]


@row("003.differentiable", "四", "整个链条可微：没有得到梯度的参数", "the whole chain can be differentiated: parameters without a gradient", Equal(()), at="491: 一")
def _() -> Any:
    run = gradients("weather")
    return [n for n in run.parameters if not np.any(run.grad(f"parameters/{n}"))]


@row("003.exposure", "四", "训练-推理不一致（Exposure Bias）：接在正确的词之后与接在一个错词之后的损失（训练之后）", "training and inference differ (exposure bias): the loss after a wrong first word and after right words (after training)", Order(("after a wrong word", "after right words")))
def _() -> Any:
    found = exposed()
    return {"after a wrong word": found.stumbled.loss, "after right words": found.forced.loss}


@row("003.no-cross-in-gpt", "四", "GPT 没有交叉注意力：它的阶段数", "a decoder-only model has no cross-attention: stages of it", Equal(0))
def _() -> Any:
    return sum("cross_attention" in n for n in trace("concatenated"))


@row("003.concatenated", "四", "它把输入与输出拼成一个序列 [源句子, <sep>, 目标句子]", "it joins [source, <sep>, target] in one sequence", Equal((*"今天天气很好", "<sep>", *TARGET)), at="497", stages=("concatenated", "decoder.tokens", "labels"))
def _() -> Any:
    return trace("concatenated").tokens["decoder"][0]


@row("003.concatenated-writes", "四", "训练过的这个模型从 [源句子, <sep>] 起写出的", "what this model, trained, writes after [source, <sep>]", Equal(("Today", "is", "nice", "weather", "today", "<eos>")))
def _() -> Any:
    return words_written(trained("concatenated"), 7, most=10)


@row("003.sep-in-gpt", "四", "用 <sep>；GPT 的序列里这样的词元", "with a <sep>; such tokens of a sequence as GPT has it", Equal(("<sep>",)), note=("第一节列的是 <|endoftext|> 与 <PAD>；<SEP> 在 BERT 之下", "section one lists <|endoftext|> and <PAD> for it; <SEP> stands under BERT"))
def _() -> Any:
    framed = frame("gpt", tuple("今天天气很好"), TARGET)
    return [t for t in (*framed.decoder, *framed.labels) if "sep" in t.lower()]


@row("003.all-causal", "四", "全部用因果掩码：12 个词元里权重为 0 的对", "all of it under the causal mask: pairs of 12 tokens with weight 0", Equal(66), stages=("concatenated", "decoder.0.self_attention.mask"))
def _() -> Any:
    return int((trace("concatenated")[f"{SELF}.weights"][0, 0] == 0).sum())


@row("003.reads-as-it-writes", "四", "一个序列只能“边看边生成”，编码器能“先全面理解”：换掉第 6 个源词，前面会动的源位置（一个序列、编码器）", "one sequence cannot 'understand first', the encoder can: earlier source positions that move with source token 5 (one sequence, the encoder)", Equal(((), (0, 1, 2, 3, 4))), note=("目标的词元在两者中都看到整个源句", "the target's tokens see the whole source in both"))
def _() -> Any:
    one = moves("concatenated", 5, "decoder.output")
    both = moves("weather", 5, "encoder.output", "encoder")
    return [i for i in one if i < 5], [i for i in both if i < 5]


@row("003.frame-shift", "四", "Teacher Forcing 给出正确历史：解码器输入去掉 <bos>，与标签去掉 <eos>", "teacher forcing gives the right history: decoder input without <bos>, the labels without <eos>", Equal((tuple("今天天气很好"), tuple("今天天气很好"))))
def _() -> Any:
    run = trace("weather")
    return run.tokens["decoder"][0][1:], run.tokens["labels"][0][:-1]
