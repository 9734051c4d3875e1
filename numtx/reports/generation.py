"""The page of a generation: step by step how the cache fills and what was probable, above every
stage of every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from ..decoding.filters import probabilities_of
from ..decoding.generate import Generation, Step
from ..html.frame import bilingual, button, text_of
from ..page.page import Heading, Lead
from ..page.report import trace_report
from ..shapes import Array
from ..show.numbers import fixed
from ..show.stage_grid import Style
from ..stages.catalogue import Text
from ..trace.trace import Trace

LISTED = 8  # words of a step
BAR = 160  # width of a probability of 1
KEYS = ("all_keys", "all_latent", "keys", "latent")  # what a layer attends to, as the kind has it
KINDS = {
    "new": ("●", Text("这一步计算", "computed now")),
    "read": ("○", Text("取自缓存", "read from the cache")),
    "again": ("↻", Text("又算一遍", "computed again")),
    "": ("", Text("还没有", "not there yet")),
}


def generation_page(
    generation: Generation, trace: Trace, title: Text, notes: Sequence[Text], style: Style,
    stages: list[str],
) -> str:  # fmt: skip
    """The page; `trace` is the generation's, `notes` say how tokens were chosen."""
    heading = Heading(title, [(Text("怎样生成", "How it is generated"), [*notes])])
    lead = Lead("steps", Text("一步一步", "Step by step"), _Steps(generation, trace).html())
    return trace_report(trace, heading, style, stages, lead=lead)


_MEMORY = {
    True: Text("编码器输出的键与值：新算", "keys and values of the encoder's output: computed"),
    False: Text("编码器输出的键与值：取自缓存", "keys and values of the encoder's output: read"),
}


class _Steps:
    def __init__(self, generation: Generation, trace: Trace) -> None:
        self.generation, self.trace = generation, trace
        self.ids, self.valid = self.columns()
        self.rows = len(generation.prompt)

    def columns(self) -> tuple[Array, Array]:
        """All columns of the text as the last step has them, and which are real tokens."""
        steps = self.generation.steps
        if not self.trace.cached:  # every step of decode has everything; a prompt in chunks too
            steps = steps[-1:]
        ids = np.concatenate([step.ids for step in steps], 1)
        return ids, np.concatenate([step.valid for step in steps], 1)

    def html(self) -> str:
        """The slider, and a block for each step, of which the script shows one."""
        last = len(self.generation.steps) - 1
        label = Text("第几步", "step")
        slider = (
            f'<div class="bar scripted">{button("before", Text("上一步", "step back"))}'
            f'<label>{bilingual(label)} <input type="range" id="slider" min="0" max="{last}" '
            'value="0" step="1"></label><output id="phase" for="slider"></output>'
            f"{button('after', Text('下一步', 'step on'))}</div>"
        )
        legend = "".join(
            f'<span><span class="key {name}">{glyph}</span> {bilingual(text)}</span>'
            for name, (glyph, text) in KINDS.items()
        )
        blocks = "".join(self.step(n, step) for n, step in enumerate(self.generation.steps))
        return f'{slider}{blocks}<div class="legend">{legend}</div>'

    def step(self, number: int, step: Step) -> str:
        """One step: what it computed and read, and the words that it found probable."""
        about = Text(
            f"新算的词元：{step.computed}；从缓存读取：{step.read}",
            f"tokens computed: {step.computed}; read from the cache: {step.read}",
        )
        memory = ""
        if "encoder" in self.trace.config.sides:
            anew = f"{step.phase}.decoder.0.cross_attention.keys" in self.trace
            memory = bilingual(_MEMORY[anew])
        first = next(name for name in self.trace if name.startswith(f"{step.phase}."))
        link = f'<a href="#{escape(first)}">{bilingual(Text("它的各阶段", "its stages"))}</a>'
        rows = "".join(self.row(row, step) for row in range(self.rows))
        return (
            f'<section class="step" data-phase="{step.phase}"><h3>{number + 1}. {step.phase}</h3> '
            f"{bilingual(about)} {memory} {link}{rows}</section>"
        )

    def row(self, row: int, step: Step) -> str:
        words = "" if step.tokens is None else self.words(row, step)
        return f'<div class="matrices">{self.cache(row, step)}{words}</div>'

    def word(self, token: int) -> str:
        names = self.trace.vocabulary
        return str(token) if names is None else text_of(names[token])

    def kinds(self, step: Step) -> Iterator[str]:
        """What a step does at each column of the text."""
        for column in range(self.ids.shape[1]):
            if column >= step.read + step.computed:
                yield ""
            elif column < step.read:
                yield "read"
            else:
                yield "again" if column < step.recomputed else "new"

    def cache(self, row: int, step: Step) -> str:
        """A table: a column a token, a row a layer, with the length of each token's key."""
        kinds = list(self.kinds(step))
        heads = "".join(
            f'<th scope="col">{self.word(int(token)) if kind and real else ""}</th>'
            for token, real, kind in zip(self.ids[row], self.valid[row], kinds, strict=True)
        )
        lines = []
        for layer in range(self.trace.config.decoder_layers):
            lengths = self.lengths(row, step, layer)
            cells = "".join(
                f'<td class="{kind}">{KINDS[kind][0]}'
                f"{f' {fixed(lengths[k], 2)}' if k < len(lengths) and real else ''}</td>"
                for k, (kind, real) in enumerate(zip(kinds, self.valid[row], strict=True))
            )
            title = bilingual(Text(f"层 {layer}", f"layer {layer}"))
            lines.append(f'<tr><th scope="row">{title}</th>{cells}</tr>')
        caption = Text(
            "每个词元的键（与值）：从哪里来，键的长度 |k|",
            "each token's key (and value): where it comes from, and the key's length |k|",
        )
        return (
            f'<figure class="matrix"><figcaption>{bilingual(caption)}</figcaption>'
            f'<table class="stated cache"><thead><tr><td></td>{heads}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></figure>"
        )

    def lengths(self, row: int, step: Step, layer: int) -> list[float]:
        """The length of the key of each token that a layer attends to; of latents theirs."""
        place = f"{step.phase}.decoder.{layer}.self_attention"
        name = next((n for leaf in KEYS if (n := f"{place}.{leaf}") in self.trace), None)
        if name is None:
            return []
        keys = np.moveaxis(self.trace[name][row].astype(np.float64), -2, 0)
        found: list[float] = np.sqrt(np.add.reduce(keys.reshape(len(keys), -1) ** 2, 1)).tolist()
        return found

    def words(self, row: int, step: Step) -> str:
        """The most probable words with bars; the chosen one is marked, and is there anyhow."""
        assert step.tokens is not None
        if not step.counts[row]:
            return f"<p>{bilingual(Text('这一行已经结束', 'this row has ended'))}</p>"
        odds, chosen = probabilities_of(step.logits)[row], int(step.tokens[row])
        best = np.argsort(-odds, kind="stable")[:LISTED].tolist()
        if chosen not in best:
            best.append(chosen)
        lines = "".join(
            f'<tr{" class=chosen" if token == chosen else ""}><th scope="row">'
            f"{'→ ' if token == chosen else ''}{self.word(token)}</th>"
            f'<td>{fixed(float(odds[token]), 3)}</td><td><svg class="odds" width="{BAR}" '
            f'height="12" aria-hidden="true"><rect width="{BAR * float(odds[token]):.1f}" '
            'height="12"/></svg></td></tr>'
            for token in best
        )
        caption = Text(
            "下一个词的概率（→ 选中的）", "probability of the next word (→ the chosen one)"
        )
        return (
            f'<figure class="matrix"><figcaption>{bilingual(caption)}</figcaption>'
            f'<table class="stated words"><tbody>{lines}</tbody></table></figure>'
        )
