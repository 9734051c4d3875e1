"""D1 to D4, D6 to D8: the filters before a choice, beam search, and what may not come."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..decoding import filters
from ..decoding.beam import beam_search
from ..decoding.generate import generate
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law, seeds, tolerance_of
from ..operator_laws import choosing
from ..operators.chooser import chooser
from ..ops.softmax import softmax_forward
from ..shapes import Array
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX, STEP


def draw_logits(draw: Draw) -> Array:
    """[2, V] of either sign, some of them equal."""
    generator = np.random.default_rng(draw(seeds))
    logits = 2.0 * generator.standard_normal((2, draw(st.integers(1, 9))))
    return logits.round(0) if draw(st.booleans()) else logits


@law(
    "D1",
    "top-k keeps exactly min(k, V) tokens, the largest, ties by id",
    "top-k 恰保留 min(k, V) 个最大者, 相等时按 id",
    NUMTX,
    once=True,
)
def top_k(subject: NumtxSubject, draw: Draw) -> bool:
    logits, k = draw_logits(draw), draw(st.integers(1, 10))
    got = filters.keep_top_k(logits, k)
    for row, kept in zip(logits, got, strict=True):
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
        expected = np.array([row[i] if i in order else -np.inf for i in range(len(row))])
        same = np.array_equal(expected, kept)
        expect_true(same, f"top-k with k = {k}", {"logits": row}, kept)
    return bool(k < logits.shape[1])


@law(
    "D2",
    "top-p keeps the smallest set whose mass reaches p, the token that crosses it included, never "
    "nothing; p = 1 is the identity",
    "top-p 保留累计概率达到 p 的最小集合, 含越过者, 从不为空; p = 1 不变",
    NUMTX,
    once=True,
)
def top_p(subject: NumtxSubject, draw: Draw) -> bool:
    logits, p = draw_logits(draw), draw(st.sampled_from([1e-9, 0.1, 0.35, 0.5, 0.8, 0.99, 1.0]))
    got = filters.keep_top_p(logits, p)
    for row, kept in zip(logits, got, strict=True):
        share = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        mass, chosen = 0.0, []
        for i in order:
            if mass >= p and p < 1.0:
                break
            chosen.append(i)
            mass += share[i]
        sure = all(abs(math.fsum(share[order[:n]]) - p) > 1e-12 for n in range(1, len(order)))
        same = sorted(chosen) == np.flatnonzero(np.isfinite(kept)).tolist()
        expect_true(same or not sure, f"top-p with p = {p}", {"logits": row}, kept)
    return True


@law(
    "D3",
    "temperature 1 is the identity, any keeps the order, and towards 0 it is greedy",
    "温度 1 不变, 任何温度保持次序, 趋于 0 即贪心",
    NUMTX,
    once=True,
)
def temperature(subject: NumtxSubject, draw: Draw) -> bool:
    logits, warmth = draw_logits(draw), draw(st.sampled_from([0.25, 0.5, 2.0, 8.0]))
    example = {"logits": logits, "temperature": warmth}
    same = filters.temper(logits, 1.0)
    expect(subject, "temperature 1 changes logits", logits, same, example, exact=True)
    got = filters.temper(logits, warmth)
    expect(subject, "not divided by the temperature", logits / warmth, got, example)
    cold = softmax_forward(filters.temper(logits, 1e-6))
    largest = cold[logits == logits.max(-1, keepdims=True)]
    expect_true((largest > 0.0).all(), "cold, and not greedy", example, cold)
    frozen = filters.temper(logits, 0.0)
    greedy = np.isfinite(frozen).argmax(-1) == logits.argmax(-1)
    expect_true(greedy.all(), "temperature 0 is not greedy", example, frozen)
    return True


@law(
    "D4",
    "a repetition penalty never raises a seen token, counts a token once, and leaves others; 1 is "
    "the identity",
    "重复惩罚不抬高已见词元, 每个词元只计一次, 不动其他; 1 不变",
    NUMTX,
    once=True,
)
def penalty(subject: NumtxSubject, draw: Draw) -> bool:
    logits, size = draw_logits(draw), draw(st.sampled_from([1.0, 1.3, 2.0]))
    generator = np.random.default_rng(draw(seeds))
    rows = [generator.integers(0, logits.shape[1], n).tolist() for n in (3, 5)]
    example = {"logits": logits, "seen": rows, "penalty": size}
    got = filters.penalise_repetition(logits, rows, size)
    for row, seen in enumerate(rows):
        expected = logits[row].copy()
        for token in set(seen):
            old = logits[row, token]
            expected[token] = old / size if old > 0 else old * size
        expect(subject, "the penalty differs", expected[None], got[[row]], example)
        lower = (got[row] <= logits[row]).all()
        expect_true(lower, "the penalty raised a token", example, got[row])
    return bool(size > 1.0)


@law(
    "D7",
    "no_repeat_ngram_size rules out exactly the tokens that would make a run of so many tokens a "
    "second time",
    "no_repeat_ngram_size 恰排除会使某 n 元组再次出现的词元",
    NUMTX,
    once=True,
)
def ngrams(subject: NumtxSubject, draw: Draw) -> bool:
    return choosing.ngrams(chooser(no_repeat_ngram=filters.ban_repeated_ngrams), draw)


@law(
    "D8",
    "the first min_new_tokens tokens of a row do not end it, and a row that they would not have "
    "ended is as it was",
    "前 min_new_tokens 个新词元不结束一行; 本不会结束的行不变",
    NUMTX,
    STEP,
)
def held(subject: NumtxSubject, draw: Draw) -> bool:
    most = 4
    ids = draw_ids(subject, draw, 1, 2)[:, : max(1, subject.longest - most)]
    eos, least = draw(st.integers(0, subject.vocabulary_size - 1)), draw(st.integers(1, most))
    own, options = (subject.config, subject.parameters), {"max_new_tokens": most, "eos": eos}
    free = generate(*own, subject.batch(ids), **options).new
    if draw(st.booleans()):  # an end that would come
        options["eos"] = eos = free[0][0]
        free = generate(*own, subject.batch(ids), **options).new
    found = generate(*own, subject.batch(ids), min_new_tokens=least, **options).new
    example = {"ids": ids, "eos": eos, "min_new_tokens": least}
    for before, after in zip(free, found, strict=True):
        early = len(after) < least or eos in after[:least]
        expect_true(not early, "a row ended before its time", example, after)
        if eos not in before[:least] and before != after:
            raise LawBroken("a row was changed", example, None, before, after)
    return any(eos in row[:least] for row in free)


@law(
    "D6",
    "beam search: as many beams as there are texts find the best of all; its scores are those of "
    "the whole text, hypotheses unique and sorted; one beam is greedy",
    "束搜索: 束足够多即穷举, 分数可重算, 假设互异且有序; 一束即贪心",
    NUMTX,
    STEP,
    cost=10,
)
def beams(subject: NumtxSubject, draw: Draw) -> bool:
    if subject.vocabulary_size > 20:
        return False  # too many texts
    ids = draw_ids(subject, draw, 1, 2)[:, : max(1, subject.longest - 3)]
    own = subject.config, subject.parameters
    power, size = draw(st.sampled_from([1.0, 0.0])), subject.vocabulary_size
    eos = draw(st.integers(0, size - 1))
    batch = subject.batch(ids)
    one = beam_search(*own, batch, max_new_tokens=3, num_beams=1, eos=eos)
    greedy = generate(*own, batch, max_new_tokens=3, eos=eos)
    first = [list(found[0].tokens) for found in one.hypotheses]
    example: dict[str, Any] = {"ids": ids, "eos": eos, "length penalty": power}
    if first != greedy.new:
        raise LawBroken("one beam is not greedy", example, None, greedy.new, first)
    few = beam_search(*own, batch, max_new_tokens=3, num_beams=3, eos=eos, length_penalty=power)
    many = beam_search(*own, batch, max_new_tokens=2, num_beams=size, eos=eos, length_penalty=power)
    for row in range(len(ids)):
        for found in (few.hypotheses[row], many.hypotheses[row]):
            _check_texts(subject, ids[row], found, power, example)
        best, got = max(_scores(subject, ids[row], eos, power)), many.hypotheses[row][0].score
        if not abs(best - got) <= _limit(subject, best):
            raise LawBroken(f"row {row}: not the best", example, None, best, got)
    return True


def _check_texts(
    subject: NumtxSubject, prompt: Array, found: Any, power: float, example: dict[str, Any]
) -> None:
    texts, scores = [one.tokens for one in found], [one.score for one in found]
    expect_true(len(set(texts)) == len(texts), "a text occurs twice", example, texts)
    expect_true(scores == sorted(scores, reverse=True), "not sorted", example, scores)
    for one in found[:3]:
        score = _score(subject, prompt, one.tokens, power)
        if not abs(score - one.score) <= _limit(subject, score):
            raise LawBroken(f"the score of {one.tokens}", example, None, score, one.score)


def _limit(subject: NumtxSubject, score: float) -> float:
    """How far two ways to a score may lie apart: a sum of some logarithms, each of a whole run."""
    return (
        10.0 * tolerance_of(subject, next(iter(subject.parameters.values()))) * max(1.0, abs(score))
    )


def _score(subject: NumtxSubject, prompt: Array, text: tuple[int, ...], power: float) -> float:
    whole = np.concatenate([prompt, text])[None]
    logits = subject.logits(whole)[0, len(prompt) - 1 : -1].astype(np.float64)
    logs = logits - logits.max(-1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(-1, keepdims=True))
    total = math.fsum(logs[t, token] for t, token in enumerate(text))
    return float(total / len(text) ** power)


def _scores(subject: NumtxSubject, prompt: Array, eos: int, power: float) -> list[float]:
    """Of every text of at most two tokens that ends, or uses up the length."""
    words = range(subject.vocabulary_size)
    texts = [(a, b) for a, b in itertools.product(words, words) if a != eos]
    logits = subject.logits(np.array([[*prompt, *text] for text in texts])).astype(np.float64)
    logs = logits - logits.max(-1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(-1, keepdims=True))
    n = len(prompt)
    found = [
        float(logs[i, n - 1, a] + logs[i, n, b]) / 2.0**power for i, (a, b) in enumerate(texts)
    ]
    return [float(logs[0, n - 1, eos]), *found]
