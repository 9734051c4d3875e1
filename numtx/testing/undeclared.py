"""What a model fails at exactly as a declaration would explain, and which declaration that is.

Before the laws, it is looked at who moves whom. A failure under padding with holes, with other
numbers of rows, or of every cut of a state is explained where the law holds without them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..calls import never_truncates, rows_taken
from ..laws.exactness import ROUNDINGS
from ..laws.law import Law, moved
from ..shapes import Array
from ..subjects.subject import MASK, NUMTX, SHORT, STEP, TRUNCATE, Subject, declare
from .report import BROKEN, ERROR, PASSED, ROUNDING, SKIPPED, UNDECLARED, VACUOUS, Result

SIGHT = {"K1", "K3", "K4", "K5", "P3"}  # what is said of these depends on who sees whom
CAUSAL, REACH = ("K1", "K3"), ("K4",)
TRIES, ROWS = 3, 3
ALIKE = 0.05  # of what earlier tokens do, that later ones do at least where both are seen


class Missing(NamedTuple):
    """A declaration that explains a failure, in words, and the laws that it is told of."""

    options: dict[str, Any]
    what: str
    laws: tuple[str, ...] = ()

    def text(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        flags = " ".join(_flag(name, value) for name, value in self.options.items())
        return (
            f"{self.what}; if it does so by nature, declare {said} (as an attribute of it, in "
            f"subject(..., {said}), or {flags})"
        )


def _flag(name: str, value: Any) -> str:
    word = name.replace("_", "-")
    if isinstance(value, bool):
        return "--" + (word if value else f"no-{word}")
    return f"--{word} {','.join(value) if isinstance(value, tuple) else value}"


def with_options(own: Subject, options: dict[str, Any]) -> Subject:
    """The same subject with declarations."""
    found = copy.copy(own)
    declare(found, options)
    return found


def influence(own: Subject, length: int) -> Array:
    """[T, T], how far another token at a column moves the output at a row; 0 within rounding."""
    generator = np.random.default_rng(1)
    rows = own.fixed_rows or ROWS
    ids = generator.integers(0, own.vocabulary_size, (rows, length))
    before = own.logits(ids)
    found = np.zeros((length, length))
    for key in range(length):
        steps = generator.permutation(own.vocabulary_size - 1)[:TRIES] + 1
        for step in steps:
            changed = ids.copy()
            changed[:, key] = (ids[:, key] + step) % own.vocabulary_size
            after = own.logits(changed)
            sizes = np.where(moved(before, after, ROUNDINGS), np.abs(after - before).max(-1), 0.0)
            found[:, key] = np.maximum(found[:, key], sizes.max(0))
    return found


def sight(own: Subject) -> Missing | None:
    """What of causal and reach is missing, from who moves whom."""
    asks_causal = own.causal and not own.says_causal
    asks_reach = own.reach is None and "reach" not in own.said and own.limit is None
    if NUMTX in own.capabilities or not (asks_causal or asks_reach):
        return None
    length = min(own.longest, 2 * SHORT)
    seen = influence(own, length)
    found = _reading(seen, own.causal, asks_causal, asks_reach)
    reach = found.options.get("reach") if found else None
    if found is None or reach is None:
        return found
    longer = min(own.far, 2 * reach + 4)
    if longer > length:  # the same of longer inputs, or it is none
        longer_seen = influence(own, longer)
        return (
            found if found == _reading(longer_seen, own.causal, asks_causal, asks_reach) else None
        )
    return found


def _reading(sizes: Array, causal: bool, asks_causal: bool, asks_reach: bool) -> Missing | None:
    """The declaration that says exactly who sees whom; later tokens as well as earlier ones."""
    seen, length = sizes > 0.0, len(sizes)
    away = np.arange(length)[:, None] - np.arange(length)
    later, earlier = (sizes[seen & side] for side in (away < 0, away > 0))
    if later.size and np.median(later) < ALIKE * np.median(earlier if earlier.size else later):
        return None  # a leak
    both = asks_causal or not causal  # may it see later ones
    if asks_causal and length > 2 and seen[away < 0].all():
        return Missing({"causal": False}, "every place sees every later one", CAUSAL)
    reach = int(np.abs(away[seen]).max(initial=0))
    if not asks_reach or not 1 <= reach < length - 1:
        return None
    if not both or not seen[away < 0].any():
        exactly = (away >= 0) & (away <= reach) if causal else np.abs(away) <= reach
        what = f"nothing farther than {reach} places away has an effect, and all else has"
        return Missing({"reach": reach}, what, REACH) if (seen == exactly).all() else None
    if (seen == (np.abs(away) <= reach)).all():
        what = f"every place sees {reach} places to both sides, and nothing farther"
        options: dict[str, Any] = {"causal": False} if asks_causal else {}
        laws = (*CAUSAL, *REACH) if asks_causal else REACH
        return Missing({**options, "reach": reach}, what, laws)
    return None


def explained(law: Law, own: Subject, result: Result, ask: Callable[[Subject], Result]) -> Result:
    """A result that is broken or in error, or undeclared where a declaration explains it.

    ask  the law once more, of another subject
    """
    if result.status not in (BROKEN, ERROR) or NUMTX in own.capabilities:
        return result
    for missing, enough in _candidates(law, own, result):
        again = ask(with_options(own, missing.options))
        if again.status in enough:
            return result._replace(
                status=UNDECLARED,
                why=f"{law.name} undeclared: {missing.text()}\n{_indented(result.why)}",
            )
    return result


def _indented(why: str) -> str:
    return "\n".join(f"  {line}" for line in why.splitlines())


def _candidates(law: Law, own: Subject, result: Result) -> list[tuple[Missing, tuple[str, ...]]]:
    """Declarations that may explain it, and what the law must give under each."""
    found: list[tuple[Missing, tuple[str, ...]]] = []
    holds = (PASSED, ROUNDING)
    if MASK in own.capabilities and own.holes and not {"paddings", "reach_by"} & own.said:
        one_side = tuple(side for side in own.paddings if side != "holes")
        what = "it fails only under padding between tokens"
        if STEP in law.needs and MASK not in law.needs:
            what += " (a window that counts columns does: reach_by='columns' says that)"
        found.append((Missing({"paddings": one_side}, what), holds))
    if result.status == ERROR and STEP in law.needs and own.fixed_rows is None:
        rows = rows_taken(own)
        if len(rows) == 1:
            what = f"a cache of {rows[0]} rows passes, and others raise"
            found.append((Missing({"fixed_rows": rows[0]}, what), (*holds, VACUOUS)))
    cuts = TRUNCATE in own.capabilities and "truncate(" in result.why
    if result.status == ERROR and cuts and never_truncates(own):
        what = "truncate raises whatever it is asked"
        found.append((Missing({"rollback": False}, what), (*holds, SKIPPED)))
    return found
