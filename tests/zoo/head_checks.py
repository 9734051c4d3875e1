"""Checks of what stands on the last stack; each gives False where something is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from samples import among, config_of, ragged_batch, random_parameters, run_of

from numtx import Batch, backward, forward
from numtx.check.verify import verify
from numtx.trace.trace import record

from .model_checks import oracle_of


def masked_heads_oracle() -> bool:
    return all(map(oracle_of, among(lambda config: config.head == "masked-language-model")))


def pooler_oracle() -> bool:
    """With the gradient of the pooled vector as the only one; and with padding on the left."""
    for name in among(lambda config: config.pooler):
        config = config_of(name)
        p, batch = random_parameters(config, 3), Batch(**ragged_batch(config, 4))
        rows = forward(config, p, batch)[0].pooled
        trace = record(config, p, batch, cotangent={"pooled": np.cos(rows * 3.0)})
        if not verify(trace).ok or not trace.grad("parameters/pooler.w").any():
            return False
    return True


def summed_oracle() -> bool:
    return all(map(oracle_of, among(lambda config: config.loss_reduction == "sum")))


def bare_oracle() -> bool:
    """A model without a head, whose gradients begin at its output."""
    return all(
        trace.gradients and trace.grad("encoder.output").any() and verify(trace).ok
        for trace in map(run_of, among(lambda config: config.head is None))
    )


def _both() -> tuple[Any, Any, Any]:
    config = config_of("encoder-decoder")
    return config, random_parameters(config, 3), Batch(**ragged_batch(config, 4))


def vectors_agree() -> bool:
    """Rows of the table are the run with ids, and their gradients sum up to the table's."""
    config, p, batch = _both()
    ids = batch.ids, batch.decoder_ids
    rows = [p["embedding"][one] for one in ids]
    other = replace(batch, ids=None, decoder_ids=None, vectors=rows[0], decoder_vectors=rows[1])
    (first, one), (second, two) = (forward(config, p, run) for run in (batch, other))
    summed, found = np.zeros_like(p["embedding"]), backward(two)
    for index, name in zip(ids, ("vectors", "decoder_vectors"), strict=True):
        np.add.at(summed, index, found[name])
    return bool(first.loss == second.loss) and np.allclose(summed, backward(one)["embedding"])


def memory_agrees() -> bool:
    config, p, batch = _both()
    whole = record(config, p, batch)
    rest = replace(batch, ids=None, memory=whole["encoder.output"])
    outputs, context = forward(config, p, rest)
    got = backward(context)["memory"]
    return bool(outputs.loss == whole["loss"]) and np.allclose(got, whole.grad("encoder.output"))


CHECKS = (
    masked_heads_oracle,
    pooler_oracle,
    summed_oracle,
    bare_oracle,
    vectors_agree,
    memory_agrees,
)
