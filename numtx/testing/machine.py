"""The rule-based state machine over the caches of any subject that can fork its state.

    run_machine(subject(model), examples=100, steps=20)

Hypothesis chooses what is done and shrinks what fails; `Bench` holds the reference and the
probe after every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ..cache_laws.bench import Bench, kinds_of, largest_of
from ..errors import SubjectError
from ..laws.strategies import Action
from ..subjects.subject import FORK, REORDER, RESET, STEP, TRUNCATE, Subject

_caches, _seeds = st.integers(0, 2), st.integers(0, 2**16)


def machine_of(subject: Subject) -> type[RuleBasedStateMachine]:
    """The machine for one subject, with the rules that it is capable of.

    Raises `SubjectError` for a subject without cache, or without fork, which the probe needs.
    """
    for needed in (STEP, FORK):
        if needed not in subject.capabilities:
            raise SubjectError(f"{subject.name} has no {needed}; the state machine needs it")
    kinds, sizes = kinds_of(subject), st.integers(1, largest_of(subject))

    def can(kind: str) -> Callable[[Any], Any]:
        return precondition(lambda machine: kind in kinds and machine.is_filled())

    class Machine(RuleBasedStateMachine):
        @initialize(rows=st.integers(1, 3))
        def start(self, rows: int) -> None:
            self.bench = Bench(subject, rows)

        def is_filled(self) -> bool:
            return any(live.state is not None for live in self.bench.live)

        @rule(which=_caches, seed=_seeds, size=sizes)
        def append(self, which: int, seed: int, size: int) -> None:
            self.bench.do(Action("append", which, seed, size))

        @can(FORK)
        @rule(which=_caches)
        def fork(self, which: int) -> None:
            self.bench.do(Action("fork", which, 0, 1))

        @can(TRUNCATE)
        @rule(which=_caches, seed=_seeds)
        def truncate(self, which: int, seed: int) -> None:
            self.bench.do(Action("truncate", which, seed, 1))

        @can(REORDER)
        @rule(which=_caches, seed=_seeds, size=sizes)
        def reorder(self, which: int, seed: int, size: int) -> None:
            self.bench.do(Action("reorder", which, seed, size))

        @can(RESET)
        @rule(which=_caches)
        def reset(self, which: int) -> None:
            self.bench.do(Action("reset", which, 0, 1))

    return Machine


def run_machine(
    subject: Subject, *, examples: int = 100, steps: int = 20, seed: int = 0, shrink: bool = True
) -> None:
    """Run the machine; raises `LawBroken`, with the smallest script that was found."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    machine = hypothesis.seed(seed)(machine_of(subject))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            phases=phases, suppress_health_check=list(HealthCheck), print_blob=False,
            report_multiple_bugs=False,
        ),
    )  # fmt: skip
