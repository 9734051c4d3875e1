"""Context shift: tokens leave from the front, and those behind them move up.

What stays keeps its values; its rotated keys are turned from the old place to the new one:

    R(p - n)·k = R(-n)·(R(p)·k)

Source: Xiao et al., 2023, section 3.2 (the first tokens stay, as sinks of attention).
"""

from __future__ import annotations

import numpy as np

from ..attention import KINDS
from ..config import Config
from ..errors import CacheError
from ..ops.positions import rotate_forward, rotation
from ..shapes import Array, describe
from .ring import Ring
from .storage import Storage


def check_counts(method: str, valid: Array, **counts: int) -> None:
    """Raise `CacheError` unless every row holds as many tokens as are to be kept and dropped."""
    for name, value in counts.items():
        if type(value) is not int or value < 0:
            raise CacheError(
                f"{method}: {name} is {describe(value)}; it is a whole number of at least 0"
            )
    held = valid.sum(1)
    if sum(counts.values()) > held.min():
        told = ", ".join(f"{name}={value}" for name, value in counts.items())
        row = int(held.argmin())
        raise CacheError(f"{method}: {told} are more tokens than row {row} holds, {held[row]}")


def movable(config: Config) -> bool:
    """Whether positions are not part of what was computed: nobody can take them out again."""
    fixed = any(config.values_of("chunk")) or any(config.values_of("query_growth"))
    fixed = fixed or _bound(config)
    return not fixed and not {"sinusoidal", "learned"} & {*config.values_of("positions")}


def _bound(config: Config) -> bool:
    """Whether rotated keys were multiplied by a gain, under which they cannot be turned."""
    return config.query_key_norm_place == "after" and config.query_key_gain


def check_movable(config: Config, storage: Storage) -> None:
    """Raise `CacheError` for what cannot be moved."""
    if _bound(config):
        raise CacheError(
            "shift with query_key_norm_place 'after' and query_key_gain: the gain stands on "
            "rotated keys, which cannot be turned under it; run the tokens that stay once more"
        )
    if not movable(config):
        raise CacheError(
            "shift with sinusoidal or learned positions, chunks or growing queries: positions are "
            "part of what was computed; run the tokens that stay once more"
        )
    if isinstance(storage, Ring):
        raise CacheError("shift of a ring: it drops the oldest tokens itself")


def shifted(
    config: Config, storage: Storage, valid: Array, positions: Array, keep: int, drop: int
) -> tuple[Storage, Array, Array]:
    """A storage without the `drop` real tokens of each row after its first `keep`; which of its
    columns [B, length] hold a token, and their positions.

    Columns without a token in any row are given up. `storage` stays as it is.
    """
    count = np.cumsum(valid, 1)
    later = count > keep + drop
    valid = valid & ((count <= keep) | later)
    columns = np.flatnonzero(valid.any(0))
    valid, moved = valid[:, columns], np.where(later, drop, 0)[:, columns]
    positions = positions[:, columns] - moved
    new = storage.fork()
    new.truncate(0)
    new.reserve(len(columns))
    for layer in range(storage.layers):
        streams = {name: array[..., columns, :] for name, array in storage.read(layer).items()}
        own = config.layer("decoder", layer)
        if own.rotated:
            by = rotation(
                -moved, own.rotated, own.position_base, own.rotary_layout, config.dtype,
                own.rotary_scaling, lengthened=False,
            )  # fmt: skip
            name = KINDS[own.attention].rotated
            heads = streams[name].ndim == 4
            turned = rotate_forward(streams[name] if heads else streams[name][:, None], by)
            streams[name] = turned if heads else turned[:, 0]
        new.append(layer, streams)
    new.commit(valid)
    return new, valid, positions
