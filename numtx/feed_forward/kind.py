"""What a kind of feed-forward sublayer is: one record, made in the file of that kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..config import Config
from ..place import Place, Shapes
from ..shapes import Array


class FeedForwardKind(NamedTuple):
    """One kind of feed-forward sublayer.

    parameters  config -> names and shapes
    forward     config, at, x [B, T, d] -> output [B, T, d], context
    backward    doutput, context, at -> dx
    token_cost  config -> multiply-adds that one token takes
    """

    parameters: Callable[[Config], Shapes]
    forward: Callable[[Config, Place, Array], tuple[Array, Any]]
    backward: Callable[[Array, Any, Place], Array]
    token_cost: Callable[[Config], int]
