"""What the kinds of attention have in common: from products to weights, the weighing, the output;
their leaves, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..config.rotary import YarnScaling
from .graph import Stage
from .leaf import Leaf, Text

if TYPE_CHECKING:
    from .resolve import Wiring

PRODUCTS = Leaf(
    "products", "contract", ("@queries", "@keys"), "bhtk,bgsk->bhts", "Q·K^T",
    Text("点积", "Products"),
    Text("行是查询，列是键：越相近，点积越大", "row: query, column: key; the more alike, the larger"),
)  # fmt: skip
SCORES = Leaf(
    "scores", "scale", ("products",), "bhts->bhts", "S = Q·K^T {scale}",
    Text("分数", "Scores"),
    Text("除以 sqrt(d_k)，使分数不随宽度变大，softmax 不致饱和", "the division keeps scores from growing with d_k, so softmax does not saturate"),
)  # fmt: skip
CAPPED_SCORES = Leaf(
    "capped_scores", "cap", ("scores",), "bhts->bhts", "S_c = {cap} * tanh(S / {cap})",
    Text("封顶的分数", "Capped scores"),
    Text("小分数几乎不变，大分数不超过上限，没有键能独占注意力", "small scores hardly change, large ones stay below the cap: no key outweighs all others"),
)  # fmt: skip
DISTANCE_BIAS = Leaf(
    "bias", "distance", ("@positions", "@key_positions"), "bt,bs->bhts", "b = -m_h * |p_query - p_key|",
    Text("距离偏置", "Bias by distance"),
    Text("键离得越远，分数减得越多；每个头有自己的斜率 m_h", "the farther a key, the more is taken from its score; each head has a slope m_h of its own"),
)  # fmt: skip
RELATIVE_BIAS = Leaf(
    "bias", "bucket", ("@table", "@positions", "@key_positions"), "nh,bt,bs->bhts", "b = table[bucket(p_key - p_query)]",
    Text("相对位置偏置", "Bias by bucket"),
    Text("每个头为每段距离学一个数：近处一距一数，远处渐宽", "each head learns a number for each range of distances, narrow near by and wide far away"),
)  # fmt: skip
BIASED_SCORES = Leaf(
    "biased_scores", "add", ("@scores", "bias"), "bhts,bhts->bhts", "S + b",
    Text("加偏置后的分数", "Biased scores"),
    Text("位置只在这里起作用：词嵌入和查询、键都不带位置", "the only place where positions act: embeddings, queries and keys have none"),
)  # fmt: skip
ATTENTION_MASK = Leaf(
    "mask", "allowed", ("@valid",), "bs->bhts", "{rule}",
    Text("掩码", "Mask"),
    Text("1 表示可以看，0 表示不可以看", "1 = may attend, 0 = may not"),
)  # fmt: skip
MASKED_SCORES = Leaf(
    "masked_scores", "mask", ("@scores", "mask"), "bhts,bhts->bhts", "S' = S where mask, else -inf",
    Text("掩码后的分数", "Masked scores"),
    Text("exp(-inf) = 0：被遮住的位置得不到一点权重", "exp(-inf) = 0, so a hidden key gets exactly no weight"),
)  # fmt: skip
WEIGHTS = Leaf(
    "weights", "softmax", ("masked_scores",), "bhts->bhts", "A = softmax(S') per row",
    Text("注意力权重", "Weights"),
    Text("每行之和为 1：一个查询把注意力分给各个键", "every row sums to 1: how a query divides its attention"),
)  # fmt: skip
SINK_WEIGHTS = WEIGHTS._replace(
    inputs=("masked_scores", "#sinks"), specification="bhts,h->bhts",
    formula="A = exp(S') / (exp(z_h) + sum of exp(S')) per row",
    why=Text("每个头学一个数 z_h，占去一份权重：每行之和小于 1，查询可以什么都不看", "each head's learned z_h takes a share: a row sums to less than 1, and a query may attend to nothing"),
)  # fmt: skip
CONTEXT = Leaf(
    "context", "contract", ("weights", "@values"), "bhts,bgsc->bhtc", "C = A·V",
    Text("加权求和", "Context"),
    Text("按权重混合各个值", "the values mixed by their weights"),
)  # fmt: skip
PROJECTED_OUTPUT = Leaf(
    "output", "contract", ("context", "#w_o", "#b_o?"), "bhtc,(hc)d,d->btd", "O = concat(C)·W_O{+ b_o}",
    Text("注意力输出", "Attention output"),
    Text("把各头拼起来，再混合", "the heads side by side, then mixed"),
)  # fmt: skip
MERGED_OUTPUT = Leaf(
    "output", "contract", ("context",), "bhtc->bt(hc)", "O = concat(C)",
    Text("注意力输出（无 W_O）", "Attention output (no W_O)"),
    Text("只把各头拼起来", "the heads side by side"),
)  # fmt: skip


def rotation(wiring: Wiring, place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The roles and the attributes of a rotation."""
    config = wiring.layer(place)
    positions = wiring.given(f"{place.split('.')[0]}.positions")
    where: dict[str, Any] = {"@positions": positions, "@key_positions": positions}
    rotary = {
        "width": config.rotated,
        "base": config.position_base,
        "layout": config.rotary_layout,
        "scaling": config.rotary_scaling,
    }
    return where, rotary


def weights(wiring: Wiring, place: str, other: str, factor: float, width: int) -> Iterator[Stage]:
    """From the products to the weights.

    other  the side whose tokens are looked at    width  of a query, of which the root is taken
    """
    config = wiring.layer(place)
    side, _, sublayer = place.split(".")
    own = sublayer == "self_attention"
    every = other == f"{side}.all"
    valid = wiring.named(f"{side}.all_mask" if every else f"{other}.mask")
    positions = wiring.given(f"{side}.all_positions" if every else f"{side}.positions")
    tokens: dict[str, Any] = {"t": side, "s": other}
    rule: dict[str, Any] = {
        "causal": side == "decoder" and own and config.causal,
        "window": config.window if own else None,
        "chunk": config.chunk if own else None,
        "positions": positions,
    }
    if wiring.documents:
        rule["documents"] = [wiring.given(f"{at}.documents") for at in (side, other)]
    # The root of the width is said, not the factor, so that the check takes it by itself.
    root = width if config.score_scale is None else None
    apart, longer = width != config.d_k, None
    if apart and root is not None and isinstance(config.rotary_scaling, YarnScaling):
        longer = config.rotary_scaling
    size: dict[str, Any] = {"factor": factor, "apart": apart, "root": root, "longer": longer}
    yield wiring.stage(place, SCORES, **tokens, **size)
    scores = wiring.named(f"{place}.scores")
    if config.score_cap is not None:
        yield wiring.stage(place, CAPPED_SCORES, **tokens, cap=config.score_cap)
        scores = wiring.named(f"{place}.capped_scores")
    if own and config.positions == "alibi":
        where = {"@positions": wiring.given(f"{side}.positions"), "@key_positions": positions}
        yield wiring.stage(place, DISTANCE_BIAS, where, **tokens, heads=config.heads)
    if own and config.positions == "relative":
        where = {"@positions": wiring.given(f"{side}.positions"), "@key_positions": positions}
        where["@table"] = f"parameters/{side}.relative_bias"
        rows: dict[str, Any] = {
            "count": config.relative_buckets,
            "farthest": config.relative_distance,
            "both": side == "encoder" or not config.causal,
        }
        yield wiring.stage(place, RELATIVE_BIAS, where, **tokens, **rows)
    if own and config.positions in ("alibi", "relative"):
        yield wiring.stage(place, BIASED_SCORES, {"@scores": scores}, **tokens)
        scores = wiring.named(f"{place}.biased_scores")
    yield wiring.stage(place, ATTENTION_MASK, {"@valid": valid}, **tokens, **rule)
    yield wiring.stage(place, MASKED_SCORES, {"@scores": scores}, **tokens)
    yield wiring.stage(place, SINK_WEIGHTS if own and config.sinks else WEIGHTS, **tokens)


def output(wiring: Wiring, place: str) -> Stage:
    """The heads side by side, through W_O where there is one."""
    side, _, sublayer = place.split(".")
    projected = wiring.layer(place).has_output_projection(f"{side}.{sublayer}")
    return wiring.stage(place, PROJECTED_OUTPUT if projected else MERGED_OUTPUT, t=side)
