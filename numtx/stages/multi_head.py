"""The stages of multi-head attention: their leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .attention import CONTEXT, PRODUCTS, output, rotation, weights
from .graph import Stage
from .leaf import Leaf, Text
from .norms import norm_attributes

if TYPE_CHECKING:
    from .resolve import Wiring

QUERIES = Leaf(
    "queries", "contract", ("@input", "#w_q", "#b_q?"), "btd,d(hk),(hk)->bhtk", "Q = X·W_Q{+ b_q}",
    Text("查询", "Queries"),
    Text("每个位置要找什么", "what each place looks for"),
)  # fmt: skip
KEYS = Leaf(
    "keys", "contract", ("@memory", "#w_k", "#b_k?"), "bsd,d(gk),(gk)->bgsk", "K = {memory}·W_K{+ b_k}",
    Text("键", "Keys"),
    Text("每个位置凭什么被找到", "by what each place is found"),
)  # fmt: skip
VALUES = Leaf(
    "values", "contract", ("@memory", "#w_v", "#b_v?"), "bsd,d(gc),(gc)->bgsc", "V = {memory}·W_V{+ b_v}",
    Text("值", "Values"),
    Text("每个位置被找到后交出什么", "what each place hands over when found"),
)  # fmt: skip
NORMED_QUERIES = Leaf(
    "normed_queries", "norm", ("@queries", "#query_norm.gain?"), "bhtk->bhtk", "Q^ = {norm}",
    Text("归一化的查询", "Normalised queries"),
    Text("每个头的查询先调到同一长度，点积就不会随训练越变越大", "every head's query is brought to one length, so that products do not grow in training"),
)  # fmt: skip
NORMED_KEYS = Leaf(
    "normed_keys", "norm", ("@keys", "#key_norm.gain?"), "bgsk->bgsk", "K^ = {norm}",
    Text("归一化的键", "Normalised keys"),
    Text("与查询一样，用键自己的增益", "as the queries, with a gain of their own"),
)  # fmt: skip
PROJECTION_NORMED_QUERIES = NORMED_QUERIES._replace(
    why=Text("所有头的查询一起调到同一长度，头与头之间的比例不变", "the queries of all heads are brought to one length together, so that heads keep their proportions"),
)  # fmt: skip
PROJECTION_NORMED_KEYS = NORMED_KEYS._replace(
    why=Text("与查询一样，所有头一起，用键自己的增益", "as the queries, all heads together, with a gain of their own"),
)  # fmt: skip
ROTATED_QUERIES = Leaf(
    "rotated_queries", "rotate", ("@queries", "@positions"), "bhtk->bhtk", "Q' = R(p)·Q",
    Text("旋转后的查询", "Rotated queries"),
    Text("按位置旋转：点积只取决于两个位置之差", "turned by its position: the product depends on the distance only"),
)  # fmt: skip
ROTATED_KEYS = Leaf(
    "rotated_keys", "rotate", ("@keys", "@key_positions"), "bgsk->bgsk", "K' = R(p)·K",
    Text("旋转后的键", "Rotated keys"),
    Text("与查询用同样的旋转", "the same rotation as the queries"),
)  # fmt: skip
GROWN_QUERIES = Leaf(
    "grown_queries", "grow", ("@queries", "@positions"), "bhtk->bhtk", "Q * (1 + {rate} ln(1 + floor((p + 1) / {length})))",
    Text("随位置增大的查询", "Grown queries"),
    Text("键越多，权重越平；查询随位置增大，使后面的词元仍能集中注意", "the more keys, the flatter the weights: queries that grow keep them sharp"),
)  # fmt: skip
ALL_KEYS = Leaf(
    "all_keys", "append", ("@parts",), "bgsk,bgsk->bgsk", "{parts}",
    Text("全部键", "All keys"),
    Text("以前算过的键从缓存里读出，这一步只添上新的", "keys of earlier steps are read from the cache; this step adds only its own"),
)  # fmt: skip
ALL_VALUES = Leaf(
    "all_values", "append", ("@parts",), "bgsc,bgsc->bgsc", "{parts}",
    Text("全部值", "All values"),
    Text("值与键一样：算一次，存下来，反复读", "values as keys: computed once, kept, read again and again"),
)  # fmt: skip


def multi_head(wiring: Wiring, place: str, start: str) -> Iterator[Stage]:
    """Self-attention on `start`, or cross-attention on the encoder's output."""
    config, stage, named = wiring.layer(place), wiring.stage, wiring.named
    side, _, sublayer = place.split(".")
    cross = sublayer == "cross_attention"
    other = "encoder" if cross else side
    memory = "encoder.output" if cross else start
    # Cross-attention's keys and values are computed in the first step and read ever after.
    computes = not (cross and wiring.cached and wiring.before is not None)
    yield stage(place, QUERIES, {"@input": start}, t=side)
    if computes:
        yield stage(place, KEYS, {"@memory": memory}, s=other)
        yield stage(place, VALUES, {"@memory": memory}, s=other)
    names = {"queries": "queries", "keys": "keys", "values": "values"}
    steps = [_norms, _rotations]
    for step in steps if config.query_key_norm_place == "before" else reversed(steps):
        yield from step(wiring, place, names, other, computes)
    queries, keys, values = names.values()
    if config.query_growth is not None and not cross:
        where = {"@queries": named(f"{place}.{queries}")}
        where |= {"@positions": wiring.given(f"{side}.positions")}
        growth: dict[str, Any] = {"length": config.query_growth, "rate": config.query_growth_rate}
        yield stage(place, GROWN_QUERIES, where, t=side, **growth)
        queries = "grown_queries"
    if wiring.cached:
        if not cross:
            other = f"{side}.all"
        yield wiring.appended(place, ALL_KEYS, keys if computes else None, other)
        yield wiring.appended(place, ALL_VALUES, values if computes else None, other)
        keys, values = "all_keys", "all_values"
    roles = {
        "@queries": named(f"{place}.{queries}"),
        "@keys": named(f"{place}.{keys}"),
        "@values": named(f"{place}.{values}"),
    }
    yield stage(place, PRODUCTS, roles, t=side, s=other)
    yield from weights(wiring, place, other, config.scale, config.d_k)
    yield stage(place, CONTEXT, roles, t=side, selective=True)
    yield output(wiring, place)


def _norms(
    wiring: Wiring, place: str, names: dict[str, str], other: str, computes: bool
) -> Iterator[Stage]:
    """The norms of queries and keys, where there are; `names` of what goes on are changed."""
    config, side = wiring.layer(place), place.split(".")[0]
    if config.query_key_norm is None:
        return
    whole = config.query_key_norm == "projection"
    norm = norm_attributes(config, centred=False, **({"over": "projection"} if whole else {}))
    roles = {f"@{name}": wiring.named(f"{place}.{names[name]}") for name in ("queries", "keys")}
    yield wiring.stage(
        place, PROJECTION_NORMED_QUERIES if whole else NORMED_QUERIES, roles, t=side, **norm
    )
    if computes:
        yield wiring.stage(
            place, PROJECTION_NORMED_KEYS if whole else NORMED_KEYS, roles, s=other, **norm
        )
    names |= {"queries": "normed_queries", "keys": "normed_keys"}


def _rotations(
    wiring: Wiring, place: str, names: dict[str, str], other: str, computes: bool
) -> Iterator[Stage]:
    """The same of the rotations."""
    if not wiring.layer(place).rotated or place.endswith("cross_attention"):
        return
    side = place.split(".")[0]
    roles, rotary = rotation(wiring, place)
    roles |= {f"@{name}": wiring.named(f"{place}.{names[name]}") for name in ("queries", "keys")}
    yield wiring.stage(place, ROTATED_QUERIES, roles, t=side, **rotary)
    yield wiring.stage(place, ROTATED_KEYS, roles, s=side, **rotary)
    names |= {"queries": "rotated_queries", "keys": "rotated_keys"}
