"""How the angles of rotary positions are scaled beyond the length that a model was trained on.

Each kind is a record of its own; in JSON an object of the same names with a `kind`.
"""

from __future__ import annotations

import math
from typing import ClassVar

from ..fields.field import Part, configuration, flag, number, numbers, whole


@configuration
class LinearScaling(Part):
    """Every position is divided by one factor (Chen et al., 2023, position interpolation).

    {fields}
    """

    kind: ClassVar[str] = "linear"

    factor: float = number("Positions", "what positions are divided by", (2.0,), above=0)


@configuration
class BandScaling(Part):
    """Slow angles are divided by a factor, fast ones are kept, those between are mixed
    (Grattafiori et al., 2024; the bands are those of their released code).

    {fields}
    """

    kind: ClassVar[str] = "llama3"

    factor: float = number("Positions", "what slow angles are divided by", (8.0,), above=0)
    low: float = number(
        "Positions",
        "turns within `original` up to which an angle is slow",
        (1.0,),
        above=0,
        default=1.0,
    )
    high: float = number(
        "Positions", "turns from which it is fast; above `low`", (4.0,), above=0, default=4.0
    )
    original: int = whole("Positions", "length that the model was trained on", (32,))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hold(self.low < self.high, f"low {self.low:g} is not below high {self.high:g}")


@configuration
class YarnScaling(Part):
    """Fast angles are kept and slow ones divided, over a ramp of pairs; cosine and sine are
    lengthened by the attention factor (Peng et al., 2023, YaRN).

    {fields}
    """

    kind: ClassVar[str] = "yarn"

    factor: float = number("Positions", "what slow angles are divided by", (4.0,), above=0)
    original: int = whole("Positions", "length that the model was trained on", (32,))
    beta_fast: float = number(
        "Positions", "turns within `original` where the ramp begins", (32.0,), above=0, default=32.0
    )
    beta_slow: float = number("Positions", "turns where it ends", (1.0,), above=0, default=1.0)
    truncate: bool = flag("Positions", "the ramp begins and ends at whole pairs", default=True)
    attention_factor: float | None = number(
        "Positions",
        "on cosine and sine; None: 1 + 0.1 ln(factor), or the ratio of the mscales",
        (None,),
        above=0,
        default=None,
    )
    mscale: float = number(
        "Positions",
        "weight of ln(factor) in the attention factor, over that of `mscale_all_dim`; 0: neither",
        (0.0,),
        least=0,
        default=0.0,
    )
    mscale_all_dim: float = number(
        "Positions",
        "the same below the line; scores over latents are multiplied by its square",
        (0.0,),
        least=0,
        default=0.0,
    )

    @property
    def attention(self) -> float:
        """a, the factor on cosine and sine."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            return self._length(self.mscale) / self._length(self.mscale_all_dim)
        return self._length(1.0)

    @property
    def latent_factor(self) -> float:
        """m^2, on scores over latents."""
        return self._length(self.mscale_all_dim) ** 2

    def _length(self, weight: float) -> float:
        return 1.0 if self.factor <= 1 else 1.0 + 0.1 * weight * math.log(self.factor)


@configuration
class LongropeScaling(Part):
    """Every pair is divided by a number of its own: one list within the length that the model was
    trained on, one beyond (Ding et al., 2024, LongRoPE).

    Which of them is used is fixed for a run: by `length`, the longest text that it is for.

    {fields}
    """

    kind: ClassVar[str] = "longrope"

    short: tuple[float, ...] = numbers(
        "Positions", "of each pair, where `length` is at most `original`", ((1.5,),), above=0
    )
    long: tuple[float, ...] = numbers("Positions", "of each pair, beyond", ((3.0,),), above=0)
    original: int = whole("Positions", "length that the model was trained on", (32,))
    length: int | None = whole(
        "Positions", "longest text of this run; None: original", (None, 64), default=None
    )
    factor: float = number(
        "Positions",
        "by how much texts may be longer, for the attention factor",
        (4.0,),
        above=0,
        default=1.0,
    )
    attention_factor: float | None = number(
        "Positions",
        "on cosine and sine; None: sqrt(1 + ln(factor) / ln(original))",
        (None,),
        above=0,
        default=None,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        alike = len(self.short) == len(self.long)
        self.hold(alike, f"short has {len(self.short)} numbers and long {len(self.long)}")

    @property
    def limit(self) -> int | None:
        """The positions that a run may have; None: all."""
        return None if self.is_long else self.original

    @property
    def is_long(self) -> bool:
        """Whether this run is for texts beyond the length of the training."""
        return self.length is not None and self.length > self.original

    @property
    def chosen(self) -> tuple[float, ...]:
        """The list of this run."""
        return self.long if self.is_long else self.short

    @property
    def attention(self) -> float:
        """a, the factor on cosine and sine."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.factor <= 1:
            return 1.0
        return math.sqrt(1.0 + math.log(self.factor) / math.log(self.original))


SCALINGS = {kind.kind: kind for kind in (LinearScaling, BandScaling, YarnScaling, LongropeScaling)}
# The plainest of each, to draw: of two rotated components, which every width has.
PLAIN_SCALINGS = (
    LinearScaling(factor=2.0),
    BandScaling(factor=8.0, original=32),
    YarnScaling(factor=4.0, original=32),
    LongropeScaling(short=(1.5,), long=(3.0,), original=32),
)
Scaling = LinearScaling | BandScaling | YarnScaling | LongropeScaling
