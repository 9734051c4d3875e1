"""What may not be chosen: a run of tokens a second time, an end before its time."""

from __future__ import annotations

import numpy as np
import pytest
from decoding_checks import VOCABULARY, model, prompt
from hypothesis import given
from hypothesis import strategies as st

from numtx.cli import main
from numtx.decoding import Filters, beam_search, filtered_greedy, generate, sampler
from numtx.decoding.filters import ban_repeated_ngrams, rule_out
from numtx.errors import DecodingError


def repeats(tokens, size):
    """Whether some run of `size` tokens occurs twice."""
    runs = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return len(set(runs)) < len(runs)


@given(st.lists(st.integers(0, 3), max_size=9), st.integers(1, 4))
def test_a_token_is_ruled_out_where_it_would_repeat_a_run(tokens, size):
    logits = np.random.default_rng(0).standard_normal((2, 9))  # 4 to 8 are never seen
    got = ban_repeated_ngrams(logits, [tokens, []], size)
    run = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    for token in range(9):
        new = (*tokens[len(tokens) - size + 1 :], token) if size > 1 else (token,)
        banned = len(new) == size and new in run
        assert got[0, token] == (-np.inf if banned else logits[0, token])
    assert np.array_equal(got[1], logits[1]) and got.dtype == logits.dtype


def test_zero_is_none():
    logits = np.zeros((1, 3), np.float32)
    assert ban_repeated_ngrams(logits, [[1, 1, 1]], 0) is logits


KINDS = ("decoder-only", "encoder-decoder")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2])
def test_no_run_comes_twice_in_what_is_generated(kind, size):
    own = model(kind, vocabulary=9)
    batch = prompt(own[0])
    most = 5 if size == 1 else 12
    plain = generate(*own, batch, max_new_tokens=most)
    assert any(repeats([*p, *n], size) for p, n in zip(plain.prompt, plain.new, strict=True))
    for choose in (filtered_greedy, sampler):
        filters = Filters(no_repeat_ngram_size=size)
        found = generate(*own, batch, max_new_tokens=most, choose=choose(filters))
        for before, new in zip(found.prompt, found.new, strict=True):
            if not repeats(before, size):
                assert not repeats([*before, *new], size)


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_ends_before_its_time(kind):
    own = model(kind)
    batch = prompt(own[0])
    for eos in range(VOCABULARY):
        options = {"max_new_tokens": 6, "eos": eos}
        free = generate(*own, batch, **options)
        for least in (0, 1, 4, 6):
            found = generate(*own, batch, min_new_tokens=least, **options)
            for before, after in zip(free.new, found.new, strict=True):
                assert len(after) >= least and eos not in after[:least]
                if len(before) > least or eos not in before:
                    assert before == after  # nothing was in the way
            searched = beam_search(*own, batch, min_new_tokens=least, num_beams=3, **options)
            assert all(len(one.tokens) >= least for row in searched.hypotheses for one in row)


def test_beams_without_repetition():
    own = model()
    batch = prompt(own[0], rows=[[1], [4]])
    found = beam_search(*own, batch, max_new_tokens=4, num_beams=4, no_repeat_ngram_size=1)
    for before, row in zip(found.prompt, found.hypotheses, strict=True):
        assert row and not any(repeats([*before, *one.tokens], 1) for one in row)


def test_what_leaves_no_token_is_one_line():
    with pytest.raises(DecodingError, match="=1 rules out every token of row 1"):
        ban_repeated_ngrams(np.zeros((2, 2)), [[0], [1, 0]], 1)
    with pytest.raises(DecodingError, match="row 0 has no token that does not end it"):
        rule_out(np.zeros((1, 2)), [0, 1])
    for wrong in (-1, 1.5, True, None):
        with pytest.raises(DecodingError, match="no_repeat_ngram_size is"):
            Filters(no_repeat_ngram_size=wrong)
    own = model()
    batch = prompt(own[0])
    for call in (generate, lambda *a, **o: beam_search(*a, num_beams=2, **o)):
        with pytest.raises(DecodingError, match="min_new_tokens is int 4; it is a whole number"):
            call(*own, batch, max_new_tokens=3, min_new_tokens=4)


def run(capsys, *options):
    code = main(("generate", *options))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_line(capsys):
    short = ("loops", "--max-new-tokens", "8")
    _, out, _ = run(capsys, *short, "--no-repeat-ngram-size", "1")
    assert "greedy, no repeat ngram size 1" in out
    assert "very very" not in out.split("output:", 1)[1]
    _, out, _ = run(capsys, *short, "--min-new-tokens", "6", "--trace")
    assert "greedy, at least 6 new tokens" in out and "softmax  min_new_tokens=6" in out
    assert "very very very good <eos>" not in out.split("output:", 1)[1]
    _, out, _ = run(
        capsys, "beams", "--beams", "3", "--max-new-tokens", "7", "--min-new-tokens", "7"
    )
    assert "<eos>  " in out or "cut at the limit" in out
    code, out, err = run(capsys, *short, "--min-new-tokens", "9")
    assert (code, out) == (2, "")
    assert err == "numtx: min_new_tokens is int 9; it is a whole number from 0 to 8\n"
    code, out, err = run(capsys, *short, "--no-repeat-ngram-size", "-1")
    assert (code, out) == (2, "") and "no_repeat_ngram_size is int -1" in err
