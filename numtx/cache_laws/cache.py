"""C1 to C8 and C11: a cache changes no logit, whatever is done to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.law import (
    Draw,
    alone,
    draw_ids,
    draw_mask,
    draw_rows,
    expect,
    expect_true,
    law,
    seeds,
)
from ..laws.strategies import cache_scripts, chunkings, earlier_requests
from ..shapes import Array
from ..subjects.subject import (
    FORK,
    LENGTHS,
    MASK,
    NUMTX,
    REORDER,
    RESET,
    STEP,
    STEP_MASK,
    TRUNCATE,
    Subject,
)
from .bench import Bench, kinds_of, largest_of


def in_chunks(
    subject: Subject, ids: Array, chunks: tuple[int, ...], mask: Array | None = None
) -> tuple[list[tuple[slice, Array]], Any]:
    """The logits of each chunk, with the columns that they stand for, and the last state."""
    state, found, start = None, [], 0
    for length in chunks:
        part = slice(start, start + length)
        given = None if mask is None else mask[:, part]
        logits, state = subject.step(ids[:, part], state, given)
        found.append((slice(start + length - logits.shape[1], start + length), logits))
        start += length
    return found, state


@law(
    "C1",
    "a prompt in any chunks gives what one full pass gives, at all positions",
    "提示任意分段与一次通过结果相同",
    STEP,
)
def chunked(subject: Subject, draw: Draw) -> bool:
    """Of a model of others, after requests that a store of prefixes may take for this one."""
    ids = draw_ids(subject, draw)
    chunks = draw(chunkings(ids.shape[1]))
    whole = subject.logits(ids)
    asked: list[Array] = []
    if NUMTX not in subject.capabilities and draw(st.booleans()):
        asked = earlier_requests(ids, subject.vocabulary_size)
        chunks = draw(st.sampled_from(((ids.shape[1],), chunks)))
    for request in asked:
        subject.step(request)
    for part, logits in in_chunks(subject, ids, chunks)[0]:
        example = {"ids": ids, "chunks": chunks, "chunk at": part.start}
        example |= {f"asked before, {n + 1}": request for n, request in enumerate(asked)}
        what, at = "chunks differ from the full pass", (0, part.start)
        expect(subject, what, whole[:, part], logits, example, at=at)
    return True


@law(
    "C2",
    "rows of different lengths, padded in any chunk, give what one full pass gives",
    "各行长度不同, 任一段含填充, 与一次通过结果相同",
    MASK,
    STEP,
    STEP_MASK,
)
def ragged(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2, rows=draw_rows(subject, draw, 2))
    mask = draw_mask(subject, draw, *ids.shape)
    chunks = draw(chunkings(ids.shape[1]))
    if mask.all():
        return False
    while not mask[:, : chunks[0]].any(1).all():  # a prefill holds something of every row
        chunks = (chunks[0] + chunks[1], *chunks[2:])
    whole = subject.logits(ids, mask)
    for part, logits in in_chunks(subject, ids, chunks, mask)[0]:
        example = {"ids": ids, "mask": mask, "chunks": chunks, "chunk at": part.start}
        what, real, at = "padded chunks differ from the full pass", mask[:, part], (0, part.start)
        expect(subject, what, whole[:, part], logits, example, real=real, at=at)
    return True


def _halves(subject: Subject, draw: Draw) -> tuple[Array, Array, Any]:
    """Tokens, more tokens, and the state after the first."""
    ids = draw_ids(subject, draw, 2)
    cut = draw(st.integers(1, ids.shape[1] - 1))
    _, state = subject.step(ids[:, :cut])
    return ids[:, :cut], ids[:, cut:], state


@law(
    "C3", "a fork is independent of what it was forked from", "分叉相互独立", STEP, FORK, exact=True
)
def fork(subject: Subject, draw: Draw) -> bool:
    """Both go on by turns, twice: a shared memory shows when one comes back to it.

    The last token comes by itself, as in decode, so that there is room left to write into.
    """
    ids = draw_ids(subject, draw, min(5, subject.longest))
    length = ids.shape[1] - 2
    if length < 1:
        return False
    mine, other = ids[:, length:], (ids[:, length:] + 1) % subject.vocabulary_size

    def warm() -> Any:
        return in_chunks(subject, ids[:, :length], (length - 1, 1) if length > 1 else (1,))[1]

    expected = {}
    for on_fork, tokens in ((True, other), (False, mine)):
        alone = warm()
        for turn in (0, 1):
            logits, alone = subject.step(tokens[:, turn : turn + 1], alone)
            expected[on_fork, turn] = logits
    state = warm()
    states = {True: subject.fork(state), False: state}
    fork_first = draw(st.booleans())
    example = {"ids": ids[:, :length], "then": mine, "then in the fork": other}
    for turn in (0, 1):
        for on_fork in (fork_first, not fork_first):
            tokens = (other if on_fork else mine)[:, turn : turn + 1]
            got, states[on_fork] = subject.step(tokens, states[on_fork])
            what = f"{'the fork' if on_fork else 'what was forked'} differs in turn {turn + 1}"
            expect(subject, what, expected[on_fork, turn], got, example, exact=True)
    return True


@law(
    "C4",
    "truncate is as if the rest had never been appended, row by row",
    "截断等同于从未追加, 逐行成立",
    STEP,
    TRUNCATE,
)
def truncate(subject: Subject, draw: Draw) -> bool:
    first, more, state = _halves(subject, draw)
    cut = first.shape[1]
    lengths = [cut] * len(first)
    if subject.ragged and subject.holes:
        lengths = [draw(st.integers(1, cut)) for _ in lengths]
    _, state = subject.step(more, state)
    state = subject.truncate(state, lengths)
    new = (more[:, :1] + 1) % subject.vocabulary_size
    got, _ = subject.step(new, state)
    example = {"ids": first, "appended": more, "truncated to": lengths, "next": new}
    for row, length in enumerate(lengths):
        whole = np.concatenate([first[row, :length], new[row]])[None]
        expected = alone(subject, whole)[:, -1:]
        what = f"row {row} remembers what was cut, or forgot what was not"
        expect(subject, what, expected, got[[row], -1:], example, at=(row, length))
    return True


@law(
    "C5",
    "reorder gathers rows: keys, values, positions and masks, in every layer",
    "重排即按行取出键, 值, 位置与掩码, 每层都如此",
    STEP,
    REORDER,
)
def reorder(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 3, draw_rows(subject, draw, 2))
    cut = draw(st.integers(1, ids.shape[1] - 1))
    rows, first, more = len(ids), ids[:, :cut], ids[:, cut:]
    mask = np.ones(first.shape, bool)
    if subject.ragged:
        mask = draw_mask(subject, draw, *first.shape)
    given = None if mask.all() else mask
    least, most = (subject.fixed_rows,) * 2 if subject.fixed_rows else (1, 4)
    index = draw(st.lists(st.integers(0, rows - 1), min_size=least, max_size=most))
    if index == list(range(rows)):
        return False
    _, state = subject.step(first, None, given)
    state = subject.reorder(state, index)
    more = more[np.arange(len(index)) % rows]
    got, _ = subject.step(more, state)
    whole = np.concatenate([first[index], more], 1)
    seen = np.concatenate([mask[index], np.ones(more.shape, bool)], 1)
    expected = subject.logits(whole, None if given is None else seen)[:, cut:]
    example = {"ids": first, "mask": mask, "index": index, "next": more}
    expect(subject, "the rows were not gathered", expected, got, example, at=(0, cut))
    return True


@law(
    "C6",
    "the length counts the tokens, and a reset cache is empty",
    "长度等于词元数, 重置后为空",
    STEP,
    LENGTHS,
    RESET,
)
def lengths(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2)
    cut = draw(st.integers(1, ids.shape[1] - 1))
    first, more = ids[:, :cut], ids[:, cut:]
    memory, other = (subject.new_memory(len(ids), 3, draw(seeds) + n) for n in range(2))
    _, state = subject.step(first, None, None, memory)
    example = {"ids": first, "appended": more}
    got = subject.lengths(state)
    held = [first.shape[1]] * len(first)
    expect_true(got == held, "the length is wrong", example, got, held)
    _, state = subject.step(more, state)
    got = subject.lengths(state)
    held = [ids.shape[1]] * len(first)
    expect_true(got == held, "the length after a step is wrong", example, got, held)
    state = subject.reset(state)
    got = subject.lengths(state)
    empty = [0] * len(first)
    expect_true(not any(got), "a cache that was reset has a length", example, got, empty)
    fresh, _ = subject.step(more, None, None, other)
    after, state = subject.step(more, state, None, other)
    expect(subject, "a cache that was reset remembers", fresh, after, example, exact=True)
    return True


@law(
    "C8",
    "a cached call never alters a later uncached one",
    "使用缓存的调用不影响之后的无缓存调用",
    STEP,
    exact=True,
)
def uncached_after(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    other = draw_ids(subject, draw)
    before = subject.logits(ids)
    in_chunks(subject, other, draw(chunkings(other.shape[1])))
    after = subject.logits(ids)
    example = {"ids": ids, "cached call": other}
    expect(subject, "an uncached call changed", before, after, example, exact=True)
    return True


@law(
    "C11",
    "whatever is done to caches, one more token gives what the whole text gives without a cache",
    "无论对缓存做什么, 下一个词元与全文无缓存时相同",
    STEP,
    FORK,
    cost=3,
)
def scripts(subject: Subject, draw: Draw) -> bool:
    bench = Bench(subject, draw_rows(subject, draw))
    script = draw(cache_scripts(kinds_of(subject), largest=largest_of(subject)))
    done = [bench.do(action) for action in script]
    return sum(done) > 1
