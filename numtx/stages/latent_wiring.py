"""The stages of self-attention over latents: expanded to ordinary keys and values, or, with a
cache, with its queries taken to the latents (absorbed)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import catalogue as c

if TYPE_CHECKING:
    from .graph import Stage
    from .resolve import _Wiring


def latent_attention(wiring: _Wiring, place: str, start: str) -> Iterator[Stage]:
    config, stage, named = wiring.config, wiring.stage, wiring.named
    side = place.split(".")[0]
    cached, turned = wiring.cached, bool(config.rotated)
    other = f"{side}.all" if cached else side
    down = config.query_latent is not None
    roles = {"@input": start}
    where, turn = wiring.turning(side)
    if down:
        yield stage(place, c.QUERY_LATENT, roles, t=side)
    yield stage(place, c.UP_QUERIES if down else c.QUERIES, roles, t=side)
    if turned:
        yield stage(place, c.UP_POSITION_QUERIES if down else c.POSITION_QUERIES, roles, t=side)
        yield stage(place, c.TURNED_QUERIES, where, t=side, **turn)
    yield stage(place, c.LATENT, roles, s=side)
    if turned:
        yield stage(place, c.POSITION_KEY, roles, s=side)
        yield stage(place, c.ROTATED_KEY, where, s=side, **turn)
    queries, keys = "queries", "keys"
    if not cached:
        yield stage(place, c.UP_KEYS, s=side)
        yield stage(place, c.UP_VALUES, s=side)
    else:
        yield wiring.appended(place, c.ALL_LATENT, "latent", other)
        if turned:
            yield wiring.appended(place, c.ALL_ROTATED_KEY, "rotated_key", other)
        yield stage(place, c.ABSORBED_QUERIES, t=side)
        queries, keys = "absorbed_queries", "all_latent"
    if turned:
        key = "all_rotated_key" if cached else "rotated_key"
        both = tuple(named(f"{place}.{name}") for name in (queries, "rotated_queries"))
        leaf = c.ABSORBED_FULL_QUERIES if cached else c.FULL_QUERIES
        yield stage(place, leaf, {"@parts": both}, t=side, along="width")
        both = tuple(named(f"{place}.{name}") for name in (keys, key))
        leaf = c.ABSORBED_FULL_KEYS if cached else c.FULL_KEYS
        yield stage(place, leaf, {"@parts": both}, s=other, along="width")
        queries, keys = "full_queries", "full_keys"
    width = ("z" if turned else "r") if cached else ("e" if turned else "k")
    products = c.PRODUCTS._replace(
        specification=f"bht{width},b{'' if cached else 'g'}s{width}->bhts"
    )
    roles = {
        "@queries": named(f"{place}.{queries}"),
        "@keys": named(f"{place}.{keys}"),
        "@values": named(f"{place}.values"),
    }
    yield stage(place, products, roles, t=side, s=other)
    yield from wiring.looking(place, other, config.latent_scale, turned)
    if cached:
        yield stage(place, c.LATENT_CONTEXT, t=side, selective=True)
        yield stage(place, c.UP_CONTEXT, t=side)
    else:
        yield stage(place, c.CONTEXT, roles, t=side, selective=True)
    yield wiring.merged(place)
