"""Heads of encoders, which only the class of a model tells."""

from __future__ import annotations

from ..config import Config
from ..errors import CheckpointError
from .layout import Fields, Row, Rule
from .rows import linear, norm


def masked_head(dense: str, norm_of: str, bias: str) -> tuple[Row, ...]:
    """The layer before the logits, and their bias; the matrix is the embedding."""
    return (*linear(dense, "head.w"), *norm(norm_of, "head.norm"), Row(bias, ("output.b",)))


def masked_words(body: str, headed: str, activation: str | None = None) -> Rule:
    """The head for masked words, where the file is of the class that has it; of any other class
    the body is read.

    activation  that of the head, whatever the layers have
    """

    def read(theirs: Fields, ours: Fields) -> None:
        classes = theirs.get("architectures") or [body]
        if not isinstance(classes, list):
            raise CheckpointError(f"architectures is {str(classes)[:60]!r}; it is a list of names")
        if headed in classes:
            ours["head"] = "masked-language-model"
            ours["head_activation"] = activation
            ours["biases"] |= {"head.b", "output.b"}

    def write(config: Config, file: Fields) -> None:
        masked = config.head == "masked-language-model"
        file["architectures"] = [headed if masked else body]

    return Rule(("architectures",), read, write)
