"""The tables of decoders with experts and attention over latents; source: the modelling code of
transformers 5.24."""

from __future__ import annotations

from typing import Any, Final

from ..config import Config
from ..config.experts import SigmoidRouter, SoftmaxRouter
from ..errors import CheckpointError
from ..layouts.essence import Fields
from ..layouts.layout import Key, Layout, Row, Rule
from ..layouts.rows import linear, without
from ..layouts.rules import biases, number_above, rotary
from .decoders import BLOCK, FORWARD, LIKE_LLAMA, LLAMA_ROWS, MODULES, RMS, SELF, decoder_keys
from .experts import GATED_EXPERTS, MLP, ROUTER, layers_without, truth, whole

_GROUPED: Final = "group_limited_greedy"
_THEIRS: Final = f"{BLOCK}.self_attn"
_SHARED: Final = tuple(
    row
    for theirs, x in (("gate", "gate"), ("up", "in"), ("down", "out"))
    for row in linear(f"{MLP}.shared_experts.{theirs}_proj", f"{FORWARD}.shared.w_{x}")
)
_ROWS: Final = (
    *(row for row in LLAMA_ROWS if ".self_attn." not in row.theirs),
    Row(f"{_THEIRS}.q_proj.weight", (f"{SELF}.w_q", f"{SELF}.w_qr"), "heads", f"{SELF}.w_uq"),
    *linear(f"{_THEIRS}.q_a_proj", f"{SELF}.w_dq"),
    Row(f"{_THEIRS}.q_a_layernorm.weight", (f"{SELF}.query_latent_norm.gain",)),
    Row(f"{_THEIRS}.q_b_proj.weight", (f"{SELF}.w_uq", f"{SELF}.w_qr"), "heads", f"{SELF}.w_q"),
    *linear(f"{_THEIRS}.kv_a_proj_with_mqa", f"{SELF}.w_dkv", f"{SELF}.w_kr"),
    Row(f"{_THEIRS}.kv_a_layernorm.weight", (f"{SELF}.latent_norm.gain",)),
    Row(f"{_THEIRS}.kv_b_proj.weight", (f"{SELF}.w_uk", f"{SELF}.w_uv"), "heads"),
    *linear(f"{_THEIRS}.o_proj", f"{SELF}.w_o"),
    Row(f"{MLP}.gate.weight", (ROUTER,), "transposed"),
    *GATED_EXPERTS["rows"], *_SHARED,
)  # fmt: skip


def _keys(experts: int, shared: int, **changed: Key) -> dict[str, Key]:
    found = decoder_keys(
        kv_lora_rank=Key("key_value_latent", 512), q_lora_rank=Key("query_latent", 1536),
        qk_nope_head_dim=Key("key_width", 128), qk_rope_head_dim=Key("rotary_width", 64),
        v_head_dim=Key("value_width", 128), n_routed_experts=Key("experts", experts),
        n_shared_experts=Key("shared_experts", shared), **changed,
    )  # fmt: skip
    return without(found, "rms_norm_eps")  # the norms of latents have a fixed one


def _read_widths(theirs: Fields, ours: Fields) -> None:
    rotated = ours["rotary_width"]
    for name, own in (("head_dim", rotated), ("qk_head_dim", ours["key_width"] + rotated)):
        if theirs.get(name, own) != own:
            raise CheckpointError(f"{name} is {theirs[name]!r}; by the other widths it is {own}")
    if ours["shared_experts"] is None:
        raise CheckpointError("n_shared_experts is None; this family has 1 or more")


# What follows from the widths, where a file says it.
_WIDTHS: Final = Rule(("head_dim", "qk_head_dim"), _read_widths, lambda config, file: None)


def _router(theirs: Fields, **values: Any) -> Fields:
    """Groups, and the factor."""
    grouped = {
        ours: whole(name, theirs.get(name, values.pop(ours)), 1)
        for name, ours in (("n_group", "groups"), ("topk_group", "groups_kept"))
        if ours in values
    }
    factor = theirs.get("routed_scaling_factor", values.pop("factor"))
    return {**values, **grouped, "factor": number_above("routed_scaling_factor", factor)}


def _write_router(config: Config, file: Fields) -> None:
    router = config.routing
    file["n_group"], file["topk_group"] = router.groups, router.groups_kept
    file["routed_scaling_factor"] = router.factor


def _read_softmax(theirs: Fields, ours: Fields) -> None:
    method, groups = theirs.get("topk_method", "greedy"), {}
    if method not in ("greedy", _GROUPED):
        raise CheckpointError(f"topk_method is {method!r}; known: greedy, {_GROUPED}")
    if method == _GROUPED:
        groups = {"groups": None, "groups_kept": None}
    ours["router"] = SoftmaxRouter(**_router(theirs, factor=1.0, **groups)).to_dict()


def _write_softmax(config: Config, file: Fields) -> None:
    _write_router(config, file)
    file["topk_method"] = _GROUPED if config.routing.best else "greedy"


def _read_sigmoid(theirs: Fields, ours: Fields) -> None:
    ours["router"] = SigmoidRouter(
        correction=True, group_score="two",
        renormalised=truth("norm_topk_prob", theirs.get("norm_topk_prob", True)),
        **_router(theirs, factor=2.5, groups=8, groups_kept=4),
    ).to_dict()  # fmt: skip


def _write_sigmoid(config: Config, file: Fields) -> None:
    _write_router(config, file)
    file["norm_topk_prob"] = config.routing.renormalised


def _dense_first(default: int) -> Rule:
    def dense(theirs: Fields, layers: int) -> list[bool]:
        first = theirs.get("first_k_dense_replace", default)
        return [i < whole("first_k_dense_replace", first, 0) for i in range(layers)]

    return layers_without(
        ("first_k_dense_replace",), dense,
        lambda none: {"first_k_dense_replace": (*none, False).index(False)},
        ("n_routed_experts", "num_experts_per_tok", "n_shared_experts"),
    )  # fmt: skip


_GROUPS: Final = ("n_group", "topk_group", "routed_scaling_factor")
_BIASES: Final = biases("attention_bias", False, "b_dq", "b_dkv", "b_kr", "b_o")
_DEMANDS: Final = {"rms_norm_eps": 1e-6, "moe_layer_freq": 1, "output_router_logits": False}
_MODULES: Final = {  # the chosen experts stand in no order there
    **MODULES, f"{MLP}.experts": f"{FORWARD}.routed",
    f"{MLP}.shared_experts": f"{FORWARD}.shared.output",
    f"{MLP}.shared_experts.act_fn": f"{FORWARD}.shared.activation",
}  # fmt: skip
DEEPSEEK_V2 = Layout(**{
    **LIKE_LLAMA, "name": "deepseek_v2", "architecture": "DeepseekV2ForCausalLM",
    "fixed": {**RMS, "epsilon": 1e-6, "latent_norm": True, "rotary_layout": "interleaved"},
    "keys": _keys(
        64, 2, num_experts_per_tok=Key("experts_chosen"),
        moe_intermediate_size=Key("expert_hidden", 1407)),
    "rules": (rotary(), _BIASES, _WIDTHS,
              Rule(("topk_method", *_GROUPS), _read_softmax, _write_softmax), _dense_first(0)),
    "demands": {**_DEMANDS, "scoring_func": "softmax", "norm_topk_prob": False, "mlp_bias": False},
    "inert": ("aux_loss_alpha", "seq_aux", "ep_size", "pretraining_tp", "router_aux_loss_coef"),
    "aliases": {"num_experts": "n_routed_experts"},
    "rows": _ROWS, "stacked": GATED_EXPERTS["stacked"], "modules": _MODULES,
})  # fmt: skip
DEEPSEEK_V3 = Layout(**{
    **vars(DEEPSEEK_V2), "name": "deepseek_v3", "architecture": "DeepseekV3ForCausalLM",
    "fixed": {**RMS, "epsilon": 1e-6, "latent_norm": True},
    "keys": _keys(
        256, 1, num_experts_per_tok=Key("experts_chosen", 8),
        moe_intermediate_size=Key("expert_hidden", 2048),
        rope_interleave=Key("rotary_layout", True, {True: "interleaved", False: "half"})),
    "rules": (rotary(), _BIASES, _WIDTHS,
              Rule(("norm_topk_prob", *_GROUPS), _read_sigmoid, _write_sigmoid), _dense_first(3)),
    "demands": {**_DEMANDS, "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "inert": (*DEEPSEEK_V2.inert, "num_nextn_predict_layers"),
    "aliases": {"num_local_experts": "n_routed_experts",
                "num_mtp_layers": "num_nextn_predict_layers"},
    "marks": {r"((model\.)?layers\.\d+\.)eh_proj\.weight": "layers that predict further tokens"},
    "rows": (*_ROWS, Row(f"{MLP}.gate.e_score_correction_bias", (f"{FORWARD}.router.correction",))),
})  # fmt: skip
