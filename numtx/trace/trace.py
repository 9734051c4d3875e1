"""A trace: everything that one run emitted, with the names of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..batch import Batch, Inputs, check_batch, vectors_of
from ..config import Config
from ..errors import StageError, nearest
from ..model import backward, forward
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from ..stages.graph import Graph
from ..stages.resolve import resolve
from ..tap import Pin, Recorder

if TYPE_CHECKING:
    from ..check.verify import Verification


@in_notebook
@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One recorded run.

    config      the model
    values      stage -> its array, in order of computation
    gradients   stage -> the gradient of the loss at it; also `parameters/NAME`
    parameters  name -> array
    inputs      `inputs/SIDE.positions` (and segments) -> the counts that the run was given
    tokens      side -> the tokens of each row; `labels` too where the run has labels
    vocabulary  the tokens of the logits' columns, by id; None where they have no names
    pins        stage -> where it was pinned
    phases      the steps of a generation, in order; none where the whole model ran once
    cached      whether these steps had a cache
    vectors     sides that were given vectors in place of ids, and `memory` where that was given
    outside     stages with a share of their gradient that the caller handed over
    """

    config: Config
    values: Mapping[str, Array]
    gradients: Mapping[str, Array]
    parameters: Mapping[str, Array]
    inputs: Mapping[str, Array]
    tokens: Mapping[str, Sequence[Sequence[str]]]
    vocabulary: Sequence[str] | None = None
    pins: Mapping[str, Array] = field(default_factory=dict)
    phases: tuple[str, ...] = ()
    cached: bool = True
    outside: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Array:
        """The value of a stage."""
        if name not in self.values:
            raise StageError(f"stage {name!r} is not in this trace; {nearest(name, self.values)}")
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def grad(self, name: str) -> Array:
        """The gradient at a stage, or of `parameters/NAME`."""
        if not self.gradients:
            raise StageError(f"gradient of {name!r}: {self.without_gradients}")
        value = self.values.get(name)
        if value is not None and value.dtype.kind != "f":
            raise StageError(f"{name!r} is {value.dtype}: what is no real number has no gradient")
        if name not in self.gradients:
            raise StageError(
                f"no gradient of {name!r} in this trace; {nearest(name, self.gradients)}"
            )
        return self.gradients[name]

    def stage(self, name: str) -> RecordedStage:
        """A stage with its value, its gradient and how it is made, to be shown or printed."""
        self[name]
        return RecordedStage(self, name)

    @property
    def without_gradients(self) -> str:
        """What to say where gradients are asked of a trace that has none."""
        if self.phases:
            return "this is the trace of a generation, which has no gradients"
        return (
            "this trace has no gradients; record a run with labels and with them: numtx trace "
            "EXAMPLE --gradients --npz FILE, or numtx.record"
        )

    @cached_property
    def graph(self) -> Graph:
        """The stages of the run with their wiring."""
        return resolve(
            self.config, "labels" in self.values, "last_output" in self.values,
            self.phases, self.cached, any(n.endswith(".documents") for n in self.inputs),
            self.vectors,
        )  # fmt: skip

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """Everything that a stage may read, under the names of the graph."""
        named = {f"parameters/{name}": array for name, array in self.parameters.items()}
        return {**self.values, **self.inputs, **named}

    @cached_property
    def term_sizes(self) -> dict[str, float]:
        """How large the terms of its gradients are, as far as that was weighed
        (`gradient_terms`)."""
        return {}

    def __repr__(self) -> str:
        rows = len(next(iter(self.tokens.values()), ()))
        return (
            f"<Trace of a model {self.config.model}, {rows} row{'s' * (rows != 1)}: "
            f"{len(self.values)} stages, {len(self.gradients)} gradients>"
        )

    def verify(self, budget: int | None = 1_000_000, seed: int = 0) -> Verification:
        """The check of every stage and gradient by the oracle, see `verify.verify`."""
        from ..check.verify import verify  # the check reads traces

        return verify(self, budget, seed)

    def oracle(self) -> Oracle:
        """The slow oracle over this trace's arrays."""
        return Oracle(self.graph, self.arrays, float(np.finfo(self.config.dtype).eps))


@in_notebook
@small_repr("name", "formula", "value", "gradient")
class RecordedStage(NamedTuple):
    """A stage of a trace."""

    trace: Trace
    name: str

    @property
    def value(self) -> Array:
        return self.trace[self.name]

    @property
    def gradient(self) -> Array | None:
        """That of the loss; None where there is none."""
        return self.trace.gradients.get(self.name)

    @property
    def formula(self) -> str:
        return self.trace.graph[self.name].formula


def record(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    *,
    gradients: bool = True,
    pins: Mapping[str, Array | Pin] | None = None,
    cotangent: float | Array | dict[str, Any] = 1.0,
    tokens: Mapping[str, Sequence[Sequence[str]]] | None = None,
    vocabulary: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
) -> Trace:
    """Run a model and keep every stage, or those that are asked for.

    gradients  run backward too (needs labels, or another cotangent: see `model.backward`)
    pins       stage -> array or `Pin`: cells held constant in both passes
    tokens     names of the tokens of each row, by side; without them, and where a pin holds
               another token, their ids serve
    stages     patterns such as 'decoder.11.*': only stages that match are kept, with the
               parameters that they read, the tokens and the labels; memory follows
    """
    inputs = check_batch(config, batch)
    keep = None if stages is None else kept_stages(config, batch, stages)
    recorder = Recorder(pins, None if keep is None else keep.__contains__)
    others = isinstance(cotangent, dict) or np.ndim(cotangent) > 0
    backwards = gradients and (batch.labels is not None or others)
    _, context = forward(config, parameters, batch, recorder, keep=backwards)
    collected: dict[str, Array] = {}
    if backwards:
        own = backward(context, cotangent, recorder)
        collected = dict(recorder.gradients)
        collected.update({f"parameters/{n}": a for n, a in own.items() if n in parameters})
    counts, names = _given(config, inputs, recorder, tokens or {})
    if keep is not None:
        read = {f"parameters/{name}" for name in parameters} & keep
        parameters = {name: a for name, a in parameters.items() if f"parameters/{name}" in read}
        collected = {n: a for n, a in collected.items() if n in keep or n in recorder.pins}
    return Trace(
        config, recorder.values, collected, dict(parameters), counts, {**(tokens or {}), **names},
        vocabulary, {name: pin.where for name, pin in recorder.pins.items()},
        outside=tuple(n.replace("_", ".") for n in cotangent if n.endswith("_output"))
        if isinstance(cotangent, dict) else (),
        vectors=vectors_of(config, batch),
    )  # fmt: skip


def _given(
    config: Config,
    inputs: Inputs,
    recorder: Recorder,
    tokens: Mapping[str, Sequence[Sequence[str]]],
) -> tuple[dict[str, Array], dict[str, Sequence[Sequence[str]]]]:
    """What a run was given beside tokens, and the names of the tokens that it had."""
    counts: dict[str, Array] = {}
    ids: dict[str, tuple[Array, Array]] = {}  # as given, and as the run had them
    for side, given in inputs.sides.items():
        counts[f"inputs/{side}.positions"] = np.array(given.positions)
        if given.segments is not None:
            counts[f"inputs/{side}.segments"] = given.segments
        if given.documents is not None:
            counts[f"inputs/{side}.documents"] = given.documents
        if given.vectors is None:
            ids[side] = given.ids, recorder.values[f"{side}.tokens"]
    if inputs.labels is not None:
        ids["labels"] = inputs.labels, recorder.values["labels"]
    names = {side: _names(*pair, tokens.get(side)) for side, pair in ids.items()}
    unnamed = {side: given.valid.shape for side, given in inputs.sides.items() if side not in ids}
    if inputs.memory is not None:
        unnamed["encoder"] = inputs.memory[1].shape
    for side, (rows, length) in unnamed.items():
        names[side] = tokens.get(side) or [[NO_TOKEN] * length] * rows
    names = {side: names[side] for side in ("encoder", "decoder", "labels") if side in names}
    return counts, names


NO_TOKEN = "v"  # what stands for the name of a vector that is given
# Leaves that cannot be read without others: which cells are masked, what a mean is the mean of.
READ_WITH = {
    "masked_scores": ("mask",), "weights": ("mask",), "loss": ("loss.per_token",),
}  # fmt: skip


def stages_of(config: Config, batch: Batch) -> Graph:
    """The stages that a run of this batch has, before it is made."""
    rows_of_several = batch.documents is not None or batch.decoder_documents is not None
    given = vectors_of(config, batch)
    return resolve(config, batch.labels is not None, documents=rows_of_several, vectors=given)


def kept_stages(config: Config, batch: Batch, patterns: Sequence[str]) -> frozenset[str]:
    """The stages of a run that match, what a reader needs beside them, tokens and labels, and
    `parameters/NAME` of what they read.

    Raises `StageError` for a pattern that matches none.
    """
    graph = stages_of(config, batch)
    wanted = {*graph.select(list(patterns)), "labels", *(f"{s}.tokens" for s in config.sides)}
    for name in tuple(wanted):
        place, dot, leaf = name.rpartition(".")
        wanted |= {f"{place}{dot}{other}" for other in READ_WITH.get(leaf, ())}
    read = {source for name in wanted & {*graph.stages} for source in graph[name].inputs}
    return frozenset(wanted | {name for name in read if name.startswith("parameters/")})


def _names(
    given: Array, had: Array, tokens: Sequence[Sequence[str]] | None
) -> Sequence[Sequence[str]]:
    """Names of the tokens that a run had: the given ones, and ids where there are none."""
    if tokens is not None and np.array_equal(given, had):
        return tokens
    return [
        [str(i) if tokens is None or i != old[t] else tokens[row][t] for t, i in enumerate(ids)]
        for row, (old, ids) in enumerate(zip(given.tolist(), had.tolist(), strict=True))
    ]
