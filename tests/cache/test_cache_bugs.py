"""Bugs that really happened elsewhere, planted one by one: the state machine finds each."""

from __future__ import annotations

import pytest
from cache_cases import model
from cache_machine import machine_of
from cache_planting import SETTINGS, plant, planted
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from numtx import batch
from numtx import model as model_module
from numtx import step as step_module
from numtx.attention import multi_head
from numtx.cache import cache, storage

CONFIG = model("encoder-decoder", "gqa", "rotary", window=5)

# What, where it stands, and the text that is replaced by another.
BUGS = {
    "mask aligned upper left": (
        (model_module, "allowed"), "_reach(queries, keys, causal)",
        "np.tri(queries, keys, 0 if causal else keys, dtype=bool)"),
    "mask skipped once there is a cache": (
        (model_module, "allowed"), "_reach(queries, keys, causal)",
        "_reach(queries, keys, causal and keys == queries)"),
    "window forgotten in decode": (
        (model_module, "allowed"), "window is not None:", "window is not None and queries > 1:"),
    "position taken from the chunk": (
        (batch, "count_positions"), "if before is not None:", "if False:"),
    "positions of columns instead of tokens": (
        (cache.Cache, "lengths"), "np.add.reduce(self._valid, 1, dtype=np.int64)",
        "np.full(self.batch, self.length)"),
    "padding in the cache attended to": (
        (cache.Cache, "mark"), "(self._valid, valid)", "(np.ones_like(self._valid), valid)"),
    "fork shares memory": (
        (storage.Contiguous, "fork"), "a.copy()", "a"),
    "fork shares what is not copied at all": (
        (cache.Cache, "fork"), "self._storage.fork()", "self._storage"),
    "reset keeps the length": (
        (storage.Storage, "reset"), "self.length = 0", "pass"),
    "reset keeps the encoder's part": (
        (cache.Cache, "reset"), "self._source, self._cross = None, []", "pass"),
    "reset does nothing": (
        (cache.Cache, "reset"), "self._storage.reset()", "return"),
    "truncation does nothing": (
        (cache.Cache, "truncate"), "kept = self._valid & ", "kept = self._valid | "),
    "truncation of all rows to the longest": (
        (cache.Cache, "truncate"), "<= wanted[:, None]", "<= wanted.max()"),
    "truncation keeps one token too many": (
        (cache.Cache, "truncate"), "<= wanted[:, None]", "<= wanted[:, None] + 1"),
    "truncation forgets the columns": (
        (cache.Cache, "truncate"), "self._storage.truncate(columns)", "pass"),
    "reorder of keys only": (
        (storage.Contiguous, "reorder"), "a[index] for", "a[index] if name == 'keys' else a for"),
    "reorder of the first layer only": (
        (storage.Contiguous, "reorder"), "for layer in self._arrays]",
        "for layer in self._arrays[:1]] + self._arrays[1:]"),
    "reorder forgets the padding": (
        (cache.Cache, "reorder"), "self._valid[rows]", "self._valid[:1].repeat(len(rows), 0)"),
    "reorder forgets the encoder's part": (
        (cache.Cache, "reorder"), "a[rows] for", "a[:1].repeat(len(rows), 0) for"),
    "reorder forgets the encoder's mask": (
        (cache.Cache, "reorder"), "self._source[rows]", "self._source[:1].repeat(len(rows), 0)"),
    "reorder the wrong way round": (
        (cache.Cache, "reorder"), "self._storage.reorder(rows)",
        "self._storage.reorder(rows[::-1])"),
    "cross mask forgotten in decode": (
        (step_module, "_step_memory"), "else encoded.output, valid",
        "else encoded.output, valid if kept is None else valid | True"),
    "growth loses what was there": (
        (storage.Contiguous, "_grow"), "old[..., : self.length, :]", "0"),
    "growth loses the last column": (
        (storage.Contiguous, "_grow"), ": self.length, :] = old[..., : self.length, :]",
        ": self.length - 1, :] = old[..., : self.length - 1, :]"),
    "written one column too early": (
        (storage.Contiguous, "_write"), "self.length : end, :]",
        "max(self.length - 1, 0) : end - (self.length > 0), :]"),
    "a failed call is kept": (
        (cache.Cache, "rollback"), "self._storage.rollback()",
        "self._storage.length += self._storage._reserved; self._storage.rollback()"),
    "a failed first call keeps the encoder's part": (
        (cache.Cache, "rollback"), "if self._source_is_new:", "if False:"),
    "keys cached before their rotation": (
        (multi_head, "attention_forward"), 'new = {"keys": keys,',
        'new = {"keys": split_heads(at.linear(memory, "k")[0], config.kv_heads),'),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_finds(bug, monkeypatch):
    (place, name), old, new = BUGS[bug]
    plant(monkeypatch, place, name, planted(place, name, old, new))
    with pytest.raises(Exception) as caught:
        run_state_machine_as_test(machine_of(CONFIG), settings=SETTINGS)
    assert not isinstance(caught.value, SyntaxError | NameError | AttributeError)


def test_the_machine_passes_without_a_bug():
    run_state_machine_as_test(machine_of(CONFIG), settings=settings(SETTINGS, max_examples=20))
