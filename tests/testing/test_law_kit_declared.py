"""What an object says of itself is honoured, and what only looks like it is named."""

from __future__ import annotations

import numpy as np
import pytest
from plain_models import Plain, Stepping, V, Windowed

from numtx.errors import SubjectError
from numtx.testing import check, subject


def with_(model, **attributes):
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def test_declarations_on_the_object_are_honoured():
    model = with_(
        Windowed(3), reach=2, longest=np.int64(7), causal=np.True_, ordered=False, exact=False,
        tolerance=1e-6, name="mine",
    )  # fmt: skip
    own = subject(model)
    assert (own.reach, own.longest, own.causal, own.ordered) == (2, 7, True, False)
    assert (own.exact, own.tolerance, own.name, own.notes) == (False, 1e-6, "mine", ())
    assert (subject(model, reach=1).reach, subject(model, name="other").name) == (1, "other")


def test_verdicts_follow_what_stands_on_the_object():
    assert [r.status for r in check(with_(Windowed(3), reach=2), ["K4", "K5"]).results] == [
        "passed", "passed",
    ]  # fmt: skip
    both_ways = with_(Plain(ahead=100), causal=False)
    assert check(both_ways, ["K1", "K3", "K4"]).ok
    assert not check(Plain(ahead=100), ["K1"], examples=10).ok


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("reach", -1, "a whole number of at least 0"), ("reach", "15", "a whole number"),
        ("reach", True, "a whole number"), ("longest", 0, "a whole number of at least 1"),
        ("longest", 2.5, "a whole number"), ("causal", "no", "True or False"),
        ("causal", 0, "True or False"), ("exact", None, "True or False"),
        ("tolerance", 0, "a number between 0 and 1"), ("tolerance", "1e-3", "a number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_wherever_it_stands(name, value, told):
    for call in (
        lambda: subject(Plain(), **{name: value}),
        lambda: subject(with_(Plain(), **{name: value})),
    ):
        with pytest.raises(SubjectError, match=f"{name} is .*{told}") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_buffer_of_the_same_name_is_no_declaration_and_is_told():
    own = subject(with_(Plain(), causal=np.tri(4)))
    assert own.causal
    assert own.notes == ("causal is ndarray: not a declaration; it should be True or False",)


@pytest.mark.parametrize(
    ("option", "hint"),
    [("window", "did you mean 'reach'"), ("reech", "did you mean 'reach'"), ("colour", "known: ")],
)
def test_an_option_that_is_none_is_an_error(option, hint):
    for call in (subject, check):
        with pytest.raises(SubjectError, match=f"no option '{option}'; {hint}"):
            call(Plain(), **{option: 4})


def test_what_would_be_dropped_in_silence_is_an_error():
    own = subject(Plain())
    assert subject(own, V) is own
    with pytest.raises(SubjectError, match="vocabulary_size is 5; Plain has 13"):
        subject(own, 5)
    with pytest.raises(SubjectError, match="tensors is for callables"):
        subject(own, tensors=False)
    with pytest.raises(SubjectError, match="Plain is a class; give an object of it"):
        subject(Plain)
    with pytest.raises(SubjectError, match=r"no vocabulary_size.*vocab_size 9.*did you mean"):
        subject(with_(lambda ids: ids, vocab_size=9))


class Similar(Stepping):
    """Capabilities and declarations under other names."""

    window = 4
    is_causal = True
    shift = crop = clone = lambda self, state: state

    def __call__(self, ids, padding_mask=None, past_kv=None):
        return super().__call__(ids)

    fork = truncate = None


def test_what_looks_like_a_declaration_and_is_none_is_named_once():
    report = check(Similar(), ["K1", "B2"], examples=3)
    assert set(report.notes) == {
        "window 4: not a declaration; did you mean reach? (the farthest token that has an effect: "
        "layers * (window - 1))",
        "is_causal True: not a declaration; did you mean causal?",
        "shift(): not asked; it should take state, keep, drop",
        "crop(): not a capability; did you mean truncate?",
        "clone(): not a capability; did you mean fork?",
        "argument padding_mask: never given; did you mean mask?",
    }
    table = report.table()
    assert all(table.count(note) == 1 for note in report.notes)


def test_a_misspelled_method_and_half_of_a_cache_are_named():
    class Half(Plain):
        longst = 4

        def step(self, ids, state): ...
        def truncat(self, state, lengths): ...

    assert set(subject(Half()).notes) == {
        "longst 4: not a declaration; did you mean longest?",
        "truncat(): not a capability; did you mean truncate?",
        "step: not asked without prefill",
    }

    class OneMask(Stepping):
        def step(self, ids, state, mask=None):
            return super().step(ids, state)

    (note,) = subject(OneMask()).notes
    assert note == "mask of step: never given; both prefill and step should take it"


def test_nothing_is_said_of_a_model_that_is_plain_or_declares_what_it_resembles():
    assert subject(Stepping()).notes == subject(Plain()).notes == ()
    assert subject(with_(Plain(), window=4), reach=3).notes == ()


def test_draws_go_beyond_what_is_declared():
    assert subject(Plain()).longest == 8
    assert subject(Plain(), reach=2).longest == 8
    assert subject(Plain(), reach=15).longest == 34
    assert subject(Plain(), reach=15, longest=20).longest == 20
    own = subject(Plain(), reach=10**6)
    assert own.longest == 512
    (note,) = check(own, [], longest=8).notes
    assert note.startswith("reach 1000000: inputs of at most 8 tokens are tried")


class Ring(Stepping):
    """A window whose ring is cut before a chunk has looked at it (`early`), or after."""

    def __init__(self, window, early):
        super().__init__("")
        self.window, self.early, self.reach = window, early, window - 1
        self.longest = 36

    def __call__(self, ids):
        return Windowed(self.window)(ids)

    def prefill(self, ids):
        return self.step(ids, ())

    def step(self, ids, state):
        from plain_models import EMBEDDING, PLACES, W_K, W_V, attention

        keys, values, first = state or (np.zeros((len(ids), 0, 8)),) * 2 + (0,)
        past = first + keys.shape[1]
        places = np.arange(past, past + ids.shape[1])
        x = EMBEDDING[ids] + PLACES[places]
        keys, values = np.concatenate([keys, x @ W_K], 1), np.concatenate([values, x @ W_V], 1)
        drop = max(0, keys.shape[1] - self.window)
        kept = (keys[:, drop:], values[:, drop:], first + drop)
        if self.early:
            keys, values, first = kept
        of_keys = first + np.arange(keys.shape[1])
        seen = (of_keys <= places[:, None]) & (places[:, None] - of_keys < self.window)
        return attention(x, seen, keys, values), kept

    def fork(self, state):
        return state

    truncate = reorder = None


@pytest.mark.parametrize("window", [4, 16])
def test_a_ring_that_is_overwritten_too_early_is_caught(window):
    (early,) = check(Ring(window, True), ["C1"], examples=50, shrink=False).results
    assert early.status == "broken"
    assert check(Ring(window, False), ["C1", "K2", "K4", "K5", "C11"], examples=25).ok
