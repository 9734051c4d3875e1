"""The list of models is complete, and would say so if it were not."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from model_pairs import BY_LAYER, IMPOSSIBLE, NEEDLESS, PAIRS, YES_NO
from samples import all_leaves

from numtx import Config
from numtx.config.rotary import YarnScaling
from numtx.config.wiring import NORM_PLACES
from numtx.fields.field import fields_of
from numtx.fields.kinds import Choice, Flag, Places, Record
from numtx.models import MODELS, STORAGES, Model
from numtx.ops.angles import attention_factor, frequencies
from numtx.oracle.operations import OPERATIONS
from numtx.stages.leaf import Leaf
from numtx.stages.resolve import resolve

PART = "some"
FIELDS = fields_of(Config)
CHOICES = {n: f.kind.values for n, f in FIELDS.items() if isinstance(f.kind, Choice)}
PLACES = {n: f.kind.known for n, f in FIELDS.items() if isinstance(f.kind, Places)}
RECORDS = {n: tuple(f.kind.kinds) for n, f in FIELDS.items() if isinstance(f.kind, Record)}
FLAGS = {n for n, f in FIELDS.items() if isinstance(f.kind, Flag)}
PHASES = ("prefill", "decode.0", "decode.1")
Label = tuple[str, ...]  # what occurs in a model, in words


# What a configuration may say, from where its fields are declared.


def values_of(field: str) -> tuple[str, ...]:
    """The values of a field as the list has to have them: every one of a closed choice; each place
    in a part of the places and out of one; of a number its absence, its default and another; and
    several at once where it may differ by layer."""
    if FIELDS[field].layers:
        return *_values_of(field), BY_LAYER
    return _values_of(field)


def _values_of(field: str) -> tuple[str, ...]:
    if field in CHOICES:
        return tuple(map(str, CHOICES[field]))
    if field in PLACES:
        parts = [f"{PART}, {how} {n}" for n in PLACES[field] for how in ("with", "without")]
        return ("True", "False", *parts)
    if field in FLAGS:
        return "True", "False"
    if field in RECORDS:
        return "None", *RECORDS[field]
    if FIELDS[field].needed:
        return ("given",)
    return str(FIELDS[field].default), "another"


def is_there(config: Config, place: str) -> bool:
    """Whether a model has a sublayer, or a projection that could have a bias."""
    if "attention" in place or "feed_forward" in place:
        side, sublayer = place.split(".")
        return side in config.sides and sublayer in config.sublayers(side)
    needs = {"b_gate": config.gated, "norm.bias": config.norm == "layer"}
    needs |= {"head.b": config.head == "masked-language-model", "pooler.b": config.pooler}
    return needs.get(place, True)


def value_in(config: Config, field: str) -> set[str]:
    """Which of them a model has; what has no effect in it does not count."""
    value = getattr(config, field)
    if FIELDS[field].differs(value):
        views = [config.layer(side, i) for side in config.sides for i in range(config.layers(side))]
        found = {getattr(view, field) for view in views if not INERT.get(field, never)(view)}
        several = {BY_LAYER} if len(found) > 1 else set()
        return several.union(*(value_in(view, field) for view in views))
    if field in PLACES and not isinstance(value, bool):
        there = [name for name in PLACES[field] if is_there(config, name)]
        return {f"{PART}, {'with' if name in value else 'without'} {name}" for name in there}
    if field in INERT and INERT[field](config):
        return set()
    if field in CHOICES or field in PLACES or field in FLAGS:
        return {str(value)}
    if field in RECORDS:
        return {"None" if value is None else value.kind}
    if FIELDS[field].needed:
        return {"given"}
    return {str(value) if value == FIELDS[field].default else "another"}


def never(config: Config) -> bool:
    return False


# Where a field says nothing.
INERT: dict[str, Callable[[Config], bool]] = {
    "norm_place": lambda c: c.norm is None or c.norm_at is False,
    "norm_at": lambda c: c.norm is None,
    "epsilon": lambda c: c.norm is None or c.norm_at is False,
    "causal": lambda c: "decoder" not in c.sides,
    "position_base": lambda c: c.positions not in ("sinusoidal", "rotary"),
    "position_offset": lambda c: c.positions != "learned",
    **{
        name: lambda c: c.experts is None
        for name in ("experts_chosen", "expert_hidden", "shared_experts", "router")
    },
    "shared_hidden": lambda c: c.shared_experts is None,
    "head_activation": lambda c: c.head != "masked-language-model",
    "query_key_gain": lambda c: c.query_key_norm is None,
    "query_key_norm_place": lambda c: c.query_key_norm is None or not c.rotated,
    "sinusoidal_layout": lambda c: c.positions != "sinusoidal" or c.width < 4,
    "rotary_layout": lambda c: c.rotated < 4,  # of a width of two both layouts are one
    "rotary_width": lambda c: c.positions != "rotary",
    "rotary_scaling": lambda c: c.positions != "rotary",
}


# The mechanisms whose pairs matter, each with the values that a model has of it.


def kind_of(config: Config) -> str:
    if config.key_value_latent is not None:
        return "latent" if config.query_latent is None else "latents"
    if config.kv_heads == config.heads:
        return "multi-head"
    return "multi-query" if config.kv_heads == 1 else "grouped"


def places_of(config: Config) -> str:
    return f"rotary {config.rotary_layout}" if config.rotated else str(config.positions)


Aspect = Callable[[Model, Config], Iterable[str]]
KINDS = ("multi-head", "grouped", "multi-query", "latent", "latents")
POSITIONS = tuple(
    place
    for value in CHOICES["positions"]
    for place in (
        [f"rotary {layout}" for layout in CHOICES["rotary_layout"]]
        if value == "rotary"
        else [str(value)]
    )
)


def yes(holds: Callable[[Config], bool], where: Callable[[Config], bool] = bool) -> Any:
    """An aspect that a model has or has not; `where`: it says something."""
    return YES_NO, lambda m, c: ["yes" if holds(c) else "no"] if where(c) else []


def in_attention(config: Config, what: Callable[[str], bool]) -> bool:
    return all(what(f"{side}.self_attention") for side in config.sides)


ASPECTS: dict[str, tuple[tuple[str, ...], Aspect]] = {
    "model": (tuple(map(str, CHOICES["model"])), lambda m, c: [c.model]),
    "kind": (KINDS, lambda m, c: [kind_of(c)]),
    "positions": (POSITIONS, lambda m, c: [places_of(c)]),
    "storage": (tuple(STORAGES), lambda m, c: m.storages),
    "norm": (tuple(map(str, CHOICES["norm"])), lambda m, c: [str(c.norm)]),
    "norm_place": (tuple(NORM_PLACES), lambda m, c: [c.norm_place] if c.norm else []),
    "activation": (tuple(map(str, CHOICES["activation"])), lambda m, c: [c.activation]),
    "dtype": (tuple(map(str, CHOICES["dtype"])), lambda m, c: [c.dtype]),
    "window": (
        (*YES_NO, BY_LAYER),
        lambda m, c: [
            BY_LAYER if isinstance(c.window, tuple) else "no" if c.window is None else "yes"
        ],
    ),
    "causal": yes(lambda c: c.causal, lambda c: "decoder" in c.sides),
    "rotated": yes(lambda c: c.rotated > 0),
    "a part is rotated": yes(
        lambda c: c.rotated != c.d_k, lambda c: c.rotated > 0 and c.key_value_latent is None
    ),
    "lengthened": yes(
        lambda c: attention_factor(c.rotary_scaling) != 1.0,
        lambda c: c.rotated > 0 and not isinstance(c.rotary_scaling, tuple),
    ),
    "latent": yes(lambda c: c.key_value_latent is not None),
    "normed queries": yes(
        lambda c: c.query_key_norm is not None, lambda c: c.key_value_latent is None
    ),
    "normed whole": yes(
        lambda c: c.query_key_norm == "projection", lambda c: c.query_key_norm is not None
    ),
    "normed after": yes(
        lambda c: c.query_key_norm_place == "after", lambda c: c.query_key_norm and c.rotated
    ),
    "norm's gain": yes(lambda c: c.query_key_gain, lambda c: c.query_key_norm is not None),
    "score scale": yes(lambda c: c.score_scale is not None),
    "score cap": yes(lambda c: c.score_cap is not None),
    "logit cap": yes(lambda c: c.logit_cap is not None),
    "sinks": yes(lambda c: c.sinks),
    "slopes": yes(lambda c: "alibi" in c.values_of("positions")),
    "bias of the keys": yes(lambda c: c.has_bias("b_k")),
    "bias of the output": yes(lambda c: c.has_bias("output.b")),
    "projection": yes(lambda c: in_attention(c, c.has_output_projection)),
    "residual": yes(lambda c: in_attention(c, c.has_residual)),
    "part added": yes(lambda c: c.residual_scale != 1.0),
    "own width of values": yes(lambda c: c.d_v != c.d_k),
    "own vocabulary of the source": yes(
        lambda c: not c.shared_embedding, lambda c: len(c.sides) == 2
    ),
    "tied": yes(lambda c: c.tied_output),
    "layer of the head": yes(
        lambda c: c.head == "masked-language-model", lambda c: c.model == "encoder-only"
    ),
    "gated": yes(lambda c: c.gated),
    "embedding norm": yes(lambda c: c.embedding_norm),
    "embedding scale": yes(lambda c: c.embedding_scale != 1.0),
    "output scale": yes(lambda c: c.output_scale != 1.0),
    "segments": yes(lambda c: c.segments > 0),
    "offset": yes(lambda c: c.position_offset > 0, lambda c: c.positions == "learned"),
    "summed loss": yes(lambda c: c.loss_reduction == "sum"),
    "pooler": yes(lambda c: c.pooler, lambda c: c.model == "encoder-only"),
    "smoothing": yes(lambda c: c.label_smoothing > 0),
}


def kept_of(width: int, base: float, scaling: YarnScaling) -> list[float]:
    """What share of each pair's angle is not divided."""
    ratios = frequencies(width, base, scaling) / frequencies(width, base)
    return [float((r - 1 / scaling.factor) / (1 - 1 / scaling.factor)) for r in ratios]


LARGE: dict[str, Callable[[Model, Config], bool]] = {
    "deep": lambda m, c: max(c.encoder_layers, c.decoder_layers) >= 4,
    "deep, with a memory": lambda m, c: (
        len(c.sides) == 2 and c.encoder_layers >= 3 and c.decoder_layers >= 4
    ),
    "deep, cached": lambda m, c: c.decoder_layers >= 3 and bool(m.storages),
    "more words than a byte counts": lambda m, c: c.vocabulary > 256,
    "more tokens than a panel has columns": lambda m, c: m.length > 32,
    "far positions": lambda m, c: m.first >= 1000 and c.positions == "rotary",
    "row longer than its window twice": lambda m, c: m.length > 2 * (c.widest_window or m.length),
    **{
        f"{layout}, four or more rotated": lambda m, c, layout=layout: (
            c.rotated >= 4 and c.rotary_layout == layout
        )
        for layout in CHOICES["rotary_layout"]
    },
    "chunks in every layer": lambda m, c: None not in c.values_of("chunk"),
    "a ramp between kept and divided angles": lambda m, c: (
        isinstance(c.rotary_scaling, YarnScaling)
        and any(0.0 < kept < 1.0 for kept in kept_of(c.rotated, c.position_base, c.rotary_scaling))
    ),
    "interleaved, latent, four or more rotated": lambda m, c: (
        c.rotated >= 4 and c.rotary_layout == "interleaved" and c.key_value_latent is not None
    ),
}


def stages(model: Model, config: Config) -> dict[str, list[Any]]:
    """The stages of a run of the whole model, and of a generation where it has a cache."""
    found = {"whole": list(resolve(config, labels=True))}
    found["vectors"] = list(resolve(config, vectors=config.sides))
    if len(config.sides) == 2:
        found["memory"] = list(resolve(config, vectors=("memory",)))
    if model.storages:
        found["generation"] = list(resolve(config, phases=PHASES))
    return found


def identity(leaf: Leaf) -> tuple[Any, ...]:
    """What no two leaves share, and the wiring never replaces."""
    return leaf.name, leaf.operation, leaf.title, leaf.why, leaf.formula


LEAVES = {identity(leaf): name for name, leaf in all_leaves().items()}


def wanted() -> set[Label]:
    """All that has to occur."""
    found: set[Label] = {("field", f, value) for f in FIELDS for value in values_of(f)}
    found |= {("operation", name) for name in OPERATIONS}
    found |= {("leaf", name) for name in LEAVES.values()}
    found |= {("phase", kind, phase) for kind in KINDS for phase in ("whole", "generation")}
    found |= {("large", name) for name in LARGE}
    for a, b in PAIRS:
        for pair in itertools.product(ASPECTS[a][0], ASPECTS[b][0]):
            label = (a, pair[0], b, pair[1])
            if label not in IMPOSSIBLE | NEEDLESS:
                found.add(label)
    return found


def occurring(model: Model) -> set[Label]:
    """What of it a model has."""
    config = model.config()
    found: set[Label] = {("field", f, value) for f in FIELDS for value in value_in(config, f)}
    for phase, graph in stages(model, config).items():
        found |= {("operation", stage.operation) for stage in graph}
        found |= {("leaf", LEAVES[identity(stage.leaf)]) for stage in graph}
        found.add(("phase", kind_of(config), phase))
    found |= {("large", name) for name, holds in LARGE.items() if holds(model, config)}
    for a, b in PAIRS:
        has = [list(ASPECTS[name][1](model, config)) for name in (a, b)]
        found |= {(a, x, b, y) for x, y in itertools.product(*has)}
    return found


OCCURRING = {name: occurring(model) for name, model in MODELS.items()}


def missing(names: Iterable[str]) -> set[Label]:
    return wanted().difference(*(OCCURRING[name] for name in names))


def test_every_value_operation_kind_phase_and_pair_occurs():
    assert missing(MODELS) == set()


@pytest.mark.parametrize("name", MODELS)
def test_no_model_is_there_for_nothing(name):
    """And so the test above fails for each that is taken away."""
    assert missing(other for other in MODELS if other != name)


def test_what_no_model_has_is_missed():
    for label in wanted():
        assert label in missing(name for name, found in OCCURRING.items() if label not in found)


def test_nothing_is_called_impossible_or_needless_that_occurs():
    everything = set().union(*OCCURRING.values())
    assert everything & (IMPOSSIBLE | NEEDLESS) == set()
    assert set(INERT) <= set(FIELDS)


def test_the_list_is_small():
    assert len(MODELS) <= 50
    configs = [model.config() for model in MODELS.values()]
    assert len(set(configs)) == len(configs)


@pytest.mark.parametrize("name", MODELS)
def test_all_sizes_of_a_model_differ(name):
    config = MODELS[name].config()
    own = {
        "width": config.width, "hidden": config.hidden, "vocabulary": config.vocabulary,
        "source_vocabulary": config.source_vocabulary, "d_k": config.d_k,
        "d_v": None if config.value_width is None else config.d_v,
        "heads": config.heads,
        "groups": None if config.kv_heads in (1, config.heads) else config.kv_heads,
        "key_value_latent": config.key_value_latent, "query_latent": config.query_latent,
        "experts": config.axes["x"] or None, "expert_hidden": config.expert_hidden,
        "shared_hidden": config.shared_hidden,
    }  # fmt: skip
    sizes = [size for size in own.values() if size is not None]
    assert len(set(sizes)) == len(sizes), own


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_tried_with_storage_where_it_can_be(name):
    model = MODELS[name]
    config = model.config()
    assert bool(model.storages) == ("decoder" in config.sides and config.causal)
    assert len(set(model.storages)) == len(model.storages)
    if config.position_limit is not None:
        assert model.first + model.length <= config.position_limit


def models_in(path: Path) -> int:
    """How many models a file writes out with their sizes."""
    found, text = 0, path.read_text(encoding="utf-8")
    if "width" not in text or "vocabulary" not in text:
        return 0
    for node in ast.walk(ast.parse(text)):
        names: set[object] = set()
        if isinstance(node, ast.Call):
            names = {keyword.arg for keyword in node.keywords}
        elif isinstance(node, ast.Dict):
            names = {key.value for key in node.keys if isinstance(key, ast.Constant)}
        found += {"width", "vocabulary"} <= names
    return found


def test_no_other_file_writes_out_a_list_of_models():
    """A few of its own are examples; as many as there are kinds of attention are a list."""
    root = Path(__file__).parents[1]
    counts = {
        path.relative_to(root).as_posix(): models_in(path)
        for folder in ("numtx", "tests")
        for path in (root / folder).rglob("*.py")
        # Those of others, each as it is, and examples, each with a text of its own, are no list.
        if path.parent.name not in ("comparison", "examples")
    }
    found = {name for name, n in counts.items() if n >= len(KINDS)}
    assert found and {name.rpartition("/")[0] for name in found} == {"numtx/models"}, found
