"""Embeddings, the feed-forward sublayer, logits, loss."""

from __future__ import annotations

from typing import Final

from ..fields.field import Rule, choice, configuration, flag, number, whole
from .wiring import NORMS

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "gelu_sigmoid", "silu")
HEADS = ("linear", "masked-language-model", None)
DTYPES = ("float64", "float32")

OUTPUT: Final = "Embedding, feed-forward, output"


@configuration
class OutputFields:
    """Embedding, feed-forward, output."""

    # fmt: off
    embedding_scale: float = number(
        OUTPUT, "factor on the embedding, before positions are added", (1.0, 2.5), default=1.0)
    embedding_norm: bool = flag(
        OUTPUT, "a norm after positions are added", default=False, only=("norm", NORMS))
    segments: int = whole(
        OUTPUT, "number of segment embeddings (0: none)", (0, 2), least=0, default=0)
    activation: str = choice(
        OUTPUT, "relu, gelu (exact), gelu_tanh, gelu_sigmoid (x * sigmoid(1.702 x)) or silu",
        ACTIVATIONS, default="relu")
    gated: bool = flag(
        OUTPUT, "act(x·w_gate) * (x·w_in) in place of act(x·w_in)", default=False)
    gate_limit: float | None = number(
        OUTPUT, "l: the gate is held below l, and x·w_in between -l and l; None: they are not",
        (None, 0.5), above=0, default=None)
    gate_shift: float = number(
        OUTPUT, "added to x·w_in, after the limit, before the gate multiplies it", (0.0, 1.0),
        default=0.0)
    head: str | None = choice(
        OUTPUT, "linear: logits of the last stack's output x; masked-language-model: of "
        "norm(act(x·W + b)); None: there are none, and a run ends in x", HEADS,
        default="linear", only=("model", ("encoder-only",)))
    head_activation: str | None = choice(
        OUTPUT, "its activation: relu, gelu, gelu_tanh, gelu_sigmoid, silu; None: that of the "
        "feed-forward layer", (*ACTIVATIONS, None),
        default=None, only=("head", ("masked-language-model",)))
    pooler: bool = flag(
        OUTPUT, "a further output, one vector a row: tanh(x·W + b) of the first real token",
        default=False, only=("model", ("encoder-only",)))
    tied_output: bool = flag(
        OUTPUT, "logits use the (decoder's) embedding; there is no output.w", default=False)
    output_scale: float = number(
        OUTPUT, "factor on the last hidden state, before the logits", (1.0, 0.5), default=1.0)
    logit_cap: float | None = number(
        OUTPUT, "c: logits become c * tanh(logit / c); None: they stay", (None, 3.0), above=0,
        default=None)
    loss_reduction: str = choice(
        OUTPUT, "mean of the losses of the labels that count, or their sum", ("mean", "sum"),
        default="mean")
    label_smoothing: float = number(
        OUTPUT, "share of the target that all words divide, 0 up to below 1", (0.0, 0.1),
        least=0, below=1, default=0.0)
    dtype: str = choice(
        OUTPUT, "float64 (a reference) or float32", DTYPES, default="float64")
    # fmt: on


# What does not go together in a layer.
RULES: tuple[Rule, ...] = (
    Rule(
        lambda c: c.gated or (c.gate_limit is None and c.gate_shift == 0.0),
        lambda c: (
            f"gate_limit {c.gate_limit} and gate_shift {c.gate_shift:g} with gated false; they are "
            "for layers with a gate"
        ),
    ),
    Rule(
        lambda c: (
            c.head is not None or (c.tied_output, c.output_scale, c.logit_cap) == (False, 1.0, None)
        ),
        lambda c: (
            f"head None with tied_output {c.tied_output}, output_scale {c.output_scale:g} and "
            f"logit_cap {c.logit_cap}; without a head there are no logits to make"
        ),
    ),
    Rule(
        lambda c: c.head != "masked-language-model" or c.norm is not None,
        lambda c: f"head {c.head!r} with norm None; it ends in a norm: give one of {NORMS}",
    ),
)
