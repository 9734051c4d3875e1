"""Arrays with their axes in another order: read where that is what they are, told, and never where
the order is the mistake."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from samples import random_parameters, some

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.sides import Side
from numtx.fitting.axes import HEADS, LETTERS, SQUARES, TOKENS, readings
from numtx.trace.trace import Trace, record

Array = np.ndarray
SPLIT = ("queries", "keys", "values", "context")
SQUARE = ("products", "scores", "weights")


@cache
def traced(rows: int, tokens: int, heads: int, groups: int | None = None) -> Trace:
    config = Config(
        model="decoder-only", width=12, decoder_layers=2, heads=heads, key_value_heads=groups,
        hidden=10, vocabulary=13, key_width=5, value_width=5,
    )  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 13, (rows, tokens))
    return record(config, random_parameters(config, 2), Batch(ids, labels=ids[:, ::-1].copy()))


def against(trace: Trace, theirs: dict[str, Array]) -> Comparison:
    return compare(Side("A", {**trace.arrays, **grads(trace)}, trace), Side("B", theirs, None))


def grads(trace: Trace) -> dict[str, Array]:
    return {f"grad/{name}": array for name, array in trace.gradients.items()}


def leaf(name: str) -> str:
    return name.rpartition(".")[2]


def laid_out(x: Array, pattern: str, own: str) -> Array:
    """An array with axes `own` as a pattern has them."""
    order = pattern.replace("(", "").replace(")", "").split()
    x = x.transpose([own.split().index(letter) for letter in order])
    sizes = dict(zip(order, x.shape, strict=True))
    groups, inside = [], False
    for part in pattern.replace("(", "( ").replace(")", " )").split():
        if part in "()":
            inside = part == "("
            groups += [[]] if inside else []
        else:
            groups[-1].append(part) if inside else groups.append([part])
    return x.reshape([int(np.prod([sizes[letter] for letter in group])) for group in groups])


def stored(trace: Trace, kinds: dict[str, str]) -> dict[str, Array]:
    """The arrays of a trace in the patterns of their kinds: of tokens, heads, squares."""
    found = {}
    for name, x in {**trace.values, **grads(trace)}.items():
        if leaf(name) in SPLIT and x.ndim == 4:
            found[name] = laid_out(x, kinds.get("heads", HEADS[0]), "b h t k")
        elif leaf(name) in SQUARE:
            found[name] = laid_out(x, kinds.get("squares", SQUARES[0]), "b g q s")
        elif x.ndim == 3 and not name.startswith("grad/parameters"):
            found[name] = laid_out(x, kinds.get("tokens", TOKENS[0]).format(r="d"), "b t d")
    return found


CASES = [
    *(("tokens", pattern) for pattern in TOKENS[1:]),
    *(("heads", pattern) for pattern in HEADS[1:]),
    *(("squares", pattern) for pattern in SQUARES[1:]),
]
SIZES = {"all differ": (2, 5, 3), "T = H": (2, 3, 3), "T = B": (3, 3, 2), "B = H": (2, 4, 2)}


@pytest.mark.parametrize("sizes", some(2, f"{__name__} orders", SIZES))
@pytest.mark.parametrize(("kind", "pattern"), CASES)
def test_every_order_is_read_and_told(kind, pattern, sizes):
    trace = traced(*SIZES[sizes])
    found = against(trace, stored(trace, {kind: pattern}))
    assert found.equal, found.first
    notes = {d.note for d in found.values if d.note}
    assert len(found.values) > 20 and notes, pattern
    if sizes == "all differ" and "(" not in pattern:
        words = ", ".join(LETTERS.get(x, "...") for x in pattern.format(r="0").split())
        assert notes == {f"axes ({words})"}


@pytest.mark.parametrize("sizes", some(2, f"{__name__} mistakes", SIZES))
@pytest.mark.parametrize(("kind", "pattern"), [("tokens", TOKENS[1]), ("heads", HEADS[1])])
def test_a_mistake_in_another_order_is_a_difference(kind, pattern, sizes):
    """All layouts of the file are read, and what is wrong is found where it is."""
    trace = traced(*SIZES[sizes])
    theirs = stored(trace, {kind: pattern})
    wrong = "decoder.1.feed_forward.hidden"
    theirs[wrong] = theirs[wrong] * 1.5
    found = against(trace, theirs)
    assert found.first is not None
    if (kind, sizes) == ("heads", "T = H"):  # it may as well be the mistake: told
        assert "it has the axes (batch, token, head, d)" in found.first.note
    else:
        assert found.first.name == wrong


@pytest.mark.parametrize("sizes", SIZES)
def test_heads_split_without_their_tokens_are_a_difference(sizes):
    """`view(B, H, T, k)` for `view(B, T, H, k).transpose(1, 2)`: the arrays look like the layout
    (batch, token, head, d) where T = H, and what follows tells."""
    trace = traced(*SIZES[sizes])
    theirs = dict(trace.values)
    for name in [n for n in theirs if leaf(n) in SPLIT[:3]]:
        x = theirs[name]
        theirs[name] = x.swapaxes(1, 2).reshape(x.shape)
        theirs[f"{name.rpartition('.')[0]}.weights"] = np.full_like(trace[name], 0.5)[..., :1] * (
            np.ones(x.shape[2])
        )
    found = against(trace, theirs)
    assert found.first is not None and found.first.name == "decoder.0.self_attention.queries"


@pytest.mark.parametrize("sizes", SIZES)
def test_heads_merged_without_their_tokens_are_a_difference(sizes):
    trace = traced(*SIZES[sizes])
    name = "decoder.0.self_attention.context"
    x = trace[name]
    wrong = x.reshape(x.shape[0], x.shape[2], -1)
    right = x.swapaxes(1, 2).reshape(wrong.shape)
    assert against(trace, {**trace.values, name: right}).equal
    found = against(trace, {**trace.values, name: wrong})
    assert found.first is not None and found.first.name == name


@pytest.mark.parametrize("only", ["", "output"])
@pytest.mark.parametrize("sizes", SIZES)
def test_attention_over_the_batch_is_a_difference(sizes, only):
    """What is right stands as it is; the output is that of rows for tokens."""
    trace = traced(*SIZES[sizes])
    name = "decoder.0.self_attention.output"
    over = record(
        trace.config, trace.parameters, Batch(np.asarray(trace["decoder.tokens"]).T.copy())
    )[name].swapaxes(0, 1)
    theirs = {**trace.values, name: over} if not only else {name: over}
    found = against(trace, theirs)
    assert found.first is not None and found.first.name == name


def test_a_single_array_in_its_own_shape_is_not_turned():
    """One array alone shows no order of the file; that it would be equal in one is told."""
    trace = traced(*SIZES["T = H"])
    name = "decoder.0.self_attention.queries"
    found = against(trace, {name: trace[name].swapaxes(1, 2)})
    assert found.first is not None and "it has the axes (batch, token, head, d)" in found.first.note


def test_another_array_shows_the_order():
    """Grouped keys have fewer heads than tokens: their shape tells how the queries stand."""
    trace = traced(2, 4, 4, 2)
    place = "decoder.0.self_attention"
    theirs = {f"{place}.{x}": trace[f"{place}.{x}"].swapaxes(1, 2) for x in ("queries", "keys")}
    assert against(trace, theirs).equal


def test_what_is_there_once_for_all():
    trace = traced(2, 5, 4, 2)
    place = "decoder.0.self_attention"
    theirs = {
        "decoder.positions": trace["decoder.positions"][:1],
        f"{place}.weights": trace[f"{place}.weights"].mean(1),
        f"{place}.keys": laid_out(np.repeat(trace[f"{place}.keys"], 2, 1), HEADS[2], "b h t k"),
    }
    found = against(trace, theirs)
    assert found.equal
    notes = [d.note for d in found.values]
    assert notes == ["of every row", "one for every query head", "the mean of all heads"]
    theirs["decoder.positions"] = theirs["decoder.positions"][0] + 0.1
    assert not against(trace, theirs).equal


def test_a_shape_without_a_reading():
    assert readings((3, 7, 2), (2, 5, 3), ("b", "t", "d")) == []
    assert readings((3,), (3,), ("d",)) == []
