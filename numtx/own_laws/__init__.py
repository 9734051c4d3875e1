"""Laws for numtx's own models, asked of their traces, parameters, generation and files."""

from . import (  # noqa: F401 (each enters its laws into the table)
    choosing,
    gradients,
    loss,
    numbers,
    numtx,
    positions,
    variants,
)
