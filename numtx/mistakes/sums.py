"""Mistakes in residuals and in sums of embeddings."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("残差", "residual", "residual")
def residual(at: At) -> Forms:
    skip, output = at.inputs
    yield "lost", output
    yield "the input added twice", 2.0 * skip + output
    yield "the output added twice", skip + 2.0 * output
    yield "the output left out", skip
    norm = at.near("norm")
    if norm is not None and at.config.norm_place == "pre":
        yield "of the normalised input, not of the input", norm + output


@cause("求和", "sum", "input embedding_sum")
def inputs(at: At) -> Forms:
    for k, name in enumerate(at.stage.inputs):
        leaf = name.rpartition(".")[2]
        if len(at.inputs) > 1:
            yield f"{leaf} left out", at.again({k: None})
            yield f"{leaf} added twice", at.again() + at.inputs[k]
        if leaf == "embedding":
            root = at.config.width**0.5
            yield "embedding multiplied by sqrt(width)", at.again({k: root * at.inputs[k]})
        if leaf == "scaled_embedding":
            yield "embedding not scaled", at.again({k: at.near("embedding")})
