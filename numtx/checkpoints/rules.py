"""What several fields of a config.json say together: angles, windows, biases, scales."""

from __future__ import annotations

import math
from typing import Any, Final

from ..config import Config
from ..config_rotary import LongropeScaling
from ..errors import CheckpointError
from .layout import Fields, Rule

ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh", "silu": "silu", "swish": "silu", "relu": "relu",
}  # fmt: skip

# Names in rope_parameters, the fields of our record, and what transformers takes in their absence.
_PARTS: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "linear": {"factor": ("factor", None)},
    "llama3": {
        "factor": ("factor", None), "low_freq_factor": ("low", None),
        "high_freq_factor": ("high", None), "original_max_position_embeddings": ("original", None),
    },
    "yarn": {
        "factor": ("factor", None), "original_max_position_embeddings": ("original", None),
        "beta_fast": ("beta_fast", 32.0), "beta_slow": ("beta_slow", 1.0),
        "truncate": ("truncate", True), "attention_factor": ("attention_factor", 0),
        "mscale": ("mscale", 0), "mscale_all_dim": ("mscale_all_dim", 0),
    },
    "longrope": {
        "short_factor": ("short", None), "long_factor": ("long", None), "factor": ("factor", None),
        "attention_factor": ("attention_factor", 0),
        "original_max_position_embeddings": ("original", None),
    },
}  # fmt: skip


def rotary(base: float = 10000.0, original: int | None = None) -> Rule:
    """rope_parameters, and what older files say instead: rope_theta, rope_scaling,
    partial_rotary_factor; what stands inside wins.

    base      where the file is silent
    original  of longrope: the length of the training where the file is silent; such a family
              scales in this way only, and says the length outside of the record
    """

    def read(theirs: Fields, ours: Fields) -> None:
        _read_rotary(theirs, ours, base, original)

    keys = ("rope_parameters", "rope_theta", "rope_scaling", "partial_rotary_factor",
            "max_position_embeddings", "original_max_position_embeddings")  # fmt: skip
    return Rule(keys, read, _write_rotary)


def _read_rotary(theirs: Fields, ours: Fields, base: float, original: int | None) -> None:
    given: Fields = {"rope_theta": base, "partial_rotary_factor": 1.0}
    given |= {k: theirs[k] for k in given if theirs.get(k) is not None}
    for name in ("rope_scaling", "rope_parameters"):
        inside = theirs.get(name) or {}
        if not isinstance(inside, dict):
            raise CheckpointError(f"{name} is {str(inside)[:60]}; it is an object")
        given |= inside
    kind = given.pop("rope_type", given.pop("type", "default"))
    given.pop("type", None)
    ours["position_base"] = _number("rope_theta", given.pop("rope_theta"))
    part = _number("partial_rotary_factor", given.pop("partial_rotary_factor"))
    if part > 1:
        raise CheckpointError(f"partial_rotary_factor is {part!r}; it is at most 1")
    if part != 1:
        d_k = ours.get("key_width") or ours["width"] // ours["heads"]
        ours["rotary_width"] = int(d_k * part)
    if original is not None:
        kind = "longrope" if kind in ("su", "yarn") else kind  # its own names for the same
        given["original_max_position_embeddings"] = theirs.get(
            "original_max_position_embeddings", original
        )
    if kind == "default":
        given.pop("original_max_position_embeddings", None)
    allowed = ("linear", "llama3", "yarn") if original is None else ("longrope",)
    if kind not in ("default", *allowed):
        raise CheckpointError(f"rope_type is {kind!r}; known: default, {', '.join(allowed)}")
    ours["rotary_scaling"] = _record(kind, given, theirs) if kind != "default" else None
    if kind == "default" and given:
        raise CheckpointError(f"rope_parameters: {next(iter(given))!r} without a rope_type")


def _write_rotary(config: Config, file: Fields) -> None:
    values: Fields = {"rope_type": "default", "rope_theta": config.position_base}
    if config.rotated != config.d_k and config.d_k:
        part = config.rotated / config.d_k
        if int(part * config.d_k) != config.rotated:  # what transformers makes of it
            part = (config.rotated + 0.5) / config.d_k
        values["partial_rotary_factor"] = part
    scaling = config.rotary_scaling
    if scaling is not None and not isinstance(scaling, tuple):
        values["rope_type"] = scaling.kind
        for name, (ours, default) in _PARTS[scaling.kind].items():
            value = getattr(scaling, ours)
            if value is not None and value != default:
                values[name] = list(value) if isinstance(value, tuple) else value
        if isinstance(scaling, LongropeScaling):
            length = values.pop("original_max_position_embeddings")
            file["original_max_position_embeddings"] = length
            file["max_position_embeddings"] = max(1, round(length * scaling.factor))
    file["rope_parameters"] = values


def _record(kind: str, given: Fields, theirs: Fields) -> Any:
    """The record of a scaling, in JSON."""
    parts, record = _PARTS[kind], {"kind": kind}
    longest = theirs.get("max_position_embeddings")
    if kind == "yarn":
        given.setdefault("original_max_position_embeddings", longest)
    length = given.get("original_max_position_embeddings")
    if kind in ("yarn", "longrope") and given.get("factor") is None and longest is not None:
        given["factor"] = _number("max_position_embeddings", longest) / _number(
            "original_max_position_embeddings", length
        )
    for name in given:
        if name not in parts:
            raise CheckpointError(f"rope_parameters: {name!r} is not known for rope_type {kind}")
    for name, (ours, default) in parts.items():
        value = given.get(name)
        if value is None and default is None:
            raise CheckpointError(f"rope_parameters: {name!r} is missing, and {kind} needs it")
        value = default if value is None else value
        if value or default != 0:
            record[ours] = value
    return record


def _number(name: str, value: Any) -> Any:
    """A number above 0, as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise CheckpointError(f"{name} is {str(value)[:60]!r}; it is a number above 0")
    return value


def window_everywhere(default: int | None = None) -> Rule:
    """sliding_window of all layers; null: none.

    default  where the file does not say
    """

    def read(theirs: Fields, ours: Fields) -> None:
        window = theirs.get("sliding_window", default)
        ours["window"] = None if window is None else _number("sliding_window", window)

    def write(config: Config, file: Fields) -> None:
        file["sliding_window"] = config.window

    return Rule(("sliding_window",), read, write)


def _read_window_by_layer(theirs: Fields, ours: Fields) -> None:
    types, window = theirs.get("layer_types"), theirs.get("sliding_window", 4096)
    layers, first = ours["decoder_layers"], theirs.get("max_window_layers", 28)
    if not isinstance(first, int):
        raise CheckpointError(f"max_window_layers is {str(first)[:60]!r}; it is a whole number")
    used = theirs.get("use_sliding_window", False) and window is not None
    reach = {"full_attention": None, "sliding_attention": window if used else None}
    if types is None:
        types = ["full_attention" if i < first else "sliding_attention" for i in range(layers)]
    elif not isinstance(types, list) or len(types) != layers:
        raise CheckpointError(f"layer_types is no list of {layers}, one a layer")
    elif not all(isinstance(one, str) and one in reach for one in types):
        raise CheckpointError(f"layer_types {str(types)[:60]}; known: {', '.join(reach)}")
    elif not used and "sliding_attention" in types:
        raise CheckpointError("layer_types has windows, and use_sliding_window is false")
    if used:
        _number("sliding_window", window)
    ours["window"] = tuple(reach[one] for one in types)


def _write_window_by_layer(config: Config, file: Fields) -> None:
    windows = [config.layer("decoder", i).window for i in range(config.decoder_layers)]
    sizes = {window for window in windows if window is not None}
    file["use_sliding_window"] = bool(sizes)
    if sizes:
        file["sliding_window"] = max(sizes)
        file["layer_types"] = [
            "full_attention" if window is None else "sliding_attention" for window in windows
        ]


WINDOW_BY_LAYER = Rule(
    ("use_sliding_window", "sliding_window", "max_window_layers", "layer_types"),
    _read_window_by_layer, _write_window_by_layer,
)  # fmt: skip


def biases(key: str, default: bool, *names: str) -> Rule:
    """A switch for several biases."""

    def read(theirs: Fields, ours: Fields) -> None:
        value = theirs.get(key, default)
        if type(value) is not bool:
            raise CheckpointError(f"{key} is {value!r}; it is true or false")
        if value:
            ours["biases"].update(names)

    def write(config: Config, file: Fields) -> None:
        file[key] = all(config.has_bias(name) for name in names)

    return Rule((key,), read, write)


def hidden_of_width(key: str | None = None) -> Rule:
    """A hidden layer four times as wide, unless a field says otherwise."""

    def read(theirs: Fields, ours: Fields) -> None:
        given = None if key is None else theirs.get(key)
        ours["hidden"] = 4 * ours["width"] if given is None else given

    def write(config: Config, file: Fields) -> None:
        if key is not None:
            file[key] = config.hidden

    return Rule(() if key is None else (key,), read, write)


def _read_scale_embedding(theirs: Fields, ours: Fields) -> None:
    ours["embedding_scale"] = math.sqrt(ours["width"]) if theirs.get("scale_embedding") else 1.0


def _write_scale_embedding(config: Config, file: Fields) -> None:
    file["scale_embedding"] = config.embedding_scale != 1.0


SCALE_EMBEDDING = Rule(("scale_embedding",), _read_scale_embedding, _write_scale_embedding)


def _read_root(theirs: Fields, ours: Fields) -> None:
    ours["embedding_scale"] = math.sqrt(ours["width"])


ROOT_OF_WIDTH = Rule((), _read_root, lambda config, file: None)


def _read_scale_scores(theirs: Fields, ours: Fields) -> None:
    ours["score_scale"] = None if theirs.get("scale_attn_weights", True) else 1.0


def _write_scale_scores(config: Config, file: Fields) -> None:
    file["scale_attn_weights"] = config.score_scale is None


SCALE_SCORES = Rule(("scale_attn_weights",), _read_scale_scores, _write_scale_scores)
