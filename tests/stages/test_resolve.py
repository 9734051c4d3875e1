"""From a configuration to the graph of its stages."""

from __future__ import annotations

from samples import VARIANTS, WEATHER

from numtx import Config
from numtx.stages.resolve import resolve

ALL = {"weather": WEATHER, **VARIANTS}


def test_formulas_are_filled_in():
    for fields in ALL.values():
        for labels in (True, False):
            for stage in resolve(Config(**fields), labels=labels):
                assert "{" not in stage.formula and "#" not in stage.formula
    graph = resolve(Config(**WEATHER))
    assert graph["encoder.0.self_attention.queries"].formula == "Q = X·W_Q"
    assert graph["encoder.0.feed_forward.hidden"].formula == "X·W_in + b_in"
    assert "j <= i" in graph["decoder.0.self_attention.mask"].formula
    assert "j <= i" not in graph["decoder.0.cross_attention.mask"].formula
    assert graph["decoder.0.cross_attention.keys"].formula == "K = H_enc·W_K"
    assert "100^" in graph["encoder.positions"].formula


def test_consumers():
    graph = resolve(Config(**WEATHER))
    names = [stage.name for stage in graph.consumers["encoder.output"]]
    assert names == [f"decoder.{i}.cross_attention.{x}" for i in (0, 1) for x in ("keys", "values")]
    assert "probabilities" not in graph.consumers
    assert len(graph) == len(list(graph)) and "logits" in graph and "nothing" not in graph
