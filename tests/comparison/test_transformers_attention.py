"""numtx's attention against the attention modules of `transformers`, given the same weights, in
float64: weights, output, and the gradients of input and parameters.

What these modules compute in float32 whatever the type is widened, so that nothing is forgiven.
Skipped where PyTorch or transformers is missing; numtx itself never imports them.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from numtx import Config, Recorder
from numtx.attention import MULTI_HEAD, AttentionInputs
from numtx.masks import allowed
from numtx.ops.positions import rotation
from numtx.parameters import parameter_shapes
from numtx.place import Place

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = 1e-10
WIDTH, BATCH, LENGTH, BASE = 12, 2, 7, 500.0
PLACE = "decoder.0.self_attention."
SHAPES = [(4, 2, 6), (3, 1, 10)]  # heads, key/value heads, width of a head; all others differ
LEFT = np.array([[1] * LENGTH, [0, 0, *[1] * (LENGTH - 2)]], bool)


def module_of(family: str, shape: tuple[int, int, int], seed: int, **fields: Any) -> Any:
    """An attention module with random weights, norms and sinks too."""
    heads, groups, width = shape
    name = family.replace("GptOss", "gpt_oss").lower()
    modelling = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    config = getattr(transformers, f"{family}Config")(
        vocab_size=11, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=heads,
        num_key_value_heads=groups, head_dim=width, **fields,
    )  # fmt: skip
    config._attn_implementation = "eager"
    module = getattr(modelling, f"{family}Attention")(config, 0).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(draw / WIDTH**0.5 if tensor.ndim == 2 else draw)
    return module


def parameters_of(module: Any, gradients: bool = False) -> dict[str, np.ndarray]:
    """The module's parameters, or their gradients, under numtx's names."""
    names = {"q_norm.weight": "query_norm.gain", "k_norm.weight": "key_norm.gain"}
    found = {}
    for name, tensor in module.named_parameters():
        theirs = (tensor.grad if gradients else tensor).detach().numpy()
        kind, _, leaf = name.partition("_proj.")
        if leaf:
            name = f"{leaf[0]}_{kind}"
        found[PLACE + names.get(name, name)] = theirs.T.copy()
    return found


def agree(module: Any, config: Config, valid: np.ndarray, seed: int, monkeypatch: Any) -> None:
    generator = np.random.default_rng(seed)
    x, cotangent = generator.standard_normal((2, BATCH, LENGTH, WIDTH))
    positions = np.maximum(np.cumsum(valid, 1) - 1, 0) + 3
    mask = allowed(
        valid, config.heads, LENGTH, causal=True, window=config.window,
        query_positions=positions, key_positions=positions,
    )  # fmt: skip
    own = parameters_of(module)
    shapes = {n: s for n, s in parameter_shapes(config).items() if n.startswith(PLACE)}
    assert {name: array.shape for name, array in own.items()} == shapes

    pairs = np.arange(0, config.d_k, 2) / config.d_k
    angles = np.tile(positions[..., None] * BASE**-pairs, 1 if config.sinks else 2)
    turned = torch.from_numpy(np.cos(angles)), torch.from_numpy(np.sin(angles))
    hidden = torch.from_numpy(np.where(mask.allowed[:, :1], 0.0, -np.inf))
    theirs = torch.from_numpy(x).requires_grad_()
    with monkeypatch.context() as widened:
        widened.setattr(torch, "float32", torch.float64)
        output, weights = module(theirs, position_embeddings=turned, attention_mask=hidden)
    output.backward(torch.from_numpy(cotangent))

    recorder = Recorder()
    at = Place(own, recorder, prefix=PLACE)
    by = rotation(positions, config.d_k, BASE, "half", "float64")
    found, context = MULTI_HEAD.forward(config, at, x, x, AttentionInputs(mask, by))
    dx, dmemory = MULTI_HEAD.backward(cotangent, context, at)
    close = {"rtol": 0, "atol": CLOSE}
    np.testing.assert_allclose(recorder.values["weights"], weights.detach().numpy(), **close)
    np.testing.assert_allclose(found, output.detach().numpy(), **close)
    np.testing.assert_allclose(dx + dmemory, theirs.grad.numpy(), **close)
    gradients = parameters_of(module, gradients=True)
    assert gradients.keys() == at.gradients.keys()
    for name, expected in gradients.items():
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(
            at.gradients[name], expected, rtol=0, atol=CLOSE * scale, err_msg=name
        )


def config_of(shape: tuple[int, int, int], biased: bool = False, **fields: Any) -> Config:
    heads, groups, width = shape
    return Config(
        model="decoder-only", width=WIDTH, decoder_layers=1, heads=heads, key_value_heads=groups,
        key_width=width, hidden=5, vocabulary=11, positions="rotary", position_base=BASE,
        biases=("b_q", "b_k", "b_v", "b_o") if biased else False, norm=None, **fields,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_capped_scores(shape: Any, seed: int, monkeypatch: Any) -> None:
    module = module_of(
        "Gemma2", shape, seed, attn_logit_softcapping=0.8, query_pre_attn_scalar=9,
        sliding_window=3, attention_bias=True,
    )  # fmt: skip
    config = config_of(shape, True, score_cap=0.8, score_scale=1 / 3, window=3)
    agree(module, config, np.ones((BATCH, LENGTH), bool), seed, monkeypatch)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_normed_projections(shape: Any, seed: int, monkeypatch: Any) -> None:
    module = module_of("Olmo2", shape, seed, rms_norm_eps=1e-3)
    config = config_of(shape, query_key_norm="projection", epsilon=1e-3)
    agree(module, config, np.ones((BATCH, LENGTH), bool), seed, monkeypatch)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("valid", [np.ones_like(LEFT), LEFT])
def test_sinks(shape: Any, seed: int, window: Any, valid: Any, monkeypatch: Any) -> None:
    """With padding on the left too: what sees no key gives all to its sink there as here."""
    module = module_of("GptOss", shape, seed, sliding_window=window or 128)
    config = config_of(shape, True, sinks=True, window=window)
    agree(module, config, valid, seed, monkeypatch)
