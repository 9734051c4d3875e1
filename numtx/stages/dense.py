"""The dense feed-forward sublayer: its leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .graph import Stage
from .leaf import Leaf, Text

if TYPE_CHECKING:
    from .resolve import Wiring

HIDDEN = Leaf(
    "hidden", "contract", ("@input", "#w_in", "#b_in?"), "btd,df,f->btf", "X·W_in{+ b_in}",
    Text("前馈层（升维）", "Feed-forward, up"),
    Text("每个位置各自变换，先展宽", "each place by itself, first made wider"),
)  # fmt: skip
GATE = Leaf(
    "gate", "contract", ("@input", "#w_gate", "#b_gate?"), "btd,df,f->btf", "X·W_gate{+ b_gate}",
    Text("门", "Gate"),
    Text("决定每个分量放行多少", "decides how much of each component passes"),
)  # fmt: skip
ACTIVATION = Leaf(
    "activation", "activation", ("@opened",), "btf->btf", "{activation}({opened})",
    Text("激活", "Activation"),
    Text("没有非线性，两层线性就只是一层", "without it two linear maps would be one"),
)  # fmt: skip
CLAMPED_GATE = Leaf(
    "clamped_gate", "clamp", ("gate",), "btf->btf", "min(gate, {high})",
    Text("封顶的门", "Clamped gate"),
    Text("门不超过上限；超过处没有梯度", "the gate stays below its limit; beyond it there is no gradient"),
)  # fmt: skip
CLAMPED_HIDDEN = Leaf(
    "clamped_hidden", "clamp", ("hidden",), "btf->btf", "{text}",
    Text("限幅并平移", "Clamped and shifted"),
    Text("先限幅，再加一个常数：门开着时总有东西通过", "within its limits, then a constant more: where the gate is open, something passes"),
)  # fmt: skip
GATED = Leaf(
    "gated", "multiply", ("activation", "@passing"), "btf,btf->btf", "activation * {passing}",
    Text("门控", "Gated"),
    Text("逐分量相乘", "component by component"),
)  # fmt: skip
FEED_FORWARD_OUTPUT = Leaf(
    "output", "contract", ("@inner", "#w_out", "#b_out?"), "btf,fd,d->btd", "{inner}·W_out{+ b_out}",
    Text("前馈层（降维）", "Feed-forward, down"),
    Text("回到原来的宽度，才能与输入相加", "back to the width of the input, to be added to it"),
)  # fmt: skip


def dense(
    wiring: Wiring,
    place: str,
    start: str,
    changed: Callable[[Leaf], Leaf] = lambda leaf: leaf,
    others: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Stage]:
    """Up, with a gate where there is one, and down.

    changed  what stands in place of a leaf, with the same name, where the layer is one of several
    others   roles of such leaves
    """
    side, config = place.split(".")[0], wiring.layer(place)
    gated, limit, shift = config.gated, config.gate_limit, config.gate_shift
    passing = "hidden" if limit is None and not shift else "clamped_hidden"
    opened = "hidden" if not gated else "gate" if limit is None else "clamped_gate"
    roles = {
        "@input": start,
        "@opened": wiring.named(f"{place}.{opened}"),
        "@passing": wiring.named(f"{place}.{passing}"),
        "@inner": wiring.named(f"{place}.{'gated' if gated else 'activation'}"),
        **others,
    }
    yield wiring.stage(place, changed(HIDDEN), roles, t=side)
    if gated:
        yield wiring.stage(place, changed(GATE), roles, t=side)
    if limit is not None:
        above: dict[str, Any] = {"low": None, "high": limit, "shift": 0.0}
        yield wiring.stage(place, changed(CLAMPED_GATE), t=side, **above)
    if passing != "hidden":
        low = None if limit is None else -limit
        text = "hidden" if limit is None else f"clip(hidden, {low:g}, {limit:g})"
        text += f" + {shift:g}" if shift else ""
        within: dict[str, Any] = {"low": low, "high": limit, "shift": shift, "text": text}
        yield wiring.stage(place, changed(CLAMPED_HIDDEN), t=side, **within)
    yield wiring.stage(place, changed(ACTIVATION), roles, t=side, kind=config.activation)
    if gated:
        yield wiring.stage(place, changed(GATED), roles, t=side, passing=passing)
    yield wiring.stage(place, changed(FEED_FORWARD_OUTPUT), roles, t=side)
