"""The layouts by name, the model_type of a family."""

from __future__ import annotations

from typing import Final

from .blocks import COHERE2, GEMMA2, GEMMA3, GPT_NEOX, GRANITE, MODERNBERT, OLMO2, PHI
from .decoders import (
    BLOOM,
    GEMMA,
    GPT2,
    LLAMA,
    MISTRAL,
    PHI3,
    QWEN2,
    QWEN3,
    SMOLLM3,
    STARCODER2,
)
from .encoders import BART, BERT, DISTILBERT, MARIAN, MBART, MT5, ROBERTA, T5
from .experts import GPT_OSS, MIXTRAL, QWEN3_MOE
from .latent import DEEPSEEK_V2, DEEPSEEK_V3
from .parts import VIT, WHISPER

LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        LLAMA, QWEN2, QWEN3, MISTRAL, GEMMA, PHI3, STARCODER2, SMOLLM3, GPT2, BLOOM,
        BART, MBART, MARIAN, T5, MT5, BERT, ROBERTA, DISTILBERT, GPT_OSS,
        GEMMA2, GEMMA3, OLMO2, GRANITE, COHERE2, PHI, GPT_NEOX, MODERNBERT,
        MIXTRAL, QWEN3_MOE, DEEPSEEK_V2, DEEPSEEK_V3, WHISPER, VIT,
    )
}  # fmt: skip
