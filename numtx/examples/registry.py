"""The examples by name, and by sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import ExampleError, nearest
from .cat import cat, masked
from .choosing import beams, loops, repeats
from .example import Example
from .small import letters, memory, padding, sat, sentence, student
from .story import story
from .translation import concatenated, translation
from .weather import weather

EXAMPLES: dict[str, Callable[..., Example]] = {
    "weather": weather,
    "cat": cat,
    "masked": masked,
    "translation": translation,
    "story": story,
    "memory": memory,
    "letters": letters,
    "sat": sat,
    "student": student,
    "padding": padding,
    "concatenated": concatenated,
    "beams": beams,
    "loops": loops,
    "repeats": repeats,
}

# Sentences that a document works through, without spaces.
SENTENCES = {
    "今天天气很好": "weather", "你是一只猫": "cat", "我是一个学生": "student", "Thecatsat": "sat",
}  # fmt: skip


def load_example(name: str, *, seed: int = 0, **options: Any) -> Example:
    """An example by name; `seed` draws what the document leaves open.

    options  weather: wiring='paper'|'as-written', as_stated=bool; cat: as_stated=bool;
             translation: layers=int, words=int; memory: step=1|2|3; padding: side='right'|'left'

    Raises `ExampleError` for a name that is none and for an option that it does not take.
    """
    if name not in EXAMPLES:
        raise ExampleError(f"example {name!r} does not exist; {nearest(name, EXAMPLES)}")
    make = EXAMPLES[name]
    taken = inspect.signature(make).parameters
    for option in options:
        if option not in taken:
            others = [other for other in taken if other != "seed"] or ["nothing but the seed"]
            raise ExampleError(f"{name} does not take {option}; it takes {', '.join(others)}")
    if seed < 0:
        raise ExampleError(f"seed is {seed}; it should be 0 or above")
    return make(seed=seed, **options)


def example_for_text(text: str, *, seed: int = 0, **options: Any) -> Example:
    """The example of a known sentence; any other sentence in the shape of `weather`."""
    known = SENTENCES.get("".join(text.split()))
    if known is not None:
        return load_example(known, seed=seed, **options)
    if options:
        raise ExampleError(
            f"a sentence of your own does not take {', '.join(options)}; "
            "it has the shape of weather and a seed"
        )
    return sentence(text, seed)
