"""Experts: their leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..feed_forward.routing import SMALLEST_SUM
from .dense import FEED_FORWARD_OUTPUT, GATE, HIDDEN, dense
from .graph import Stage
from .leaf import Leaf, Text

if TYPE_CHECKING:
    from .resolve import Wiring

ROUTER_LOGITS = Leaf(
    "router.logits", "contract", ("@input", "#router.w", "#router.b?"), "btd,dx,x->btx",
    "X·W_router{+ router.b}",
    Text("路由分数", "Router logits"),
    Text("每个专家一个数：它有多适合这个词元", "a number of each expert: how well it suits this token"),
)  # fmt: skip
ROUTER_SHARES = Leaf(
    "router.scores", "softmax", ("router.logits",), "btx->btx", "softmax(logits) per row",
    Text("路由概率", "Router scores"),
    Text("对所有专家归一：选中与否，专家之间都在竞争", "over all experts: they compete, whether chosen or not"),
)  # fmt: skip
ROUTER_SIGMOIDS = Leaf(
    "router.scores", "sigmoid", ("router.logits",), "btx->btx", "sigmoid(logits)",
    Text("路由得分", "Router scores"),
    Text("每个专家各自打分，互不竞争", "each expert by itself: they do not compete"),
)  # fmt: skip
CHOSEN = Leaf(
    "router.chosen", "choose", ("@scores", "#router.correction?"), "btx,x->btm", "{text}",
    Text("选中的专家", "Chosen experts"),
    Text("每个词元只经过几个专家；选择是常数，没有梯度", "a token goes through a few experts only; a choice is constant and has no gradient"),
)  # fmt: skip
ROUTER_WEIGHTS = Leaf(
    "router.weights", "route", ("@scores", "router.chosen"), "btx,btm->btm", "{text}",
    Text("专家权重", "Router weights"),
    Text("选中的专家各占多少；梯度由此到达路由", "how much each chosen expert counts; through it gradient reaches the router"),
)  # fmt: skip
EXPERT_INPUT = Leaf(
    "experts.input", "contract", ("router.weights", "@input"), "btm,btd->bmtd", "weight * X",
    Text("专家的输入", "Experts' input"),
    Text("权重乘在专家的输入上", "here a weight multiplies what its expert is given"),
)  # fmt: skip
EXPERT_HIDDEN = HIDDEN._replace(
    operation="expert", inputs=("@input", "#w_in", "@chosen", "#b_in?"),
    specification="btd,xdu,btm,xu->bmtu", formula="X·W_in[e]{+ b_in}",
    title=Text("专家层（升维）", "Experts, up"),
    why=Text("每个词元乘它所选专家的矩阵", "every token by the matrix of the expert that it chose"),
)  # fmt: skip
EXPERT_GATE = GATE._replace(
    operation="expert", inputs=("@input", "#w_gate", "@chosen", "#b_gate?"),
    specification="btd,xdu,btm,xu->bmtu", formula="X·W_gate[e]{+ b_gate}",
    title=Text("专家的门", "Experts' gate"),
)  # fmt: skip
EXPERT_OUTPUT = FEED_FORWARD_OUTPUT._replace(
    operation="expert", inputs=("@inner", "#w_out", "@chosen", "#b_out?"),
    specification="bmtu,xud,btm,xd->bmtd", formula="{inner}·W_out[e]{+ b_out}",
    title=Text("专家层（降维）", "Experts, down"),
    why=Text("每个选中的专家各给一个结果", "each chosen expert gives a result of its own"),
)  # fmt: skip
WEIGHED = Leaf(
    "routed", "contract", ("router.weights", "experts.output"), "btm,bmtd->btd", "sum of weights * experts.output",
    Text("专家之和", "Weighed experts"),
    Text("按权重相加", "the results of the chosen experts by their weights"),
)  # fmt: skip
SUMMED = Leaf(
    "routed", "sum", ("experts.output",), "bmtd->btd", "sum of experts.output",
    Text("专家之和", "Sum of experts"),
    Text("权重已在输入上，这里只相加", "the weights were on the input: here they are added"),
)  # fmt: skip
EXPERTS_OUTPUT = Leaf(
    "output", "add", ("@summands",), "btd->btd", "{total}",
    Text("专家层的输出", "Output of the experts"),
    Text("共享专家若有，人人经过，不带权重", "where experts are shared, every token goes through them, without a weight"),
)  # fmt: skip


def experts(wiring: Wiring, place: str, start: str) -> Iterator[Stage]:
    """The router, the chosen experts, and those that all tokens share."""
    side, config = place.split(".")[0], wiring.layer(place)
    yield from _router(wiring, place, start)
    roles = {"@input": start}
    on_input = config.routing.weight_on == "input"
    if on_input:
        yield wiring.stage(place, EXPERT_INPUT, roles, t=side)
    yield from dense(
        wiring, f"{place}.experts", wiring.named(f"{place}.experts.input") if on_input else start,
        _weighed_input if on_input else _of_experts,
        {"@chosen": wiring.named(f"{place}.router.chosen")},
    )  # fmt: skip
    yield wiring.stage(place, SUMMED if on_input else WEIGHED, t=side)
    summands = ["routed"]
    if config.shared_experts is not None:
        yield from dense(wiring, f"{place}.shared", start, _shared)
        summands.append("shared.output")
    names = tuple(wiring.named(f"{place}.{name}") for name in summands)
    text = " + ".join(summands)
    yield wiring.stage(place, EXPERTS_OUTPUT, {"@summands": names}, t=side, total=text)


def _router(wiring: Wiring, place: str, start: str) -> Iterator[Stage]:
    side, config = place.split(".")[0], wiring.layer(place)
    router, name = config.routing, "logits"
    yield wiring.stage(place, ROUTER_LOGITS, {"@input": start}, t=side)
    if router.kind != "chosen_softmax":
        name = "scores"
        leaf = ROUTER_SHARES if router.kind == "softmax" else ROUTER_SIGMOIDS
        yield wiring.stage(place, leaf, t=side)
    roles = {"@scores": wiring.named(f"{place}.router.{name}")}
    added = " + correction" if router.correction else ""
    best = ("sum of two", "maximum")[router.best == 1]
    groups = f" in the {router.groups_kept} of {router.groups} groups with the largest {best}"
    choice: dict[str, Any] = {
        "count": config.experts_chosen, "groups": router.groups, "kept": router.groups_kept,
        "best": router.best, "single": config.dtype == "float32",
        "text": f"the {config.experts_chosen} largest of {name}{added}" + groups * (router.best > 0),
    }  # fmt: skip
    yield wiring.stage(place, CHOSEN, roles, t=side, **choice)
    how = "divided" if router.renormalised else "kept"
    words = f"{name} of the chosen" + " / their sum" * (how == "divided")
    if router.kind == "chosen_softmax":
        how, words = "softmax", f"softmax of the chosen {name}"
    if router.factor != 1.0:
        words += f" * {router.factor:g}"
    room = SMALLEST_SUM if router.kind == "sigmoid" else 0.0
    weights: dict[str, Any] = {"how": how, "room": room, "factor": router.factor, "text": words}
    yield wiring.stage(place, ROUTER_WEIGHTS, roles, t=side, **weights)


def _of_experts(leaf: Leaf) -> Leaf:
    """The leaf of a dense layer as that of the experts: one more axis, of the choices."""
    other = {HIDDEN: EXPERT_HIDDEN, GATE: EXPERT_GATE, FEED_FORWARD_OUTPUT: EXPERT_OUTPUT}
    return other.get(leaf) or _replaced(leaf, "btf", "bmtu")


def _weighed_input(leaf: Leaf) -> Leaf:
    return _replaced(_of_experts(leaf), "btd,xdu", "bmtd,xdu")


def _shared(leaf: Leaf) -> Leaf:
    return _replaced(leaf, "f", "y")


def _replaced(leaf: Leaf, axes: str, by: str) -> Leaf:
    return leaf._replace(specification=leaf.specification.replace(axes, by))
