"""How the time of a generation grows with its length, with a cache and without one.

Width 64, 4 layers, float32, one thread; from one token to T. The exponent is that of the
power of T which fits the times best. The multiply-adds of attention stand beside: time follows
them only where they outweigh what every step costs anyhow.
"""

from __future__ import annotations

import math
import time

import numpy as np
from interleave import QUICK

import numtx
from numtx.costs import total_with_cache, total_without_cache
from numtx.decoding import generate

CONFIG = numtx.Config(
    model="decoder-only", width=64, hidden=256, decoder_layers=4, heads=4, vocabulary=97,
    positions="rotary", norm_place="pre", activation="gelu_tanh", dtype="float32",
)  # fmt: skip
LENGTHS = (8, 16) if QUICK else (256, 512, 1024)


def seconds(parameters: dict[str, np.ndarray], tokens: int, use_cache: bool) -> float:
    start = time.perf_counter()
    generate(CONFIG, parameters, numtx.Batch([[1]]), max_new_tokens=tokens, use_cache=use_cache)
    return time.perf_counter() - start


def exponent(found: dict[int, float]) -> float:
    """The slope of log time over log T."""
    x, y = ([math.log(n) for n in numbers] for numbers in (found.keys(), found.values()))
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    parameters = numtx.initialise(CONFIG)
    seconds(parameters, 32, True)
    seconds(parameters, 32, False)
    cached: dict[int, float] = {}
    without: dict[int, float] = {}
    for tokens in LENGTHS:  # interleaved; the best of several, where one is short
        cached[tokens] = min(seconds(parameters, tokens, True) for _ in range(3))
        without[tokens] = min(
            seconds(parameters, tokens, False) for _ in range(2 if tokens < 1024 else 1)
        )
        cached[tokens] = min(cached[tokens], *(seconds(parameters, tokens, True) for _ in range(2)))
    print("T tokens from one; width 64, 4 layers, float32, one thread")
    print("   T   with cache    without      gain   attention with, without")
    for tokens in LENGTHS:
        counts = [
            CONFIG.decoder_layers * total(tokens, CONFIG.width)
            for total in (total_with_cache, total_without_cache)
        ]
        print(
            f"{tokens:5d} {cached[tokens]:10.3f} s {without[tokens]:10.3f} s "
            f"{without[tokens] / cached[tokens]:7.1f} x   {counts[0]:.3g}, {counts[1]:.3g}"
        )
    print(f"exponent with a cache    {exponent(cached):.3f}   (aim: at most 1.25)")
    print(f"exponent without         {exponent(without):.3f}")
    print("gain (aim: 15 x at 512, 40 x at 1024)")


if __name__ == "__main__":
    main()
