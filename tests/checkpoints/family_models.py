"""The families that are tried, each as a class of transformers and fields of its configuration."""

from __future__ import annotations

from typing import Any

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
WHISPER = {
    "vocab_size": 13, "d_model": 12, "decoder_layers": 3, "decoder_attention_heads": 3,
    "decoder_ffn_dim": 10, "max_target_positions": 9, "encoder_layers": 1,
    "encoder_attention_heads": 2, "encoder_ffn_dim": 9, "max_source_positions": 5,
    "num_mel_bins": 4, "pad_token_id": 12, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1,
}  # fmt: skip
VIT = {
    "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 10,
    "image_size": 6, "patch_size": 2, "num_channels": 3,
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
    "whisper": ("WhisperForConditionalGeneration", WHISPER),
    "whisper-untied": ("WhisperForConditionalGeneration", {
        **WHISPER, "tie_word_embeddings": False, "scale_embedding": True,
        "activation_function": "relu"}),
    "vit": ("ViTModel", VIT),
    "vit-classifier": ("ViTForImageClassification", {
        **VIT, "image_size": [4, 6], "patch_size": [2, 3], "qkv_bias": False,
        "layer_norm_eps": 1e-3, "hidden_act": "gelu_new"}),
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
