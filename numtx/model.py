"""The three models: encoder-decoder, decoder-only, encoder-only; forward and backward.

A stack turns tokens into vectors and sends them through its blocks; the head turns the last
stack's vectors into logits and, with labels, into a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .batch import Batch, SideInput, check_batch, check_labels, check_range
from .block import (
    BlockContext,
    Memory,
    Stores,
    block_backward,
    block_forward,
    denormalise,
    normalise,
)
from .cache import Cache
from .config import Config
from .errors import BatchError
from .masks import Mask, allowed
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.lookup import junk_under_padding, lookup_backward, lookup_forward
from .ops.loss import mean_backward, mean_forward, pick_backward, pick_forward
from .ops.norm import NormContext
from .ops.positions import rotation, sinusoidal
from .ops.softmax import log_softmax_backward, log_softmax_forward
from .parameters import Gradients, Scope, check_parameters, parameter_shapes
from .shapes import Array, describe
from .small_repr import small_repr
from .tap import NO_TAP, Tap


@small_repr()
class Outputs(NamedTuple):
    """What a run gives; what was not asked for is None."""

    logits: Array  # [B, T, V], or [B, 1, V] where only the last were asked for
    loss: Array | None  # [], with labels
    encoder_output: Array | None  # [B, S, d], where there is an encoder
    decoder_output: Array | None  # [B, T, d], where there is a decoder


@small_repr()
class InputContext(NamedTuple):
    ids: Array
    table: Array
    junk: Array | None  # cells of padding that were taken as 0
    positions: tuple[Array, Array] | None  # rows looked up in the learned table, and the table
    has_positions: bool
    segments: tuple[Array, Array] | None
    norm: NormContext | None


@small_repr()
class StackContext(NamedTuple):
    valid: Array  # the padding mask as emitted: a pin may have changed it
    input: InputContext
    blocks: list[BlockContext]
    norm: NormContext | None


@small_repr()
class HeadContext(NamedTuple):
    out: LinearContext
    length: int | None  # T, where the logits are of the last column only
    labels: Array | None
    log_probabilities: Array | None  # as computed, before the tap


@small_repr()
class ModelContext(NamedTuple):
    """What the backward pass needs of a forward pass."""

    config: Config
    stacks: dict[str, StackContext]
    head: HeadContext
    logits_shape: tuple[int, ...]


def forward(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    tap: Tap = NO_TAP,
    *,
    last_logits: bool = False,
    keep: bool = True,
) -> tuple[Outputs, ModelContext]:
    """Run a model on a batch.

    last_logits  compute logits for the last column only, [B, 1, V]; for a batch without labels
    keep         False: keep nothing for `backward`, which saves memory, and time where it is much

    Returns the outputs and the context for `backward`. With labels there is a loss: the mean
    of -log P(label) over the labels that are not -100. Every stage is emitted to the tap.

    Raises `ParameterError`, `BatchError` or `MaskError` for what does not fit `config`.
    """
    check_parameters(config, parameters)
    inputs = check_batch(config, batch)
    if last_logits and inputs.labels is not None:
        raise BatchError("last_logits with labels: they need all logits; leave one of them out")
    p = Scope(parameters)
    stacks: dict[str, StackContext] = {}
    hidden: dict[str, Array] = {}
    memory = None
    for side in config.sides:
        given = inputs.sides[side]
        if side == "decoder" and "encoder" in hidden:
            mask = allowed(stacks["encoder"].valid, config.heads, given.ids.shape[1])
            memory = Memory(hidden["encoder"], mask)
        hidden[side], stacks[side] = stack_forward(config, side, p, given, memory, None, keep, tap)
    logits, loss, head = head_forward(config, p, hidden[side], inputs.labels, last_logits, tap)
    tap.end()
    outputs = Outputs(logits, loss, hidden.get("encoder"), hidden.get("decoder"))
    return outputs, ModelContext(config, stacks if keep else {}, head, logits.shape)


def backward(
    context: ModelContext, cotangent: float | Array = 1.0, tap: Tap = NO_TAP
) -> dict[str, Array]:
    """Gradients of every parameter, under the parameters' names.

    cotangent   a number: the gradient of the loss (the run needs labels);
                an array of the logits' shape: the gradient of the logits
    tap         the recorder of the forward pass, to record every stage's gradient too
    """
    if not isinstance(context, ModelContext):
        raise BatchError(f"context is {describe(context)}; it is the second that forward returns")
    config = context.config
    if not context.stacks:
        raise BatchError("backward of a run with keep=False; run forward with keep=True")
    flat: dict[str, Array] = {}
    gradients = Gradients(flat)
    dhidden = head_backward(config, cotangent, context, gradients, tap)
    dmemory = None
    for side in reversed(config.sides):
        if side == "encoder" and dmemory is not None:
            dhidden = dmemory
        dmemory = stack_backward(side, dhidden, context.stacks[side], config, gradients, tap)
    return {name: flat[name] for name in parameter_shapes(config)}


def stack_forward(
    config: Config,
    side: str,
    p: Scope,
    given: SideInput,
    memory: Memory | None,
    cache: Cache | None,
    keep: bool,
    tap: Tap,
) -> tuple[Array, StackContext]:
    """Tokens through embedding and blocks: [B, T] -> [B, T, d]

    With a cache the tokens also look at those of earlier calls, and are added to them.
    """
    here, q = tap.at(side), p.at(side)
    x, input_context = input_forward(config, side, p, given, here)
    valid = here("mask", given.valid)
    positions = given.positions
    if cache is not None:
        valid, positions = cache.mark(valid, positions)
        valid = here("all_mask", valid)
    mask = _self_mask(config, side, given, valid, positions)
    turn = None
    if config.rotated:
        turn = rotation(
            given.positions, config.rotated, config.position_base, config.rotary_layout,
            config.dtype,
        )  # fmt: skip
    blocks = []
    for i in range(config.layers(side)):
        number = str(i)
        stores = Stores() if cache is None else Stores(*cache.layer(i))
        x, block = block_forward(
            config, side, q.at(number), x, mask, turn, memory, stores, here.at(number)
        )
        if keep:
            blocks.append(block)
        del block
    norm = None
    if config.final_norm:
        x, norm = normalise(config, q.at("norm"), x)
    return here("output", x), StackContext(valid, input_context, blocks, norm)


def stack_backward(
    side: str,
    doutput: Array,
    context: StackContext,
    config: Config,
    gradients: Gradients,
    tap: Tap,
) -> Array | None:
    """The gradients of a stack's parameters, and that of the memory it looked at (or None)"""
    here, g = tap.at(side), gradients.at(side)
    dx = here.grad("output", doutput)
    if context.norm is not None:
        dx = denormalise(dx, context.norm, g.at("norm"))
    dmemory: Array | None = None
    for i in reversed(range(len(context.blocks))):
        number = str(i)
        dx, dshare = block_backward(dx, context.blocks[i], g.at(number), here.at(number))
        if dshare is not None:  # every layer looks at the same memory
            dmemory = dshare if dmemory is None else dmemory + dshare
    input_backward(config, side, dx, context.input, gradients, here)
    return dmemory


def _self_mask(config: Config, side: str, given: SideInput, valid: Array, positions: Array) -> Mask:
    """Who may attend to whom, among all tokens (`valid`, `positions`), the last being given."""
    return allowed(
        valid,
        config.heads,
        given.ids.shape[1],
        causal=side == "decoder" and config.causal,
        window=config.window,
        query_positions=given.positions,
        key_positions=positions,
    )


def input_forward(
    config: Config, side: str, p: Scope, given: SideInput, tap: Tap
) -> tuple[Array, InputContext]:
    """input = scale * embedding[ids] + positions + segments, then the embedding norm"""
    q = p.at(side)
    table = p["embedding"] if config.shared_embedding else q["embedding"]
    ids = tap("tokens", given.ids)
    if tap.active:  # a pin may hold any number
        check_range(f"{side}.tokens", ids, config.vocabulary_of(side))
    x = lookup_forward(table, ids)
    junk = junk_under_padding(x, given.valid)
    x = tap("embedding", x if junk is None else np.where(junk, x.dtype.type(0), x))
    if config.embedding_scale != 1.0:
        x = tap("scaled_embedding", x * config.embedding_scale)
    learned = None
    if config.positions == "sinusoidal":
        places = sinusoidal(given.positions, config.width, config.position_base, config.dtype)
        x = x + tap("positions", places)
    elif config.positions == "learned":
        learned = given.positions + config.position_offset, q["positions"]
        x = x + tap("positions", lookup_forward(learned[1], learned[0]))
    segments = None
    if given.segments is not None:
        segments = given.segments, q["segments"]
        x = x + tap("segments", lookup_forward(segments[1], segments[0]))
    norm = None
    if config.embedding_norm:
        x, norm = normalise(config, q.at("embedding_norm"), tap("embedding_sum", x))
    has_positions = config.positions in ("sinusoidal", "learned")
    context = InputContext(ids, table, junk, learned, has_positions, segments, norm)
    return tap("input", x), context


def input_backward(
    config: Config, side: str, dx: Array, context: InputContext, gradients: Gradients, tap: Tap
) -> None:
    """input = scale * embedding[ids] + positions + segments: every summand gets dinput whole"""
    g = gradients.at(side)
    dx = tap.grad("input", dx)
    if context.norm is not None:
        dx = denormalise(dx, context.norm, g.at("embedding_norm"))
        dx = tap.grad("embedding_sum", dx)
    if context.segments is not None:
        ids, table = context.segments
        g.add("segments", lookup_backward(tap.grad("segments", dx), ids, table))
    if context.has_positions:
        dpositions = tap.grad("positions", dx)
        if context.positions is not None:
            ids, table = context.positions
            g.add("positions", lookup_backward(dpositions, ids, table))
    if config.embedding_scale != 1.0:
        dx = tap.grad("scaled_embedding", dx) * config.embedding_scale
    dx = tap.grad("embedding", dx)
    if context.junk is not None:
        dx = np.where(context.junk, dx.dtype.type(0), dx)
    dtable = lookup_backward(dx, context.ids, context.table)
    (gradients if config.shared_embedding else g).add("embedding", dtable)


def head_forward(
    config: Config, p: Scope, hidden: Array, labels: Array | None, last: bool, tap: Tap
) -> tuple[Array, Array | None, HeadContext]:
    """logits = (scale * hidden)·W + b, and with labels the loss: the mean of -log softmax[label]"""
    length = None
    if labels is not None:
        labels = tap("labels", labels)
        if tap.active:
            check_labels("labels", labels, config.vocabulary)
    if last:
        length = hidden.shape[1]
        hidden = tap("last_output", hidden[:, -1:])
    if config.output_scale != 1.0:
        hidden = tap("scaled_output", hidden * config.output_scale)
    logits, out = linear_forward(hidden, _output_matrix(config, p), p.get("output.b"))
    logits = tap("logits", logits)
    if labels is None and not tap.active:
        return logits, None, HeadContext(out, length, None, None)
    log_probabilities = log_softmax_forward(logits)
    seen = tap("log_probabilities", log_probabilities)
    if tap.active:
        tap.show("probabilities", np.exp(seen))
    if labels is None:
        return logits, None, HeadContext(out, length, None, None)
    per_token = tap("loss.per_token", pick_forward(seen, labels, config.label_smoothing))
    loss = tap("loss", mean_forward(per_token, labels))
    return logits, loss, HeadContext(out, length, labels, log_probabilities)


def head_backward(
    config: Config,
    cotangent: float | Array,
    context: ModelContext,
    gradients: Gradients,
    tap: Tap,
) -> Array:
    """logits = (scale * hidden)·W + b, loss = mean(-log softmax(logits)[label])    =>    dhidden"""
    out, length, labels, log_probabilities = context.head
    if np.ndim(cotangent):
        dlogits = np.asarray(cotangent, config.dtype)
        if dlogits.shape != context.logits_shape:
            raise BatchError(
                f"cotangent has shape {dlogits.shape}; it should be that of the logits, "
                f"{context.logits_shape}, or a number for the loss"
            )
    elif labels is None or log_probabilities is None:
        raise BatchError(
            "backward of a run without labels; give the batch labels, or hand over the "
            "gradient of the logits as cotangent"
        )
    else:
        dloss = tap.grad("loss", np.asarray(cotangent, config.dtype))
        dper_token = tap.grad("loss.per_token", mean_backward(dloss, labels))
        dlog = pick_backward(dper_token, labels, log_probabilities, config.label_smoothing)
        dlog = tap.grad("log_probabilities", dlog)
        dlogits = log_softmax_backward(dlog, log_probabilities)
    dhidden, dw, db = linear_backward(tap.grad("logits", dlogits), out)
    gradients.add("output.b", db)
    if not config.tied_output:
        gradients.add("output.w", dw)
    else:
        gradients.add(tied_name(config), dw.T)
    if config.output_scale != 1.0:
        dhidden = tap.grad("scaled_output", dhidden) * config.output_scale
    if length is not None:
        dlast = tap.grad("last_output", dhidden)
        dhidden = np.zeros((len(dlast), length, dlast.shape[2]), dlast.dtype)
        dhidden[:, -1:] = dlast
    return dhidden


def tied_name(config: Config) -> str:
    """The embedding that a tied output shares: that of the last stack."""
    return "embedding" if config.shared_embedding else f"{config.sides[-1]}.embedding"


def _output_matrix(config: Config, p: Scope) -> Array:
    return p[tied_name(config)].T if config.tied_output else p["output.w"]
