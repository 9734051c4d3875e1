"""Self-attention over latents: keys and values of all heads are made from one narrow vector a
token, and that vector alone is what a cache keeps.

    latent = x·W_DKV            keys = latent·W_UK            values = latent·W_UV

Rotary positions cannot stand between the latent and its keys, so they have a part of their own
beside d_k: d_r components of every query, and of one key that all heads share.

Source: Liu et al., 2024, "Multi-head latent attention", section 2.1; the norms of the latents and
the biases of the maps down are those of the released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..config import Config
from ..ops.attend import AttendContext, attend_backward, attend_forward, zero_unattended
from ..ops.heads import merge_heads, split_heads
from ..ops.linear import LinearContext
from ..ops.norm import NormContext
from ..ops.positions import Rotation, rotate_backward, rotate_forward
from ..place import Place, Shapes, projection
from ..shapes import Array
from ..small_repr import small_repr
from .kind import AttentionInputs, AttentionKind, output_backward, output_forward


def parameters(config: Config, projected: bool) -> Shapes:
    """Maps down to the latents and up to the heads, these without biases; W_O as elsewhere"""
    width, latent, heads = config.width, config.key_value_latent or 0, config.heads
    source = width
    if config.query_latent is not None:
        source = config.query_latent
        yield from projection(config, "dq", width, source)
        if config.latent_norm:
            yield "query_latent_norm.gain", (source,)
        yield "w_uq", (source, heads * config.d_k)
    else:
        yield "w_q", (width, heads * config.d_k)
    if config.rotated:
        yield "w_qr", (source, heads * config.rotated)
    yield from projection(config, "dkv", width, latent)
    if config.latent_norm:
        yield "latent_norm.gain", (latent,)
    yield "w_uk", (latent, heads * config.d_k)
    yield "w_uv", (latent, heads * config.d_v)
    if config.rotated:
        yield from projection(config, "kr", width, config.rotated)
    if projected:
        yield from projection(config, "o", heads * config.d_v, width)


def streams(config: Config) -> dict[str, tuple[int, ...]]:
    """The latent, and the rotated key that all heads share"""
    kept: dict[str, tuple[int, ...]] = {"latent": (config.key_value_latent or 0,)}
    if config.rotated:
        kept["rotated_key"] = (config.rotated,)
    return kept


@small_repr()
class Expanded(NamedTuple):
    """What the backward pass needs of keys and values made from the latents."""

    key_map: LinearContext
    value_map: LinearContext
    attended: AttendContext
    width: int  # d_k; what stands beside it is rotated


@small_repr()
class LatentContext(NamedTuple):
    query_down: LinearContext | None
    query_map: LinearContext
    down: LinearContext
    rotated: tuple[LinearContext, LinearContext, Rotation] | None  # of queries, of the key
    expanded: Expanded
    out: LinearContext | None
    heads: int
    norms: tuple[NormContext | None, NormContext | None]  # of the queries' latent, of the latent


def latent_attention_forward(
    config: Config, at: Place, x: Array, memory: Array | None, inputs: AttentionInputs
) -> tuple[Array, LatentContext | None]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O    [B, T, d] -> [B, T, d]

    With latent_norm both c and c_q are divided by their root mean square, times a gain.

    Q = [c_q·W_UQ; R(c_q·W_QR)], K = [c·W_UK; R(x·W_KR)], V = c·W_UV, with c = x·W_DKV and
    c_q = x·W_DQ (or x itself)

    memory  x itself: there is self-attention over latents only
    inputs  with a store of earlier latents the scores are computed against the latents
            themselves (`absorbed`), and there is no context for a backward pass; without one
            they are expanded to ordinary keys and values
    """
    rotation, store = inputs.rotation, inputs.store
    asking, query_down = x, None
    query_norm = norm = None
    if config.query_latent is not None:
        asking, query_down = at.linear(x, "dq")
        asking = at("query_latent", asking)  # [B, T, q]
        if config.latent_norm:
            asking, query_norm = at.norm(asking, config, "query_latent_norm", centred=False)
            asking = at("normed_query_latent", asking)
    flat, query_map = at.linear(asking, "q" if query_down is None else "uq")
    queries = at("queries", split_heads(flat, config.heads))  # [B, H, T, k]
    rotated_queries = rotated = None
    if rotation is not None:
        flat, rotary_query_map = at.linear(asking, "qr")
        rotated_queries = at("position_queries", split_heads(flat, config.heads))
        rotated_queries = at("rotated_queries", rotate_forward(rotated_queries, rotation))
    latent, down = at.linear(x, "dkv")
    latent = at("latent", latent)  # [B, S, r]
    if config.latent_norm:
        latent, norm = at.norm(latent, config, "latent_norm", centred=False)
        latent = at("normed_latent", latent)
    new = {"latent": latent}
    if rotation is not None:
        rotated_key, rotary_key_map = at.linear(x, "kr")
        rotated_key = at("position_key", rotated_key)  # [B, S, p]
        rotated_key = rotate_forward(rotated_key[:, None], rotation)[:, 0]
        new["rotated_key"] = at("rotated_key", rotated_key)
        rotated = rotary_query_map, rotary_key_map, rotation
    if store is not None:
        context = absorbed(config, at, (queries, rotated_queries), store(**new), inputs)
        return output_forward(at, context)[0], None
    context, known = expanded_forward(config, at, (queries, rotated_queries), new, inputs)
    output, out = output_forward(at, context)
    clean = zero_unattended(x, known.attended.live)  # for dw = x^T·dy: 0 * NaN is NaN
    if rotation is not None:
        rotated = rotary_query_map, rotary_key_map._replace(x=clean), rotation
    down = down._replace(x=clean)
    if norm is not None:  # and dgain = sum of dlatent * normal
        normal, inverse = (zero_unattended(a, known.attended.live) for a in norm[:2])
        norm = norm._replace(normal=normal, inverse=inverse)
    norms = query_norm, norm
    return output, LatentContext(
        query_down, query_map, down, rotated, known, out, config.heads, norms
    )


def latent_attention_backward(
    doutput: Array, context: LatentContext, at: Place
) -> tuple[Array, Array]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O
    =>    dx through the queries, and through keys and values"""
    query_down, query_map, down, rotated, known, out, heads, (query_norm, norm) = context
    dcontext = output_backward(doutput, out, heads, at)
    dqueries, dlatent, drotated = expanded_backward(dcontext, known, at)
    dasking = dmemory = None
    if rotated is not None and drotated is not None:
        rotary_query_map, rotary_key_map, rotation = rotated
        drotated_queries, drotated_key = drotated
        drotated_key = at.grad("rotated_key", drotated_key)
        drotated_key = rotate_backward(drotated_key[:, None], rotation)[:, 0]
        dmemory = at.linear_backward(at.grad("position_key", drotated_key), rotary_key_map, "kr")
        drotated_queries = at.grad("rotated_queries", drotated_queries)
        drotated_queries = rotate_backward(drotated_queries, rotation)
        drotated_queries = at.grad("position_queries", drotated_queries)
        dasking = at.linear_backward(merge_heads(drotated_queries), rotary_query_map, "qr")
    if norm is not None:
        dlatent = at.norm_backward(at.grad("normed_latent", dlatent), norm, "latent_norm")
    dlatent_memory = at.linear_backward(at.grad("latent", dlatent), down, "dkv")
    dmemory = dlatent_memory if dmemory is None else dmemory + dlatent_memory
    letters = "q" if query_down is None else "uq"
    dx = at.linear_backward(merge_heads(at.grad("queries", dqueries)), query_map, letters)
    dx = dx if dasking is None else dasking + dx
    if query_norm is not None:
        dx = at.grad("normed_query_latent", dx)
        dx = at.norm_backward(dx, query_norm, "query_latent_norm")
    if query_down is not None:
        dx = at.linear_backward(at.grad("query_latent", dx), query_down, "dq")
    return dx, dmemory


Queries = tuple[Array, Array | None]  # Q, and the rotated part Q' where there is one


def expanded_forward(
    config: Config, at: Place, asked: Queries, streams: Mapping[str, Array], inputs: AttentionInputs
) -> tuple[Array, Expanded]:
    """context = softmax([Q; Q']·[c·W_UK; K']^T * scale, masked)·(c·W_UV)    -> [B, H, T, c]

    All heads share the rotated key K'.
    """
    (queries, rotated_queries), mask, bias = asked, inputs.mask, inputs.bias
    latent = streams["latent"]
    flat, key_map = at.linear(latent, "uk")
    keys = at("keys", split_heads(flat, config.heads))  # [B, H, S, k]
    flat, value_map = at.linear(latent, "uv")
    values = at("values", split_heads(flat, config.heads))  # [B, H, S, c]
    if rotated_queries is not None:
        queries = at("full_queries", np.concatenate((queries, rotated_queries), -1))
        shared = np.broadcast_to(streams["rotated_key"][:, None], rotated_queries.shape)
        keys = at("full_keys", np.concatenate((keys, shared), -1))
    context, attended = attend_forward(
        queries, keys, values, mask, config.latent_scale, at.tap, bias=bias, cap=config.score_cap,
        sinks=at["sinks"] if config.sinks else None,
    )  # fmt: skip
    clean = zero_unattended(latent, attended.live)
    key_map, value_map = key_map._replace(x=clean), value_map._replace(x=clean)
    return context, Expanded(key_map, value_map, attended, config.d_k)


def expanded_backward(
    dcontext: Array, context: Expanded, at: Place
) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """context = softmax([Q; Q']·[c·W_UK; K']^T * scale, masked)·(c·W_UV)
    =>    dQ, dc, and where there are rotated parts dQ' and dK', the latter over all heads"""
    key_map, value_map, attended, width = context
    dqueries, dkeys, dvalues, dsinks, _ = attend_backward(dcontext, attended, at.tap)
    if dsinks is not None:
        at.add("sinks", dsinks)
    drotated = None
    if attended.inputs.queries.shape[-1] > width:
        dkeys = at.grad("full_keys", dkeys)
        dqueries = at.grad("full_queries", dqueries)
        drotated = dqueries[..., width:], np.add.reduce(dkeys[..., width:], 1)
        dqueries, dkeys = dqueries[..., :width], dkeys[..., :width]
    dvalue_latent = at.linear_backward(merge_heads(at.grad("values", dvalues)), value_map, "uv")
    dkey_latent = at.linear_backward(merge_heads(at.grad("keys", dkeys)), key_map, "uk")
    return dqueries, dkey_latent + dvalue_latent, drotated


def absorbed(
    config: Config, at: Place, asked: Queries, every: Mapping[str, Array], inputs: AttentionInputs
) -> Array:
    """context = (softmax([Q·W_UK^T; Q']·[c; K']^T * scale, masked)·c)·W_UV    -> [B, H, T, c]

    The same numbers as with keys c·W_UK and values c·W_UV, for Q·(c·W_UK)^T = (Q·W_UK^T)·c^T:
    every head looks at the same latents c [B, S, r], and none is expanded.
    """
    (queries, rotated_queries), mask, bias = asked, inputs.mask, inputs.bias
    keys = latent = at("all_latent", every["latent"])
    if rotated_queries is not None:
        rotated_key = at("all_rotated_key", every["rotated_key"])
    up = at["w_uk"].reshape(-1, config.heads, config.d_k)  # [r, H, k]
    queries = at("absorbed_queries", queries @ up.transpose(1, 2, 0))  # [B, H, T, r]
    if rotated_queries is not None:
        queries = at("full_queries", np.concatenate((queries, rotated_queries), -1))
        keys = at("full_keys", np.concatenate((latent, rotated_key), -1))
    mixed, _ = attend_forward(
        queries, keys[:, None], latent[:, None],
        mask, config.latent_scale, at.tap, bias=bias, name="latent_context", cap=config.score_cap,
        sinks=at["sinks"] if config.sinks else None,
    )  # fmt: skip
    up = at["w_uv"].reshape(-1, config.heads, config.d_v)
    return at("context", mixed @ up.transpose(1, 0, 2))


LATENT = AttentionKind(
    parameters, streams, "rotated_key", latent_attention_forward, latent_attention_backward
)
