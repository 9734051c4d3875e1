"""Attention, feed-forward layers and experts in PyTorch, with a switch for each mistake."""

from __future__ import annotations

from typing import Any

import torch
from planted_parts import (
    Net,
    activation,
    linear,
    normalise,
    rotate,
    softmax,
    value_with_gradient_of,
)
from torch import Tensor


def allowed(n: Net, valid: Tensor, queries: int, causal: bool, window: int | None) -> Tensor:
    """[B, T, S]"""
    s = valid.shape[1]
    t = torch.arange(s - queries, s)[:, None] - torch.arange(s)
    if n.has("mask at the upper left") and causal:
        t = t + 1
    see = torch.ones(queries, s, dtype=torch.bool)
    if causal and not n.has("mask missing", "not causal"):
        see &= t >= n.has("mask without itself") - n.has("mask one too many")
    if causal and n.has("mask transposed"):
        see = see.T
    if causal and window is not None and not n.has("window ignored"):
        far = window + n.has("window one too long") - n.has("window one too short")
        see &= t < far
    keys = valid[:, None, :]
    keys = valid.roll(1, 0)[:, None, :] if n.has("padding of another row") else keys
    keys = valid[:, :, None] if n.has("padding of queries") else keys
    keys = ~keys if n.has("padding inverted") else keys
    if n.has("mask missing", "padding forgotten"):
        return see.expand(len(valid), queries, s)
    return see & keys


def attend(n: Net, place: str, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, **given: Any) -> Any:
    """softmax(q k^T) v; heads behind the tokens, the context too."""
    share = q.shape[2] // k.shape[2]
    ways = (1, 1, share, 1)
    k, v = (
        x.repeat(ways) if n.has("heads tiled") else x.repeat_interleave(share, 2) for x in (k, v)
    )
    if n.has("grad: keys of one query head"):
        first = (torch.arange(q.shape[2]) % share == 0)[:, None]
        k = torch.where(first, k, k.detach())
    v = v.detach() if n.has("grad: values lost") else v
    scale = n.get("score_scale") or q.shape[-1] ** -0.5
    scale = {"scale missing": 1.0, "scale doubled": scale * scale, "scale by width":
             n.s["width"] ** -0.5, "scale turned over": 1 / scale}.get(n.wrong, scale)  # fmt: skip
    products = n.keep(f"{place}.products", torch.einsum("bthk,bshk->bhts", q, k))
    if n.has("cap before the scale"):
        products = n.s["score_cap"] * torch.tanh(products / n.s["score_cap"])
    scores = n.keep(f"{place}.scores", products * scale)
    if n.has("grad: scale missing"):
        scores = value_with_gradient_of(scores, products)
    cap = n.get("score_cap")
    if cap and not n.has("cap left out", "cap before the scale", "cap after the mask"):
        capped = cap * torch.tanh(scores / cap)
        if n.has("grad: cap's slope left out"):
            capped = value_with_gradient_of(capped, scores)
        scores = n.keep(f"{place}.capped_scores", capped)
    bias = given.get("bias")
    if bias is not None:
        scores = n.keep(f"{place}.biased_scores", scores + n.keep(f"{place}.bias", bias))
    mask = mask[:, None].expand_as(scores)
    n.out[f"{place}.mask"] = mask
    hidden = -1e-9 if n.has("-1e-9 for -inf") else -10.0 if n.has("-10 for -inf") else -torch.inf
    masked = torch.where(mask, scores, hidden)
    if n.has("hidden number added, -10"):
        masked = scores + torch.where(mask, 0.0, -10.0)
    if n.has("mask multiplied"):
        masked = scores * mask
    if n.has("cap after the mask"):
        masked = cap * torch.tanh(masked / cap)
    masked = n.keep(f"{place}.masked_scores", masked)
    sinks = n.p.get(f"{place}.sinks")
    axis = {"softmax over queries": 2, "softmax over heads": 1}.get(n.wrong, -1)
    if sinks is None or n.has("sink left out"):
        weights = softmax(n, masked, axis)
    else:
        one = sinks[:, None, None].expand(*masked.shape[:3], 1)
        one = torch.cat((one, one), -1) if n.has("sink twice") else one
        weights = softmax(n, torch.cat((masked, one), -1))[..., : masked.shape[-1]]
    if n.has("uniform in empty rows"):
        weights = torch.where(mask.any(-1, keepdim=True), weights, 1.0 / mask.shape[-1])
    if n.has("mask after the softmax"):
        weights = softmax(n, scores) * mask
    if n.has("dropout left on"):
        draw = torch.rand(weights.shape, generator=torch.Generator().manual_seed(3))
        weights = weights * (draw > 0.25) / 0.75
    weights = n.keep(f"{place}.weights", weights)
    return n.keep(f"{place}.context", torch.einsum("bhts,bshc->bthc", weights, v))


def merged(n: Net, place: str, context: Tensor) -> Tensor:
    b, t, h, c = context.shape
    flat = context.reshape(b, t, h * c)
    if n.has("heads merged without transposing"):
        flat = context.transpose(1, 2).reshape(b, t, h * c)
    if n.has("heads merged as (k, H)"):
        flat = context.transpose(2, 3).reshape(b, t, h * c)
    w, bias = n.p[f"{place}.w_o"], n.p.get(f"{place}.b_o")
    w = w.T if n.has("w_o transposed") else w
    y = flat @ w
    y = y if bias is None or n.has("b_o missing") else y + bias
    return n.keep(f"{place}.output", flat if n.has("w_o missing") else y)


def cut(n: Net, y: list[Tensor], heads: int) -> list[Tensor]:
    """Queries, keys and values from one fused product, cut in a wrong order."""
    fused = torch.cat(y, -1)
    b, t = fused.shape[:2]
    if n.has("fused cut per head"):
        parts = fused.reshape(b, t, heads, 3, -1)
        return [parts[..., i, :].flatten(2) for i in range(3)]
    order = {"fused as k, q, v": (1, 0, 2), "fused as v, k, q": (2, 1, 0),
             "fused as q, v, k": (0, 2, 1), "fused as k, v, q": (1, 2, 0)}[n.wrong]  # fmt: skip
    parts = fused.chunk(3, -1)
    return [parts[i] for i in order]


def attention(n: Net, place: str, x: Tensor, memory: Tensor, mask: Tensor, **given: Any) -> Tensor:
    h = n.s["heads"]
    g = n.get("key_value_heads") or h
    cross = "cross" in place
    if cross and n.has("cross attention of itself"):
        memory = given["own"]
    y = [linear(n, source, f"{place}.w_{c}", f"{place}.b_{c}") for c, source in
         (("q", x), ("k", memory), ("v", memory))]  # fmt: skip
    if n.has("k and v swapped"):
        y = [y[0], y[2], y[1]]
    if n.wrong.startswith("fused"):
        y = cut(n, y, h)
    if n.has("w_q transposed"):
        y[0] = x @ n.p[f"{place}.w_q"].T + n.p.get(f"{place}.b_q", torch.zeros(()))
    if n.has("b_q missing"):
        y[0] = linear(n, x, f"{place}.w_q")
    q, k, v = (z.unflatten(-1, (m, -1)) for z, m in zip(y, (h, g, g), strict=True))
    if n.has("heads split as (k, H)"):
        q, k, v = (
            z.unflatten(-1, (-1, m)).transpose(2, 3) for z, m in zip(y, (h, g, g), strict=True)
        )
    if n.has("heads split without transposing"):
        q, k, v = (
            z.reshape(len(z), m, z.shape[1], -1).transpose(1, 2)
            for z, m in zip(y, (h, g, g), strict=True)
        )
    for name, z in zip(("queries", "keys", "values"), (q, k, v), strict=True):
        n.keep(f"{place}.{name}", z)
    positions = given.get("positions")
    if positions is not None:
        turn = n.has("norm after the rotation")
        for step in ("rotate", "norm") if turn else ("norm", "rotate"):
            if step == "norm" and f"{place}.query_norm.gain" in n.p:
                q = normalise(n, q, f"{place}.query_norm", "rms")
                k = normalise(n, k, f"{place}.key_norm", "rms")
                n.keep(f"{place}.normed_queries", q), n.keep(f"{place}.normed_keys", k)
            elif step == "rotate" and not n.has("not rotated"):
                q = n.keep(f"{place}.rotated_queries", rotate(n, q, positions))
                if not n.has("keys not rotated"):
                    k = n.keep(f"{place}.rotated_keys", rotate(n, k, positions))
    if n.has("attention over the batch"):
        q, k, v = (z.transpose(0, 1) for z in (q, k, v))
        mask = torch.ones(len(q), q.shape[1], q.shape[1], dtype=torch.bool)
        quiet = Net(n.s, n.p, "")
        return merged(n, place, attend(quiet, place, q, k, v, mask).transpose(0, 1))
    return merged(n, place, attend(n, place, q, k, v, mask, bias=given.get("bias")))


def latent_attention(n: Net, place: str, x: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
    def keep(leaf: str, x: Tensor) -> Tensor:
        return n.keep(f"{place}.{leaf}", x)

    def heads(x: Tensor, w: str) -> Tensor:
        return linear(n, x, f"{place}.{w}").unflatten(-1, (n.s["heads"], -1))

    asking = keep("query_latent", linear(n, x, f"{place}.w_dq"))
    asking = normalise(n, asking, f"{place}.query_latent_norm", "rms")
    asking = keep("normed_query_latent", asking)
    q = keep("queries", heads(asking, "w_uq"))
    turned = rotate(n, keep("position_queries", heads(asking, "w_qr")), positions)
    turned = keep("rotated_queries", turned)
    known = keep("latent", linear(n, x, f"{place}.w_dkv"))
    known = keep("normed_latent", normalise(n, known, f"{place}.latent_norm", "rms"))
    key = keep("position_key", linear(n, x, f"{place}.w_kr"))
    if not n.has("position key not rotated"):
        key = keep("rotated_key", rotate(n, key, positions))
    k, v = keep("keys", heads(known, "w_uk")), keep("values", heads(known, "w_uv"))
    if n.has("scale without the rotated part"):
        n.s["score_scale"] = q.shape[-1] ** -0.5
    q = keep("full_queries", torch.cat((q, turned), -1))
    k = keep("full_keys", torch.cat((k, key[:, :, None].expand(-1, -1, k.shape[2], -1)), -1))
    return merged(n, place, attend(n, place, q, k, v, mask))


def feed_forward(n: Net, place: str, x: Tensor) -> Tensor:
    names = ("gate", "in") if n.has("gate and up swapped") else ("in", "gate")
    hidden = linear(n, x, f"{place}.w_{names[0]}", f"{place}.b_{names[0]}")
    hidden = n.keep(f"{place}.hidden", hidden)
    if not n.get("gated"):
        y = n.keep(f"{place}.activation", activation(n, hidden))
    else:
        gate = n.keep(f"{place}.gate", linear(n, x, f"{place}.w_{names[1]}"))
        if n.has("activation on up"):
            y = n.keep(f"{place}.activation", activation(n, hidden)) * gate
        else:
            active = n.keep(f"{place}.activation", activation(n, gate))
            active = active.detach() if n.has("grad: gate lost") else active
            y = active * hidden
        y = n.keep(f"{place}.gated", y)
    bias = "" if n.has("b_out missing") else f"{place}.b_out"
    return n.keep(f"{place}.output", linear(n, y, f"{place}.w_out", bias))


def experts(n: Net, place: str, x: Tensor) -> Tensor:
    """Every expert on every token, then those that are chosen."""
    router, count = n.s["router"], n.s["experts_chosen"]
    logits = n.keep(f"{place}.router.logits", linear(n, x, f"{place}.router.w"))
    sigmoid = router["kind"] == "sigmoid"
    sigmoid = not sigmoid if n.has("router's other function") else sigmoid
    scores = n.keep(f"{place}.router.scores", logits.sigmoid() if sigmoid else logits.softmax(-1))
    correction = n.p.get(f"{place}.router.correction")
    for_choice = scores if correction is None else scores + correction
    for_choice = scores if n.has("correction left out") else for_choice
    chosen = for_choice.topk(count, -1).indices
    n.out[f"{place}.router.chosen"] = chosen
    source = for_choice if n.has("correction in the weights") else scores
    weights = source.gather(-1, chosen)
    if n.has("softmax of the chosen alone"):
        weights = logits.gather(-1, chosen).softmax(-1)
    elif router["renormalised"] != n.has("weights not normalised"):
        weights = weights / weights.sum(-1, keepdim=True)
    if not n.has("factor of the router left out"):
        weights = weights * router.get("factor", 1.0)
    weights = n.keep(f"{place}.router.weights", weights)

    def through(name: str) -> Tensor:
        every = torch.einsum("btd,xdu->btxu", x, n.p[f"{place}.experts.{name}"])
        return every.gather(2, chosen[..., None].expand(*chosen.shape, every.shape[-1]))

    up = n.keep(f"{place}.experts.hidden", through("w_in").transpose(1, 2))
    gate = n.keep(f"{place}.experts.gate", through("w_gate").transpose(1, 2))
    active = n.keep(f"{place}.experts.activation", activation(n, gate))
    gated = n.keep(f"{place}.experts.gated", active * up)
    back = n.p[f"{place}.experts.w_out"][chosen].transpose(1, 2)
    each = n.keep(f"{place}.experts.output", torch.einsum("bmtu,bmtud->bmtd", gated, back))
    routed = n.keep(f"{place}.routed", torch.einsum("btm,bmtd->btd", weights, each))
    shared = feed_forward(n, f"{place}.shared", x)
    return n.keep(f"{place}.output", routed if n.has("shared expert left out") else routed + shared)
