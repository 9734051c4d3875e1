"""The stages of a block: what stands around its sublayers, the residual connections and the norms;
their leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
NORM_AFTER = NORM._replace(
    name="norm_after", inputs=("@normed", "#norm_after.gain", "#norm_after.bias?"),
    title=Text("输出的归一化", "Norm of the output"),
    why=Text("子层有两个归一化，一个在前，一个在后：加回残差的每一笔都是同一尺度", "a sublayer has two norms, one before and one after it: whatever is added to the residual is of one scale"),
)  # fmt: skip
INNER_NORM = NORM._replace(
    title=Text("输出的归一化", "Norm of the output"),
    why=Text("子层读原样的输入，归一化的是它要加回去的输出", "the sublayer reads its input as it is; what it adds to it is normalised"),
)  # fmt: skip
SCALED_BRANCH = Leaf(
    "scaled_output", "scale", ("@branch",), "btd->btd", "{factor} * {branch}",
    Text("缩放后的输出", "Scaled output"),
    Text("每个子层只加回自己输出的一部分，层数再多，残差也不会越加越大", "each sublayer adds a part of what it makes, so that many layers do not make the residual grow"),
)  # fmt: skip
WITHIN: Mapping[str | None, Leaf] = {"both": NORM_AFTER, "inner": INNER_NORM}  # the residual


def block(wiring: Wiring, place: str, last: str) -> Iterator[Stage]:
    """The sublayers of a block such as 'decoder.0', the first on `last`; each works on what the one
    before it gives, or side by side on the same."""
    config, beside = wiring.layer(place), last
    if config.parallel == "one":
        beside = wiring.named(f"{place}.self_attention.norm")
    for name in config.sublayers(place.split(".")[0]):
        aside = config.parallel is not None and name == "feed_forward"
        for stage in sublayer(wiring, f"{place}.{name}", last, beside if aside else last):
            yield stage
        last = stage.name


def sublayer(wiring: Wiring, place: str, skip: str, start: str) -> Iterator[Stage]:
    """A sublayer on `start` with its residual connection and its norms, where it has them."""
    config, side = wiring.layer(place), place.split(".")[0]
    name = f"{side}.{place.split('.')[2]}"
    where = config.norm_place if config.has_norm(name) else None

    def normed(leaf: Leaf, of: str) -> Stage:
        return wiring.stage(place, leaf, {"@normed": of}, t=side, **norm_attributes(config))

    if where in ("pre", "both"):
        yield normed(NORM, start)
        start = wiring.named(f"{place}.norm")
    yield from wiring.inside(place, start)
    last = wiring.named(f"{place}.output")
    if where in WITHIN:
        yield normed(WITHIN[where], last)
        last = wiring.named(f"{place}.{WITHIN[where].name}")
    if config.has_residual(name):
        if config.residual_scale != 1.0:
            factor, roles = config.residual_scale, {"@branch": last}
            yield wiring.stage(place, SCALED_BRANCH, roles, t=side, factor=factor)
            last = wiring.named(f"{place}.scaled_output")
        yield wiring.stage(place, RESIDUAL, {"@skip": skip, "@branch": last}, t=side)
        last = wiring.named(f"{place}.residual")
    if where == "post":
        yield normed(NORM, last)
