"""Laws for any model, asked of its ids, masks, logits and cache alone; and of operators."""

from . import attention, attention_gradients, attention_terms, cache, mask, rows  # noqa: F401 (of operators)  # noqa: F401 (each enters its laws into the table)
