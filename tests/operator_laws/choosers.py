"""Choosers in NumPy, written for the laws' tests: right ones, and mistakes in them."""

from __future__ import annotations

import numpy as np

# Each mistake by the law that names it.
MISTAKES = {
    "top-k keeps one more": "D1",
    "top-k moves what it keeps": "D1",
    "top-p drops the token that crosses": "D2",
    "top-p of the unsorted mass": "D2",
    "top-p may keep nothing": "D2",
    "min-p of the whole mass": "D2-min",
    "temperature multiplies": "D3",
    "penalty raises negative logits": "D4",
    "penalty counts each time": "D4",
    "filters the first row for all": "D5",
    "one beam more than asked for": "D6",
    "score divided by the prompt too": "D6",
    "stops at the first that ends": "D6",
    "forgets the sum so far": "D6",
    "goes on after the end": "D6",
    "worst first": "D6",
    "ban of one token too few": "D7",
    "ban in the last run only": "D7",
    "ban of all that was seen": "D7",
    "held one token too short": "D8",
    "held for all rows": "D8",
    "draws from logits, not probabilities": "D9",
    "draws what is ruled out": "D9",
    "ignores its seed": "D9",
    "always the largest": "D9",
}


class Choosers:
    kind = "chooser"

    def __init__(self, mistake: str = "") -> None:
        assert not mistake or mistake in MISTAKES
        self.m = mistake
        self.free = np.random.default_rng(0)

    def top_k(self, logits, k):
        k = k + 1 if self.m == "top-k keeps one more" else k
        least = np.sort(logits, -1)[:, ::-1][:, min(k, logits.shape[1]) - 1, None]
        kept = np.where(logits >= least, logits, -np.inf)
        return kept * 1.5 if self.m == "top-k moves what it keeps" else kept

    def top_p(self, logits, p):
        order = np.argsort(-logits, -1)
        share = softmax(logits)
        if self.m == "filters the first row for all":
            share = np.repeat(share[:1], len(share), 0)
        ranked = np.take_along_axis(share, order, -1)
        if self.m == "top-p of the unsorted mass":
            ranked = share
        before = np.cumsum(ranked, -1) - ranked
        kept = before < p
        if self.m == "top-p drops the token that crosses":
            kept = before + ranked < p
            kept[:, 0] = True
        if self.m == "top-p may keep nothing":
            kept = (before + ranked <= p) | (before + ranked - p < 1e-3)
        back = np.zeros_like(kept)
        np.put_along_axis(back, order, kept, -1)
        return np.where(back, logits, -np.inf)

    def min_p(self, logits, p):
        share = softmax(logits)
        top = 1.0 if self.m == "min-p of the whole mass" else share.max(-1, keepdims=True)
        kept = share >= p * top
        kept |= share == share.max(-1, keepdims=True)
        return np.where(kept, logits, -np.inf)

    def temperature(self, logits, t):
        return logits * t if self.m == "temperature multiplies" else logits / t

    def repetition_penalty(self, logits, rows, penalty):
        found = logits.copy()
        for row, seen in enumerate(rows):
            for token in seen if self.m == "penalty counts each time" else set(seen):
                old = found[row, token]
                up = old > 0 or self.m == "penalty raises negative logits"
                found[row, token] = old / penalty if up else old * penalty
        return found

    def no_repeat_ngram(self, logits, rows, n):
        found = logits.copy()
        n = n - 1 if self.m == "ban of one token too few" and n > 1 else n
        for row, seen in enumerate(rows):
            if self.m == "ban of all that was seen":
                found[row, seen] = -np.inf
            starts = range(len(seen) - n + 1)
            for i in starts[-1:] if self.m == "ban in the last run only" else starts:
                if seen[i : i + n - 1] == (seen[-(n - 1) :] if n > 1 else []):
                    found[row, seen[i + n - 1]] = -np.inf
        return found

    def min_new_tokens(self, logits, counts, least, eos):
        found = logits.copy()
        short = np.array(counts) < least
        if self.m == "held one token too short":
            short = np.array(counts) + 1 < least
        if self.m == "held for all rows":
            short[:] = short.any()
        found[short, eos] = -np.inf
        return found

    def sample(self, logits, seed):
        generator = self.free if self.m == "ignores its seed" else np.random.default_rng(seed)
        share = softmax(logits)
        if self.m == "draws from logits, not probabilities":
            share = np.where(
                np.isfinite(logits), np.exp(0.5 * np.where(logits < -9, -9, logits)), 0
            )
        if self.m == "draws what is ruled out":
            share = share + 0.02
        if self.m == "always the largest":
            return share.argmax(-1)
        total = np.cumsum(share, -1)
        return (total > generator.random((len(total), 1)) * total[:, -1:]).argmax(-1)

    def beam_search(self, next_logits, prompt, num_beams, max_new_tokens, eos, length_penalty=1.0):
        m, running, ended = self.m, [((), 0.0)], []
        count = num_beams + (m == "one beam more than asked for")
        for length in range(1, max_new_tokens + 1):
            logs = np.log(softmax(next_logits([[*prompt, *text] for text, _ in running])))
            found = [
                ((*text, token), (0.0 if m == "forgets the sum so far" else so_far) + float(one))
                for (text, so_far), row in zip(running, logs, strict=True)
                for token, one in enumerate(row)
            ]
            found.sort(key=lambda one: -one[1])
            running = []
            for text, so_far in found[:count]:
                stops = text[-1] == eos and m != "goes on after the end"
                (ended if stops or length == max_new_tokens else running).append((text, so_far))
            if not running or (ended and m == "stops at the first that ends"):
                break
        size = len(prompt) if m == "score divided by the prompt too" else 0
        scored = [(text, total / (len(text) + size) ** length_penalty) for text, total in ended]
        scored.sort(key=lambda one: one[1] if m == "worst first" else -one[1])
        return scored


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
