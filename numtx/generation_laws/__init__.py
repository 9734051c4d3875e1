"""Laws for numtx's own models, asked of their caches, generation and files."""

from . import cached, choosing  # noqa: F401 (each enters its laws into the table)
