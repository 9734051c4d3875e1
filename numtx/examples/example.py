"""What an example is: a model, its parameters, a batch, the names of its tokens, and a header
that says what the document gives and what was chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..batch import Batch
from ..config import Config
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.catalogue import Text
from ..tap import Pin
from ..trace.trace import Trace, record
from ..vocabulary import Vocabulary


@small_repr()
@dataclass(frozen=True, eq=False)
class Example:
    """One worked example, or a model of the caller's own, ready to run.

    given    what the document states and the example takes over
    chosen   what the document leaves open: seeded, or decided here
    pins     cells that are held at what the document states
    is_trained  whether the parameters say the text as they are
    """

    name: str
    title: Text
    source: str
    config: Config
    parameters: Mapping[str, Array]
    batch: Batch
    vocabularies: Mapping[str, Vocabulary]  # by side; empty: tokens have no names
    given: Sequence[Text] = ()
    chosen: Sequence[Text] = ()
    pins: Mapping[str, Pin] = field(default_factory=dict)
    is_trained: bool = False

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary of the logits; None for a model whose tokens have no names."""
        return self.vocabularies.get(self.config.sides[-1])

    @property
    def tokens(self) -> dict[str, list[list[str]]]:
        """The tokens of each row, by side, and the labels where there are any."""
        if self.vocabulary is None:
            return {}
        rows = {self.config.sides[0]: self.batch.ids}
        if self.config.model == "encoder-decoder":
            rows["decoder"] = self.batch.decoder_ids
        if self.batch.labels is not None:
            rows["labels"] = self.batch.labels
        return {side: self._names(side, ids) for side, ids in rows.items() if ids is not None}

    def _names(self, side: str, ids: Any) -> list[list[str]]:
        last = self.config.sides[-1]  # whose vocabulary the labels are of
        vocabulary = self.vocabularies[last if side == "labels" else side]
        return vocabulary.names(np.asarray(ids).tolist())

    def trace(
        self,
        *,
        gradients: bool = True,
        pins: Mapping[str, Array | Pin] | None = None,
        stages: Sequence[str] | None = None,
    ) -> Trace:
        """Run the example and record every stage, or those that match the patterns `stages`;
        `pins` are added to the example's own."""
        trace = record(
            self.config,
            self.parameters,
            self.batch,
            gradients=gradients,
            pins={**self.pins, **(pins or {})},
            tokens=self.tokens,
            vocabulary=self.vocabulary.tokens if self.vocabulary is not None else None,
            stages=stages,
        )
        if not trace.pins or not self.vocabularies:
            return trace
        homes = {side: side if side == "labels" else f"{side}.tokens" for side in trace.tokens}
        held = {
            side: self._names(side, trace[stage]) if stage in trace else trace.tokens[side]
            for side, stage in homes.items()
        }
        return dataclasses.replace(trace, tokens=held)  # a pin may hold another token
