"""Filters and beam search against those of `transformers`: the same logits, the same hypotheses.

Skipped where PyTorch or transformers is missing; numtx itself never imports them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numtx import Batch, Config, beam_search
from numtx.decoding import filters
from numtx.parameters import parameter_shapes

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("seed", range(20))
def test_every_filter_leaves_the_same_logits(seed: int) -> None:
    process = transformers.generation.logits_process
    generator = np.random.default_rng(seed)
    vocabulary = int(generator.integers(2, 30))
    logits = 3 * generator.standard_normal((3, vocabulary))
    rows = generator.integers(0, vocabulary, (3, 5))
    penalty, p = float(generator.uniform(0.5, 3)), float(generator.uniform(0.05, 0.99))
    k, size = int(generator.integers(1, 40)), int(generator.integers(1, 4))
    few = generator.integers(0, vocabulary - 1, (3, 9))  # one word is never seen
    for ours, theirs in (
        (
            filters.penalise_repetition(logits, rows.tolist(), penalty),
            process.RepetitionPenaltyLogitsProcessor(penalty),
        ),
        (
            filters.ban_repeated_ngrams(logits, few.tolist(), size),
            process.NoRepeatNGramLogitsProcessor(size),
        ),
        (filters.temper(logits, penalty), process.TemperatureLogitsWarper(penalty)),
        (filters.keep_top_k(logits, k), process.TopKLogitsWarper(k)),
        (filters.keep_top_p(logits, p), process.TopPLogitsWarper(p)),
        (filters.keep_min_p(logits, p), process.MinPLogitsWarper(p)),
    ):
        seen = few if type(theirs) is process.NoRepeatNGramLogitsProcessor else rows
        expected = theirs(torch.tensor(seen), torch.tensor(logits)).numpy()
        np.testing.assert_allclose(ours, expected, rtol=1e-13)


def test_the_filters_stand_in_the_same_order() -> None:
    """As `generate` puts them together from its options."""
    generator = np.random.default_rng(1)
    logits = 2 * generator.standard_normal((4, 23))
    rows = generator.integers(0, 23, (4, 6))
    options = {
        "repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "temperature": 1.7, "top_k": 12,
        "top_p": 0.85, "min_p": 0.2,
    }  # fmt: skip
    model = _model(23)
    config = transformers.GenerationConfig(do_sample=True, **options)
    processors = model._get_logits_processor(config, input_ids_seq_length=6)
    expected = processors(torch.tensor(rows), torch.tensor(logits)).numpy()
    np.testing.assert_allclose(filters.Filters(**options)(logits, rows.tolist()), expected)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -0.5])
def test_beam_search_finds_the_same_hypotheses(length_penalty: float) -> None:
    model = _model(13)
    config, parameters = _ours(model)
    generator = np.random.default_rng(4)
    ended = 0
    for beams in (2, 3, 5):
        ids = generator.integers(0, 13, (1, beams))
        for eos in (2, 5, 8, 11):
            theirs = model.generate(
                torch.tensor(ids), num_beams=beams, max_new_tokens=7, num_return_sequences=beams,
                length_penalty=length_penalty, early_stopping="never", do_sample=False,
                return_dict_in_generate=True, output_scores=True, eos_token_id=eos,
                pad_token_id=eos, attention_mask=torch.ones_like(torch.tensor(ids)),
            )  # fmt: skip
            found = beam_search(
                config, parameters, Batch(ids), max_new_tokens=7, num_beams=beams, eos=eos,
                length_penalty=length_penalty,
            ).hypotheses[0]  # fmt: skip
            texts = [_until(text[beams:], eos) for text in theirs.sequences.tolist()]
            assert [list(one.tokens) for one in found] == texts
            scores = theirs.sequences_scores.numpy()  # theirs are float32
            np.testing.assert_allclose([one.score for one in found], scores, rtol=1e-5)
            ended += sum(one.ended for one in found)
    assert ended


def _until(tokens: list[int], eos: int) -> list[int]:
    return tokens[: tokens.index(eos) + 1] if eos in tokens else tokens


def _model(vocabulary: int) -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0,
        eos_token_id=2,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.35 * torch.randn_like(tensor)
    return model


def _ours(model: Any) -> tuple[Config, dict[str, Any]]:
    """The same model in numtx; a linear layer of GPT-2 is stored as (in, out) too."""
    config = Config(
        model="decoder-only", width=16, decoder_layers=2, heads=2, hidden=64,
        vocabulary=model.config.vocab_size, norm_place="pre", positions="learned",
        position_limit=32, activation="gelu_tanh", tied_output=True,
    )  # fmt: skip
    theirs = {name: tensor.detach().numpy() for name, tensor in model.named_parameters()}
    found = {name: np.zeros(shape) for name, shape in parameter_shapes(config).items()}
    found["decoder.embedding"] = theirs["transformer.wte.weight"]
    found["decoder.positions"] = theirs["transformer.wpe.weight"]
    places = {"decoder.norm": "transformer.ln_f"}
    for i in range(2):
        block, place = f"transformer.h.{i}", f"decoder.{i}"
        places[f"{place}.self_attention.norm"] = f"{block}.ln_1"
        places[f"{place}.feed_forward.norm"] = f"{block}.ln_2"
        for ours, name in (
            ("self_attention.{}_o", "attn.c_proj"), ("feed_forward.{}_in", "mlp.c_fc"),
            ("feed_forward.{}_out", "mlp.c_proj"),
        ):  # fmt: skip
            found[f"{place}.{ours.format('w')}"] = theirs[f"{block}.{name}.weight"]
            found[f"{place}.{ours.format('b')}"] = theirs[f"{block}.{name}.bias"]
        for j, letter in enumerate("qkv"):
            part = slice(16 * j, 16 * j + 16)
            attention = f"{place}.self_attention"
            found[f"{attention}.w_{letter}"] = theirs[f"{block}.attn.c_attn.weight"][:, part]
            found[f"{attention}.b_{letter}"] = theirs[f"{block}.attn.c_attn.bias"][part]
    for ours, name in places.items():
        found[f"{ours}.gain"], found[f"{ours}.bias"] = (
            theirs[f"{name}.weight"], theirs[f"{name}.bias"],
        )  # fmt: skip
    return config, found
