"""The zoo: planted bugs, and which law catches which.

A bug is planted in a second copy of the package, and all laws are tried on a few models of that
copy. What no law catches is either proven equivalent or a gap in the laws.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from ..laws.law import LAWS
from ..small_repr import small_repr
from ..subjects.models import MODELS, STORAGES
from ..subjects.own import NumtxSubject, own_parameters
from ..subjects.subject import (
    FORK,
    LENGTHS,
    LOGITS,
    MASK,
    MEMORY,
    NUMTX,
    REORDER,
    RESET,
    STEP,
    STEP_MASK,
    TRUNCATE,
)
from .second_copy import SecondCopy, Substitution, second_copy
from .trial import BROKEN, ERROR, attempt, law_names
from .zoo_bugs import ATTENTION_BUGS, MASK_BUGS, POSITION_BUGS, Bug
from .zoo_cache_bugs import CACHE_BUGS
from .zoo_model_bugs import MODEL_BUGS
from .zoo_storage_bugs import CHOOSING_BUGS, STORAGE_BUGS

BUGS: tuple[Bug, ...] = (
    *MASK_BUGS, *ATTENTION_BUGS, *POSITION_BUGS, *MODEL_BUGS, *CACHE_BUGS, *STORAGE_BUGS,
    *CHOOSING_BUGS,
)  # fmt: skip

# What may be known of a model, from the least to the most: each adds to what stands before it.
LADDER: tuple[tuple[str, frozenset[str]], ...] = (
    ("ids -> logits", frozenset({LOGITS})),
    ("+ mask", frozenset({MASK})),
    ("+ memory", frozenset({MEMORY})),
    ("+ prefill and step", frozenset({STEP, STEP_MASK})),
    ("+ fork, truncate, reorder", frozenset({FORK, TRUNCATE, REORDER, LENGTHS, RESET})),
    ("+ trace and parameters", frozenset({NUMTX})),
)

# Laws that catch no planted bug, and why they stay.
STAYS: Mapping[str, str] = {}

# Laws of single operations, which are the same whatever the model: one model is enough.
OF_OPERATIONS = frozenset({"S1", "K8", "P4", "T2", "D1", "D2", "D3", "D4"})

# The models of the list that the laws are tried on; of a model's storages the last.
TRIED: tuple[str, ...] = (
    "encoder-decoder, multi-query, one table for all words",
    "decoder, rotary, grouped, gated",
    "two vocabularies, learned positions, pre-norm",
    "encoder, segments, embedding norm",
    "encoder-decoder, interleaved, some norms and residuals",
    "decoder, latents, rotary, smoothed",
    "encoder-decoder, grouped, no positions, segments",
    "decoder, deep",
    "decoder, normed queries and keys",
    "decoder, slopes, six heads",
)


class Kills(NamedTuple):
    """The laws that caught one bug, each with the first message."""

    bug: Bug
    by: dict[str, str]


@small_repr("ok", "kills", "laws")
class Matrix(NamedTuple):
    """Which law catches which bug."""

    kills: list[Kills]
    laws: Sequence[str]

    @property
    def survivors(self) -> list[Bug]:
        """Bugs that nothing caught and that are not proven equivalent."""
        return [kill.bug for kill in self.kills if not kill.by and not kill.bug.equivalent]

    @property
    def idle(self) -> list[str]:
        """Laws that caught nothing and do not say why they stay."""
        busy = {name for kill in self.kills for name in kill.by}
        return [name for name in self.laws if name not in busy and name not in STAYS]

    @property
    def disproven(self) -> list[Kills]:
        """Bugs said to be equivalent that some law tells from the original."""
        return [kill for kill in self.kills if kill.by and kill.bug.equivalent]

    @property
    def ok(self) -> bool:
        return not (self.survivors or self.idle or self.disproven)

    def shares(self) -> list[tuple[str, int, int]]:
        """(what may be known, bugs killed with that alone, bugs that can be killed)"""
        real = [kill for kill in self.kills if not kill.bug.equivalent]
        known: frozenset[str] = frozenset()
        found = []
        for name, more in LADDER:
            known |= more
            asked = {law for law in self.laws if LAWS[law].needs <= known}
            found.append((name, sum(not asked.isdisjoint(kill.by) for kill in real), len(real)))
        return found

    def text(self) -> str:
        """The matrix by bug and by law, and what follows from it."""
        lines = ["planted bugs, and the laws that catch them", ""]
        for kill in self.kills:
            by = " ".join(name for name in self.laws if name in kill.by)
            if kill.bug.equivalent:
                by = f"equivalent: {kill.bug.equivalent}"
            lines.append(f"{kill.bug.module:<20} {kill.bug.name}: {by or 'SURVIVES'}")
        lines += ["", "laws, how many bugs each catches, and how many it alone", ""]
        for name in self.laws:
            caught = [kill for kill in self.kills if name in kill.by]
            alone = sum(len(kill.by) == 1 for kill in caught)
            why = f"  {STAYS[name]}" if not caught and name in STAYS else ""
            lines.append(f"{name:<10} {len(caught):>4} {alone:>4}{why}")
        lines += ["", "share of the bugs killed by what is known of the model", ""]
        for name, count, total in self.shares():
            lines.append(f"{name:<26} {count:>4} of {total}  {count / max(total, 1):.0%}")
        alone_lines = [
            f"{next(iter(kill.by))}: {kill.bug.name}" for kill in self.kills if len(kill.by) == 1
        ]
        lines += ["", "bugs that one law alone catches", "", *(sorted(alone_lines) or ["none"])]
        lines += ["", f"survivors: {', '.join(bug.name for bug in self.survivors) or 'none'}"]
        if self.idle:
            lines.append(f"laws that catch nothing: {', '.join(self.idle)}")
        for kill in self.disproven:
            lines.append(f"not equivalent: {kill.bug.name}, caught by {', '.join(kill.by)}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The matrix as strict JSON."""
        rows = [
            {
                "bug": kill.bug.name, "module": kill.bug.module, "old": kill.bug.old,
                "new": kill.bug.new, "equivalent": kill.bug.equivalent, "killed_by": kill.by,
            }
            for kill in self.kills
        ]  # fmt: skip
        shares = [{"known": name, "killed": n, "of": total} for name, n, total in self.shares()]
        return json.dumps({"bugs": rows, "shares": shares}, ensure_ascii=False, indent=1)


def subjects_of(copy: SecondCopy) -> list[NumtxSubject]:
    """The models of the zoo, by the code of a copy."""
    config = copy.module("config").Config
    found = []
    for name in TRIED:
        own = config(**MODELS[name].fields)
        storage = STORAGES[MODELS[name].storages[-1]] if MODELS[name].storages else None
        found.append(NumtxSubject(own, own_parameters(own), name, storage))
    return found


def kills_of(
    bug: Bug | None, laws: Sequence[str], *, seed: int = 0, examples: int = 4
) -> dict[str, str]:
    """The laws that speak for a bug (for none: of a copy as it is), each with its message."""
    changes = [] if bug is None else [Substitution(bug.module, bug.old, bug.new)]
    found: dict[str, str] = {}
    with second_copy(changes) as copy:
        for number, one in enumerate(subjects_of(copy)):
            for name in laws:
                if name not in found and not (number and name in OF_OPERATIONS):
                    result = attempt(LAWS[name], one, seed=seed, examples=examples, shrink=False)
                    if result.status in (BROKEN, ERROR):  # a bug that raises is seen, too
                        found[name] = f"{one.name}: {result.why}"
    return found


def _kills(job: tuple[Bug, Sequence[str], int, int]) -> Kills:
    import warnings

    warnings.simplefilter("ignore")  # a bug may divide by 0 on its way to being caught
    bug, laws, seed, examples = job
    return Kills(bug, kills_of(bug, laws, seed=seed, examples=examples))


def kill_matrix(
    laws: Iterable[str] | None = None,
    bugs: Sequence[Bug] = BUGS,
    *,
    seed: int = 0,
    examples: int = 4,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Matrix:
    """Plant each bug by itself and try the laws; two bugs at a time, in processes of their own."""
    names = law_names() if laws is None else list(laws)
    jobs = [(bug, names, seed, examples) for bug in bugs]
    kills = []
    count = workers or min(2, os.cpu_count() or 1)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        for number, kill in enumerate(pool.map(_kills, jobs)):
            kills.append(kill)
            if progress is not None:
                progress(f"{number + 1}/{len(jobs)} {kill.bug.name}")
    return Matrix(kills, names)
