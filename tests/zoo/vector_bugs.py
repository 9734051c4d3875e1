"""Planted bugs: vectors in place of ids, and a memory that is given."""

from __future__ import annotations

from .bug import Bug

VECTOR_BUGS = (
    Bug("vectors have no gradient", "model", 'at.gradients[f"{prefix}vectors"] = dx',
        'at.gradients[f"{prefix}vectors"] = 0.0 * dx', checks="vectors_agree"),
    Bug("a memory has no gradient", "model",
        'at.gradients["memory"] = (at / "encoder").grad("output", dmemory)',
        'at.gradients["memory"] = (at / "encoder").grad("output", 0.0 * dmemory)',
        checks="memory_agrees", laws="V16"),
    Bug("the mask of a memory is forgotten", "model", 'valid = here("mask", valid)',
        'valid = here("mask", valid | True)', checks="memory_agrees", laws="V16"),
    Bug("vectors are scaled twice", "model", "x = given.vectors", "x = 2.0 * given.vectors",
        checks="vectors_agree", laws="V16"),
)  # fmt: skip
