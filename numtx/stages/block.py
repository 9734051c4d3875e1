"""The stages of a block: what stands around its sublayers, the residual connections and the norms;
their leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .graph import Stage
from .leaf import Leaf, Text
from .norms import norm_attributes

if TYPE_CHECKING:
    from .resolve import Wiring

RESIDUAL = Leaf(
    "residual", "add", ("@skip", "@branch"), "btd,btd->btd", "{skip} + {branch}",
    Text("残差连接", "Residual"),
    Text("原样保留输入，梯度也能直接通过", "keeps the input as it is, and lets the gradient pass straight through"),
)  # fmt: skip
NORM = Leaf(
    "norm", "norm", ("@normed", "#norm.gain", "#norm.bias?"), "btd->btd", "{norm}",
    Text("归一化", "Norm"),
    Text("每个词元各自归一化，再乘增益、加偏置", "each token by itself, then gain and bias"),
)  # fmt: skip


def block(wiring: Wiring, place: str, last: str) -> Iterator[Stage]:
    """The sublayers of a block such as 'decoder.0', the first on `last`."""
    for name in wiring.layer(place).sublayers(place.split(".")[0]):
        for stage in sublayer(wiring, f"{place}.{name}", last):
            yield stage
        last = stage.name


def sublayer(wiring: Wiring, place: str, skip: str) -> Iterator[Stage]:
    """A sublayer with its residual connection and its norm, where it has them."""
    config, side = wiring.layer(place), place.split(".")[0]
    name = f"{side}.{place.split('.')[2]}"
    norm = config.has_norm(name)

    def normed(of: str) -> Stage:
        return wiring.stage(place, NORM, {"@normed": of}, t=side, **norm_attributes(config))

    start = skip
    if norm and config.norm_place == "pre":
        yield normed(skip)
        start = wiring.named(f"{place}.norm")
    yield from wiring.inside(place, start)
    last = wiring.named(f"{place}.output")
    if config.has_residual(name):
        yield wiring.stage(place, RESIDUAL, {"@skip": skip, "@branch": last}, t=side)
        last = wiring.named(f"{place}.residual")
    if norm and config.norm_place == "post":
        yield normed(last)
