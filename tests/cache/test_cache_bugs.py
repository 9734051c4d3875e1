"""Bugs that really happened elsewhere, planted one by one: the state machine finds each."""

from __future__ import annotations

import pytest
from cache_planting import MACHINES, find, run
from samples import some

from numtx import batch
from numtx import model as model_module
from numtx import step as step_module
from numtx.attention import multi_head
from numtx.cache import cache, storage

# Machine, where it stands, and the text that is replaced by another.
BUGS = {
    "mask aligned upper left": (
        "window", (model_module, "allowed"), "_reach(queries, keys, causal)",
        "np.tri(queries, keys, 0 if causal else keys, dtype=bool)"),
    "mask skipped once there is a cache": (
        "window", (model_module, "allowed"), "_reach(queries, keys, causal)",
        "_reach(queries, keys, causal and keys == queries)"),
    "window forgotten in decode": (
        "window", (model_module, "allowed"), "window is not None:",
        "window is not None and queries > 1:"),
    "position taken from the chunk": (
        "window", (batch, "count_positions"), "if before is not None:", "if False:"),
    "positions of columns instead of tokens": (
        "window", (cache.Cache, "lengths"), "np.add.reduce(self._valid, 1, dtype=np.int64)",
        "np.full(self.batch, self.length)"),
    "padding in the cache attended to": (
        "window", (cache.Cache, "mark"), "(self._valid, valid)",
        "(np.ones_like(self._valid), valid)"),
    "fork shares memory": (
        "window", (storage.Contiguous, "fork"), "a.copy()", "a"),
    "fork shares what is not copied at all": (
        "window", (cache.Cache, "fork"), "self._storage.fork()", "self._storage"),
    "reset keeps the length": (
        "window", (storage.Storage, "reset"), "self.length = 0", "pass"),
    "reset keeps the encoder's part": (
        "memory", (cache.Cache, "reset"), "self._source, self._cross = None, []", "pass"),
    "reset does nothing": (
        "window", (cache.Cache, "reset"), "self._storage.reset()", "return"),
    "truncation does nothing": (
        "window", (cache.Cache, "truncate"), "kept = self._valid & ", "kept = self._valid | "),
    "truncation of all rows to the longest": (
        "window", (cache.Cache, "truncate"), "<= wanted[:, None]", "<= wanted.max()"),
    "truncation keeps one token too many": (
        "window", (cache.Cache, "truncate"), "<= wanted[:, None]", "<= wanted[:, None] + 1"),
    "truncation forgets the columns": (
        "window", (cache.Cache, "truncate"), "self._storage.truncate(columns)", "pass"),
    "reorder of keys only": (
        "window", (storage.Contiguous, "reorder"), "a[index] for",
        "a[index] if name == 'keys' else a for"),
    "reorder of the first layer only": (
        "window", (storage.Contiguous, "reorder"), "for layer in self._arrays]",
        "for layer in self._arrays[:1]] + self._arrays[1:]"),
    "reorder forgets the padding": (
        "window", (cache.Cache, "reorder"), "self._valid[rows]",
        "self._valid[:1].repeat(len(rows), 0)"),
    "reorder forgets the encoder's part": (
        "memory", (cache.Cache, "reorder"), "a[rows] for", "a[:1].repeat(len(rows), 0) for"),
    "reorder forgets the encoder's mask": (
        "memory", (cache.Cache, "reorder"), "self._source[rows]",
        "self._source[:1].repeat(len(rows), 0)"),
    "reorder the wrong way round": (
        "window", (cache.Cache, "reorder"), "self._storage.reorder(rows)",
        "self._storage.reorder(rows[::-1])"),
    "cross mask forgotten in decode": (
        "memory", (step_module, "_step_memory"), "else encoded.output, valid",
        "else encoded.output, valid if kept is None else valid | True"),
    "growth loses what was there": (
        "window", (storage.Contiguous, "_grow"), "old[..., : self.length, :]", "0"),
    "growth loses the last column": (
        "window", (storage.Contiguous, "_grow"), ": self.length, :] = old[..., : self.length, :]",
        ": self.length - 1, :] = old[..., : self.length - 1, :]"),
    "written one column too early": (
        "window", (storage.Contiguous, "_write"), "self.length : end, :]",
        "max(self.length - 1, 0) : end - (self.length > 0), :]"),
    "a failed call is kept": (
        "window", (cache.Cache, "rollback"), "self._storage.rollback()",
        "self._storage.length += self._storage._reserved; self._storage.rollback()"),
    "a failed first call keeps the encoder's part": (
        "memory", (cache.Cache, "rollback"), "if self._source_is_new:", "if False:"),
    "keys cached before their rotation": (
        "window", (multi_head, "attention_forward"), 'new = {"keys": keys,',
        'new = {"keys": split_heads(at.linear(memory, "k")[0], config.kv_heads),'),
}  # fmt: skip


@pytest.mark.parametrize("bug", some(8, __name__, BUGS))
def test_the_machine_finds(bug, monkeypatch):
    find(monkeypatch, *BUGS[bug])


@pytest.mark.parametrize("seeds", [1, pytest.param(20, marks=pytest.mark.heavy, id="heavy")])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_passes_without_a_bug(machine, seeds):
    run(machine, seeds)
