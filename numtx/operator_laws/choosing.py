"""D1 to D9, of choosers: filters of logits, a sampler, a beam search."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, expect_true, law, seeds
from ..operators.chooser import ChooserSubject, NextLogits
from ..shapes import Array
from ..subjects.kinds import (
    BEAM_SEARCH,
    CHOOSER,
    FILTERS,
    HELD,
    MIN_P,
    NGRAMS,
    PENALTY,
    SAMPLE,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)

DRAWS = 300  # of a sampler; what six deviations allow is passed once in a thousand million times


def draw_logits(draw: Draw, ties: bool = True) -> Array:
    """[2, V] of either sign, some of them equal."""
    generator = np.random.default_rng(draw(seeds))
    logits = 2.0 * generator.standard_normal((2, draw(st.integers(1, 9))))
    found: Array = logits.round(0) if draw(st.booleans()) and ties else logits
    return found


def log_softmax(logits: Array) -> Array:
    """In float64; -inf where a token is ruled out."""
    wide = np.asarray(logits, np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def _order(row: Array) -> list[int]:
    """The ids from the largest logit down; of equal ones the smaller id first."""
    return sorted(range(len(row)), key=lambda i: (-row[i], i))


def _check_kept(
    subject: ChooserSubject, row: Array, kept: Array, wanted: list[int], what: str
) -> None:
    """The wanted tokens are kept, or others of equal logits, unchanged up to a shift."""
    example = {"logits": row}
    ids = np.flatnonzero(np.isfinite(kept)).tolist()
    same = sorted(ids) == sorted(wanted)
    if subject.ties == "any" and not same:
        least = row[wanted[-1]]
        above = {i for i in range(len(row)) if row[i] > least}
        same = above <= set(ids) and all(row[i] >= least for i in ids) and len(ids) >= len(wanted)
    if not same:
        raise LawBroken(f"{what} keeps other tokens", example, None, sorted(wanted), ids)
    only = np.where(np.isfinite(kept), row, -np.inf)
    near = np.abs(log_softmax(kept)[ids] - log_softmax(only)[ids]) <= 1e-9
    expect_true(near.all(), f"{what} changes what it keeps", example, kept)


@law(
    "D1",
    "top-k keeps the min(k, V) largest logits as they are, ties as declared",
    "top-k 保留 min(k, V) 个最大者且不改变其值, 相等时按声明",
    TOP_K,
    kind=CHOOSER,
)
def top_k(subject: ChooserSubject, draw: Draw) -> bool:
    logits, k = draw_logits(draw), draw(st.integers(1, 10))
    got = subject.filtered(TOP_K, logits, (min(k, logits.shape[1]),))
    for row, kept in zip(logits, got, strict=True):
        _check_kept(subject, row, kept, _order(row)[:k], f"top-k with k = {k}")
    return bool(k < logits.shape[1])


@law(
    "D2",
    "top-p keeps the smallest set whose mass reaches p, the token that crosses it included, never "
    "nothing",
    "top-p 保留累计概率达到 p 的最小集合, 含越过者, 从不为空",
    TOP_P,
    kind=CHOOSER,
)
def top_p(subject: ChooserSubject, draw: Draw) -> bool:
    logits, p = draw_logits(draw), draw(st.sampled_from([1e-9, 0.1, 0.35, 0.5, 0.8, 0.99]))
    got = subject.filtered(TOP_P, logits, (p,))
    sure_once = False
    for row, kept in zip(logits, got, strict=True):
        share, order = np.exp(log_softmax(row)), _order(row)
        mass = [math.fsum(share[order[:n]]) for n in range(1, len(order) + 1)]
        if any(abs(one - p) < 1e-9 for one in mass):
            continue  # rounding decides
        sure_once = True
        count = next((n for n, one in enumerate(mass, 1) if one >= p), len(order))
        _check_kept(subject, row, kept, order[:count], f"top-p with p = {p}")
    return sure_once


@law(
    "D2-min",
    "min-p keeps the tokens at least p times as probable as the most probable one",
    "min-p 保留概率不低于最大概率 p 倍的词元",
    MIN_P,
    kind=CHOOSER,
)
def min_p(subject: ChooserSubject, draw: Draw) -> bool:
    logits, p = draw_logits(draw, ties=False), draw(st.sampled_from([0.01, 0.1, 0.5, 0.9]))
    got = subject.filtered(MIN_P, logits, (p,))
    for row, kept in zip(logits, got, strict=True):
        share = np.exp(row - row.max())
        if (abs(share - p) < 1e-9).any():
            return False
        wanted = [i for i in _order(row) if share[i] >= p]
        _check_kept(subject, row, kept, wanted, f"min-p with p = {p}")
    return True


@law(
    "D3",
    "temperature divides: 1 is the identity, any keeps the order, and towards 0 it is greedy",
    "温度即除以温度: 1 不变, 任何温度保持次序, 趋于 0 即贪心",
    TEMPERATURE,
    kind=CHOOSER,
)
def temperature(subject: ChooserSubject, draw: Draw) -> bool:
    logits, warmth = draw_logits(draw), draw(st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0]))
    example = {"logits": logits, "temperature": warmth}
    got = subject.filtered(TEMPERATURE, logits, (warmth,))
    near = abs(log_softmax(got) - log_softmax(logits / warmth)) <= 1e-9 * max(1.0, 1.0 / warmth)
    if not near.all():
        expected = logits / warmth
        raise LawBroken("the logits are not divided by it", example, None, expected, got)
    cold = np.exp(log_softmax(subject.filtered(TEMPERATURE, logits, (1e-3,))))
    largest = logits >= logits.max(-1, keepdims=True) - 0.05
    greedy = (np.where(largest, cold, 0.0).sum(-1) > 0.99).all()
    expect_true(greedy, "cold, and not greedy", {"logits": logits, "temperature": 1e-3}, cold)
    return True


@law(
    "D4",
    "a repetition penalty divides a positive logit and multiplies a negative one of every token "
    "seen, once, and leaves others; 1 is the identity",
    "重复惩罚: 已见词元正者相除负者相乘, 只计一次, 不动其他; 1 不变",
    PENALTY,
    kind=CHOOSER,
)
def penalty(subject: ChooserSubject, draw: Draw) -> bool:
    logits, size = draw_logits(draw), draw(st.sampled_from([1.0, 1.3, 2.0]))
    generator = np.random.default_rng(draw(seeds))
    rows = [generator.integers(0, logits.shape[1], n).tolist() for n in (3, 5)]
    got = subject.filtered(PENALTY, logits, (rows, size))
    expected = logits.copy()
    for row, seen in enumerate(rows):
        old = logits[row, sorted(set(seen))]
        expected[row, sorted(set(seen))] = np.where(old > 0, old / size, old * size)
    if not (abs(got - expected) <= 1e-12 * (1.0 + abs(expected))).all():
        example = {"logits": logits, "seen": rows, "penalty": size}
        raise LawBroken("the penalty differs", example, None, expected, got)
    return bool(size > 1.0)


@law(
    "D5",
    "a row alone is filtered as it is in the batch",
    "单独一行的过滤结果与在批中相同",
    CHOOSER,
    kind=CHOOSER,
)
def row_alone(subject: ChooserSubject, draw: Draw) -> bool:
    able = [what for what in FILTERS if what in subject.capabilities]
    drawn = draw_logits(draw)
    size = drawn.shape[1]
    generator = np.random.default_rng(draw(seeds))
    rows = [generator.integers(0, size, n).tolist() for n in (4, 6)]
    given: dict[str, tuple[Any, ...]] = {
        TOP_K: (min(3, size),), TOP_P: (0.6,), MIN_P: (0.3,), TEMPERATURE: (2.0,),
        PENALTY: (rows, 1.5), NGRAMS: (rows, 2), HELD: ([0, 5], 3, draw(st.integers(0, size - 1))),
    }  # fmt: skip
    for what in able:
        # Some tokens more, that are never ruled out.
        logits = np.pad(drawn, ((0, 0), (0, 9))) if what in (NGRAMS, HELD) else drawn
        together = subject.filtered(what, logits, given[what])
        for row in (0, 1):
            own = [part[row : row + 1] if isinstance(part, list) else part for part in given[what]]
            alone = subject.filtered(what, logits[row : row + 1], own)[0]
            with np.errstate(invalid="ignore"):
                same = (abs(alone - together[row]) <= 1e-9) | (alone == together[row])
            if not same.all():
                example = {"filter": what, "logits": logits, "given": given[what], "row": row}
                told = f"row {row} alone differs"
                raise LawBroken(told, example, None, alone, together[row])
    return bool(able)


@law(
    "D7",
    "an n-gram ban rules out exactly the tokens that would make a run of n tokens a second time",
    "n 元组禁令恰排除会使某 n 元组再次出现的词元",
    NGRAMS,
    kind=CHOOSER,
)
def ngrams(subject: ChooserSubject, draw: Draw) -> bool:
    generator = np.random.default_rng(draw(seeds))
    lengths = [*draw(st.tuples(*[st.integers(0, 9)] * 2)), 5, 8]
    rows = [generator.integers(0, 3, n).tolist() for n in lengths]
    logits = 2.0 * generator.standard_normal((len(rows), 5))  # 3 and 4 are never seen
    banned = np.zeros(logits.shape, bool)
    for size in (1, 2, 3, 4):
        got = subject.filtered(NGRAMS, logits, (rows, size))
        for row, seen in enumerate(rows):
            runs = [seen[i : i + size] for i in range(len(seen) - size + 1)]
            banned[row] = [[*seen, token][-size:] in runs for token in range(5)]
        expected = np.where(banned, -np.inf, logits)
        if not np.array_equal(expected, got):
            example = {"logits": logits, "seen": rows, "n": size}
            raise LawBroken("other tokens are ruled out", example, None, expected, got)
    return True


@law(
    "D8",
    "the end of a text is ruled out until there are so many new tokens, and nothing else is",
    "新词元不足时仅排除结束符",
    HELD,
    kind=CHOOSER,
)
def held(subject: ChooserSubject, draw: Draw) -> bool:
    logits = draw_logits(draw)
    if logits.shape[1] < 2:
        return False
    eos, least = draw(st.integers(0, logits.shape[1] - 1)), draw(st.integers(0, 4))
    counts = draw(st.lists(st.integers(0, 5), min_size=2, max_size=2))
    got = subject.filtered(HELD, logits, (counts, least, eos))
    expected = logits.copy()
    expected[np.array(counts) < least, eos] = -np.inf
    if not np.array_equal(expected, got):
        example = {"logits": logits, "new tokens": counts, "at least": least, "eos": eos}
        raise LawBroken("other tokens are ruled out", example, None, expected, got)
    return bool(min(counts) < least)


@law(
    "D9",
    "a sampler draws each token as often as it is probable, never one that is ruled out, and the "
    "same for the same seed",
    "采样频率等于概率, 从不取被排除者, 同种子同结果",
    SAMPLE,
    kind=CHOOSER,
    cost=5,
)
def sampler(subject: ChooserSubject, draw: Draw) -> bool:
    logits = draw_logits(draw)
    if logits.shape[1] > 1:
        logits[0, draw(st.integers(0, logits.shape[1] - 1))] = -np.inf
    share, first = np.exp(log_softmax(logits)), draw(seeds)
    example = {"logits": logits, "first seed": first}
    once, again = subject.sample(logits, first), subject.sample(logits, first)
    same = np.array_equal(once, again)
    expect_true(same, "two draws of one seed differ", example, [once, again])
    for row in range(2):
        one = logits[row : row + 1]
        drawn = [int(subject.sample(one, first + n)[0]) for n in range(DRAWS)]
        counts = np.bincount(drawn, minlength=logits.shape[1])
        never = counts[share[row] == 0.0].sum() == 0
        expect_true(never, f"row {row}: a token that is ruled out was drawn", example, counts)
        expected = DRAWS * share[row]
        far = abs(counts - expected) > 6.0 * np.sqrt(expected * (1.0 - share[row])) + 6.0
        if far.any():
            what = f"row {row}: {DRAWS} draws do not follow the probabilities"
            raise LawBroken(what, example, None, expected.round(1), counts)
    return bool(logits.shape[1] > 1)


def language(seed: int, size: int) -> NextLogits:
    """A model of texts: random logits for each text, the same whenever it is asked."""

    def next_logits(texts: Any) -> Array:
        rows = [np.random.default_rng([seed, *text]).standard_normal(size) for text in texts]
        return 2.0 * np.array(rows)

    return next_logits


@law(
    "D6",
    "beam search: as many beams as there are tokens find the best of all texts of two tokens; "
    "scores are those of the text, texts unique and sorted, none longer than asked; one beam is "
    "greedy",
    "束搜索: 束足够多即穷举, 分数可重算, 假设互异且有序, 长度不超; 一束即贪心",
    BEAM_SEARCH,
    kind=CHOOSER,
    cost=2,
)
def beams(subject: ChooserSubject, draw: Draw) -> bool:
    size, seed = draw(st.integers(3, 5)), draw(seeds)
    asked, eos = language(seed, size), draw(st.integers(0, size - 1))
    prompt = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    power = draw(st.sampled_from((1.0, 0.0))) if subject.penalised else 0.0
    given = {"eos": eos, "length_penalty": power}
    example: dict[str, Any] = {"language of seed": seed, "prompt": prompt, **given}

    def score(text: tuple[int, ...]) -> float:
        total = 0.0
        for n, token in enumerate(text):
            total += float(log_softmax(asked([[*prompt, *text[:n]]]))[0, token])
        return float(total / max(len(text), 1) ** power)

    def search(count: int, longest: int) -> Any:
        options = {"num_beams": count, "max_new_tokens": longest, **given}
        found = subject.search(asked, prompt, options)
        shown = {**example, "num_beams": count, "max_new_tokens": longest}
        expect_true(found, "nothing was found", shown, found)
        _check_texts(found, score, (eos, longest), shown)
        return found

    text: tuple[int, ...] = ()
    while len(text) < 3 and text[-1:] != (eos,):
        text = (*text, int(np.argmax(asked([[*prompt, *text]])[0])))
    if search(1, 3)[0][0] != text:
        raise LawBroken("one beam is not greedy", example, None, text, search(1, 3)[0][0])
    search(3, 4)
    texts = [(a, b) for a, b in itertools.product(range(size), repeat=2) if a != eos]
    best = max(map(score, [(eos,), *texts]))
    got = search(size, 2)[0]
    if abs(got[1] - best) > 1e-9:
        raise LawBroken(f"{size} beams do not find the best", example, None, best, got)
    return True


def _check_texts(found: Any, score: Any, limits: tuple[int, int], example: dict[str, Any]) -> None:
    texts, scores = [tokens for tokens, _ in found], [one for _, one in found]
    eos, longest = limits
    expect_true(len(set(texts)) == len(texts), "a text occurs twice", example, texts)
    expect_true(scores == sorted(scores, reverse=True), "not sorted", example, scores)
    for text, one in found:
        whole = 0 < len(text) <= longest and eos not in text[:-1]
        expect_true(whole, "a text goes on after its end, or is too long", example, text)
        if len(text) < longest and text[-1] != eos:
            raise LawBroken("a text that is not at its end was given", example, None, None, text)
        if abs(score(text) - one) > 1e-9:
            raise LawBroken(f"the score of {text}", example, None, score(text), one)
