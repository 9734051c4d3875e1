"""One step of decode at the shape of GPT-2 small, beside transformers on PyTorch and beside
merely reading all weights once.

Random float32 weights, one thread each, interleaved. After every step the cache is cut back,
so that each step has the same context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from bench_torch import GPT2_SMALL
from interleave import PARTS, ratios, report

import numtx
from numtx.cache import Cache
from numtx.step import step

LONGEST = GPT2_SMALL.position_limit - 1
CONTEXTS = (LONGEST // 8 + 1, LONGEST)
AIMS = ("transformers 1.2 x, reading 0.85 x", "transformers 1.35 x")


def reading(parameters: dict[str, Any]) -> Callable[[], float]:
    """Reads every weight that a step of decode reads, once; the rows of the learned positions
    and the rest of the embedding's first use are a few numbers only."""
    arrays = [array.reshape(-1) for name, array in parameters.items() if "positions" not in name]

    def read() -> float:
        return sum(float(np.dot(array, array)) for array in arrays)

    return read


def ours(parameters: dict[str, Any], ids: Any, new: Any) -> Callable[[], Any]:
    cache = Cache(GPT2_SMALL, parameters, 1)
    step(GPT2_SMALL, parameters, numtx.Batch(ids), cache)
    batch = numtx.Batch(new)

    def decode() -> Any:
        logits = step(GPT2_SMALL, parameters, batch, cache).logits
        cache.truncate(ids.shape[1])
        return logits

    return decode


def theirs(parameters: dict[str, Any], ids: Any, new: Any) -> Callable[[], Any]:
    import torch
    from torch_models import gpt2
    from transformers import DynamicCache

    torch.set_num_threads(1)
    model = gpt2(GPT2_SMALL, parameters)
    cache = DynamicCache(config=model.config)
    token = torch.from_numpy(new)
    with torch.inference_mode():
        model(torch.from_numpy(ids), past_key_values=cache, use_cache=True, logits_to_keep=1)

    def decode() -> Any:
        with torch.inference_mode():
            logits = model(token, past_key_values=cache, use_cache=True).logits
            cache.crop(-1)
            return logits

    return decode


def main(parts: list[str]) -> None:
    parameters = numtx.initialise(GPT2_SMALL, 0)
    draw = np.random.default_rng(1)
    for context, aim in zip(CONTEXTS, AIMS, strict=True):
        if parts and str(context) not in parts:
            continue
        ids = draw.integers(0, GPT2_SMALL.vocabulary, (1, context))
        new = draw.integers(0, GPT2_SMALL.vocabulary, (1, 1))
        programs: dict[str, Callable[[], Any]] = {"numtx": ours(parameters, ids, new)}
        try:
            programs["transformers, eager"] = theirs(parameters, ids, new)
        except ImportError:
            print("transformers on PyTorch is not installed: numtx and the reading alone")
        else:
            expected = programs["transformers, eager"]().numpy()
            error = np.abs(programs["numtx"]() - expected).max()
            assert error <= 1e-4 * np.abs(expected).max(), error
        programs["reading the weights"] = reading(parameters)
        found = ratios(programs, rounds=25)
        report(f"one token at context {context}, GPT-2 small", found, aim)


if __name__ == "__main__":
    main(PARTS)
