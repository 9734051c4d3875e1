"""The examples by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ExampleError, nearest
from .example import Example
from .weather import weather

EXAMPLES: dict[str, Callable[..., Example]] = {
    "weather": weather,
}


def load_example(name: str, *, seed: int = 0, **options: Any) -> Example:
    """An example by name; `seed` draws what the document leaves open.

    Raises `ExampleError` for a name that is none and for an option that it does not take.
    """
    if name not in EXAMPLES:
        raise ExampleError(f"example {name!r} does not exist; {nearest(name, EXAMPLES)}")
    if seed < 0:
        raise ExampleError(f"seed is {seed}; it should be 0 or above")
    return EXAMPLES[name](seed=seed, **options)
