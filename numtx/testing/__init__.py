"""The law kit: property tests for masks and caches, for numtx and for any model.

    from numtx.testing import check
    print(check(my_model, vocabulary_size=50).table())

A model is a callable ids [B, T] -> logits [B, T, V] with a `vocabulary_size`, which may take a
`mask` (or `attention_mask`) and `documents`. One with a cache has `prefill` and `step`
(`HasSteps`), and some of `fork`, `truncate`, `reorder` and `shift` (`HasEdits`), or takes
`past_key_values` or `cache` in its call. One that verifies drafts has `speculate`
(`HasSpeculate`). What it does not do by nature, and other ways to compute the same logits, stands
on it, or is given to `subject`: `causal`, `reach`, `reach_by`, `ordered`, `longest`, `exact`,
`tolerance`, `paddings`, `fixed_rows`, `rollback`, `documents`, `paths` (`Subject`). An edit that
cannot be done raises `NotImplementedError`, and is then not asked.

A law is passed; rounding (a few roundings where it says bit for bit); undeclared (the model fails
exactly as a declaration would explain, which is named); broken; in error (a call raised); skipped;
or vacuous (no example exercised it).

An attention operator is a function of q, k and v whose `kind` is "attention", or one that
`attention` was told of: `check(attention(my_attention, causal=True))`.

A chooser of tokens, filters or a sampler or a beam search, is made by `chooser`:
`check(chooser(top_p=my_top_p))`.

Names are loaded when they are first used: importing this package loads no test library, and only
those that try laws need Hypothesis.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..laws.law import LawBroken as LawBroken
    from ..operators.attention import attention as attention
    from ..operators.chooser import chooser as chooser
    from ..subjects.own import NumtxSubject as NumtxSubject
    from ..subjects.subject import Memory as Memory
    from ..subjects.subject import Subject as Subject
    from ..subjects.subject import subject as subject
    from .machine import machine_of as machine_of
    from .machine import run_machine as run_machine
    from .protocols import HasEdits as HasEdits
    from .protocols import HasLogits as HasLogits
    from .protocols import HasSpeculate as HasSpeculate
    from .protocols import HasSteps as HasSteps
    from .trial import LAWS as LAWS
    from .trial import LawSuite as LawSuite
    from .trial import Report as Report
    from .trial import Result as Result
    from .trial import check as check

_HOMES = {
    "LAWS": ".trial",
    "HasEdits": ".protocols",
    "HasLogits": ".protocols",
    "HasSpeculate": ".protocols",
    "HasSteps": ".protocols",
    "LawBroken": "..laws.law",
    "LawSuite": ".trial",
    "Memory": "..subjects.subject",
    "NumtxSubject": "..subjects.own",
    "Report": ".trial",
    "Result": ".trial",
    "Subject": "..subjects.subject",
    "attention": "..operators.attention",
    "check": ".trial",
    "chooser": "..operators.chooser",
    "machine_of": ".machine",
    "run_machine": ".machine",
    "subject": "..subjects.subject",
}
_NEED_HYPOTHESIS = (".trial", "..laws.law", ".machine")

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name] in _NEED_HYPOTHESIS:
        need_hypothesis()
    found = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """All names that can be had: `help` asks for each of them."""
    found = set(globals()) | set(_HOMES)
    try:
        need_hypothesis()
    except ValueError:
        found -= {name for name, home in _HOMES.items() if home in _NEED_HYPOTHESIS}
    return sorted(found)


def need_hypothesis() -> None:
    """Raise `SubjectError` where hypothesis is missing, which the laws draw their examples with."""
    from ..errors import SubjectError

    try:
        missing = importlib.util.find_spec("hypothesis") is None
    except ValueError:  # None stands in its place
        missing = True
    if missing:
        raise SubjectError(
            "the laws need hypothesis, which is not installed; install numtx[test]"
        ) from None
