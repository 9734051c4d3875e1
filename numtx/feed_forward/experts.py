"""Experts: of several feed-forward layers a router chooses a few for every token.

    output = sum over the chosen of weight * expert(x), + shared(x) where experts are shared

The choice is constant in the backward pass: gradient goes through the weights, and through the
scores from which they are made (Shazeer et al., 2017).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..errors import StageError
from ..ops.linear import LinearContext, linear_backward, linear_forward
from ..ops.softmax import softmax_backward, softmax_forward
from ..place import Place, Shapes
from ..shapes import Array
from ..small_repr import small_repr
from .dense import DENSE, dense_cost, dense_parameters
from .kind import FeedForwardKind
from .routing import (
    SMALLEST_SUM,
    Groups,
    RouteContext,
    by_expert,
    choose_forward,
    expert_backward,
    expert_forward,
    keep_groups,
    route_backward,
    route_forward,
    sigmoid_forward,
)


def _parameters(config: Config) -> Shapes:
    """Those of the router; those of a dense layer, with an axis of the experts; those shared"""
    assert config.experts is not None
    yield "router.w", (config.width, config.experts)
    if config.routing.bias:
        yield "router.b", (config.experts,)
    if config.routing.correction:
        yield "router.correction", (config.experts,)
    for name, shape in dense_parameters(config, config.expert_width):
        yield f"experts.{name}", (config.experts, *shape)
    if config.shared_experts is not None:
        for name, shape in dense_parameters(config, config.shared_width):
            yield f"shared.{name}", shape


class ExpertPlace(Place):
    """The place of all experts: a linear map takes every row through the expert that it chose."""

    __slots__ = ("groups",)

    def __init__(self, at: Place, groups: Groups) -> None:
        below = at / "experts"
        super().__init__(below.parameters, below.tap, below.gradients, below.prefix)
        self.groups = groups

    def linear(self, x: Array, letter: str) -> tuple[Array, LinearContext]:
        known, prefix = self.parameters, self.prefix
        w, b = known[f"{prefix}w_{letter}"], known.get(f"{prefix}b_{letter}")
        return expert_forward(x, w, b, self.groups), LinearContext(x, w, b is not None)

    def linear_backward(self, dy: Array, context: LinearContext, letter: str) -> Array:
        dx, dw, db = expert_backward(dy, context.x, context.w, self.groups)
        self.add(f"w_{letter}", dw)
        if context.biased:
            self.add(f"b_{letter}", db)
        return dx


@small_repr()
class RouterContext(NamedTuple):
    logits: LinearContext
    kind: str
    shares: Array  # softmax of the logits, before any pin; the slope of their sigmoid
    route: RouteContext
    correction: Array | None


@small_repr()
class ExpertsContext(NamedTuple):
    x: Array
    router: RouterContext
    groups: Groups
    weights: Array  # [B, K, T, 1]
    experts: Any
    output: Array | None  # of each expert [B, K, T, d], where a weight multiplies it
    shared: Any


def _forward(config: Config, at: Place, x: Array) -> tuple[Array, ExpertsContext]:
    """[B, T, d] -> for each of K choices [B, K, T, d] -> [B, T, d]"""
    chosen, weights, router = _router_forward(config, at / "router", x)
    by_choice = chosen.swapaxes(1, 2)
    weights = weights.swapaxes(1, 2)[..., None]
    groups = by_expert(by_choice)
    here = ExpertPlace(at, groups)
    each = np.broadcast_to(x[:, None], (*by_choice.shape, x.shape[-1]))
    output = None
    if config.routing.weight_on == "input":
        each = here("input", weights * each)
        mixed, inner = DENSE.forward(config, here, each)
        y = np.add.reduce(mixed, 1)
    else:
        output, inner = DENSE.forward(config, here, each)
        y = np.add.reduce(weights * output, 1)
    y, shared = at("routed", y), None
    if config.shared_experts is not None:
        beside, shared = DENSE.forward(config, at / "shared", x)
        y = y + beside
    return at("output", y), ExpertsContext(x, router, groups, weights, inner, output, shared)


def _backward(doutput: Array, context: ExpertsContext, at: Place) -> Array:
    """output = sum of weights * experts(x) + shared(x)    =>    dx"""
    x, router, groups, weights, inner, output, shared = context
    here = ExpertPlace(at, groups)
    dy = at.grad("output", doutput)
    dx = None if shared is None else DENSE.backward(dy, shared, at / "shared")
    dy = at.grad("routed", dy)
    if output is not None:
        deach = DENSE.backward(weights * dy[:, None], inner, here)
        dweights = np.vecdot(output, dy[:, None])
    else:
        each = np.broadcast_to(dy[:, None], (*weights.shape[:-1], dy.shape[-1]))
        deach = here.grad("input", DENSE.backward(each, inner, here))
        dweights = np.vecdot(deach, x[:, None])
        deach = weights * deach
    dchosen = _router_backward(dweights.swapaxes(1, 2), router, at / "router")
    dx = dchosen if dx is None else dx + dchosen
    back: Array = dx + np.add.reduce(deach, 1)
    return back


def _router_forward(config: Config, at: Place, x: Array) -> tuple[Array, Array, RouterContext]:
    """Who is chosen, and with what weight    [B, T, d] -> [B, T, K], [B, T, K]"""
    router = config.routing
    logits, into = linear_forward(x, at["w"], at["b"] if router.bias else None)
    scores = shares = logits = at("logits", logits)
    how, room = "divided" if router.renormalised else "kept", 0.0
    if router.kind == "softmax":
        shares = softmax_forward(logits)
        scores = at("scores", shares)
    elif router.kind == "sigmoid":
        scores, shares = sigmoid_forward(logits)
        scores, room = at("scores", scores), SMALLEST_SUM
    else:
        how = "softmax"
    correction = at["correction"] if router.correction else None
    choice = scores if correction is None else scores + correction
    if router.best:
        choice = keep_groups(choice, router.groups, router.groups_kept, router.best)
    chosen = at("chosen", choose_forward(choice, config.experts_chosen))
    if at.tap.active:  # a pin may hold any number
        _check_chosen(f"{at.prefix}chosen", chosen, scores.shape[-1])
    weights, route = route_forward(scores, chosen, how, router.factor, room)
    weights = at("weights", weights)
    return chosen, weights, RouterContext(into, router.kind, shares, route, correction)


def _router_backward(dweights: Array, context: RouterContext, at: Place) -> Array:
    """weights = route(scores), scores = softmax or sigmoid of x·w + b    =>    dx"""
    into, kind, shares, route, correction = context
    dscores = route_backward(at.grad("weights", dweights), route)
    if kind != "chosen_softmax":
        dscores = at.grad("scores", dscores)
    if kind == "softmax":
        dscores = softmax_backward(dscores, shares)
    elif kind == "sigmoid":
        dscores = dscores * shares
    dx, dw, db = linear_backward(at.grad("logits", dscores), into)
    at.add("w", dw)
    if db is not None:
        at.add("b", db)
    if correction is not None:
        at.add("correction", np.zeros_like(correction))  # it moves the choice alone
    return dx


def _check_chosen(name: str, chosen: Array, experts: int) -> None:
    wrong = chosen[(chosen < 0) | (chosen >= experts)]
    if wrong.size:
        raise StageError(f"{name} has {wrong[0]}; experts are 0 to {experts - 1}")


def _token_cost(config: Config) -> int:
    """Of the router, of the chosen experts with their weights, and of those shared"""
    assert config.experts is not None
    one = dense_cost(config, config.expert_width) + config.width
    shared = dense_cost(config, config.shared_width)
    return config.width * config.experts + config.experts_chosen * one + shared


EXPERTS = FeedForwardKind(_parameters, _forward, _backward, _token_cost)
