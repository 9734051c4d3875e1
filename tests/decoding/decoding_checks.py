"""Checks of generation with models and of beam search, in the form of `filter_checks`."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from filter_checks import VOCABULARY, softmax

from numtx.batch import Batch
from numtx.config import Config
from numtx.decoding.beam import beam_search
from numtx.decoding.filters import Filters
from numtx.decoding.generate import generate
from numtx.decoding.probability import sequence_log_probability
from numtx.decoding.sample import filtered_greedy, sampler
from numtx.examples.lookup import lookup_model
from numtx.model import forward
from numtx.parameters import initialise
from numtx.vocabulary import Vocabulary

# Models.


def model(kind="decoder-only", seed=2, vocabulary=VOCABULARY, gain=1.0, segments=0):
    """A small lively model and its parameters."""
    both = kind == "encoder-decoder"
    config = Config(
        model=kind, width=8, heads=2, key_value_heads=1, hidden=10, vocabulary=vocabulary,
        decoder_layers=2, encoder_layers=1 if both else 0, positions="rotary",
        segments=segments,
    )  # fmt: skip
    generator = np.random.default_rng(seed)
    parameters = {
        name: array + 0.4 * generator.standard_normal(array.shape)
        for name, array in initialise(config, seed).items()
    }
    parameters["output.w"] = parameters["output.w"] * gain
    return config, parameters


ROWS = [[1], [4, 0, 2], [3, 3]]
SOURCES = [[3, 4, 1, 0], [2, 2, 1, 0], [0, 1, 1, 4]]


def prompt(config, rows=ROWS, sources=SOURCES):
    """Rows of different lengths, padded on the left."""
    longest = max(map(len, rows))
    ids = [[0] * (longest - len(row)) + row for row in rows]
    mask = np.array([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    if config.model == "encoder-decoder":
        return Batch(sources, ids, decoder_mask=mask)
    return Batch(ids, mask=mask)


def every():
    """Each kind of model, with each row's prompt alone and all of them together."""
    for kind in ("decoder-only", "encoder-decoder"):
        config, parameters = model(kind)
        alone = [prompt(config, [row], [source]) for row, source in zip(ROWS, SOURCES, strict=True)]
        yield config, parameters, prompt(config), alone


def log_probabilities(config, parameters, batch, tokens):
    """log P of every word after the prompt and some tokens, by the plain forward pass."""
    if config.model == "encoder-decoder":
        one = Batch(batch.ids, [[*batch.decoder_ids[0], *tokens]])
    else:
        one = Batch([[*batch.ids[0], *tokens]])
    logits = forward(config, parameters, one)[0].logits[0, -1:]
    return [math.log(p) for p in softmax(logits)[0]]


def log_probability(config, parameters, batch, tokens):
    """Of one row's tokens, step by step."""
    return math.fsum(
        log_probabilities(config, parameters, batch, tokens[:n])[token]
        for n, token in enumerate(tokens)
    )


def every_text(ends, longest, vocabulary=VOCABULARY):
    """All texts that stop at their first end or at the limit."""
    texts = [()]
    for _ in range(longest):
        texts = [
            (*text, token)
            for text in texts
            for token in ([None] if text and text[-1] in ends else range(vocabulary))
        ]
        texts = [text[:-1] if text[-1] is None else text for text in texts]
    return texts


def given_texts():
    """Document 004's product: per token by hand, and all texts of a length sum to 1."""
    for config, parameters, batch, alone in every():
        tokens = [[2, 0, 1], [4], []]
        found = sequence_log_probability(config, parameters, batch, tokens)
        for row, one in enumerate(alone):
            expected = log_probability(config, parameters, one, tokens[row])
            np.testing.assert_allclose(found.total[row], expected, rtol=0, atol=1e-10)
            np.testing.assert_allclose(found.per_token[row].sum(), expected, rtol=0, atol=1e-10)
            assert len(found.per_token[row]) == len(tokens[row])
            assert (found.per_token[row] <= 0).all()  # so a running sum never rises
    config, parameters = model("encoder-decoder", segments=2)
    for padding in (0, 3):  # a source padded on the left, and on the right, is as one without
        mask = np.ones((3, 4), bool)
        mask[1:, padding] = False
        segments, places = np.array([[0, 1, 1, 0]] * 3), np.array([[4, 2, 3, 7]] * 3)
        batch = prompt(config)
        batch = dataclasses.replace(batch, mask=mask, segments=segments, positions=places)
        found = sequence_log_probability(config, parameters, batch, [[2, 0, 1], [4, 4], [3]])
        for row, tokens in enumerate([[2, 0, 1], [4, 4], [3]]):
            real = mask[row]
            ids = [[*ROWS[row], *tokens]]
            alone = Batch(
                [np.array(SOURCES[row])[real]], ids, segments=[segments[row, real]],
                positions=[places[row, real]],
            )  # fmt: skip
            logits = forward(config, parameters, alone)[0].logits[0]
            shares = softmax(logits[len(ROWS[row]) - 1 :])
            expected = [
                math.log(share[token]) for share, token in zip(shares, tokens, strict=False)
            ]
            np.testing.assert_allclose(found.per_token[row], expected, rtol=0, atol=1e-10)
    config, parameters = model()
    texts = list(itertools.product(range(VOCABULARY), repeat=2))
    batch = Batch([[1, 3]] * len(texts))
    total = sequence_log_probability(config, parameters, batch, texts).total
    np.testing.assert_allclose(math.fsum(np.exp(total)), 1.0, rtol=0, atol=1e-12)


def sampling_alone_and_in_a_batch():
    """A row draws the same tokens alone; rows of one prompt draw different ones."""
    filters = Filters(temperature=1.5, repetition_penalty=1.2)
    for config, parameters, batch, alone in every():
        options = {"max_new_tokens": 9, "eos": 2}
        together = generate(config, parameters, batch, choose=sampler(filters, 5), **options).new
        again = generate(config, parameters, batch, choose=sampler(filters, 5), **options).new
        assert together == again
        for row, one in enumerate(alone):
            choose = sampler(filters, 5 + row)
            assert (
                generate(config, parameters, one, choose=choose, **options).new[0]
                == (together[row])
            )
            assert 2 not in together[row][:-1]
            assert len(together[row]) <= 9
    config, parameters = model()
    same = Batch([[1]] * 6)
    drawn = generate(config, parameters, same, max_new_tokens=8, choose=sampler(filters, 0)).new
    assert len({tuple(row) for row in drawn}) > 1
    other = generate(config, parameters, same, max_new_tokens=8, choose=sampler(filters, 99)).new
    assert drawn != other


def cold_sampling_is_greedy():
    """Temperature 0, and a temperature near it, draw what greedy takes; so does top-k 1."""
    for config, parameters, batch, _ in every():
        expected = generate(config, parameters, batch, max_new_tokens=7).new
        for filters in (
            Filters(temperature=0),
            Filters(temperature=1e-9),
            Filters(top_k=1),
            Filters(top_p=1e-9),
        ):
            choose = sampler(filters, 3)
            assert generate(config, parameters, batch, max_new_tokens=7, choose=choose).new == (
                expected
            )


def padding_is_not_seen():
    """The penalty counts the prompt and what came after, but no padding (id 0 here)."""
    filters = Filters(repetition_penalty=3.0)
    choose = filtered_greedy(filters)
    for config, parameters, batch, alone in every():
        together = generate(config, parameters, batch, max_new_tokens=6, choose=choose).new
        for row, one in enumerate(alone):
            assert (
                generate(config, parameters, one, max_new_tokens=6, choose=choose).new[0]
                == (together[row])
            )


# Beam search.


def search(config, parameters, batch, **options):
    return beam_search(
        config, parameters, batch, **{"max_new_tokens": 5, "num_beams": 3, "eos": 2, **options}
    )


def one_beam_is_greedy():
    for config, parameters, batch, _ in every():
        for penalty, length_penalty in ((1.0, 1.0), (1.0, 3.0), (2.0, 0.0)):
            filters = Filters(repetition_penalty=penalty)
            expected = generate(
                config, parameters, batch, max_new_tokens=8, eos=2, choose=filtered_greedy(filters)
            ).new
            found = search(
                config, parameters, batch, max_new_tokens=8, num_beams=1,
                repetition_penalty=penalty, length_penalty=length_penalty,
            )  # fmt: skip
            assert found.new == expected
            assert all(len(row) == 1 for row in found.hypotheses)


def beams_are_sorted_and_scores_recomputed():
    """Unique, sorted, each score from the plain forward pass and the generated length alone."""
    for config, parameters, batch, alone in every():
        for penalty in (1.0, 0.0, -0.5, 2.0):
            found = search(config, parameters, batch, length_penalty=penalty)
            for row, hypotheses in enumerate(found.hypotheses):
                assert 1 <= len(hypotheses) <= 3
                assert len({one.tokens for one in hypotheses}) == len(hypotheses)
                scores = [one.score for one in hypotheses]
                assert scores == sorted(scores, reverse=True)
                for one in hypotheses:
                    expected = log_probability(config, parameters, alone[row], one.tokens)
                    np.testing.assert_allclose(one.log_probability, expected, rtol=0, atol=1e-10)
                    length = len(one.tokens)
                    np.testing.assert_allclose(
                        one.score, expected / length**penalty, rtol=0, atol=1e-10
                    )
                    assert one.ended == (one.tokens[-1] == 2)
                    assert 2 not in one.tokens[:-1]
                    assert one.ended or length == 5
            assert found.new == [list(row[0].tokens) for row in found.hypotheses]


def enough_beams_are_exhaustive():
    """As many beams as there are texts: every one of them, in the order of their scores."""
    longest, vocabulary = 3, 4
    texts = every_text({2, 3}, longest, vocabulary)
    config, parameters = model(vocabulary=vocabulary)
    for length_penalty in (1.0, 0.0, 2.0, -1.0):
        one = prompt(config, [[1, 3]])
        found = search(
            config, parameters, one, max_new_tokens=longest, num_beams=len(texts),
            stop=[3], length_penalty=length_penalty,
        ).hypotheses[0]  # fmt: skip
        scores = {
            text: log_probability(config, parameters, one, text) / len(text) ** length_penalty
            for text in texts
        }
        assert [h.tokens for h in found] == sorted(scores, key=lambda text: -scores[text])
        total = math.fsum(math.exp(h.log_probability) for h in found)
        np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-10)


def reference_search(config, parameters, one, beams, longest, ends, length_penalty):
    """Beam search written again, slowly: no cache, no stopping before the limit.

    To the end of the limit nothing can be missed; stopping early must find the same best text.
    """
    running, finished = [((), 0.0)], []
    for step in range(longest):
        candidates = sorted(
            (
                ((*before, token), total + log_p)
                for before, total in running
                for token, log_p in enumerate(log_probabilities(config, parameters, one, before))
            ),
            key=lambda candidate: -candidate[1],
        )
        over = [c[0][-1] in ends or step == longest - 1 for c in candidates]
        finished += [c for c, is_over in zip(candidates[:beams], over, strict=False) if is_over]
        running = [c for c, is_over in zip(candidates, over, strict=True) if not is_over][:beams]
    return sorted(finished, key=lambda c: -c[1] / len(c[0]) ** length_penalty)[:beams]


def stopping_loses_nothing():
    """The search stops early, and finds what one finds that goes on to the limit."""
    stopped_early = 0
    for seed in range(4):
        config, parameters = model(seed=seed, vocabulary=4, gain=2.0)
        one = prompt(config, [[1]])
        for length_penalty in (1.0, 0.0, -1.0):
            expected = reference_search(config, parameters, one, 2, 5, {2}, length_penalty)
            found = search(config, parameters, one, num_beams=2, length_penalty=length_penalty)
            assert [h.tokens for h in found.hypotheses[0]] == [text for text, _ in expected]
            stopped_early += len(found.steps) < 5
    assert stopped_early


def stop_tokens_do_not_crowd_out():
    """However many stop tokens there are, and all of them more probable than any other word, as
    many texts go on as there are beams; eos and stop tokens are alike."""
    vocabulary, stop = 7, [3, 4, 5]
    config, parameters = model(vocabulary=vocabulary)
    parameters["output.b"] = np.where(np.isin(np.arange(vocabulary), [2, *stop]), 6.0, 0.0)
    one = prompt(config, [[1]])
    for beams in (2, 3):
        options = {"max_new_tokens": 3, "num_beams": beams, "stop": stop, "length_penalty": 9.0}
        found = search(config, parameters, one, **options)
        for step, texts in zip(found.steps[:2], (1, beams), strict=True):
            fates = [candidate.fate for candidate in step.candidates[0]]
            assert fates.count("running") == min(beams, texts * (vocabulary - 4))
            assert fates.count("ended") == beams
        expected = reference_search(config, parameters, one, beams, 3, {2, *stop}, 9.0)
        assert [h.tokens for h in found.hypotheses[0]] == [text for text, _ in expected]
        again = search(config, parameters, one, **{**options, "eos": 4, "stop": [5, 2, 3]})
        assert again.hypotheses == found.hypotheses


def equal_beams_go_on_in_order():
    """Where every word is as probable as any other: the older text first, then the smaller id."""
    config, parameters = model()
    parameters["output.w"] = np.zeros_like(parameters["output.w"])
    parameters["output.b"] = np.zeros_like(parameters["output.b"])
    found = search(config, parameters, prompt(config, [[1, 3]]), eos=None)
    for number, step in enumerate(found.steps, 1):
        before = (0,) * (number - 1)
        assert [c.tokens for c in step.candidates[0]][:3] == [(*before, n) for n in range(3)]
    assert found.new == [[0] * 5]
    assert [h.tokens[-1] for h in found.hypotheses[0]] == [0, 1, 2]


def a_long_text_may_still_win():
    """Two probable texts have ended early; a third goes on, less probable than both, but all its
    words are sure from there on: at the limit it has the best mean."""
    words = Vocabulary(["a", "b", "c", "<eos>"])
    table = {
        (0, "a"): {"<eos>": 0.5, "b": 0.4, "c": 0.1},
        (1, "b"): {"<eos>": 0.9, "b": 0.1},
        **{(n, "c"): {"c": 1.0} for n in range(1, 10)},
    }
    config, parameters = lookup_model(words, table, 10)
    one = Batch([[0]])
    options = {"num_beams": 2, "max_new_tokens": 9, "eos": 3}
    found = search(config, parameters, one, **options)
    assert found.new == [[2] * 9]
    plain = search(config, parameters, one, length_penalty=0.0, **options)
    assert plain.new == [[3]]
    assert len(plain.steps) == 2


def beams_alone_and_in_a_batch():
    for config, parameters, batch, alone in every():
        together = search(config, parameters, batch, max_new_tokens=6, repetition_penalty=1.3)
        for row, one in enumerate(alone):
            single = search(config, parameters, one, max_new_tokens=6, repetition_penalty=1.3)
            assert [h.tokens for h in single.hypotheses[0]] == [
                h.tokens for h in together.hypotheses[row]
            ]
            np.testing.assert_allclose(
                [h.score for h in single.hypotheses[0]],
                [h.score for h in together.hypotheses[row]],
                rtol=0,
                atol=1e-10,
            )


def the_tree_holds_together():
    """Each candidate continues a text that was running; sums never rise; the best come first, and
    no dead one is better than one that goes on; what is over runs no more."""
    for config, parameters, batch, _ in every():
        found = search(config, parameters, batch)
        before = [[((), 0.0)] for _ in ROWS]
        seen = [set() for _ in ROWS]
        for step in found.steps:
            assert step.rows == sum(
                len(texts) for texts, now in zip(before, step.candidates, strict=True) if now
            )
            for row, candidates in enumerate(step.candidates):
                for one in candidates:
                    text, log_probability = before[row][one.parent]
                    assert one.tokens[:-1] == text
                    assert one.log_probability <= log_probability
                sums = [one.log_probability for one in candidates]
                assert sums == sorted(sums, reverse=True)
                fates = [one.fate for one in candidates if one.tokens[-1] != 2]
                assert fates == sorted(fates, key=("running", "ended", "dead").index)
                assert fates.count("running") <= 3
                seen[row] |= {one.tokens for one in candidates if one.fate == "ended"}
                before[row] = [
                    (one.tokens, one.log_probability) for one in candidates if one.fate == "running"
                ]
        for row, hypotheses in enumerate(found.hypotheses):
            assert {one.tokens for one in hypotheses} <= seen[row]


CHECKS = (
    given_texts, sampling_alone_and_in_a_batch, cold_sampling_is_greedy, padding_is_not_seen,
    one_beam_is_greedy, beams_are_sorted_and_scores_recomputed, enough_beams_are_exhaustive,
    stopping_loses_nothing, stop_tokens_do_not_crowd_out, equal_beams_go_on_in_order,
    a_long_text_may_still_win, beams_alone_and_in_a_batch, the_tree_holds_together,
)  # fmt: skip
