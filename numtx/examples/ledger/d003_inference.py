"""Document 003, the part on inference: the story of Today is nice weather today."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...shapes import Array
from ..story import CHOSEN, CROSS_ROWS, PAIRS, PROBABILITIES, SELF_ROWS
from ..translation import ENGLISH
from ..weather import ENCODER_OUTPUT
from . import witnesses
from .rows import Row
from .runs import example, moved, shape, tokens, trace, with_tokens
from .theorems import log_span, no_more_than_one, one_row, sums_to_one
from .verdicts import Claim, Figures, Illustration, Same

SELF = "decoder.0.self_attention"
CROSS = "decoder.0.cross_attention"
SOURCE = ("今", "天", "天", "气", "很", "好", "<eos>")
ANSWER = ("Today", "is", "nice", "weather", "today")


def _words(step: int) -> Any:
    """A witness: the story's probabilities of the words that a step lists."""
    places = [ENGLISH.index(word) for word in PROBABILITIES[step]]
    return lambda stated: trace("story")["probabilities"][0, step, places]


def _self(step: int) -> Any:
    return lambda stated: trace("story")[f"{SELF}.weights"][0, 0, step, : step + 1]


def _cross(step: int) -> Any:
    return lambda stated: trace("story")[f"{CROSS}.weights"][0, 0, step]


def _pairs(stated: Array) -> Array:
    found: Array = np.array(PAIRS) @ trace("story")[f"{CROSS}.weights"][0, 0, 2]
    return found


def _today_row(stated: Array) -> Array:
    """A row of the second token by W_Q alone, whatever it is."""
    made = example("story")
    p = witnesses.steer(made, made.parameters, SELF, {1: stated.tolist()})
    return witnesses.run(made, p)[f"{SELF}.weights"][0, 0, 1, :2]


def _two_steps(stated: Array) -> Array:
    """The row of the second token in a run of two tokens and in one of three."""
    ids = tokens("story", "decoder")
    rows = [
        with_tokens("story", "decoder", ids[:n])[f"{SELF}.weights"][0, 0, 1, :2] for n in (2, 3)
    ]
    return np.array(rows)


def _lists() -> Array:
    """Everything that the story lists, in one run."""
    run = trace("story")
    found = [
        run["probabilities"][0, step, [ENGLISH.index(x) for x in stated]]
        for step, stated in enumerate(PROBABILITIES)
        if stated
    ]
    rows = [run[f"{SELF}.weights"][0, 0, s, : s + 1] for s in SELF_ROWS]
    cross = [run[f"{CROSS}.weights"][0, 0, s] for s in CROSS_ROWS]
    return np.concatenate([*found, *rows, *cross, _pairs(np.zeros(2))])


STORY: Sequence[float] = (
    *(p for step in PROBABILITIES for p in step.values()),
    *(p for row in SELF_ROWS.values() for p in row),
    *(p for row in CROSS_ROWS.values() for p in row),
    0.35, 0.40,
)  # fmt: skip


def _greedy() -> tuple[str, ...]:
    """The greedy words of the story, each step fed with what came before."""
    vocabulary = example("story").vocabulary
    assert vocabulary is not None
    ids, words = [vocabulary["<bos>"]], []
    for _ in range(6):
        logits = with_tokens("story", "decoder", ids)["logits"][0, -1]
        ids.append(int(logits.argmax()))
        words.append(vocabulary.token(ids[-1]))
    return tuple(words)


def _largest(row: Sequence[float], count: int = 2) -> list[str]:
    return [SOURCE[i] for i in np.argsort(-np.array(row), kind="stable")[:count]]


def _shape6(stage: str, step: int) -> tuple[int, ...]:
    """The shape of a stage of the six-layer translation model with a prefix of `step` tokens."""
    ids = tokens("translation", "decoder", layers=6, words=10000)[:step]
    found = with_tokens("translation", "decoder", ids, layers=6, words=10000)[stage].shape
    while len(found) > 2 and found[0] == 1:
        found = found[1:]
    return found


def _encoder_alone() -> tuple[bool, str]:
    ids = tokens("story", "decoder")
    runs = [with_tokens("story", "decoder", ids[:n])["encoder.output"] for n in (1, 2, 6)]
    return all(
        np.array_equal(runs[0], other) for other in runs[1:]
    ), "H_enc of prefixes of 1, 2 and 6 tokens, bit for bit: once is enough"


def _same_encoder() -> tuple[bool, str]:
    alone = with_tokens("weather", "decoder", [1])["encoder.output"]
    return bool(
        np.array_equal(alone, trace("weather")["encoder.output"])
    ), "with and without the whole target (there is no dropout here; in training it would differ)"


def _identity() -> tuple[bool, str]:
    run = with_tokens("story", "decoder", [1])
    far = float(np.abs(run[f"{SELF}.output"] - run["decoder.input"]).max())
    return (
        far < 1e-9,
        f"weight {run[f'{SELF}.weights'].item():.1f}, but the result is x·W_V·W_O: it differs from x by up to {far:.2f}",
    )


def _scalar() -> tuple[Any, ...]:
    run = with_tokens("story", "decoder", [1])
    return run[f"{SELF}.scores"].shape[2:], round(run[f"{SELF}.weights"].item(), 12)


def _after_today() -> tuple[bool, str]:
    """Position 0 is not what step 2 reads; does it change?"""
    ids = tokens("story", "decoder")
    before, after = (with_tokens("story", "decoder", ids[:n])["logits"] for n in (1, 2))
    far = float(np.abs(before[0, 0] - after[0, 0]).max())
    return (
        far < 1e-9,
        f"position 0 predicts the word after <bos> once more, the same as before (difference {far:.1g})",
    )


def _most_likely(p: float) -> tuple[bool, str]:
    rest = 1.0 - p
    return p > rest, f"all others share {rest:.2f}"


def _loop(until: int, limit: int) -> tuple[list[int], int]:
    """The document's while loop with <eos> = 2 at word `until`: what it returns, and how often
    it ran."""
    generated, rounds = [1], 0
    while True:
        rounds += 1
        generated.append(2 if rounds == until else 9)
        if generated[-1] == 2 or len(generated) >= limit:
            break
    return generated[1:], rounds


ROWS = [
    Row("003.same-encoder", "起点", "the encoder works alike in training and inference", Claim(True, _same_encoder), stages=("weather", "encoder.output")),
    Row("003.source-ids", "起点", "the source as ids", Same((3, 4, 4, 5, 6, 7, 2), lambda: tokens("translation", "encoder")), at="544", stages=("translation", "encoder.tokens")),
    Row("003.source-shape", "起点", "four-dimensional vectors, a matrix of seven rows and four columns", Same((7, 4), lambda: shape("translation", "encoder.input")), at="546", stages=("translation", "encoder.input")),
    Row("003.today-is-two-tokens", "起点", "the first 天 attends to 今 before it and is understood as 今天 (all words see all): places that it may look at", Same(7, lambda: int(trace("weather")["encoder.0.self_attention.mask"][0, 0, 1].sum())), "what it attends to is a matter of training", at="548: 一 一"),
    Row("003.six-encoder-layers", "起点", "six encoder layers, the matrix stays 7 x 4; layers", Same((6, (7, 4)), lambda: (example("translation", layers=6, words=10000).config.encoder_layers, shape("translation", "encoder.output", layers=6, words=10000))), "the part on training has two layers", at="550"),
    Row("003.encoder-once", "起点", "the encoder runs once; H_enc serves every step", Claim(True, _encoder_alone), at="552", stages=("story", "encoder.output")),
    Row("003.bos-first", "第一步", "step 1: <bos> has id 1 and position 0; a matrix of one row and four columns", Same((1, 0, (1, 4)), lambda: (example("story").vocabulary["<bos>"], 0, with_tokens("story", "decoder", [1])["decoder.input"].shape[1:])), at="559; 561"),  # type: ignore[index]
    Row("003.one-score", "第一步", "with one token the score is one number and its weight is 1.0", Same(((1, 1), 1.0), _scalar), at="563", stages=("story", f"{SELF}.scores", f"{SELF}.weights")),
    Row("003.one-token-identity", "第一步", "and the result is the vector itself (结果还是它自己)", Claim(True, _identity), "true only where W_V·W_O = I"),
    Row("003.add-norm-between", "第一步", "Add & Norm stands between self- and cross-attention", Same(("output", "residual", "norm"), lambda: tuple(n.split(".")[-1] for n in trace("story") if n.startswith(f"{SELF}."))[-3:]), "the part on training has none there (003.cross-wiring)", at="565", stages=("story", f"{SELF}.residual", f"{SELF}.norm")),
    Row("003.cross-shape-1", "第一步", "query [1,4] times keys [4,7] gives [1,7]", Same((1, 7), lambda: with_tokens("story", "decoder", [1])[f"{CROSS}.scores"].shape[2:]), at="567"),
    Row("003.cross-row-1", "第一步", "weights of step 1 over the source", Illustration(CROSS_ROWS[0], _cross(0), (sums_to_one,)), "", at="569: 0.12 0.18 0.15 0.10 0.13 0.20 0.12", stages=("story", f"{CROSS}.weights")),
    Row("003.cross-row-1-with-h", "第一步", "the same over the keys of H_enc as printed in the part on training", Illustration(CROSS_ROWS[0], None, (log_span(np.array(ENCODER_OUTPUT)),)), "one head of width 4; H_enc with its digits taken as exact"),
    Row("003.cross-row-1-sum", "第一步", "those weights sum to 1", Figures(1.0, lambda: sum(CROSS_ROWS[0]))),
    Row("003.cross-row-1-largest", "第一步", "largest: 好 (0.20) and 天 (0.18)", Same((("好", "天"), 0.20, 0.18), lambda: (_largest(CROSS_ROWS[0]), *sorted(CROSS_ROWS[0])[:-3:-1])), "the first 天; the second has 0.15", at="569: 一 0.20 0.18"),
    Row("003.context-1", "第一步", "weights [1,7] times values [7,4] gives [1,4]", Same((1, 4), lambda: with_tokens("story", "decoder", [1])[f"{CROSS}.context"].shape[2:]), at="571"),
    Row("003.six-decoder-layers", "第一步", "six decoder layers of self-attention, cross-attention, FFN", Same((6, 18), lambda: ((c := example("translation", layers=6, words=10000).config).decoder_layers, c.decoder_layers * len(c.sublayers("decoder")))), at="573"),
    Row("003.h-dec-1", "第一步", "h_dec is one row of four", Same((1, 4), lambda: with_tokens("story", "decoder", [1])["decoder.output"].shape[1:]), at="575"),
    Row("003.vocabulary-size", "第一步", "W_vocab is 4 x 10000; logits [1, 10000]", Same(((4, 10000), (1, 10000)), lambda: (example("translation", layers=6, words=10000).parameters["output.w"].shape, _shape6("logits", 1))), at="577; 583: 10000", stages=("translation", "logits")),
    Row("003.probabilities-1st", "第一步", "Today 0.35, The 0.28, Weather 0.12, It 0.08", Illustration(tuple(PROBABILITIES[0].values()), _words(0), (no_more_than_one,)), "the other words share 0.17", at="579: 0.35 0.28 0.12 0.08", stages=("story", "logits", "probabilities")),
    Row("003.percent-35", "第一步", "0.35 is 35%", Figures(35, lambda: 100 * PROBABILITIES[0]["Today"], 0), at="579: 35"),
    Row("003.greedy-1", "第一步", "the greedy first word (id 8888 of 10000)", Same(("Today", 8888), lambda: (max(PROBABILITIES[0], key=lambda x: PROBABILITIES[0][x]), example("translation", layers=6, words=10000).vocabulary["Today"])), at="581"),  # type: ignore[index]
    Row("003.step-2-input", "第二步", "step 2: <bos>, Today at positions 0 and 1, a 2 x 4 matrix", Same((2, 4), lambda: with_tokens("story", "decoder", tokens("story", "decoder")[:2])["decoder.input"].shape[1:]), at="585; 590: 2 0 1 二 四 一 两 一", stages=("story", "decoder.tokens", "decoder.input")),
    Row("003.step-2-scores", "第二步", "2 x 2 scores: four entries, position 0 and 1 for either", Same((2, 2), lambda: with_tokens("story", "decoder", tokens("story", "decoder")[:2])[f"{SELF}.scores"].shape[2:]), at="592; 594: 两"),
    Row("003.self-row-step-2", "第二步", "row of Today: 0.4 to <bos>, 0.6 to itself", Illustration(SELF_ROWS[1], _self(1), (sums_to_one,)), "", at="598; 601: 1 40 60", stages=("story", f"{SELF}.weights")),
    Row("003.self-row-bos", "第二步", "row of <bos>: 1.0, 0.0 (100% itself)", Figures((1.0, 0.0), lambda: trace("story")[f"{SELF}.weights"][0, 0, 0, :2], 1), "the mask leaves no other choice", at="597; 601: 0 100"),
    Row("003.fused", "第二步", "Today's output holds <bos> and Today", Same((True, True), lambda: tuple(moved(trace("story")[f"{SELF}.output"][0], with_tokens("story", "decoder", ids)[f"{SELF}.output"][0])[1] for ids in ([4, 3], [1, 4]))), at="603"),
    Row("003.h-enc-stays", "第二步", "two decoder positions, H_enc still 7 x 4", Same((7, 4), lambda: with_tokens("story", "decoder", tokens("story", "decoder")[:2])["encoder.output"].shape[1:]), at="605"),
    Row("003.cross-row-2", "第二步", "weights of step 2 over the source", Illustration(CROSS_ROWS[1], _cross(1), (sums_to_one,)), "", at="607: 1 七 七 0.08 0.10 0.12 0.15 0.25 0.18 0.12", stages=("story", f"{CROSS}.weights")),
    Row("003.cross-row-2-with-h", "第二步", "the same over the keys of H_enc as printed in the part on training", Illustration(CROSS_ROWS[1], None, (log_span(np.array(ENCODER_OUTPUT)),)), "one head of width 4; H_enc with its digits taken as exact"),
    Row("003.cross-row-2-sum", "第二步", "those weights sum to 1", Figures(1.0, lambda: sum(CROSS_ROWS[1]))),
    Row("003.cross-row-2-largest", "第二步", "largest: 很 (0.25) and 好 (0.18)", Same((("很", "好"), 0.25, 0.18), lambda: (_largest(CROSS_ROWS[1]), *sorted(CROSS_ROWS[1])[:-3:-1])), at="607: 0.25 0.18"),
    Row("003.last-only", "第二步", "only position 1 is needed: position 0 gives what step 1 gave", Claim(True, _after_today), "", at="609"),
    Row("003.probabilities-2nd", "第二步", "is 0.42, the 0.25, was 0.18", Illustration(tuple(PROBABILITIES[1].values()), _words(1), (no_more_than_one,)), "", at="611", stages=("story", "probabilities")),
    Row("003.step-3-input", "第三步", "step 3: three tokens, 3 x 4", Same((3, 4), lambda: with_tokens("story", "decoder", tokens("story", "decoder")[:3])["decoder.input"].shape[1:]), at="620"),
    Row("003.self-row-step-3", "第三步", "row of is: 0.2, 0.4, 0.4 (20%, 40%, 40%)", Illustration(SELF_ROWS[2], _self(2), (sums_to_one,)), "", at="623; 625; 628", stages=("story", f"{SELF}.weights")),
    Row("003.self-row-again", "第三步", "row of Today in step 3: 0.3, 0.7", Illustration((0.3, 0.7), _today_row, (sums_to_one,)), "alone it can be", at="624"),
    Row("003.self-row-changes", "第二、三步", "row of Today in step 2 and in step 3 of one layer and head", Illustration(((0.4, 0.6), (0.3, 0.7)), _two_steps, (one_row,)), "each alone is attainable; together only as rows of different layers or heads", stages=("story", f"{SELF}.weights")),
    Row("003.cross-pairs", "第三步", "weights of step 3 on 天气 (0.35) and 很好 (0.40)", Illustration((0.35, 0.40), _pairs, (no_more_than_one,)), "summed over places 2 and 3, and 4 and 5", at="630", stages=("story", f"{CROSS}.weights")),
    Row("003.cross-pairs-places", "第三步", "天气 and 很好 are places of the source: tokens that 天气 has", Same(1, lambda: sum(token == "天气" for token in SOURCE)), "the source is split into characters: 天气 is two tokens, and there are two 天"),
    Row("003.probabilities-3rd", "第三步", "nice 0.38, good 0.25, sunny 0.20", Illustration(tuple(PROBABILITIES[2].values()), _words(2), (no_more_than_one,)), "", at="632", stages=("story", "probabilities")),
    Row("003.step-4-matrix", "第四步", "step 4: a 4 x 4 matrix, the lower triangle full, zeros above: weights that are 0", Same(((4, 4), 6), lambda: ((a := with_tokens("story", "decoder", tokens("story", "decoder")[:4])[f"{SELF}.weights"][0, 0]).shape, int((a == 0).sum()))), at="634"),
    Row("003.words", "第二至六步", "greedy words of the six steps", Same(CHOSEN, _greedy), "each run fed with the words before it", at="613; 618; 634; 636: 五 两", stages=("story", "decoder.tokens", "probabilities")),
    Row("003.today-twice", "第五步", "today occurs twice in the answer", Same(2, lambda: sum(word.lower() == "today" for word in ANSWER)), "as Today and today, which are two tokens: a repetition penalty would not see it"),
    Row("003.eos-probability", "第六步", "<eos> has 0.55", Illustration((0.55,), _words(5), (no_more_than_one,)), "", at="638", stages=("story", "probabilities")),
    Row("003.eos-largest", "第六步", "0.55 is above every other word", Claim(True, lambda: _most_likely(0.55)), "whatever the others are"),
    Row("003.story", "第一至六步", "all lists of the story in one model: probabilities, rows of attention, pairs", Illustration(STORY, lambda stated: _lists()), "one layer a side, found by a search; with the first of the two rows of Today", stages=("story", f"{SELF}.weights", f"{CROSS}.weights", "probabilities")),
    Row("003.answer-length", "第六步", "the answer has five words, six steps with <eos>", Same((5, 6), lambda: (len(ANSWER), len(CHOSEN)))),
    Row("003.loop-returns", "伪代码", "the loop returns the answer without <bos> (for the story: five words)", Same(5, lambda: len(_loop(6, 100)[0])), "it returns <eos> too; the text's answer has none", at="640: 一; 648: 1 一; 659: 1"),
    Row("003.loop-limit", "伪代码", "words that max_length = 100 allows ('生成100个词后必须停止')", Same(100, lambda: len(_loop(1000, 100)[0])), "len(generated_sequence) counts <bos>", at="675: 四 100"),
    Row("003.loop-argmax", "伪代码", "argmax of the probabilities is argmax of the logits", Same(0, lambda: int((trace("story")["probabilities"].argmax(-1) != trace("story")["logits"].argmax(-1)).sum())), "the softmax is not needed for greedy decoding"),
    Row("003.tenth-step", "伪代码", "generating ten words, step 10 has a 10 x 10 self-attention", Same((10, 10), lambda: with_tokens("translation", "decoder", [1, *range(3, 12)])[f"{SELF}.weights"].shape[2:]), "<bos> and nine words", at="662: 一 十 十 十 十 一 一"),
    Row("003.greater-each-step", "伪代码", "without a cache each step is a little dearer than the one before: lengths of steps 1 to 6", Same((1, 2, 3, 4, 5, 6), lambda: [with_tokens("story", "decoder", tokens("story", "decoder")[:n])["logits"].shape[1] for n in range(1, 7)])),
]  # fmt: skip
