"""Laws for numtx's own models, asked of their traces, parameters and gradients."""

from . import (  # noqa: F401 (each enters its laws into the table)
    gradients,
    loss,
    numbers,
    positions,
    scores,
    variants,
)
