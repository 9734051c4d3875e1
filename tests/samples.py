"""Models, weights and batches that several tests share, and central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numtx.parameters import parameter_shapes

WEATHER: dict[str, Any] = {
    "width": 4, "encoder_layers": 2, "decoder_layers": 2, "hidden": 16, "vocabulary": 10,
    "position_base": 100.0, "biases": ("b_in", "b_out", "norm.bias"),
}  # fmt: skip

# Every mechanism once; all sizes differ.
VARIANTS: dict[str, dict[str, Any]] = {
    "encoder-decoder": {
        "width": 6, "encoder_layers": 1, "decoder_layers": 2, "heads": 2, "key_width": 4,
        "value_width": 5, "hidden": 7, "vocabulary": 11,
    },
    "two vocabularies, learned positions, pre-norm": {
        "width": 6, "encoder_layers": 2, "decoder_layers": 1, "heads": 3, "hidden": 8,
        "vocabulary": 11, "source_vocabulary": 9, "norm_place": "pre", "positions": "learned",
        "position_limit": 7, "position_offset": 2, "activation": "gelu", "tied_output": True,
        "embedding_scale": 2.5, "output_scale": 0.5,
    },
    "decoder, rotary, grouped, gated": {
        "model": "decoder-only", "width": 6, "decoder_layers": 2, "heads": 4, "key_value_heads": 2,
        "key_width": 8, "value_width": 3, "hidden": 7, "vocabulary": 11, "norm": "rms",
        "norm_place": "pre", "biases": False, "positions": "rotary", "rotary_width": 6,
        "activation": "silu", "gated": True, "score_scale": 0.3, "window": 3,
    },
    "decoder, interleaved, multi-query": {
        "model": "decoder-only", "width": 9, "decoder_layers": 1, "heads": 3, "key_value_heads": 1,
        "key_width": 4, "hidden": 5, "vocabulary": 11, "positions": "rotary",
        "rotary_layout": "interleaved", "activation": "gelu_tanh", "tied_output": True,
        "norm_at": ["decoder.feed_forward"], "residual_at": ["decoder.self_attention"],
    },
    "encoder, segments, embedding norm": {
        "model": "encoder-only", "width": 6, "encoder_layers": 2, "heads": 2, "hidden": 7,
        "vocabulary": 11, "positions": "learned", "position_limit": 6, "segments": 2,
        "embedding_norm": True, "activation": "gelu", "gated": True, "tied_output": True,
        "embedding_scale": 0.5, "window": 2,
    },
    "decoder, latents, rotary, smoothed": {
        "model": "decoder-only", "width": 6, "decoder_layers": 2, "heads": 2, "key_width": 4,
        "value_width": 3, "hidden": 7, "vocabulary": 11, "positions": "rotary",
        "key_value_latent": 5, "query_latent": 8, "rotary_width": 2, "label_smoothing": 0.1,
    },
    "bare": {
        "model": "encoder-only", "width": 6, "encoder_layers": 1, "heads": 3, "hidden": 7,
        "vocabulary": 11, "positions": None, "norm": None, "residual_at": False,
        "output_projection_at": False, "biases": False,
    },
}  # fmt: skip


def random_parameters(config: Any, seed: int = 0) -> dict[str, Any]:
    """Unit-gain matrices, and biases and gains that are not what they start as."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, shape in parameter_shapes(config).items():
        draw = generator.standard_normal(shape)
        if name.endswith("gain"):
            draw = 1.0 + 0.3 * draw
        elif len(shape) == 1:
            draw = 0.3 * draw
        elif ".w_" in name or name == "output.w":
            draw = draw / np.sqrt(shape[0])
        found[name] = draw.astype(config.dtype)
    return found


def weather_batch() -> dict[str, Any]:
    """The fields of a batch for `WEATHER`: one row of seven tokens, ids repeated."""
    return {
        "ids": [[3, 4, 4, 5, 6, 7, 2]],
        "decoder_ids": [[1, 3, 4, 4, 5, 6, 7]],
        "labels": [[3, 4, 4, 5, 6, 7, 2]],
    }


def ragged_batch(config: Any, seed: int = 0, padding: str = "left") -> dict[str, Any]:
    """The fields of a batch of two rows, one of them padded, with repeated ids and an ignored
    label; five tokens for a single stack, five and three where there are two."""
    generator = np.random.default_rng(seed)
    fields: dict[str, Any] = {}
    for side in config.sides:
        last = side == config.sides[-1]
        length = 3 if last and len(config.sides) == 2 else 5
        prefix = "decoder_" if side == "decoder" and len(config.sides) == 2 else ""
        ids = generator.integers(0, config.vocabulary_of(side), (2, length))
        ids[0, 1] = ids[0, 0]
        mask = np.ones((2, length), bool)
        mask[1, 0 if padding == "left" else length - 1] = False
        fields[f"{prefix}ids"], fields[f"{prefix}mask"] = ids, mask
        if config.segments:
            fields[f"{prefix}segments"] = generator.integers(0, config.segments, (2, length))
        if last:
            labels = generator.integers(0, config.vocabulary, (2, length))
            labels[1] = np.where(mask[1], labels[1], -100)
            labels[0, 1] = -100
            fields["labels"] = labels
    return fields


def central_difference(f: Callable[[Any], float], x: Any, h: float = 1e-5) -> Any:
    """The gradient of f at x, a cell at a time, in float64."""
    x = np.array(x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += h
        behind[index] -= h
        gradient[index] = (f(ahead) - f(behind)) / (2.0 * h)
    return gradient


def assert_close(got: Any, expected: Any, tolerance: float = 1e-7) -> None:
    """Equal up to a tolerance relative to the larger of 1 and what is expected; shapes too."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    error = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    assert error.size == 0 or float(error.max()) <= tolerance, f"off by {error.max()}"
