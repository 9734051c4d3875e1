"""The laws of context shift on models that are not numtx's, right and with one bug."""

from __future__ import annotations

import numpy as np
import pytest
from field_models import W_O, D, V, attend

from numtx.testing import check

draw = np.random.default_rng(3).normal
EMBEDDING, LAYERS = draw(size=(V, D)), draw(size=(3, 4, D, D)) / 2
LAWS = ["C14", "C15"]


def turn(x, places):
    """Rotary positions, halves."""
    angles = np.asarray(places)[:, None] * 10.0 ** -np.arange(D // 2)
    a, b, c, s = x[..., : D // 2], x[..., D // 2 :], np.cos(angles), np.sin(angles)
    return np.concatenate([a * c - b * s, a * s + b * c], -1)


class Turned:
    """Rotary keys and values of some layers, which can be shifted. A window, or None."""

    vocabulary_size = V

    def __init__(self, layers=1, bug="", window=None):
        self.layers, self.bug, self.window = LAYERS[:layers], bug, window
        if window:
            self.reach = layers * (window - 1)

    def __call__(self, ids):
        return self.prefill(ids)[0]

    def prefill(self, ids):
        empty = [(np.zeros((len(ids), 0, D)),) * 2] * len(self.layers)
        return self.step(ids, (empty, 0, 0))

    def step(self, ids, state):
        past, next_place, hidden = state
        new = ids.shape[1]
        places = np.arange(next_place, next_place + new)
        x, kept = EMBEDDING[ids], []
        for (w_q, w_k, w_v, w), (keys, values) in zip(self.layers, past, strict=True):
            keys = np.concatenate([keys, turn(x @ w_k, places)], 1)
            values = np.concatenate([values, x @ w_v], 1)
            total = keys.shape[1]
            seen = np.tri(new, total, total - new, dtype=bool)
            if self.window:
                seen &= ~np.tri(new, total, total - new - self.window, dtype=bool)
            seen &= np.arange(total) >= hidden
            x = x + attend(turn(x @ w_q, places), keys, values, seen) @ w
            kept.append((keys, values))
        return x @ W_O[:V].T, (kept, next_place + new, hidden)

    def shift(self, state, keep, drop):
        past, next_place, hidden = state
        if self.bug == "one too many":
            drop = min(drop + 1, past[0][0].shape[1] - keep)
        total = past[0][0].shape[1]
        columns = np.r_[:keep, keep + drop : total]
        moved = np.where(columns >= keep, -drop, 0)
        if self.bug == "sinks are turned":
            moved[:] = -drop
        if self.bug == "turned the other way":
            moved = -moved
        if self.bug == "turned by what is kept, too":
            moved -= keep * (moved != 0)
        found = []
        for n, (keys, values) in enumerate(past):
            keys = keys[:, columns]
            if self.bug != "not turned" and (self.bug != "the first layer's only" or n == 0):
                keys = turn(keys, moved)
            found.append((keys, values[:, columns]))
        return found, next_place - (0 if self.bug == "the next place stays" else drop), hidden


class Hiding(Turned):
    def hide(self, state, drop):
        return *state[:2], drop


def results(model, laws=LAWS, **options):
    report = check(model, laws, examples=15, shrink=False, **options)
    return {result.law.name: result.status for result in report.results}, report


@pytest.mark.parametrize("model", [Turned(), Hiding(), Hiding(3), Turned(2, window=3)])
def test_a_right_shift_passes(model):
    assert results(model)[0] == dict.fromkeys(LAWS, "passed")


@pytest.mark.parametrize(
    ("bug", "broken"),
    [
        ("not turned", {"C15"}),
        ("turned the other way", {"C15"}),
        ("turned by what is kept, too", {"C14", "C15"}),
        ("sinks are turned", {"C14", "C15"}),
        ("the next place stays", {"C14", "C15"}),
        ("one too many", {"C14", "C15"}),
    ],
)
def test_a_wrong_shift_is_broken_whatever_the_number_of_layers(bug, broken):
    assert {law for law, told in results(Turned(1, bug))[0].items() if told == "broken"} == broken
    assert "broken" in results(Hiding(2, bug))[0].values()


def test_keys_of_the_first_layer_only_are_not_enough():
    assert results(Hiding(2, "the first layer's only"))[0]["C15"] == "broken"


def test_beyond_a_window_nothing_needs_to_be_hidden():
    assert results(Turned(2, "not turned", window=3), longest=14)[0]["C15"] == "broken"


def test_without_hide_a_deep_model_is_told_what_is_missing():
    found, report = results(Turned(2, "not turned"))
    assert found == {"C14": "passed", "C15": "vacuous"}
    assert "with hide(state, drop) it is asked what is right" in report.table()


class Passing(Hiding):
    """The same with its past in the call."""

    prefill = step = None

    def __call__(self, ids, past_key_values=None, attention_mask=None, position_ids=None):
        keys = 0 if past_key_values is None else past_key_values[0][0].shape[1]
        mask = np.ones((len(ids), keys + ids.shape[1]), int)
        mask = mask if attention_mask is None else attention_mask
        places = np.arange(keys, mask.shape[1]) if position_ids is None else position_ids[0]
        empty = [(np.zeros((len(ids), 0, D)),) * 2] * len(self.layers)
        hidden = int(np.argmax(mask[0]))
        logits, state = Hiding.step(self, ids, (past_key_values or empty, places[0], hidden))
        return logits, state[0]

    def shift(self, past, keep, drop):
        return super().shift((past, past[0][0].shape[1], 0), keep, drop)[0]


def test_a_past_in_the_call_is_hidden_by_its_mask():
    one_side = {"paddings": ("left",)}
    assert results(Passing(2), **one_side)[0] == dict.fromkeys(LAWS, "passed")
    assert results(Passing(2, "not turned"), **one_side)[0]["C15"] == "broken"
