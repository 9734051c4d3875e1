"""Small random models of transformers, and their logits and gradients beside numtx's.

Run as a program, in a process of its own: `outside_families.py wide|shipped FOLDER` prints a line
of JSON, what is wrong with each family. `wide` binds float32 to float64 before any model is
imported, so that what transformers takes in float32 whatever the type (angles, norms, softmax) is
taken in float64 and the formulas are compared alone; `shipped` also writes folders, which
transformers loads.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

LLAMA = {
    "vocab_size": 13, "hidden_size": 16, "intermediate_size": 10, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
BART = {
    "vocab_size": 13, "d_model": 12, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 10,
    "decoder_ffn_dim": 10, "max_position_embeddings": 16, "pad_token_id": 12,
    "bos_token_id": None, "eos_token_id": None, "decoder_start_token_id": 2,
}  # fmt: skip
T5 = {
    "vocab_size": 13, "d_model": 12, "d_kv": 5, "d_ff": 10, "num_layers": 2, "num_heads": 3,
    "num_decoder_layers": 3, "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9, "decoder_start_token_id": 0, "pad_token_id": 12,
}  # fmt: skip
BANDS = {
    "rope_theta": 1e4, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
}  # fmt: skip
YARN = {
    "rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8,
}  # fmt: skip
LONG = {
    "rope_theta": 1e4, "rope_type": "longrope", "short_factor": [1.5], "long_factor": [3.0],
    "factor": 4.0,
}  # fmt: skip
BERT = {
    "vocab_size": 13, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3,
    "intermediate_size": 10, "max_position_embeddings": 16, "pad_token_id": 12,
}  # fmt: skip
MODERN = {
    "vocab_size": 13, "hidden_size": 12, "num_hidden_layers": 4, "num_attention_heads": 3,
    "intermediate_size": 10, "local_attention": 4, "pad_token_id": 12, "bos_token_id": None,
    "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip
DEEPSEEK = {
    **LLAMA, "num_key_value_heads": 4, "kv_lora_rank": 6, "q_lora_rank": 7, "v_head_dim": 3,
    "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "n_routed_experts": 6, "n_group": 3,
    "topk_group": 2, "num_experts_per_tok": 3, "n_shared_experts": 2, "moe_intermediate_size": 7,
    "first_k_dense_replace": 1, "routed_scaling_factor": 2.5,
}  # fmt: skip
QWEN3_MOE = {
    **LLAMA, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 7,
}  # fmt: skip
NO_PADS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))

# Name: the class of the model, and the fields of its configuration.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama-biases": ("LlamaForCausalLM", {
        **LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 6,
        "tie_word_embeddings": True, "rope_parameters": BANDS}),
    "qwen2": ("Qwen2ForCausalLM", {
        **LLAMA, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen2-yarn": ("Qwen2ForCausalLM", {**LLAMA, "rope_parameters": YARN}),
    "qwen3": ("Qwen3ForCausalLM", {**LLAMA, "head_dim": 6, "attention_bias": True}),
    "mistral": ("MistralForCausalLM", {**LLAMA, "head_dim": 10, "sliding_window": 4}),
    "gemma": ("GemmaForCausalLM", {**LLAMA, "head_dim": 6}),
    "gemma2": ("Gemma2ForCausalLM", {
        **LLAMA, "head_dim": 6, "sliding_window": 4, "query_pre_attn_scalar": 9}),
    "gemma2-uncapped": ("Gemma2ForCausalLM", {
        **LLAMA, "head_dim": 6, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "layer_types": ["full_attention", "full_attention", "sliding_attention"]}),
    "gemma3_text": ("Gemma3ForCausalLM", {
        **LLAMA, "head_dim": 6, "sliding_window": 4, "query_pre_attn_scalar": 7,
        "num_hidden_layers": 7, "final_logit_softcapping": 3.0}),
    "gemma3_text-linear": ("Gemma3ForCausalLM", {
        **LLAMA, "head_dim": 8, "sliding_window": 3, "sliding_window_pattern": 2,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_local_base_freq": 100.0}),
    "olmo2": ("Olmo2ForCausalLM", LLAMA),
    "olmo2-biases": ("Olmo2ForCausalLM", {**LLAMA, "attention_bias": True,
                                          "tie_word_embeddings": True}),
    "granite": ("GraniteForCausalLM", {
        **LLAMA, "attention_multiplier": 0.3, "embedding_multiplier": 6.0,
        "residual_multiplier": 0.22, "logits_scaling": 3.0}),
    "cohere2": ("Cohere2ForCausalLM", {**LLAMA, "sliding_window": 4, "num_hidden_layers": 4}),
    "cohere2-pattern": ("Cohere2ForCausalLM", {
        **LLAMA, "sliding_window": 3, "sliding_window_pattern": 2, "logit_scale": 0.5,
        "attention_bias": True}),
    "phi": ("PhiForCausalLM", {**LLAMA, "num_key_value_heads": None}),
    "phi-grouped": ("PhiForCausalLM", {
        **LLAMA, "hidden_size": 32, "partial_rotary_factor": 0.25, "hidden_act": "gelu"}),
    "gpt_neox": ("GPTNeoXForCausalLM", {
        "vocab_size": 13, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 10, "rotary_emb_base": 100, **NO_PADS}),
    "gpt_neox-sequential": ("GPTNeoXForCausalLM", {
        "vocab_size": 13, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 10, "rotary_pct": 1.0, "use_parallel_residual": False,
        "attention_bias": False, **NO_PADS}),
    "modernbert": ("ModernBertModel", MODERN),
    "modernbert-biases": ("ModernBertModel", {
        **MODERN, "num_hidden_layers": 3, "local_attention": 7, "global_attn_every_n_layers": 2,
        "norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    "modernbert-masked": ("ModernBertForMaskedLM", MODERN),
    "modernbert-masked-biases": ("ModernBertForMaskedLM", {
        **MODERN, "norm_bias": True, "classifier_bias": True, "decoder_bias": False,
        "classifier_activation": "silu"}),
    "phi3": ("Phi3ForCausalLM", {
        **LLAMA, "hidden_size": 12, "num_attention_heads": 3, "num_key_value_heads": 1,
        "sliding_window": 5,
        "original_max_position_embeddings": 64,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4,
                            "partial_rotary_factor": 0.5}}),
    "phi3-longrope": ("Phi3ForCausalLM", {
        **LLAMA, "hidden_size": 12, "num_attention_heads": 6,
        "original_max_position_embeddings": 16,
        "rope_parameters": LONG}),
    "starcoder2": ("Starcoder2ForCausalLM", {**LLAMA, "sliding_window": 4}),
    "gpt_oss": ("GptOssForCausalLM", {
        **LLAMA, "head_dim": 6, "num_local_experts": 5, "num_experts_per_tok": 2,
        "sliding_window": 4, "swiglu_limit": 0.2, "rope_parameters": YARN}),
    "mixtral": ("MixtralForCausalLM", {**LLAMA, "num_local_experts": 5, "sliding_window": 4}),
    "mixtral-all": ("MixtralForCausalLM", {
        **LLAMA, "num_local_experts": 3, "num_experts_per_tok": 3, "head_dim": 6,
        "rope_parameters": YARN}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {
        **QWEN3_MOE, "norm_topk_prob": True, "mlp_only_layers": [0], "head_dim": 6}),
    "qwen3_moe-step": ("Qwen3MoeForCausalLM", {
        **QWEN3_MOE, "decoder_sparse_step": 2, "attention_bias": True,
        "use_sliding_window": True, "sliding_window": 4}),
    "qwen3_moe-dense": ("Qwen3MoeForCausalLM", {**QWEN3_MOE, "mlp_only_layers": [2, 1, 0]}),
    "deepseek_v2": ("DeepseekV2ForCausalLM", {
        **DEEPSEEK, "topk_method": "group_limited_greedy", "attention_bias": True,
        "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.7}}),
    "deepseek_v2-lite": ("DeepseekV2ForCausalLM", {
        **DEEPSEEK, "q_lora_rank": None, "first_k_dense_replace": 0, "n_group": None,
        "topk_group": None}),
    "deepseek_v2-dense": ("DeepseekV2ForCausalLM", {**DEEPSEEK, "first_k_dense_replace": 3}),
    "deepseek_v3": ("DeepseekV3ForCausalLM", DEEPSEEK),
    "deepseek_v3-half": ("DeepseekV3ForCausalLM", {
        **DEEPSEEK, "rope_interleave": False, "norm_topk_prob": False, "n_group": 1,
        "topk_group": 1, "n_shared_experts": 1, "tie_word_embeddings": True}),
    "gpt2": ("GPT2LMHeadModel", {
        "vocab_size": 13, "n_positions": 16, "n_embd": 12, "n_layer": 3, "n_head": 3,
        "n_inner": 10, **NO_PADS}),
    "gpt2-unscaled": ("GPT2LMHeadModel", {
        "vocab_size": 13, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3,
        "scale_attn_weights": False, **NO_PADS}),
    "bloom": ("BloomForCausalLM", {
        "vocab_size": 13, "hidden_size": 12, "n_layer": 3, "n_head": 3, **NO_PADS}),
    "bart": ("BartForConditionalGeneration", BART),
    "mbart": ("MBartForConditionalGeneration", {**BART, "scale_embedding": True}),
    "marian": ("MarianMTModel", {
        **BART, "scale_embedding": True, "activation_function": "swish"}),
    "marian-two-vocabularies": ("MarianMTModel", {
        **BART, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 15}),
    "smollm3": ("SmolLM3ForCausalLM", {**LLAMA, "no_rope_layers": [1, 0, 1]}),
    "smollm3-interval": ("SmolLM3ForCausalLM", {**LLAMA, "no_rope_layer_interval": 2}),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-gated": ("T5ForConditionalGeneration", {
        **T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("MT5ForConditionalGeneration", T5),
    "roberta": ("RobertaModel", {**BERT, "pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": ("DistilBertModel", {
        "vocab_size": 13, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 10,
        "max_position_embeddings": 16, "pad_token_id": 12}),
    "bert": ("BertModel", BERT),
    "bert-unpooled": ("BertModel", BERT),
    "bert-masked": ("BertForMaskedLM", BERT),
    "bert-masked-relu": ("BertForMaskedLM", {
        **BERT, "hidden_act": "relu", "layer_norm_eps": 1e-3}),
    "roberta-masked": ("RobertaForMaskedLM", {
        **BERT, "pad_token_id": 1, "type_vocab_size": 1, "hidden_act": "silu"}),
    "distilbert-masked": ("DistilBertForMaskedLM", {
        "vocab_size": 13, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 10,
        "max_position_embeddings": 16, "pad_token_id": 12}),
}  # fmt: skip
# BLOOM's own constant in its GELU, 0.79788456, has eight digits of sqrt(2 / pi).
CLOSE = {"bloom": 1e-8}
IDS = np.array([[1, 5, 5, 2, 9, 4, 7, 3, 11, 6, 8], [3, 0, 10, 4, 6, 1, 1, 2, 8, 9, 5]])
TARGET = np.array([[2, 7, 4, 1, 10, 9], [2, 3, 3, 8, 0, 11]])


def widen() -> None:
    """Make transformers take in float64 what it takes in float32."""
    import torch

    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.FloatTensor = torch.DoubleTensor


def built(name: str) -> Any:
    """A random model, gains and biases too, in float64 and without dropout."""
    import torch
    import transformers

    kind, fields = FAMILIES[name]
    model_class = getattr(transformers, kind)
    torch.manual_seed(3)
    config = model_class.config_class(**fields)
    config._attn_implementation = config._experts_implementation = "eager"
    model = model_class(config, **options_of(name)).double().eval()
    generator = torch.Generator().manual_seed(5)
    learned = (p for p in model.parameters() if p.requires_grad)
    tensors = [*learned, *(b for n, b in model.named_buffers() if n.endswith("_bias"))]
    with torch.no_grad():
        for tensor in tensors:
            tensor += 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    return model


def options_of(name: str) -> dict[str, bool]:
    return {"add_pooling_layer": False} if name.endswith("-unpooled") else {}


def ids_for(name: str) -> np.ndarray:
    """Token ids; without that of the padding, where positions depend on it."""
    return np.where(IDS == 1, 12, IDS) if name.startswith("roberta") else IDS


def batch_for(name: str, config: Any) -> Any:
    """The same as a batch of numtx."""
    from numtx import Batch

    ids = ids_for(name)
    return Batch(ids, TARGET) if config.model == "encoder-decoder" else Batch(ids)


def outputs_of(name: str, model: Any) -> dict[str, Any]:
    """What is compared, by the names of numtx: the logits; of a body what it ends in."""
    import torch

    ids, target = torch.tensor(ids_for(name)), torch.tensor(TARGET)
    if model.config.is_encoder_decoder:
        return {"logits": model(input_ids=ids, decoder_input_ids=target).logits}
    found = model(ids)
    if "logits" in found:
        return {"logits": found.logits}
    ends = {"encoder_output": found.last_hidden_state, "pooled": found.get("pooler_output")}
    return {end: x for end, x in ends.items() if x is not None}


def check_outputs(ours: Any, theirs: dict[str, Any], close: float) -> None:
    """Every output is the same, and what numtx ends in is among them."""
    assert {*ours.ends} <= theirs.keys(), ours.ends
    for end, expected in theirs.items():
        x = expected.detach().numpy()
        got, size = getattr(ours, end), np.abs(x).max()
        np.testing.assert_allclose(got, x, rtol=0, atol=close * size, err_msg=end)


def compare(name: str, folder: Path, close: float) -> None:
    """Outputs and every gradient of a saved model, within `close` of their scale."""
    import torch

    from numtx import backward, forward
    from numtx.checkpoints.folder import Folder

    model = built(name)
    model.save_pretrained(folder)
    opened = Folder(folder)
    config, parameters, _ = opened.read()
    batch = batch_for(name, config)
    theirs = outputs_of(name, model)
    outputs, context = forward(config, parameters, batch)
    check_outputs(outputs, theirs, close)

    noise = np.random.default_rng(7)
    cotangents = {end: noise.standard_normal(x.shape) for end, x in theirs.items()}
    torch.autograd.backward([*theirs.values()], [*map(torch.from_numpy, cotangents.values())])
    ours = backward(context, cotangents)
    gradients = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    table = opened.layout.of(gradients)  # in memory experts may be stored otherwise
    entries = table.entries(config)
    expected: dict[str, np.ndarray] = {}
    for stored, gradient in gradients.items():
        kind, place = table.place(stored, entries)
        if kind == "mapped":
            entries[place].into(expected, gradient, "float64", config.heads)
    buffers = {own for own in ours if own == "output.b" or own.endswith("router.correction")}
    lacking = ours.keys() - expected.keys() - buffers
    assert not lacking, lacking
    for own, gradient in expected.items():
        size = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(ours[own], gradient, rtol=0, atol=10 * close * size, err_msg=own)


def write_again(name: str, folder: Path) -> None:
    """What was read in float32 is written with the same bytes."""
    from numtx.checkpoints.folder import Folder, write_model
    from numtx.safetensors import read_header

    built(name).float().save_pretrained(folder)
    opened = Folder(folder)
    config, parameters, _ = opened.read()
    again = folder / "again"
    write_model(again, config, parameters, opened.layout.name, source=opened)
    before, after = (read_header(f / "model.safetensors") for f in (folder, again))
    mapped = [stored for stored, place in opened.places.items() if place.kind == "mapped"]
    assert len(mapped) == len(after)
    for stored in mapped:
        wanted, got = before[stored], after[opened.places[stored].name]
        assert wanted.shape == got.shape, stored
        assert wanted.read(stored).tobytes() == got.read(stored).tobytes(), stored


def read_stacked(name: str, folder: Path) -> None:
    """Experts stored as they are in memory, all in one tensor, are the same model."""
    from numtx.checkpoints.folder import Folder

    model, separate = built(name).float(), Folder(folder)
    if separate.layout.stacked:
        model.save_pretrained(folder / "stacked", save_original_format=False)
        other = Folder(folder / "stacked")
        assert other.layout.rows != separate.layout.rows or "dense" in name
        for (own, wanted), (_, got) in zip(
            separate.read().parameters.items(), other.read().parameters.items(), strict=True
        ):
            np.testing.assert_array_equal(wanted, got, err_msg=own)


def write_own(name: str, folder: Path) -> None:
    """A model of numtx is loaded by transformers, whole, and computes the same."""
    import dataclasses

    import torch
    import transformers

    from numtx import forward, initialise
    from numtx.checkpoints.folder import Folder, write_model

    read = Folder(folder)
    config = dataclasses.replace(read.config, dtype="float64")
    assert not read.notes, read.notes
    noise = np.random.default_rng(3)
    parameters = {
        own: array + 0.1 * noise.standard_normal(array.shape)
        for own, array in initialise(config, 1).items()
    }
    write_model(folder / "own", config, parameters, read.layout.name)
    model, found = getattr(transformers, FAMILIES[name][0]).from_pretrained(
        folder / "own",
        output_loading_info=True,
        attn_implementation="eager",
        **options_of(name),
    )
    model.config._experts_implementation = "eager"  # the grouped products take no float64
    assert not any(found.values()), found
    batch = batch_for(name, config)
    theirs = outputs_of(name, model.eval())
    assert {x.dtype for x in theirs.values()} == {torch.float64}
    check_outputs(forward(config, parameters, batch)[0], theirs, 5e-6)


def wrong_with(name: str, how: str, folder: Path) -> str:
    """What is wrong with a family; empty: nothing."""
    try:
        compare(name, folder, CLOSE.get(name, 1e-10) if how == "wide" else 5e-6)
        if how == "shipped":
            write_again(name, folder)
            read_stacked(name, folder)
            write_own(name, folder)
    except Exception:
        return traceback.format_exc()
    return ""


def main(how: str, place: str) -> None:
    if how == "wide":
        widen()
    warnings.simplefilter("ignore")
    print(json.dumps({name: wrong_with(name, how, Path(place) / name) for name in FAMILIES}))


if __name__ == "__main__":
    main(*sys.argv[1:])
