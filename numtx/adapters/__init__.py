"""Models of the `transformers` package as subjects; loaded on demand."""

from __future__ import annotations

from typing import Any

from ..errors import SubjectError
from ..subjects.subject import Subject, declare
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
    declare(found, {"paths": paths_of(found, model)})
    found.said = frozenset(found.said - {"paths"})
    return found
