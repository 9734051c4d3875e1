"""The layers of a model as a short table: those that are alike are one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..config import Config
from ..fields.field import Part, fields_of
from ..stages.leaf import Text
from .headings import pick
from .table import table_text

MOST = 4  # ranges of layers that are written out
SIDES = {"encoder": Text("编码器", "encoder"), "decoder": Text("解码器", "decoder")}


def layer_rows(config: Config, lang: str = "en") -> list[list[str]]:
    """A head and a row for each kind of layer, of the fields in which layers differ; empty where
    all layers are alike."""
    names = [name for name in fields_of(Config) if len(config.values_of(name)) > 1]
    if not names:
        return []
    rows = [[pick(lang, "层", "layers"), *names]]
    for side in config.sides:
        different, _ = config.stacks[side]
        for kind, layer in enumerate(different):
            where = ", ".join(_ranges([i for i, k in enumerate(config.kinds[side]) if k == kind]))
            cells = [_text(getattr(layer, name), lang) for name in names]
            rows.append([f"{pick(lang, *SIDES[side])} {where}", *cells])
    return rows


def layer_text(config: Config, lang: str = "en", width: int | None = None) -> str:
    """The table as text, and an empty line; empty where all layers are alike."""
    rows = layer_rows(config, lang)
    return table_text(rows, "l" * len(rows[0]), width=width) + "\n\n" if rows else ""


def _ranges(layers: list[int]) -> Iterator[str]:
    """0-2, 4, ... 9: what follows on is a range, and of many the first and the last are said."""
    found: list[list[int]] = []
    for i in layers:
        if found and found[-1][1] == i - 1:
            found[-1][1] = i
        else:
            found.append([i, i])
    text = [f"{first}-{last}" if last > first else f"{first}" for first, last in found]
    yield from text if len(text) <= MOST else [*text[: MOST - 1], "...", text[-1]]


def _text(value: Any, lang: str) -> str:
    if value is None or value is False or value == ():
        return pick(lang, "无", "none")
    if value is True:
        return pick(lang, "全部", "all")
    if isinstance(value, Part):
        return value.kind
    if isinstance(value, tuple):
        return " ".join(str(one).rpartition(".")[2] for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
