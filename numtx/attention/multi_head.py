"""Multi-head attention: every head has queries of its own; keys and values may be shared by a
group of heads, or by all (multi-query).

Self-attention and cross-attention are one function; they differ in where keys and values
come from (`memory`) and in their mask.
"""

from __future__ import annotations

from typing import NamedTuple

from ..config import Config
from ..ops.attend import AttendContext, attend_backward, attend_forward, zero_unattended
from ..ops.heads import merge_heads, split_heads
from ..ops.linear import LinearContext
from ..ops.positions import Rotation, rotate_backward, rotate_forward
from ..ops.relative import Relative, relative_bias_backward
from ..place import Place, Shapes, projection
from ..shapes import Array
from ..small_repr import small_repr
from .kind import AttentionInputs, AttentionKind, output_backward, output_forward
from .query_key_norm import (
    NormsContext,
    gains,
    norms_backward,
    norms_forward,
    without_unattended,
)


def parameters(config: Config, projected: bool) -> Shapes:
    """W_Q, W_K, W_V, the gains of queries and keys, and W_O where the heads are projected"""
    yield from projection(config, "q", config.width, config.heads * config.d_k)
    yield from projection(config, "k", config.width, config.kv_heads * config.d_k)
    yield from projection(config, "v", config.width, config.kv_heads * config.d_v)
    yield from gains(config)
    if projected:
        yield from projection(config, "o", config.heads * config.d_v, config.width)


def streams(config: Config) -> dict[str, tuple[int, ...]]:
    """Keys and values of every group of heads"""
    return {"keys": (config.kv_heads, config.d_k), "values": (config.kv_heads, config.d_v)}


@small_repr()
class AttentionContext(NamedTuple):
    query_map: LinearContext
    key_map: LinearContext
    value_map: LinearContext
    out: LinearContext | None
    attended: AttendContext
    rotation: Rotation | None
    norms: NormsContext | None
    growth: Array | None
    relative: Relative | None


def attention_forward(
    config: Config, at: Place, x: Array, memory: Array | None, inputs: AttentionInputs
) -> tuple[Array, AttentionContext | None]:
    """output = concat(softmax(cap(Q·K^T * scale) + bias, masked)·V)·W_O

    Q = x·W_Q, K = memory·W_K, V = memory·W_V    [B, T, d], [B, S, d] -> [B, T, d]

    x       [B, T, d], what asks (normalised already, where the block is pre-norm)
    memory  [B, S, d], what is looked at: x itself, or the encoder's output; None where the
            store has its keys and values already
    inputs  with a store the queries look at the keys of all calls, and there is no context
            for a backward pass

    Source: Vaswani et al., 2017, section 3.2. Groups: Ainslie et al., 2023.
    """
    mask, rotation, bias, store, growth, relative = inputs
    flat, query_map = at.linear(x, "q")
    queries = at("queries", split_heads(flat, config.heads))  # [B, H, T, k]
    new: dict[str, Array] = {}
    norms = keys = None
    normed, place = config.query_key_norm is not None, config.query_key_norm_place
    if memory is not None:
        flat, key_map = at.linear(memory, "k")
        keys = at("keys", split_heads(flat, config.kv_heads))  # [B, G, S, k]
        flat, value_map = at.linear(memory, "v")
        values = at("values", split_heads(flat, config.kv_heads))  # [B, G, S, c]
    if normed and place == "before":
        queries, keys, norms = norms_forward(config, at, queries, keys)
    if keys is not None and rotation is not None:
        queries = at("rotated_queries", rotate_forward(queries, rotation))
        keys = at("rotated_keys", rotate_forward(keys, rotation))
    if normed and place == "after":
        queries, keys, norms = norms_forward(config, at, queries, keys)
    if keys is not None:
        new = {"keys": keys, "values": values}
    if growth is not None:
        queries = at("grown_queries", queries * growth)
    if store is not None:
        every = store(**new)
        keys, values = at("all_keys", every["keys"]), at("all_values", every["values"])
    assert keys is not None

    context, attended = attend_forward(
        queries, keys, values, mask, config.scale, at.tap, bias=bias, cap=config.score_cap,
        sinks=at["sinks"] if config.sinks and "sinks" in at else None,
    )  # fmt: skip
    output, out = output_forward(at, context)  # [B, H, T, c] -> [B, T, d]
    if store is not None or memory is None:
        return output, None
    if attended.live is not None:
        key_map, value_map = (attended_only(m, attended.live) for m in (key_map, value_map))
        norms = None if norms is None else without_unattended(norms, attended.live)
    return output, AttentionContext(
        query_map, key_map, value_map, out, attended, rotation, norms, growth, relative
    )  # fmt: skip


def attended_only(by: LinearContext, live: Array) -> LinearContext:
    """For the backward pass: dw = memory^T·dkeys, and 0 * NaN is NaN"""
    return by._replace(x=zero_unattended(by.x, live))


def attention_backward(doutput: Array, context: AttentionContext, at: Place) -> tuple[Array, Array]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O    =>    dx, dmemory"""
    query_map, key_map, value_map, out, attended, rotation, norms, growth, relative = context
    dcontext = output_backward(doutput, out, attended.inputs.queries.shape[1], at)
    dqueries, dkeys, dvalues, dsinks, dbias = attend_backward(
        dcontext, attended, at.tap, of_bias=relative is not None
    )
    if relative is not None and dbias is not None:
        dtable = relative_bias_backward(dbias, relative.buckets, relative.table)
        Place({}, gradients=at.gradients).add(relative.name, dtable)  # it is the stack's
    if dsinks is not None:
        at.add("sinks", dsinks)
    if growth is not None:
        dqueries = at.grad("grown_queries", dqueries) * growth
    if norms is not None and norms.after:
        dqueries, dkeys = norms_backward(dqueries, dkeys, norms, at)
    if rotation is not None:
        dqueries = rotate_backward(at.grad("rotated_queries", dqueries), rotation)
        dkeys = rotate_backward(at.grad("rotated_keys", dkeys), rotation)
    if norms is not None and not norms.after:
        dqueries, dkeys = norms_backward(dqueries, dkeys, norms, at)
    dvalues = at.grad("values", dvalues)
    dkeys = at.grad("keys", dkeys)
    dqueries = at.grad("queries", dqueries)

    dx = at.linear_backward(merge_heads(dqueries), query_map, "q")
    dkey_memory = at.linear_backward(merge_heads(dkeys), key_map, "k")
    dvalue_memory = at.linear_backward(merge_heads(dvalues), value_map, "v")
    return dx, dkey_memory + dvalue_memory


MULTI_HEAD = AttentionKind(parameters, streams, "keys", attention_forward, attention_backward)
