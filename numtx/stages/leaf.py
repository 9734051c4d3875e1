"""A leaf: the last part of a stage's name, as data.

A leaf says by which operation it is made and from what. Its inputs are symbolic:

    products        a sibling of that name
    @input          a role, which the wiring fills (`stages.resolve`)
    #w_q, #b_q?     a parameter; with a question mark, only where the model has it

The first two operands of a contraction are multiplied and summed over; a third is a bias.

Printing, the explanation of a cell, the independent check, the report, the comparison and
the cost counts all read the leaves. Index specifications are those of `shapes`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..small_repr import small_repr


@small_repr()
class Text(NamedTuple):
    """The same words in Chinese and in English."""

    zh: str
    en: str


@small_repr()
class Leaf(NamedTuple):
    """The last part of a stage's name, and what it means."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    specification: str
    formula: str
    title: Text
    why: Text
