"""Attention: queries look at keys, and take what they find from the values.

Self-attention and cross-attention are one function; they differ in where keys and values
come from (`memory`) and in their mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

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

# A layer's place in a cache: takes the streams of new tokens, gives those of all tokens.
Store: TypeAlias = Callable[..., Mapping[str, Array]]


def token_streams(config: Config) -> dict[str, tuple[int, ...]]:
    """What self-attention needs of a token that later ones look at: name -> its axes, without
    that of the tokens, which stands before the last"""
    if config.key_value_latent is not None:
        streams: dict[str, tuple[int, ...]] = {"latent": (config.key_value_latent,)}
        if config.rotated:
            streams["rotated_key"] = (config.rotated,)
        return streams
    return {"keys": (config.kv_heads, config.d_k), "values": (config.kv_heads, config.d_v)}


@small_repr()
class AttentionContext(NamedTuple):
    query_map: LinearContext
    key_map: LinearContext
    value_map: LinearContext
    out: LinearContext | None
    look: AttendContext
    rotation: Rotation | None


def attention_forward(
    config: Config,
    p: Scope,
    x: Array,
    memory: Array | None,
    mask: Mask,
    rotation: Rotation | None,
    store: Store | None,
    tap: Tap,
) -> tuple[Array, AttentionContext | None]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O

    Q = x·W_Q, K = memory·W_K, V = memory·W_V    [B, T, d], [B, S, d] -> [B, T, d]

    x         [B, T, d], what asks (normalised already, where the block is pre-norm)
    memory    [B, S, d], what is looked at: x itself, or the encoder's output; None where
              the store has its keys and values already
    mask      who may attend to whom; a query that may attend to nothing has weights 0
    rotation  rotary positions of queries and keys, in self-attention, or None
    store     where keys and values of earlier calls are kept, and these are added; the
              queries then look at all of them, and there is no context for a backward pass

    Source: Vaswani et al., 2017, section 3.2. Without W_O the heads are only set side by side.
    """
    flat, query_map = linear_forward(x, p["w_q"], p.get("b_q"))
    queries = tap("queries", split_heads(flat, config.heads))
    new: dict[str, Array] = {}
    if memory is not None:
        flat, key_map = linear_forward(memory, p["w_k"], p.get("b_k"))
        keys = tap("keys", split_heads(flat, config.kv_heads))
        flat, value_map = linear_forward(memory, p["w_v"], p.get("b_v"))
        values = tap("values", split_heads(flat, config.kv_heads))
        if rotation is not None:
            queries = tap("rotated_queries", rotate_forward(queries, rotation))
            keys = tap("rotated_keys", rotate_forward(keys, rotation))
        new = {"keys": keys, "values": values}
    if store is not None:
        every = store(**new)
        keys, values = tap("all_keys", every["keys"]), tap("all_values", every["values"])

    context, look = attend_forward(queries, keys, values, mask, config.scale, tap)
    merged, out = merge_heads(context), None
    if "w_o" in p:
        merged, out = linear_forward(merged, p["w_o"], p.get("b_o"))
    output = tap("output", merged)
    if store is not None or memory is None:
        return output, None
    if look.live is not None:  # for the backward pass: dw = memory^T·dkeys, and 0 * NaN is NaN
        clean = without_junk(memory, look.live)
        key_map, value_map = key_map._replace(x=clean), value_map._replace(x=clean)
    return output, AttentionContext(query_map, key_map, value_map, out, look, rotation)


def attention_backward(
    doutput: Array, context: AttentionContext, gradients: Gradients, tap: Tap
) -> tuple[Array, Array]:
    """output = concat(softmax(Q·K^T * scale, masked)·V)·W_O    =>    dx, dmemory

    In self-attention x and memory are the same array, and its gradient is the sum of both.
    """
    c = context
    dmerged = tap.grad("output", doutput)
    if c.out is not None:
        dmerged, dw, db = linear_backward(dmerged, c.out)
        gradients.add("w_o", dw)
        gradients.add("b_o", db)
    dcontext = split_heads(dmerged, c.look.queries.shape[1])
    dqueries, dkeys, dvalues = attend_backward(dcontext, c.look, tap)
    if c.rotation is not None:
        dqueries = rotate_backward(tap.grad("rotated_queries", dqueries), c.rotation)
        dkeys = rotate_backward(tap.grad("rotated_keys", dkeys), c.rotation)
    dvalues = tap.grad("values", dvalues)
    dkeys = tap.grad("keys", dkeys)
    dqueries = tap.grad("queries", dqueries)

    dx, dw, db = linear_backward(merge_heads(dqueries), c.query_map)
    gradients.add("w_q", dw)
    gradients.add("b_q", db)
    dmemory, dw, db = linear_backward(merge_heads(dkeys), c.key_map)
    gradients.add("w_k", dw)
    gradients.add("b_k", db)
    dvalue_memory, dw, db = linear_backward(merge_heads(dvalues), c.value_map)
    gradients.add("w_v", dw)
    gradients.add("b_v", db)
    return dx, dmemory + dvalue_memory
