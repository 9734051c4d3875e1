"""Headings: what a part of a model is called, and the shape arithmetic of a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..config import Config
from ..oracle.operations import OPERATIONS
from ..shapes import PANELS, parse
from ..stages.catalogue import Text
from ..stages.graph import Stage
from .numbers import shape_text

SIDES = {
    "encoder": Text("编码器", "Encoder"),
    "decoder": Text("解码器", "Decoder"),
    "pooler": Text("池化层", "Pooler"),
    "head": Text("输出层前的一层", "Layer before the logits"),
}
SUBLAYERS = {
    "self_attention": Text("自注意力", "self-attention"),
    "cross_attention": Text("交叉注意力", "cross-attention"),
    "feed_forward": Text("前馈网络", "feed-forward"),
}
PARTS = {
    "router": Text("路由", "router"),
    "experts": Text("专家", "experts"),
    "shared": Text("共享专家", "shared experts"),
}
PHASES = {"prefill": Text("预填充", "Prefill"), "decode": Text("解码", "Decode")}
HEAD = Text("输出层与损失", "Output and loss")


def say(text: Text, lang: str) -> str:
    """A text in the chosen language, or in both, a line each."""
    return text.zh if text.zh == text.en else below(lang, *text)


def on_one_line(text: Text, lang: str) -> str:
    """The same where a line is all there is: both languages beside one another."""
    return say(text, lang).replace("\n", "  ")


def pick(lang: str, zh: str, en: str) -> str:
    """A word where there is room for one language: English, unless Chinese alone is wanted."""
    return zh if lang == "zh" else en


def below(lang: str, zh: str, en: str) -> str:
    """A longer text: the two languages below one another where both are wanted."""
    return f"{zh}\n{en}" if lang == "both" else pick(lang, zh, en)


def leaf_name(name: str) -> str:
    """The last part of a stage's name: `loss.per_token` is one leaf."""
    return name if name.startswith("loss") else name.rpartition(".")[2]


def section_of(name: str) -> str:
    """The part of the model that a stage stands in: its name without the leaf."""
    return "" if name.startswith("loss") else name.rpartition(".")[0]


def split_phase(name: str) -> tuple[str, str]:
    """`decode.0.decoder.mask` -> `decode.0` and `decoder.mask`; the first is empty where the
    stage is not of a step of generation."""
    parts = name.split(".")
    if parts[0] not in PHASES:
        return "", name
    end = 2 if len(parts) > 1 and parts[1].isdigit() else 1
    return ".".join(parts[:end]), ".".join(parts[end:])


def section_title(section: str, config: Config) -> Text:
    """What a part of the model is called."""
    step, section = split_phase(section)
    if step:
        phase, *number = step.split(".")
        zh, en = PHASES[phase]
        name = " ".join((zh, *number)), " ".join((en, *number))
        part = section_title(section, config) if section else Text("下一个词元", "next token")
        return Text(f"{name[0]}，{part.zh}", f"{name[1]}, {part.en}")
    if not section:
        return HEAD
    side, *rest = section.split(".")
    if not rest:
        return SIDES[side]
    layer, sublayer = int(rest[0]), rest[1]
    zh, en = SUBLAYERS[sublayer]
    if side == "decoder" and sublayer == "self_attention" and config.causal:
        zh, en = "掩码自注意力", "masked self-attention"
    for inner in rest[2:]:
        zh, en = f"{zh}，{PARTS[inner].zh}", f"{en}, {PARTS[inner].en}"
    return Text(f"{SIDES[side].zh}层 {layer}：{zh}", f"{SIDES[side].en} layer {layer}: {en}")


def shape_arithmetic(stage: Stage, shapes: Mapping[str, Sequence[int]]) -> str:
    """How the shape of a stage follows from those of its inputs, one row and one head:
    `[7,4]·[4,7] = [7,7]`."""
    result = shape_text(_bare(stage.axes, shapes[stage.name]))
    if any(source not in shapes for source in stage.inputs if not source.startswith("inputs/")):
        return result
    heading = OPERATIONS[stage.operation].heading
    operands = parse(stage.specification).operands
    if heading == "·" and len(operands) > 1:
        return _product(stage, shapes)
    if heading == "+" and len(stage.inputs) > 1:
        return " + ".join([result] * len(stage.inputs)) + f" = {result}"
    if heading == ";":
        pairs = zip(operands, stage.inputs, strict=False)
        parts = [shape_text(_bare(axes, shapes[name])) for axes, name in pairs]
        return f"[{'; '.join(parts)}] = {result}"
    if heading == "*":
        return f"{result} * {result} = {result}"
    if heading == "row":  # of each row, but for the batch
        return f"{shape_text(shapes[stage.inputs[0]][1:])} -> {result}"
    if heading == "table" and len(stage.inputs) > 1:
        return f"{shape_text(shapes[stage.inputs[1]])} -> {result}"
    return result


def _bare(axes: Sequence[str], shape: Sequence[int]) -> list[int]:
    """A shape without the axes whose places have a matrix each, batch and heads."""
    pairs = enumerate(zip(axes, shape, strict=True), 1)
    return [n for k, (axis, n) in pairs if axis not in PANELS or k == len(axes)]


def _product(stage: Stage, shapes: Mapping[str, Sequence[int]]) -> str:
    specification = parse(stage.specification)
    operands = [[x for axis in axes for x in axis] for axes in specification.operands[:2]]
    result = [x for axis in specification.result for x in axis]
    described = [*zip(specification.operands, stage.inputs, strict=False)]
    described.append((specification.result, stage.name))
    sizes = {
        axis: length
        for axes, name in described
        for axis, length in zip(axes, shapes[name], strict=True)
        if len(axis) == 1
    }
    row = "t" if "t" in result else "s"
    summed = [x for x in operands[0] if x not in result and x not in ("g", "b")]
    heads = [x for x in ("h", "g") if x in operands[0] and x in result]
    apart = {row, *heads, *summed, *(PANELS - {"h", "g"})}
    columns = [x for x in result if x not in apart]
    r, k, c = (math.prod(sizes[x] for x in part) for part in ([row], summed, columns))
    text = f"[{r},{k}]·[{k},{c}]"
    biased = sum(name.startswith("parameters/") for name in stage.inputs[1:]) > 1
    bias = f" + [{c}]" if biased else ""
    split = [x for x in columns if x in ("h", "g")]
    many = math.prod(sizes[x] for x in split)
    text += f"{bias} = [{r},{c}]"
    return text + (f" = {many} heads of [{r},{c // many}]" if many > 1 else "")
