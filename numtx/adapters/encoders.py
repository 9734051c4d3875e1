"""An encoder of the `transformers` package with logits for every token as a subject."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..shapes import Array
from ..subjects.declared import arguments_of
from ..subjects.logits import as_logits
from ..subjects.subject import LOGITS, MASK, Memory, Subject


class EncoderSubject(Subject):
    """`model(input_ids, attention_mask[, position_ids])`, which sees both ways.

    Positions are counted over the mask where they can be given; where they cannot, padding stands
    on the right.
    """

    capabilities = frozenset({LOGITS, MASK})

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model, self.name = model, type(model).__name__
        self.vocabulary_size = int(config.vocab_size)
        self.limit = getattr(config, "max_position_embeddings", None)
        self.causal = bool(getattr(config, "is_decoder", False))
        self.said = frozenset({"causal"})
        self.positions = "position_ids" in arguments_of(model)
        if not self.positions and getattr(config, "rope_theta", None) is None:
            self.paddings = ("right",)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        import torch

        real = np.ones(ids.shape, bool) if mask is None else mask
        given = {"input_ids": ids, "attention_mask": real.astype(np.int64)}
        if self.positions:
            given["position_ids"] = np.maximum(np.cumsum(real, 1) - 1, 0)
        with torch.no_grad():
            found = self.model(**{name: torch.as_tensor(a) for name, a in given.items()})
        return as_logits(found.logits, ids, self.vocabulary_size, self.name, real, whole=True)
