"""A body of ViT given its patches and a decoder of Whisper given its memory, beside those of
transformers in float64: values, pooled vectors and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numtx import Batch, Config, backward, forward
from numtx.parameters import parameter_shapes

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.heavy]
BIASES = ("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias")


def built(kind: str, config: Any, **options: Any) -> Any:
    torch.manual_seed(3)
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config, **options).double().eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    return model


def renamed(config: Config, names: dict[str, str], tensors: dict[str, Any]) -> dict[str, Any]:
    """numtx's parameters from tensors by our names; what has no tensor is never read."""
    found = {name: np.zeros(shape) for name, shape in parameter_shapes(config).items()}
    for ours, theirs in names.items():
        array = tensors[theirs]
        matrix = ours.rpartition(".")[2].startswith("w")
        found[ours] = np.ascontiguousarray(array.T if matrix else array).reshape(found[ours].shape)
    return found


def linear(ours: str, theirs: str, tensors: Any) -> dict[str, str]:
    place, _, leaf = ours.rpartition(".")
    found = {ours: f"{theirs}.weight"}
    if f"{theirs}.bias" in tensors:
        found[f"{place}.b{leaf[1:]}"] = f"{theirs}.bias"
    return found


def norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.gain": f"{theirs}.weight", f"{ours}.bias": f"{theirs}.bias"}


def one_of(tensors: Any, *names: str) -> str:
    return next(name for name in names if f"{name}.weight" in tensors)


def check(model: Any, config: Config, names: dict[str, str], gradients: dict[str, Any]) -> None:
    tensors = dict(model.named_parameters())
    for ours, theirs in renamed(
        config, names, {n: t.grad.numpy() for n, t in tensors.items() if t.grad is not None}
    ).items():
        if ours in names:
            scale = max(1.0, float(np.abs(theirs).max()))
            got = gradients[ours]
            np.testing.assert_allclose(got, theirs, rtol=0, atol=1e-10 * scale, err_msg=ours)


def test_a_vit_body_given_its_patches() -> None:
    """Its softmax is taken in float32 under `eager`, so that of `sdpa` is compared."""
    theirs = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10,
        image_size=4, patch_size=2, num_channels=3,
    )  # fmt: skip
    model = built("ViTModel", theirs)
    model.config._attn_implementation = "sdpa"
    tensors = {n: t.detach().numpy() for n, t in model.named_parameters()}
    config = Config(
        model="encoder-only", width=12, encoder_layers=2, heads=3, hidden=10, vocabulary=1,
        norm_place="pre", epsilon=1e-12, positions="learned", position_limit=5,
        activation="gelu", head=None, pooler=True, biases=(*BIASES, "pooler.b"),
    )  # fmt: skip
    names = {
        "encoder.positions": "embeddings.position_embeddings",
        **norm("encoder.norm", "layernorm"),
        **linear("pooler.w", "pooler.dense", tensors),
    }
    for i in range(2):
        own = one_of(tensors, f"layers.{i}.layernorm_before", f"encoder.layer.{i}.layernorm_before")
        place = own.removesuffix(".layernorm_before")
        ours = f"encoder.{i}.self_attention"
        for x, new, old in (
            ("q", "q_proj", "attention.query"),
            ("k", "k_proj", "attention.key"),
            ("v", "v_proj", "attention.value"),
            ("o", "o_proj", "output.dense"),
        ):
            found = one_of(tensors, f"{place}.attention.{new}", f"{place}.attention.{old}")
            names |= linear(f"{ours}.w_{x}", found, tensors)
        into = one_of(tensors, f"{place}.mlp.fc1", f"{place}.intermediate.dense")
        out = one_of(tensors, f"{place}.mlp.fc2", f"{place}.output.dense")
        names |= linear(f"encoder.{i}.feed_forward.w_in", into, tensors)
        names |= linear(f"encoder.{i}.feed_forward.w_out", out, tensors)
        names |= norm(f"{ours}.norm", f"{place}.layernorm_before")
        names |= norm(f"encoder.{i}.feed_forward.norm", f"{place}.layernorm_after")
    pixels = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double()
    patches = model.embeddings.patch_embeddings(pixels)
    first = model.embeddings.cls_token.expand(2, -1, -1)
    vectors = torch.cat([first, patches], 1).detach()
    found = model(pixels)
    parameters = renamed(config, names, tensors)
    outputs, context = forward(config, parameters, Batch(vectors=vectors.numpy()))
    for ours_, theirs_ in (
        (outputs.encoder_output, found.last_hidden_state), (outputs.pooled, found.pooler_output),
    ):  # fmt: skip
        np.testing.assert_allclose(ours_, theirs_.detach(), rtol=0, atol=1e-10)
    draw = np.random.default_rng(7).standard_normal
    cotangent = {"encoder_output": draw((2, 5, 12)), "pooled": draw((2, 12))}
    torch.autograd.backward(
        [found.last_hidden_state, found.pooler_output],
        [torch.from_numpy(one) for one in cotangent.values()],
    )
    gradients = backward(context, cotangent)
    check(model, config, names, gradients)
    np.testing.assert_allclose(
        gradients["vectors"][:, 0].sum(0), model.embeddings.cls_token.grad[0, 0], atol=1e-10
    )


def test_a_whisper_decoder_given_its_memory() -> None:
    theirs = transformers.WhisperConfig(
        vocab_size=13, d_model=12, decoder_layers=2, decoder_attention_heads=3,
        decoder_ffn_dim=10, encoder_layers=1, encoder_attention_heads=3, encoder_ffn_dim=10,
        max_target_positions=9, max_source_positions=4, num_mel_bins=5, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = built("WhisperForConditionalGeneration", theirs)
    tensors = {n: t.detach().numpy() for n, t in model.named_parameters()}
    config = Config(
        width=12, encoder_layers=1, decoder_layers=2, heads=3, hidden=10, vocabulary=13,
        source_vocabulary=1, norm_place="pre", positions="learned", position_limit=9,
        activation="gelu", tied_output=True, biases=BIASES,
    )  # fmt: skip
    names = {"decoder.embedding": "model.decoder.embed_tokens.weight",
             "decoder.positions": "model.decoder.embed_positions.weight",
             **norm("decoder.norm", "model.decoder.layer_norm")}  # fmt: skip
    for i in range(2):
        place = f"model.decoder.layers.{i}"
        for sublayer, own in (("self_attention", "self_attn"), ("cross_attention", "encoder_attn")):
            ours = f"decoder.{i}.{sublayer}"
            for x, letter in (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o")):
                names |= linear(f"{ours}.w_{letter}", f"{place}.{own}.{x}_proj", tensors)
            names |= norm(f"{ours}.norm", f"{place}.{own}_layer_norm")
        names |= linear(f"decoder.{i}.feed_forward.w_in", f"{place}.fc1", tensors)
        names |= linear(f"decoder.{i}.feed_forward.w_out", f"{place}.fc2", tensors)
        names |= norm(f"decoder.{i}.feed_forward.norm", f"{place}.final_layer_norm")
    ids = [[1, 5, 5, 7], [1, 3, 12, 4]]
    memory = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(1)).double()
    memory.requires_grad_()
    found = model(encoder_outputs=(memory,), decoder_input_ids=torch.tensor(ids))
    batch = Batch(memory=memory.detach().numpy(), decoder_ids=ids)
    outputs, context = forward(config, renamed(config, names, tensors), batch)
    np.testing.assert_allclose(outputs.logits, found.logits.detach(), rtol=0, atol=1e-10)
    cotangent = np.random.default_rng(7).standard_normal((2, 4, 13))
    found.logits.backward(torch.from_numpy(cotangent))
    gradients = backward(context, cotangent)
    check(model, config, names, gradients)
    np.testing.assert_allclose(gradients["memory"], memory.grad, rtol=0, atol=1e-10)
