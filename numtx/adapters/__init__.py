"""Models of the `transformers` package as subjects; loaded on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import SubjectError
from ..subjects.subject import MASK, Subject, declare
from .paths import paths_of

DOUBLE = 1e-5  # in float64 too, norms, rotations and softmax are computed in float32 there


def adapted(model: Any, cache: str | None = None) -> Subject:
    """The subject for a causal model, a sequence-to-sequence model, or an encoder with logits.

    cache  "dynamic" or "static", of a causal model; None: as the package has it

    Raises `SubjectError` for a model without logits of every token.
    """
    name, config = type(model).__name__, model.config
    two_stacks = getattr(config, "is_encoder_decoder", False)
    if cache == "static" and (two_stacks or not hasattr(model, "generate")):
        raise SubjectError(f"cache is 'static'; {name} is tried with its dynamic cache only")
    if model.get_output_embeddings() is None:
        raise SubjectError(
            f"{name} gives no logits [B, T, vocabulary]; give a model with an output layer, "
            "such as ...ForCausalLM or ...ForMaskedLM, or a function ids -> logits of your own"
        )
    found: Subject
    if two_stacks:
        from .sequences import SequenceSubject

        found = SequenceSubject(model)
    elif hasattr(model, "generate"):
        from .causal import LanguageModelSubject

        found = LanguageModelSubject(model, cache)
    else:
        from .encoders import EncoderSubject

        found = EncoderSubject(model)
    if str(model.dtype) == "torch.float64":
        found.tolerance = DOUBLE
        told = f"in float64, too, norms and rotations are those of float32: held to {DOUBLE:g}"
        found.notes = (*found.notes, told, *_blind(found))
    declare(found, {"paths": paths_of(found, model)})
    found.said = frozenset(found.said - {"paths"})
    return found


def _blind(found: Subject) -> Iterator[str]:
    """Take away the paddings for which it gives NaN, and tell it: eager attention takes the
    softmax in float32, where the least float64 is -inf, so that a row of padding alone has none."""
    if MASK not in found.capabilities:
        return
    real = {"left": [-1], "right": [0], "holes": [1, -1]}
    kept = tuple(side for side in found.paddings if _finite(found, real[side]))
    if kept != found.paddings:
        gone = ", ".join(side for side in found.paddings if side not in kept)
        yield f"its softmax in float32 gives NaN for a row of padding alone; not asked: {gone}"
        said = found.said
        declare(found, {"paddings": kept})
        found.said = said


def _finite(found: Subject, real: list[int]) -> bool:
    """Whether tokens are finite beside as much padding as there is room for."""
    ids = np.zeros((found.fixed_rows or 1, max(3, found.longest)), np.int64)
    mask = np.zeros(ids.shape, bool)
    mask[:, real] = True
    try:
        found.logits(ids, mask)
    except SubjectError:
        return False
    return True
