"""numtx beside PyTorch: a training step of two models, and the prefill of a third.

One thread each, float32, interleaved. A training step is forward, backward and AdamW.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from interleave import PARTS, QUICK, ratios, report

import numtx
from numtx.training.flat import pack, unpack
from numtx.training.optimisers import BETA_1, BETA_2, EPSILON, adamw

TINY = numtx.Config(
    width=4, hidden=16, encoder_layers=2, decoder_layers=2, vocabulary=10, position_base=100.0,
    dtype="float32",
)  # fmt: skip
SMALL = numtx.Config(
    model="decoder-only", width=64, hidden=256, decoder_layers=4, heads=4, vocabulary=97,
    positions="learned", position_limit=64, norm_place="pre", activation="gelu_tanh",
    dtype="float32",
)  # fmt: skip
GPT2_SIZES: dict[str, int] = {
    "width": 768, "hidden": 3072, "decoder_layers": 12, "heads": 12, "vocabulary": 50257,
    "position_limit": 1024,
}  # fmt: skip
if QUICK:
    GPT2_SIZES = {
        "width": 24, "hidden": 96, "decoder_layers": 2, "heads": 3, "vocabulary": 101,
        "position_limit": 16,
    }  # fmt: skip
GPT2_SMALL = numtx.Config(
    model="decoder-only", norm_place="pre", activation="gelu_tanh", positions="learned",
    tied_output=True, dtype="float32",
    biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    **GPT2_SIZES,
)  # fmt: skip
RATE, DECAY = 1e-3, 0.01


def numtx_step(config: numtx.Config, start: Any, batch: numtx.Batch) -> Callable[[], float]:
    """A training step; parameters, gradients and moments each live in one flat buffer."""
    flat = pack(config, start)
    parameters = unpack(config, flat)
    gradient, first, second = (np.zeros_like(flat) for _ in range(3))
    count = 0

    def step() -> float:
        nonlocal count
        outputs, context = numtx.forward(config, parameters, batch)
        pack(config, numtx.backward(context), out=gradient)
        count += 1
        adamw(flat, gradient, first, second, count, RATE, DECAY)
        return float(outputs.loss)

    return step


def torch_step(config: numtx.Config, start: Any, batch: numtx.Batch) -> Callable[[], float]:
    import torch
    from torch_models import transformer

    model = transformer(config, start, batch.labels.shape[1])
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, weight_decay=DECAY
    )
    ids, decoder_ids, labels = (
        None if array is None else torch.from_numpy(array)
        for array in (batch.ids, batch.decoder_ids, batch.labels)
    )

    def step() -> float:
        optimiser.zero_grad()
        loss = model(ids, decoder_ids, labels)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def training_step(
    title: str, config: numtx.Config, batch: numtx.Batch, rounds: int, calls: int, aim: str
) -> None:
    start = numtx.initialise(config, 0)
    programs = {
        "numtx": numtx_step(config, start, batch),
        "PyTorch, eager": torch_step(config, start, batch),
    }
    for _ in range(5):  # five updates agree: so do gradients and AdamW
        ours, theirs = (step() for step in programs.values())
        assert abs(ours - theirs) <= 1e-4 * abs(theirs), (title, ours, theirs)
    report(title, ratios(programs, rounds, calls), aim)


def prefill(rounds: int) -> None:
    import torch
    from torch_models import gpt2

    parameters = numtx.initialise(GPT2_SMALL, 0)
    draw = np.random.default_rng(1)
    ids = draw.integers(0, GPT2_SMALL.vocabulary, (1, GPT2_SMALL.position_limit))
    batch = numtx.Batch(ids)
    model = gpt2(GPT2_SMALL, parameters)
    their_ids = torch.from_numpy(ids)

    def ours() -> Any:
        return numtx.forward(GPT2_SMALL, parameters, batch, last_logits=True, keep=False)[0].logits

    def theirs() -> Any:
        with torch.inference_mode():
            return model(their_ids, logits_to_keep=1, use_cache=False).logits

    expected = theirs().numpy()
    assert np.abs(ours() - expected).max() <= 1e-4 * np.abs(expected).max()
    programs = {"numtx": ours, "transformers, eager": theirs}
    report(f"prefill of {ids.size} tokens, GPT-2 small", ratios(programs, rounds), "1.25 x")


def main(parts: list[str]) -> None:
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: nothing to run beside")
        return
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    if not parts or "tiny" in parts:
        ids, decoder_ids, labels = draw.integers(0, 10, (3, 1, 7))
        batch = numtx.Batch(ids, decoder_ids, labels)
        training_step("training step, tiny encoder-decoder", TINY, batch, 40, 10, "5 x")
    if not parts or "small" in parts:
        ids, labels = draw.integers(0, 97, (2, 8, 64))
        batch = numtx.Batch(ids, labels=labels)
        training_step("training step, small decoder", SMALL, batch, 40, 1, "1 x")
    if not parts or "prefill" in parts:
        prefill(5)


if __name__ == "__main__":
    main(PARTS)
