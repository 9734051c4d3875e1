"""numtx against models of `transformers` whose positions act in the scores: biases by buckets,
scaled angles, layers without them. Their norms, angles and logarithms are taken in float32
whatever the type, so the bounds are those of float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from test_transformers import IDS, Renamed, built, compare  # noqa: E402

from numtx import Batch, Config  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.heavy]
SINGLE = 5e-6
LONG = np.array([[1, 5, 5, 2, 9, 4, 7, 3, 8, 6, 2, 10, 1, 4, 4, 9, 3, 5, 6, 0]])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("count", "farthest"), [(8, 9), (32, 128), (6, 5)])
def test_biases_by_buckets(seed: int, count: int, farthest: int) -> None:
    generator = np.random.default_rng(seed)
    model = built(
        "T5ForConditionalGeneration",
        transformers.T5Config(
            vocab_size=11, d_model=12, d_kv=5, d_ff=20, num_layers=2, num_decoder_layers=3,
            num_heads=3, relative_attention_num_buckets=count,
            relative_attention_max_distance=farthest, dropout_rate=0.0, decoder_start_token_id=0,
            feed_forward_proj="relu", pad_token_id=8,
        ),
    )  # fmt: skip
    config = Config(
        width=12, encoder_layers=2, decoder_layers=3, heads=3, key_width=5, hidden=20,
        vocabulary=11, norm="rms", norm_place="pre", epsilon=1e-6, biases=False, score_scale=1.0,
        positions="relative", relative_buckets=count, relative_distance=farthest,
        tied_output=True, output_scale=12**-0.5,
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("embedding", "shared.weight")
    for side in ("encoder", "decoder"):
        first = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        renamed.add(f"{side}.relative_bias", first)
        renamed.norm(f"{side}.norm", f"{side}.final_layer_norm")
        for i in range(config.layers(side)):
            for n, sublayer in enumerate(config.sublayers(side)):
                ours, theirs = f"{side}.{i}.{sublayer}", f"{side}.block.{i}.layer.{n}"
                renamed.norm(f"{ours}.norm", f"{theirs}.layer_norm")
                if sublayer == "feed_forward":
                    renamed.linear(ours, "in", f"{theirs}.DenseReluDense.wi")
                    renamed.linear(ours, "out", f"{theirs}.DenseReluDense.wo")
                    continue
                kind = "SelfAttention" if n == 0 else "EncDecAttention"
                for letter in "qkvo":
                    renamed.linear(ours, letter, f"{theirs}.{kind}.{letter}")
    source, target = generator.integers(0, 8, (2, 14)), generator.integers(0, 8, (2, 11))
    logits = model(torch.from_numpy(source), decoder_input_ids=torch.from_numpy(target)).logits
    compare(config, renamed, Batch(source, target), logits, close=SINGLE)


def llama_like(renamed: Renamed, config: Config) -> None:
    renamed.add("decoder.embedding", "model.embed_tokens.weight")
    renamed.norm("decoder.norm", "model.norm")
    renamed.add("output.w", "lm_head.weight", transposed=True)
    for i in range(config.decoder_layers):
        ours, theirs = f"decoder.{i}", f"model.layers.{i}"
        renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.input_layernorm")
        renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.post_attention_layernorm")
        for letter in "qkvo":
            renamed.linear(f"{ours}.self_attention", letter, f"{theirs}.self_attn.{letter}_proj")
        for letter, name in (("gate", "gate"), ("in", "up"), ("out", "down")):
            renamed.linear(f"{ours}.feed_forward", letter, f"{theirs}.mlp.{name}_proj")


ROPE = {"rope_theta": 100.0}
SCALED: dict[str, tuple[str, dict[str, Any], Any]] = {
    "linear": ("Llama", {"rope_type": "linear", "factor": 2.5}, {"kind": "linear", "factor": 2.5}),
    "bands": (
        "Llama",
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 0.2, "high_freq_factor": 2.0,
         "original_max_position_embeddings": 16},
        {"kind": "llama3", "factor": 8.0, "low": 0.2, "high": 2.0, "original": 16},
    ),
    "ramp": (
        "Qwen3",
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
         "beta_fast": 4.0, "beta_slow": 0.5, "truncate": False},
        {"kind": "yarn", "factor": 4.0, "original": 32, "beta_fast": 4.0, "beta_slow": 0.5,
         "truncate": False},
    ),
    "ramp of whole pairs": (
        "Llama",
        {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 64},
        {"kind": "yarn", "factor": 3.0, "original": 64},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALED)
def test_scaled_angles(name: str) -> None:
    """Past the original length, too."""
    family, theirs, ours = SCALED[name]
    model = built(
        f"{family}ForCausalLM",
        getattr(transformers, f"{family}Config")(
            vocab_size=11, hidden_size=12, intermediate_size=20, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5,
            max_position_embeddings=128, rope_parameters={**ROPE, **theirs},
            tie_word_embeddings=False,
        ),
    )  # fmt: skip
    config = Config(
        model="decoder-only", width=12, decoder_layers=3, heads=4, key_value_heads=2, key_width=8,
        hidden=20, vocabulary=11, norm="rms", norm_place="pre", biases=False, gated=True,
        activation="silu", positions="rotary", position_base=100.0, rotary_scaling=ours,
        query_key_norm="head" if family == "Qwen3" else None,
    )  # fmt: skip
    renamed = Renamed(model)
    llama_like(renamed, config)
    if family == "Qwen3":
        for i in range(3):
            place = f"decoder.{i}.self_attention"
            for letter, word in (("q", "query"), ("k", "key")):
                renamed.norm(f"{place}.{word}_norm", f"model.layers.{i}.self_attn.{letter}_norm")
    logits = model(torch.from_numpy(LONG)).logits
    compare(config, renamed, Batch(LONG), logits, close=SINGLE)


def test_layers_without_positions() -> None:
    model = built(
        "SmolLM3ForCausalLM",
        transformers.SmolLM3Config(
            vocab_size=11, hidden_size=16, intermediate_size=20, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, pad_token_id=8,
            no_rope_layers=[1, 1, 0, 1], tie_word_embeddings=False, max_position_embeddings=64,
        ),
    )  # fmt: skip
    rope = model.config.rope_parameters["rope_theta"]
    config = Config(
        model="decoder-only", width=16, decoder_layers=4, heads=4, key_value_heads=2, hidden=20,
        vocabulary=11, norm="rms", norm_place="pre", biases=False, gated=True, activation="silu",
        positions=("rotary", "rotary", None, "rotary"), position_base=rope,
    )  # fmt: skip
    renamed = Renamed(model)
    llama_like(renamed, config)
    logits = model(torch.from_numpy(IDS)).logits
    compare(config, renamed, Batch(IDS), logits, close=SINGLE)
