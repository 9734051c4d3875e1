"""Runs of numtx that rows read: each runs once a process, when it is first asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from ..batch import Batch
from ..cache import Cache
from ..config import Config
from ..costs import StepCost, count_generation
from ..decoding.beam import BeamSearch, beam_search
from ..decoding.generate import Choose, Generation, generate, greedy
from ..examples.example import Example
from ..examples.registry import load_example
from ..model import forward
from ..parameters import initialise
from ..shapes import Array, without_leading_ones
from ..stages.catalogue import Text
from ..step import step
from ..tap import NO_TAP, Tap
from ..trace.trace import Trace, record
from ..training.loop import train
from ..training.recipe import Recipe
from ..training.run import Run
from ..vocabulary import Vocabulary

P = ParamSpec("P")
T = TypeVar("T")
Model = tuple[Config, Mapping[str, Array]]
SELF, CROSS = "decoder.0.self_attention", "decoder.0.cross_attention"
SEED = 0  # of what the documents leave open; no verdict depends on it
RATE, LEARNT, MOST = 0.01, 0.1, 600  # a small example is taught until its loss is below LEARNT


class Kept(Generic[P, T]):
    """A function that is run once for the same arguments."""

    def __init__(self, function: Callable[P, T]) -> None:
        self.function = function
        self.found: dict[Any, T] = {}

    def __call__(self, *args: P.args, **options: P.kwargs) -> T:
        key = (args, tuple(sorted(options.items())))
        if key not in self.found:
            self.found[key] = self.function(*args, **options)
        return self.found[key]


@Kept
def example(name: str, **options: Any) -> Example:
    """An example by name, as its seed draws it."""
    return load_example(name, seed=SEED, **options)


@Kept
def trained(name: str, **options: Any) -> Example:
    """The same after training on its own batch: the document's pair."""
    return taught(example(name, **options))


def taught(made: Example) -> Example:
    """An example trained on its own batch until it knows it; a wide one in width 8, for time's
    sake."""
    if made.config.width > 64:
        config = dataclasses.replace(made.config, width=8, hidden=32)
        made = dataclasses.replace(made, config=config, parameters=initialise(config, SEED))
    run = Run(made.config, made.parameters, Recipe(learning_rate=RATE))
    while run.step < MOST and (not run.losses or run.losses[-1] > LEARNT):
        train(run, made.batch, run.step + 40)
    return dataclasses.replace(made, parameters=run.parameters)


@Kept
def phrase(*words: str) -> Example:
    """A decoder alone that is taught to write some words after <SOS>, and then <EOS>."""
    vocabulary = Vocabulary(("<SOS>", *dict.fromkeys(words), "<EOS>"))
    config = Config(
        model="decoder-only", width=8, decoder_layers=2, heads=2, hidden=32,
        vocabulary=len(vocabulary),
    )  # fmt: skip
    ids = vocabulary.encode(["<SOS>", *words, "<EOS>"])
    title = Text(" ".join(words), " ".join(words))
    batch = Batch([ids[:-1]], labels=[ids[1:]])
    sides = {"decoder": vocabulary}
    return taught(Example("phrase", title, "-", config, initialise(config, SEED), batch, sides))


@Kept
def trace(name: str, **options: Any) -> Trace:
    """The recorded forward pass of an example."""
    return example(name, **options).trace(gradients=False)


@Kept
def trace_trained(name: str, **options: Any) -> Trace:
    """The same of the trained example."""
    return trained(name, **options).trace(gradients=False)


@Kept
def gradients(name: str, **options: Any) -> Trace:
    """The recorded forward and backward pass of an example."""
    return example(name, **options).trace()


def shape(name: str, stage: str, **options: Any) -> tuple[int, ...]:
    """The shape of a stage without leading axes of size one, down to a matrix."""
    return small_shape(trace(name, **options)[stage])


def small_shape(array: Array) -> tuple[int, ...]:
    """The shape of an array without leading axes of size one, down to a matrix."""
    found = without_leading_ones(array.shape)
    return tuple(array.shape[-2:] if len(found) < 2 else found)


def tokens(name: str, side: str = "decoder", **options: Any) -> list[int]:
    """The token ids of the first row of a side."""
    ids: list[int] = trace(name, **options)[f"{side}.tokens"][0].tolist()
    return ids


def names(made: Example, ids: Sequence[int]) -> tuple[str, ...]:
    """The words of ids of the decoder (of the encoder, where it is alone)."""
    assert made.vocabulary is not None
    return tuple(made.vocabulary.decode(list(ids)))


def with_ids(made: Example, ids: Sequence[int], side: str = "decoder") -> Trace:
    """An example run on other tokens of one side, without labels."""
    field = "decoder_ids" if side == "decoder" and made.config.model == "encoder-decoder" else "ids"
    batch = dataclasses.replace(made.batch, **{field: [list(ids)]}, labels=None, mask=None)
    return record(made.config, made.parameters, batch, gradients=False)


@Kept
def prefix(name: str, length: int, **options: Any) -> Trace:
    """An example run on the first tokens of its decoder alone."""
    return with_ids(example(name, **options), tokens(name, **options)[:length])


def moved(before: Array, after: Array) -> tuple[int, ...]:
    """Which positions changed, bit for bit; positions are the last axis but one."""
    shared = min(before.shape[-2], after.shape[-2])
    one, other = before[..., :shared, :], after[..., :shared, :]
    axes = tuple(i for i in range(one.ndim) if i != one.ndim - 2)
    return tuple(np.flatnonzero(np.any(one != other, axis=axes)).tolist())


def moves(
    name: str | Example, place: int, stage: str, side: str = "decoder", length: int | None = None,
) -> tuple[int, ...]:  # fmt: skip
    """Which positions of a stage move when one token of a side is another one."""
    made = example(name) if isinstance(name, str) else name
    whole = made.config.sides[0] == side
    ids = np.asarray(made.batch.ids if whole else made.batch.decoder_ids)[0][:length].tolist()
    other = [*ids]
    other[place] = (ids[place] + 1) % made.config.vocabulary_of(side)
    return moved(with_ids(made, ids, side)[stage], with_ids(made, other, side)[stage])


def said(name: str, side: str = "decoder", **options: Any) -> tuple[str, ...]:
    """The most probable word at every position of the trained example."""
    logits = trace_trained(name, **options)["logits"][0]
    return names(trained(name, **options), logits.argmax(-1).tolist())


def prompt_of(made: Example, length: int = 1) -> Batch:
    """The source, and the first tokens of the decoder."""
    if made.config.model == "encoder-decoder":
        first = [list(row[:length]) for row in np.asarray(made.batch.decoder_ids).tolist()]
        return dataclasses.replace(made.batch, decoder_ids=first, decoder_mask=None, labels=None)
    return Batch([list(np.asarray(made.batch.ids)[0][:length].tolist())])


def written(
    made: Example, length: int = 1, *, most: int, use_cache: bool = True, choose: Choose = greedy,
    tap: Tap = NO_TAP, **options: Any,
) -> Generation:  # fmt: skip
    """What `generate` makes of the first tokens of an example; it ends at <eos> if there is one."""
    assert made.vocabulary is not None
    ends = [made.vocabulary[t] for t in ("<eos>", "<EOS>") if t in made.vocabulary]
    return generate(
        made.config, made.parameters, prompt_of(made, length), max_new_tokens=most, stop=ends,
        use_cache=use_cache, choose=choose, tap=tap, **options,
    )  # fmt: skip


def words_written(made: Example, length: int = 1, **options: Any) -> tuple[str, ...]:
    """The words of the first row that `generate` gives."""
    return names(made, written(made, length, **options).new[0])


@Kept
def searched(name: str, beams: int, most: int, length: int = 1, **options: Any) -> BeamSearch:
    """A beam search from the first tokens of an example."""
    made = example(name)
    assert made.vocabulary is not None
    ends = [made.vocabulary[t] for t in ("<eos>",) if t in made.vocabulary]
    return beam_search(
        made.config, made.parameters, prompt_of(made, length), max_new_tokens=most,
        num_beams=beams, stop=ends, **options,
    )  # fmt: skip


@Kept
def small(positions: str | None = "sinusoidal", **fields: Any) -> Model:
    """A small encoder (or, with model=..., another stack) over eleven tokens."""
    settings: dict[str, Any] = {"model": "encoder-only", "encoder_layers": 1, **fields}
    if settings["model"] == "decoder-only":
        settings["encoder_layers"] = 0
        settings.setdefault("decoder_layers", 1)
    settings = {"width": 6, "heads": 1, "hidden": 7, "vocabulary": 11, **settings}
    config = Config(positions=positions, **settings)
    return config, initialise(config, SEED)


def hidden(model: Model, ids: Sequence[int]) -> Array:
    """The last hidden states [T, d] of a small model."""
    run = record(*model, Batch([list(ids)]), gradients=False)
    found: Array = run[f"{model[0].sides[-1]}.output"][0]
    return found


def in_chunks(
    model: Model, ids: Sequence[int], chunks: Sequence[int],
    storage: str = "contiguous",
) -> tuple[Array, Cache]:  # fmt: skip
    """The logits [T, V] of tokens that a cache is given in chunks, and the cache."""
    cache, found, start = Cache(*model, 1, storage=storage), [], 0
    for length in chunks:
        part = Batch([list(ids[start : start + length])])
        found.append(step(*model, part, cache, every_position=True).logits[0])
        start += length
    return np.concatenate(found), cache


def logits_of(model: Model, batch: Batch) -> Array:
    """[B, T, V] of a run of the whole model."""
    found: Array = forward(*model, batch)[0].logits
    return found


# What it costs, counted from the stages of a generation of one layer.


@Kept
def counted(width: int, tokens: int, cached: bool) -> list[StepCost]:
    """Every step of a generation from one token: step i has i tokens."""
    config, p = small(model="decoder-only", width=width, hidden=4 * width, vocabulary=5, norm=None)
    return count_generation(config, p, Batch([[1]]), max_new_tokens=tokens, use_cache=cached)


def cost(groups: Sequence[str], i: int, width: int, cached: bool, total: bool = False) -> int:
    """Multiply-adds of some groups of products (of all without names) in step i, or in steps 1
    to i together."""
    steps = counted(width, 6, cached)
    return sum(one.total(*groups) for one in (steps[:i] if total else steps[i - 1 : i]))


def power(values: Sequence[int]) -> int:
    """The degree of a polynomial from its values at equal steps: how often differences are taken
    until they are all alike."""
    row, degree = list(values), 0
    while any(value != row[0] for value in row):
        row = [b - a for a, b in pairwise(row)]
        degree += 1
    return degree


def powers(groups: Sequence[str], cached: bool, total: bool = False) -> tuple[int, int]:
    """The powers of the length (step, or number of steps) and of the width with which the
    multiply-adds of some groups grow."""
    lengths = [cost(groups, i, 8, cached, total) for i in range(1, 7)]
    widths = [cost(groups, 6, d, cached, total) for d in (4, 8, 12, 16, 20)]
    return power(lengths), power(widths)
