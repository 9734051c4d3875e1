"""numtx against models of `transformers` with random weights, in float64: values and gradients.

Each test says in a rename table how one family's parameters become numtx's. Skipped where
PyTorch or transformers is missing; numtx itself never imports them.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from numtx import Batch, Config, backward, forward

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = 1e-11
SINGLE = 1e-6  # families whose own code takes norms and angles in float32 whatever the type


def built(kind: str, config: Any) -> Any:
    """A model with random weights (norms and biases too), in float64 and without dropout."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        config._attn_implementation = "eager"
        model = getattr(transformers, kind)(config).double().eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    return model


class Renamed:
    """numtx's parameters from a model's tensors; and the model's gradients under numtx's names."""

    def __init__(self, model: Any) -> None:
        self.tensors = dict(model.named_parameters())
        self.names: dict[str, tuple[str, bool, slice]] = {}

    def add(
        self, name: str, theirs: str, transposed: bool = False, part: slice = slice(None)
    ) -> None:
        """`transposed`: theirs is (out, in); `part`: columns of a fused matrix."""
        self.names[name] = (theirs, transposed, part)

    def linear(self, place: str, letter: str, theirs: str) -> None:
        self.add(f"{place}.w_{letter}", f"{theirs}.weight", transposed=True)
        if f"{theirs}.bias" in self.tensors:
            self.add(f"{place}.b_{letter}", f"{theirs}.bias")

    def norm(self, place: str, theirs: str) -> None:
        self.add(f"{place}.gain", f"{theirs}.weight")
        if f"{theirs}.bias" in self.tensors:
            self.add(f"{place}.bias", f"{theirs}.bias")

    def _read(self, name: str, gradient: bool) -> np.ndarray:
        theirs, transposed, part = self.names[name]
        tensor = self.tensors[theirs]
        array = (tensor.grad if gradient else tensor).detach().numpy()
        array = array.T if transposed else array
        return np.ascontiguousarray(array[..., part])

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: self._read(name, False) for name in self.names}

    def gradients(self) -> dict[str, np.ndarray]:
        return {name: self._read(name, True) for name in self.names}


def compare(
    config: Config,
    renamed: Renamed,
    batch: Batch,
    logits: Any,
    real: np.ndarray | None = None,
    close: float = CLOSE,
) -> None:
    """Logits, and all gradients for a random cotangent of the logits at real positions."""
    outputs, context = forward(config, renamed.parameters(), batch)
    theirs = logits.detach().numpy()
    cotangent = np.random.default_rng(7).standard_normal(theirs.shape)
    if real is not None:
        cotangent *= real[..., None]
        theirs, ours = theirs[real], outputs.logits[real]
    else:
        ours = outputs.logits
    np.testing.assert_allclose(ours, theirs, rtol=close, atol=close)
    logits.backward(torch.from_numpy(cotangent))
    gradients = backward(context, cotangent)
    for name, expected in renamed.gradients().items():
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(
            gradients[name], expected, rtol=0, atol=10 * close * scale, err_msg=name
        )


IDS = np.array([[1, 5, 5, 2, 9], [3, 0, 10, 4, 6]])
LEFT = np.array([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], bool)


@pytest.mark.parametrize("mask", [None, LEFT])
def test_gpt2(mask: np.ndarray | None) -> None:
    model = built(
        "GPT2LMHeadModel",
        transformers.GPT2Config(
            vocab_size=11, n_positions=8, n_embd=12, n_layer=2, n_head=3, n_inner=20,
            resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        ),
    )  # fmt: skip
    config = Config(
        model="decoder-only", width=12, decoder_layers=2, heads=3, hidden=20, vocabulary=11,
        norm_place="pre", activation="gelu_tanh", positions="learned", position_limit=8,
        tied_output=True,
        biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("decoder.embedding", "transformer.wte.weight")
    renamed.add("decoder.positions", "transformer.wpe.weight")
    for i in range(2):
        ours, theirs = f"decoder.{i}", f"transformer.h.{i}"
        for j, letter in enumerate("qkv"):
            part = slice(12 * j, 12 * (j + 1))
            for kind, name in (("w", "weight"), ("b", "bias")):
                renamed.add(f"{ours}.self_attention.{kind}_{letter}",
                            f"{theirs}.attn.c_attn.{name}", part=part)  # fmt: skip
        for place, letter, name in (
            ("self_attention", "o", "attn.c_proj"),
            ("feed_forward", "in", "mlp.c_fc"),
            ("feed_forward", "out", "mlp.c_proj"),
        ):
            renamed.add(f"{ours}.{place}.w_{letter}", f"{theirs}.{name}.weight")
            renamed.add(f"{ours}.{place}.b_{letter}", f"{theirs}.{name}.bias")
        renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.ln_1")
        renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.ln_2")
    renamed.norm("decoder.norm", "transformer.ln_f")
    given: dict[str, Any] = {}
    if mask is not None:
        positions = np.maximum(np.cumsum(mask, 1) - 1, 0)
        given = {
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "position_ids": torch.from_numpy(positions),
        }
    logits = model(torch.from_numpy(IDS), **given).logits
    compare(config, renamed, Batch(IDS, mask=mask), logits, mask)


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Qwen3", "Mistral"])
def test_grouped_rotary_gated(family: str) -> None:
    more: dict[str, Any] = {
        "Mistral": {"sliding_window": 3},
        "Qwen3": {"head_dim": 4},  # its queries and keys are normed
    }.get(family, {})
    made = getattr(transformers, f"{family}Config")(
        vocab_size=11, hidden_size=12, intermediate_size=20, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=16,
        rms_norm_eps=1e-6, tie_word_embeddings=family == "Qwen2", attention_dropout=0.0,
        rope_theta=500.0, **more,
    )  # fmt: skip
    base = made.rope_parameters["rope_theta"] if hasattr(made, "rope_parameters") else 500.0
    model = built(f"{family}ForCausalLM", made)
    biases = ("b_q", "b_k", "b_v") if family == "Qwen2" else False
    config = Config(
        model="decoder-only", width=12, decoder_layers=2, heads=6, key_value_heads=2,
        hidden=20, vocabulary=11, norm="rms", norm_place="pre", epsilon=1e-6,
        positions="rotary", position_base=float(base), activation="silu", gated=True,
        biases=biases, tied_output=family == "Qwen2", window=more.get("sliding_window"),
        key_width=more.get("head_dim"), query_key_norm="head" if family == "Qwen3" else None,
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("decoder.embedding", "model.embed_tokens.weight")
    for i in range(2):
        ours, theirs = f"decoder.{i}", f"model.layers.{i}"
        for letter in "qkvo":
            renamed.linear(f"{ours}.self_attention", letter, f"{theirs}.self_attn.{letter}_proj")
        for letter, name in (("gate", "gate"), ("in", "up"), ("out", "down")):
            renamed.linear(f"{ours}.feed_forward", letter, f"{theirs}.mlp.{name}_proj")
        if config.query_key_norm:
            for kind in ("query", "key"):
                renamed.norm(
                    f"{ours}.self_attention.{kind}_norm", f"{theirs}.self_attn.{kind[0]}_norm"
                )
        renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.input_layernorm")
        renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.post_attention_layernorm")
    renamed.norm("decoder.norm", "model.norm")
    if not config.tied_output:
        renamed.add("output.w", "lm_head.weight", transposed=True)
    logits = model(torch.from_numpy(IDS)).logits
    compare(config, renamed, Batch(IDS), logits, close=SINGLE)


@pytest.mark.parametrize("heads", [2, 3, 6])
@pytest.mark.parametrize("mask", [None, LEFT])
def test_bloom(heads: int, mask: np.ndarray | None) -> None:
    """Slopes of any number of heads, and positions that count a row's tokens.

    With padding on the left logits alone, in float32: a query without keys is NaN in its float64.
    """
    width, d = 12, 12 // heads
    model = built(
        "BloomForCausalLM",
        transformers.BloomConfig(
            vocab_size=11, hidden_size=width, n_layer=2, n_head=heads, hidden_dropout=0.0,
            attention_dropout=0.0,
        ),
    )  # fmt: skip
    config = Config(
        model="decoder-only", width=width, decoder_layers=2, heads=heads, hidden=4 * width,
        vocabulary=11, norm_place="pre", activation="gelu_tanh", positions="alibi",
        embedding_norm=True, tied_output=True,
        biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("decoder.embedding", "transformer.word_embeddings.weight")
    renamed.norm("decoder.embedding_norm", "transformer.word_embeddings_layernorm")
    for i in range(2):
        ours, theirs = f"decoder.{i}", f"transformer.h.{i}"
        fused = np.arange(3 * width).reshape(heads, 3, d)  # of each head q, k, v
        for j, letter in enumerate("qkv"):
            part: Any = fused[:, j].ravel()
            name = f"{theirs}.self_attention.query_key_value"
            renamed.add(f"{ours}.self_attention.w_{letter}", f"{name}.weight", True, part)
            renamed.add(f"{ours}.self_attention.b_{letter}", f"{name}.bias", part=part)
        renamed.linear(f"{ours}.self_attention", "o", f"{theirs}.self_attention.dense")
        renamed.linear(f"{ours}.feed_forward", "in", f"{theirs}.mlp.dense_h_to_4h")
        renamed.linear(f"{ours}.feed_forward", "out", f"{theirs}.mlp.dense_4h_to_h")
        renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.input_layernorm")
        renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.post_attention_layernorm")
    renamed.norm("decoder.norm", "transformer.ln_f")
    if mask is None:
        logits = model(torch.from_numpy(IDS)).logits
        compare(config, renamed, Batch(IDS), logits, close=SINGLE)
        return
    ours = forward(config, renamed.parameters(), Batch(IDS, mask=mask))[0].logits
    seen = torch.from_numpy(mask.astype(np.int64))
    theirs = model.float()(torch.from_numpy(IDS), attention_mask=seen).logits.detach().numpy()
    np.testing.assert_allclose(ours[mask], theirs[mask], rtol=0, atol=1e-5)


def attention_of(renamed: Renamed, ours: str, theirs: str, names: str = "qkv") -> None:
    for letter in names:
        renamed.linear(ours, letter, f"{theirs}.{letter}_proj")
    renamed.linear(ours, "o", f"{theirs}.out_proj")


@pytest.mark.parametrize("scaled", [False, True])
def test_bart(scaled: bool) -> None:
    model = built(
        "BartForConditionalGeneration",
        transformers.BartConfig(
            vocab_size=11, d_model=12, encoder_layers=2, decoder_layers=1,
            encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=20,
            decoder_ffn_dim=20, max_position_embeddings=8, dropout=0.0, attention_dropout=0.0,
            activation_dropout=0.0, activation_function="gelu", scale_embedding=scaled,
            pad_token_id=8,  # an id that does not occur: its row would get no gradient there
        ),
    )  # fmt: skip
    config = Config(
        width=12, encoder_layers=2, decoder_layers=1, heads=3, hidden=20, vocabulary=11,
        activation="gelu", positions="learned", position_limit=8, position_offset=2,
        embedding_norm=True, tied_output=True,
        embedding_scale=float(np.sqrt(12.0)) if scaled else 1.0,
        biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("embedding", "model.shared.weight")
    for side in ("encoder", "decoder"):
        renamed.add(f"{side}.positions", f"model.{side}.embed_positions.weight")
        renamed.norm(f"{side}.embedding_norm", f"model.{side}.layernorm_embedding")
        for i in range(config.layers(side)):
            ours, theirs = f"{side}.{i}", f"model.{side}.layers.{i}"
            attention_of(renamed, f"{ours}.self_attention", f"{theirs}.self_attn")
            renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.self_attn_layer_norm")
            if side == "decoder":
                attention_of(renamed, f"{ours}.cross_attention", f"{theirs}.encoder_attn")
                renamed.norm(f"{ours}.cross_attention.norm", f"{theirs}.encoder_attn_layer_norm")
            renamed.linear(f"{ours}.feed_forward", "in", f"{theirs}.fc1")
            renamed.linear(f"{ours}.feed_forward", "out", f"{theirs}.fc2")
            renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.final_layer_norm")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    target = np.array([[2, 4, 4], [0, 7, 1]])
    logits = model(
        torch.from_numpy(IDS), attention_mask=torch.from_numpy(mask.astype(np.int64)),
        decoder_input_ids=torch.from_numpy(target),
    ).logits  # fmt: skip
    compare(config, renamed, Batch(IDS, target, mask=mask), logits)


def test_bert() -> None:
    model = built(
        "BertModel",
        transformers.BertConfig(
            vocab_size=11, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=20, max_position_embeddings=8, type_vocab_size=2,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        ),
    )  # fmt: skip
    # An output of the identity shows the hidden states as logits.
    config = Config(
        model="encoder-only", width=12, encoder_layers=2, heads=3, hidden=20, vocabulary=12,
        activation="gelu", positions="learned", position_limit=8, segments=2,
        embedding_norm=True, epsilon=1e-12,
        biases=("b_q", "b_k", "b_v", "b_o", "b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    renamed = Renamed(model)
    renamed.add("encoder.positions", "embeddings.position_embeddings.weight")
    renamed.add("encoder.segments", "embeddings.token_type_embeddings.weight")
    renamed.norm("encoder.embedding_norm", "embeddings.LayerNorm")
    for i in range(2):
        ours, theirs = f"encoder.{i}", f"encoder.layer.{i}"
        for letter, name in (("q", "query"), ("k", "key"), ("v", "value")):
            renamed.linear(f"{ours}.self_attention", letter, f"{theirs}.attention.self.{name}")
        renamed.linear(f"{ours}.self_attention", "o", f"{theirs}.attention.output.dense")
        renamed.norm(f"{ours}.self_attention.norm", f"{theirs}.attention.output.LayerNorm")
        renamed.linear(f"{ours}.feed_forward", "in", f"{theirs}.intermediate.dense")
        renamed.linear(f"{ours}.feed_forward", "out", f"{theirs}.output.dense")
        renamed.norm(f"{ours}.feed_forward.norm", f"{theirs}.output.LayerNorm")
    parameters = renamed.parameters()
    table = renamed.tensors["embeddings.word_embeddings.weight"].detach().numpy()
    parameters["encoder.embedding"] = np.vstack([table, np.zeros((1, 12))])
    parameters["output.w"] = np.eye(12)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    segments = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 0]])
    hidden = model(
        torch.from_numpy(IDS), attention_mask=torch.from_numpy(mask.astype(np.int64)),
        token_type_ids=torch.from_numpy(segments),
    ).last_hidden_state  # fmt: skip
    outputs, context = forward(config, parameters, Batch(IDS, mask=mask, segments=segments))
    np.testing.assert_allclose(outputs.logits[mask], hidden.detach().numpy()[mask], atol=CLOSE)
    cotangent = np.random.default_rng(7).standard_normal(hidden.shape) * mask[..., None]
    hidden.backward(torch.from_numpy(cotangent))
    gradients = backward(context, cotangent)
    for name, expected in renamed.gradients().items():
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-8, atol=1e-9, err_msg=name)
