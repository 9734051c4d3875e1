"""Mistakes in gains that are kept less 1."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("增益", "gain", "@norm")
def offset(at: At) -> Forms:
    if "offset" not in at.stage.attributes or len(at.inputs) < 2:
        return
    yield "the gain as it is stored, without 1 added", at.again(offset=0)
    yield "1 added twice", at.again(offset=2)
