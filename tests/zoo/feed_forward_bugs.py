"""Planted bugs: gates with limits, routers, experts."""

from __future__ import annotations

from .bug import Bug

FEED_FORWARD_BUGS = (
    Bug("a gate is held below too", "feed_forward.dense", "clamp_forward(first, None, limit)",
        "clamp_forward(first, -limit, limit)", checks="gates_oracle", laws="V11 S3"),
    Bug("what a gate multiplies is held above only", "feed_forward.dense",
        "clamp_forward(hidden, low, limit, shift)", "clamp_forward(hidden, None, limit, shift)",
        checks="gates_oracle", laws="V11"),
    Bug("shifted before it is clamped", "feed_forward.dense",
        "clamp_forward(hidden, low, limit, shift)",
        "clamp_forward(hidden + shift, low, limit, 0.0)", checks="gates_oracle", laws="V11"),
    Bug("the shift of a gate forgotten", "ops.clamp", "return y + shift if shift else y",
        "return y", checks="gates_oracle", laws="S3"),
    Bug("a gradient beyond the limit", "ops.clamp",
        "dy = np.where(x > high, dy.dtype.type(0), dy)", "pass",
        checks="gates_oracle", laws="V11 G1"),
    Bug("the gate's gradient without what it multiplies", "feed_forward.dense",
        'at.grad("activation", dinner * passing)', 'at.grad("activation", dinner * hidden)',
        checks="gates_oracle", laws="G1"),
)  # fmt: skip
