"""Document 003's stories: greedy takes Today, five beams do not; loops, and what breaks them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numtx import load_example
from numtx.batch import Batch
from numtx.costs import count_beam_search, count_generation
from numtx.decoding import (
    Filters,
    beam_search,
    filtered_greedy,
    generate,
    sampler,
    sequence_log_probability,
)
from numtx.decoding.text import beams_text, filters_text

BOS, EOS = 0, 1


def words(example, rows):
    return [" ".join(example.vocabulary.decode(row)) for row in rows]


def find(example, beams, **options):
    options = {"max_new_tokens": 6, "eos": EOS, **options}
    batch = Batch([[BOS]])
    return beam_search(example.config, example.parameters, batch, num_beams=beams, **options)


def test_greedy_takes_today_and_five_beams_the_weather():
    example = load_example("beams")
    config, parameters, batch = example.config, example.parameters, Batch([[BOS]])
    greedy = generate(config, parameters, batch, max_new_tokens=6, eos=EOS).new
    assert words(example, greedy) == ["Today is nice weather today <eos>"]
    assert find(example, 1).new == greedy
    assert words(example, find(example, 5).new) == ["The weather is nice today <eos>"]
    texts = [example.vocabulary.encode(text.split()) for text in (
        "Today is nice weather today <eos>", "The weather is nice today <eos>",
    )]  # fmt: skip
    both = sequence_log_probability(config, parameters, Batch([[BOS]] * 2), texts)
    by_hand = [
        [0.35, 0.42, 0.38, 0.40, 0.45, 0.55],
        [0.28, 0.60, 0.90, 0.75, 0.80, 0.55],
    ]  # fmt: skip
    np.testing.assert_allclose(np.exp(both.per_token), by_hand, rtol=0, atol=1e-7)
    assert both.total[1] > both.total[0]


def test_the_five_that_the_document_keeps_after_two_steps():
    example = load_example("beams")
    steps = find(example, 5).steps
    kept = [c for c in steps[1].candidates[0] if c.fate == "running"]
    assert words(example, [c.tokens for c in kept]) == [
        "The weather", "Today is", "The sky", "It is", "Today the",
    ]  # fmt: skip
    # The document's scores from -0.5 to -0.9 cannot be: the first word alone has less.
    assert kept[0].log_probability < math.log(0.28) < -0.5


def test_five_beams_cost_five_times_as_much():
    example = load_example("beams")
    options = {"max_new_tokens": 5}
    model = example.config, example.parameters, Batch([[BOS]])
    many = count_beam_search(*model, num_beams=5, **options)
    one = count_generation(*model, **options)
    assert [step.rows for step, _ in many] == [1, 5, 5, 5, 5]
    assert [cost for _, cost in many] == [
        cost.total() * (1 if k == 0 else 5) for k, cost in enumerate(one)
    ]


@pytest.mark.parametrize(
    ("penalty", "very", "think"),
    [
        (1.0, "very very very good <eos>", "I think I think I think I think"),
        (1.3, "very good <eos>", "so <eos>"),
    ],
)
def test_a_penalty_breaks_the_loops(penalty, very, think):
    example = load_example("loops")
    prompts = [example.vocabulary.encode(text.split()) for text in ("It is", "I think")]
    choose = filtered_greedy(Filters(repetition_penalty=penalty))
    found = generate(
        example.config, example.parameters, Batch(prompts), max_new_tokens=8, eos=EOS, choose=choose
    ).new
    assert words(example, found) == [very, think]


def test_normalised_beams_fall_into_the_loop_and_plain_sums_do_not():
    """Document 003: each very raises the probability a little, so many beams repeat it."""
    example = load_example("loops")
    batch = Batch([example.vocabulary.encode(["It", "is"])])
    found = {
        length_penalty: words(
            example,
            beam_search(
                example.config, example.parameters, batch, max_new_tokens=6, eos=EOS, num_beams=5,
                length_penalty=length_penalty,
            ).new,
        )
        for length_penalty in (0.0, 1.0)
    }  # fmt: skip
    assert found == {0.0: ["good <eos>"], 1.0: ["very very very good <eos>"]}


def test_the_tables():
    example = load_example("beams")
    tree = beams_text(find(example, 5), example.vocabulary.tokens)
    assert "beam 1  The weather   -1.784  0.1680  -> beam 0" in tree
    assert "beam 0  Today was     -2.765  0.0630  dead" in tree
    assert "1  The weather is nice today <eos>         6  -2.998  -0.500" in tree
    filters = Filters(temperature=0.8, top_k=4)
    generation = generate(
        example.config, example.parameters, Batch([[BOS]] * 2), max_new_tokens=2, eos=EOS,
        choose=sampler(filters, 1),
    )  # fmt: skip
    text = filters_text(generation, filters, example.vocabulary.tokens)
    assert text.count("probabilities after each filter") == 4
    assert text.count("<- chosen") == 4
    assert "softmax  temperature=0.8  top_k=4" in text
    assert "6 Good      0.1000           0.0811        ." in text  # ruled out, not small
    head = text.split("\n\n")[0].splitlines()
    assert head[2].split()[:3] == ["2", "Today", "0.3500"]


def test_the_tables_follow_rows_that_end():
    """With the penalty, what a row has said counts in its table and nothing after its end."""
    example = load_example("loops")
    filters = Filters(repetition_penalty=1.3)
    prompts = [example.vocabulary.encode(text.split()) for text in ("It is", "I think")]
    generation = generate(
        example.config, example.parameters, Batch(prompts), max_new_tokens=8, eos=EOS,
        choose=filtered_greedy(filters),
    )  # fmt: skip
    text = filters_text(generation, filters, example.vocabulary.tokens)
    assert [line.split(":")[0] for line in text.splitlines() if "after each" in line] == [
        "prefill, row 0", "prefill, row 1", "decode.0, row 0", "decode.0, row 1", "decode.1, row 0",
    ]  # fmt: skip
    very = next(line for line in text.split("decode.0, row 0")[1].splitlines() if "very" in line)
    before, after = map(float, very.split()[2:4])
    assert after < before
