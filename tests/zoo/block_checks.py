"""Checks of blocks for planted bugs."""

from __future__ import annotations

from samples import among

from .model_checks import oracle_of


def norms_oracle() -> bool:
    """Norms within the residual, alone and with one before."""
    return all(map(oracle_of, among(lambda c: c.norm_place in ("both", "inner"))))


def parallel_oracle() -> bool:
    """Sublayers side by side, on one norm and on two."""
    return all(map(oracle_of, among(lambda c: c.parallel)))


def gains_oracle() -> bool:
    """Gains that are kept less 1."""
    return all(map(oracle_of, among(lambda c: c.gain_offset)))


def added_oracle() -> bool:
    """A factor on what residual connections add."""
    return all(map(oracle_of, among(lambda c: c.residual_scale != 1.0)))


CHECKS = norms_oracle, parallel_oracle, gains_oracle, added_oracle
