from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from samples import assert_close, central_difference, random_parameters

from numtx import NO_TAP, Config, Recorder
from numtx.attention import AttentionInputs
from numtx.attention.multi_head import attention_backward, attention_forward
from numtx.masks import Mask, allowed, live_keys
from numtx.ops.positions import rotation
from numtx.place import Place

BASE = Config(
    model="decoder-only", width=8, decoder_layers=1, heads=4, key_value_heads=2, key_width=6,
    value_width=5, hidden=7, vocabulary=11, positions="rotary", rotary_width=4,
)  # fmt: skip
PLACE = "decoder.0.self_attention."
B, T, S = 2, 3, 5


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def weights(config: Config = BASE) -> dict[str, np.ndarray]:
    p = random_parameters(config, 1)
    return {name.removeprefix(PLACE): p[name] for name in p if name.startswith(PLACE)}


def open_mask() -> Mask:
    valid = np.ones((B, S), bool)
    valid[1, 0] = False
    return allowed(valid, T, causal=True)


def run(config: Config = BASE, tap: Any = NO_TAP, **changes: Any) -> tuple[Any, Any]:
    given = {"x": draw(B, T, 8), "memory": draw(B, S, 8), "mask": open_mask(), "p": weights(config)}
    given |= changes
    at, inputs = Place(given["p"], tap), AttentionInputs(given["mask"])
    return attention_forward(config, at, given["x"], given["memory"], inputs)


def by_loops(config: Config, p: Any, x: Any, memory: Any, mask: Any) -> np.ndarray:
    """The formula, head by head and token by token."""
    output = np.zeros((B, T, 8))
    for b in range(B):
        for t in range(T):
            heads = []
            for h in range(config.heads):
                g = h // (config.heads // config.kv_heads)
                q = (x[b, t] @ p["w_q"] + p["b_q"])[h * 6 : h * 6 + 6]
                keys = [(m @ p["w_k"] + p["b_k"])[g * 6 : g * 6 + 6] for m in memory[b]]
                values = [(m @ p["w_v"] + p["b_v"])[g * 5 : g * 5 + 5] for m in memory[b]]
                seen = [s for s in range(S) if mask[b, 0, t, s]]
                powers = {s: math.exp(q @ keys[s] / math.sqrt(6.0)) for s in seen}
                total = sum(powers.values())
                heads.append(sum((powers[s] / total * values[s] for s in seen), np.zeros(5)))
            output[b, t] = np.concatenate(heads) @ p["w_o"] + p["b_o"]
    return output


def test_forward_by_the_formula():
    output, _ = run()
    right = by_loops(BASE, weights(), draw(B, T, 8), draw(B, S, 8), open_mask().allowed)
    assert_close(output, right, 1e-13)


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("rotated", [True, False])
def test_backward(projected, rotated):
    config = BASE
    if not projected:
        config = dataclasses.replace(BASE, value_width=2, output_projection_at=False)
    p, mask = weights(config), open_mask()
    x = draw(B, T, 8)
    where = np.array([[2, 3, 4], [1, 2, 3]])
    rotary = rotation(where, 4, 100.0, "half", "float64") if rotated else None
    if rotated:  # one rotation serves queries and keys: self-attention only
        mask = allowed(np.ones((B, T), bool), T, causal=True)
    memory = draw(B, T if rotated else S, 8)
    d = draw(B, T, 8, seed=2)
    inputs = AttentionInputs(mask, rotary)

    def f(x: Any, memory: Any, p: Any) -> float:
        return float((attention_forward(config, Place(p), x, memory, inputs)[0] * d).sum())

    at = Place(p)
    _, context = attention_forward(config, at, x, memory, inputs)
    dx, dmemory = attention_backward(d, context, at)
    assert_close(dx, central_difference(lambda a: f(a, memory, p), x), 1e-8)
    assert_close(dmemory, central_difference(lambda a: f(x, a, p), memory), 1e-8)
    assert set(at.gradients) == set(p) - {"norm.gain", "norm.bias"}
    for name, gradient in at.gradients.items():
        numeric = central_difference(lambda a, n=name: f(x, memory, {**p, n: a}), p[name])
        assert_close(gradient, numeric, 1e-8)


@pytest.mark.parametrize("content", [np.nan, np.inf, 1e200])
def test_what_nobody_may_see_has_no_effect(content):
    memory = draw(B, S, 8)
    clean, context = run(memory=memory)
    memory = memory.copy()
    memory[1, 0] = content
    d = draw(B, T, 8, seed=2)
    with np.errstate(invalid="ignore", over="ignore"):
        dirty, dirty_context = run(memory=memory)
        dx, dmemory = attention_backward(d, dirty_context, Place({}))
    assert (dirty == clean).all()
    right, dright = attention_backward(d, context, Place({}))
    assert (dx == right).all() and (dmemory == dright).all()
    assert not dmemory[1, 0].any()


def test_a_query_without_a_key():
    seen = open_mask().allowed.copy()
    seen[1, :, 1] = False
    recorder = Recorder()
    output, context = run(mask=Mask(seen, live_keys(seen)), tap=recorder)
    assert not recorder.values["weights"][1, :, 1].any()
    assert not recorder.values["context"][1, :, 1].any()
    assert (output[1, 1] == weights()["b_o"]).all()
    attention_backward(draw(B, T, 8), context, Place({}, recorder))
    for name in ("queries", "scores"):
        gradient = recorder.gradients[name]
        assert not gradient[1, :, 1].any() and gradient[1, :, 0].any()
        assert np.isfinite(gradient).all()
    plain, _ = run()
    others = np.ones((B, T), bool)
    others[1, 1] = False
    assert (output[others] == plain[others]).all()


def test_gradients_to_hidden_keys_and_values_are_exactly_zero():
    recorder = Recorder()
    _, context = run(tap=recorder)
    attention_backward(draw(B, T, 8), context, Place({}, recorder))
    assert not recorder.gradients["keys"][1, :, 0].any()
    assert not recorder.gradients["values"][1, :, 0].any()
    assert not recorder.gradients["scores"].swapaxes(0, 1)[:, ~open_mask().allowed[:, 0]].any()
    assert recorder.gradients["keys"][0, :, 0].any()


def test_context_lies_between_the_attended_values():
    recorder = Recorder()
    run(tap=recorder)
    context, values = recorder.values["context"], recorder.values["values"]
    for b, h, t in np.ndindex(B, 4, T):
        seen = values[b, h // 2][open_mask().allowed[b, 0, t]]
        assert (seen.min(0) - 1e-12 <= context[b, h, t]).all()
        assert (context[b, h, t] <= seen.max(0) + 1e-12).all()


def test_order_of_the_stages():
    recorder = Recorder()
    _, context = run(tap=recorder)
    assert list(recorder.values) == [
        "queries", "keys", "values", "products", "scores", "mask", "masked_scores", "weights",
        "context", "output",
    ]  # fmt: skip
    attention_backward(draw(B, T, 8), context, Place({}, recorder))
    assert set(recorder.gradients) == set(recorder.values) - {"mask"}
