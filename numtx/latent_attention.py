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
from .tap import Tap


class LatentContext(NamedTuple):
    query_down: LinearContext | None
    query_map: LinearContext
    down: LinearContext
    key_map: LinearContext
    value_map: LinearContext
    turned: tuple[LinearContext, LinearContext, Rotation] | None  # of queries, of the key
    out: LinearContext | None
    look: AttendContext
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
    if rotation is not None:
        flat, turn_map = linear_forward(source, p["w_qr"])
        turned_queries = tap("position_queries", split_heads(flat, config.heads))
    latent, down = linear_forward(x, p["w_dkv"])
    latent = tap("latent", latent)
    if store is None:
        flat, key_map = linear_forward(latent, p["w_uk"])
        keys = tap("keys", split_heads(flat, config.heads))
        flat, value_map = linear_forward(latent, p["w_uv"])
        values = tap("values", split_heads(flat, config.heads))
    new = {"latent": latent}
    if rotation is not None:
        flat, key_turn_map = linear_forward(x, p["w_kr"])
        turned_key = tap("position_key", flat)
        turned_queries = tap("rotated_queries", rotate_forward(turned_queries, rotation))
        turned_key = rotate_forward(turned_key[:, None], rotation)[:, 0]
        new["rotated_key"] = tap("rotated_key", turned_key)
    if store is not None:
        turned = turned_queries if rotation is not None else None
        context = absorbed(config, p, queries, turned, store(**new), mask, tap)
    else:
        if rotation is not None:
            queries = tap("full_queries", np.concatenate((queries, turned_queries), -1))
            shared = np.broadcast_to(new["rotated_key"][:, None], turned_queries.shape)
            keys = tap("full_keys", np.concatenate((keys, shared), -1))
        context, look = attend_forward(queries, keys, values, mask, config.latent_scale, tap)
    merged, out = merge_heads(context), None
    if "w_o" in p:
        merged, out = linear_forward(merged, p["w_o"], p.get("b_o"))
    output = tap("output", merged)
    if store is not None:
        return output, None
    clean = without_junk(x, look.live)  # for the backward pass: dw = x^T·dy, and 0 * NaN is NaN
    clean_latent = without_junk(latent, look.live)
    return output, LatentContext(
        query_down, query_map, down._replace(x=clean), key_map._replace(x=clean_latent),
        value_map._replace(x=clean_latent),
        None if rotation is None else (turn_map, key_turn_map._replace(x=clean), rotation),
        out, look, config.heads,
    )  # fmt: skip


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
    dqueries, dkeys, dvalues = attend_backward(split_heads(dmerged, c.heads), c.look, tap)
    if c.turned is not None:
        turn_map, key_turn_map, rotation = c.turned
        dkeys, dturned_keys = _parted(tap.grad("full_keys", dkeys), rotation)
        dqueries, dturned_queries = _parted(tap.grad("full_queries", dqueries), rotation)
        dturned_key = tap.grad("rotated_key", np.add.reduce(dturned_keys, 1))  # all heads share it
        dturned_key = rotate_backward(dturned_key[:, None], rotation)[:, 0]
        dturned_queries = tap.grad("rotated_queries", dturned_queries)
        dturned_queries = rotate_backward(dturned_queries, rotation)
        dx_key, dw, _ = linear_backward(tap.grad("position_key", dturned_key), key_turn_map)
        gradients.add("w_kr", dw)
    dlatent, dw, _ = linear_backward(merge_heads(tap.grad("values", dvalues)), c.value_map)
    gradients.add("w_uv", dw)
    dlatent_keys, dw, _ = linear_backward(merge_heads(tap.grad("keys", dkeys)), c.key_map)
    gradients.add("w_uk", dw)
    dx, dw, _ = linear_backward(tap.grad("latent", dlatent + dlatent_keys), c.down)
    gradients.add("w_dkv", dw)
    if c.turned is not None:
        dx = dx + dx_key
        dturned_queries = tap.grad("position_queries", dturned_queries)
        dsource_turned, dw, _ = linear_backward(merge_heads(dturned_queries), turn_map)
        gradients.add("w_qr", dw)
    dsource, dw, _ = linear_backward(merge_heads(tap.grad("queries", dqueries)), c.query_map)
    gradients.add("w_q" if c.query_down is None else "w_uq", dw)
    if c.turned is not None:
        dsource = dsource + dsource_turned
    if c.query_down is not None:
        dsource, dw, _ = linear_backward(tap.grad("query_latent", dsource), c.query_down)
        gradients.add("w_dq", dw)
    return dx + dsource


def _parted(d: Array, rotation: Rotation) -> tuple[Array, Array]:
    """What stood side by side: the part without a position, and the rotated one."""
    width = d.shape[-1] - 2 * rotation.cosine.shape[-1]
    return d[..., :width], d[..., width:]
