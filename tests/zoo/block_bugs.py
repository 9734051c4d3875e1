"""Planted bugs: what stands around sublayers, and how they stand in a block."""

from __future__ import annotations

from .bug import Bug

BLOCK_BUGS = (
    Bug("the norm after with the gain of the norm before", "block",
        "y, within = at.norm(y, config, leaf)", "y, within = at.norm(y, config)",
        checks="norms_oracle", laws="S3"),
    Bug("the norm within the residual is that of the sum", "block",
        "y, within = at.norm(y, config, leaf)", "y, within = at.norm(skip + y, config, leaf)",
        checks="norms_oracle", laws="V11"),
    Bug("the gradient passes the norm within the residual by", "block",
        "dy = at.norm_backward(at.grad(leaf, dy), within, leaf)",
        "at.norm_backward(at.grad(leaf, dy), within, leaf)", checks="norms_oracle", laws="G1"),
    Bug("a residual takes the normed input", "block", "return at(\"norm\", h), norm",
        "x[...] = h\n    return at(\"norm\", h), norm", checks="norms_oracle", laws="S3"),
)  # fmt: skip
