"""Self-attention over latents: keys and values of all heads are made from one narrow vector a
token, and that vector alone is what a cache keeps.

    latent = x·W_DKV            keys = latent·W_UK            values = latent·W_UV

Rotary positions cannot stand between the latent and its keys, so they have a part of their own
beside d_k: d_r components of every query, and of one key that all heads share.

Source: Liu et al., 2024, "Multi-head latent attention", section 2.1. Left out: the norms of the
latents, and biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .attention import Store
from .config import Config
from .masks import Mask
from .ops.attend import AttendContext, attend_backward, attend_forward, without_junk
from .ops.heads import merge_heads, split_heads
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.positions import Rotation, rotate_backward, rotate_forward
from .parameters import Gradients, Scope
from .shapes import Array
from .small_repr import small_repr
from .tap import Tap


@small_repr()
class Expanded(NamedTuple):
    """What the backward pass needs of keys and values made from the latents."""

    key_map: LinearContext
    value_map: LinearContext
    look: AttendContext
    width: int  # d_k; what stands beside it is rotated


@small_repr()
class LatentContext(NamedTuple):
    query_down: LinearContext | None
    query_map: LinearContext
    down: LinearContext
    turned: tuple[LinearContext, LinearContext, Rotation] | None  # of queries, of the key
    expanded: Expanded
    out: LinearContext | None
    heads: int


def latent_attention_forward(
    config: Config,
    p: Scope,
    x: Array,
    mask: Mask,
    rotation: Rotation | None,
    store: Store | None,
    tap: Tap,
) -> tuple[Array, LatentContext | None]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O    [B, T, d] -> [B, T, d]

    Q = [c_q·W_UQ; R(c_q·W_QR)], K = [c·W_UK; R(x·W_KR)], V = c·W_UV, with c = x·W_DKV and
    c_q = x·W_DQ (or x itself)

    mask      who may attend to whom; a query that may attend to nothing has weights 0
    rotation  rotary positions, or None: there are no rotated parts then
    store     where the latents of earlier calls are kept, and these are added. The scores are
              then computed against the latents themselves (`absorbed`), and there is no context
              for a backward pass. Without a store they are expanded to ordinary keys and values
    """
    source, query_down = x, None
    if config.query_latent is not None:
        source, query_down = linear_forward(x, p["w_dq"])
        source = tap("query_latent", source)
    flat, query_map = linear_forward(source, p["w_q" if query_down is None else "w_uq"])
    queries = tap("queries", split_heads(flat, config.heads))
    turned_queries = turned = None
    if rotation is not None:
        flat, turn_map = linear_forward(source, p["w_qr"])
        turned_queries = tap("position_queries", split_heads(flat, config.heads))
        turned_queries = tap("rotated_queries", rotate_forward(turned_queries, rotation))
    latent, down = linear_forward(x, p["w_dkv"])
    new = {"latent": tap("latent", latent)}
    if rotation is not None:
        turned_key, key_turn_map = linear_forward(x, p["w_kr"])
        turned_key = tap("position_key", turned_key)
        turned_key = rotate_forward(turned_key[:, None], rotation)[:, 0]
        new["rotated_key"] = tap("rotated_key", turned_key)
        turned = turn_map, key_turn_map, rotation
    if store is not None:
        context = absorbed(config, p, queries, turned_queries, store(**new), mask, tap)
    else:
        context, known = expanded_forward(config, p, queries, turned_queries, new, mask, tap)
    merged, out = merge_heads(context), None
    if "w_o" in p:
        merged, out = linear_forward(merged, p["w_o"], p.get("b_o"))
    output = tap("output", merged)
    if store is not None:
        return output, None
    clean = without_junk(x, known.look.live)  # for dw = x^T·dy: 0 * NaN is NaN
    if rotation is not None:
        turned = turn_map, key_turn_map._replace(x=clean), rotation
    down = down._replace(x=clean)
    return output, LatentContext(query_down, query_map, down, turned, known, out, config.heads)


def latent_attention_backward(
    doutput: Array, context: LatentContext, gradients: Gradients, tap: Tap
) -> Array:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O    =>    dx, over all its paths"""
    c = context
    dmerged = tap.grad("output", doutput)
    if c.out is not None:
        dmerged, dw, db = linear_backward(dmerged, c.out)
        gradients.add("w_o", dw)
        gradients.add("b_o", db)
    dcontext = split_heads(dmerged, c.heads)
    dqueries, dlatent, dturned = expanded_backward(dcontext, c.expanded, gradients, tap)
    dx = dsource = None
    if c.turned is not None and dturned is not None:
        turn_map, key_turn_map, rotation = c.turned
        dturned_queries, dturned_key = dturned
        dturned_key = tap.grad("rotated_key", dturned_key)
        dturned_key = rotate_backward(dturned_key[:, None], rotation)[:, 0]
        dx, dw, _ = linear_backward(tap.grad("position_key", dturned_key), key_turn_map)
        gradients.add("w_kr", dw)
        dturned_queries = tap.grad("rotated_queries", dturned_queries)
        dturned_queries = rotate_backward(dturned_queries, rotation)
        dturned_queries = tap.grad("position_queries", dturned_queries)
        dsource, dw, _ = linear_backward(merge_heads(dturned_queries), turn_map)
        gradients.add("w_qr", dw)
    dx_latent, dw, _ = linear_backward(tap.grad("latent", dlatent), c.down)
    gradients.add("w_dkv", dw)
    dx = dx_latent if dx is None else dx + dx_latent
    dsource_queries, dw, _ = linear_backward(
        merge_heads(tap.grad("queries", dqueries)), c.query_map
    )
    gradients.add("w_q" if c.query_down is None else "w_uq", dw)
    dsource = dsource_queries if dsource is None else dsource + dsource_queries
    if c.query_down is not None:
        dsource, dw, _ = linear_backward(tap.grad("query_latent", dsource), c.query_down)
        gradients.add("w_dq", dw)
    return dx + dsource


def expanded_forward(
    config: Config,
    p: Scope,
    queries: Array,
    rotated_queries: Array | None,
    streams: Mapping[str, Array],
    mask: Mask,
    tap: Tap,
) -> tuple[Array, Expanded]:
    """context = softmax([Q; Q']·[c·W_UK; K']^T * scale, masked)·(c·W_UV)    -> [B, H, T, c]

    All heads share the rotated key K'.
    """
    latent = streams["latent"]
    flat, key_map = linear_forward(latent, p["w_uk"])
    keys = tap("keys", split_heads(flat, config.heads))
    flat, value_map = linear_forward(latent, p["w_uv"])
    values = tap("values", split_heads(flat, config.heads))
    if rotated_queries is not None:
        queries = tap("full_queries", np.concatenate((queries, rotated_queries), -1))
        shared = np.broadcast_to(streams["rotated_key"][:, None], rotated_queries.shape)
        keys = tap("full_keys", np.concatenate((keys, shared), -1))
    context, look = attend_forward(queries, keys, values, mask, config.latent_scale, tap)
    clean = without_junk(latent, look.live)
    key_map, value_map = key_map._replace(x=clean), value_map._replace(x=clean)
    return context, Expanded(key_map, value_map, look, config.d_k)


def expanded_backward(
    dcontext: Array, context: Expanded, gradients: Gradients, tap: Tap
) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """context = softmax([Q; Q']·[c·W_UK; K']^T * scale, masked)·(c·W_UV)
    =>    dQ, dc, and where there are rotated parts dQ' and dK', the latter over all heads"""
    c = context
    dqueries, dkeys, dvalues = attend_backward(dcontext, c.look, tap)
    dturned = None
    if c.look.queries.shape[-1] > c.width:
        dkeys = tap.grad("full_keys", dkeys)
        dqueries = tap.grad("full_queries", dqueries)
        dturned = dqueries[..., c.width :], np.add.reduce(dkeys[..., c.width :], 1)
        dqueries, dkeys = dqueries[..., : c.width], dkeys[..., : c.width]
    dvalue_latent, dw, _ = linear_backward(merge_heads(tap.grad("values", dvalues)), c.value_map)
    gradients.add("w_uv", dw)
    dkey_latent, dw, _ = linear_backward(merge_heads(tap.grad("keys", dkeys)), c.key_map)
    gradients.add("w_uk", dw)
    return dqueries, dkey_latent + dvalue_latent, dturned


def absorbed(
    config: Config,
    p: Scope,
    queries: Array,
    rotated_queries: Array | None,
    every: Mapping[str, Array],
    mask: Mask,
    tap: Tap,
) -> Array:
    """context = (softmax([Q·W_UK^T; Q']·[c; K']^T * scale, masked)·c)·W_UV    -> [B, H, T, c]

    The same numbers as with keys c·W_UK and values c·W_UV, for Q·(c·W_UK)^T = (Q·W_UK^T)·c^T:
    every head looks at the same latents c [B, S, r], and none is expanded.
    """
    latent = tap("all_latent", every["latent"])
    if rotated_queries is not None:
        rotated_key = tap("all_rotated_key", every["rotated_key"])
    up = p["w_uk"].reshape(-1, config.heads, config.d_k)  # [r, H, k]
    queries = tap("absorbed_queries", queries @ up.transpose(1, 2, 0))
    keys = latent
    if rotated_queries is not None:
        queries = tap("full_queries", np.concatenate((queries, rotated_queries), -1))
        keys = tap("full_keys", np.concatenate((latent, rotated_key), -1))
    mixed, _ = attend_forward(
        queries, keys[:, None], latent[:, None], mask, config.latent_scale, tap, "latent_context"
    )
    up = p["w_uv"].reshape(-1, config.heads, config.d_v)
    return tap("context", mixed @ up.transpose(1, 0, 2))
