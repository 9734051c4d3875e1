"""The dense feed-forward sublayer: its leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
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
GATED = Leaf(
    "gated", "multiply", ("activation", "hidden"), "btf,btf->btf", "activation * hidden",
    Text("门控", "Gated"),
    Text("逐分量相乘", "component by component"),
)  # fmt: skip
FEED_FORWARD_OUTPUT = Leaf(
    "output", "contract", ("@inner", "#w_out", "#b_out?"), "btf,fd,d->btd", "{inner}·W_out{+ b_out}",
    Text("前馈层（降维）", "Feed-forward, down"),
    Text("回到原来的宽度，才能与输入相加", "back to the width of the input, to be added to it"),
)  # fmt: skip


def dense(wiring: Wiring, place: str, start: str) -> Iterator[Stage]:
    """Up, with a gate where there is one, and down."""
    side, config = place.split(".")[0], wiring.layer(place)
    gated = config.gated
    roles: dict[str, Any] = {
        "@input": start,
        "@opened": wiring.named(f"{place}.{'gate' if gated else 'hidden'}"),
        "@inner": wiring.named(f"{place}.{'gated' if gated else 'activation'}"),
    }
    yield wiring.stage(place, HIDDEN, roles, t=side)
    if gated:
        yield wiring.stage(place, GATE, roles, t=side)
    yield wiring.stage(place, ACTIVATION, roles, t=side, kind=config.activation)
    if gated:
        yield wiring.stage(place, GATED, roles, t=side)
    yield wiring.stage(place, FEED_FORWARD_OUTPUT, roles, t=side)
