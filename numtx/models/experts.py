"""Models with experts."""

from __future__ import annotations

from ..config.experts import ChosenSoftmaxRouter, SigmoidRouter, SoftmaxRouter
from .entry import Model, both, decoder

EXPERTS: dict[str, Model] = {
    "decoder, experts after a dense layer, grouped, window": Model(
        decoder(
            width=9, decoder_layers=3, heads=4, key_value_heads=2, key_width=6, hidden=8,
            vocabulary=11, norm="rms", norm_place="pre", biases=["b_k"], positions="rotary",
            window=3, activation="silu", gated=True, experts=(None, 5, 5), experts_chosen=2,
            expert_hidden=7, router=SoftmaxRouter(renormalised=True),
        ),
        ("ring",),
    ),
    "decoder, latents, experts in groups, shared ones": Model(
        decoder(
            width=8, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", key_value_latent=5, rotary_width=2, activation="silu",
            gated=True, experts=6, experts_chosen=3, shared_experts=2, shared_hidden=9,
            router=SigmoidRouter(
                correction=True, groups=3, groups_kept=2, group_score="two", renormalised=True,
                factor=2.5,
            ),
        ),
        ("paged",),
    ),
    "decoder, experts with limits, sinks, windows in some layers": Model(
        decoder(
            width=9, heads=3, key_width=4, value_width=5, hidden=6, vocabulary=11,
            positions="rotary", window=(3, None), sinks=True, gated=True,
            activation="gelu_sigmoid", gate_limit=0.3, gate_shift=1.0, experts=7,
            experts_chosen=2, router=ChosenSoftmaxRouter(bias=True),
        ),
        ("paged",),
    ),
    "encoder-decoder, weights on the experts' input": Model(
        both(
            width=8, heads=2, key_width=5, value_width=3, hidden=7, vocabulary=11, experts=4,
            expert_hidden=6, shared_experts=1,
            router=SoftmaxRouter(groups=2, groups_kept=1, factor=0.5, weight_on="input"),
        ),
        ("paged",),
    ),
}  # fmt: skip
