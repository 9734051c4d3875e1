"""The ways in which a model of the `transformers` package computes the same logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..subjects.subject import Subject

IMPLEMENTATIONS = ("eager", "sdpa")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


class Path:
    """A model called with further options, or with another implementation of attention."""

    def __init__(self, model: Any, implementation: str | None = None, **options: Any) -> None:
        self.model, self.implementation, self.options = model, implementation, options

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **given: Any) -> Any:
        own = self.model.config._attn_implementation
        try:
            if self.implementation is not None:
                self.model.set_attn_implementation(self.implementation)
            return self.model(**given, **self.options)
        finally:
            if self.implementation is not None:
                self.model.set_attn_implementation(own)


def paths_of(found: Subject, model: Any) -> dict[str, Callable[..., Any]]:
    """Eager attention, or PyTorch's own, whichever it has not; returned weights; float64.

    Those that a plain call can take. Experts are compared in one type only: a last bit decides
    which are chosen.
    """
    own = getattr(model.config, "_attn_implementation", None)
    others = [name for name in IMPLEMENTATIONS if own in IMPLEMENTATIONS and own != name]
    every: dict[str, Callable[..., Any]] = {name: Path(model, name) for name in others}
    every["output_attentions"] = Path(model, "eager", output_attentions=True)
    if str(model.dtype) == "torch.float32" and not any(hasattr(model.config, n) for n in EXPERTS):
        every["float64"] = copy.deepcopy(model).double()
    ids = np.ones((found.fixed_rows or 1, 2), np.int64)
    return {name: path for name, path in every.items() if _answers(found, path, ids)}


def _answers(found: Subject, path: Callable[..., Any], ids: Any) -> bool:
    try:
        found.along(path, ids)
    except Exception:  # it has no such way, and says so
        return False
    return True
