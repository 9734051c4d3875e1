"""Heads of encoders, which only the class of a model tells."""

from __future__ import annotations

from typing import Final

from ..config import Config
from ..errors import CheckpointError
from .essence import Fields
from .layout import Key, Row, Rule
from .rows import linear, norm
from .rules import ACTIVATIONS

MASKED: Final = "masked-language-model"
UNSAID: Final = "the head for masked words (architectures has no class with it)"


def masked_head(dense: str, norm_of: str, bias: str) -> tuple[Row, ...]:
    """The layer before the logits, and their bias; the matrix is the embedding."""
    return (*linear(dense, "head.w"), *norm(norm_of, "head.norm"), Row(bias, ("output.b",)))


def masked_words(
    body: str,
    headed: str,
    activation: str | None = None,
    biases: frozenset[str] = frozenset({"head.b", "output.b"}),
) -> Rule:
    """The head for masked words, where the file is of a class that has it; of any other class
    the body is read, which ends in hidden states.

    activation  that of the head, whatever the layers have
    biases      those that the head always has
    """
    with_it = {headed, headed.replace("ForMaskedLM", "ForPreTraining")}

    def read(theirs: Fields, ours: Fields) -> None:
        classes = theirs.get("architectures") or [body]
        if not isinstance(classes, list):
            raise CheckpointError(f"architectures is {str(classes)[:60]!r}; it is a list of names")
        ours["head"] = None
        if with_it & set(map(str, classes)):
            ours["head"], ours["tied_output"] = MASKED, True
            ours["head_activation"] = activation
            ours["biases"] |= biases

    def write(config: Config, file: Fields) -> None:
        file["architectures"] = [headed if config.head == MASKED else body]

    return Rule(("architectures",), read, write)


def head_activation(name: str, default: str) -> Rule:
    """The activation of the head, in a field of its own; without a head it says nothing."""
    key = Key("head_activation", default, ACTIVATIONS)

    def read(theirs: Fields, ours: Fields) -> None:
        value = key.read(name, theirs.get(name, default))
        if ours["head"] is not None:
            ours["head_activation"] = value

    def write(config: Config, file: Fields) -> None:
        if config.head is not None:
            file[name] = key.write(config.head_activation or config.activation)

    return Rule((name,), read, write)
