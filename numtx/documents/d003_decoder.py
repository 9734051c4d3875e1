"""Document 003, act three: masked self-attention, cross-attention, feed-forward."""
# fmt: off

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..examples import weather as w
from ..shapes import Array
from ..tap import Pin
from ..trace.trace import Trace
from . import witnesses
from .judges import Definition, Equal, Illustration, Printed, Same
from .row import row
from .runs import (
    CROSS,
    SELF,
    Kept,
    example,
    moves,
    prefix,
    said,
    shape,
    trace,
)
from .theorems import sums_to_one

LABELS = (3, 4, 4, 5, 6, 7, 2)
SOURCE = (*"今天天气很好", "<eos>")
SMALL = (0.082, 0.153)  # position 1: 今 and 天


@Kept
def illustrated(
    cross: tuple[float, ...] = w.CROSS_WEIGHTS_1, logits: tuple[float, ...] = w.LOGITS_0,
    labels: tuple[float, ...] = w.LABEL_PROBABILITIES[1:], other: float | None = SMALL[0],
    own: tuple[float, ...] = w.SELF_WEIGHTS_1[:2],
) -> Trace:
    """One model with all illustrations of this part that do not exclude one another."""
    made = example("weather")
    p = witnesses.write_output(made, made.parameters, "encoder", witnesses.spread(np.array(cross)))
    p = witnesses.steer(made, p, SELF, {1: own})
    p = witnesses.steer(made, p, CROSS, {1: cross})
    cells = {(t + 1, LABELS[t + 1]): value for t, value in enumerate(labels)}
    if other is not None:
        cells[1, 3] = other
    return witnesses.run(made, witnesses.read_out(made, p, cells, {0: logits}))


def over_printed_keys(row_number: int, weights: Array) -> Array:
    """A row of cross-attention whose keys are H_enc within half a printed unit: H_enc is held, W_K = I, W_Q alone is free"""
    made = example("weather")
    keys = witnesses.keys_near(np.array(w.ENCODER_OUTPUT), 0.05, weights.tolist())
    held = dataclasses.replace(made, pins={"encoder.output": Pin(np.ones((1, 7, 4), bool), keys[None])})
    p = {**made.parameters, f"{CROSS}.w_k": np.eye(4)}
    found: Array = witnesses.run(held, witnesses.steer(held, p, CROSS, {row_number: weights.tolist()}))[f"{CROSS}.weights"][0, 0, row_number]
    return found


OVER_H = ("H_enc 的每个数在印出值的半个单位之内（固定），W_K = I，W_Q 由最小二乘", "each number of H_enc within half a printed unit (held), W_K = I, W_Q by least squares")


@row("003.decoder-input", "二·第三幕·1", "X_dec^(0) = 嵌入 + PE，[7,4]", "X_dec^(0) = embedding + PE, [7,4]", Same(True), at="266", stages=("weather", "decoder.embedding", "decoder.positions", "decoder.input"))
def _() -> Any:
    run = trace("weather")
    return run["decoder.input"][0], np.array(run["decoder.embedding"][0] + run["encoder.positions"][0])


@row("003.decoder-queries", "二·第三幕·2", "Q_dec、K_dec、V_dec 是 [7,4]", "Q_dec, K_dec, V_dec are [7,4]", Equal(((7, 4),) * 3), at="274; 275; 276")
def _() -> Any:
    return [shape("weather", f"{SELF}.{leaf}") for leaf in ("queries", "keys", "values")]


@row("003.one-w-q", "二·第三幕·2", "W_Q、W_K、W_V：每个注意力里都用这个名字", "W_Q, W_K, W_V: the names in every attention", Definition("W_Q"), note=("只是名字：2 + 2 层与交叉注意力共有六个 W_Q，各不相同", "names alone: 2 + 2 layers with cross-attention have six W_Q, each its own"))
def _() -> Any:
    return None


@row("003.decoder-scores", "二·第三幕·2", "Scores = Q·K^T / sqrt(4)，[7,7]", "Scores = Q·K^T / sqrt(4), [7,7]", Same(True), at="279", stages=("weather", f"{SELF}.scores"))
def _() -> Any:
    run = trace("weather")
    return run[f"{SELF}.queries"][0, 0] @ run[f"{SELF}.keys"][0, 0].T / 2.0, run[f"{SELF}.scores"][0, 0]


@row("003.mask", "二·第三幕·2", "掩码：对角线及以下为 1，以上为 0", "the mask: 1 on and below the diagonal, 0 above", Equal([[1 if j <= i else 0 for j in range(7)] for i in range(7)]), at="282; 283; 284; 285; 286; 287; 288; 289", stages=("weather", f"{SELF}.mask"), labels=(("<bos>", *"今天天气很好"), ("<bos>", *"今天天气很好")))
def _() -> Any:
    return trace("weather")[f"{SELF}.mask"][0, 0].astype(int)


@row("003.mask-minus-infinity", "二·第三幕·2", "掩码为 0 处分数设为 -inf，权重自动为 0：那里的分数与权重的最大值", "where the mask is 0 the scores become -inf and the weights 0: largest score and weight there", Equal((-np.inf, 0.0)), at="291; 293", stages=("weather", f"{SELF}.masked_scores", f"{SELF}.weights"))
def _() -> Any:
    above = np.triu_indices(7, 1)
    return [float(trace("weather")[f"{SELF}.{leaf}"][0, 0][above].max()) for leaf in ("masked_scores", "weights")]


@row("003.self-weights-shape", "二·第三幕·2", "权重 [7,7]，Output_self [7,4]", "weights [7,7], Output_self [7,4]", Equal(((7, 7), (7, 4))), at="294; 302")
def _() -> Any:
    return shape("weather", f"{SELF}.weights"), shape("weather", f"{SELF}.output")


@row("003.self-row", "二·第三幕·2", "今 这一行的权重：对 <bos>、今 与后面的", "the row of 今 over <bos>, 今 and the future", Illustration(w.SELF_WEIGHTS_1, (sums_to_one,)), note=("只改 W_Q 就做得到", "a change of W_Q alone gives it"), at="297; 298", stages=("weather", f"{SELF}.weights"), witness=illustrated, labels=(("",), ("<bos>", *"今天天气很好")))
def _(stated: Any) -> Any:
    made = example("weather")
    p = witnesses.steer(made, made.parameters, SELF, {1: stated[:2].tolist()})
    return witnesses.run(made, p)[f"{SELF}.weights"][0, 0, 1]


@row("003.self-row-number", "二·第三幕·2", "这一行是第 2 行：从 1 数起，今 的行号", "that row is row 2: the number of 今's row, counted from one", Equal(2), note=("别处从 0 数：位置 1", "elsewhere places are counted from zero: position 1"), at="296: 2")
def _() -> Any:
    return trace("weather").tokens["decoder"][0].index("今") + 1


@row("003.as-at-inference", "二·第三幕·2", "掩码使训练与推理一致：训练时位置 2 的 logits，与只有前 3 个词元时最后的", "the mask keeps training and inference alike: logits of position 2 in training, beside the last of a prefix of 3", Same(True), at="305: 一")
def _() -> Any:
    return prefix("weather", 3)["logits"][0, 2], trace("weather")["logits"][0, 2]


@row("003.cross-query", "二·第三幕·3", "Q_cross = Output_self·W_Q，[7,4]（按文中的接线）", "Q_cross = Output_self·W_Q, [7,4] (wired as the document has it)", Same(True), at="312", stages=("weather", f"{CROSS}.queries"))
def _() -> Any:
    run = trace("weather", wiring="as-written")
    return run[f"{SELF}.output"][0] @ run.parameters[f"{CROSS}.w_q"], run[f"{CROSS}.queries"][0, 0]


@row("003.cross-wiring", "二·第三幕·3", "训练部分：交叉注意力之前没有 Add & Norm；推理部分有的阶段", "the part on training has no Add & Norm before cross-attention; stages of the part on inference that it lacks", Equal(()), note=("推理部分每个子层之后都有：同一篇里解码器有两种接法", "the part on inference has Add & Norm after every sublayer; the document wires its decoder in two ways"))
def _() -> Any:
    written = trace("weather", wiring="as-written")
    return [name.removeprefix(f"{SELF}.") for name in trace("weather") if name not in written and name.startswith(SELF)]


@row("003.cross-keys", "二·第三幕·3", "K_cross、V_cross = H_enc·W，[7,4]", "K_cross, V_cross = H_enc·W, [7,4]", Same(True), at="315; 316", stages=("weather", f"{CROSS}.keys", f"{CROSS}.values"))
def _() -> Any:
    run = trace("weather")
    made = [run["encoder.output"][0] @ run.parameters[f"{CROSS}.{name}"] for name in ("w_k", "w_v")]
    return made, [run[f"{CROSS}.{leaf}"][0, 0] for leaf in ("keys", "values")]


@row("003.cross-scores", "二·第三幕·3", "Scores_cross [7,7]：7 个解码位置，7 个编码位置", "Scores_cross [7,7]: 7 decoder positions, 7 encoder positions", Equal((7, 7)), at="319; 320")
def _() -> Any:
    return shape("weather", f"{CROSS}.scores")


@row("003.cross-no-mask", "二·第三幕·3", "这里没有掩码：权重大于 0 的对，与形状", "no mask here: pairs with a weight above 0, and the shape", Equal((49, (7, 7))), at="322")
def _() -> Any:
    return int((trace("weather")[f"{CROSS}.weights"] > 0).sum()), shape("weather", f"{CROSS}.weights")


@row("003.cross-row", "二·第三幕·3", "位置 1 对源句的权重", "weights of position 1 over the source", Illustration(w.CROSS_WEIGHTS_1, (sums_to_one,)), note=("编码器的各行可自由选取", "with an encoder whose rows are free"), at="325", stages=("weather", f"{CROSS}.weights"), witness=illustrated, labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return illustrated(cross=tuple(stated.tolist()))[f"{CROSS}.weights"][0, 0, 1]


@row("003.cross-row-with-h", "二·第三幕·3", "同一行权重，键来自印出的 H_enc（一个头，d_k = 4）", "the same weights over the keys of H_enc as printed (one head, d_k = 4)", Illustration(w.CROSS_WEIGHTS_1, (sums_to_one,)), note=OVER_H, labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return over_printed_keys(1, stated)


@row("003.cross-row-sum", "二·第三幕·3", "写出的七个权重之和为 1", "the seven stated weights sum to 1", Printed(1.00), note=("文中的数之和", "a sum of stated numbers"))
def _() -> Any:
    return sum(w.CROSS_WEIGHTS_1)


@row("003.cross-row-position", "二·第三幕·3", "位置 1 预测 天（训练过的模型说的）", "position 1 predicts 天 (said by the trained model)", Equal("天"), at="324", stages=("weather", "decoder.tokens", "labels"))
def _() -> Any:
    return said("weather")[1]


@row("003.cross-output", "二·第三幕·3", "Output_cross = 权重·V，[7,4]（按文中的接线，没有 W_O）", "Output_cross = weights·V, [7,4] (wired as the document has it, without W_O)", Same(True), at="329")
def _() -> Any:
    run = trace("weather", wiring="as-written")
    return run[f"{CROSS}.weights"][0, 0] @ run[f"{CROSS}.values"][0, 0], run[f"{CROSS}.output"][0]


@row("003.cross-retrieves", "二·第三幕·3", "Query 检索源句：换掉源句的 气 后会动的解码位置", "the query looks up the source: decoder positions that move when 气 of the source is replaced", Equal((0, 1, 2, 3, 4, 5, 6)))
def _() -> Any:
    return moves("weather", 3, "logits", "encoder")


@row("003.decoder-ffn", "二·第三幕·4", "X_dec^(1) = LayerNorm(Output_cross + FFN)，[7,4]（按文中的接线）：残差", "X_dec^(1) = LayerNorm(Output_cross + FFN), [7,4] (wired as the document has it): the residual", Same(True), note=("这一部分里解码器唯一的 Add & Norm", "the only Add & Norm of the decoder in this part"), at="338", stages=("weather", "decoder.0.feed_forward.norm"))
def _() -> Any:
    run, place = trace("weather", wiring="as-written"), "decoder.0.feed_forward"
    return run[f"{CROSS}.output"] + run[f"{place}.output"], run[f"{place}.residual"]


@row("003.decoder-two-layers", "二·第三幕·5", "解码器 2 层；H_dec 是 [7,4]", "the decoder has 2 layers; H_dec is [7,4]", Equal((2, (7, 4))), at="345; 347; 349: 一", stages=("weather", "decoder.output"))
def _() -> Any:
    layers = {name.split(".")[1] for name in trace("weather") if name.startswith("decoder.") and name.split(".")[1].isdigit()}
    return len(layers), shape("weather", "decoder.output")
