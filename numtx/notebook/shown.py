"""What a notebook shows of a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backwards.check import OwnReport
from ..cache.cache import Cache
from ..check.gradcheck import GradientReport
from ..check.verify import Verification
from ..compare.comparison import Comparison
from ..costs import StepCost, StepCosts
from ..decoding.generate import Generation
from ..interface.output import language, to_text
from ..interface.pictures import Picture
from ..show.headings import pick
from ..trace.trace import RecordedStage, Trace
from .frame import folded, output, plain
from .results import (
    of_cache,
    of_comparison,
    of_costs,
    of_generation,
    of_gradients,
    of_verification,
)
from .runs import of_stage, of_trace

TABLES: dict[type, Callable[[Any, str], str]] = {
    Comparison: of_comparison,
    Verification: of_verification,
    GradientReport: of_gradients,
    OwnReport: of_gradients,
    Generation: of_generation,
    StepCosts: of_costs,
    StepCost: lambda cost, lang: of_costs([cost], lang),
    Cache: of_cache,
}
RUNS: dict[type, Callable[[Any, str], tuple[str, dict[str, Any]]]] = {
    Trace: of_trace,
    RecordedStage: of_stage,
}
WIDTH = 100


def html_of(thing: Any) -> str:
    """The HTML of a result, in the language of NUMTX_LANG."""
    lang, kind = language(), type(thing)
    if kind in RUNS:
        body, data = RUNS[kind](thing, lang)
        return output(body, lang, data)
    if kind is Picture:
        return output(thing.svg or plain(thing.text), lang)
    body = TABLES[kind](thing, lang) if kind in TABLES else ""
    if kind is not Cache:
        text = plain(to_text(thing, lang=lang, width=WIDTH))
        body = body + folded(pick(lang, "全文", "as text"), text) if body else text
    return output(body, lang)
