"""Laws for numtx's own models, asked of their traces, parameters, generation and files."""

from . import choosing, loss, numbers, numtx, variants  # noqa: F401 (each enters its laws into the table)
