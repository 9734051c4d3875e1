"""Fields that differ by layer: the configuration of each layer, and rules held by every one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from ..fields.field import Rule, fields_of


def views(config: Any) -> tuple[Any, ...]:
    """A configuration for each layer that may differ, in order; the configuration itself where
    none does. What is only for a mechanism that a layer has not has its default there.

    They repeat from the first. Equal ones are one object.
    """
    fields = fields_of(type(config))
    own = vars(config)
    lists = {
        name: value
        for name, value in own.items()
        if isinstance(value, tuple | list) and name in fields and fields[name].differs(value)
    }
    if not lists:
        return (config,)
    found: dict[tuple[Any, ...], Any] = {}
    every = []
    period = math.lcm(*(len(values) for values in lists.values()))
    for i in range(min(config.depth, period)):
        key = tuple(values[i % len(values)] for values in lists.values())
        if key not in found:
            found[key] = view = object.__new__(type(config))
            vars(view).update({name: own[name] for name in fields if name in own})
            vars(view).update(zip(lists, key, strict=True))
            for name, field in fields.items():
                if field.only is not None and field.only[0] in lists:
                    other, values = field.only
                    got = getattr(view, other)
                    if not (got in values if values else got is not None):
                        vars(view)[name] = field.default
        every.append(found[key])
    return tuple(every)


def in_every_layer(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The rules, held by the configuration of each layer."""

    def over_layers(rule: Rule) -> Rule:
        def message(config: Any) -> str:
            every = views(config)
            i = next(i for i, view in enumerate(every) if not rule.holds(view))
            return ("" if len(every) == 1 else f"in layer {i}: ") + rule.message(every[i])

        return Rule(lambda config: all(map(rule.holds, views(config))), message)

    return map(over_layers, rules)
