"""Laws for attention operators of q, k and v, and for choosers of tokens."""

from . import attention, choosing, gradients, terms  # noqa: F401 (each enters its laws into the table)
