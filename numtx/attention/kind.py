"""What a kind of attention is: one record, made in the file of that kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..config import Config
from ..masks import Mask
from ..ops.heads import merge_heads, split_heads
from ..ops.linear import LinearContext
from ..ops.positions import Rotation
from ..ops.relative import Relative
from ..place import Place, Shapes
from ..shapes import Array
from ..small_repr import small_repr

# A layer's place in a cache: takes the streams of new tokens, gives those of all tokens.
Store: TypeAlias = Callable[..., Mapping[str, Array]]


@small_repr()
class AttentionInputs(NamedTuple):
    """What an attention sublayer is given beside the vectors."""

    mask: Mask  # who may attend to whom; a query that may attend to nothing has weights 0
    rotation: Rotation | None = None  # rotary positions of queries and keys
    bias: Array | None = None  # [B, H, T, S], added to the scores
    store: Store | None = None  # streams of earlier calls, to which those of this call are added
    growth: Array | None = None  # [B, 1, T, 1], a factor on the queries
    relative: Relative | None = None  # where the bias is learned

    def kept_in(self, store: Store | None) -> AttentionInputs:
        """The same, with a layer's place in a cache."""
        mask, rotation, bias, _, growth, relative = self
        return AttentionInputs(mask, rotation, bias, store, growth, relative)


class AttentionKind(NamedTuple):
    """One kind of attention.

    parameters  config, and whether the sublayer has W_O -> names and shapes
    streams     config -> what it needs of a token that later ones look at: name -> its axes,
                without that of the tokens, which stands before the last
    rotated     the name of the stream that is turned where positions are rotary
    forward     config, at, x [B, T, d], memory [B, S, d], inputs -> output [B, T, d], context
    backward    doutput, context, at -> dx, dmemory; in self-attention x is the memory too, and
                its gradient is the sum of both
    """

    parameters: Callable[[Config, bool], Shapes]
    streams: Callable[[Config], dict[str, tuple[int, ...]]]
    rotated: str
    forward: Callable[[Config, Place, Array, Array | None, AttentionInputs], tuple[Array, Any]]
    backward: Callable[[Array, Any, Place], tuple[Array, Array]]


def output_forward(at: Place, context: Array) -> tuple[Array, LinearContext | None]:
    """output = concat(C)·W_O + b_o    [B, H, T, c] -> [B, T, d]

    Without W_O the heads are only set side by side.
    """
    output, out = merge_heads(context), None
    if "w_o" in at:
        output, out = at.linear(output, "o")
    return at("output", output), out


def output_backward(doutput: Array, out: LinearContext | None, heads: int, at: Place) -> Array:
    """output = concat(C)·W_O + b_o    =>    dC    [B, T, d] -> [B, H, T, c]"""
    dmerged = at.grad("output", doutput)
    if out is not None:
        dmerged = at.linear_backward(dmerged, out, "o")
    return split_heads(dmerged, heads)
