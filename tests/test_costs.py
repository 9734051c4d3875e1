"""Counted operations and cached numbers equal the closed formulas, exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cost_formulas import step_formula

from numtx.batch import Batch
from numtx.config import Config
from numtx.costs import (
    ATTENTION,
    cache_numbers,
    count_generation,
    step_with_cache,
    step_without_cache,
    total_with_cache,
    total_without_cache,
)
from numtx.parameters import initialise


def decoder(**fields):
    values = {
        "model": "decoder-only", "width": 8, "heads": 2, "hidden": 12, "vocabulary": 11,
        "decoder_layers": 1,
    }  # fmt: skip
    return Config(**{**values, **fields})


def counted(config, prompt, steps, use_cache):
    return count_generation(
        config, initialise(config), prompt, max_new_tokens=steps, use_cache=use_cache
    )


@pytest.mark.parametrize(("width", "heads"), [(4, 1), (8, 2), (12, 3)])
def test_the_documents_formulas_step_by_step_and_in_sum(width, heads):
    config = decoder(width=width, heads=heads)
    tokens = 9
    for use_cache, one, total in (
        (False, step_without_cache, total_without_cache),
        (True, step_with_cache, total_with_cache),
    ):
        costs = counted(config, Batch([[3]]), tokens, use_cache)
        attention = [cost.total(*ATTENTION) for cost in costs]
        assert attention == [one(i, width) for i in range(1, tokens + 1)]
        assert sum(attention) == total(tokens, width)
        for i, cost in enumerate(costs, 1):
            new = 1 if use_cache else i
            assert cost.total("W_O") == new * width * width
            assert cost.total("feed-forward") == 2 * new * width * 12
            assert cost.total("logits") == width * 11  # of the last token only


def test_the_sums_in_closed_form_are_the_sums():
    for tokens, width in itertools.product((1, 2, 7, 50), (4, 6)):
        steps = range(1, tokens + 1)
        assert total_with_cache(tokens, width) == sum(step_with_cache(i, width) for i in steps)
        assert total_without_cache(tokens, width) == sum(
            step_without_cache(i, width) for i in steps
        )


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"key_value_heads": 1, "heads": 4},
        {"key_value_heads": 2, "heads": 4, "key_width": 3, "value_width": 5, "gated": True},
        {"positions": "rotary", "tied_output": True, "decoder_layers": 2},
        {"output_projection_at": False, "norm": "rms", "norm_place": "pre"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_every_group_of_every_variant(fields, use_cache):
    config = decoder(**fields)
    for cost in counted(config, Batch([[3, 1, 4]]), 4, use_cache):
        computed, total = cost.step.attention
        expected = step_formula(config, computed, total)
        assert {group: cost.total(group) for group in expected} == expected
        assert cost.total() == sum(expected.values())
        numbers, _ = cache_numbers(config, total)
        assert cost.cached == (numbers if use_cache else 0)


def test_rows_multiply_everything():
    config = decoder()
    one = counted(config, Batch([[3, 1, 4]]), 3, True)
    two = counted(config, Batch([[3, 1, 4], [5, 9, 2]]), 3, True)
    assert [2 * cost.total() for cost in one] == [cost.total() for cost in two]


@pytest.mark.parametrize("use_cache", [True, False])
def test_cross_attention_and_the_encoder(use_cache):
    config = Config(
        width=8, encoder_layers=2, decoder_layers=3, heads=2, key_value_heads=1, hidden=12,
        vocabulary=11,
    )  # fmt: skip
    source = 5
    costs = counted(config, Batch([list(range(source))], [[1]]), 4, use_cache)
    for number, cost in enumerate(costs):
        computed, total = cost.step.attention
        first = number == 0 or not use_cache
        expected = step_formula(config, computed, total, source, first)
        assert {group: cost.total(group) for group in expected} == expected
        own, cross = cache_numbers(config, total, source)
        assert cost.cached == (own + cross if use_cache else 0)
    per_layer = source * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 2 * 8 * 12) + 2 * source * source * 8
    assert [cost.total("encoder") for cost in costs] == [2 * per_layer, 0, 0, 0]  # once


def test_the_documents_4800_numbers_and_what_they_omit():
    sizes = {"width": 4, "encoder_layers": 6, "decoder_layers": 6, "hidden": 16}
    config = Config(**sizes, vocabulary=10)
    assert cache_numbers(config, 100, 7) == (4800, 336)
    costs = counted(config, Batch([list(range(7))], [[1]]), 100, True)
    assert costs[-1].step.attention == (1, 100)
    assert costs[-1].cached == 4800 + 336


def test_products_name_their_shapes():
    products = {p.stage: p for p in counted(decoder(), Batch([[3, 1]]), 2, True)[1].products}
    found = products["decode.0.decoder.0.self_attention.products"]
    assert (found.left, found.right, found.result) == ((1, 2, 1, 4), (1, 2, 3, 4), (1, 2, 1, 3))
    assert found.multiply_adds == 2 * 3 * 4
    assert np.prod(found.result) * 4 == found.multiply_adds


@pytest.mark.parametrize("fields", [{}, {"query_latent": 5}, {"positions": None}])
def test_counted_operations_of_latents_are_the_formulas(fields):
    config = Config(**{
        "model": "decoder-only", "width": 8, "decoder_layers": 2, "heads": 4, "key_width": 6,
        "value_width": 3, "hidden": 12, "vocabulary": 11, "key_value_latent": 7,
        "positions": "rotary", **fields,
    })  # fmt: skip
    own = initialise(config)
    for use_cache in (True, False):
        costs = count_generation(
            config, own, Batch([[1, 2, 3]]), max_new_tokens=3, use_cache=use_cache
        )
        for number, cost in enumerate(costs):
            total = 3 + number
            computed = total if number == 0 or not use_cache else 1
            expected = step_formula(config, computed, total, absorbed=use_cache)
            assert {group: cost.total(group) for group in expected} == expected
            assert cost.total() == sum(expected.values())
            if use_cache:
                assert cost.cached == cache_numbers(config, total)[0]
