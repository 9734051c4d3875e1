"""What a step costs in closed form, to hold the counting of stages against."""

from __future__ import annotations

from numtx.config import Config
from numtx.costs import GROUPS


def step_formula(
    config: Config,
    computed: int,
    total: int,
    source: int = 0,
    new_source: bool = False,
    *,
    absorbed: bool = True,
) -> dict[str, int]:
    """Multiply-adds by group of a step of one row that computes so many tokens, looks at
    `total` of them, and asks for the logits of one; the encoder itself is left out.

    source      tokens of the encoder; new_source: their cross keys and values are computed now
    absorbed    latents as a step with a cache looks at them; False: expanded, as without one
    """
    c, t = config, computed
    q, kv = c.heads * c.d_k, c.kv_heads * (c.d_k + c.d_v)
    layers = c.decoder_layers
    found = {
        "Q, K, V projections": layers * t * c.width * (q + kv),
        "Q·K^T": layers * t * total * q,
        "weights·V": layers * t * total * c.heads * c.d_v,
        "feed-forward": layers * t * c.width * c.hidden * (3 if c.gated else 2),
        "logits": c.width * c.vocabulary,
    }
    if c.key_value_latent is not None:
        found |= _latent_formula(c, t, total, absorbed)
    if c.has_output_projection("decoder.self_attention"):
        found["W_O"] = layers * t * c.heads * c.d_v * c.width
    if c.model == "encoder-decoder":
        keys_values = source * kv if new_source else 0
        found["cross Q, K, V projections"] = layers * c.width * (t * q + keys_values)
        found["cross Q·K^T"] = layers * t * source * q
        found["cross weights·V"] = layers * t * source * c.heads * c.d_v
        if c.has_output_projection("decoder.cross_attention"):
            found["cross W_O"] = layers * t * c.heads * c.d_v * c.width
    return {group: found[group] for group in GROUPS if group in found}


def _latent_formula(c: Config, t: int, total: int, absorbed: bool) -> dict[str, int]:
    """The same three groups where keys and values come from a latent. Absorbed, every query is
    taken to the latents and every context back: the maps of keys and values, used elsewhere."""
    r, p = c.key_value_latent or 0, c.rotated
    asks = c.width if c.query_latent is None else c.query_latent
    down = c.width * (r + p) + (0 if c.query_latent is None else c.width * asks)
    up = c.heads * (asks * (c.d_k + p) + r * (c.d_k + c.d_v))
    keys, values = (r + p, r) if absorbed else (c.d_k + p, c.d_v)
    pairs = c.decoder_layers * t * total * c.heads
    return {
        "Q, K, V projections": c.decoder_layers * t * (down + up),
        "Q·K^T": pairs * keys,
        "weights·V": pairs * values,
    }
