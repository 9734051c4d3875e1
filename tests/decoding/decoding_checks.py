"""Checks of how a token is chosen, written so that they can run on a second copy with a bug.

Each takes `get`, which gives a module of the package by name. The laws take drawn values too;
`test_choosing.py` draws them with hypothesis, the checks below from a generator.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

VOCABULARY = 5


def softmax(logits):
    """Slow and separate from the package: one row at a time, in plain Python."""
    rows = []
    for row in np.asarray(logits, np.float64):
        largest = max(row)
        terms = [math.exp(x - largest) for x in row]
        rows.append([term / math.fsum(terms) for term in terms])
    return np.array(rows)


def drawn(seed, rows=3, tokens=11):
    """Logits of both signs, with ties."""
    generator = np.random.default_rng(seed)
    logits = 2.0 * generator.standard_normal((rows, tokens))
    return np.round(logits * 2) / 2 if seed % 2 else logits


# Laws of the filters (D1 to D4).


def top_k_law(get, logits, k):
    """Exactly min(k, V), none smaller than one left out, ties by id, values as they were."""
    kept = np.isfinite(get("decoding.filters").keep_top_k(logits, k))
    for row, chosen in zip(logits, kept, strict=True):
        ranked = sorted(range(len(row)), key=lambda token: (-row[token], token))
        assert np.flatnonzero(chosen).tolist() == sorted(ranked[:k])
    unchanged(get("decoding.filters").keep_top_k(logits, k), logits)


def top_p_law(get, logits, p):
    """The smallest set that reaches p: with the last token in it does, without it it does not."""
    filtered = get("decoding.filters").keep_top_p(logits, p)
    kept = np.isfinite(filtered)
    if p == 1.0:
        assert np.array_equal(filtered, logits)
        return
    for row, chosen, probabilities in zip(logits, kept, softmax(logits), strict=True):
        ranked = sorted(range(len(row)), key=lambda token: (-row[token], token))
        inside = ranked[: chosen.sum()]
        assert chosen.any()
        assert sorted(inside) == np.flatnonzero(chosen).tolist()
        assert math.fsum(probabilities[inside]) >= p - 1e-12
        assert math.fsum(probabilities[inside[:-1]]) < p + 1e-12
    unchanged(filtered, logits)


def min_p_law(get, logits, p):
    """Kept: at least p times as probable as the most probable one."""
    filtered = get("decoding.filters").keep_min_p(logits, p)
    if p == 0.0:
        assert np.array_equal(filtered, logits)
    probabilities = softmax(logits)
    share = probabilities / probabilities.max(1, keepdims=True)
    sure = np.abs(share - p) > 1e-12
    assert np.array_equal(np.isfinite(filtered)[sure], (share >= p)[sure])
    assert np.isfinite(filtered)[share == 1.0].all()
    unchanged(filtered, logits)


def temperature_law(get, logits, temperature):
    """1 is the identity, order is kept, the probabilities are those of logits / T, and towards 0
    it is greedy."""
    filters = get("decoding.filters")
    assert np.array_equal(filters.temper(logits, 1.0), logits)
    scaled = filters.temper(logits, temperature)
    if temperature > 0.01:
        np.testing.assert_allclose(softmax(scaled), softmax(logits / temperature), atol=1e-12)
        ranks = np.argsort(-logits, 1, kind="stable")
        assert (np.diff(np.take_along_axis(scaled, ranks, 1), axis=1) <= 0).all()
    for cold in (0.0, 1e-320):
        largest = filters.temper(logits, cold)
        assert np.array_equal(np.argmax(largest, 1), np.argmax(logits, 1))
        is_largest = logits == logits.max(1, keepdims=True)
        assert (softmax(largest)[~is_largest] == 0).all()
    assert (np.isfinite(filters.temper(logits, 0.0)).sum(1) == 1).all()


def penalty_law(get, logits, rows, penalty):
    """Seen tokens fall (or stay, at 0), once each, by the stated formula; others stay."""
    filtered = get("decoding.filters").penalise_repetition(logits, rows, penalty)
    if penalty == 1.0:
        assert np.array_equal(filtered, logits)
    for before, after, seen in zip(logits, filtered, rows, strict=True):
        for token, old in enumerate(before):
            if token not in seen:
                assert after[token] == old
                continue
            if penalty > 1.0:
                assert after[token] <= old
                assert after[token] < old or old == 0
            np.testing.assert_allclose(after[token], old / penalty if old > 0 else old * penalty)


def unchanged(filtered, logits):
    """What is kept keeps its logit and its type."""
    kept = np.isfinite(filtered)
    assert np.array_equal(filtered[kept], logits[kept])
    assert filtered.dtype == logits.dtype


# The same laws over values from a generator, for planted bugs.


def top_k(get):
    for seed, k in itertools.product(range(6), (1, 2, 5, 11, 30)):
        top_k_law(get, drawn(seed), k)


def top_p(get):
    for seed, p in itertools.product(range(8), (1e-9, 0.3, 0.6, 0.9, 0.999, 1.0)):
        top_p_law(get, drawn(seed), p)


def min_p(get):
    for seed, p in itertools.product(range(6), (0.0, 0.05, 0.4, 1.0)):
        min_p_law(get, drawn(seed), p)


def temperature(get):
    for seed, t in itertools.product(range(6), (0.2, 0.7, 1.0, 3.0)):
        temperature_law(get, drawn(seed), t)


def penalty(get):
    rows = [[1, 1, 1, 4], [], [0, 10, 3, 3]]
    for seed, value in itertools.product(range(6), (0.5, 1.0, 1.3, 5.0)):
        penalty_law(get, drawn(seed), rows, value)


def order_of_filters(get):
    """Repetition penalty, temperature, top-k, top-p, min-p, each on what the last one left."""
    f = get("decoding.filters")
    filters = f.Filters(repetition_penalty=1.5, temperature=2.0, top_k=4, top_p=0.8, min_p=0.6)
    for seed in range(6):
        logits, rows = drawn(seed) + 1.0, [[2], [3, 3], [0, 7]]
        expected = f.penalise_repetition(logits, rows, 1.5)
        expected = f.temper(expected, 2.0)
        expected = f.keep_top_k(expected, 4)
        expected = f.keep_top_p(expected, 0.8)
        expected = f.keep_min_p(expected, 0.6)
        assert np.array_equal(filters(logits, rows), expected)
        steps = filters.steps(logits, rows)
        assert [step.name.split("=")[0] for step in steps] == [
            "logits", "repetition_penalty", "temperature", "top_k", "top_p", "min_p",
        ]  # fmt: skip
        for step in steps:
            np.testing.assert_allclose(step.probabilities.sum(1), 1.0)


# Sampling.


def frequencies(get):
    """Chi-square over 4000 rows of the same logits: drawn as often as the filters say."""
    filters = get("decoding.filters").Filters(temperature=1.5, top_k=5, top_p=0.97)
    logits = np.tile([[1.0, 3.0, 2.5, -1.0, 2.0, 0.5, 1.5, -2.0]], (4000, 1))
    rows = [[0]] * len(logits)
    choose = get("decoding.sample").sampler(filters, seed=7)
    counts = np.bincount(choose(logits, rows), minlength=8)
    probabilities = softmax(filters(logits[:1], rows[:1]))[0]
    possible = probabilities > 0
    assert possible.sum() == 5
    assert counts[~possible].sum() == 0
    expected = probabilities[possible] * len(logits)
    chi_square = (((counts[possible] - expected) ** 2) / expected).sum()
    assert chi_square < 18.47, chi_square  # 4 degrees of freedom, one in a thousand
    # The draws of one row at growing lengths are independent as well.
    alone = [choose(logits[:1], [[0] * n])[0] for n in range(1, 1500)]
    expected = probabilities[possible] * len(alone)
    observed = np.bincount(alone, minlength=8)[possible]
    assert (((observed - expected) ** 2) / expected).sum() < 18.47


def edges_of_a_draw(get):
    """A number on the border belongs to the next token; a token of probability 0 is never drawn."""
    draw = get("decoding.sample").draw
    probabilities = np.array([[0.0, 0.25, 0.0, 0.75, 0.0]])
    for uniform, token in ((0.0, 1), (0.2499, 1), (0.25, 3), (1 - 2**-53, 3)):
        assert draw(probabilities, np.array([uniform])).tolist() == [token]


# Models.


def model(get, kind="decoder-only", seed=2, vocabulary=VOCABULARY, gain=1.0):
    """A small lively model and its parameters."""
    both = kind == "encoder-decoder"
    config = get("config").Config(
        model=kind, width=8, heads=2, key_value_heads=1, hidden=10, vocabulary=vocabulary,
        decoder_layers=2, encoder_layers=1 if both else 0, positions="rotary",
    )  # fmt: skip
    generator = np.random.default_rng(seed)
    parameters = {
        name: array + 0.4 * generator.standard_normal(array.shape)
        for name, array in get("parameters").initialise(config, seed).items()
    }
    parameters["output.w"] = parameters["output.w"] * gain
    return config, parameters


ROWS = [[1], [4, 0, 2], [3, 3]]
SOURCES = [[3, 4, 1, 0], [2, 2, 1, 0], [0, 1, 1, 4]]


def prompt(get, config, rows=ROWS, sources=SOURCES):
    """Rows of different lengths, padded on the left."""
    longest = max(map(len, rows))
    ids = [[0] * (longest - len(row)) + row for row in rows]
    mask = np.array([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    batch = get("batch").Batch
    if config.model == "encoder-decoder":
        return batch(sources, ids, decoder_mask=mask)
    return batch(ids, mask=mask)


def every(get):
    """Each kind of model, with each row's prompt alone and all of them together."""
    for kind in ("decoder-only", "encoder-decoder"):
        config, parameters = model(get, kind)
        alone = [
            prompt(get, config, [row], [source]) for row, source in zip(ROWS, SOURCES, strict=True)
        ]
        yield config, parameters, prompt(get, config), alone


def log_probabilities(get, config, parameters, batch, tokens):
    """log P of every word after the prompt and some tokens, by the plain forward pass."""
    if config.model == "encoder-decoder":
        one = get("batch").Batch(batch.ids, [[*batch.decoder_ids[0], *tokens]])
    else:
        one = get("batch").Batch([[*batch.ids[0], *tokens]])
    logits = get("model").forward(config, parameters, one)[0].logits[0, -1:]
    return [math.log(p) for p in softmax(logits)[0]]


def log_probability(get, config, parameters, batch, tokens):
    """Of one row's tokens, step by step."""
    return math.fsum(
        log_probabilities(get, config, parameters, batch, tokens[:n])[token]
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


def given_texts(get):
    """Document 004's product: per token by hand, and all texts of a length sum to 1."""
    probability = get("decoding.probability").sequence_log_probability
    for config, parameters, batch, alone in every(get):
        tokens = [[2, 0, 1], [4], []]
        found = probability(config, parameters, batch, tokens)
        for row, one in enumerate(alone):
            expected = log_probability(get, config, parameters, one, tokens[row])
            np.testing.assert_allclose(found.total[row], expected, atol=1e-10)
            np.testing.assert_allclose(found.per_token[row].sum(), expected, atol=1e-10)
            assert len(found.per_token[row]) == len(tokens[row])
            assert (found.per_token[row] <= 0).all()  # so a running sum never rises
    config, parameters = model(get)
    texts = list(itertools.product(range(VOCABULARY), repeat=2))
    batch = get("batch").Batch([[1, 3]] * len(texts))
    total = probability(config, parameters, batch, texts).total
    np.testing.assert_allclose(math.fsum(np.exp(total)), 1.0, atol=1e-12)


def sampling_alone_and_in_a_batch(get):
    """A row draws the same tokens alone; rows of one prompt draw different ones."""
    generate = get("decoding.generate").generate
    filters = get("decoding.filters").Filters(temperature=1.5, repetition_penalty=1.2)
    sampler = get("decoding.sample").sampler
    for config, parameters, batch, alone in every(get):
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
    config, parameters = model(get)
    same = get("batch").Batch([[1]] * 6)
    drawn = generate(config, parameters, same, max_new_tokens=8, choose=sampler(filters, 0)).new
    assert len({tuple(row) for row in drawn}) > 1
    other = generate(config, parameters, same, max_new_tokens=8, choose=sampler(filters, 99)).new
    assert drawn != other


def cold_sampling_is_greedy(get):
    """Temperature 0, and a temperature near it, draw what greedy takes; so does top-k 1."""
    generate = get("decoding.generate").generate
    f, sampler = get("decoding.filters").Filters, get("decoding.sample").sampler
    for config, parameters, batch, _ in every(get):
        expected = generate(config, parameters, batch, max_new_tokens=7).new
        for filters in (f(temperature=0), f(temperature=1e-9), f(top_k=1), f(top_p=1e-9)):
            choose = sampler(filters, 3)
            assert generate(config, parameters, batch, max_new_tokens=7, choose=choose).new == (
                expected
            )


def padding_is_not_seen(get):
    """The penalty counts the prompt and what came after, but no padding (id 0 here)."""
    generate = get("decoding.generate").generate
    filters = get("decoding.filters").Filters(repetition_penalty=3.0)
    choose = get("decoding.sample").filtered_greedy(filters)
    for config, parameters, batch, alone in every(get):
        together = generate(config, parameters, batch, max_new_tokens=6, choose=choose).new
        for row, one in enumerate(alone):
            assert (
                generate(config, parameters, one, max_new_tokens=6, choose=choose).new[0]
                == (together[row])
            )


# Beam search.


def search(get, config, parameters, batch, **options):
    return get("decoding.beam").beam_search(
        config, parameters, batch, **{"max_new_tokens": 5, "num_beams": 3, "eos": 2, **options}
    )


def one_beam_is_greedy(get):
    generate = get("decoding.generate").generate
    choice = get("decoding.sample").filtered_greedy
    for config, parameters, batch, _ in every(get):
        for penalty, length_penalty in ((1.0, 1.0), (1.0, 3.0), (2.0, 0.0)):
            filters = get("decoding.filters").Filters(repetition_penalty=penalty)
            expected = generate(
                config, parameters, batch, max_new_tokens=8, eos=2, choose=choice(filters)
            ).new
            found = search(
                get, config, parameters, batch, max_new_tokens=8, num_beams=1,
                repetition_penalty=penalty, length_penalty=length_penalty,
            )  # fmt: skip
            assert found.new == expected
            assert all(len(row) == 1 for row in found.hypotheses)


def beams_are_sorted_and_scores_recomputed(get):
    """Unique, sorted, each score from the plain forward pass and the generated length alone."""
    for config, parameters, batch, alone in every(get):
        for penalty in (1.0, 0.0, -0.5, 2.0):
            found = search(get, config, parameters, batch, length_penalty=penalty)
            for row, hypotheses in enumerate(found.hypotheses):
                assert 1 <= len(hypotheses) <= 3
                assert len({one.tokens for one in hypotheses}) == len(hypotheses)
                scores = [one.score for one in hypotheses]
                assert scores == sorted(scores, reverse=True)
                for one in hypotheses:
                    expected = log_probability(get, config, parameters, alone[row], one.tokens)
                    np.testing.assert_allclose(one.log_probability, expected, atol=1e-10)
                    length = len(one.tokens)
                    np.testing.assert_allclose(one.score, expected / length**penalty, atol=1e-10)
                    assert one.ended == (one.tokens[-1] == 2)
                    assert 2 not in one.tokens[:-1]
                    assert one.ended or length == 5
            assert found.new == [list(row[0].tokens) for row in found.hypotheses]


def enough_beams_are_exhaustive(get):
    """As many beams as there are texts: every one of them, in the order of their scores."""
    longest, vocabulary = 3, 4
    texts = every_text({2, 3}, longest, vocabulary)
    config, parameters = model(get, vocabulary=vocabulary)
    for length_penalty in (1.0, 0.0, 2.0, -1.0):
        one = prompt(get, config, [[1, 3]])
        found = search(
            get, config, parameters, one, max_new_tokens=longest, num_beams=len(texts),
            stop=[3], length_penalty=length_penalty,
        ).hypotheses[0]  # fmt: skip
        scores = {
            text: log_probability(get, config, parameters, one, text) / len(text) ** length_penalty
            for text in texts
        }
        assert [h.tokens for h in found] == sorted(scores, key=lambda text: -scores[text])
        total = math.fsum(math.exp(h.log_probability) for h in found)
        np.testing.assert_allclose(total, 1.0, atol=1e-10)


def reference_search(get, config, parameters, one, beams, longest, end, length_penalty):
    """Beam search written again, slowly: no cache, no stopping before the limit.

    To the end of the limit nothing can be missed; stopping early must find the same best text.
    """
    running, finished = [((), 0.0)], []
    for step in range(longest):
        candidates = sorted(
            (
                ((*before, token), total + log_p)
                for before, total in running
                for token, log_p in enumerate(
                    log_probabilities(get, config, parameters, one, before)
                )
            ),
            key=lambda candidate: -candidate[1],
        )
        over = [c[0][-1] == end or step == longest - 1 for c in candidates]
        finished += [c for c, is_over in zip(candidates[:beams], over, strict=False) if is_over]
        running = [c for c, is_over in zip(candidates, over, strict=True) if not is_over][:beams]
    return sorted(finished, key=lambda c: -c[1] / len(c[0]) ** length_penalty)[:beams]


def stopping_loses_nothing(get):
    """The search stops early, and finds what one finds that goes on to the limit."""
    stopped_early = 0
    for seed in range(4):
        config, parameters = model(get, seed=seed, vocabulary=4, gain=2.0)
        one = prompt(get, config, [[1]])
        for length_penalty in (1.0, 0.0, -1.0):
            expected = reference_search(get, config, parameters, one, 2, 5, 2, length_penalty)
            found = search(get, config, parameters, one, num_beams=2, length_penalty=length_penalty)
            assert [h.tokens for h in found.hypotheses[0]] == [text for text, _ in expected]
            stopped_early += len(found.steps) < 5
    assert stopped_early


def a_long_text_may_still_win(get):
    """Two probable texts have ended early; a third goes on, less probable than both, but all its
    words are sure from there on: at the limit it has the best mean."""
    words = get("vocabulary").Vocabulary(["a", "b", "c", "<eos>"])
    table = {
        (0, "a"): {"<eos>": 0.5, "b": 0.4, "c": 0.1},
        (1, "b"): {"<eos>": 0.9, "b": 0.1},
        **{(n, "c"): {"c": 1.0} for n in range(1, 10)},
    }
    config, parameters = get("examples.lookup").lookup_model(words, table, 10)
    one = get("batch").Batch([[0]])
    options = {"num_beams": 2, "max_new_tokens": 9, "eos": 3}
    found = search(get, config, parameters, one, **options)
    assert found.new == [[2] * 9]
    plain = search(get, config, parameters, one, length_penalty=0.0, **options)
    assert plain.new == [[3]]
    assert len(plain.steps) == 2


def beams_alone_and_in_a_batch(get):
    for config, parameters, batch, alone in every(get):
        together = search(get, config, parameters, batch, max_new_tokens=6, repetition_penalty=1.3)
        for row, one in enumerate(alone):
            single = search(get, config, parameters, one, max_new_tokens=6, repetition_penalty=1.3)
            assert [h.tokens for h in single.hypotheses[0]] == [
                h.tokens for h in together.hypotheses[row]
            ]
            np.testing.assert_allclose(
                [h.score for h in single.hypotheses[0]],
                [h.score for h in together.hypotheses[row]],
                atol=1e-10,
            )


def the_tree_holds_together(get):
    """Each candidate continues a text that was running; sums never rise; the best come first, and
    no dead one is better than one that goes on; what is over runs no more."""
    for config, parameters, batch, _ in every(get):
        found = search(get, config, parameters, batch)
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
