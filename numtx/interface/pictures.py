"""The documents' pictures, as text for a terminal and two of them as SVG."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from ..commands.picture import PICTURES, add, drawn
from ..errors import UsageError, nearest
from ..small_repr import in_notebook, small_repr
from .output import language


@in_notebook
@small_repr()
class Picture(NamedTuple):
    """A picture: lines for a terminal, and the text of an SVG file; empty where there is none."""

    text: str
    svg: str


def picture(name: str, example: str | None = None, **options: Any) -> Picture:
    """A picture of the documents, from a run: 'causal-mask', 'cache-memory', 'cached-step' or
    'side-by-side'.

    example  one with a decoder alone; None: cat
    options  lang, width, seed; of cache-memory also layers, heads, head_width, groups, rank,
             rotary, bytes and tokens

    Raises `UsageError` for a name or an option that is none.
    """
    if name not in PICTURES:
        raise UsageError(f"picture {name!r} does not exist; {nearest(name, PICTURES)}")
    top = argparse.ArgumentParser()
    add(top.add_subparsers())
    args = vars(top.parse_args(["picture", name]))  # the defaults
    args |= {"lang": language(), "example": example}
    for option, value in options.items():
        if option not in args:
            raise UsageError(f"unknown option {option!r}; {nearest(option, args)}")
        args[option] = value
    return Picture(*drawn(argparse.Namespace(**args)))
