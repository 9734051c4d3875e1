"""The known mistakes in Chinese: a cause is put together from these phrases."""

from __future__ import annotations

# The names of `causes.CAUSES`, and what `diagnose` says besides.
NAMES = {
    "weight matrix transposed": "权重矩阵转置了",
    "bias missing": "缺少偏置",
    "bias added twice": "偏置加了两次",
    "input not normalised": "输入没有归一化",
    "K and V swapped": "K 与 V 对调",
    "Q and K swapped": "Q 与 K 对调",
    "gate and up swapped": "门与上投影对调",
    "memory taken from the decoder, not the encoder": "记忆取自解码器，而不是编码器",
    "queries taken from the encoder": "查询取自编码器",
    "heads split wrongly": "多头切分有误",
    "keys tiled instead of repeated for grouped heads": "分组头的键整体平铺，没有逐个重复",
    "values tiled instead of repeated for grouped heads": "分组头的值整体平铺，没有逐个重复",
    "heads of the keys": "键的头",
    "heads of the values": "值的头",
    "values used as keys": "把值当作键",
    "keys used as values": "把键当作值",
    "not rotated": "没有旋转",
    "transposed": "转置了",
    "scale": "缩放",
    "cap": "软上限",
    "cap left out": "漏了软上限",
    "sink": "汇点",
    "slopes": "斜率",
    "bias by distance": "按距离的偏置",
    "mask": "掩码",
    "softmax": "softmax",
    "weights transposed": "权重转置了",
    "heads merged": "多头合并",
    "W_O missing": "缺少 W_O",
    "residual": "残差",
    "another epsilon": "epsilon 不同",
    "norm": "归一化",
    "activation": "激活函数",
    "gate": "门",
    "rotation": "旋转",
    "look-up": "查表",
    "positions": "位置",
    "sum": "求和",
    "loss per token": "每个位置的损失",
    "loss": "损失",
    "log softmax": "log softmax",
    "norm and rotation exchanged": "归一化与旋转对调",
    "nothing: it follows rightly from the file's own inputs": "没有错：它由文件自己的输入正确得出",
}


def cause_zh(text: str) -> str:
    """A cause with its name in Chinese; details, and what has no entry, stay as they are."""
    cause, comma, place = text.partition(", in ")
    name, bracket, detail = cause.partition(" (")
    where = f"，在 {place}" if comma else ""
    return NAMES.get(cause, NAMES.get(name, name) + bracket + detail) + where
