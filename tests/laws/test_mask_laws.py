"""K1 to K8: what a mask hides has no effect, and what it shows has one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_models import (
    PAD,
    B,
    S,
    T,
    batch,
    causal_models,
    close,
    every_model,
    last_ids,
    logits,
    model,
    padded,
    parameters,
    run,
    with_last_ids,
)

from numtx import Config
from numtx.attention import AttentionInputs
from numtx.attention.multi_head import attention_backward, attention_forward
from numtx.masks import allowed, from_additive, inverted, to_additive
from numtx.ops.attend import mask_forward
from numtx.ops.softmax import softmax_backward, softmax_forward
from numtx.place import Place
from numtx.testing.exactness import same


def changed(tokens: np.ndarray, place: int) -> np.ndarray:
    """The same tokens with another one at a place of every row."""
    other = tokens.copy()
    other[:, place] = (other[:, place] + 1) % PAD
    return other


@causal_models
def test_k1_a_later_token_never_moves_an_earlier_output(config: Config) -> None:
    own, given = parameters(config), batch(config)
    tokens = last_ids(config, given)
    before = logits(config, own, with_last_ids(config, given, tokens))
    for place in range(1, tokens.shape[1]):
        after = logits(config, own, with_last_ids(config, given, changed(tokens, place)))
        assert same(after[:, :place], before[:, :place])


@causal_models
def test_k3_a_prefix_alone_gives_what_it_gives_in_the_whole(config: Config) -> None:
    own, given = parameters(config), batch(config)
    tokens = last_ids(config, given)
    whole = logits(config, own, with_last_ids(config, given, tokens))
    for length in range(1, tokens.shape[1]):
        part = logits(config, own, with_last_ids(config, given, tokens[:, :length]))
        assert close(part, whole[:, :length])


@every_model
def test_k4_k5_a_token_has_an_effect_exactly_as_far_as_it_reaches(config: Config) -> None:
    """With a window w and L layers it reaches L(w - 1) tokens, and only later ones if causal."""
    own, given = parameters(config), batch(config)
    tokens = last_ids(config, given)
    length = tokens.shape[1]
    reach = length if config.window is None else 2 * (config.window - 1)
    assert config.window is None or reach < S  # or the longer models would prove nothing
    before = logits(config, own, with_last_ids(config, given, tokens))
    for place in range(length):
        after = logits(config, own, with_last_ids(config, given, changed(tokens, place)))
        for query in range(length):
            far = abs(query - place) > reach
            future = config.model != "encoder-only" and query < place
            if far or future:
                assert same(after[:, query], before[:, query]), (place, query)
            else:
                moved = np.abs(after[:, query] - before[:, query]).max(-1)
                assert (moved > 1e-12).all(), (place, query)


@pytest.mark.parametrize("window", [None, 3])
def test_k4_k5_every_token_of_the_memory_reaches_every_output(window: int | None) -> None:
    """Its own stack has two-sided attention; cross-attention has no window."""
    config = model("encoder-decoder", "sinusoidal", window)
    own, given = parameters(config), batch(config)
    before = logits(config, own, given)
    for place in range(S):
        after = logits(config, own, replace(given, ids=changed(given.ids, place)))
        assert (np.abs(after - before).max(-1) > 1e-12).all()


@every_model
def test_k6_ids_under_padding_change_nothing(config: Config) -> None:
    own = parameters(config)
    given, real = padded(config)
    other = replace(given, ids=np.where(given.mask, given.ids, 4))
    if given.decoder_ids is not None:
        other = replace(other, decoder_ids=np.where(real, given.decoder_ids, 5))
    first, second = run(config, own, given), run(config, own, other)
    assert same(second["logits"][real], first["logits"][real])
    assert np.array_equal(second["loss"], first["loss"])
    for name in own:
        assert same(second.grad(f"parameters/{name}"), first.grad(f"parameters/{name}")), name


@every_model
@pytest.mark.parametrize("junk", [1e200, 1e100, 1e30, np.nan, -np.inf])
@pytest.mark.parametrize("norm", ["layer", None])
def test_k6_huge_and_broken_content_under_padding_changes_nothing(
    config: Config, norm: str | None, junk: float
) -> None:
    """The embedding of the padding token is junk: real outputs and every gradient stay."""
    config = replace(config, gated=True, norm=norm)
    given, real = padded(config)
    own = parameters(config)
    broken = dict(own)
    for name, table in own.items():
        if name.endswith("embedding"):
            broken[name] = table.copy()
            broken[name][PAD, ::2] = junk
            broken[name][PAD, 1::2] = -junk
    assert any(broken[name] is not own[name] for name in own)
    first, second = run(config, own, given), run(config, broken, given)
    assert same(second["logits"][real], first["logits"][real])
    assert np.array_equal(second["loss"], first["loss"])
    for name in own:
        assert same(second.grad(f"parameters/{name}"), first.grad(f"parameters/{name}")), name


@pytest.mark.parametrize("junk", [1e200, np.nan, np.inf])
def test_k6_junk_in_a_masked_memory_changes_nothing_in_both_passes(junk: float) -> None:
    """Attention by itself: rows of the memory that nobody may attend to are junk."""
    config = model("encoder-decoder", None, None)
    generator = np.random.default_rng(5)
    own = parameters(config)
    x, memory = generator.standard_normal((B, T, 8)), generator.standard_normal((B, S, 8))
    valid = np.ones((B, S), bool)
    valid[0, :2] = valid[1, -1] = False
    inputs = AttentionInputs(allowed(valid, config.heads, T))
    cotangent = generator.standard_normal((B, T, 8))
    results = []
    for content in (0.0, junk):
        source = np.where(valid[..., None], memory, content)
        at = Place(own, prefix="decoder.0.cross_attention.")
        with np.errstate(over="ignore", invalid="ignore"):  # products with the junk
            output, context = attention_forward(config, at, x, source, inputs)
            dx, dmemory = attention_backward(cotangent, context, at)
        assert (dmemory[~valid] == 0.0).all()
        results.append([output, dx, dmemory, *at.gradients.values()])
    assert len(results[0]) > 6
    for clean, dirty in zip(*results, strict=True):
        assert np.isfinite(dirty).all()
        assert np.array_equal(clean, dirty)


@every_model
def test_k7_a_row_with_no_key_has_nothing_and_others_stay(config: Config) -> None:
    """Left padding under a causal mask leaves the padded queries without any key: their
    weights and context are exactly 0, and so are the gradients of their queries and scores."""
    given, _ = padded(config)
    # Labels at padding too, so that a gradient does come back to the blind rows.
    given = replace(given, labels=np.where(given.labels < 0, 3, given.labels))
    trace = run(config, parameters(config), given)
    for name in (stage for stage in trace if stage.endswith(".mask") and stage.count(".") > 1):
        place = name.removesuffix(".mask")
        blind = ~trace[name].any(-1)
        causal = name.startswith("decoder") and "self" in name
        assert blind.any() == causal or config.window is not None, name
        for leaf in ("weights", "context"):
            assert (trace[f"{place}.{leaf}"][blind] == 0.0).all()
        for leaf in ("queries", "scores", "products", "masked_scores"):
            assert (trace.grad(f"{place}.{leaf}")[blind] == 0.0).all()
        assert (trace.grad(f"{place}.context")[blind] != 0.0).any() or not blind.any()
    for array in (*trace.values.values(), *trace.gradients.values()):
        assert not np.isnan(array).any()


def test_k7_a_blind_row_does_not_touch_the_others() -> None:
    generator = np.random.default_rng(2)
    scores, dweights = (
        generator.standard_normal((2, 3, 4, 5)),
        generator.standard_normal((2, 3, 4, 5)),
    )
    seen = np.ones(scores.shape, bool)
    seen[0, :, 1] = False
    whole = softmax_forward(scores)
    part = softmax_forward(mask_forward(scores, seen))
    others = seen.all(-1)
    assert np.array_equal(part[others], whole[others])
    assert (part[~others] == 0.0).all()
    dscores = softmax_backward(dweights, part)
    assert np.array_equal(dscores[others], softmax_backward(dweights, whole)[others])
    assert (dscores[~others] == 0.0).all()


def test_k8_a_boolean_mask_is_the_additive_one() -> None:
    generator = np.random.default_rng(2)
    scores = generator.standard_normal((2, 3, 4, 5))
    seen = generator.random(scores.shape) < 0.6
    seen[0, 0, 0] = False
    assert np.array_equal(mask_forward(scores, seen), scores + to_additive(seen))
    assert np.array_equal(
        softmax_forward(mask_forward(scores, seen)), softmax_forward(scores + to_additive(seen))
    )
    assert np.array_equal(from_additive(to_additive(seen)), seen)
    assert np.array_equal(inverted(inverted(seen)), seen)
    assert np.array_equal(mask_forward(scores, inverted(~seen)), mask_forward(scores, seen))
    assert to_additive(seen, "float32").dtype == np.float32


@every_model
def test_g2_gradients_of_masked_keys_values_and_scores_are_exactly_zero(config: Config) -> None:
    """Keys that no query of the group may attend to, and every masked score."""
    given, _ = padded(config)
    trace = run(config, parameters(config), given)
    hidden = 0
    for name in (stage for stage in trace if stage.endswith(".mask") and stage.count(".") > 1):
        place, seen = name.removesuffix(".mask"), trace[name]
        dead = ~seen.any((1, 2))
        hidden += int(dead.sum())
        for leaf in ("keys", "values", "rotated_keys"):
            if f"{place}.{leaf}" in trace:
                gradient = trace.grad(f"{place}.{leaf}").swapaxes(1, 2)
                assert (gradient[dead] == 0.0).all()
                assert (gradient[~dead] != 0.0).any()
        for leaf in ("scores", "masked_scores", "products"):
            assert (trace.grad(f"{place}.{leaf}")[~seen] == 0.0).all()
        assert (trace[f"{place}.weights"][~seen] == 0.0).all()
    assert hidden


@causal_models
def test_g2_a_loss_at_one_place_has_no_gradient_at_later_ones(config: Config) -> None:
    given = batch(config)
    labels = np.full_like(given.labels, -100)
    place = 1
    labels[:, place] = 4
    trace = run(config, parameters(config), replace(given, labels=labels))
    for leaf in ("keys", "values"):
        for layer in range(2):
            gradient = trace.grad(f"decoder.{layer}.self_attention.{leaf}")
            assert (gradient[:, :, place + 1 :] == 0.0).all()
            assert (gradient[:, :, : place + 1] != 0.0).any()
    assert (trace.grad("decoder.input")[:, place + 1 :] == 0.0).all()
