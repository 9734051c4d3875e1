"""V12 to V14: routers and experts."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..config.experts import ChosenSoftmaxRouter
from ..laws.law import Draw, draw_ids, expect, expect_true, law, rounding
from ..own_laws.runs import labelled
from ..parameters import parameter_shapes
from ..shapes import Array
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


def _places(subject: NumtxSubject) -> list[str]:
    """The feed-forward sublayers that have experts."""
    return [n.removesuffix(".router.w") for n in subject.parameters if n.endswith(".router.w")]


@law(
    "V12",
    "permuting experts, within groups and group by group, with their columns of the router "
    "permutes who is chosen, and the gradients, and changes nothing else",
    "专家 (组内与整组) 与路由的列一同置换: 选中者与梯度随之置换, 其余不变",
    NUMTX,
)
def order_of_experts(subject: NumtxSubject, draw: Draw) -> bool:
    places, count, groups = _places(subject), subject.config.axes["x"], 1
    if not places:
        return False
    groups = subject.config.routing.groups
    size = count // groups
    order = [
        g * size + i
        for g in draw(st.permutations(range(groups)))
        for i in draw(st.permutations(range(size)))
    ]
    taken = {name: _taken(name, array, order) for name, array in subject.parameters.items()}
    batch, example, mask, _ = labelled(subject, draw)
    example = {**example, "experts": order}
    first, second = subject.record(batch), subject.with_(taken).record(batch)
    expect(subject, "the order matters", first["logits"], second["logits"], example, real=mask)
    for place in places:
        seen = first[f"{place.split('.')[0]}.mask"]
        before, after = (run[f"{place}.router.chosen"] for run in (first, second))
        same = (np.asarray(order)[after] == before)[seen]
        expect_true(bool(same.all()), "who is chosen did not follow", {**example, "of": place})
    for name in subject.parameters:
        before = _taken(name, first.grad(f"parameters/{name}"), order)
        after = second.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", before[None], after[None], example)
    return order != sorted(order)


def _taken(name: str, array: Array, order: list[int]) -> Array:
    if ".feed_forward.experts." in name or name.endswith((".router.b", ".router.correction")):
        return array[order]
    return array[:, order] if name.endswith(".router.w") else array


@law(
    "V13",
    "a token chooses different experts, and their weights sum to what the router says; an expert "
    "that nobody chose, and a correction, have a gradient of exactly 0",
    "每个词元选中互不相同的专家, 权重之和如路由所述; 无人选中的专家与修正项的梯度恰为 0",
    NUMTX,
)
def weights_of_experts(subject: NumtxSubject, draw: Draw) -> bool:
    places = _places(subject)
    router = subject.config.routing
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch)
    for place in places:
        told = {**example, "of": place}
        chosen, weights = (trace[f"{place}.router.{x}"] for x in ("chosen", "weights"))
        several = np.sort(chosen, -1)
        expect_true(bool((several[..., 1:] > several[..., :-1]).all()), "chosen twice", told)
        total = weights.sum(-1) / router.factor
        room = rounding(weights, 64.0)
        if router.renormalised or router.kind == "chosen_softmax":
            expect_true(bool((np.abs(total - 1.0) <= room).all()), "not the whole", told, total)
        elif router.kind == "softmax":
            expect_true(bool((total <= 1.0 + room).all()), "more than the whole", told, total)
        expect_true(bool((weights >= 0.0).all()), "a weight below 0", told)
        unused = np.setdiff1d(np.arange(subject.config.axes["x"]), chosen)
        for name in subject.parameters:
            gradient = trace.grad(f"parameters/{name}")
            if name.startswith(f"{place}.experts."):
                expect_true(not gradient[unused].any(), f"gradient of {name}, unchosen", told)
            elif name == f"{place}.router.correction":
                expect_true(not gradient.any(), "gradient of a correction", told)
    return bool(places)


@law(
    "V14",
    "experts that are all equal, and all chosen, are one dense layer, forward and backward",
    "所有专家相同且全部选中时, 等于一个普通前馈层, 正向与反向皆然",
    NUMTX,
)
def equal_experts(subject: NumtxSubject, draw: Draw) -> bool:
    if not _places(subject):
        return False
    own, count = subject.parameters, subject.config.axes["x"]
    lists = subject.config.experts
    layers = subject.config.depth
    alike = subject.with_(
        {
            name: np.broadcast_to(array[:1], array.shape).copy()
            if ".feed_forward.experts." in name
            else array
            for name, array in own.items()
            if ".shared." not in name and not name.endswith((".router.b", ".router.correction"))
        },
        experts_chosen=count, shared_experts=None, shared_hidden=None,
        router=ChosenSoftmaxRouter().to_dict(),
    )  # fmt: skip
    if not isinstance(lists, int) or layers == 0:
        return False  # the widths of dense layers among them are their own
    one = subject.with_(
        {}, experts=None, experts_chosen=1, expert_hidden=None, shared_experts=None,
        shared_hidden=None, router=None, hidden=subject.config.expert_width,
    )  # fmt: skip
    single = {
        name: own[name] if name in own else own[_expert_name(name)][0]
        for name in parameter_shapes(one.config)
    }
    dense = one.with_(single)
    ids = draw_ids(subject, draw)
    expect(subject, "another layer", dense.logits(ids), alike.logits(ids), {"ids": ids})
    batch, example, _, _ = labelled(subject, draw)
    first, second = dense.record(batch), alike.record(batch)
    for name in single:
        before = first.grad(f"parameters/{name}")
        after = second.grad(f"parameters/{name if name in own else _expert_name(name)}")
        after = after if name in own else after.sum(0)
        expect(subject, f"gradient of {name}", before[None], after[None], example)
    return True


def _expert_name(name: str) -> str:
    place, _, leaf = name.rpartition(".")
    return f"{place}.experts.{leaf}"
