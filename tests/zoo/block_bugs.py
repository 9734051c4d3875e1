"""Planted bugs: what stands around sublayers, and how they stand in a block."""

from __future__ import annotations

from .bug import Bug

BLOCK_BUGS = (
    Bug("the norm after with the gain of the norm before", "block",
        "y, within = at.norm(y, config, leaf)", "y, within = at.norm(y, config)",
        checks="norms_oracle", laws="S3"),
    Bug("the norm within the residual is that of the sum", "block",
        "y, within = at.norm(y, config, leaf)", "y, within = at.norm(skip + y, config, leaf)",
        checks="norms_oracle", laws="V21"),
    Bug("the gradient passes the norm within the residual by", "block",
        "dy = at.norm_backward(at.grad(leaf, dy), within, leaf)",
        "at.norm_backward(at.grad(leaf, dy), within, leaf)", checks="norms_oracle", laws="G1"),
    Bug("a residual takes the normed input", "block", "return at(\"norm\", h), norm",
        "x[...] = h\n    return at(\"norm\", h), norm", checks="norms_oracle", laws="S3"),
    Bug("a gain less 1 without its 1", "place", "gain = gain + config.gain_offset", "pass",
        checks="gains_oracle", laws="V23"),
    Bug("a gain less 1 with its 1 twice", "place", "gain = gain + config.gain_offset",
        "gain = gain + 2 * config.gain_offset", checks="gains_oracle", laws="S3"),
    Bug("the part that is added is all", "block", "y * residual)", "y)",
        checks="added_oracle", laws="V24"),
    Bug("the skip is scaled, not the branch", "block", "y = at(\"residual\", skip + y)",
        "y = at(\"residual\", skip * residual + y / residual)", checks="added_oracle",
        laws="S3"),
    Bug("the factor on what is added lost in backward", "block",
        "dy = at.grad(\"scaled_output\", dy) * residual", "dy = at.grad(\"scaled_output\", dy)",
        checks="added_oracle", laws="G1"),
    Bug("sublayers side by side stand one after the other", "block",
        "x if config.parallel is None else beside)", "x)", checks="parallel_oracle", laws="V22"),
    Bug("side by side without the norm that they share", "block", "        beside = h\n",
        "        beside = x\n", checks="parallel_oracle", laws="S3"),
    Bug("the shared norm has the gradient of self-attention alone", "block",
        "dh = dh + dbeside", "dh = dh + 0.0 * dbeside", checks="parallel_oracle", laws="G1"),
    Bug("side by side the input has no gradient of the second norm", "block",
        "dskip = dskip + dbeside", "dskip = dskip + 0.0 * dbeside", checks="parallel_oracle",
        laws="G1"),
)  # fmt: skip
