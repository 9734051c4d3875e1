"""The tables of decoders with experts; source: the modelling code of transformers 5.24."""

from __future__ import annotations

from typing import Final

from ..config import Config
from ..config.experts import ChosenSoftmaxRouter
from ..errors import CheckpointError
from ..layouts.layout import Fields, Key, Layout, Row, Rule
from ..layouts.rows import ATTENTION_BIASES, linear
from ..layouts.rules import biases, rotary
from .decoders import BLOCK, FORWARD, LIKE_LLAMA, LLAMA_ROWS, RMS, SELF, decoder_keys

_KINDS: Final = ("sliding_attention", "full_attention")  # of layers, in turn where none are given


def _read_windows(theirs: Fields, ours: Fields) -> None:
    layers, window = ours["decoder_layers"], theirs.get("sliding_window", 128)
    types = theirs.get("layer_types") or [_KINDS[i % 2] for i in range(layers)]
    if not isinstance(types, list) or len(types) != layers or not {*map(str, types)} <= {*_KINDS}:
        raise CheckpointError(f"layer_types is no list of {layers} of {' and '.join(_KINDS)}")
    if type(window) is not int or window < 1:
        raise CheckpointError(f"sliding_window is {window!r}; it is a whole number above 0")
    ours["window"] = tuple(window if one == _KINDS[0] else None for one in types)


def _write_windows(config: Config, file: Fields) -> None:
    windows = [config.layer("decoder", i).window for i in range(config.decoder_layers)]
    file["sliding_window"] = max((window for window in windows if window is not None), default=128)
    file["layer_types"] = [_KINDS[window is None] for window in windows]


_UP = {x: tuple(f"{FORWARD}.experts.{x}_{y}" for y in ("gate", "in")) for x in "wb"}
GPT_OSS = Layout(**{
    **LIKE_LLAMA, "name": "gpt_oss", "architecture": "GptOssForCausalLM",
    "fixed": {
        **RMS, "sinks": True, "activation": "gelu_sigmoid", "gate_shift": 1.0,
        "router": ChosenSoftmaxRouter(bias=True).to_dict(), "expert_hidden": None,
        "shared_experts": None, "biases": ("b_in", "b_gate", "b_out"),
    },
    "keys": {
        **{name: key for name, key in decoder_keys(8).items() if name != "hidden_act"},
        "head_dim": Key("key_width", 64), "rms_norm_eps": Key("epsilon", 1e-5),
        "num_local_experts": Key("experts", 128), "num_experts_per_tok": Key("experts_chosen", 4),
        "swiglu_limit": Key("gate_limit", 7.0),
    },
    "rules": (rotary(150000.0), biases("attention_bias", True, *ATTENTION_BIASES),
              Rule(("sliding_window", "layer_types"), _read_windows, _write_windows)),
    "demands": {"swiglu_alpha": 1.702, "output_router_logits": False},
    "inert": ("hidden_act", "router_aux_loss_coef", "initial_context_length",
              "experts_per_token"),
    "rows": (
        *(row for row in LLAMA_ROWS if ".mlp." not in row.theirs),
        Row(f"{BLOCK}.self_attn.sinks", (f"{SELF}.sinks",)),
        *linear(f"{BLOCK}.mlp.router", f"{FORWARD}.router.w"),
        Row(f"{BLOCK}.mlp.experts.gate_up_proj", _UP["w"], "alternating"),
        Row(f"{BLOCK}.mlp.experts.gate_up_proj_bias", _UP["b"], "alternating"),
        Row(f"{BLOCK}.mlp.experts.down_proj", (f"{FORWARD}.experts.w_out",)),
        Row(f"{BLOCK}.mlp.experts.down_proj_bias", (f"{FORWARD}.experts.b_out",)),
    ),
})  # fmt: skip
