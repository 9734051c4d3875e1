"""Bugs planted one by one in the ring, in paged storage and in the cache of latents: the state
machine finds each."""

from __future__ import annotations

import pytest
from cache_planting import find
from samples import some

from numtx.attention import latent
from numtx.cache import cache, paged, ring, storage

# Machine, where it stands, and the text that is replaced by another.
BUGS = {
    "a ring smaller than its room": (
        "ring of the window", (ring.Ring, "commit"), "later <= self.room", "later < self.room"),
    "a ring that begins anew at every call": (
        "ring", (ring.Ring, "commit"), "(first + np.arange(new.size))", "np.arange(new.size)"),
    "a ring that goes on by what it holds": (
        "ring", (ring.Ring, "commit"), "self._slots[row, old[-1]] + 1 if old.size else 0",
        "old.size"),
    "a ring that stores padding": (
        "ring of the window", (ring.Ring, "commit"), "stays = valid & (later <= self.room)",
        "stays = np.cumsum(np.ones_like(valid), 1)[:, ::-1] <= self.room"),
    "a ring that evicts before the call has seen it": (
        "ring", (ring.Ring, "_write"), "np.take_along_axis(array, lines, -2)",
        "np.take_along_axis(array, np.maximum(lines, self._reserved), -2)"),
    "a ring with the new before the old": (
        "ring", (ring.Ring, "_write"), "(np.take_along_axis(array, lines, -2), new)",
        "(new, np.take_along_axis(array, lines, -2))"),
    "a ring that writes the first layer only": (
        "ring", (ring.Ring, "commit"), "in self._seen.items():",
        "in list(self._seen.items())[:1]:"),
    "a ring whose forks share memory": (
        "ring", (ring.Ring, "fork"), "a.copy()", "a"),
    "a ring reordered without its slots": (
        "ring", (ring.Ring, "reorder"), "self._slots[index]",
        "self._slots[:1].repeat(len(index), 0)"),
    "a ring reset that keeps its columns": (
        "ring", (storage.Storage, "reset"), "self.length = 0", "pass"),
    "a ring that counts positions from what it holds": (
        "ring", (cache.Cache, "lengths"), "return lengths + self._gone", "return lengths"),
    "a ring cut into what it has evicted": (
        "ring", (cache.Cache, "truncate"), "self._check_still_held(wanted)", "pass"),
    "a ring cut as if nothing were evicted": (
        "ring", (cache.Cache, "truncate"), " + self._gone[:, None] <=", " <="),
    "a ring reordered without its counts": (
        "ring", (cache.Cache, "reorder"), "self._gone[rows]", "self._gone[:1].repeat(len(rows))"),
    "a ring reset that keeps its counts": (
        "ring", (cache.Cache, "reset"), "self._gone = np.zeros(self.batch, np.int64)", "pass"),
    "written into a shared block": (
        "paged", (paged.Paged, "_make_room"), "users[last] > 1", "False"),
    "one layer copied on write": (
        "paged", (paged.BlockPool, "copy"), "in self.arrays:", "in self.arrays[:1]:"),
    "one stream copied on write": (
        "paged", (paged.BlockPool, "copy"), "in arrays.values():", "in [arrays['keys']]:"),
    "copied on write, and the shared block not given back": (
        "paged", (paged.Paged, "_make_room"), "self.pool.give_back([shared])", "pass"),
    "a fork that does not count": (
        "paged", (paged.Paged, "fork"), "self.pool.share(mine)", "pass"),
    "a fork of the same table": (
        "paged", (paged.Paged, "fork"), "other.length = self.length",
        "other.length, other.table = self.length, self.table"),
    "a failed call that keeps its blocks": (
        "paged", (paged.Paged, "rollback"), "self._trim()", "pass"),
    "a cut that keeps its blocks": (
        "paged", (paged.Paged, "truncate"), "self._trim()", "pass"),
    "a cut that gives back a block too many": (
        "paged", (paged.Paged, "_blocks"), "-(-columns // self.pool.block_size)",
        "columns // self.pool.block_size"),
    "a release that keeps its blocks": (
        "paged", (cache.Cache, "release"), "self.reset()", "self._storage.table.clear()"),
    "blocks lost with their table": (
        "paged", (paged, "_give_back_all"), "pool.give_back(blocks)", "pass"),
    "a reorder that does not count": (
        "paged", (paged.Paged, "reorder"), "self.pool.share(blocks)", "pass"),
    "a reorder that keeps the old blocks": (
        "paged", (paged.Paged, "reorder"), "self.pool.give_back(blocks)", "pass"),
    "a block freed while it is shared": (
        "paged", (paged.BlockPool, "give_back"), "if not self._references[block]:", "if True:"),
    "a pool that loses everything as it grows": (
        "paged", (paged.BlockPool, "_grow"), "arrays[name][:known] = array", "pass"),
    "a pool that takes more blocks than it may": (
        "small pool", (paged.BlockPool, "take"), "count > self.free", "False"),
    "another scale in decode": (
        "latent", (latent, "absorbed"), "config.latent_scale", "config.scale"),
    "keys cached before their rotation": (
        "latent", (latent, "latent_attention_forward"),
        "rotated_key = rotate_forward(rotated_key[:, None], rotation)[:, 0]",
        "rotated_key = rotated_key if store else "
        "rotate_forward(rotated_key[:, None], rotation)[:, 0]",
    ),
    "heads taken apart the wrong way": (
        "latent", (latent, "absorbed"),
        'at["w_uk"].reshape(-1, config.heads, config.d_k)',
        'at["w_uk"].reshape(-1, config.d_k, config.heads).swapaxes(1, 2)'),
    "values of another head": (
        "latent", (latent, "absorbed"), "up.transpose(1, 0, 2)",
        "up.transpose(1, 0, 2)[::-1]"),
    "latents reordered, rotated keys not": (
        "latent", (storage.Contiguous, "reorder"), "a[index] for",
        "a[index] if name == 'latent' else a[:1].repeat(len(index), 0) for"),
    "a ring of latents without their rotated keys": (
        "latent window", (ring.Ring, "commit"), "in self._arrays[layer].items():",
        "in [('latent', self._arrays[layer]['latent'])]:"),
    "a ring of latents, window forgotten": (
        "latent window", (latent, "absorbed"), "mask, config.latent_scale",
        "mask._replace(allowed=mask.allowed | mask.live[:, None, None] "
        "if mask.live is not None else mask.allowed), config.latent_scale"),
}  # fmt: skip


@pytest.mark.parametrize("bug", some(8, __name__, BUGS))
def test_the_machine_finds(bug, monkeypatch):
    find(monkeypatch, *BUGS[bug])
