"""The tables of decoders with experts; source: the modelling code of transformers 5.24."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..config import Config
from ..config.experts import ChosenSoftmaxRouter, SoftmaxRouter
from ..errors import CheckpointError
from ..layouts.by_layer import windows
from ..layouts.essence import Fields
from ..layouts.layout import Key, Layout, Row, Rule
from ..layouts.rows import ATTENTION_BIASES, TRUTH, linear
from ..layouts.rules import biases, number_above, rotary, window_everywhere
from .decoders import (
    BLOCK,
    FORWARD,
    HEAD_DIM,
    LIKE_LLAMA,
    LLAMA_ROWS,
    MODULES,
    QWEN3,
    RMS,
    SELF,
    decoder_keys,
)

_UP = {x: tuple(f"{FORWARD}.experts.{x}_{y}" for y in ("gate", "in")) for x in "wb"}


def expert_modules(place: str, router: str = "gate") -> dict[str, str]:
    """What a layer of experts and its parts give; `router.1`: the weights of the chosen."""
    return {
        **MODULES,
        place: f"{FORWARD}.output",
        f"{place}.experts": f"{FORWARD}.routed",
        f"{place}.{router}.1": f"{FORWARD}.router.weights",
    }


GPT_OSS = Layout(**{
    **LIKE_LLAMA, "name": "gpt_oss", "architecture": "GptOssForCausalLM",
    "fixed": {
        **RMS, "sinks": True, "activation": "gelu_sigmoid", "gate_shift": 1.0,
        "router": ChosenSoftmaxRouter(bias=True).to_dict(), "biases": ("b_in", "b_gate", "b_out"),
    },
    "keys": {
        **{name: key for name, key in decoder_keys(8).items() if name != "hidden_act"},
        "head_dim": Key("key_width", 64), "rms_norm_eps": Key("epsilon", 1e-5),
        "num_local_experts": Key("experts", 128), "num_experts_per_tok": Key("experts_chosen", 4),
        "swiglu_limit": Key("gate_limit", 7.0),
    },
    "rules": (rotary(150000.0), biases("attention_bias", True, *ATTENTION_BIASES),
              windows(lambda i, _: i % 2 == 0, default=128)),
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
    "modules": expert_modules(f"{BLOCK}.mlp", "router"),
})  # fmt: skip


# One tensor of every expert, or one of all.


def experts(place: str, gate: str, up: str, down: str) -> dict[str, tuple[Row, ...]]:
    """The rows of both ways, by the fields of a layout; names of the three matrices."""
    ours = [f"{FORWARD}.experts.w_{x}" for x in ("gate", "in", "out")]
    every = f"{place}.experts"
    return {
        "rows": tuple(
            Row(f"{every}.{{e}}.{theirs}.weight", (own,), "transposed")
            for theirs, own in zip((gate, up, down), ours, strict=True)
        ),
        "stacked": (
            Row(f"{every}.gate_up_proj", tuple(ours[:2]), "stacked"),
            Row(f"{every}.down_proj", (ours[2],), "stacked"),
        ),
    }


MLP: Final = f"{BLOCK}.mlp"
ROUTER: Final = f"{FORWARD}.router.w"
UNREAD: Final = {"output_router_logits": False}

_MIXTRAL: Final = experts(f"{BLOCK}.block_sparse_moe", "w1", "w3", "w2")
MIXTRAL = Layout(**{
    **LIKE_LLAMA, "name": "mixtral", "architecture": "MixtralForCausalLM",
    "fixed": {**RMS, "router": SoftmaxRouter(renormalised=True).to_dict()},
    "keys": decoder_keys(
        8, **HEAD_DIM, rms_norm_eps=Key("epsilon", 1e-5), num_local_experts=Key("experts", 8),
        num_experts_per_tok=Key("experts_chosen", 2)),
    "rules": (rotary(1e6), window_everywhere()), "demands": UNREAD,
    "inert": ("router_aux_loss_coef", "router_jitter_noise"),
    "aliases": {"num_experts": "num_local_experts"},
    "spelling": {r"\.mlp\.": ".block_sparse_moe."},
    "rows": (
        *(row for row in LLAMA_ROWS if ".mlp." not in row.theirs), *_MIXTRAL["rows"],
        Row(f"{BLOCK}.block_sparse_moe.gate.weight", (ROUTER,), "transposed"),
    ),
    "stacked": _MIXTRAL["stacked"], "modules": expert_modules(f"{BLOCK}.block_sparse_moe"),
})  # fmt: skip

# Some layers without experts, some experts for all tokens.


def layers_without(
    keys: tuple[str, ...],
    dense: Callable[[Fields, int], list[bool]],
    write_dense: Callable[[list[bool]], Fields],
    counts: tuple[str, ...],
) -> Rule:
    """Which layers have no experts; where none has, fields of experts say nothing.

    counts  fields with a number of experts
    """

    def read(theirs: Fields, ours: Fields) -> None:
        none = dense(theirs, ours["decoder_layers"])
        ours["experts"] = tuple(None if one else ours["experts"] for one in none)
        if all(none):
            for name in ("experts", "experts_chosen", "expert_hidden", "shared_experts", "router"):
                ours.pop(name, None)

    def write(config: Config, file: Fields) -> None:
        each = [config.layer("decoder", i).experts for i in range(config.decoder_layers)]
        file |= write_dense([one is None for one in each])
        file[counts[0]] = max(one or 1 for one in each)
        file["moe_intermediate_size"] = config.expert_width
        if not any(each):
            file |= dict.fromkeys(counts, 1)

    return Rule(keys, read, write)


def whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise CheckpointError(f"{name} is {str(value)[:60]!r}; it is a whole number from {least}")
    return value


def truth(name: str, value: Any) -> bool:
    return bool(Key("", False, TRUTH).read(name, value))


def _qwen_dense(theirs: Fields, layers: int) -> list[bool]:
    step = whole("decoder_sparse_step", theirs.get("decoder_sparse_step", 1), 1)
    only = theirs.get("mlp_only_layers") or []
    if not isinstance(only, list) or not all(type(i) is int for i in only):
        raise CheckpointError(f"mlp_only_layers is {str(only)[:60]}; it is a list of layers")
    return [i in only or (i + 1) % step != 0 for i in range(layers)]


def _read_window(theirs: Fields, ours: Fields) -> None:
    used = truth("use_sliding_window", theirs.get("use_sliding_window", False))
    window = theirs.get("sliding_window", 4096) if used else None
    ours["window"] = None if window is None else number_above("sliding_window", window)


def _write_window(config: Config, file: Fields) -> None:
    file["sliding_window"], file["use_sliding_window"] = config.window, config.window is not None


def _read_renormalised(theirs: Fields, ours: Fields) -> None:
    value = truth("norm_topk_prob", theirs.get("norm_topk_prob", False))
    ours["router"] = SoftmaxRouter(renormalised=value).to_dict()


def _write_renormalised(config: Config, file: Fields) -> None:
    file["norm_topk_prob"] = config.routing.renormalised


GATED_EXPERTS: Final = experts(MLP, "gate_proj", "up_proj", "down_proj")
QWEN3_MOE = Layout(**{
    **LIKE_LLAMA, "name": "qwen3_moe", "architecture": "Qwen3MoeForCausalLM",
    "fixed": QWEN3.fixed,
    "keys": decoder_keys(
        4, **HEAD_DIM, num_local_experts=Key("experts", 128),
        num_experts_per_tok=Key("experts_chosen", 8),
        moe_intermediate_size=Key("expert_hidden", 768)),
    "rules": (
        rotary(), biases("attention_bias", False, *ATTENTION_BIASES),
        Rule(("use_sliding_window", "sliding_window"), _read_window, _write_window),
        Rule(("norm_topk_prob",), _read_renormalised, _write_renormalised),
        layers_without(
            ("decoder_sparse_step", "mlp_only_layers"), _qwen_dense,
            lambda dense: {"mlp_only_layers": [i for i, one in enumerate(dense) if one]},
            ("num_local_experts", "num_experts_per_tok"),
        ),
    ),
    "demands": UNREAD, "inert": ("router_aux_loss_coef", "max_window_layers"),
    "aliases": MIXTRAL.aliases,
    "rows": (
        *QWEN3.rows, *GATED_EXPERTS["rows"], Row(f"{MLP}.gate.weight", (ROUTER,), "transposed"),
    ),
    "stacked": GATED_EXPERTS["stacked"], "modules": expert_modules(MLP),
})  # fmt: skip
