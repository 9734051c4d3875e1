"""The stages of self-attention over latents: their leaves, and how they are wired; expanded to
ordinary keys and values, or, with a cache, with its queries taken to the latents (absorbed)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .attention import CONTEXT, PRODUCTS, output, rotation, weights
from .graph import Stage
from .leaf import Leaf, Text
from .multi_head import KEYS, QUERIES, ROTATED_KEYS, ROTATED_QUERIES, VALUES
from .norms import norm_attributes

if TYPE_CHECKING:
    from .resolve import Wiring

QUERY_LATENT = Leaf(
    "query_latent", "contract", ("@input", "#w_dq", "#b_dq?"), "btd,dq,q->btq", "c_Q = X·W_DQ{+ b_dq}",
    Text("查询的潜向量", "Latent of the queries"),
    Text("所有头的查询都由这一个窄向量展开", "the queries of all heads are made from this one narrow vector"),
)  # fmt: skip
NORMED_QUERY_LATENT = Leaf(
    "normed_query_latent", "norm", ("query_latent", "#query_latent_norm.gain"), "btq->btq", "c_Q^ = {norm}",
    Text("归一化的查询潜向量", "Normalised latent of the queries"),
    Text("展开之前先调到同一长度", "brought to one length before it is expanded"),
)  # fmt: skip
NORMED_LATENT = Leaf(
    "normed_latent", "norm", ("latent", "#latent_norm.gain"), "bsr->bsr", "c^ = {norm}",
    Text("归一化的键值潜向量", "Normalised latent of keys and values"),
    Text("缓存里存的就是它", "this is what a cache keeps"),
)  # fmt: skip
UP_QUERIES = QUERIES._replace(
    inputs=("@asking", "#w_uq"), specification="btq,q(hk)->bhtk", formula="Q = c_Q·W_UQ"
)
POSITION_QUERIES = Leaf(
    "position_queries", "contract", ("@input", "#w_qr"), "btd,d(hp)->bhtp", "X·W_QR",
    Text("带位置的查询", "Queries for positions"),
    Text("位置单独占 d_r 个分量，与内容分开", "positions have d_r components of their own, apart from the content"),
)  # fmt: skip
UP_POSITION_QUERIES = POSITION_QUERIES._replace(
    inputs=("@asking", "#w_qr"), specification="btq,q(hp)->bhtp", formula="c_Q·W_QR"
)
LATENT = Leaf(
    "latent", "contract", ("@input", "#w_dkv", "#b_dkv?"), "bsd,dr,r->bsr", "c = X·W_DKV{+ b_dkv}",
    Text("键值的潜向量", "Latent of keys and values"),
    Text("缓存只存它：所有头的键和值都能由它算出", "all that a cache keeps: keys and values of every head follow from it"),
)  # fmt: skip
UP_KEYS = KEYS._replace(
    inputs=("@latent", "#w_uk"), specification="bsr,r(gk)->bgsk", formula="K = c·W_UK"
)
UP_VALUES = VALUES._replace(
    inputs=("@latent", "#w_uv"), specification="bsr,r(gc)->bgsc", formula="V = c·W_UV"
)
POSITION_KEY = Leaf(
    "position_key", "contract", ("@input", "#w_kr", "#b_kr?"), "bsd,dp,p->bsp", "X·W_KR{+ b_kr}",
    Text("带位置的键", "Key for positions"),
    Text("所有头共用一个", "one for all heads"),
)  # fmt: skip
ROTATED_PART = ROTATED_QUERIES._replace(
    inputs=("position_queries", "@positions"), specification="bhtp->bhtp",
    formula="Q' = R(p)·position_queries",
)  # fmt: skip
ROTATED_KEY = ROTATED_KEYS._replace(
    name="rotated_key", inputs=("position_key", "@key_positions"), specification="bsp->bsp",
    formula="K' = R(p)·position_key", title=Text("旋转后的键（各头共用）", "Rotated key of all heads"),
)  # fmt: skip
ALL_LATENT = Leaf(
    "all_latent", "append", ("@parts",), "bsr,bsr->bsr", "{parts}",
    Text("全部潜向量", "All latents"),
    Text("从缓存读出以前的潜向量，添上这一步的", "those of earlier steps from the cache, then those of this step"),
)  # fmt: skip
ALL_ROTATED_KEY = Leaf(
    "all_rotated_key", "append", ("@parts",), "bsp,bsp->bsp", "{parts}",
    Text("全部旋转后的键", "All rotated keys"),
    Text("位置部分不能并入潜向量，另存一份", "positions cannot be taken from the latent, so they are kept beside it"),
)  # fmt: skip
ABSORBED_QUERIES = Leaf(
    "absorbed_queries", "contract", ("queries", "#w_uk"), "bhtk,r(hk)->bhtr", "Q~ = Q·W_UK^T",
    Text("吸收了 W_UK 的查询", "Queries with W_UK absorbed"),
    Text("Q·(c·W_UK)^T = (Q·W_UK^T)·c^T：不必展开每个键", "Q·(c·W_UK)^T = (Q·W_UK^T)·c^T: no key has to be made"),
)  # fmt: skip
FULL_QUERIES = Leaf(
    "full_queries", "append", ("@parts",), "bhtk,bhtp->bhte", "[Q; Q']",
    Text("完整的查询", "Full queries"),
    Text("内容部分与位置部分并排：点积就是两部分之和", "content and position side by side: the product is the sum of both"),
)  # fmt: skip
FULL_KEYS = Leaf(
    "full_keys", "append", ("@parts",), "bgsk,bsp->bgse", "[K; K']",
    Text("完整的键", "Full keys"),
    Text("每个头接上同一个位置部分", "every head with the same part for positions"),
)  # fmt: skip
ABSORBED_FULL_QUERIES = FULL_QUERIES._replace(specification="bhtr,bhtp->bhtz", formula="[Q~; Q']")
ABSORBED_FULL_KEYS = FULL_KEYS._replace(
    specification="bsr,bsp->bsz", formula="[c; K']",
    why=Text("所有头看同一个潜向量和同一个位置部分", "every head looks at the same latent and the same part for positions"),
)  # fmt: skip
LATENT_CONTEXT = Leaf(
    "latent_context", "contract", ("weights", "all_latent"), "bhts,bsr->bhtr", "C~ = A·c",
    Text("潜向量的加权求和", "Latents mixed"),
    Text("先按权重混合潜向量，再展开一次", "the latents mixed by the weights first, then expanded once"),
)  # fmt: skip
UP_CONTEXT = CONTEXT._replace(
    inputs=("latent_context", "#w_uv"), specification="bhtr,r(hc)->bhtc", formula="C = C~·W_UV"
)


def side_by_side(
    wiring: Wiring, place: str, other: str, queries: str, keys: str
) -> Iterator[Stage]:
    """The parts with positions beside those of queries and keys."""
    cached, named, side = wiring.cached, wiring.named, place.split(".")[0]
    key = "all_rotated_key" if cached else "rotated_key"
    both = tuple(named(f"{place}.{name}") for name in (queries, "rotated_queries"))
    leaf = ABSORBED_FULL_QUERIES if cached else FULL_QUERIES
    yield wiring.stage(place, leaf, {"@parts": both}, t=side, along="width")
    both = tuple(named(f"{place}.{name}") for name in (keys, key))
    leaf = ABSORBED_FULL_KEYS if cached else FULL_KEYS
    yield wiring.stage(place, leaf, {"@parts": both}, s=other, along="width")


def latent(wiring: Wiring, place: str, start: str) -> Iterator[Stage]:
    """Self-attention on `start`."""
    config, stage, named = wiring.layer(place), wiring.stage, wiring.named
    side = place.split(".")[0]
    cached, rotated = wiring.cached, bool(config.rotated)
    other = f"{side}.all" if cached else side
    down = config.query_latent is not None
    normed = "normed_" if config.latent_norm else ""
    norm = norm_attributes(config, centred=False)
    roles = {
        "@input": start,
        "@asking": named(f"{place}.{normed}query_latent"),
        "@latent": named(f"{place}.{normed}latent"),
    }
    where, rotary = rotation(wiring, place)
    if down:
        yield stage(place, QUERY_LATENT, roles, t=side)
        if normed:
            yield stage(place, NORMED_QUERY_LATENT, t=side, **norm)
    yield stage(place, UP_QUERIES if down else QUERIES, roles, t=side)
    if rotated:
        yield stage(place, UP_POSITION_QUERIES if down else POSITION_QUERIES, roles, t=side)
        yield stage(place, ROTATED_PART, where, t=side, **rotary)
    yield stage(place, LATENT, roles, s=side)
    if normed:
        yield stage(place, NORMED_LATENT, s=side, **norm)
    if rotated:
        yield stage(place, POSITION_KEY, roles, s=side)
        yield stage(place, ROTATED_KEY, where, s=side, **rotary)
    queries, keys = "queries", "keys"
    if not cached:
        yield stage(place, UP_KEYS, roles, s=side)
        yield stage(place, UP_VALUES, roles, s=side)
    else:
        yield wiring.appended(place, ALL_LATENT, f"{normed}latent", other)
        if rotated:
            yield wiring.appended(place, ALL_ROTATED_KEY, "rotated_key", other)
        yield stage(place, ABSORBED_QUERIES, t=side)
        queries, keys = "absorbed_queries", "all_latent"
    if rotated:
        yield from side_by_side(wiring, place, other, queries, keys)
        queries, keys = "full_queries", "full_keys"
    width = ("z" if rotated else "r") if cached else ("e" if rotated else "k")
    products = PRODUCTS._replace(specification=f"bht{width},b{'' if cached else 'g'}s{width}->bhts")
    roles = {
        "@queries": named(f"{place}.{queries}"),
        "@keys": named(f"{place}.{keys}"),
        "@values": named(f"{place}.values"),
    }
    yield stage(place, products, roles, t=side, s=other)
    yield from weights(wiring, place, other, config.latent_scale, config.d_k + config.rotated)
    if cached:
        yield stage(place, LATENT_CONTEXT, t=side, selective=True)
        yield stage(place, UP_CONTEXT, t=side)
    else:
        yield stage(place, CONTEXT, roles, t=side, selective=True)
    yield output(wiring, place)
