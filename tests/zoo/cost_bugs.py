"""Planted bugs: counting what a generation costs. The ledger of the documents sees them."""

from __future__ import annotations

from .bug import Bug

COST_BUGS = (
    Bug("the closed formula forgets weights·V", "costs", "return 3 * i * d * d + 2 * i * i * d",
        "return 3 * i * d * d + i * i * d"),
    Bug("a product counts the cells of its result alone", "costs",
        "return math.prod(shapes[stage.name]) * math.prod(sizes[letter] for letter in summed)",
        "return math.prod(shapes[stage.name])"),
    Bug("the values of the source are not counted", "costs",
        "source * config.kv_heads * (config.d_k + config.d_v)",
        "source * config.kv_heads * config.d_k"),
)  # fmt: skip
