"""Experts: feed-forward layers of which every token goes through a few, chosen by a router."""

from __future__ import annotations

from typing import Any, ClassVar

from ..fields.field import Part, Rule, choice, configuration, flag, number, record, whole
from .output import OUTPUT


@configuration
class Router(Part):
    """What all routers have.

    {fields}
    """

    # fmt: off
    bias: bool = flag(OUTPUT, "the router's logits have a bias", default=False)
    correction: bool = flag(
        OUTPUT, "a number of each expert is added to its score for the choice, and not for the "
        "weight; it has no gradient", default=False)
    groups: int = whole(OUTPUT, "groups of neighbouring experts", (1, 2), default=1)
    groups_kept: int = whole(OUTPUT, "groups whose experts may be chosen", (1,), default=1)
    group_score: str = choice(
        OUTPUT, "a group counts by its maximum, or by the sum of its two largest scores",
        ("maximum", "two"), default="maximum")
    renormalised: bool = flag(
        OUTPUT, "the weights of the chosen are divided by their sum", default=False)
    factor: float = number(OUTPUT, "factor on the weights, at last", (1.0, 2.5), default=1.0)
    weight_on: str = choice(
        OUTPUT, "a weight multiplies its expert's output, or its input", ("output", "input"),
        default="output")
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        kept, groups = self.groups_kept, self.groups
        self.hold(kept <= groups, f"groups_kept {kept} of groups {groups}; some are kept")
        twice = self.renormalised and self.kind == "chosen_softmax"
        self.hold(not twice, "renormalised; this softmax sums to 1 already")

    @property
    def best(self) -> int:
        """How many scores of a group count; 0: there are no groups."""
        return 0 if self.groups_kept == self.groups else 1 + (self.group_score == "two")


@configuration
class SoftmaxRouter(Router):
    """A softmax over all experts, then the choice (Jiang et al., 2024, renormalised)."""

    kind: ClassVar[str] = "softmax"


@configuration
class ChosenSoftmaxRouter(Router):
    """The choice by the logits, then a softmax over the chosen alone (Shazeer et al., 2017)."""

    kind: ClassVar[str] = "chosen_softmax"


@configuration
class SigmoidRouter(Router):
    """A sigmoid of each logit, then the choice (Liu et al., 2024)."""

    kind: ClassVar[str] = "sigmoid"


ROUTERS = {kind.kind: kind for kind in (SoftmaxRouter, ChosenSoftmaxRouter, SigmoidRouter)}
PLAIN_ROUTERS = (
    SoftmaxRouter(renormalised=True), ChosenSoftmaxRouter(bias=True),
    SigmoidRouter(correction=True, groups=2, group_score="two", renormalised=True, factor=2.5),
)  # fmt: skip


@configuration
class ExpertFields:
    """Experts."""

    # fmt: off
    experts: int | None = whole(
        OUTPUT, "E: the feed-forward sublayer is this many, of which a router chooses some for "
        "each token; None: one, for all", (None, 4, (None, 4)), default=None)
    experts_chosen: int = whole(
        OUTPUT, "K: how many it chooses", (1, 2), default=1, only=("experts", ()))
    expert_hidden: int | None = whole(
        OUTPUT, "width of the layer in an expert; None: as hidden", (None, 5), default=None,
        only=("experts", ()))
    shared_experts: int | None = whole(
        OUTPUT, "experts that every token goes through beside those chosen, side by side in one "
        "layer; None: there are none", (None, 1, 2), default=None, only=("experts", ()))
    shared_hidden: int | None = whole(
        OUTPUT, "width of each of these; None: as expert_hidden", (None, 3), default=None,
        only=("shared_experts", ()))
    router: Router | None = record(
        OUTPUT, "how the router chooses, and weighs; None: a softmax over all experts", ROUTERS,
        (None, *PLAIN_ROUTERS), default=None, only=("experts", ()))
    # fmt: on


RULES: tuple[Rule, ...] = (
    Rule(
        lambda c: c.experts is None
        or (c.experts % c.routing.groups == 0 and c.experts // c.routing.groups >= c.routing.best),
        lambda c: f"router groups {c.routing.groups} with experts {c.experts}; groups are of one "
        f"size, and of {max(1, c.routing.best)} at least",
    ),
    Rule(
        lambda c: c.experts is None or c.experts_chosen <= _may_be_chosen(c),
        lambda c: f"experts_chosen {c.experts_chosen} with experts {c.experts}; of these "
        f"{_may_be_chosen(c)} may be chosen",
    ),
)  # fmt: skip


def _may_be_chosen(config: Any) -> int:
    return int(config.experts // config.routing.groups * config.routing.groups_kept)
