"""Models of two layers with a cache, for the laws of what outlives a call."""

from __future__ import annotations

import numpy as np

D, LONGEST = 8, 64


class Layers:
    """Two layers of attention: a key depends on what stands before it."""

    def __init__(self, size=13, dtype=np.float64):
        generator = np.random.default_rng(7)

        def drawn(*shape):
            return (generator.standard_normal(shape) / 2).astype(dtype)

        self.vocabulary_size, self.longest = size, 40
        self.embedding, self.places = drawn(size, D), drawn(2 * LONGEST, D)
        self.layers = [[drawn(D, D) for _ in range(3)] for _ in range(2)]
        self.out = drawn(D, size)
        self.empty = [(np.zeros((0, D), dtype),) * 2] * 2

    def run(self, row, past, first=None):
        """The logits of one row's new tokens, and all keys and values."""
        before = len(past[0][0])
        first = before if first is None else first
        x, new = self.embedding[row] + self.places[first : first + len(row)], []
        for (w_q, w_k, w_v), (k, v) in zip(self.layers, past, strict=True):
            k, v = np.concatenate([k, x @ w_k]), np.concatenate([v, x @ w_v])
            scores = x @ w_q @ k.T * x.dtype.type(D**-0.5)
            scores = np.where(np.tri(len(row), len(k), before, dtype=bool), scores, -1e9)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            x = x + (weights / weights.sum(-1, keepdims=True) @ v).astype(x.dtype)
            new.append((k, v))
        return x @ self.out, new

    def __call__(self, ids):
        return np.stack([self.run(row, self.empty)[0] for row in ids])


class Prefixes(Layers):
    """Blocks of keys and values are kept between requests, by a name of their tokens."""

    def __init__(self, kind, size, block):
        super().__init__(size)
        self.kind, self.block, self.store = kind, block, {}

    def name(self, row, start):
        end = start + self.block
        modulus = {"byte": 256, "two bytes": 65536}.get(self.kind)
        tokens = row[start if self.kind == "block" else 0 : end]
        return tuple(t % modulus if modulus else t for t in tokens)

    def prefill(self, ids):
        found = [self.one([int(token) for token in row]) for row in ids]
        return np.stack([logits for logits, _ in found]), [state for _, state in found]

    def one(self, row):
        past, start = self.empty, 0
        while start + self.block < len(row) and self.name(row, start) in self.store:
            kept = self.store[self.name(row, start)]
            past = [
                tuple(np.concatenate(pair) for pair in zip(*both, strict=True))
                for both in zip(past, kept, strict=True)
            ]
            start += self.block
        logits, past = self.run(np.array(row[start:]), past)
        for first in range(0, len(row) - self.block + 1, self.block):
            part = slice(first, first + self.block)
            self.store.setdefault(self.name(row, first), [(k[part], v[part]) for k, v in past])
        return logits[-1:], past

    def step(self, ids, state):
        found = [self.run(row, past) for row, past in zip(ids, state, strict=True)]
        return np.stack([logits for logits, _ in found]), [past for _, past in found]


class Stepped(Layers):
    """A cache that can be cut; `mistake` is what is wrong with that."""

    def __init__(self, mistake="", dtype=np.float64):
        super().__init__(dtype=dtype)
        self.mistake = mistake

    def prefill(self, ids):
        return self.step(ids, [(self.empty, 0)] * len(ids))

    def step(self, ids, state):
        found = [self.run(row, *past) for row, past in zip(ids, state, strict=True)]
        after = [place + ids.shape[1] for _, place in state]
        new = [(past, place) for (_, past), place in zip(found, after, strict=True)]
        return np.stack([logits for logits, _ in found]), new

    def truncate(self, state, lengths):
        found = []
        for (past, place), length in zip(state, lengths, strict=True):
            keep = len(past[0][0]) if self.mistake == "tail kept" else length
            if self.mistake == "one token kept":
                keep = min(length + 1, len(past[0][0]))
            place = place if self.mistake == "positions go on" else length
            found.append(([(k[:keep], v[:keep]) for k, v in past], place))
        return found


class Shared(Layers):
    """One state for all requests: a prefill begins it anew."""

    def prefill(self, ids):
        self.state = [self.empty] * len(ids)
        return self.step(ids, None)

    def step(self, ids, state):
        found = [self.run(row, past) for row, past in zip(ids, self.state, strict=True)]
        self.state = [past for _, past in found]
        return np.stack([logits for logits, _ in found]), object()
