"""From the last stack's vectors to logits and, with labels, to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .batch import check_labels
from .config import Config
from .errors import BatchError, nearest
from .head_layer import LayerContext, layer_backward, layer_forward, layer_parameters
from .ops.cap import cap_backward, cap_forward
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.loss import mean_backward, mean_forward, pick_backward, pick_forward
from .ops.softmax import log_softmax_backward, log_softmax_forward
from .ops.total import total_backward, total_forward
from .place import Place, Shapes
from .pooler import PoolerContext, pooler_backward, pooler_forward, pooler_parameters
from .shapes import Array
from .small_repr import small_repr


@small_repr()
class Outputs(NamedTuple):
    """What a run gives; what was not asked for is None."""

    logits: Any  # [B, T, V], or [B, 1, V] where only the last were asked for; None: no head
    loss: Array | None  # [], with labels
    encoder_output: Array | None  # [B, S, d], where there is an encoder
    decoder_output: Array | None  # [B, T, d], where there is a decoder
    pooled: Array | None = None  # [B, d], where there is a pooler

    @property
    def ends(self) -> tuple[str, ...]:
        """Names of what nothing else is made of."""
        last = "logits" if self.loss is None else "loss"
        if self.logits is None:
            return ("encoder_output",) if self.pooled is None else ("pooled",)
        return (last,) if self.pooled is None else (last, "pooled")


@small_repr()
class HeadContext(NamedTuple):
    out: LinearContext | None  # None: there is no head
    length: int | None  # T, where the logits are of the last column only
    labels: Array | None
    log_probabilities: Array | None  # as computed, before the tap
    slope: Array | None  # of the cap
    layer: LayerContext | None  # of a masked-language-model
    pooler: PoolerContext | None


def head_parameters(config: Config) -> Shapes:
    """Names and shapes of the parameters after the last stack."""
    if config.pooler:
        yield from pooler_parameters(config)
    if config.head is None:
        return
    if config.head == "masked-language-model":
        yield from layer_parameters(config)
    if not config.tied_output:
        yield "output.w", (config.width, config.vocabulary)
    if config.has_bias("output.b"):
        yield "output.b", (config.vocabulary,)


def head_cost(config: Config) -> int:
    """The multiply-adds that a token takes on its way to the logits."""
    if config.head is None:
        return 0
    layer = config.width**2 if config.head == "masked-language-model" else 0
    return layer + config.width * config.vocabulary


def head_forward(
    config: Config, at: Place, hidden: Array, valid: Array, labels: Array | None, last: bool
) -> tuple[dict[str, Any], HeadContext]:
    """What stands on the last stack gives, by the names of `Outputs`.

    logits = cap((scale * hidden)·W + b), and with labels the loss: the mean (or the sum) of
    -log softmax[label]

    valid  [B, T], which tokens are real
    last   logits of the last column only
    """
    length = slope = layer = pooled = pooler = None
    if config.pooler:
        pooled, pooler = pooler_forward(at / "pooler", hidden, valid)
    if config.head is None:
        if last:
            raise BatchError("last_logits of a model without a head; it has no logits")
        context = HeadContext(None, None, None, None, None, None, pooler)
        return {"logits": None, "loss": None, "pooled": pooled}, context
    if labels is not None:
        labels = at("labels", labels)
        if at.tap.active:
            check_labels("labels", labels, config.vocabulary)
    if last:
        length = hidden.shape[1]
        hidden = at("last_output", hidden[:, -1:])
    if config.head == "masked-language-model":
        hidden, layer = layer_forward(config, at / "head", hidden)
    if config.output_scale != 1.0:
        hidden = at("scaled_output", hidden * config.output_scale)
    logits, out = linear_forward(hidden, _output_matrix(config, at), at.parameters.get("output.b"))
    logits = at("logits", logits)
    if config.logit_cap is not None:
        logits, slope = cap_forward(logits, config.logit_cap)
        logits = at("capped_logits", logits)
    loss, log_probabilities = _loss_forward(config, at, logits, labels)
    context = HeadContext(out, length, labels, log_probabilities, slope, layer, pooler)
    return {"logits": logits, "loss": loss, "pooled": pooled}, context


def _loss_forward(
    config: Config, at: Place, logits: Array, labels: Array | None
) -> tuple[Array | None, Array | None]:
    """loss = mean, or sum, of -log softmax(logits)[label]; and the logarithms; None where nobody
    asks"""
    if labels is None and not at.tap.active:
        return None, None
    log_probabilities = log_softmax_forward(logits)
    seen = at("log_probabilities", log_probabilities)
    if at.tap.active:
        at.tap.show("probabilities", np.exp(seen))
    if labels is None:
        return None, None
    per_token = at("loss.per_token", pick_forward(seen, labels, config.label_smoothing))
    reduced = mean_forward if config.loss_reduction == "mean" else total_forward
    return at("loss", reduced(per_token, labels)), log_probabilities


def cotangents_of(
    config: Config, outputs: Outputs, cotangent: float | Array | dict[str, Any]
) -> dict[str, Array]:
    """The gradients that a backward pass starts from, by the names of the outputs."""
    if isinstance(cotangent, dict):
        given = {name: np.asarray(one, config.dtype) for name, one in cotangent.items()}
    else:
        one = np.asarray(cotangent, config.dtype)
        last = "logits" if config.head is not None else "encoder_output"
        given = {last if one.ndim else "loss": one}
    if "loss" in given and config.head is None:
        raise BatchError(
            "backward of a model without a head, which has no loss; hand over the gradient of "
            "encoder.output as cotangent"
        )
    if "loss" in given and outputs.loss is None:
        raise BatchError(
            "backward of a run without labels; give the batch labels, or hand over the "
            "gradient of the logits as cotangent"
        )
    for name, one in given.items():
        output = getattr(outputs, name, None)
        if output is None:
            there = [n for n, x in zip(outputs._fields, outputs, strict=True) if x is not None]
            raise BatchError(
                f"cotangent of {name!r}, which this run does not give; {nearest(name, there)}"
            )
        if one.shape != output.shape:
            raise BatchError(
                f"cotangent has shape {one.shape}; it should be that of the {name}, "
                f"{output.shape}, or a number for the loss"
            )
    return given


def head_backward(
    config: Config,
    given: Mapping[str, Array],
    context: HeadContext,
    outputs: Outputs,
    at: Place,
) -> Array:
    """logits = cap((scale * hidden)·W + b), loss = mean(-log softmax(logits)[label])
    =>    dhidden"""
    pooler = context.pooler
    dhidden: Array | None = None
    if context.out is not None:
        dhidden = _logits_backward(config, given, context, outputs, at)
    if pooler is not None:
        dpooled = given.get("pooled")
        dpooled = np.zeros_like(outputs.pooled) if dpooled is None else dpooled
        share = pooler_backward(dpooled, pooler, at / "pooler")
        dhidden = share if dhidden is None else dhidden + share
    return np.zeros_like(outputs.encoder_output) if dhidden is None else dhidden


def _logits_backward(
    config: Config,
    given: Mapping[str, Array],
    context: HeadContext,
    outputs: Outputs,
    at: Place,
) -> Array:
    out, length, labels, log_probabilities, slope, layer, _ = context
    assert out is not None
    dlogits = given.get("logits")
    if "loss" in given:
        assert labels is not None and log_probabilities is not None
        dloss = at.grad("loss", given["loss"])
        reduced = mean_backward if config.loss_reduction == "mean" else total_backward
        dper_token = at.grad("loss.per_token", reduced(dloss, labels))
        dlog = pick_backward(dper_token, labels, log_probabilities, config.label_smoothing)
        dlog = at.grad("log_probabilities", dlog)
        through = log_softmax_backward(dlog, log_probabilities)
        dlogits = through if dlogits is None else dlogits + through
    elif dlogits is None:
        dlogits = np.zeros_like(outputs.logits)
    if slope is not None:
        dlogits = cap_backward(at.grad("capped_logits", dlogits), slope)
    dhidden, dw, db = linear_backward(at.grad("logits", dlogits), out)
    if db is not None:
        at.add("output.b", db)
    if not config.tied_output:
        at.add("output.w", dw)
    else:
        at.add(tied_name(config), dw.T)
    if config.output_scale != 1.0:
        dhidden = at.grad("scaled_output", dhidden) * config.output_scale
    if layer is not None:
        dhidden = layer_backward(dhidden, layer, at / "head")
    if length is not None:
        dlast = at.grad("last_output", dhidden)
        dhidden = np.zeros((len(dlast), length, dlast.shape[2]), dlast.dtype)
        dhidden[:, -1:] = dlast
    return dhidden


def tied_name(config: Config) -> str:
    """The embedding that a tied output shares: that of the last stack."""
    return "embedding" if config.shared_embedding else f"{config.sides[-1]}.embedding"


def _output_matrix(config: Config, at: Place) -> Array:
    return at[tied_name(config)].T if config.tied_output else at["output.w"]
