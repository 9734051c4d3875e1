"""A document's worked example in the document's own order: acts and scenes, the stages of each,
and what the document states there beside what is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache

import numpy as np

from ..examples.example import Example
from ..page.page import Tables
from ..show.grid import display_width, grid_text
from ..show.headings import below, leaf_name, pick, say
from ..show.stage_grid import Style
from ..show.table import table_text
from ..show.trace_text import trace_text
from ..show.wrap import ruled, wrap
from ..stages.catalogue import Text
from ..trace.trace import Trace
from ..training.flow import gradient_flow, shown_matrices, updates
from ..training.recipe import RATES
from ..training.text import flow_text, update_text
from .judges import NOTHING
from .ledger import ROWS, row_of
from .row import Result, Row
from .scenes import ACTS, BACKWARD, LISTED, TOKENS, WHY, Scene
from .text import COMPUTED, STATED, grids_of, pair_text, verdict_name


def acts_text(
    example: Example,
    trace: Trace,
    style: Style,
    act: int | None = None,
    gradients: bool = False,
    before: Trace | None = None,
) -> Iterator[str]:
    """The blocks of a trace in acts and scenes, or those of one act; before: as for a trace."""
    lang = style.lang
    if act is None or act == 1:
        why = WHY[example.name]
        yield _wrapped(below(lang, why.zh + LISTED.zh, f"{why.en} {LISTED.en}"), style.width)
    for number, one in enumerate(ACTS[example.name], 1):
        if act is not None and act != number:
            continue
        yield style.painter.bold(ruled("#", f"#### {say(one.title, lang)}", style.width))
        for scene_number, scene in enumerate(one.scenes, 1):
            name = pick(lang, f"场景 {scene_number}", f"scene {scene_number}")
            head = wrap(f"---- {name}: {say(scene.title, lang)}", style.width, rest=" " * 5)
            yield style.painter.bold("\n".join(head))
            if scene.stages == TOKENS:
                yield _sequences(trace, lang)
            elif BACKWARD in scene.sections and trace.gradients:
                yield from _backward(trace, style)
            stages = stages_of(trace, scene)
            if stages:
                yield from trace_text(trace, style, stages, gradients, before)
            yield from filter(None, (_alike(trace, stages, style), _stated(scene, style)))
            for title, grid in scene.run(lang) if scene.run else ():
                yield f"{_wrapped(title, style.width)}\n{grid_text(grid, style.width)}"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(line for part in text.split("\n") for line in wrap(part, width))


def stages_of(trace: Trace, scene: Scene) -> list[str]:
    """The stages of a scene, in computing order."""
    return [n for n in trace.graph.stages if any(fnmatchcase(n, g) for g in scene.stages)]


def headings_of(name: str, trace: Trace, lang: str) -> dict[str, str]:
    """The act and scene of each stage, in the document's order; empty without acts."""
    found: dict[str, str] = {}
    for act in ACTS.get(name, ()):
        for scene in act.scenes:
            heading = below(lang, *(
                f"{a}: {b}" for a, b in zip(act.title, scene.title, strict=True)
            ))  # fmt: skip
            found |= dict.fromkeys(stages_of(trace, scene), heading)
    return found


def rows_of_scene(scene: Scene) -> list[Row]:
    """What the document states in a scene, where it is figures; the ledger has the claims too."""
    return [row for row in ROWS if row.section in scene.sections and (row.at or row.labels)]


@cache
def _result(name: str) -> Result:
    """A row that was run; nothing that it depends on changes in a process."""
    return row_of(name).run()


def _sequences(trace: Trace, lang: str) -> str:
    """From the text to ids: what each side reads, and the labels."""
    names = {
        "encoder": Text("编码器读", "encoder reads"), "decoder": Text("解码器读", "decoder reads"),
        "labels": Text("标签", "labels"),
    }  # fmt: skip
    rows = []
    for side, tokens in trace.tokens.items():
        ids = trace[side if side == "labels" else f"{side}.tokens"][0].tolist()
        rows.append([pick(lang, *names[side]), *tokens[0]])
        rows.append(["", *("." if i < 0 else str(i) for i in ids)])
    texts = [token for token in next(iter(trace.tokens.values()))[0] if not token.startswith("<")]
    heads = pick(lang, "文字", "text"), pick(lang, "切开", "tokens")
    lines = [["", *map(str, range(max(map(len, rows)) - 1))], *rows]
    wide = max(map(len, lines))
    lines = [[*line, *[""] * (wide - len(line))] for line in lines]
    table = table_text(lines, "l" + "r" * (wide - 1))
    return f"{heads[0]}: {''.join(texts)}\n{heads[1]}: {' | '.join(texts)}\n\n{table}"


def _backward(trace: Trace, style: Style) -> Iterator[str]:
    """Document 003's act five: the gradients backwards, and one step of plain descent."""
    yield flow_text(gradient_flow(trace), style.lang, style.width)
    gradients = {name: trace.grad(f"parameters/{name}") for name in trace.parameters}
    rate = RATES["sgd"]
    for step in updates(trace.parameters, gradients, shown_matrices(trace.config), rate):
        yield update_text(step, rate, style.lang, style.width)


def _alike(trace: Trace, stages: Sequence[str], style: Style) -> str:
    """Which stages equal what they are made from, because their matrix is the identity."""
    found: dict[str, list[str]] = {}
    for name in stages:
        stage = trace.graph[name]
        sources = [s.removeprefix("parameters/") for s in stage.inputs[1:2]]
        matrix = trace.parameters.get(sources[0]) if sources else None
        if stage.operation != "contract" or matrix is None or stage.inputs[0] not in trace:
            continue
        identity = matrix.shape[0] == matrix.shape[-1] and np.array_equal(
            matrix, np.eye(len(matrix))
        )
        source = trace[stage.inputs[0]]
        if identity and np.array_equal(trace[name].ravel(), source.ravel()):
            found.setdefault(stage.inputs[0], []).append(leaf_name(name))
    said = "\n".join(
        below(
            style.lang,
            f"{' = '.join(names)} = {source}：它们的矩阵是单位阵 I，X·I = X，所以这些表相同",
            f"{' = '.join(names)} = {source}: their matrix is the identity I and X·I = X, so these "
            "tables are equal",
        )
        for source, names in found.items()
    )
    return _wrapped(said, style.width) if said else ""


def _stated(scene: Scene, style: Style) -> str:
    """What the document states in the scene beside what is computed: verdict, id, both."""
    lines = []
    for row in rows_of_scene(scene):
        result = _result(row.id)
        grids = grids_of(result)
        head = f"{verdict_name(result.verdict, style.lang)}  {row.id}"
        lines += wrap(f"{head}   {say(row.text, style.lang)}", style.width, None, "  ", " " * 6)
        if grids:
            lines += pair_text(grids, style)
            continue
        stated, computed = row.judge.text(), result.outcome.computed
        for name, text in ((STATED, stated), (COMPUTED, computed)):
            said = pick(style.lang, *text)
            if said != "-":
                first = f"    {pick(style.lang, *name)}: "
                lines += wrap(said, style.width, None, first, " " * display_width(first))
    title = pick(style.lang, "文中与算出", "stated and computed")
    return "\n".join([f"{title}:", *lines]) if lines else ""


def acts_notes(name: str) -> Iterator[tuple[Text, Sequence[Text | Tables]]]:
    """The same for a page: of each scene a title, a line for each figure with its grids, and the
    tables of its runs."""
    yield Text("文中的数与这里的数", "the document's numbers and these"), [WHY[name], LISTED]
    for act in ACTS[name]:
        for scene in act.scenes:
            title = Text(*(f"{a}：{b}" for a, b in zip(act.title, scene.title, strict=True)))
            lines: list[Text | Tables] = [_line(_result(row.id)) for row in rows_of_scene(scene)]
            if scene.run is not None:
                for zh, en in zip(scene.run("zh"), scene.run("en"), strict=True):
                    lines.append(Tables(Text(zh.title, en.title), [(NOTHING, zh.grid, en.grid)]))
            yield title, lines


def _line(result: Result) -> Text | Tables:
    """A figure on a page: in words, and where it is a matrix, stated and computed as grids."""
    row, outcome = result.row, result.outcome
    verdict = verdict_name(outcome.verdict, "zh")
    grids = grids_of(result)
    if grids:
        said = (
            f"{row.id}（{verdict}）：{row.text.zh}",
            f"{row.id} ({outcome.verdict}): {row.text.en}",
        )
        return Tables(Text(*said), [(name, grid, grid) for name, grid in grids])
    return Text(
        f"{row.id}（{verdict}）：{row.stated.zh}；算出 {outcome.computed.zh}",
        f"{row.id} ({outcome.verdict}): {row.stated.en}; computed {outcome.computed.en}",
    )
