"""Prefill, one step of decode, and whole generations.

After every step of decode the cache is cut back, so that each step has the same context.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rows import Measured, Pair, row
from shapes_of_rows import gpt2, gpt2_small, llama_15m
from timing import Program

import numtx
from numtx.cache import Cache
from numtx.decoding import generate
from numtx.step import step

TRANSFORMERS = ("torch", "transformers")
BLOCK = 2**20  # numbers whose squares are added up in float32
GPT2 = "GPT-2-small shape"


def drawn(vocabulary: int, length: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, vocabulary, (1, length))


def numtx_decode(config: numtx.Config, parameters: Any, ids: np.ndarray) -> Program:
    """The step of the last token, after all others."""
    cache = Cache(config, parameters, 1)
    step(config, parameters, numtx.Batch(ids[:, :-1]), cache)
    batch = numtx.Batch(ids[:, -1:])

    def decode() -> Any:
        logits = step(config, parameters, batch, cache).logits
        cache.truncate(ids.shape[1] - 1)
        return logits

    return decode


def transformers_decode(model: Any, ids: np.ndarray) -> Program:
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    tokens = torch.from_numpy(ids)
    with torch.inference_mode():
        model(tokens[:, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)

    def decode() -> Any:
        with torch.inference_mode():
            logits = model(tokens[:, -1:], past_key_values=cache, use_cache=True).logits
            cache.crop(-1)
            return logits

    return decode


@cache
def peer_of_gpt2_small(quick: bool) -> Any:
    from outside import written

    return written(*gpt2_small(quick), "gpt2")


DECODE = f"decode, {GPT2}, context "
SDPA = "transformers, sdpa"


@row("decode-128", DECODE + "128", SDPA, 1.25, *TRANSFORMERS, context=128)
@row("decode-1023", DECODE + "1023", SDPA, 1.55, *TRANSFORMERS, context=1023)
def decode(quick: bool, context: int) -> Measured:
    config, parameters = gpt2_small(quick)
    ids = drawn(config.vocabulary, min(context + 1, config.position_limit))
    theirs = transformers_decode(peer_of_gpt2_small(quick), ids)
    return Pair(numtx_decode(config, parameters, ids), theirs)


@row("decode-128-limit", DECODE + "128", "reading all weights once", 0.91, context=128)
@row("decode-1023-limit", DECODE + "1023", "reading all weights once", 0.8, context=1023)
def decode_limit(quick: bool, context: int) -> Measured:
    """The sum of the squares of every weight, each read once: what no step can do without."""
    config, parameters = gpt2_small(quick)
    ids = drawn(config.vocabulary, min(context + 1, config.position_limit))
    names = [name for name in parameters if name != "decoder.positions"]  # a step reads one row
    wholes = [parameters[name].reshape(-1) for name in names]
    arrays = [x for whole in wholes for x in np.array_split(whole, whole.size // BLOCK + 1)]

    def read() -> float:
        return sum(float(np.dot(array, array)) for array in arrays)

    def squares() -> float:
        return sum(float((array * array).sum(dtype=np.float64)) for array in arrays)

    return Pair(numtx_decode(config, parameters, ids), read, own=squares)


@row("prefill-512", f"prefill, {GPT2}, 512, last logits", SDPA, 0.97, *TRANSFORMERS, length=512)
@row("prefill-1024", f"prefill, {GPT2}, 1024, last logits", SDPA, 1, *TRANSFORMERS, length=1024)
def prefill(quick: bool, length: int) -> Measured:
    import torch

    config, parameters = gpt2_small(quick)
    ids = drawn(config.vocabulary, min(length, config.position_limit))
    batch, tokens, model = numtx.Batch(ids), torch.from_numpy(ids), peer_of_gpt2_small(quick)

    def ours() -> Any:
        return numtx.forward(config, parameters, batch, last_logits=True, keep=False)[0].logits

    def theirs() -> Any:
        with torch.inference_mode():
            return model(tokens, logits_to_keep=1, use_cache=False).logits

    return Pair(ours, theirs)


LLAMA = "decode, 15M Llama shape (d 288, 6 layers), context 128"


@row("decode-llama", LLAMA, SDPA, 2, *TRANSFORMERS)
def decode_llama(quick: bool) -> Measured:
    from outside import written

    config, ids = llama_15m(), drawn(32000, 129)
    parameters = numtx.initialise(config, 0)
    theirs = transformers_decode(written(config, parameters, "llama"), ids)
    return Pair(numtx_decode(config, parameters, ids), theirs)


@row("decode-llama-np", LLAMA, "llama3.np as shipped", 18, "llama3:Llama")
def decode_llama_np(quick: bool) -> Measured:
    """Its folder is to be on PYTHONPATH. It rotates pairs of neighbours, and keeps its own cache:
    a step at the same position overwrites the one before."""
    from config import ModelArgs
    from llama3 import Llama

    config, ids = replace(llama_15m(), rotary_layout="interleaved"), drawn(32000, 129)
    parameters = numtx.initialise(config, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        np.savez(path, **named_as_llama(config, parameters))
        model = Llama(str(path), ModelArgs())
    model(ids[:, :-1], 0)
    return Pair(numtx_decode(config, parameters, ids), lambda: model(ids[:, -1:], 128))


def named_as_llama(config: numtx.Config, parameters: Any) -> dict[str, np.ndarray]:
    """The tensors that llama3.np reads, [out, in]."""
    names = {"decoder.norm.gain": "model.norm.weight", "output.w": "lm_head.weight"}
    own, theirs = ("in", "gate", "out"), ("up", "gate", "down")
    for i in range(config.decoder_layers):
        attention, onward = f"decoder.{i}.self_attention", f"decoder.{i}.feed_forward"
        place = f"model.layers.{i}"
        for letter in "qkvo":
            names[f"{attention}.w_{letter}"] = f"{place}.self_attn.{letter}_proj.weight"
        for x, y in zip(own, theirs, strict=True):
            names[f"{onward}.w_{x}"] = f"{place}.mlp.{y}_proj.weight"
        names[f"{attention}.norm.gain"] = f"{place}.input_layernorm.weight"
        names[f"{onward}.norm.gain"] = f"{place}.post_attention_layernorm.weight"
    tensors = {name: parameters[own].T for own, name in names.items()}
    return {"model.embed_tokens.weight": parameters["decoder.embedding"], **tensors}


CONTINUED = numtx.Config(
    model="decoder-only", width=64, hidden=256, decoder_layers=4, heads=4, vocabulary=97,
    positions="rotary", norm_place="pre", activation="gelu_tanh", dtype="float32",
)  # fmt: skip


GAIN = "cache gain of a whole generation (d 64), "


@row("gain-512", GAIN + "512", "numtx, no cache", 22, tokens=512)
@row(
    "gain-1024", "cache gain of a whole generation, 1024 (d 64)", "numtx, no cache", 50, tokens=1024
)
def gain(quick: bool, tokens: int) -> Measured:
    parameters = numtx.initialise(CONTINUED, 0)

    def program(use_cache: bool) -> Program:
        return lambda: generate(
            CONTINUED, parameters, numtx.Batch([[1]]), use_cache=use_cache,
            max_new_tokens=8 if quick else tokens,
        ).new  # fmt: skip

    return Pair(program(True), program(False))


@row("generate", "generate 16 + 112 (d 64)", "transformers generate", 5, *TRANSFORMERS)
def whole_generation(quick: bool) -> Measured:
    import torch
    from outside import written

    config = gpt2(64, 4, 4, 97, 128)
    parameters = numtx.initialise(config, 0)
    ids, new = drawn(config.vocabulary, 16), 4 if quick else 112
    batch, tokens = numtx.Batch(ids), torch.from_numpy(ids)
    model = written(config, parameters, "gpt2")
    every = torch.ones_like(tokens)

    def ours() -> Any:
        return generate(config, parameters, batch, max_new_tokens=new).new

    def theirs() -> Any:
        return model.generate(
            tokens, attention_mask=every, max_new_tokens=new, do_sample=False, pad_token_id=0,
            eos_token_id=None,
        )[:, 16:].tolist()  # fmt: skip

    return Pair(ours, theirs)
