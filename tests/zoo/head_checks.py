"""Checks of what stands on the last stack; each gives False where something is wrong."""

from __future__ import annotations

import numpy as np
from samples import among, config_of, ragged_batch, random_parameters, run_of

from numtx import Batch, forward
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


CHECKS = (masked_heads_oracle, pooler_oracle, summed_oracle, bare_oracle)
