"""Self-attention over latents: against ordinary attention with the same maps multiplied out,
expanded against absorbed, and its gradients by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import assert_close, some

from numtx import Batch, Cache, Config, Recorder, forward
from numtx.attention import AttentionInputs, token_streams
from numtx.attention.latent import latent_attention_forward
from numtx.check.gradcheck import check_model, check_stages, with_gradient
from numtx.check.verify import verify
from numtx.masks import Mask, allowed
from numtx.models import parameters_of
from numtx.ops.positions import rotation
from numtx.parameters import parameter_shapes
from numtx.place import Place
from numtx.step import step
from numtx.tap import NO_TAP
from numtx.trace.trace import record

FIELDS: dict[str, Any] = {
    "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 3, "key_width": 6,
    "value_width": 5, "hidden": 7, "vocabulary": 11, "key_value_latent": 4, "positions": "rotary",
    "rotary_width": 2, "norm_place": "pre", "activation": "gelu",
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"positions": "sinusoidal", "rotary_width": None},
    "rotary": {},
    "query latent": {"query_latent": 10, "rotary_layout": "interleaved"},
    "wide rotary part": {"query_latent": 10, "rotary_width": 12, "score_scale": 0.7},
    "window": {"window": 2},
}
MASK = np.array([[True, True, True, True], [False, True, True, False]])


def latent_model(kind: str, **fields: Any) -> tuple[Config, dict[str, np.ndarray]]:
    config = Config(**{**FIELDS, **KINDS[kind], **fields})
    return config, parameters_of(config, 7)


def some_batch() -> Batch:
    ids = np.array([[3, 10, 3, 7], [0, 5, 9, 2]])
    return Batch(ids, mask=MASK, labels=np.where(MASK, np.roll(ids, -1, 1), -100))


def multiplied_out(config: Config, own: dict[str, np.ndarray]) -> tuple[Config, dict[str, Any]]:
    """Ordinary multi-head attention with the same queries, keys and values: the rotated part
    leads, and every head has a copy of the one rotated key."""
    p, h = config.rotated, config.heads
    fields = {**config.to_dict(), "key_value_latent": None, "query_latent": None}
    fields |= {"key_width": p + config.d_k, "rotary_width": p or None}
    ordinary = Config(**{**fields, "biases": True})
    made = {}
    for name in parameter_shapes(ordinary):
        place, _, leaf = name.rpartition(".")
        latent = {n.rpartition(".")[2]: a for n, a in own.items() if n.startswith(f"{place}.")}
        kind, _, which = leaf.partition("_")
        if which not in ("q", "k", "v"):
            made[name] = own[name]
            continue
        rows = config.width if kind == "w" else 1
        down = latent.get(f"{kind}_dq", np.eye(rows, config.width) if kind == "w" else 0.0)
        up = latent["w_uq"] if "w_uq" in latent else latent["w_q"]
        if which == "q":
            asked = np.broadcast_to(down, (rows, len(up)))
            parts = [asked @ latent["w_qr"]] if p else []
            parts.append(asked @ up)
        elif which == "k":
            parts = [np.tile(latent[f"{kind}_kr"].reshape(rows, -1), (1, h))] if p else []
            parts.append(latent[f"{kind}_dkv"] @ latent["w_uk"])
        else:
            parts = [latent[f"{kind}_dkv"] @ latent["w_uv"]]
        heads = [part.reshape(rows, h, -1) for part in parts]
        joined = np.concatenate(heads, -1).reshape(rows, -1)
        made[name] = joined if kind == "w" else joined[0]
    return ordinary, made


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_ordinary_keys_and_values(kind):
    """Law V3: the same expanded, in a full pass and in prefill and decode from its own cache."""
    config, own = latent_model(kind)
    ordinary, made = multiplied_out(config, own)
    expected = forward(ordinary, made, some_batch())[0].logits
    assert_close(forward(config, own, some_batch())[0].logits, expected)
    cache, start, found = Cache(config, own, 2), 0, []
    for length in (2, 1, 1):
        part = slice(start, start + length)
        piece = Batch(some_batch().ids[:, part], mask=MASK[:, part])
        found.append(step(config, own, piece, cache, every_position=True).logits)
        start += length
    assert_close(np.concatenate(found, 1), expected)
    streams = token_streams(config)
    width = config.key_value_latent + config.rotated
    assert sum(np.prod(shape) for shape in streams.values()) == width
    assert cache.numbers == 2 * 2 * 4 * width  # layers, rows, tokens


@pytest.mark.parametrize("tapped", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_expanded_equals_absorbed(kind, tapped):
    config, own = latent_model(kind)
    x = np.random.default_rng(3).standard_normal((2, 4, config.width))
    places = np.cumsum(MASK, 1) - 1
    mask = allowed(
        MASK, 4, causal=True, window=config.window,
        query_positions=places, key_positions=places,
    )  # fmt: skip
    rotary = None
    if config.rotated:
        rotary = rotation(places, config.rotated, 10000.0, config.rotary_layout, "float64")
    recorders = [Recorder() if tapped else NO_TAP for _ in range(2)]
    one, other = (Place(own, tap, prefix="decoder.0.self_attention.") for tap in recorders)
    inputs = AttentionInputs(mask, rotary)
    stored = inputs.kept_in(lambda **streams: streams)
    naive, context = latent_attention_forward(config, one, x, x, inputs)
    kept, none = latent_attention_forward(config, other, x, x, stored)
    assert context is not None and none is None
    np.testing.assert_allclose(kept, naive, rtol=0.0, atol=1e-10)
    if tapped:
        first, second = (recorder.values for recorder in recorders)
        for name in ("queries", "latent", "products", "scores", "weights", "context", "output"):
            np.testing.assert_allclose(second[name], first[name], rtol=0.0, atol=1e-10)
        assert "keys" in first and "keys" not in second and "values" not in second


def test_a_query_that_may_attend_to_nothing_and_content_that_nobody_attends_to():
    config, own = latent_model("query latent")
    generator = np.random.default_rng(4)
    x = generator.standard_normal((1, 4, config.width))
    seen = np.tri(4, dtype=bool)[None, None].repeat(3, 1)
    seen[..., 1] = False  # key 1 is attended to by nobody
    seen[:, :, 0] = False  # query 0 attends to nothing
    mask = Mask(seen, np.array([[True, False, True, True]]))
    rotary = rotation(np.arange(4)[None], 2, 10000.0, "half", "float64")
    changed = x.copy()
    changed[0, 1] = 1e6
    for store in (None, lambda **streams: streams):
        recorder = Recorder()
        inputs = AttentionInputs(mask, rotary, store=store)
        at = Place(own, recorder, prefix="decoder.0.self_attention.")
        output, _ = latent_attention_forward(config, at, x, x, inputs)
        assert not recorder.values["weights"][:, :, 0].any()
        assert not recorder.values["context"][:, :, 0].any()
        at = Place(own, prefix="decoder.0.self_attention.")
        got, _ = latent_attention_forward(config, at, changed, changed, inputs)
        assert np.array_equal(got[0, [0, 2, 3]], output[0, [0, 2, 3]])


@pytest.mark.parametrize("kind", some(2, __name__, KINDS))
def test_gradients_by_central_differences(kind):
    config, own = latent_model(kind)
    report = check_model(config, own, some_batch(), samples=6)
    assert report.ok, str(report.worst)
    stages = with_gradient(config, own, some_batch())
    mine = [name for name in stages if name.startswith("decoder.0.self_attention")]
    assert {"latent", "keys", "values"} <= {name.rpartition(".")[2] for name in mine}
    report = check_stages(config, own, some_batch(), mine, samples=2)
    assert report.ok, str(report.worst)


def test_both_sides_of_an_encoder_decoder_and_its_oracle():
    fields = {"model": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1}
    config, own = latent_model("query latent", **fields)
    both = Batch(
        some_batch().ids, np.array([[1, 2, 3], [4, 4, 0]]), mask=MASK, labels=[[1] * 3] * 2
    )
    assert "encoder.0.self_attention.w_dkv" in own
    assert "decoder.0.cross_attention.w_k" in own
    trace = record(config, own, both, cotangent=1.3)
    report = verify(trace)
    assert report.ok, str(report.wrong[:3])
    assert "decoder.0.cross_attention.keys" in trace.gradients
    assert "encoder.0.self_attention.latent" in trace.gradients
