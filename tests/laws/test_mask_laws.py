"""K1, K4 to K8 and G2 beyond what `numtx laws` says: of every place, of gradients, and of what is
junk in both stacks."""

from __future__ import annotations

import numpy as np
import pytest
from law_runs import (
    CAUSAL,
    TWO_STACKS,
    attentions,
    changed,
    every_model,
    last_prefix,
    logits,
    padded_run,
    prefixes,
    run,
)
from samples import config_of, ragged_batch, random_parameters, some

from numtx import Config
from numtx.attention import AttentionInputs
from numtx.attention.multi_head import attention_backward, attention_forward
from numtx.laws.exactness import same
from numtx.masks import allowed, from_additive, inverted, to_additive
from numtx.ops.attend import mask_forward
from numtx.ops.softmax import softmax_backward, softmax_forward
from numtx.place import Place
from numtx.trace.trace import Trace


@every_model
def test_k1_k4_k5_a_token_has_an_effect_exactly_as_far_as_it_reaches(name: str) -> None:
    """With a window w and L layers it reaches L(w - 1) tokens, and only later ones if causal.

    One of several other tokens has to have it: a single one may, rarely, change nothing.
    """
    config = config_of(name)
    side, prefix = config.sides[-1], last_prefix(config)
    own, given = random_parameters(config), ragged_batch(config, padding=None)
    length = given[f"{prefix}ids"].shape[1]
    reach = length if config.window is None else config.layers(side) * (config.window - 1)
    before = logits(config, own, given)
    places = np.arange(length)
    for place in range(length):
        seen = np.abs(places - place) <= reach
        if side == "decoder" and config.causal:
            seen &= places >= place
        alive, other = np.zeros(before.shape[:2], bool), given
        for _ in range(3):
            other = changed(config, other, {side: places == place})
            after = logits(config, own, other)
            assert same(after[:, ~seen], before[:, ~seen]), place
            alive |= np.abs(after - before).max(-1) > 1e-12
            if alive[:, seen].all():
                break
        assert alive[:, seen].all(), place


def assert_equal_runs(config: Config, first: Trace, second: Trace, real: np.ndarray) -> None:
    """The logits of real tokens, the loss and every gradient, bit for bit."""
    assert same(second["logits"][real], first["logits"][real])
    assert np.array_equal(second["loss"], first["loss"])
    for own_name in first.parameters:
        gradient = f"parameters/{own_name}"
        assert same(second.grad(gradient), first.grad(gradient)), own_name


@every_model
def test_k6_ids_under_padding_change_nothing(name: str) -> None:
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config)
    hidden = {side: ~given[f"{prefix}mask"] for side, prefix in prefixes(config).items()}
    other = changed(config, given, hidden)
    real = given[f"{last_prefix(config)}mask"]
    assert_equal_runs(config, padded_run(name), run(config, own, other), real)


@pytest.mark.parametrize("name", some(9, __name__))
def test_k6_huge_and_broken_content_under_padding_changes_nothing(name: str) -> None:
    """The embedding of the padding token is junk: real outputs and every gradient stay. (Not
    that of a table that makes the logits, too: there it is content of every token.)"""
    config = config_of(name, tied_output=False)
    own, given = random_parameters(config), ragged_batch(config)
    tables = [own_name for own_name in own if own_name.endswith("embedding")]
    for side, prefix in prefixes(config).items():
        pad = config.vocabulary_of(side) - 1
        given[f"{prefix}ids"] = np.where(given[f"{prefix}mask"], given[f"{prefix}ids"] % pad, pad)
    first, real = run(config, own, given), given[f"{last_prefix(config)}mask"]
    for junk in (1e200, 1e100, 1e30, np.nan, -np.inf):
        broken = dict(own)
        for table in tables:
            broken[table] = own[table].copy()
            broken[table][-1, ::2] = junk
            broken[table][-1, 1::2] = -junk
        assert_equal_runs(config, first, run(config, broken, given), real)


@pytest.mark.parametrize("name", TWO_STACKS)
def test_k6_junk_in_a_masked_memory_changes_nothing_in_both_passes(name: str) -> None:
    """Attention by itself: rows of the memory that nobody may attend to are junk."""
    config = config_of(name)
    rows, targets, sources = 2, 4, 6
    generator = np.random.default_rng(5)
    own = random_parameters(config)
    x = generator.standard_normal((rows, targets, config.width))
    memory = generator.standard_normal((rows, sources, config.width))
    valid = np.ones((rows, sources), bool)
    valid[0, :2] = valid[1, -1] = False
    inputs = AttentionInputs(allowed(valid, config.heads, targets))
    results = []
    for content in (0.0, 1e200, np.nan, np.inf):
        source = np.where(valid[..., None], memory, content)
        at = Place(own, prefix="decoder.0.cross_attention.")
        with np.errstate(over="ignore", invalid="ignore"):  # products with the junk
            output, context = attention_forward(config, at, x, source, inputs)
            dx, dmemory = attention_backward(np.cos(output), context, at)
        assert (dmemory[~valid] == 0.0).all()
        results.append([output, dx, dmemory, *at.gradients.values()])
    assert len(results[0]) > 3
    for dirty in results[1:]:
        for clean, found in zip(results[0], dirty, strict=True):
            assert np.isfinite(found).all()
            assert np.array_equal(clean, found)


@every_model
def test_k7_a_row_with_no_key_has_nothing_and_others_stay(name: str) -> None:
    """Left padding under a causal mask leaves the padded queries without any key: their
    weights and context are exactly 0, and so are the gradients of their queries and scores."""
    config, given = config_of(name), ragged_batch(config_of(name))
    # Labels at padding too, so that a gradient does come back to the blind rows.
    given["labels"] = np.where(given["labels"] < 0, 3, given["labels"])
    trace = run(config, random_parameters(config), given)
    reached = []
    for place in attentions(trace):
        blind = ~trace[f"{place}.mask"].any(-1)
        causal = config.causal and place.startswith("decoder") and "self" in place
        assert blind.any() == causal or config.window is not None, place
        for leaf in ("weights", "context"):
            assert (trace[f"{place}.{leaf}"][blind] == 0.0).all()
        for leaf in ("queries", "scores", "products", "masked_scores"):
            assert (trace.grad(f"{place}.{leaf}")[blind] == 0.0).all()
        if blind.any():
            reached.append((trace.grad(f"{place}.context")[blind] != 0.0).any())
    assert any(reached) or not reached
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
def test_g2_gradients_of_masked_keys_values_and_scores_are_exactly_zero(name: str) -> None:
    """Keys that no query of the group may attend to, and every masked score."""
    trace = padded_run(name)
    hidden = 0
    for place in attentions(trace):
        seen = trace[f"{place}.mask"]
        dead = ~seen.any((1, 2))
        hidden += int(dead.sum())
        for leaf in ("keys", "values", "rotated_keys"):
            if f"{place}.{leaf}" in trace:
                gradient = trace.grad(f"{place}.{leaf}").swapaxes(1, 2)
                assert (gradient[dead] == 0.0).all()
                alone = seen.sum(-1).max() < 2  # such a key's weight is 1, whatever it is
                assert (gradient[~dead] != 0.0).any() != (alone and leaf != "values")
        for leaf in ("scores", "masked_scores", "products"):
            assert (trace.grad(f"{place}.{leaf}")[~seen] == 0.0).all()
        assert (trace[f"{place}.weights"][~seen] == 0.0).all()
    assert hidden


@pytest.mark.parametrize("name", CAUSAL)
def test_g2_a_loss_at_one_place_has_no_gradient_at_later_ones(name: str) -> None:
    config = config_of(name)
    given = ragged_batch(config, padding=None)
    place = given["labels"].shape[1] - 2
    given["labels"] = np.full_like(given["labels"], -100)
    given["labels"][:, place] = 4
    trace = run(config, random_parameters(config), given)
    for layer in range(config.decoder_layers):
        for leaf in ("keys", "values"):
            gradient = trace.grad(f"decoder.{layer}.self_attention.{leaf}")
            assert (gradient[:, :, place + 1 :] == 0.0).all()
            assert (gradient[:, :, : place + 1] != 0.0).any()
    assert (trace.grad("decoder.input")[:, place + 1 :] == 0.0).all()
