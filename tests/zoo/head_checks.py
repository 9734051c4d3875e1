"""Checks of what stands on the last stack; each gives False where something is wrong."""

from __future__ import annotations

from samples import among

from .model_checks import oracle_of


def masked_heads_oracle() -> bool:
    return all(map(oracle_of, among(lambda config: config.head == "masked-language-model")))


CHECKS = (masked_heads_oracle,)
