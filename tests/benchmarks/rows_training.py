"""A training step, forward, backward and update, beside PyTorch's with sdpa, neither compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from peaks import Peaks
from rows import Measured, Pair, row

import numtx
from numtx.training.flat import pack, unpack
from numtx.training.optimisers import BETA_1, BETA_2, EPSILON, adamw, sgd

TINY = numtx.Config(
    width=4, hidden=16, encoder_layers=2, decoder_layers=2, vocabulary=10, position_base=100.0,
    dtype="float32",
)  # fmt: skip
SMALL = numtx.Config(
    model="decoder-only", width=64, hidden=256, decoder_layers=4, heads=4, vocabulary=97,
    positions="learned", position_limit=64, norm_place="pre", activation="gelu_tanh",
    dtype="float32",
)  # fmt: skip
RATE, DECAY = 1e-2, 0.01
STEPS = 5  # updates that agree: so do gradients and the optimiser
Step = Callable[[], float]


def numtx_step(config: numtx.Config, batch: numtx.Batch, optimiser: str) -> Step:
    """Parameters, gradients and moments each live in one flat buffer."""
    flat = pack(config, numtx.initialise(config, 0))
    parameters = unpack(config, flat)
    gradient, first, second = (np.zeros_like(flat) for _ in range(3))
    count = 0

    def step() -> float:
        nonlocal count
        outputs, context = numtx.forward(config, parameters, batch)
        pack(config, numtx.backward(context), out=gradient)
        count += 1
        if optimiser == "adam":
            adamw(flat, gradient, first, second, count, RATE, DECAY)
        else:
            sgd(flat, gradient, RATE)
        return float(outputs.loss)

    return step


def torch_step(config: numtx.Config, batch: numtx.Batch, optimiser: str) -> Step:
    import torch
    from torch_models import tensors, transformer

    model = transformer(config, numtx.initialise(config, 0))
    update: Any = torch.optim.SGD(model.parameters(), lr=RATE)
    if optimiser == "adam":
        update = torch.optim.AdamW(
            model.parameters(), lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, weight_decay=DECAY
        )
    ids, decoder_ids, labels = tensors(batch)

    def step() -> float:
        update.zero_grad()
        logits = model(ids, decoder_ids)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        update.step()
        return float(loss.detach())

    return step


def tiny() -> numtx.Batch:
    return numtx.Batch(*np.random.default_rng(0).integers(0, TINY.vocabulary, (3, 1, 7)))


def small(rows: int, length: int) -> tuple[numtx.Config, numtx.Batch]:
    ids, labels = np.random.default_rng(0).integers(0, SMALL.vocabulary, (2, rows, length))
    return replace(SMALL, position_limit=length), numtx.Batch(ids, labels=labels)


TINY_WORK = "tiny encoder-decoder (d 4, 2+2 layers, T 7): "
LONG_WORK = "training at T = 2048 (d 64): "
SMALL_WORK = "small decoder (d 64, 4 layers, T 64, batch 8), Adam step"


@row("forward-tiny", TINY_WORK + "forward, kept for backward", "PyTorch", 3, "torch", keep=True)
@row("forward-tiny-alone", TINY_WORK + "forward alone", "PyTorch", None, "torch", keep=False)
def forward(quick: bool, keep: bool) -> Measured:
    import torch
    from torch_models import tensors, transformer

    parameters = numtx.initialise(TINY, 0)
    batch = replace(tiny(), labels=None)
    ids, decoder_ids, _ = tensors(batch)
    model = transformer(TINY, parameters)

    def ours() -> Any:
        return numtx.forward(TINY, parameters, batch, keep=keep)[0].logits

    def theirs() -> Any:
        with torch.inference_mode(not keep):
            return model(ids, decoder_ids).detach()

    return Pair(ours, theirs)


@row("train-tiny-sgd", TINY_WORK + "SGD step", "PyTorch", 5, "torch", optimiser="sgd")
@row("train-tiny-adam", TINY_WORK + "Adam step", "PyTorch", 7, "torch", optimiser="adam")
def tiny_step(quick: bool, optimiser: str) -> Measured:
    sides = (make(TINY, tiny(), optimiser) for make in (numtx_step, torch_step))
    return Pair(*sides, checked=STEPS)


@row("train-small", SMALL_WORK, "PyTorch", 1, "torch", rows=8, length=64)
@row("train-long", LONG_WORK + "Adam step", "PyTorch", 0.45, "torch", length=2048)
def small_step(quick: bool, length: int, rows: int = 1) -> Measured:
    given = small(rows, 16 if quick else length)
    sides = (make(*given, "adam") for make in (numtx_step, torch_step))
    return Pair(*sides, checked=STEPS if length < 1024 else 2)


@row("train-small-gelu", SMALL_WORK + ", exact GELU", "PyTorch, tanh GELU", 0.7, "torch")
def exact_gelu(quick: bool) -> Measured:
    """The peer that is timed takes the tanh form; the numbers are held to its exact one."""
    tanh, batch = small(8, 16 if quick else 64)
    exact = replace(tanh, activation="gelu")
    theirs = torch_step(tanh, batch, "adam")
    expected = torch_step(exact, batch, "adam")
    return Pair(numtx_step(exact, batch, "adam"), theirs, expected, checked=STEPS)


@row("train-long-peak", LONG_WORK + "peak of resident memory", "PyTorch", 0.86, "torch")
def long_peak(quick: bool) -> Measured:
    return Peaks("rows_training:numtx_peak", "rows_training:torch_peak", 64 if quick else 2048)


def numtx_peak(length: int) -> Step:
    return numtx_step(*small(1, length), "adam")


def torch_peak(length: int) -> Step:
    return torch_step(*small(1, length), "adam")
