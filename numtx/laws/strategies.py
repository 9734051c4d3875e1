"""Hypothesis strategies: any model that the table of configurations allows, and its input.

Hypothesis draws structure (mechanisms, sizes, padding); numbers come from a drawn seed, for
arrays that Hypothesis draws are mostly zeros and constants and let bugs live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from ..batch import Batch, count_positions
from ..config import RULES, Config
from ..fields.field import AnyOf, Rule, fields_of
from ..fields.kinds import Number, Whole
from ..models import parameters_of
from ..ops.loss import IGNORED
from ..shapes import Array

ROWS, LENGTHS = 2, {"encoder": 5, "decoder": 3}
C = TypeVar("C", bound=Config)
seeds = st.integers(0, 2**32 - 1)


def configs(model: str | None = None, **fixed: Any) -> st.SearchStrategy[Config]:
    """Any configuration of small, different sizes; `fixed` are fields that are not drawn.

    Every field takes the values that its declaration tells to draw; what is fixed may be another
    value, and what is left open is drawn to fit.
    """
    return configurations(Config, fixed if model is None else {"model": model, **fixed})


@st.composite
def configurations(draw: st.DrawFn, /, kind: type[C], fixed: Mapping[str, Any]) -> C:
    """A configuration of a class: mechanisms first, then numbers, each of them drawn from those
    of its values that break no rule with what is decided before."""
    fields = fields_of(kind)
    partial = _partial(cast("Any", kind))  # a class is hashable
    numbers = [name for name in fields if isinstance(fields[name].kind, Whole | Number)]
    decided = dict(fixed)
    rules = _open_rules(partial, RULES, decided)
    if rules is None:
        raise InvalidArgument(f"no rule allows together: {decided}")
    for name in [*(name for name in fields if name not in numbers), *numbers]:
        if name in fixed:
            continue
        asking = rules.pop(name, [])  # no other rule has anything more to say now
        values = []
        for value in fields[name].draw:
            any_of = isinstance(value, AnyOf)
            still = {} if any_of else _open_rules(partial, asking, {**decided, name: value})
            if still is not None:
                values.append((value, still))
        # One choice a field, whatever fits: fewer choices would pass for a smaller example.
        turn = draw(st.integers(0, len(fields[name].draw) - 1))
        value, still = values[turn % len(values)] if values else reject()
        if isinstance(value, AnyOf):
            value = draw(st.lists(st.sampled_from(value.names), unique=True).map(tuple))
            found = _open_rules(partial, asking, {**decided, name: value})
            still = reject() if found is None else found
        decided[name] = value
        for asked, more in still.items():
            rules.setdefault(asked, []).extend(more)
    return kind(**decided)


@cache
def _partial(kind: Any) -> Any:
    """The class of a configuration some of whose fields are not decided yet."""
    return type(kind.__name__, (kind,), {name: _Open() for name in fields_of(kind)})


class _Undecided(Exception):  # noqa: N818
    """A rule asks for a field, of this name, that has no value yet."""


class _Open:
    """A field without a value: one that is set on the object comes before it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: object, kind: type | None = None) -> Any:
        raise _Undecided(self.name)


def _open_rules(
    partial: type[Config], rules: Iterable[Rule], decided: Mapping[str, Any]
) -> dict[str, list[Rule]] | None:
    """The rules that ask for more than what is decided, by the field that each asked for first;
    None if one of the others is broken.

    A rule that answers has asked for nothing undecided: whatever follows, its answer stays.
    """
    config = object.__new__(partial)
    vars(config).update(decided)
    still: dict[str, list[Rule]] = {}
    for rule in rules:
        try:
            if not rule.holds(config):
                return None
        except _Undecided as asked:
            still.setdefault(asked.args[0], []).append(rule)
    return still


@st.composite
def batches(draw: st.DrawFn, /, config: Config, labels: bool | None = True, **fixed: Any) -> Batch:
    """Input for a model: padding left, right or nowhere in each row, repeated ids, ignored
    labels, segments, and positions counted or given.

    labels  whether there are labels; None: either
    fixed   what is not drawn: padding (of each row: none, left, right); and, true or false,
            repeats (ids of which some occur twice), positions, segments (are they given),
            documents (does a row hold two),
            padded_labels (is padding labelled), ignored (are some labels)
    """
    generator = np.random.default_rng(draw(seeds))
    both = config.model == "encoder-decoder"
    fields: dict[str, Any] = {}
    masks = {}
    several = bool(fixed["documents"] if "documents" in fixed else draw(st.booleans()))

    def take(name: str) -> bool:
        return bool(fixed[name] if name in fixed else draw(st.booleans()))

    if config.lacks_encoder:
        shape = ROWS, LENGTHS["encoder"], config.width
        fields["memory"] = generator.standard_normal(shape)
        fields["mask"] = draw(padding(LENGTHS["encoder"], fixed.get("padding")))
        if several and fixed.get("documents"):  # a memory is of one
            reject()
        several = False
    for side in config.sides:
        prefix = "decoder_" if both and side == "decoder" else ""
        length = LENGTHS[side if both else "encoder"]
        mask = masks[side] = draw(padding(length, fixed.get("padding")))
        highest = 2 if take("repeats") else config.vocabulary_of(side)  # 2: fewer than tokens
        fields[prefix + "ids"] = generator.integers(0, highest, mask.shape)
        fields[prefix + "mask"] = None if mask.all() else mask
        if take("positions"):  # of the caller's own, some tokens later
            fields[prefix + "positions"] = count_positions(mask) + draw(st.integers(0, 3))
        if several:
            first = draw(st.integers(1, length - 1))
            fields[prefix + "documents"] = np.repeat([np.arange(length) >= first], ROWS, 0) * 1
        if config.segments and take("segments"):
            fields[prefix + "segments"] = generator.integers(0, config.segments, mask.shape)
    if config.head is not None and (labels or (labels is None and draw(st.booleans()))):
        found = generator.integers(0, config.vocabulary, mask.shape)
        if not take("padded_labels"):
            found[~mask] = IGNORED
        if take("ignored"):
            found = _some_ignored(draw, found)
        fields["labels"] = found
    return Batch(**fields)


@st.composite
def padding(draw: st.DrawFn, /, length: int, kinds: Sequence[str] | None = None) -> Array:
    """[B, T], True at real tokens: each row padded left, right or not at all.

    kinds  of each row; None: any
    """
    mask = np.ones((ROWS, length), bool)
    for number, row in enumerate(mask):
        where = kinds[number] if kinds else draw(st.sampled_from(("none", "left", "right")))
        if where != "none":
            count = draw(st.integers(1, length - 1))
            row[:count] = where == "right"
            row[count:] = where == "left"
    return mask


def _some_ignored(draw: st.DrawFn, labels: Array) -> Array:
    """One label or two of those there are set to ignored, but never the last that counts."""
    counted = np.flatnonzero(labels != IGNORED)
    most = min(2, len(counted) - 1)
    kept = labels.copy()
    if most > 0:
        places = st.lists(st.sampled_from(counted.tolist()), min_size=1, max_size=most, unique=True)
        kept.ravel()[draw(places)] = IGNORED
    return kept


def parameters(config: Config) -> st.SearchStrategy[dict[str, Array]]:
    """Parameters of a model, made from a drawn seed."""
    return seeds.map(lambda seed: parameters_of(config, seed))


# What the laws are tried on: tokens, masks, chunks, and what is done to caches.

PADDINGS = ("none", "left", "right", "holes")


@st.composite
def token_batches(
    draw: st.DrawFn, /, vocabulary: int, rows: int | None = None, longest: int = 8, least: int = 1
) -> Array:
    """Token ids [B, T] int64; the sizes are drawn, the ids come from a drawn seed."""
    if vocabulary < 1 or not 1 <= least <= longest:
        raise InvalidArgument(f"vocabulary {vocabulary}, length from {least} to {longest}")
    count = draw(st.integers(1, 3)) if rows is None else rows
    length = draw(st.integers(least, longest))
    return np.random.default_rng(draw(seeds)).integers(0, vocabulary, (count, length))


# How the tokens of several rows, or of one, are alike: what a store of earlier keys and values
# may mix up. Blocks begin at multiples of their size; moduli are those of ids cut to a byte or two.
PATTERNS = ("random", "prefix", "blocks", "modulo")
BLOCKS, MODULI = (16, 8, 4, 2), (2**8, 2**16)


def patterned(ids: Array, vocabulary: int, draw: Any) -> Array:
    """Tokens [B, T] some of which are alike; shrinks to the tokens as they are.

    prefix  rows begin with the same tokens
    blocks  the same block of tokens stands in several rows, after others, and further on
    modulo  rows of the same tokens, some of them greater by a multiple of 2^8 or 2^16
    """
    if ids.shape[1] < 3:
        return ids
    turns = PATTERNS if ids.shape[1] <= max(BLOCKS) else (*PATTERNS, "blocks", "blocks")
    pattern = draw(st.sampled_from(turns))
    if pattern == "random":
        return ids
    generator = np.random.default_rng(draw(seeds))
    found = ids.copy()
    if pattern == "prefix":
        shared = int(generator.integers(1, ids.shape[1]))
        found[:, :shared] = found[:1, :shared]
    elif pattern == "blocks":
        _repeat_a_block(found, generator)
    else:
        found[:] = found[:1]
        steps = [step for step in MODULI if step < vocabulary]
        if steps:
            step = int(generator.choice(steps))
            found = found % step
            more = generator.integers(0, (vocabulary - 1 - found) // step + 1)
            found += more * step * (generator.random(found.shape) < 0.5)
    return found


def earlier_requests(ids: Array, vocabulary: int) -> list[Array]:
    """Tokens that a store of earlier keys and values may take for these.

    The same ones further on, by a block of each size, or greater or less by 2^8 or 2^16 where
    there are such ids.
    """
    found: list[Array] = [np.roll(ids, size, 1) for size in BLOCKS if 2 * size < ids.shape[1]]
    for step in MODULI:
        if step < vocabulary:
            less = np.where(ids >= step, ids - step, ids)
            found.append(np.where(ids + step < vocabulary, ids + step, less))
    return found


def _repeat_a_block(ids: Array, generator: np.random.Generator) -> None:
    """One block of tokens at multiples of its size: first in a row, and further on in others."""
    length = ids.shape[1]
    sizes = [size for size in BLOCKS if 2 * size <= length] or [1]
    size = sizes[0] if generator.random() < 0.5 else int(generator.choice(sizes))
    block = ids[0, :size].copy()
    starts = range(0, length - size + 1, size)
    for number, row in enumerate(ids):
        is_first = number == len(ids) - 1  # the others have left it behind them
        start = 0 if is_first else int(generator.choice(starts[1:] or starts))
        row[start : start + size] = block
        if generator.random() < 0.5:
            start = int(generator.choice(starts))
            row[start : start + size] = block


@st.composite
def padding_masks(
    draw: st.DrawFn, /, rows: int, length: int, kinds: Sequence[str] = PADDINGS
) -> Array:
    """[B, T], True at real tokens, at least one in every row; shrinks to no padding."""
    unknown = set(kinds) - set(PADDINGS)
    if unknown or not kinds:
        raise InvalidArgument(f"kinds {sorted(unknown)}; they are some of {PADDINGS}")
    mask = np.ones((rows, length), bool)
    for row in mask:
        kind = draw(st.sampled_from(kinds))
        count = draw(st.integers(1, length - 1)) if kind != "none" and length > 1 else 0
        if kind == "holes":
            places = draw(st.permutations(range(length)))
            row[places[:count]] = False
        elif count:
            row[slice(count) if kind == "left" else slice(length - count, None)] = False
    return mask


@st.composite
def attention_masks(
    draw: st.DrawFn, /, rows: int, queries: int, keys: int, blind: bool = True
) -> Array:
    """[B, T, S], True = may attend; shrinks to nothing hidden.

    blind  some query may be left without any key
    """
    hidden = draw(st.floats(0.0, 0.7))
    mask: Array = np.random.default_rng(draw(seeds)).random((rows, queries, keys)) >= hidden
    if blind:
        for row, query in draw(
            st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, queries - 1)), max_size=3)
        ):
            mask[row, query] = False
    else:
        mask[~mask.any(-1), 0] = True
    return mask


@st.composite
def chunkings(draw: st.DrawFn, /, length: int) -> tuple[int, ...]:
    """Sizes of chunks that a prompt of so many tokens is cut into; shrinks to one chunk."""
    if length < 1:
        raise InvalidArgument(f"length {length}; a prompt has at least one token")
    cuts = st.lists(st.booleans(), min_size=length - 1, max_size=length - 1).map(
        lambda cuts: [place + 1 for place, is_cut in enumerate(cuts) if is_cut]
    )
    if length > 1:  # some long chunks too, which even chances never give
        cuts |= st.lists(st.integers(1, length - 1), max_size=3, unique=True)
    ends = [*sorted(draw(cuts)), length]
    if len(ends) > 1 and draw(st.booleans()):  # as everybody does: a prompt, then token by token
        ends = [*range(ends[0], length + 1)]
    return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))


class Action(NamedTuple):
    """One step of a script: what is done to which cache; numbers come from the seed."""

    kind: str  # append, fork, truncate, reorder or reset
    which: int
    seed: int
    size: int  # tokens to append, rows to reorder to

    def __str__(self) -> str:
        return f"{self.kind}(cache {self.which}, seed {self.seed}, size {self.size})"


def actions(kinds: Sequence[str] = ("append",), largest: int = 4) -> st.SearchStrategy[Action]:
    """One thing done to a cache; shrinks to appending one token to the first.

    largest  the most tokens that are appended at once
    """
    return st.builds(
        Action, st.sampled_from(tuple(kinds)), st.integers(0, 2), st.integers(0, 2**16),
        st.integers(1, largest),
    )  # fmt: skip


def cache_scripts(
    kinds: Sequence[str] = ("append", "fork", "truncate", "reorder", "reset"),
    longest: int = 8,
    largest: int = 4,
) -> st.SearchStrategy[list[Action]]:
    """What is done to caches one after the other, beginning with tokens that are appended."""
    if "append" not in kinds:
        raise InvalidArgument(f"kinds {tuple(kinds)}; without append a cache stays empty")
    first = actions(["append"], largest)
    rest = st.lists(actions(kinds, largest), max_size=longest - 1)
    return st.builds(lambda one, more: [one, *more], first, rest)
