"""A document's worked example in the document's own order: acts and scenes, the stages of each,
and what the document states there beside what is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

import numpy as np

from ..examples.example import Example
from ..show.grid import display_width, table_text
from ..show.headings import below, leaf_name, pick, say
from ..show.stage_grid import Style
from ..show.trace_text import trace_text
from ..show.wrap import wrap
from ..stages.catalogue import Text
from ..trace.trace import Trace
from ..training.flow import gradient_flow, shown_matrices, updates
from ..training.recipe import RATES
from ..training.text import flow_text, update_text
from .ledger import ROWS, row_of
from .row import Result, Row
from .text import pair_of, pair_text, verdict_name


class Scene(NamedTuple):
    """A part of an act: where the ledger has its rows, and patterns of its stages."""

    title: Text
    section: str
    stages: Sequence[str] = ()


class Act(NamedTuple):
    title: Text
    scenes: Sequence[Scene]


_TOKENS = ("*.tokens", "labels")
_INPUT = "embedding", "positions", "input", "mask"
_ENCODER = "encoder.0.self_attention."
_HEAD = (
    Scene(Text("投影到词表", "projection onto the vocabulary"), "二·第四幕·1", ("logits",)),
    Scene(
        Text("Softmax 得到概率", "softmax gives probabilities"), "二·第四幕·2",
        ("log_probabilities", "probabilities"),
    ),
    Scene(Text("交叉熵损失", "cross-entropy"), "二·第四幕·3", ("loss*",)),
)  # fmt: skip

WEATHER = (
    Act(
        Text("第一幕：数据预处理", "act 1: the data"),
        (
            Scene(
                Text("文字、切词、特殊词元、编号", "text, tokens, special tokens, ids"),
                "二·第一幕",
                _TOKENS,
            ),
        ),
    ),
    Act(
        Text("第二幕：编码器", "act 2: the encoder"),
        (
            Scene(Text("嵌入", "embedding"), "二·第二幕·1", ("encoder.embedding",)),
            Scene(
                Text("位置编码", "positions"), "二·第二幕·2", ("encoder.positions", "encoder.input")
            ),
            Scene(
                Text("自注意力", "self-attention"),
                "二·第二幕·3",
                (
                    "encoder.mask",
                    *(
                        f"{_ENCODER}{name}"
                        for name in (
                            "queries",
                            "keys",
                            "values",
                            "products",
                            "scores",
                            "mask",
                            "masked_scores",
                            "weights",
                            "context",
                            "output",
                        )
                    ),
                ),
            ),
            Scene(
                Text("残差与归一化", "add and norm"),
                "二·第二幕·4",
                (f"{_ENCODER}residual", f"{_ENCODER}norm"),
            ),
            Scene(Text("前馈网络", "feed-forward"), "二·第二幕·5", ("encoder.0.feed_forward.*",)),
            Scene(
                Text("堆叠多层", "more layers"), "二·第二幕·6", ("encoder.[1-9]*", "encoder.output")
            ),
        ),
    ),
    Act(
        Text("第三幕：解码器", "act 3: the decoder"),
        (
            Scene(
                Text("输入的准备", "its input"),
                "二·第三幕·1",
                tuple(f"decoder.{name}" for name in _INPUT),
            ),
            Scene(
                Text("掩码自注意力", "masked self-attention"),
                "二·第三幕·2",
                ("decoder.0.self_attention.*",),
            ),
            Scene(
                Text("交叉注意力", "cross-attention"),
                "二·第三幕·3",
                ("decoder.0.cross_attention.*",),
            ),
            Scene(
                Text("前馈与归一化", "feed-forward, add and norm"),
                "二·第三幕·4",
                ("decoder.0.feed_forward.*",),
            ),
            Scene(
                Text("堆叠多层", "more layers"), "二·第三幕·5", ("decoder.[1-9]*", "decoder.output")
            ),
        ),
    ),
    Act(Text("第四幕：输出层与损失", "act 4: output and loss"), _HEAD),
    Act(
        Text("第五幕：反向传播与更新", "act 5: backward pass and update"),
        (Scene(Text("梯度与一步更新", "gradients and a step"), "二·第五幕"),),
    ),
)
CAT = (
    Act(
        Text("1.2 数据输入", "1.2 the data"),
        (Scene(Text("输入与目标", "input and targets"), "1.2", _TOKENS),),
    ),
    Act(
        Text("1.3 (1) 输入编码", "1.3 (1) input"),
        (
            Scene(
                Text("词嵌入、位置编码、加和", "embedding, positions, sum"),
                "1.3.1",
                ("decoder.embedding", "decoder.positions", "decoder.input"),
            ),
        ),
    ),
    Act(
        Text("1.3 (2) 各层", "1.3 (2) the layers"),
        (
            Scene(
                Text("多头注意力与前馈", "multi-head attention and feed-forward"),
                "1.3.2",
                ("decoder.mask", "decoder.[0-9]*"),
            ),
        ),
    ),
    Act(
        Text("1.3 (3) 输出预测", "1.3 (3) prediction"),
        (
            Scene(
                Text("H 与概率", "H and the probabilities"),
                "1.3.3",
                ("decoder.output", "logits", "log_probabilities", "probabilities"),
            ),
        ),
    ),
    Act(
        Text("1.3 (4) 损失函数", "1.3 (4) the loss"),
        (Scene(Text("交叉熵", "cross-entropy"), "1.3.4", ("loss*",)),),
    ),
)
_STEPS = Text("六步在一次前向里，一行一步", "the six steps in one pass, a row each")
STORY = (
    Act(
        Text("起点：编码器", "the start: the encoder"),
        (Scene(Text("原句与 H_enc", "the source and H_enc"), "起点", ("encoder.*",)),),
    ),
    Act(
        Text("逐词生成", "word by word"),
        (
            Scene(_STEPS, "第一至六步", ("decoder.*",)),
            Scene(
                Text("词表上的概率", "the words' probabilities"),
                "第二至六步",
                (
                    "labels",
                    "logits",
                    "*probabilities",
                    "loss*",
                ),
            ),
            Scene(Text("第一步", "step 1"), "第一步"),
            Scene(Text("第二步", "step 2"), "第二步"),
            Scene(Text("第三步", "step 3"), "第三步"),
            Scene(Text("第四步", "step 4"), "第四步"),
            Scene(Text("第六步", "step 6"), "第六步"),
        ),
    ),
)
MEMORY = (
    Act(
        Text("长度不同的两侧", "two lengths"),
        (
            Scene(
                Text("编码器：Memory", "the encoder: memory"), "Encoder Decoder 1", ("encoder.*",)
            ),
            Scene(
                Text("交叉注意力的形状", "shapes of cross-attention"),
                "Encoder Decoder 2",
                ("decoder.*",),
            ),
            Scene(
                Text("三步", "three steps"),
                "Encoder Decoder 3",
                (
                    "labels",
                    "logits",
                    "*probabilities",
                    "loss*",
                ),
            ),
        ),
    ),
)
LETTERS = (
    Act(
        Text("推理", "inference"),
        (
            Scene(
                Text("像接龙一样生成", "token after token"),
                "Inference 1",
                ("decoder.tokens",),
            ),
            Scene(
                Text("每个位置都有预测", "a prediction at every position"),
                "Inference 2",
                (
                    "labels",
                    "logits",
                    "*probabilities",
                    "loss*",
                ),
            ),
            Scene(Text("因果掩码", "the causal mask"), "Inference 3", ("decoder.[!t]*",)),
        ),
    ),
)
ACTS = {"weather": WEATHER, "cat": CAT, "story": STORY, "memory": MEMORY, "letters": LETTERS}

WHY = Text(
    "文中的数不出自任何一个模型：嵌入、词表与位置表是输入，可以照用；从注意力分数起，许多数是随手举的例子。"
    "所以从那里起，下面的表与文中不同。每个场景之后列出：文中、算出、结论与账本里的编号"
    "（numtx figures --figure 编号）。--as-stated（weather、cat）把运行固定在文中的数上。",
    "The document's numbers are not those of any one model: embeddings, vocabulary and positions "
    "are inputs and are taken over; from the scores of attention on many are made up. So from "
    "there on the tables differ from the document's. After each scene: what it states, what is "
    "computed, the verdict and the id in the ledger (numtx figures --figure ID). --as-stated "
    "(weather, cat) holds the run at what it states.",
)  # fmt: skip


def acts_text(
    example: Example, trace: Trace, style: Style, act: int | None = None, gradients: bool = False
) -> Iterator[str]:
    """The blocks of a trace in acts and scenes, or those of one act."""
    lang = style.lang
    if act is None or act == 1:
        told = [WHY.zh] * (lang != "en") + [WHY.en] * (lang != "zh")
        yield "\n".join(line for text in told for line in wrap(text, style.width))
    for number, one in enumerate(ACTS[example.name], 1):
        if act is not None and act != number:
            continue
        line = f"#### {say(one.title, lang)} "
        yield style.painter.bold(line + "#" * max(2, style.width - display_width(line)))
        for scene_number, scene in enumerate(one.scenes, 1):
            name = pick(lang, f"场景 {scene_number}", f"scene {scene_number}")
            yield style.painter.bold(f"---- {name}: {say(scene.title, lang)}")
            if scene.stages == _TOKENS:
                yield _sequences(trace, lang)
            elif scene.section == "二·第五幕" and trace.gradients:
                yield from _backward(trace, style)
            stages = stages_of(trace, scene)
            if stages:
                yield from trace_text(trace, style, stages, gradients)
            yield from filter(None, (_alike(trace, stages, lang), _stated(scene, style)))


def stages_of(trace: Trace, scene: Scene) -> list[str]:
    """The stages of a scene, in computing order."""
    return [n for n in trace.graph.stages if any(fnmatchcase(n, g) for g in scene.stages)]


def rows_of_scene(scene: Scene) -> list[Row]:
    """What the document states in a scene, where it is figures; the ledger has the claims too."""
    return [row for row in ROWS if row.section == scene.section and (row.at or row.labels)]


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


def _alike(trace: Trace, stages: Sequence[str], lang: str) -> str:
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
    return "\n".join(
        below(
            lang,
            f"{' = '.join(names)} = {source}：它们的矩阵是单位阵 I，X·I = X，所以这些表相同",
            f"{' = '.join(names)} = {source}: their matrix is the identity I and X·I = X, so these "
            "tables are equal",
        )
        for source, names in found.items()
    )


def _stated(scene: Scene, style: Style) -> str:
    """What the document states in the scene beside what is computed: verdict, id, both."""
    lines = []
    for row in rows_of_scene(scene):
        result = _result(row.id)
        matrices = pair_of(result)
        head = f"{verdict_name(result.verdict, style.lang)}  {row.id}"
        lines.append(f"  {head}   {say(row.text, style.lang)}")
        if matrices:
            lines += [f"    {line}" for line in pair_text(row, matrices, style)]
            continue
        stated, computed = row.judge.text(), result.outcome.computed
        for name, text in (("文中", "stated"), stated), (("算出", "computed"), computed):
            if pick(style.lang, *text) != "-":
                lines.append(f"    {pick(style.lang, *name)}: {pick(style.lang, *text)}")
    title = pick(style.lang, "文中与算出", "stated and computed")
    return "\n".join([f"{title}:", *lines]) if lines else ""


def acts_notes(name: str) -> Iterator[tuple[Text, Sequence[Text]]]:
    """The same for a page: of each scene a title and a line for each figure."""
    yield Text("文中的数与这里的数", "the document's numbers and these"), [WHY]
    for act in ACTS.get(name, ()):
        for scene in act.scenes:
            title = Text(*(f"{a}：{b}" for a, b in zip(act.title, scene.title, strict=True)))
            lines = []
            for row in rows_of_scene(scene):
                outcome = _result(row.id).outcome
                zh, en = row.stated
                verdict = verdict_name(outcome.verdict, "zh")
                lines.append(Text(
                    f"{row.id}（{verdict}）：{zh}；算出 {outcome.computed.zh}",
                    f"{row.id} ({outcome.verdict}): {en}; computed {outcome.computed.en}",
                ))  # fmt: skip
            yield title, lines
