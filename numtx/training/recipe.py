"""How a model is to be trained, as plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..errors import TrainingError, nearest
from .schedule import paper_peak, warmup_rate

RATES = {"sgd": 0.001, "adamw": 0.003}  # eta of document 003; what trains its examples
STEPS = 1000
# A wider model takes smaller and far fewer steps: 0.003 at width 512 learns nothing.
WIDE = 64
WIDE_RATES = {"sgd": 0.001, "adamw": 0.0003}
WIDE_STEPS = 50


def default_rate(optimiser: str, config: Config) -> float:
    """The learning rate that trains a model of its width, where none is given."""
    return (WIDE_RATES if config.width > WIDE else RATES)[optimiser]


def default_steps(config: Config) -> int:
    """The steps that it then takes."""
    return WIDE_STEPS if config.width > WIDE else STEPS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training run depends on, besides the model and the batches.

    optimiser      sgd or adamw
    learning_rate  None: 0.001 for sgd, 0.003 for adamw, 0.0003 for a model wider than 64; with a
                   warmup it is the highest rate, and None then means the original schedule's,
                   (width * warmup)^-0.5
    warmup         steps until the highest rate is reached, then it decays; 0: always the same
    clip           the longest gradient that is used as it is; None: any
    decay          of the weights, for adamw
    seed           draws the order of the batches, where there are several

    Raises `TrainingError` for a value that is none.
    """

    optimiser: str = "adamw"
    learning_rate: float | None = None
    warmup: int = 0
    clip: float | None = None
    decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in RATES:
            raise TrainingError(f"optimiser is {self.optimiser!r}; it is one of {', '.join(RATES)}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise TrainingError(f"{name} is {value!r}; it is a finite number above 0")
        if not (_is_number(self.decay) and self.decay >= 0):
            raise TrainingError(f"decay is {self.decay!r}; it is a finite number, 0 or above")
        for name in ("warmup", "seed"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise TrainingError(f"{name} is {value!r}; it is a whole number, 0 or above")

    def rate(self, step: int, config: Config) -> float:
        """The learning rate of a step, counted from 1."""
        if not self.warmup:
            given = self.learning_rate
            return default_rate(self.optimiser, config) if given is None else given
        peak = self.learning_rate
        if peak is None:
            peak = paper_peak(config.width, self.warmup)
        return warmup_rate(step, self.warmup, peak)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """A recipe from JSON values; unknown names are errors."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise TrainingError(f"recipe: unknown field {name!r}; {nearest(name, known)}")
        return cls(**fields)


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]
