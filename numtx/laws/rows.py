"""B1 to B4: rows and padding, of the memory too. B6: documents in a row. P3: order. R1: the same
call again."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..subjects.subject import DOCUMENTS, LOGITS, MASK, MEMORY, Memory, Subject
from .law import (
    Draw,
    alone,
    draw_ids,
    draw_mask,
    draw_rows,
    expect,
    law,
    moved,
    other_ids,
    seeds,
    unmoved,
)
from .strategies import padding_masks


@law(
    "R1",
    "the same call again gives the same logits, whatever was called between",
    "同样的调用得到同样的结果, 中间的调用无影响",
    LOGITS,
    exact=True,
)
def again(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    first = subject.logits(ids)
    subject.logits(draw_ids(subject, draw))
    example = {"ids": ids}
    second = subject.logits(ids)
    expect(subject, "a second call differs", first, second, example, exact=True)
    return True


@law(
    "B1",
    "other rows do not matter",
    "其他行无影响",
    LOGITS,
    exact=True,
)
def other_rows(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, rows=draw_rows(subject, draw, 2))
    row = draw(st.integers(0, len(ids) - 1))
    other = other_ids(subject, draw, ids)
    other[row] = ids[row]
    before, after = subject.logits(ids)[[row]], subject.logits(other)[[row]]
    example = {"ids": ids, "other": other, "row": row}
    what = f"other rows moved row {row}"
    expect(subject, what, before, after, example, exact=True, at=(row, 0))
    return len(ids) > 1


@law(
    "B1-mask",
    "the padding of other rows does not matter",
    "其他行的填充无影响",
    MASK,
    exact=True,
)
def padding_of_other_rows(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2, rows=draw_rows(subject, draw, 2))
    first, second = draw_mask(subject, draw, *ids.shape), draw_mask(subject, draw, *ids.shape)
    row = draw(st.integers(0, len(ids) - 1))
    second[row] = first[row]
    if (first == second).all():
        return False
    before, after = subject.logits(ids, first)[[row]], subject.logits(ids, second)[[row]]
    example = {"ids": ids, "mask": first, "other mask": second, "row": row}
    what = f"the padding of other rows moved row {row}"
    expect(subject, what, before, after, example, exact=True, real=first[[row]], at=(row, 0))
    return True


@law(
    "B1-memory",
    "the memory of other rows, and its padding, does not matter; its own does",
    "其他行的编码器输入及其填充无影响, 本行的有影响",
    MEMORY,
    exact=True,
)
def memory_of_other_rows(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, rows=draw_rows(subject, draw, 2))
    row = draw(st.integers(0, len(ids) - 1))
    memory, other = (_padded_memory(subject, draw, len(ids)) for _ in range(2))
    other.ids[row], other.mask[row] = memory.ids[row], memory.mask[row]
    first, second = (subject.logits(ids, memory=one) for one in (memory, other))
    example = {"ids": ids, "memory": memory.ids, "memory's mask": memory.mask, "row": row}
    example |= {"other": other.ids, "other mask": other.mask}
    what = f"the memory of other rows moved row {row}"
    expect(subject, what, first[[row]], second[[row]], example, exact=True)
    differ = ((memory.ids != other.ids) & memory.mask & other.mask).any(1)
    if differ.any() and not moved(first, second)[differ].any():
        one = np.zeros(ids.shape, bool)
        one[np.argmax(differ), -1] = True
        unmoved("another memory moved no row", example, first, [second], one)
    return bool(differ.any())


def _padded_memory(subject: Subject, draw: Draw, rows: int) -> Memory:
    memory = subject.new_memory(rows, 4, draw(seeds))
    assert memory is not None
    return Memory(memory.ids, draw(padding_masks(rows, 4)))


@law("B2", "permuting rows permutes the outputs", "行的次序改变, 输出随之改变", LOGITS)
def order_of_rows(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, rows=draw_rows(subject, draw, 2))
    order = np.array(draw(st.permutations(range(len(ids)))))
    if (order == np.arange(len(ids))).all():
        return False
    before, after = subject.logits(ids)[order], subject.logits(ids[order])
    expect(subject, "the outputs did not follow", before, after, {"ids": ids, "order": order})
    return True


@law(
    "B3",
    "left or right padding gives what no padding gives, the model deriving its own positions",
    "左填充或右填充与无填充相同, 位置由模型自行推出",
    MASK,
)
def padding(subject: Subject, draw: Draw) -> bool:
    most = subject.longest - 2
    sides = [side for side in ("left", "right") if side in subject.paddings]
    if most < 1 or not sides:
        return False
    ids = draw_ids(subject, draw)[:, :most]
    room, left = draw(st.integers(1, 2)), draw(st.sampled_from(sides)) == "left"
    wide = np.zeros((len(ids), ids.shape[1] + room), ids.dtype)
    mask = np.zeros(wide.shape, bool)
    place = slice(room, None) if left else slice(0, ids.shape[1])
    wide[:, place], mask[:, place] = ids, True
    short, long = subject.logits(ids), subject.logits(wide, mask)[:, place]
    example = {"ids": ids, "padded": wide, "mask": mask}
    where = "left" if left else "right"
    what = f"padding on the {where} changed the outputs"
    expect(subject, what, short, long, example, at=(0, place.start))
    return True


@law("B4", "a row alone gives what it gives in the batch", "单独一行与在批中相同", LOGITS)
def row_alone(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, rows=draw_rows(subject, draw, 2))
    row = draw(st.integers(0, len(ids) - 1))
    together, by_itself = subject.logits(ids)[[row]], alone(subject, ids[[row]])
    example = {"ids": ids, "row": row}
    expect(subject, f"row {row} alone differs", together, by_itself, example, at=(row, 0))
    return len(ids) > 1


@law(
    "B4-mask",
    "a padded row alone gives what it gives in the batch",
    "有填充的一行单独与在批中相同",
    MASK,
)
def padded_row_alone(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2, rows=draw_rows(subject, draw, 2))
    mask = draw_mask(subject, draw, *ids.shape)
    row = draw(st.integers(0, len(ids) - 1))
    together = subject.logits(ids, mask)[[row]]
    by_itself = alone(subject, ids[[row]], mask[[row]])
    example = {"ids": ids, "mask": mask, "row": row}
    what, real = f"row {row} alone differs", mask[[row]]
    expect(subject, what, together, by_itself, example, real=real, at=(row, 0))
    return len(ids) > 1 and not mask[row].all()


@law(
    "B6",
    "a document in a row gives what it gives alone, and sees nothing of the others",
    "一行中的一篇文档与单独时结果相同, 不见其他文档",
    DOCUMENTS,
)
def documents_in_a_row(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2)
    length = ids.shape[1]
    cuts = draw(st.lists(st.integers(1, length - 1), min_size=1, max_size=3, unique=True))
    documents = np.zeros(ids.shape, np.int64)
    for cut in cuts:
        documents[:, cut:] += 1
    row = draw(st.integers(0, len(ids) - 1))
    together = subject.in_documents(ids, documents)[[row]]
    for number in range(len(cuts) + 1):
        part = documents[row] == number
        by_itself, start = alone(subject, ids[[row]][:, part]), int(np.argmax(part))
        example = {"ids": ids, "documents": documents, "document": number}
        what, at = f"document {number} of row {row} alone differs", (row, start)
        expect(subject, what, together[:, part], by_itself, example, at=at)
    return True


@law(
    "B4-memory",
    "a row alone gives what it gives in the batch, with a padded memory",
    "编码器输入有填充的一行单独与在批中相同",
    MASK,
    MEMORY,
)
def row_with_memory_alone(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, rows=draw_rows(subject, draw, 2))
    mask = draw_mask(subject, draw, *ids.shape)
    row = draw(st.integers(0, len(ids) - 1))
    memory = _padded_memory(subject, draw, len(ids))
    together = subject.logits(ids, mask, memory)[[row]]
    one = Memory(memory.ids[[row]], memory.mask[[row]])
    by_itself = alone(subject, ids[[row]], mask[[row]], one)
    example = {"ids": ids, "mask": mask, "memory": memory.ids, "memory's mask": memory.mask}
    what = f"row {row} alone differs"
    expect(subject, what, together, by_itself, {**example, "row": row}, real=mask[[row]])
    return not memory.mask[row].all()


@law(
    "P3",
    "swapping two different past tokens changes the output",
    "交换两个不同的过去词元会改变输出",
    LOGITS,
)
def order_of_tokens(subject: Subject, draw: Draw) -> bool:
    """Two tokens next to one another, next to the last: both within any window's reach. Of several
    pairs one must move it: small weights lose the order of some in rounding."""
    if not subject.ordered or subject.longest < 3 or subject.reach in (0, 1):
        return False
    ids = draw_ids(subject, draw, 3, near=True)
    last = ids.shape[1] - 1
    if subject.chunk is not None and last // subject.chunk != (last - 2) // subject.chunk:
        return False
    step, alive = draw(st.integers(0, 100)), np.zeros((len(ids), 1), bool)
    for change in range(3):
        step = 1 + (step + change) % (min(7, subject.vocabulary_size) - 1)
        ids[:, -2] = (ids[:, -3] + step) % subject.vocabulary_size
        other = ids.copy()
        other[:, [-3, -2]] = ids[:, [-2, -3]]
        before, after = subject.logits(ids)[:, -1:], subject.logits(other)[:, -1:]
        alive |= moved(before, after, 256.0)
        if alive.all():
            return True
    what = "the order of two tokens changed nothing; ordered=False where it has none by nature"
    example = {"ids": ids, "other": other}
    return unmoved(what, example, before, [after], ~alive, roundings=256.0)
