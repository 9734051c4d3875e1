"""Laws of caches, asked of any model that has one."""

from . import cache, shift, speculate, state  # noqa: F401 (each enters its laws into the table)
