"""Small models of kinds that people reported, each right or with its bug, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

V, D, H = 13, 8, 2
draw = np.random.default_rng(2).normal
EMBEDDING, PLACES, W_Q, W_K, W_V, W_O = (draw(size=(n, D)) / 2 for n in (300, 96, D, D, D, 300))
SLOPES = 2.0 ** (-8 * np.arange(1, H + 1) / H)


def attend(q: Any, k: Any, v: Any, seen: Any, bias: Any = 0.0, hidden: float = -1e9) -> Any:
    scores = np.where(seen, q @ k.swapaxes(-1, -2) / D**0.5 + bias, hidden)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def embedded(ids: Any, places: Any) -> Any:
    return EMBEDDING[ids] + PLACES[places]


class Cached:
    """Keys and values of all tokens. bug "upper left": the triangle of a later chunk."""

    vocabulary_size = V

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def __call__(self, ids: Any) -> Any:
        return self.prefill(ids)[0]

    def prefill(self, ids: Any) -> Any:
        return self.step(ids, (np.zeros((len(ids), 0, D)),) * 2)

    def step(self, ids: Any, state: Any) -> Any:
        past, new = state[0].shape[1], ids.shape[1]
        x = embedded(ids, np.arange(past, past + new))
        k, v = (np.concatenate([a, x @ w], 1) for a, w in zip(state, (W_K, W_V), strict=True))
        shift = 0 if self.bug == "upper left" else past
        y = attend(x @ W_Q, k, v, np.tri(new, past + new, shift, dtype=bool))
        return (x + y) @ W_O[:V].T, (k, v)


class Ring(Cached):
    """A window in a ring of as many slots; bug "early": a chunk is written before it is read."""

    def __init__(self, window: int, bug: str = "") -> None:
        super().__init__(bug)
        self.window, self.reach = window, window - 1

    def __call__(self, ids: Any) -> Any:
        length = ids.shape[1]
        x = embedded(ids, np.arange(length))
        away = np.arange(length)[:, None] - np.arange(length)
        y = attend(x @ W_Q, x @ W_K, x @ W_V, (away >= 0) & (away < self.window))
        return (x + y) @ W_O[:V].T

    def prefill(self, ids: Any) -> Any:
        empty = np.zeros((len(ids), self.window, D))
        return self.step(ids, (empty, empty, np.full(self.window, -1), 0))

    def step(self, ids: Any, state: Any) -> Any:
        keys, values, at, past = state[0].copy(), state[1].copy(), state[2].copy(), state[3]
        where = np.arange(past, past + ids.shape[1])
        x = embedded(ids, where)
        k, v = x @ W_K, x @ W_V
        before = keys.copy(), values.copy(), at.copy()
        for t, place in enumerate(where):
            slot = place % self.window
            keys[:, slot], values[:, slot], at[slot] = k[:, t], v[:, t], place
        if self.bug == "early":
            all_keys, all_values, places = keys, values, at
        else:
            all_keys, all_values = (np.concatenate(p, 1) for p in ((before[0], k), (before[1], v)))
            places = np.concatenate([before[2], where])
        away = where[:, None] - places
        y = attend(
            x @ W_Q, all_keys, all_values, (places >= 0) & (away >= 0) & (away < self.window)
        )
        return (x + y) @ W_O[:V].T, (keys, values, at, past + ids.shape[1])


class Sloped(Cached):
    """Scores that fall with the distance; bug "queries": counted over the queries' length."""

    def step(self, ids: Any, state: Any) -> Any:
        x = EMBEDDING[ids]
        k, v = (np.concatenate([a, x @ w], 1) for a, w in zip(state, (W_K, W_V), strict=True))
        new, total = ids.shape[1], k.shape[1]
        length = new if self.bug == "queries" else total
        bias = SLOPES[0] * (np.arange(length) - (length - 1))
        y = attend(x @ W_Q, k, v, np.tri(new, total, total - new, dtype=bool), bias)
        return (x + y) @ W_O[:V].T, (k, v)


class Rows:
    """An encoder; bug "batch": it attends over the rows of the batch."""

    vocabulary_size = V

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def __call__(self, ids: Any) -> Any:
        x = embedded(ids, np.arange(ids.shape[1]))
        z = x.swapaxes(0, 1) if self.bug == "batch" else x
        y = attend(z @ W_Q, z @ W_K, z @ W_V, True)
        return (x + (y.swapaxes(0, 1) if self.bug == "batch" else y)) @ W_O[:V].T


class Shared:
    """Blocks of keys and values that requests share, by their tokens and all before them.

    bug "parent": by the block's tokens alone; "byte": by the last byte of each id.
    """

    def __init__(self, bug: str = "", vocabulary_size: int = V, block: int = 2) -> None:
        self.bug, self.vocabulary_size, self.block = bug, vocabulary_size, block
        self.store: dict[Any, Any] = {}
        layer = np.random.default_rng(7).normal
        self.layers = [[layer(size=(D, D)) / 2 for _ in range(3)] for _ in range(2)]

    def _key(self, tokens: list[int], start: int) -> Any:
        first = start if self.bug == "parent" else 0
        modulus = 256 if self.bug == "byte" else 2**40
        return tuple(token % modulus for token in tokens[first : start + self.block])

    def _run(self, row: Any, cache: Any) -> Any:
        past = len(cache[0][0])
        x, new = embedded(row, np.arange(past, past + len(row))), []
        for (w_q, w_k, w_v), (k0, v0) in zip(self.layers, cache, strict=True):
            k, v = np.concatenate([k0, x @ w_k]), np.concatenate([v0, x @ w_v])
            x = x + attend(x @ w_q, k, v, np.tri(len(row), len(k), past, dtype=bool))
            new.append((k, v))
        return x @ W_O[: self.vocabulary_size].T, new

    def __call__(self, ids: Any) -> Any:
        return np.stack([self._run(row, [(np.zeros((0, D)),) * 2] * 2)[0] for row in ids])

    def _prefill(self, row: list[int]) -> Any:
        cache, start = [(np.zeros((0, D)),) * 2] * 2, 0
        while start + self.block < len(row) and self._key(row, start) in self.store:
            found = self.store[self._key(row, start)]
            cache = [
                (np.concatenate([k, a]), np.concatenate([v, b]))
                for (k, v), (a, b) in zip(cache, found, strict=True)
            ]
            start += self.block
        logits, cache = self._run(np.array(row[start:]), cache)
        for s in range(0, len(row) - self.block + 1, self.block):
            kept = [(k[s : s + self.block], v[s : s + self.block]) for k, v in cache]
            self.store.setdefault(self._key(row, s), kept)
        return logits[-1:], cache

    def prefill(self, ids: Any) -> Any:
        rows = [self._prefill([int(token) for token in row]) for row in ids]
        return np.stack([row[0] for row in rows]), [row[1] for row in rows]

    def step(self, ids: Any, state: Any) -> Any:
        rows = [self._run(row, cache) for row, cache in zip(ids, state, strict=True)]
        return np.stack([row[0] for row in rows]), [row[1] for row in rows]


class Packed:
    """Documents in a row; bug "seen": their positions begin anew, and they see one another."""

    vocabulary_size = V

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def __call__(self, ids: Any, documents: Any = None) -> Any:
        documents = np.zeros(ids.shape, int) if documents is None else documents
        length = ids.shape[1]
        first = np.array([[np.flatnonzero(row == d)[0] for d in row] for row in documents])
        x = embedded(ids, np.arange(length) - first)
        seen = np.tri(length, dtype=bool)[None]
        if self.bug != "seen":
            seen = seen & (documents[:, :, None] == documents[:, None])
        return (x + attend(x @ W_Q, x @ W_K, x @ W_V, seen)) @ W_O[:V].T


class Leaking:
    """Later tokens, or padding, have a score of `hidden` instead of none, in a type."""

    vocabulary_size = V

    def __init__(self, hidden: float, dtype: Any, padding: bool = False) -> None:
        self.hidden, self.dtype, self.padding = hidden, dtype, padding

    def __call__(self, ids: Any, mask: Any = None) -> Any:
        length = ids.shape[1]
        real = np.ones(ids.shape, bool) if mask is None else mask
        x = embedded(ids, np.maximum(np.cumsum(real, 1) - 1, 0)).astype(self.dtype)
        q, k, v = (x @ w.astype(self.dtype) for w in (W_Q, W_K, W_V))
        causal, real = (
            np.tri(length, dtype=bool)[None],
            real[:, None, :] & np.ones((length, 1), bool),
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(self.dtype(D))
        leaks, hides = (real, causal) if self.padding else (causal, real)
        scores = np.where(leaks, scores, self.dtype(self.hidden))
        scores = np.where(hides, scores, self.dtype(-1e9))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        y = weights / weights.sum(-1, keepdims=True) @ v
        return (x + y) @ W_O[:V].T.astype(self.dtype)


class Experts:
    """A right model whose experts sum their products in another order for an odd number of
    tokens, as kernels do that take rows in pairs: a later token moves a last bit."""

    vocabulary_size = V

    def __init__(self, dtype: Any) -> None:
        self.right, self.dtype = Leaking(-np.inf, dtype), dtype

    def __call__(self, ids: Any) -> Any:
        y = self.right(ids)
        w = W_O[:V].astype(self.dtype)
        for expert in (0, 1):
            chosen = ids % 2 == expert
            x, turn = EMBEDDING[ids[chosen]].astype(self.dtype), 1 if chosen.sum() % 2 else -1
            y[chosen] += sum((x[:, [i]] * w[:, i] for i in range(D)[::turn]), self.dtype(0))
        return y
