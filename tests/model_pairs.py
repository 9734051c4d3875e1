"""Which mechanisms the list of models has to have together, and which it cannot or need not."""

from __future__ import annotations

from numtx.config.wiring import NORM_PLACES

BY_LAYER = "by layer"
YES_NO = ("yes", "no")

PAIRS: dict[tuple[str, str], str] = {
    ("kind", "positions"): "what is rotated, and whether it is cached, each kind decides",
    ("kind", "model"): "cross-attention beside it, a mask that is causal or not",
    ("kind", "storage"): "each kind has its own streams",
    ("kind", "bias of the keys"): "a bias is as wide as the groups; latents have it further on",
    ("kind", "own width of values"): "heads are merged by d_v, and scaled by d_k",
    ("model", "positions"): "each stack counts its own; a memory is not rotated",
    ("positions", "storage"): "positions go on from what the cache holds",
    ("window", "storage"): "a ring forgets what a window hides, the others hide it only",
    ("window", "causal"): "the two masks meet, or the window reaches one way only",
    ("normed queries", "rotated"): "the norm stands before the rotation",
    ("normed queries", "model"): "a memory's keys are normed once, its queries in every step",
    ("normed queries", "storage"): "keys are kept as they are after the norm",
    ("normed queries", "kind"): "a gain serves every head, and every group",
    ("lengthened", "storage"): "keys are kept lengthened, and turned without it in a shift",
    ("lengthened", "latent"): "only the rotated part of a key from latents is lengthened",
    ("normed whole", "normed after"): "both go either way round",
    ("normed after", "norm's gain"): "without a gain the order does not matter",
    ("latent", "score scale"): "the default counts the rotated part too",
    ("rotated", "score scale"): "the same",
    ("latent", "projection"): "values are made per head, then merged",
    ("rotated", "dtype"): "angles are computed in float64",
    ("latent", "dtype"): "factors must not widen float32",
    ("storage", "dtype"): "streams are stored as they come",
    ("score cap", "slopes"): "a cap stands before the bias",
    ("score cap", "score scale"): "and after the scale",
    ("score cap", "latent"): "each kind of attention hands it on",
    ("sinks", "model"): "cross-attention has none",
    ("sinks", "storage"): "a step has them too",
    ("sinks", "latent"): "each kind of attention hands them on",
    ("sinks", "slopes"): "no bias is added to a sink",
    ("sinks", "score cap"): "and it is not capped",
    ("sinks", "window"): "nor masked",
    ("logit cap", "smoothing"): "the loss is of capped logits, all of them",
    ("logit cap", "tied"): "the cap stands after the shared table",
    ("norm", "norm_place"): "a stack ends in a norm of its own, or does not",
    ("norm", "embedding norm"): "the norm of the input is of the same kind",
    ("norm_place", "residual"): "what a residual adds stands before or after the norm",
    ("norm_place", "part added"): "the factor stands after a norm within the residual",
    ("activation", "gated"): "the gate goes through the activation, and the other does not",
    ("layer of the head", "norm"): "it ends in a norm of the model's kind",
    ("pooler", "layer of the head"): "both read the last stack, and their gradients add up",
    ("layer of the head", "tied"): "it stands before the shared table",
    ("layer of the head", "output scale"): "the scale is on the way from it to the logits",
    ("tied", "own vocabulary of the source"): "one table has up to three uses, all with gradients",
    ("tied", "output scale"): "the scale is on the way to the shared table",
    ("tied", "embedding scale"): "a table is scaled where it is read, not where it is multiplied",
    ("tied", "bias of the output"): "the bias stays where the matrix goes",
    ("segments", "storage"): "generated tokens have a segment too",
    ("offset", "storage"): "an offset is added to what the cache counts",
    ("output scale", "storage"): "only the last position is scaled in a step",
    ("smoothing", "summed loss"): "what is spread over all words is summed, or averaged, as well",
    ("smoothing", "output scale"): "the loss spreads over all logits",
}
# What no configuration can have, and what the pair has no need of.
IMPOSSIBLE = {
    *(("kind", kind, "positions", "relative") for kind in ("latent", "latents")),
    *(("norm", "None", "norm_place", place) for place in NORM_PLACES),
    ("norm", "None", "embedding norm", "yes"), ("layer of the head", "yes", "norm", "None"),
    *(("normed queries", has, "kind", kind) for has in YES_NO for kind in ("latent", "latents")),
    ("window", "no", "storage", "ring"), ("dtype", "float32", "storage", "ring"),
}  # fmt: skip
NEEDLESS = {
    ("kind", "multi-query", "positions", "relative"),
    ("model", "encoder-only", "positions", "relative"),  # the encoder of a pair has it
    ("kind", "latents", "positions", "alibi"),
    ("storage", "contiguous", "dtype", "float32"), ("storage", "ring", "dtype", "float32"),
    ("segments", "yes", "storage", "contiguous"), ("segments", "yes", "storage", "ring"),
    ("offset", "yes", "storage", "paged"), ("lengthened", "yes", "storage", "ring"),
    ("output scale", "yes", "storage", "ring"),
    ("window", "no", "causal", "no"), ("window", BY_LAYER, "causal", "no"),
}  # fmt: skip
