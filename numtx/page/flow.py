"""The picture of the data flow, from the table of stages: stacks, layers and sublayers as boxes,
and of each sublayer its stages with what runs from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from ..html.frame import bilingual
from ..show.headings import leaf_name, split_phase
from ..show.numbers import shape_text
from ..stages.catalogue import Text
from ..stages.graph import Graph
from .page import Section

WIDE, HIGH, ACROSS, DOWN = 104, 36, 112, 60  # a box; from one to the next
LANE = 9  # between lines that pass boxes by
Shapes = Mapping[str, Sequence[int]]


def flow(sections: Sequence[Section], graph: Graph, shapes: Shapes) -> str:
    """The picture: an overview, and the stages of each part, of which the page shows one."""
    parts = [part for part in sections if part.entries[0].name in graph]
    if not parts:
        return ""
    shown = {entry.name for part in parts for entry in part.entries}
    columns: dict[tuple[str, str], list[Section]] = {}
    for part in parts:
        phase, name = split_phase(part.name)
        side = name.split(".")[0]
        own = [key for key in columns if key[0] == phase]
        key = (phase, side) if side in graph.config.sides or not own else own[-1]
        columns.setdefault(key, []).append(part)
    stacks = "".join(f'<div class="stack">{_stack(c, graph, shapes, shown)}</div>'
                     for c in columns.values())  # fmt: skip
    drawn = "".join(_Drawing(part, graph, shapes, shown).svg() for part in parts)
    title = bilingual(Text("数据流", "Data flow"))
    return (
        f'<details open id="picture"><summary><h2>{title}</h2></summary>'
        f'<div class="flow">{stacks}</div>{drawn}</details>'
    )


def _stack(parts: Sequence[Section], graph: Graph, shapes: Shapes, shown: set[str]) -> str:
    """A column of boxes; the name of a layer stands once above its sublayers."""
    found, layer = [], ""
    for part in parts:
        zh_layer, _, zh = part.title.zh.rpartition("：")
        en_layer, _, en = part.title.en.rpartition(": ")
        if en_layer != layer and en_layer:
            found.append(f'<span class="layer">{bilingual(Text(zh_layer, en_layer))}</span>')
        layer = en_layer
        ports = "".join(
            f'<a class="port" href="#{escape(name)}">← {escape(name)}</a>'
            for name in _from_other_stack(part, graph)
            if name in shown
        )
        shape = _shape(shapes[part.entries[-1].name])
        found.append(
            f'{ports}<a class="box" href="#{escape(part.anchor)}">{bilingual(Text(zh, en))}'
            f"<code>{shape}</code></a>"
        )
    return "".join(found)


def _from_other_stack(part: Section, graph: Graph) -> list[str]:
    """What a part of the decoder reads from the encoder."""
    if split_phase(part.name)[1].split(".")[0] != "decoder":
        return []
    inputs = (name for entry in part.entries for name in graph[entry.name].inputs)
    return list(dict.fromkeys(name for name in inputs if name.startswith("encoder.")))


def _shape(shape: Sequence[int]) -> str:
    return shape_text(shape[1:]) if len(shape) > 1 else ""


class Box(NamedTuple):
    """A stage, or a port where something comes from another part; `x` and `y` are its middle and
    its top."""

    name: str
    x: float
    y: float
    is_port: bool


class _Drawing:
    """The stages of one part in rows: each stands below all that it is made from."""

    def __init__(self, part: Section, graph: Graph, shapes: Shapes, shown: set[str]) -> None:
        self.part, self.graph, self.shapes, self.shown = part, graph, shapes, shown
        self.inputs = {
            entry.name: [n for n in dict.fromkeys(graph[entry.name].inputs) if n in graph]
            for entry in part.entries
        }
        ranks: dict[str, int] = {}
        for name, inputs in self.inputs.items():
            ranks.update((n, 0) for n in inputs if n not in self.inputs)
            ranks[name] = 1 + max((ranks[n] for n in inputs), default=0)
        rows: dict[int, list[str]] = {}
        for name, rank in ranks.items():
            rows.setdefault(rank, []).append(name)
        levels = sorted(rows)
        self.width = ACROSS * max(map(len, rows.values()))
        self.height = DOWN * len(levels)
        self.boxes = {
            name: Box(name, self.width * (k + 0.5) / len(rows[rank]), 4 + DOWN * level,
                      name not in self.inputs)
            for level, rank in enumerate(levels)
            for k, name in enumerate(rows[rank])
        }  # fmt: skip
        self.lanes: list[float] = []  # the lowest end of the lines in each

    def svg(self) -> str:
        """The drawing; lines first, so that boxes lie over them."""
        lines = "".join(self.lines())
        boxes = "".join(map(self.box, self.boxes.values()))
        width = self.width + LANE * (len(self.lanes) + 1)
        return (
            f'<svg class="drawn" data-of="{escape(self.part.anchor)}" '
            f'viewBox="0 0 {width} {self.height}" width="{width}" height="{self.height}">'
            f"{lines}{boxes}</svg>"
        )

    def lines(self) -> Iterator[str]:
        for name, inputs in self.inputs.items():
            for source in inputs:
                start, end = self.boxes[source], self.boxes[name]
                (x, y), (u, v) = (start.x, start.y + HIGH), (end.x, end.y)
                if v - y <= DOWN:
                    path = f"M{x:g} {y:g}C{x:g} {y + 12:g} {u:g} {v - 12:g} {u:g} {v:g}"
                else:  # past the boxes between
                    lane = self.width + LANE * self.lane(y, v)
                    path = (
                        f"M{x:g} {y:g}C{x:g} {y + 12:g} {lane:g} {y:g} {lane:g} {y + 24:g}"
                        f"V{v - 24:g}C{lane:g} {v:g} {u:g} {v - 12:g} {u:g} {v:g}"
                    )
                yield f'<path d="{path}"/>'

    def lane(self, top: float, bottom: float) -> int:
        """The first lane in which no line stands at this height yet."""
        for k, end in enumerate(self.lanes):
            if end <= top:
                self.lanes[k] = bottom
                return k
        self.lanes.append(bottom)
        return len(self.lanes) - 1

    def box(self, box: Box) -> str:
        label = ".".join(box.name.split(".")[-2:]) if box.is_port else leaf_name(box.name)
        shape = _shape(self.shapes.get(box.name, ()))
        drawn = (
            f'<rect x="{box.x - WIDE / 2:g}" y="{box.y:g}" width="{WIDE}" height="{HIGH}" rx="4"/>'
            f'<text x="{box.x:g}" y="{box.y + 15:g}">{escape(label)}</text>'
            f'<text x="{box.x:g}" y="{box.y + 29:g}" class="quiet">{shape}</text>'
        )
        kind = ' class="port"' if box.is_port else ""
        if box.name not in self.shown:
            return f"<g{kind}>{drawn}</g>"
        return f'<a{kind} href="#{escape(box.name)}">{drawn}</a>'
