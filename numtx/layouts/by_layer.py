"""What a config.json says of layers that differ: which of them have a window, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..config import Config
from ..errors import CheckpointError
from .essence import Fields
from .layout import Rule
from .rules import number_above, scaling_of, write_rotary

FULL, SLIDING = "full_attention", "sliding_attention"
Windowed = Callable[[int, int], bool]  # of a layer, from its number and the pattern's length


def windows(
    windowed: Windowed,
    pattern: tuple[str, int] | None = None,
    name: str = "sliding_window",
    default: int = 4096,
    both_ways: bool = False,
) -> Rule:
    """layer_types, or a pattern that repeats, and one window for all layers that have one.

    windowed   which layers have it where layer_types is absent
    pattern    the field with the pattern's length, and the length where it is absent; None: the
               family has no such field
    both_ways  the field counts what is seen to both sides, without the token itself
    """

    def read(theirs: Fields, ours: Fields) -> None:
        layers, length = depth_of(ours), 1
        if pattern is not None:
            length = theirs.get(*pattern)
            if type(length) is not int or length < 1:
                raise CheckpointError(f"{pattern[0]} is {str(length)[:60]!r}; it is 1 or above")
        types = theirs.get("layer_types")
        if types is None:
            types = [SLIDING if windowed(i, length) else FULL for i in range(layers)]
        if not isinstance(types, list) or len(types) != layers:
            raise CheckpointError(f"layer_types is no list of {layers}, one a layer")
        if not all(one in (FULL, SLIDING) for one in types):
            raise CheckpointError(f"layer_types {str(types)[:60]}; known: {FULL}, {SLIDING}")
        window = number_above(name, theirs.get(name, default))
        window = window // 2 + 1 if both_ways else window
        ours["window"] = tuple(window if one == SLIDING else None for one in types)

    def write(config: Config, file: Fields) -> None:
        found = [layer.window for layer in layers_of(config)]
        size = max((one for one in found if one is not None), default=None)
        if size is not None:
            file[name] = 2 * (size - 1) if both_ways else size
        file["layer_types"] = [FULL if one is None else SLIDING for one in found]

    names = () if pattern is None else (pattern[0], f"_{pattern[0]}")
    return Rule((name, "layer_types", *names), read, write)


def bases(full: tuple[str, float], sliding: tuple[str, float], scaled: tuple[str, ...]) -> Rule:
    """rope_parameters of either type of layer; the windows were read before.

    full, sliding  the field of the base in older files, and the base where there is none
    scaled         the types whose angles an older file's rope_scaling changes
    """
    older = {FULL: full, SLIDING: sliding}

    def read(theirs: Fields, ours: Fields) -> None:
        nested, scaling = theirs.get("rope_parameters") or {}, theirs.get("rope_scaling") or {}
        if not isinstance(nested, dict) or not {*nested} <= {*older}:
            raise CheckpointError(
                f"rope_parameters is {str(nested)[:60]}; it has {FULL} and {SLIDING}"
            )
        found: dict[str, tuple[Any, Any]] = {}
        for kind, (name, base) in older.items():
            given: Fields = {"rope_theta": theirs.get(name) or base}
            for inside in (scaling if kind in scaled else {}, nested.get(kind) or {}):
                if not isinstance(inside, dict):
                    raise CheckpointError(f"rope_parameters: {kind} is {str(inside)[:60]}")
                given |= inside
            how = given.pop("rope_type", given.pop("type", "default"))
            given.pop("type", None)
            base = number_above("rope_theta", given.pop("rope_theta"))
            if given.get("truncate") is False:  # transformers looks for it elsewhere
                raise CheckpointError(f"rope_parameters: {kind} has truncate false, without effect")
            found[kind] = base, scaling_of(how, ("linear", "llama3", "yarn"), given, theirs)
        types = [FULL if window is None else SLIDING for window in ours["window"]]
        ours["position_base"] = tuple(found[kind][0] for kind in types)
        ours["rotary_scaling"] = tuple(found[kind][1] for kind in types)

    def write(config: Config, file: Fields) -> None:
        nested = {kind: {"rope_type": "default", "rope_theta": b} for kind, (_, b) in older.items()}
        for layer in layers_of(config):
            own: Fields = {}
            write_rotary(layer, own)
            nested[FULL if layer.window is None else SLIDING] = own["rope_parameters"]
        file["rope_parameters"] = nested

    keys = ("rope_parameters", "rope_scaling", "max_position_embeddings", full[0], sliding[0])
    return Rule(keys, read, write)


def _read_rotated(theirs: Fields, ours: Fields) -> None:
    ours["positions"] = tuple(None if window is None else "rotary" for window in ours["window"])


ROTATED_IN_WINDOWS: Final = Rule((), _read_rotated, lambda config, file: None)


def _read_first_norm(theirs: Fields, ours: Fields) -> None:
    ours["norm_at"] = (("encoder.feed_forward",), *(True for _ in range(1, depth_of(ours))))


# The embeddings come out of a norm: the first layer has none before its attention.
NO_FIRST_NORM: Final = Rule((), _read_first_norm, lambda config, file: None)


def depth_of(ours: Fields) -> int:
    """How many layers there are."""
    depth: int = ours.get("decoder_layers") or ours["encoder_layers"]
    return depth


def layers_of(config: Config) -> list[Config]:
    """The configuration of each layer of the only stack."""
    side = config.sides[0]
    return [config.layer(side, i) for i in range(config.layers(side))]
