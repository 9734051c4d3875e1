"""The three models: encoder-decoder, decoder-only, encoder-only; forward and backward.

A stack turns tokens into vectors and sends them through its blocks; the head turns the last
stack's vectors into logits and, with labels, into a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .attention import AttentionInputs
from .batch import Batch, SideInput, check_batch, check_range
from .block import BlockContext, Stack, block_backward, block_forward
from .cache import Cache
from .config import Config
from .config.rotary import LongropeScaling
from .errors import BatchError
from .head import HeadContext, Outputs, cotangents_of, head_backward, head_forward
from .masks import allowed
from .ops.alibi import distance_bias
from .ops.lookup import lookup_backward, lookup_forward, padding_beyond
from .ops.norm import NormContext
from .ops.positions import query_growth, rotation, sinusoidal
from .ops.relative import Relative, buckets, relative_bias_forward
from .parameters import check_parameters, parameter_shapes
from .place import Place
from .shapes import Array, all_true, describe
from .small_repr import small_repr
from .tap import NO_TAP, Tap


@small_repr()
class InputContext(NamedTuple):
    ids: Array
    table: Array | None  # None: vectors are given
    cleared: Array | None  # cells of padding that were taken as 0
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


class Memory(NamedTuple):
    """What a decoder looks at of its encoder."""

    output: Array | None  # [B, S, d]; None where a cache has its keys and values
    valid: Array  # [B, S], which of its tokens are real
    documents: Array | None = None  # [B, S], where a row holds several


@small_repr()
class ModelContext(NamedTuple):
    """What the backward pass needs of a forward pass."""

    config: Config
    stacks: dict[str, StackContext]
    head: HeadContext
    outputs: Outputs


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
    at = Place(parameters, tap)
    stacks: dict[str, StackContext] = {}
    hidden: dict[str, Array] = {}
    memory = None
    if inputs.memory is not None:
        hidden["encoder"], memory = memory_forward(at, *inputs.memory)
    for side, given in inputs.sides.items():
        if side == "decoder" and "encoder" in stacks:
            documents = inputs.sides["encoder"].documents
            memory = Memory(hidden["encoder"], stacks["encoder"].valid, documents)
        hidden[side], stacks[side] = stack_forward(config, side, at, given, memory, None, keep)
    last, valid = hidden[side], stacks[side].valid
    ends, head = head_forward(config, at, last, valid, inputs.labels, last_logits)
    tap.end()
    outputs = Outputs(
        encoder_output=hidden.get("encoder"), decoder_output=hidden.get("decoder"), **ends
    )
    return outputs, ModelContext(config, stacks if keep else {}, head, outputs)


def backward(
    context: ModelContext, cotangent: float | Array | dict[str, Any] = 1.0, tap: Tap = NO_TAP
) -> dict[str, Array]:
    """Gradients of every parameter, under the parameters' names, and of what the batch gave as
    vectors, under the names of its fields.

    cotangent   a number: the gradient of the loss (the run needs labels);
                an array of the logits' shape: the gradient of the logits;
                a dictionary of several, by the names of `Outputs`: what is not in it has none
    tap         the recorder of the forward pass, to record every stage's gradient too
    """
    if not isinstance(context, ModelContext):
        raise BatchError(f"context is {describe(context)}; it is the second that forward returns")
    config = context.config
    if not context.stacks:
        raise BatchError("backward of a run with keep=False; run forward with keep=True")
    at = Place({}, tap)
    shapes = parameter_shapes(config)
    given = cotangents_of(config, context.outputs, cotangent)
    dhidden = head_backward(config, given, context.head, context.outputs, at)
    dmemory = None
    for side in reversed(context.stacks):
        dhidden = dhidden if dmemory is None else dmemory
        if f"{side}_output" in given:
            dhidden = dhidden + given[f"{side}_output"]
        dmemory = stack_backward(config, side, dhidden, context.stacks[side], at)
    if dmemory is not None:  # of what was given
        if "encoder_output" in given:
            dmemory = dmemory + given["encoder_output"]
        at.gradients["memory"] = (at / "encoder").grad("output", dmemory)
    if at.gradients.keys() == shapes.keys():
        return {name: at.gradients[name] for name in shapes}
    none = {n: np.zeros(s, config.dtype) for n, s in shapes.items() if n not in at.gradients}
    others = {n: a for n, a in at.gradients.items() if n not in shapes}
    return {n: at.gradients[n] if n in at.gradients else none[n] for n in shapes} | others


def memory_forward(at: Place, output: Array, valid: Array) -> tuple[Array, Memory]:
    """What is given in place of an encoder's run."""
    here = at / "encoder"
    valid = here("mask", valid)
    output = here("output", output)
    return output, Memory(output, valid)


def stack_forward(
    config: Config,
    side: str,
    at: Place,
    given: SideInput,
    memory: Memory | None,
    cache: Cache | None,
    keep: bool,
) -> tuple[Array, StackContext]:
    """Tokens through embedding and blocks: [B, T] -> [B, T, d]

    With a cache the tokens also look at those of earlier calls, and are added to them.
    """
    here = at / side
    x, input_context = input_forward(config, side, at, here, given)
    valid = here("mask", given.valid)
    positions = given.positions
    if cache is not None:
        valid, positions = cache.mark(valid, positions)
        valid = here("all_mask", valid)
    different, _ = config.stacks[side]
    inputs = [_own_attention(layer, at, side, given, valid, positions) for layer in different]
    cross = output = None
    if memory is not None:
        output, source, others = memory
        pair = None if others is None or given.documents is None else (given.documents, others)
        length = given.ids.shape[1]
        cross = AttentionInputs(allowed(source, length, documents=pair))
    blocks = []
    for i, kind in enumerate(config.kinds[side]):
        layer, own = different[kind], inputs[kind]
        if cache is not None:
            store, cross_store = cache.layer(i)
            own = own.kept_in(store)
            cross = None if cross is None else cross.kept_in(cross_store)
        x, block = block_forward(layer, here / str(i), x, Stack(side, own, cross, output))
        if keep:
            blocks.append(block)
        del block
    norm = None
    if config.final_norm:
        x, norm = here.norm(x, config)
    return here("output", x), StackContext(valid, input_context, blocks, norm)


def stack_backward(
    config: Config, side: str, doutput: Array, context: StackContext, at: Place
) -> Array | None:
    """The gradients of a stack's parameters, and that of the memory it looked at (or None)"""
    here = at / side
    dx = here.grad("output", doutput)
    if context.norm is not None:
        dx = here.norm_backward(dx, context.norm)
    dmemory: Array | None = None
    for i in reversed(range(len(context.blocks))):
        dx, dshare = block_backward(dx, context.blocks[i], here / str(i))
        if dshare is not None:  # every layer looks at the same memory
            dmemory = dshare if dmemory is None else dmemory + dshare
    input_backward(config, dx, context.input, at, here)
    return dmemory


def _own_attention(
    config: Config, at: Place, side: str, given: SideInput, valid: Array, positions: Array
) -> AttentionInputs:
    """Who may attend to whom among all tokens (`valid`, `positions`), the last being given, how
    these are rotated, and what is added to the scores."""
    mask = allowed(
        valid,
        given.ids.shape[1],
        causal=side == "decoder" and config.causal,
        window=config.window,
        chunk=config.chunk,
        query_positions=given.positions,
        key_positions=positions,
        documents=None if given.documents is None else (given.documents, given.documents),
    )
    rotary = bias = None
    scaling = config.rotary_scaling
    limit = scaling.limit if isinstance(scaling, LongropeScaling) else None
    if limit is not None and given.positions.max() >= limit:
        raise BatchError(
            f"{side}.positions reach {given.positions.max()}, and rotary_scaling is that of texts "
            f"of at most {limit} tokens; its `length` (--length) says how long this run's are"
        )
    if config.rotated:
        rotary = rotation(
            given.positions, config.rotated, config.position_base, config.rotary_layout,
            config.dtype, scaling,
        )  # fmt: skip
    if config.positions == "alibi":
        bias = distance_bias(given.positions, positions, config.heads, config.dtype)
    growth = relative = None
    if config.positions == "relative":
        name = f"{side}.relative_bias"
        away = positions[:, None, :] - given.positions[:, :, None]
        count, farthest = config.relative_buckets, config.relative_distance
        found = buckets(away, count, farthest, side == "encoder" or not config.causal)
        relative = Relative(found, at[name], name)
        bias = relative_bias_forward(relative.table, found)
    if config.query_growth is not None:
        length, rate = config.query_growth, config.query_growth_rate
        growth = query_growth(given.positions, length, rate, config.dtype)
    return AttentionInputs(mask, rotary, bias, growth=growth, relative=relative)


def input_forward(
    config: Config, side: str, at: Place, here: Place, given: SideInput
) -> tuple[Array, InputContext]:
    """input = scale * embedding[ids] + positions + segments, then the embedding norm"""
    ids, table = given.ids, None
    if given.vectors is None:
        table = (at if config.shared_embedding else here)["embedding"]
        ids = here("tokens", ids)
        if here.tap.active:  # a pin may hold any number
            check_range(f"{side}.tokens", ids, config.vocabulary_of(side))
        x = lookup_forward(table, ids)
    else:
        x = given.vectors
    cleared = None
    if not all_true(given.valid):
        cleared = padding_beyond(x, given.valid, config.padding_limit(side))
    x = here("embedding", x if cleared is None else np.where(cleared, x.dtype.type(0), x))
    if config.embedding_scale != 1.0:
        x = here("scaled_embedding", x * config.embedding_scale)
    learned = None
    if config.positions == "sinusoidal":
        base, layout = config.position_base, config.sinusoidal_layout
        places = sinusoidal(given.positions, config.width, base, config.dtype, layout)
        x = x + here("positions", places)
    elif config.positions == "learned":
        learned = given.positions + config.position_offset, here["positions"]
        x = x + here("positions", lookup_forward(learned[1], learned[0]))
    segments = None
    if given.segments is not None:
        segments = given.segments, here["segments"]
        x = x + here("segments", lookup_forward(segments[1], segments[0]))
    norm = None
    if config.embedding_norm:
        x, norm = here.norm(here("embedding_sum", x), config, "embedding_norm")
    has_positions = config.positions in ("sinusoidal", "learned")
    context = InputContext(ids, table, cleared, learned, has_positions, segments, norm)
    return here("input", x), context


def input_backward(
    config: Config, dx: Array, context: InputContext, at: Place, here: Place
) -> None:
    """input = scale * embedding[ids] + positions + segments: every summand gets dinput whole"""
    dx = here.grad("input", dx)
    if context.norm is not None:
        dx = here.norm_backward(dx, context.norm, "embedding_norm")
        dx = here.grad("embedding_sum", dx)
    if context.segments is not None:
        ids, table = context.segments
        here.add("segments", lookup_backward(here.grad("segments", dx), ids, table))
    if context.has_positions:
        dpositions = here.grad("positions", dx)
        if context.positions is not None:
            ids, table = context.positions
            here.add("positions", lookup_backward(dpositions, ids, table))
    if config.embedding_scale != 1.0:
        dx = here.grad("scaled_embedding", dx) * config.embedding_scale
    dx = here.grad("embedding", dx)
    if context.cleared is not None:
        dx = np.where(context.cleared, dx.dtype.type(0), dx)
    if context.table is None:
        both = config.model == "encoder-decoder"
        prefix = "decoder_" if both and here.prefix == "decoder." else ""
        at.gradients[f"{prefix}vectors"] = dx
        return
    dtable = lookup_backward(dx, context.ids, context.table)
    (at if config.shared_embedding else here).add("embedding", dtable)
