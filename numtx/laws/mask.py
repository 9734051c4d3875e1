"""K1 to K5: who sees whom, asked of nothing but ids and logits. K6: what padding hides."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..shapes import Array
from ..subjects.logits import eps_of
from ..subjects.subject import LOGITS, MASK, MEMORY, STEP, Memory, Subject
from .hidden import beyond_reach, later_columns, padded_columns, padded_memory
from .law import ROUNDED, Draw, draw_ids, draw_mask, expect, law, moved, other_ids, unmoved
from .strategies import padding_masks

FINE = 1e-12  # eps of a type in which every effect is seen


@law(
    "K1",
    "tokens after t never move outputs at or before t",
    "t 之后的词元不影响 t 及之前的输出",
    LOGITS,
    exact=True,
    everywhere=True,
    hidden=later_columns,
)
def later_tokens(subject: Subject, draw: Draw) -> bool:
    if not subject.causal:
        return False
    ids = draw_ids(subject, draw, 2)
    t = draw(st.integers(0, ids.shape[1] - 2))
    other = ids.copy()
    other[:, t + 1 :] = other_ids(subject, draw, ids)[:, t + 1 :]
    example = {"ids": ids, "other": other, "t": t}
    before, after = subject.logits(ids)[:, : t + 1], subject.logits(other)[:, : t + 1]
    expect(subject, "a later token moved an output", before, after, example, exact=True)
    return True


@law(
    "K2",
    "in a chunk appended to a warm cache, tokens after t never move outputs at or before t",
    "追加到已有缓存的一段中, t 之后的词元不影响 t 及之前的输出",
    STEP,
    exact=True,
)
def later_tokens_of_a_chunk(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 3)
    warm = draw(st.integers(1, ids.shape[1] - 2))
    t = draw(st.integers(warm, ids.shape[1] - 2))
    other = ids.copy()
    other[:, t + 1 :] = other_ids(subject, draw, ids)[:, t + 1 :]
    found = []
    for tokens in (ids, other):
        _, state = subject.step(tokens[:, :warm])
        found.append(subject.step(tokens[:, warm:], state)[0])
    if found[0].shape[1] < ids.shape[1] - warm:
        return False  # logits of the last token only
    example = {"ids": ids, "other": other, "tokens in the cache": warm, "t": t}
    before, after = (logits[:, : t + 1 - warm] for logits in found)
    what = "a later token moved an output"
    expect(subject, what, before, after, example, exact=True, at=(0, warm))
    return True


@law(
    "K3",
    "a prefix alone gives what it gives within the whole: f(x[:t]) = f(x)[:t]",
    "单独的前缀与整体中的前缀结果相同",
    LOGITS,
)
def prefix(subject: Subject, draw: Draw) -> bool:
    if not subject.causal:
        return False
    ids = draw_ids(subject, draw, 2)
    t = draw(st.integers(1, ids.shape[1] - 1))
    whole, part = subject.logits(ids)[:, :t], subject.logits(ids[:, :t])
    expect(subject, "the prefix alone differs", whole, part, {"ids": ids, "t": t})
    return True


def _is_seen(subject: Subject, query: int, key: int) -> bool:
    far = min((n for n in (subject.reach, subject.visible) if n is not None), default=None)
    near = far is None or abs(query - key) <= far
    together = subject.chunk is None or query // subject.chunk == key // subject.chunk
    return near and together and (key <= query or not subject.causal)


@law(
    "K4",
    "every token within reach moves the output",
    "可达范围内的每个词元都影响输出",
    LOGITS,
)
def liveness(subject: Subject, draw: Draw) -> bool:
    """Of several other tokens one must move it: a single one may, rarely, change nothing."""
    ids = draw_ids(subject, draw, 1, near=True)
    key = draw(st.integers(0, ids.shape[1] - 1))
    before = subject.logits(ids)
    alive = np.zeros(ids.shape, bool)
    # In single precision a small effect may be lost but for the last bits, which none would leave.
    roundings = 0.0 if eps_of(before) > FINE else ROUNDED
    seen = np.array([_is_seen(subject, query, key) for query in range(ids.shape[1])])
    other, after = other_ids(subject, draw, ids)[:, key], []
    for change in range(3):
        changed = ids.copy()
        changed[:, key] = (other + change) % subject.vocabulary_size
        after.append(subject.logits(changed))
        alive |= moved(before, after[-1], roundings)
        if alive[:, seen].all():
            return True
    dead = ~alive & seen
    what = f"another token at {key} moved nothing at {dead.sum()} places that it reaches"
    example = {"ids": ids, "token": key}
    return unmoved(what, example, before, after, dead, roundings=roundings, each=True)


@law(
    "K5",
    "with a window w and L layers nothing beyond L(w-1) has an effect, and something at exactly "
    "that distance has",
    "窗口 w, L 层: 距离超过 L(w-1) 无影响, 恰为该距离有影响",
    LOGITS,
    exact=True,
    everywhere=True,
    hidden=beyond_reach,
)
def window(subject: Subject, draw: Draw) -> bool:
    """Under padding too, where it is said whether the reach counts columns or tokens."""
    reach = subject.reach
    if reach is None or reach + 2 > subject.longest:
        return False
    ids = draw_ids(subject, draw, reach + 2, near=True)
    mask = np.ones(ids.shape, bool)
    if MASK in subject.capabilities and subject.reach_by is not None:
        mask = draw_mask(subject, draw, *ids.shape)
    key = draw(st.integers(0, ids.shape[1] - reach - 2))
    _as_far_as_it_reaches(subject, draw, ids, mask, key)
    if not subject.causal:
        _as_far_as_it_reaches(subject, draw, ids, mask, ids.shape[1] - 1 - key, backwards=True)
    return True


def _as_far_as_it_reaches(
    subject: Subject, draw: Draw, ids: Array, mask: Array, key: int, backwards: bool = False
) -> None:
    """Another token at `key` moves nothing beyond the reach, and something at its end."""
    reach = subject.reach
    assert reach is not None
    other = ids.copy()
    other[:, key] = other_ids(subject, draw, ids)[:, key]
    given = None if mask.all() else mask
    before, after = subject.logits(ids, given), subject.logits(other, given)
    places = np.arange(ids.shape[1])[None].repeat(len(ids), 0)
    if subject.reach_by == "tokens":
        places = np.cumsum(mask, 1)
    away = places[:, [key]] - places if backwards else places - places[:, [key]]
    real = mask & mask[:, [key]]
    example = {"ids": ids, "other": other, "reach": reach}
    example |= {} if given is None else {"mask": mask}
    what = f"token {key} has an effect beyond its reach of {reach}"
    expect(subject, what, before, after, example, exact=True, real=real & (away > reach))
    seen = (subject.visible is None or reach <= subject.visible) and given is None
    exactly = away == reach
    if seen and not (moved(before, after) & exactly).any():
        what = f"token {key} has no effect at exactly its reach, {reach} places on"
        unmoved(what, example, before, [after], exactly)


@law(
    "K6",
    "ids under padding change nothing at real tokens",
    "填充处的 id 不影响真实词元",
    MASK,
    exact=True,
    everywhere=True,
    hidden=padded_columns,
)
def ids_under_padding(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2)
    mask = draw_mask(subject, draw, *ids.shape)
    if mask.all():
        return False
    other = np.where(mask, ids, other_ids(subject, draw, ids))
    before, after = subject.logits(ids, mask), subject.logits(other, mask)
    example = {"ids": ids, "other": other, "mask": mask}
    what = "what stands under padding moved a real token"
    expect(subject, what, before, after, example, exact=True, real=mask)
    return True


@law(
    "K6-memory",
    "ids under the padding of the memory change nothing",
    "编码器填充处的 id 不影响输出",
    MEMORY,
    exact=True,
    everywhere=True,
    hidden=padded_memory,
)
def ids_under_the_padding_of_the_memory(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 1)
    memory, other = _two_memories(subject, draw, len(ids))
    mask = draw(padding_masks(*memory.ids.shape))
    if mask.all():
        return False
    changed = np.where(mask, memory.ids, other.ids)
    before = subject.logits(ids, memory=Memory(memory.ids, mask))
    after = subject.logits(ids, memory=Memory(changed, mask))
    example = {"ids": ids, "memory": memory.ids, "other": changed, "memory's mask": mask}
    what = "what stands under the memory's padding moved an output"
    expect(subject, what, before, after, example, exact=True)
    return True


@law(
    "B5",
    "the memory's padding does not matter, and every token of the memory does",
    "编码器填充无影响, 而每个真实词元都有影响",
    MEMORY,
)
def memory_padding(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 1, near=True)
    memory, other = _two_memories(subject, draw, len(ids))
    length, room = memory.ids.shape[1], draw(st.integers(1, 3))
    long = np.concatenate([memory.ids, memory.ids[:, :1].repeat(room, 1)], 1)
    mask = np.ones(long.shape, bool)
    mask[:, length:] = False
    sides = [side for side in ("right", "left") if side in subject.paddings]
    if draw(st.sampled_from(sides or ["right"])) == "left":
        long, mask = np.roll(long, room, 1), np.roll(mask, room, 1)
    before = subject.logits(ids, memory=memory)
    padded = subject.logits(ids, memory=Memory(long, mask))
    example = {"ids": ids, "memory": memory.ids, "memory's mask": mask}
    expect(subject, "the memory's padding moved an output", before, padded, example)
    for key in range(length):
        changed = memory.ids.copy()
        changed[:, key] = other.ids[:, key]
        after = subject.logits(ids, memory=Memory(changed, memory.mask))
        dead = ~moved(before, after)
        if dead.any():
            what = f"token {key} of the memory moved nothing"
            unmoved(what, example, before, [after], dead, each=True)
    return True


def _two_memories(subject: Subject, draw: Draw, rows: int) -> tuple[Memory, Memory]:
    """Two memories that differ in every token."""
    memory = subject.new_memory(rows, draw(st.integers(2, 4)), draw(st.integers(0, 2**16)))
    assert memory is not None
    lowest = memory.ids.copy()
    other: Array = np.where(lowest > 0, lowest - 1, lowest + 1)
    return memory, Memory(other, memory.mask)
