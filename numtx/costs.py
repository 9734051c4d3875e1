"""What a generation costs: multiply-adds and cached numbers, counted from the stages
of a run, beside the documents' closed formulas.

The count asks the catalogue: each stage that is a contraction multiplies and adds once for
every cell of its result and every value of the letters that it sums over. The shapes are those
of the arrays that the run emitted. A multiply-add is one multiplication and one addition; what
is not a product of matrices (softmax, norms, activations, rotations) is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .attention import token_streams
from .batch import Batch, vectors_of
from .cache import Cache
from .config import Config
from .decoding.beam import BeamStep, beam_search
from .decoding.generate import Step, generate
from .feed_forward import FEED_FORWARDS
from .head import head_cost
from .oracle.operations import OPERATIONS
from .parameters import parameter_shapes
from .shapes import Array, parse
from .small_repr import brief, in_notebook, small_repr
from .stages.graph import Graph, Stage
from .stages.resolve import resolve
from .tap import Tap

# How the products of a decoder are put together; cross-attention's stand by themselves.
GROUPS = (
    "Q, K, V projections", "Q·K^T", "weights·V", "W_O",
    "cross Q, K, V projections", "cross Q·K^T", "cross weights·V", "cross W_O",
    "feed-forward", "logits", "encoder",
)  # fmt: skip
ATTENTION = GROUPS[:3]  # what the documents count

_PARTS = {
    "query_latent": 0, "queries": 0, "position_queries": 0, "latent": 0, "keys": 0, "values": 0,
    "position_key": 0, "absorbed_queries": 0, "products": 1, "latent_context": 2, "context": 2,
    "output": 3,
}  # fmt: skip


class Shapes:
    """A tap that keeps the shape of every stage, and nothing else."""

    active = True

    def __init__(self, prefix: str = "", found: dict[str, tuple[int, ...]] | None = None) -> None:
        self.found: dict[str, tuple[int, ...]] = {} if found is None else found
        self._prefix = prefix

    def __call__(self, name: str, value: Array) -> Array:
        self.found[self._prefix + name] = value.shape
        return value

    def show(self, name: str, value: Array) -> None:
        self(name, value)

    def grad(self, name: str, gradient: Array) -> Array:
        return gradient

    def at(self, scope: str) -> Tap:
        return Shapes(f"{self._prefix}{scope}.", self.found)

    def end(self) -> None:
        return None


@small_repr()
class Product(NamedTuple):
    """One contraction of a run: its stage, its shapes and its multiply-adds."""

    stage: str
    group: str
    left: tuple[int, ...]
    right: tuple[int, ...]
    result: tuple[int, ...]
    multiply_adds: int


@in_notebook
@small_repr()
class StepCost(NamedTuple):
    """One step of a generation, its products, and the numbers in the cache after it."""

    step: Step
    products: list[Product]
    cached: int

    def total(self, *groups: str) -> int:
        """Multiply-adds of some groups; of all without names."""
        return sum(p.multiply_adds for p in self.products if not groups or p.group in groups)


@in_notebook
class StepCosts(list[StepCost]):
    """The costs of the steps of a generation, in order."""

    def __repr__(self) -> str:
        return f"StepCosts({brief(list(self))})"


def multiply_adds(stage: Stage, shapes: Mapping[str, tuple[int, ...]], graph: Graph) -> int:
    """Cells of the result times the sizes of the letters that are summed over (that both operands
    have and the result lacks); 0 where the stage is no product."""
    specification = parse(stage.specification)
    if OPERATIONS[stage.operation].heading != "·" or len(stage.inputs) < 2:
        return 0
    sizes = dict(graph.sizes)
    for axes, name in zip(specification.operands, stage.inputs, strict=False):
        lengths = zip(axes, shapes[name], strict=True)
        sizes.update({axis: length for axis, length in lengths if len(axis) == 1})
    left, right, kept = (
        {letter for axis in axes for letter in axis}
        for axes in (*specification.operands[:2], specification.result)
    )
    summed = (left & right) - kept
    return math.prod(shapes[stage.name]) * math.prod(sizes[letter] for letter in summed)


def count_generation(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    *,
    max_new_tokens: int,
    use_cache: bool = True,
) -> StepCosts:
    """Generate, and count the products of every step by group, from the shapes of the run.

    The encoder's products stand in the first step.
    """
    tap = Shapes()
    rows = np.asarray(prompt.decoder_ids if prompt.decoder_ids is not None else prompt.ids)
    cache = Cache(config, parameters, len(rows)) if use_cache else None
    cached: list[int] = []

    def choose(logits: Array, _: object) -> Array:
        cached.append(0 if cache is None else cache.numbers)
        choice: Array = np.argmax(logits, -1)
        return choice

    steps = generate(
        config, parameters, prompt, max_new_tokens=max_new_tokens, cache=cache,
        use_cache=use_cache, choose=choose, tap=tap,
    ).steps  # fmt: skip
    products = products_of(
        config, parameters, tap, [step.phase for step in steps], cached=use_cache,
        vectors=vectors_of(config, prompt),
    )  # fmt: skip
    return StepCosts(
        StepCost(step, products[step.phase], numbers)
        for step, numbers in zip(steps, cached, strict=True)
    )


def count_beam_search(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    *,
    max_new_tokens: int,
    num_beams: int,
    **options: Any,
) -> list[tuple[BeamStep, int]]:
    """The multiply-adds of every step of a beam search, from the shapes of the run.

    The prompt runs once; after it every text that is kept is a row of its own.
    """
    tap = Shapes()
    steps = beam_search(
        config, parameters, prompt, max_new_tokens=max_new_tokens, num_beams=num_beams, tap=tap,
        **options,
    ).steps  # fmt: skip
    products = products_of(
        config, parameters, tap, [step.phase for step in steps], cached=True,
        vectors=vectors_of(config, prompt),
    )  # fmt: skip
    return [(step, sum(p.multiply_adds for p in products[step.phase])) for step in steps]


def products_of(
    config: Config, parameters: Mapping[str, Array], tap: Shapes, phases: Sequence[str],
    *, cached: bool, vectors: tuple[str, ...] = (),
) -> dict[str, list[Product]]:  # fmt: skip
    """The products of a run by phase; the encoder's stand in the first."""
    graph = resolve(config, labels=False, phases=tuple(phases), cached=cached, vectors=vectors)
    shapes = {**tap.found, **{f"parameters/{name}": a.shape for name, a in parameters.items()}}
    by_phase: dict[str, list[Product]] = {phase: [] for phase in phases}
    for stage in graph:
        amount = multiply_adds(stage, shapes, graph)
        if amount:
            phase = next((p for p in phases if stage.name.startswith(f"{p}.")), phases[0])
            left, right = (shapes[name] for name in stage.inputs[:2])
            by_phase[phase].append(
                Product(stage.name, _group(stage), left, right, shapes[stage.name], amount)
            )
    return by_phase


def _group(stage: Stage) -> str:
    name = stage.name
    if stage.inputs[0].endswith(".latent_context"):
        return GROUPS[0]  # values made from the latents, only later
    if name.startswith("encoder"):
        return "encoder"
    place, _, leaf = name.rpartition(".")
    if leaf == "logits":
        return "logits"
    if ".feed_forward" in place:
        return "feed-forward"
    return GROUPS[_PARTS[leaf] + (4 if place.endswith("cross_attention") else 0)]


# The closed formulas. d: width; T: tokens, from one to T in T steps.


def step_without_cache(i: int, d: int) -> int:
    """3·i·d^2 + 2·i^2·d: Q, K, V of i tokens, Q·K^T and weights·V of i x i, in one layer whose
    heads together are as wide as the model"""
    return 3 * i * d * d + 2 * i * i * d


def step_with_cache(i: int, d: int) -> int:
    """3·d^2 + 2·i·d: Q, K, V of one token, Q·K^T and weights·V of 1 x i, in one layer"""
    return 3 * d * d + 2 * i * d


def total_without_cache(tokens: int, d: int) -> int:
    """sum over i = 1 .. T: 3·d^2·T(T+1)/2 + 2·d·T(T+1)(2T+1)/6"""
    t = tokens
    return 3 * d * d * t * (t + 1) // 2 + d * t * (t + 1) * (2 * t + 1) // 3


def total_with_cache(tokens: int, d: int) -> int:
    """sum over i = 1 .. T: 3·d^2·T + d·T(T+1)"""
    return 3 * d * d * tokens + d * tokens * (tokens + 1)


def token_costs(config: Config) -> dict[str, tuple[int, int]]:
    """Of each side the multiply-adds that one token takes through all layers, and those for every
    token that it attends to there: Q·K^T and weights·V. Keys and values that cross-attention makes
    of the encoder's tokens, or of a memory that is given, are the encoder's.
    """
    sides = ("encoder", "decoder") if config.model == "encoder-decoder" else config.sides
    fixed = dict.fromkeys(sides, 0)
    fixed[config.sides[-1]] += head_cost(config)
    for side in config.sides:
        for i in range(config.layers(side)):
            layer = config.layer(side, i)
            fixed[side] += FEED_FORWARDS[layer.feed_forward].token_cost(layer)
    for name, shape in parameter_shapes(config).items():
        if name.rpartition(".")[2].startswith("w_") and "feed_forward" not in name:
            read = name.endswith(("cross_attention.w_k", "cross_attention.w_v"))
            fixed["encoder" if read else name.partition(".")[0]] += math.prod(shape)
    by_key = config.heads * (config.d_k + config.d_v)
    return {side: (fixed[side], config.layers(side) * by_key) for side in sides}


def cache_numbers(config: Config, tokens: int, source: int = 0) -> tuple[int, int]:
    """Numbers that a cache holds for one row: self-attention's, layers x tokens x
    (d_k + d_v) x key/value heads (of a latent r + d_r), and cross-attention's over the source."""
    streams = sum(math.prod(axes) for axes in token_streams(config).values())
    cross = source * config.kv_heads * (config.d_k + config.d_v)
    cross = cross if config.model == "encoder-decoder" else 0
    return config.decoder_layers * streams * tokens, config.decoder_layers * cross
