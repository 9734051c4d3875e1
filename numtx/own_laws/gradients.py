"""G1 to G4: gradients. B2-grad, B3-grad, K6-grad: what does not change them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .. import model
from ..batch import Batch
from ..config import Config
from ..head import tied_name
from ..laws.law import Draw, LawBroken, expect, expect_true, law, seeds, tolerance_of
from ..models import parameters_of
from ..ops.loss import IGNORED
from ..shapes import Array
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import attentions, expect_gradients, labelled, prefixes, rows_of

H = 1e-5
TOGETHER = 8  # tensors whose slopes are taken in one; where they differ, one by one


@law(
    "G1",
    "every gradient is the slope of the loss, along random directions",
    "梯度等于损失沿随机方向的斜率",
    NUMTX,
    cost=5,
)
def slopes(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    own = subject.parameters
    factor = 0.7
    gradients = subject.record(batch, cotangent=factor).gradients
    # A difference over a step of H needs float64, whatever the type of the gradients.
    own = {n: a.astype(np.float64) for n, a in own.items()}
    fine = subject.with_(own, dtype="float64").config
    limit = max(1e-7, tolerance_of(subject, next(iter(subject.parameters.values()))))
    generator = np.random.default_rng(draw(seeds))
    along = {name: generator.standard_normal(tensor.shape) for name, tensor in own.items()}
    for direction in along.values():  # a step of length H in each, whatever the size
        direction /= math.sqrt(float((direction * direction).sum()))

    def wrong(names: list[str]) -> tuple[float, float] | None:
        """The slope along the directions of some tensors together, where the gradients differ."""
        ends = [
            _loss(fine, own | {name: own[name] + step * along[name] for name in names}, batch)
            for step in (H, -H)
        ]
        slope = factor * (ends[0] - ends[1]) / (2.0 * H)
        got = sum(float((gradients[f"parameters/{name}"] * along[name]).sum()) for name in names)
        return None if abs(slope - got) <= limit * max(1.0, abs(slope)) else (slope, got)

    names = list(own)
    for together in (names[n : n + TOGETHER] for n in range(0, len(names), TOGETHER)):
        if (found := wrong(together)) is not None:
            alone = {name: wrong([name]) for name in together}
            name, both = next(
                ((n, one) for n, one in alone.items() if one), (" + ".join(together), found)
            )
            raise LawBroken(f"gradient of {name}", example, None, *both)
    return True


def _loss(config: Config, parameters: dict[str, Array], batch: Batch) -> float:
    loss = model.forward(config, parameters, batch)[0].loss
    assert loss is not None  # there are labels
    return float(loss)


@law(
    "G2",
    "gradients to keys and values that no query attends to are exactly 0, and to masked scores; "
    "those that a query can choose between have one",
    "无人关注的键与值, 以及被遮蔽的分数, 梯度恰为 0; 可供选择的键与值有梯度",
    NUMTX,
)
def dead_keys(subject: NumtxSubject, draw: Draw) -> bool:
    """A query chooses where it sees different values, and its context has a gradient."""
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch)
    hidden = 0
    for place in attentions(trace):
        seen = trace[f"{place}.mask"]
        dead = ~seen.any((1, 2))
        hidden += int((~seen).sum())
        counts = (trace.grad(f"{place}.context") != 0.0).any(-1)
        values = trace[f"{place}.values"]
        values = values.repeat(counts.shape[1] // values.shape[1], 1)[:, :, None]
        least, most = (np.where(seen[..., None], values, far) for far in (np.inf, -np.inf))
        several = (least.min(-2) < most.max(-2)).any(-1)
        for leaf in ("values", "keys", "rotated_keys", "normed_keys", "full_keys"):
            if f"{place}.{leaf}" not in trace:
                continue
            gradient = trace.grad(f"{place}.{leaf}").swapaxes(1, 2)
            what = f"{place}.{leaf} has a gradient where nobody looks"
            expect_true((gradient[dead] == 0.0).all(), what, example)
            chosen = counts & (seen.any(-1) if leaf == "values" else several)
            alive = (gradient != 0.0).any() or not chosen.any()
            expect_true(alive, f"{place}.{leaf} has no gradient at all", example)
            few = leaf != "values" and f"{place}.sinks" not in subject.parameters
            alone = few and not (counts & (seen.sum(-1) > 1)).any()  # a sink is a choice too
            none = (gradient == 0.0).all() or not alone
            expect_true(none, f"{place}.{leaf} has a gradient, and a choice of one", example)
        for leaf in ("scores", "masked_scores", "products"):
            zero = (trace.grad(f"{place}.{leaf}")[~seen] == 0.0).all()
            expect_true(zero, f"{place}.{leaf} has a gradient where it is masked", example)
    return hidden > 0


@law(
    "G2-later",
    "a loss at one token has a gradient there and before, and exactly none at later tokens",
    "某一词元处的损失只对该处及之前有梯度, 对之后的词元恰为 0",
    NUMTX,
)
def later_gradients(subject: NumtxSubject, draw: Draw) -> bool:
    if not subject.causal:
        return False
    batch, example, _, labels = labelled(subject, draw, padded=False, ignored=False)
    t = draw(st.integers(0, labels.shape[1] - 2))
    labels = np.where(np.arange(labels.shape[1]) == t, labels, IGNORED)
    trace, example = subject.record(replace(batch, labels=labels)), {**example, "t": t}
    for name in (name for name in trace.gradients if name.startswith("decoder")):
        leaf = name.rpartition(".")[2]
        if name == "decoder.input" or (".self_" in name and leaf in ("keys", "values")):
            gradient = np.moveaxis(trace.grad(name), -2, 0)
            expect_true((gradient[t + 1 :] == 0.0).all(), f"{name} has a gradient later", example)
            alive = leaf == "keys" or (gradient[: t + 1] != 0.0).any()  # (of the keys: G2)
            expect_true(alive, f"{name} has no gradient", example)
    return True


@law(
    "G3",
    "a parameter that is used twice sums the gradients of both uses: of a tied output, and of a "
    "table of words for both stacks",
    "被使用两次的参数, 梯度为两条路径之和: 共享输出, 以及两侧共用的词表",
    NUMTX,
)
def shared(subject: NumtxSubject, draw: Draw) -> bool:
    """A tied output beside an output of its own with the same numbers; then two tables."""
    tied = subject.with_(parameters_of(subject.with_(tied_output=True).config), tied_output=True)
    free = subject.with_(tied_output=False)
    name = tied_name(tied.config)
    untied = {**tied.parameters, "output.w": tied.parameters[name].T.copy()}
    batch, example, _, _ = labelled(subject, draw)
    first, second = tied.record(batch), free.with_(untied).record(batch)
    expect(subject, "logits differ", second["logits"], first["logits"], example)
    paths = second.grad(f"parameters/{name}") + second.grad("parameters/output.w").T
    got = first.grad(f"parameters/{name}")
    expect(subject, f"gradient of {name}", paths[None], got[None], example)
    if name != "embedding":
        return True
    one, run = (tied, first) if draw(st.booleans()) else (free.with_(untied), second)
    tables = [f"{side}.embedding" for side in one.config.sides]
    own = {**one.parameters, **dict.fromkeys(tables, one.parameters[name])}
    del own[name]
    apart = one.with_(own, source_vocabulary=one.config.vocabulary).record(batch)
    expect(subject, "logits differ", apart["logits"], run["logits"], example, exact=True)
    both = [apart.grad(f"parameters/{table}") for table in tables]
    for table, path in zip(tables, both, strict=True):  # a stage has the name of its table
        alive = path.any() or not apart.grad(table).any()
        expect_true(alive, f"{table} has no gradient", example)
    got = run.grad(f"parameters/{name}")
    expect(subject, "gradient of the table of both stacks", np.add(*both)[None], got[None], example)
    return True


@law(
    "G4",
    "the gradient of a word that does not occur is exactly 0, unless it is of the output too; then "
    "every word has one",
    "未出现的词, 梯度恰为 0; 若词表兼作输出, 则每个词都有梯度",
    NUMTX,
)
def words_that_do_not_occur(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    trace, config = subject.record(batch), subject.config
    occur: dict[str, Any] = {}
    reached = set()
    for prefix, side in prefixes(subject).items():
        name = "embedding" if config.shared_embedding else f"{side}.embedding"
        occur.setdefault(name, []).append(getattr(batch, f"{prefix}ids").ravel())
        reached |= {name} if trace.grad(f"{side}.embedding").any() else set()
    found = False
    for name, ids in occur.items():
        gradient = trace.grad(f"parameters/{name}")
        absent = np.setdiff1d(np.arange(len(gradient)), np.concatenate(ids))
        has = (gradient != 0.0).any(-1)
        expect_true(has.any() or name not in reached, f"{name} has no gradient", example)
        if config.tied_output and name == tied_name(config):
            expect_true(has.all(), f"a word of {name} has no gradient", example, ~has)
        else:
            expect_true(not has[absent].any(), f"{name}: a word that is not there", example, has)
        found = found or absent.size > 0
    return found


@law(
    "B2-grad",
    "permuting rows, of every stack, changes neither the loss nor a gradient",
    "各侧行的次序改变, 损失与梯度不变",
    NUMTX,
)
def order_of_rows(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, mask, _ = labelled(subject, draw)
    order = np.array(draw(st.permutations(range(len(mask)))))
    if (order == np.arange(len(order))).all():
        return False
    first, second = subject.record(batch), subject.record(rows_of(batch, order))
    example = {**example, "order": order}
    before, after = first["logits"][order], second["logits"]
    expect(subject, "the outputs did not follow", before, after, example, real=mask[order])
    expect_gradients(subject, "the order of rows", (first, second), example)
    return True


@law(
    "B3-grad",
    "left or right padding, of every stack, changes neither the loss nor a gradient",
    "各侧左填充或右填充, 损失与梯度不变",
    NUMTX,
)
def padding(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, mask, _ = labelled(subject, draw, padded=False)
    length = mask.shape[1]
    if subject.longest < length + 2:
        return False
    room, left = draw(st.integers(1, 2)), draw(st.booleans())
    wide = {}
    for name, array in vars(batch).items():
        if array is not None:
            filler = np.full((len(array), room), IGNORED if name == "labels" else 0, array.dtype)
            wide[name] = np.concatenate((filler, array) if left else (array, filler), 1)
    for prefix in prefixes(subject):
        real = np.ones(getattr(batch, f"{prefix}ids").shape, bool)
        filler = np.zeros((len(real), room), bool)
        wide[f"{prefix}mask"] = np.concatenate((filler, real) if left else (real, filler), 1)
    first, second = subject.record(batch), subject.record(Batch(**wide))
    where = f"padding on the {'left' if left else 'right'}"
    place = slice(room, None) if left else slice(0, length)
    after = second["logits"][:, place]
    expect(subject, f"{where} changed the outputs", first["logits"], after, example)
    expect_gradients(subject, where, (first, second), example)
    return True


@law(
    "K6-grad",
    "ids under the padding of every stack change neither the loss nor a gradient",
    "各侧填充处的 id 不影响损失与梯度",
    NUMTX,
    exact=True,
)
def ids_under_padding(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, mask, labels = labelled(subject, draw)
    batch = replace(batch, labels=np.where(mask, labels, IGNORED))
    other, hidden = {}, False
    for prefix, side in prefixes(subject).items():
        ids, real = getattr(batch, f"{prefix}ids"), getattr(batch, f"{prefix}mask")
        steps = draw(st.integers(1, subject.config.vocabulary_of(side) - 1))
        changed = (ids + steps) % subject.config.vocabulary_of(side)
        other[f"{prefix}ids"] = np.where(real, ids, changed)
        hidden = hidden or not real.all()
    if not hidden:
        return False
    first, second = subject.record(batch), subject.record(replace(batch, **other))
    example = {**example, **{f"other {name}": array for name, array in other.items()}}
    before, after = first["logits"], second["logits"]
    what = "what stands under padding"
    expect(subject, f"{what} moved a real token", before, after, example, exact=True, real=mask)
    expect_gradients(subject, what, (first, second), example, exact=True)
    return True
