"""A function that is an operation of numtx's: then a wrong gradient may be a known mistake.

It is one where it gives the same numbers: a norm, a softmax, an activation, a product with a
matrix, a look-up, attention, cross-entropy. Its stages are put into a graph of their own, and the
mistakes of `slips` are tried on it as on a whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..config.output import ACTIVATIONS
from ..diagnosis.diagnose import Found
from ..diagnosis.diagnose_gradient import GradientCase, diagnose_gradient
from ..ops.loss import IGNORED
from ..oracle.oracle import Oracle
from ..recompute import recompute
from ..shapes import Array, parse
from ..slips.passed import passed
from ..stages.graph import Graph, Stage
from ..stages.leaf import Leaf, Text

_ANY = Config(model="decoder-only", decoder_layers=1, width=4, hidden=4, vocabulary=4)
AXES = {1: "d", 2: "td", 3: "btd", 4: "bhtd"}
EPSILONS = (1e-5, 1e-6, 1e-12, 1e-8, 1e-3, 0.0)
SAME = 1e-9  # of the largest number: two results that differ by less are the same


class Known(NamedTuple):
    """The stages of an operation, and which array of them is which input."""

    graph: Graph
    arrays: dict[str, Array]
    places: dict[int, str]
    result: str

    def causes(self, cotangent: Array, wrong: Mapping[int, Array], right: set[int]) -> Iterator[
        tuple[int, Found]
    ]:  # fmt: skip
        """Known mistakes that make the wrong gradients, by the place of the input."""
        oracle = Oracle(self.graph, self.arrays, float(np.finfo(np.float64).eps))
        reference = {self.result: cotangent.reshape(self.arrays[self.result].shape)}
        for stage in reversed(list(self.graph)):
            shares = passed(oracle, stage, reference[stage.name], self.arrays)
            for name, share in shares.items():
                if self.arrays[name].dtype.kind == "f":
                    reference[name] = reference.get(name, 0.0) + share
        known = {self.places[k] for k in right if k in self.places}
        for k, got in wrong.items():
            name = self.places.get(k, "")
            if name in reference:
                case = GradientCase(
                    self.graph, name, self.arrays, reference, known,
                    got.reshape(reference[name].shape), SAME,
                )  # fmt: skip
                yield from ((k, found) for found in diagnose_gradient(case) if found.zh)


class _Builder:
    """The stages of an operation, one after another."""

    def __init__(self, **sizes: int) -> None:
        self.stages: list[Stage] = []
        self.arrays: dict[str, Array] = {}
        self.places: dict[int, str] = {}
        self.sizes = sizes

    def input(self, name: str, place: int, x: Array) -> str:
        self.arrays[name], self.places[place] = x, name
        return name

    def stage(
        self, name: str, operation: str, specification: str, *inputs: str, **attributes: Any
    ) -> str:
        leaf = Leaf(name, operation, inputs, specification, "", Text("", ""), Text("", ""))
        self.stages.append(Stage(name, leaf, inputs, "", {}, attributes))
        return name

    def shape(self, stage: Stage) -> tuple[int, ...]:
        """By the axes of its inputs."""
        operands, axes = parse(stage.specification)[:2]
        sizes = dict(self.sizes)
        for letters, name in zip(operands, stage.inputs, strict=False):  # of a norm: the input
            sizes |= zip(letters, self.arrays[name].shape, strict=True)
        return tuple(sizes[axis] for axis in axes)

    def known(self, result: Array) -> Known | None:
        """What was built, if that gives the result."""
        graph = Graph(_ANY, self.stages)
        graph.sizes = {**graph.sizes, **self.sizes}
        try:
            with np.errstate(all="ignore"):
                for stage in graph:
                    self.arrays[stage.name] = np.zeros(self.shape(stage))
                    self.arrays[stage.name] = recompute(graph, stage, self.arrays)
        except (ValueError, IndexError, KeyError, TypeError):
            return None
        found = self.arrays[self.stages[-1].name]
        room = SAME * np.abs(result).max(initial=0.0, where=np.isfinite(result))
        if (
            found.size != result.size
            or not (np.abs(found.reshape(-1) - result.reshape(-1)) <= room).all()
        ):
            return None
        return Known(graph, self.arrays, self.places, self.stages[-1].name)


def known(given: list[Any], result: Array) -> Known | None:
    """The operation that gives this result of these inputs, if it is one of numtx's."""
    arrays = {k: x for k, x in enumerate(given) if isinstance(x, np.ndarray)}
    floats = {k: x for k, x in arrays.items() if x.dtype.kind == "f" and 0 < x.ndim <= 4}
    ids = {k: x for k, x in arrays.items() if x.dtype.kind in "iu"}
    constants = [float(x) for x in given if isinstance(x, float)]
    for make in (_cells, _rows, _norms, _linear, _lookup, _loss, _attention):
        for built in make(floats, ids, constants):
            found = built.known(result)
            if found is not None:
                return found
    return None


Floats = dict[int, Array]


def _cells(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    if len(floats) != 1 or ids:
        return
    [(k, x)] = floats.items()
    axes = AXES[x.ndim]
    several: list[tuple[str, dict[str, Any]]] = [
        ("activation", {"kind": kind}) for kind in ACTIVATIONS
    ]
    several += [("sigmoid", {}), *(("cap", {"cap": cap}) for cap in (1.0, *constants) if cap > 0.0)]
    for operation, attributes in several:
        b = _Builder()
        x_ = b.input("x", k, x)
        b.stage("result", operation, f"{axes}->{axes}", x_, **attributes)
        yield b


def _rows(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    if len(floats) == 1 and not ids:
        [(k, x)] = floats.items()
        x = x[None, None] if x.ndim == 1 else x[None] if x.ndim == 2 else x
        axes = AXES[x.ndim]
        for operation in ("softmax", "log_softmax"):
            b = _Builder()
            b.stage("result", operation, f"{axes}->{axes}", b.input("x", k, x))
            yield b


def _norms(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    (k, x), *rest = floats.items()
    if len(rest) > 2 or any(w.shape != x.shape[-1:] for _, w in rest):
        return
    x = x[None, None] if x.ndim == 1 else x[None] if x.ndim == 2 else x
    axes = AXES[x.ndim]
    for centred in (True, False):
        for epsilon in (*constants, *EPSILONS):
            for offset in (0.0, 1.0) if rest else (0.0,):
                b = _Builder()
                names = [b.input("x", k, x)]
                for name, (place, w) in zip(("gain", "bias"), rest, strict=False):
                    names.append(b.input(f"parameters/{name}", place, w))
                more = {"offset": offset} if offset else {}
                b.stage("result", "norm", f"{axes}->{axes}", *names,
                        centred=centred, epsilon=epsilon, **more)  # fmt: skip
                yield b


def _linear(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    items = list(floats.items())
    if ids or not 2 <= len(items) <= 3 or items[1][1].ndim != 2:
        return
    (k, x), (at, w) = items[:2]
    axes = AXES[x.ndim][:-1]
    for matrix in ("df", "fd"):
        b = _Builder()
        names = [b.input("x", k, x), b.input("parameters/w", at, w)]
        names += [b.input("parameters/b", place, bias) for place, bias in items[2:]]
        bias = ",f" * (len(items) > 2)
        b.stage("result", "contract", f"{axes}d,{matrix}{bias}->{axes}f", *names)
        yield b


def _lookup(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    if len(floats) == len(ids) == 1:
        ((k, table),), ((at, tokens),) = floats.items(), ids.items()
        if table.ndim == 2 and tokens.ndim <= 2:
            b = _Builder()
            tokens = tokens.reshape(1, -1) if tokens.ndim < 2 else tokens
            names = b.input("ids", at, tokens), b.input("parameters/table", k, table)
            b.stage("result", "lookup", "bt,vd->btd", *names)
            yield b


def _loss(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    if len(floats) != 1 or len(ids) != 1:
        return
    ((k, logits),), ((at, labels),) = floats.items(), ids.items()
    if labels.shape != logits.shape[:-1] or not 2 <= logits.ndim <= 3:
        return
    words = logits.shape[-1]
    logits, labels = logits.reshape(-1, *logits.shape[-2:]), labels.reshape(-1, labels.shape[-1])
    for of in ("mean", "total", ""):
        for smoothing in (0.0, *(x for x in constants if 0.0 < x < 1.0)):
            for ignored in (IGNORED, -1, 0):
                b = _Builder()
                seen = np.where(labels == ignored, IGNORED, labels)
                x, y = b.input("logits", k, logits), b.input("labels", at, seen)
                logs = b.stage("log_probabilities", "log_softmax", "btv->btv", x)
                each = b.stage("loss.per_token", "pick", "btv,bt->bt", logs, y,
                               smoothing=smoothing, words=words)  # fmt: skip
                if of:
                    b.stage("loss", of, "bt,bt->", each, y)
                yield b


def _attention(floats: Floats, ids: Floats, constants: list[float]) -> Iterator[_Builder]:
    if len(floats) != 3 or ids:
        return
    (kq, q), (kk, k), (kv, v) = floats.items()
    if not q.ndim == k.ndim == v.ndim >= 2:
        return

    def headed(x: Array) -> Array:
        return x if x.ndim == 4 else x[:, None] if x.ndim == 3 else x[None, None]

    q, k, v = headed(q), headed(k), headed(v)
    heads, groups, (queries, keys) = q.shape[1], k.shape[1], (q.shape[2], k.shape[2])
    offsets = dict.fromkeys((keys - queries, 0, keys))  # causal from the last, or the first; all
    for offset in offsets:
        mask = np.tri(queries, keys, offset, dtype=bool)
        for factor in (q.shape[-1] ** -0.5, 1.0, *constants):
            b = _Builder(h=heads, g=groups)
            names = b.input("queries", kq, q), b.input("keys", kk, k), b.input("values", kv, v)
            b.arrays["mask"] = np.broadcast_to(mask, (len(q), heads, *mask.shape))
            products = b.stage("products", "contract", "bhtk,bgsk->bhts", *names[:2])
            scores = b.stage("scores", "scale", "bhts->bhts", products, factor=factor)
            masked = b.stage("masked_scores", "mask", "bhts,bhts->bhts", scores, "mask")
            weights = b.stage("weights", "softmax", "bhts->bhts", masked)
            b.stage("context", "contract", "bhts,bgsc->bhtc", weights, names[2], selective=True)
            yield b


Make = Callable[[Floats, Floats, list[float]], Iterator[_Builder]]
