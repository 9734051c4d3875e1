"""The ways in which a model of the `transformers` package computes the same logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..shapes import Array
from ..subjects.subject import Subject

IMPLEMENTATIONS = ("eager", "sdpa")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


class Path:
    """A model called with further options, or with another implementation of attention."""

    takes_mask = True

    def __init__(self, model: Any, implementation: str | None = None, **options: Any) -> None:
        self.model, self.implementation, self.options = model, implementation, options

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **given: Any) -> Any:
        own = self.model.config._attn_implementation
        if self.implementation in (None, own):
            return self.model(**given, **self.options)
        self.model.set_attn_implementation(self.implementation)
        try:
            return self.model(**given, **self.options)
        finally:
            self.model.set_attn_implementation(own)


def paths_of(found: Subject, model: Any) -> dict[str, Callable[..., Any]]:
    """Eager attention, or PyTorch's own, whichever it has not; returned weights; float64.

    Those that a plain call can take. Eager attention of float64 is given no padding: it takes the
    softmax in float32, where the least float64 is -inf, and gives NaN. Experts are compared in one
    type only, for a last bit decides which are chosen.
    """
    every, own = {}, getattr(model.config, "_attn_implementation", None)
    if getattr(model, "_supports_sdpa", False):
        every = {name: Path(model, name) for name in IMPLEMENTATIONS if name != own}
    every["output_attentions"] = Path(model, "eager", output_attentions=True)
    if str(model.dtype) == "torch.float32" and not any(hasattr(model.config, n) for n in EXPERTS):
        every["float64"] = Path(copy.deepcopy(model).double())
    for path in every.values():
        double = str(path.model.dtype) == "torch.float64"
        path.takes_mask = not (double and (path.implementation or own) == "eager")
    ids = np.ones((found.fixed_rows or 1, 2), np.int64)
    return {name: path for name, path in every.items() if _answers(found, path, ids)}


def _answers(found: Subject, path: Path, ids: Array) -> bool:
    try:
        found.along(path, ids)
    except Exception:  # it has no such way, and says so
        return False
    return True
