"""Mistakes in how the angles of a rotation are scaled for long texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from ..config.rotary import BandScaling, LinearScaling, LongropeScaling, Scaling, YarnScaling
from ..mistakes.at import At, Forms
from ..mistakes.cause import cause
from ..ops.angles import attention_factor, frequencies

FACTORS = (1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 40.0)  # by which texts are made longer
LENGTHS = tuple(1 << k for k in range(4, 18))  # of texts in a training


@cause("旋转", "rotation", "@rotate")
def scalings(at: At) -> Forms:
    a = at.stage.attributes
    for detail, changes in distinct(a["width"], a["base"], a["scaling"]):
        yield detail, partial(at.again, **changes)


@lru_cache(maxsize=8)
def distinct(width: int, base: float, scaling: Any) -> list[tuple[str, dict[str, Any]]]:
    """Each way of scaling once, of those that make the same angles the first."""
    found, seen = [], {_angles(width, base, scaling)}
    for detail, changes in (*instead_of(scaling), *_known(width, base)):
        angles = _angles(width, changes.get("base", base), changes["scaling"])
        if angles not in seen:
            seen.add(angles)
            found.append((detail, changes))
    return found


def _angles(width: int, base: float, scaling: Any) -> tuple[bytes, float]:
    return frequencies(width, base, scaling).round(14).tobytes(), attention_factor(scaling)


def instead_of(scaling: Any) -> Iterator[tuple[str, dict[str, Scaling | None]]]:
    """What may be done in place of a scaling of the angles."""
    if scaling is None:
        return
    yield "angles not scaled", {"scaling": None}
    if isinstance(scaling, YarnScaling | LongropeScaling) and scaling.attention != 1.0:
        yield "attention factor left out", {"scaling": replace(scaling, attention_factor=1.0)}
    if isinstance(scaling, LinearScaling):
        inverse = LinearScaling(factor=1.0 / scaling.factor)
        yield "positions multiplied by the factor", {"scaling": inverse}
    if isinstance(scaling, YarnScaling | BandScaling):
        linear = LinearScaling(factor=scaling.factor)
        yield "every angle divided by the factor", {"scaling": linear}
    if isinstance(scaling, YarnScaling):
        whole = "fractions of" if scaling.truncate else "whole"
        other = replace(scaling, truncate=not scaling.truncate)
        yield f"ramp over {whole} pairs", {"scaling": other}
    if isinstance(scaling, LongropeScaling):
        length = scaling.original + (not scaling.is_long)
        name = "short" if scaling.is_long else "long"
        yield f"the list for {name} texts", {"scaling": replace(scaling, length=length)}


def _known(width: int, base: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Scalings that are common, though another or none is asked for."""
    for f in FACTORS:
        yield f"positions divided by {f:g}", {"scaling": LinearScaling(factor=f)}
        if width > 2:
            grown = base * f ** (width / (width - 2))
            yield f"base {grown:.6g}, for a factor {f:g}", {"scaling": None, "base": grown}
    for f in FACTORS[1:]:
        for length in LENGTHS:
            what = f"of a training with {length} tokens"
            bands = BandScaling(factor=f, original=length)
            yield f"frequencies scaled (llama3, {f:g}), {what}", {"scaling": bands}
            ramp = YarnScaling(factor=f, original=length)
            yield f"frequencies scaled (yarn, {f:g}), {what}", {"scaling": ramp}
            plain = replace(ramp, attention_factor=1.0)
            yield (
                f"frequencies scaled (yarn, {f:g}), {what}, without attention factor",
                {"scaling": plain},
            )
