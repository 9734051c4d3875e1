"""A forward pass of which every intermediate array is kept, beside TransformerLens."""

from __future__ import annotations

from typing import Any

from rows import Measured, Pair, row
from rows_decoding import drawn
from shapes_of_rows import gpt2, gpt2_small

import numtx

LENS = ("TransformerLens run_with_cache", "torch", "transformer_lens:HookedTransformer")
# What both sides keep: numtx's name, theirs.
BOTH = {
    "self_attention.weights": "attn.hook_pattern",
    "self_attention.output": "hook_attn_out",
    "feed_forward.activation": "mlp.hook_post",
    "feed_forward.residual": "hook_resid_post",
}


@row("trace-tiny", "traced forward, tiny decoder (d 4, 2 layers, T 7)", LENS[0], 11, *LENS[1:],
     width=4, heads=2, length=7)  # fmt: skip
@row("trace-64", "traced forward, d 64, 4 layers, T 64", LENS[0], 4, *LENS[1:],
     width=64, heads=4, length=64)  # fmt: skip
def trace(quick: bool, width: int, heads: int, length: int) -> Measured:
    config = gpt2(width, 2 if width < 64 else 4, heads, 97, length)
    return traced(config, numtx.initialise(config, 0), length)


@row("trace-gpt2", "traced forward, GPT-2-small shape, T 128", LENS[0], 1.3, *LENS[1:])
def trace_gpt2(quick: bool) -> Measured:
    return traced(*gpt2_small(quick), 16 if quick else 128)


def traced(config: numtx.Config, parameters: Any, length: int) -> Measured:
    import torch
    from outside import lens

    ids = drawn(config.vocabulary, length)
    batch, tokens, model = numtx.Batch(ids), torch.from_numpy(ids), lens(config, parameters)

    def ours() -> Any:
        recorder = numtx.Recorder()
        numtx.forward(config, parameters, batch, recorder, keep=False)
        return recorder.values

    def theirs() -> Any:
        with torch.inference_mode():
            logits, kept = model.run_with_cache(tokens)
            return {"logits": logits, **kept}

    def own() -> list[Any]:
        kept = ours()
        return [kept["logits"], *(kept[f"decoder.{i}.{name}"] for i in layers for name in BOTH)]

    def expected() -> list[Any]:
        kept = theirs()
        return [kept["logits"], *(kept[f"blocks.{i}.{x}"] for i in layers for x in BOTH.values())]

    layers = range(config.decoder_layers)
    return Pair(ours, theirs, expected, own)
