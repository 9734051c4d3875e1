"""The norm of queries and keys: their RMS is brought to 1, head by head (Dehghani et al., 2023)
or over all heads of a token together (OLMo team, 2025), then times a gain where there is one."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Config
from ..ops.attend import zero_unattended
from ..ops.heads import merge_heads, split_heads
from ..ops.norm import NormContext, norm_backward
from ..place import Place, Shapes
from ..shapes import Array
from ..small_repr import small_repr


@small_repr()
class NormsContext(NamedTuple):
    queries: NormContext
    keys: NormContext
    after: bool  # the rotation


def gains(config: Config) -> Shapes:
    """One number a component: of a head, or of the whole projection"""
    if config.query_key_norm is not None and config.query_key_gain:
        whole = config.query_key_norm == "projection"
        yield "query_norm.gain", (config.d_k * (config.heads if whole else 1),)
        yield "key_norm.gain", (config.d_k * (config.kv_heads if whole else 1),)


def norms_forward(
    config: Config, at: Place, queries: Array, keys: Array | None
) -> tuple[Array, Array | None, NormsContext | None]:
    """Q^ = Q / rms(Q) * gain, K^ = K / rms(K) * gain    [B, H, T, k], [B, G, S, k] kept

    keys  None: they are known already, and there is no context for a backward pass
    """
    queries, query_norm = _norm(config, at, queries, "query_norm")
    queries = at("normed_queries", queries)
    if keys is None:
        return queries, None, None
    keys, key_norm = _norm(config, at, keys, "key_norm")
    keys = at("normed_keys", keys)
    after = config.query_key_norm_place == "after"
    return queries, keys, NormsContext(query_norm, key_norm, after)


def norms_backward(
    dqueries: Array, dkeys: Array, context: NormsContext, at: Place
) -> tuple[Array, Array]:
    """Q^ = Q / rms(Q) * gain, K^ = K / rms(K) * gain    =>    dQ, dK"""
    dqueries = at.grad("normed_queries", dqueries)
    dqueries = _norm_backward(dqueries, context.queries, at, "query_norm")
    dkeys = _norm_backward(at.grad("normed_keys", dkeys), context.keys, at, "key_norm")
    return dqueries, dkeys


def without_unattended(context: NormsContext, live: Array) -> NormsContext:
    """For dgain = sum of dkeys * normal: no NaN of keys that nobody looks at."""
    normal, inverse = (zero_unattended(a, live) for a in context.keys[:2])
    return context._replace(keys=context.keys._replace(normal=normal, inverse=inverse))


def _norm(config: Config, at: Place, x: Array, name: str) -> tuple[Array, NormContext]:
    if config.query_key_norm == "head":
        return at.norm(x, config, name, centred=False)
    y, context = at.norm(merge_heads(x), config, name, centred=False)
    return split_heads(y, x.shape[1]), context


def _norm_backward(dy: Array, context: NormContext, at: Place, name: str) -> Array:
    whole = context.normal.ndim == 3
    dx, dgain, _ = norm_backward(merge_heads(dy) if whole else dy, context)
    if dgain is not None:
        at.add(f"{name}.gain", dgain)
    return split_heads(dx, dy.shape[1]) if whole else dx
