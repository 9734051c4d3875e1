"""How many tokens each expert serves: counted from a run, or an even share where there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..batch import Batch
from ..config import Config
from ..shapes import Array
from ..show.headings import below, pick
from ..show.table import table_text
from ..trace.trace import record


def expert_loads(
    config: Config, parameters: Mapping[str, Array], batch: Batch
) -> dict[str, list[int]]:
    """Of each layer with experts, how many real tokens of a run chose each of them."""
    trace = record(config, parameters, batch, gradients=False)
    found = {}
    for stage in trace.graph:
        if stage.operation == "choose":
            real = trace[f"{stage.name.partition('.')[0]}.mask"]
            experts = trace[stage.inputs[0]].shape[-1]
            counts = np.bincount(trace[stage.name][real].reshape(-1), minlength=experts)
            found[stage.name.removesuffix(".router.chosen")] = counts.tolist()
    return found


def loads_text(config: Config, parameters: Mapping[str, Array], batch: Batch, lang: str) -> str:
    """A table of them; empty where no layer has experts."""
    loads = expert_loads(config, parameters, batch)
    if not loads:
        return ""
    most = max(map(len, loads.values()))
    heads = [pick(lang, "层", "layer"), *(f"e{i}" for i in range(most))]
    rows = [[place, *map(str, counts)] for place, counts in loads.items()]
    title = below(
        lang, "每个专家的负载：这段提示里选中它的词元数",
        "load of each expert: tokens of this prompt that chose it",
    )  # fmt: skip
    return f"{title}\n{table_text([heads, *rows], 'l' + 'r' * most)}"


def even_share(config: Config, lang: str = "en") -> str:
    """What each expert would serve if all were chosen alike; empty without experts."""
    experts = max(x or 0 for x in config.values_of("experts"))
    if not experts:
        return ""
    chosen = config.experts_chosen
    part = f"{chosen / experts:.1%}"
    zh = f"每个词元 {experts} 个里选 {chosen} 个；若平均，每个专家得 {part} 的词元"
    return pick(lang, zh, f"{chosen} of {experts} a token; {part} of the tokens each, if even")
