"""Where one mistake is made: in a stage, or in every stage that the same code makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..stages.graph import BLOCK, Stage

Targets = tuple[Stage, ...]
# Stages that one slip makes wrong together: a fused projection, both operands of a repeat.
FAMILIES = [
    frozenset(leaves.split())
    for leaves in (
        "queries keys values", "queries keys", "keys values", "hidden gate", "products context",
        "normed_queries normed_keys", "normed_latent normed_query_latent",
        "experts.hidden experts.gate", "shared.hidden shared.gate",
        "hidden experts.hidden shared.hidden", "activation experts.activation shared.activation",
    )
]  # fmt: skip


def tiers(stage: Stage, before: Sequence[Stage]) -> Iterator[list[Targets]]:
    """The stage itself; what is no layer's, and what the code of a layer makes wrong in every
    layer; then each stage of a layer alone."""
    yield [(stage,)]
    groups: dict[tuple[str, ...], dict[str, Stage]] = {}
    for one in (*before, stage):
        for key in _kinds(one):
            groups.setdefault(key, {})[one.name] = one
    distinct = {tuple(group): tuple(group.values()) for group in groups.values() if len(group) > 1}
    yield [*((one,) for one in before if not BLOCK.search(one.name)), *distinct.values()]
    yield [(one,) for one in reversed(before) if BLOCK.search(one.name)]


def _kinds(stage: Stage) -> Iterator[tuple[str, ...]]:
    """What a stage has in common with others, of all layers or of those of one side."""
    leaf, place = stage.leaf.name, BLOCK.search(stage.name)
    side, sublayer = "", ""
    if place is not None:
        side = place[1]
        sublayer = stage.name[place.end() :].removesuffix(f".{leaf}")
    names = [leaf, *(" ".join(sorted(f)) for f in FAMILIES if leaf in f)]
    if stage.operation in ("rotate", "norm"):
        names.append(f"@{stage.operation}")
    for name in names:
        yield name, "", ""
        if place is not None:
            yield name, "", sublayer
            yield name, side, ""
            yield name, side, sublayer
