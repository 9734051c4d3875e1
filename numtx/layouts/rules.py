"""What several fields of a config.json say together: angles, windows, biases, scales."""

from __future__ import annotations

import math
from typing import Any, Final

from ..config import Config
from ..config.rotary import LongropeScaling
from ..errors import CheckpointError
from .essence import Fields
from .layout import Rule

ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh", "quick_gelu": "gelu_sigmoid", "silu": "silu",
    "swish": "silu", "relu": "relu",
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


_ORIGINAL: Final = "original_max_position_embeddings"


def rotary(
    base: float = 10000.0,
    original: int | None = None,
    part: float | None = None,
    names: tuple[str, str] = ("rope_theta", "partial_rotary_factor"),
) -> Rule:
    """rope_parameters, and what older files say instead: rope_theta, rope_scaling,
    partial_rotary_factor; what stands inside wins.

    base      where the file is silent
    original  of longrope: the length of the training where the file is silent; such a family
              scales in this way only, says the length outside of the record, and may rotate a part
    part      of a family that may rotate a part: how much where the file is silent
    names     of base and part in older files
    """

    def read(theirs: Fields, ours: Fields) -> None:
        given: Fields = {"rope_theta": base, "partial_rotary_factor": part or 1.0}
        older = dict(zip(given, names, strict=True))
        given |= {k: theirs[n] for k, n in older.items() if theirs.get(n) is not None}
        for name in ("rope_scaling", "rope_parameters"):
            inside = theirs.get(name) or {}
            if not isinstance(inside, dict):
                raise CheckpointError(f"{name} is {str(inside)[:60]}; it is an object")
            given |= inside
        kind = given.pop("rope_type", given.pop("type", "default"))
        given.pop("type", None)
        ours["position_base"] = number_above("rope_theta", given.pop("rope_theta"))
        share = number_above("partial_rotary_factor", given.pop("partial_rotary_factor"))
        if share > 1 or (share != 1 and original is part is None):
            most = "1 in this family" if original is part is None else "at most 1"
            raise CheckpointError(f"partial_rotary_factor is {share!r}; it is {most}")
        if share != 1:
            d_k = ours.get("key_width") or ours["width"] // ours["heads"]
            ours["rotary_width"] = int(d_k * share)
        allowed: tuple[str, ...] = ("linear", "llama3", "yarn")
        if original is not None:
            kind = "longrope" if kind in ("su", "yarn") else kind  # its own names for the same
            given[_ORIGINAL] = theirs.get(_ORIGINAL, original)
            allowed = ("longrope",)
        ours["rotary_scaling"] = scaling_of(kind, allowed, given, theirs)

    def write(config: Config, file: Fields) -> None:
        if part is not None:
            file["rope_parameters"] = {"partial_rotary_factor": 1.0}
        write_rotary(config, file)

    keys = ("rope_parameters", "rope_theta", "rope_scaling", "partial_rotary_factor",
            "max_position_embeddings", *names)  # fmt: skip
    return Rule(keys if original is None else (*keys, _ORIGINAL), read, write)


def scaling_of(kind: Any, allowed: tuple[str, ...], given: Fields, theirs: Fields) -> Any:
    """The record of a scaling, in JSON; None: no scaling."""
    if kind == "default":
        given.pop(_ORIGINAL, None)
        if given:
            raise CheckpointError(f"rope_parameters: {next(iter(given))!r} without a rope_type")
        return None
    if kind not in allowed:
        raise CheckpointError(f"rope_type is {kind!r}; known: default, {', '.join(allowed)}")
    return _record(kind, given, theirs)


def write_rotary(config: Config, file: Fields) -> None:
    values: Fields = {"rope_type": "default", "rope_theta": config.position_base}
    values = {**file.get("rope_parameters", {}), **values}
    beside = config.attention == "latent"  # a part of its own, rotated whole
    if config.rotated != config.d_k and not beside:
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
            length = values.pop(_ORIGINAL)
            file[_ORIGINAL] = length
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
        given["factor"] = number_above("max_position_embeddings", longest) / number_above(
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


def number_above(name: str, value: Any) -> Any:
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
        ours["window"] = None if window is None else number_above("sliding_window", window)

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
        number_above("sliding_window", window)
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


def _read_vocabularies(theirs: Fields, ours: Fields) -> None:
    target = theirs.get("decoder_vocab_size") or ours["vocabulary"]
    if theirs.get("share_encoder_decoder_embeddings", True):
        if target != ours["vocabulary"]:
            raise CheckpointError(
                f"decoder_vocab_size is {target!r} and vocab_size {ours['vocabulary']}, though "
                "both sides share a table"
            )
    else:
        ours["source_vocabulary"], ours["vocabulary"] = ours["vocabulary"], target


def _write_vocabularies(config: Config, file: Fields) -> None:
    file["share_encoder_decoder_embeddings"] = config.shared_embedding
    file["vocab_size"] = config.vocabulary_of("encoder")
    file["decoder_vocab_size"] = config.vocabulary


VOCABULARIES = Rule(
    ("share_encoder_decoder_embeddings", "decoder_vocab_size"),
    _read_vocabularies, _write_vocabularies,
)  # fmt: skip


def _read_root(theirs: Fields, ours: Fields) -> None:
    ours["embedding_scale"] = math.sqrt(ours["width"])


ROOT_OF_WIDTH = Rule((), _read_root, lambda config, file: None)


def _read_scale_scores(theirs: Fields, ours: Fields) -> None:
    ours["score_scale"] = None if theirs.get("scale_attn_weights", True) else 1.0


def _write_scale_scores(config: Config, file: Fields) -> None:
    file["scale_attn_weights"] = config.score_scale is None


SCALE_SCORES = Rule(("scale_attn_weights",), _read_scale_scores, _write_scale_scores)


def feed_forward_proj(default: str) -> Rule:
    """The activation, with `gated-` before it where it gates; gated-gelu means the tanh form."""

    def read(theirs: Fields, ours: Fields) -> None:
        text = theirs.get("feed_forward_proj", default)
        word = str(text).removeprefix("gated-")
        gated = word != text
        word = "gelu_new" if gated and word == "gelu" else word
        if word not in ACTIVATIONS:
            raise CheckpointError(f"feed_forward_proj is {str(text)[:60]!r}; it is not known")
        for name, value in (("dense_act_fn", word), ("is_gated_act", gated)):
            if theirs.get(name, value) != value:
                raise CheckpointError(f"{name} is {theirs[name]!r}; by feed_forward_proj {value!r}")
        ours["activation"], ours["gated"] = ACTIVATIONS[word], gated

    def write(config: Config, file: Fields) -> None:
        word = "gelu_new" if config.activation == "gelu_tanh" else config.activation
        gated = "gated-gelu" if word == "gelu_new" else f"gated-{word}"
        file["feed_forward_proj"] = gated if config.gated else word

    return Rule(("feed_forward_proj", "dense_act_fn", "is_gated_act"), read, write)


def _read_decoder_layers(theirs: Fields, ours: Fields) -> None:
    given = theirs.get("num_decoder_layers")
    ours["decoder_layers"] = ours["encoder_layers"] if given is None else given


def _write_decoder_layers(config: Config, file: Fields) -> None:
    file["num_decoder_layers"] = config.decoder_layers


DECODER_LAYERS = Rule(("num_decoder_layers",), _read_decoder_layers, _write_decoder_layers)


def _read_scale_outputs(theirs: Fields, ours: Fields) -> None:
    scaled = theirs.get("scale_decoder_outputs")
    if scaled is None:  # as older files say it
        scaled = theirs.get("tie_word_embeddings", True) is not False
    ours["output_scale"] = ours["width"] ** -0.5 if scaled else 1.0


def _write_scale_outputs(config: Config, file: Fields) -> None:
    file["scale_decoder_outputs"] = config.output_scale != 1.0


SCALE_OUTPUTS = Rule(("scale_decoder_outputs",), _read_scale_outputs, _write_scale_outputs)


def _read_rotated_layers(theirs: Fields, ours: Fields) -> None:
    layers, every = ours["decoder_layers"], theirs.get("no_rope_layer_interval", 4)
    rotated = theirs.get("no_rope_layers")
    if rotated is None:
        if type(every) is not int or every < 1:
            raise CheckpointError(f"no_rope_layer_interval is {every!r}; it is 1 or above")
        rotated = [int((i + 1) % every != 0) for i in range(layers)]
    if (
        not isinstance(rotated, list)
        or len(rotated) != layers
        or not all(type(one) is int and one in (0, 1) for one in rotated)
    ):
        raise CheckpointError(f"no_rope_layers is no list of {layers} of 1 (rotated) and 0")
    ours["positions"] = tuple("rotary" if one else None for one in rotated)


def _write_rotated_layers(config: Config, file: Fields) -> None:
    layers = [config.layer("decoder", i) for i in range(config.decoder_layers)]
    file["no_rope_layers"] = [int(layer.positions == "rotary") for layer in layers]


ROTATED_LAYERS = Rule(
    ("no_rope_layers", "no_rope_layer_interval"), _read_rotated_layers, _write_rotated_layers
)


def _read_positions_after_pad(theirs: Fields, ours: Fields) -> None:
    pad, rows = theirs.get("pad_token_id", 1), theirs.get("max_position_embeddings", 512)
    if not type(pad) is type(rows) is int or not 0 <= pad < rows - 1:
        raise CheckpointError(f"pad_token_id {pad!r} and max_position_embeddings {rows!r}; the "
                              "positions begin after the row of the padding")  # fmt: skip
    ours["position_offset"], ours["position_limit"] = pad + 1, rows - pad - 1


def _write_positions_after_pad(config: Config, file: Fields) -> None:
    assert config.position_limit is not None  # positions are learned
    file["pad_token_id"] = config.position_offset - 1
    file["max_position_embeddings"] = config.position_limit + config.position_offset


POSITIONS_AFTER_PAD = Rule(
    ("pad_token_id", "max_position_embeddings"),
    _read_positions_after_pad, _write_positions_after_pad,
)  # fmt: skip
