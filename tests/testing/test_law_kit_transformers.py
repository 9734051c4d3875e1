"""The kit over language models of `transformers` with random weights, right and with bugs."""

from __future__ import annotations

import warnings

import pytest

from numtx.errors import SubjectError
from numtx.testing import check, run_machine, subject

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {"vocab_size": 23, "bos_token_id": 1, "eos_token_id": 2}


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_positions=24, n_embd=12, n_layer=2, n_head=3, **SIZES)
    config._attn_implementation = "eager"
    return transformers.GPT2LMHeadModel(config).eval()


def llama():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, max_position_embeddings=24, **SIZES,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return transformers.LlamaForCausalLM(config).eval()


MODELS = pytest.mark.parametrize("make", [gpt2, llama])


@MODELS
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_a_right_model_passes(make, double):
    model = make()
    if double:  # its eager attention takes the softmax in float32, where -1.8e308 is -inf
        model.set_attn_implementation("sdpa")
        model = model.double()
    report = check(model, examples=20)
    assert report.ok, [result.why for result in report.broken]
    assert sum(result.status == "passed" for result in report.results) == 23
    run_machine(subject(model), examples=5, steps=6)


def windowed(name, window=4, layers=2, **fields):
    """A model with sliding windows, in some layers or in all."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config" if name != "Gemma3" else "Gemma3TextConfig")(
        hidden_size=16, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=4, max_position_embeddings=64, sliding_window=window,
        pad_token_id=0, **SIZES, **fields,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


SOME = ["sliding_attention", "full_attention"]
ALL = ["sliding_attention"] * 2


@pytest.mark.parametrize(
    ("model", "reach", "longest"),
    [
        (lambda: windowed("Mistral"), 6, 10),
        (lambda: windowed("Mistral", 16), 30, 34),
        (lambda: windowed("Mistral", None), None, 8),
        (lambda: windowed("Gemma2"), None, 10),  # its layers alternate
        (lambda: windowed("Gemma2", layer_types=ALL), 6, 10),
        (lambda: windowed("Qwen2", use_sliding_window=True, layer_types=SOME), None, 10),
        (lambda: windowed("Qwen2", use_sliding_window=False), None, 8),
        (lambda: windowed("Gemma3", layer_types=ALL), 6, 10),
        (lambda: windowed("Gemma3", layer_types=SOME), None, 10),
        (lambda: windowed("Mistral", 3, layers=1), 2, 8),
    ],
)
def test_a_reach_is_taken_only_where_every_layer_has_a_window(model, reach, longest):
    own = subject(model())
    assert (own.reach, own.longest) == (reach, longest)


@pytest.mark.parametrize("name", ["Mistral", "Gemma2", "Gemma3"])
def test_a_right_model_with_windows_breaks_no_law(name):
    report = check(windowed(name), examples=10, shrink=False)
    assert report.ok, [result.why for result in report.broken + report.errors]
    names = {result.law.name for result in report.results if result.status == "passed"}
    assert {"K1", "K4", "C1", "C2", "C5", "C11"} <= names and ("K5" in names) == (name != "Gemma2")


def test_a_window_that_is_another_than_it_says_is_caught():
    model = windowed("Mistral")
    own = subject(model)
    model.config.sliding_window = 5
    assert [r.status for r in check(own, ["K5"], shrink=False).results] == ["broken"]


def test_layers_that_see_chunks_are_tried_within_one():
    model = windowed("Mistral", None)
    model.config.layer_types, model.config.attention_chunk_size = ["chunked_attention"] * 2, 5
    own = subject(model)
    assert (own.reach, own.longest) == (None, 5)


def test_an_encoder_is_not_causal_and_one_without_logits_is_refused():
    config = transformers.BertConfig(
        hidden_size=12, intermediate_size=10, num_hidden_layers=1, num_attention_heads=3,
        vocab_size=23,
    )  # fmt: skip
    report = check(transformers.BertForMaskedLM(config).eval(), vocabulary_size=23, examples=5)
    passed = {result.law.name for result in report.results if result.status == "passed"}
    assert report.ok and {"K4", "K6", "B3"} <= passed and "K1" not in passed
    with pytest.raises(SubjectError, match=r"BertModel gives no logits.*ForMaskedLM"):
        subject(transformers.BertModel(config), 23)


def test_declarations_on_a_language_model_are_honoured():
    model = llama()
    model.longest = 5
    assert subject(model).longest == 5
    with pytest.raises(SubjectError, match="vocabulary_size is 5; LlamaForCausalLM has 23"):
        subject(model, 5)


class Wrapped(torch.nn.Module):
    """A copy of a model in front of whose forward stands a mistake."""

    def __init__(self, model, mistake):
        super().__init__()
        self.model, self.mistake, self.config = model, mistake, model.config

    def forward(self, **given):
        return self.model(**self.mistake(given))


def broken(model, mistake, laws, examples=25):
    own = subject(model)
    own.model = Wrapped(model, mistake)
    report = check(own, laws, examples=examples, shrink=False)
    return {result.law.name for result in report.broken}


def ignored_mask(given):
    return {**given, "attention_mask": torch.ones_like(given["attention_mask"])}


def another_rows_mask(given):
    return {**given, "attention_mask": given["attention_mask"].flip(0)}


def columns_for_positions(given):
    total, new = given["attention_mask"].shape[1], given["input_ids"].shape[1]
    places = torch.arange(total - new, total)[None].expand(len(given["input_ids"]), new)
    return {**given, "position_ids": places}


def positions_of_the_chunk(given):
    new = given["input_ids"].shape[1]
    return {**given, "position_ids": torch.arange(new)[None].expand(len(given["input_ids"]), new)}


@MODELS
@pytest.mark.parametrize(
    ("mistake", "law"),
    [
        (ignored_mask, "K6"), (another_rows_mask, "B1-mask"), (positions_of_the_chunk, "C1"),
    ],
)  # fmt: skip
def test_a_mistake_in_front_of_it_is_caught(make, mistake, law):
    assert broken(make(), mistake, [law]) == {law}


def test_left_padding_that_shifts_learned_positions_is_caught_and_rotary_ones_bear_it():
    assert broken(gpt2(), columns_for_positions, ["B3"]) == {"B3"}
    assert broken(llama(), columns_for_positions, ["B3"]) == set()


@MODELS
def test_a_causal_mask_off_by_one_is_caught(make, monkeypatch):
    model = make()
    kind = type(model)
    module = __import__(kind.__module__, fromlist=["eager_attention_forward"])
    right = module.eager_attention_forward

    def ahead(layer, query, key, value, attention_mask, *args, **options):
        rows, keys = query.shape[2], key.shape[2]
        seen = torch.ones(rows, keys).tril(keys - rows + 1).bool()
        mask = torch.zeros(rows, keys).masked_fill(~seen, -1e9)[None, None].to(query.dtype)
        return right(layer, query, key, value, mask, *args, **options)

    monkeypatch.setattr(module, "eager_attention_forward", ahead)
    report = check(model, ["K1", "K3", "B2"], examples=15, shrink=False)
    assert {result.law.name for result in report.broken} == {"K1", "K3"}


@MODELS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_held_to_its_own_rounding(make, dtype):
    own = subject(make().to(dtype))
    laws = ["C1", "C11", "K1", "K4"]
    report = check(own, [*laws, "B3", "P3", "R2"], examples=10, shrink=False)
    assert report.ok, [result.why for result in report.broken + report.errors]
    assert f"logits are {str(dtype)[6:]}" in report.notes[0]
    for values in own.model.parameters():
        values.data *= 8.0 if values.ndim > 1 else 1.0
    assert check(own, ["P3"], examples=10).results[0].status == "passed"
    own.model = Wrapped(own.model, positions_of_the_chunk)
    broken = check(own, laws, examples=25, shrink=False, record=True).broken
    assert [result.law.name for result in broken] == ["C1", "C11"]


@MODELS
def test_dropout_left_on_is_caught(make):
    model = make().train()
    model.config.attention_dropout = 0.5
    for layer in model.modules():
        if hasattr(layer, "attention_dropout") and isinstance(layer.attention_dropout, float):
            layer.attention_dropout = 0.5
    report = check(model, ["R1"], examples=20, shrink=False)
    assert [result.status for result in report.results] == ["broken"]
    assert "it is in training mode" in report.results[0].why


def test_caches_that_are_not_reordered_or_cut_are_caught():
    class Forgets(type(subject(gpt2()))):
        def reorder(self, state, index):
            return state if len(index) == len(state.mask) else super().reorder(state, index)

        def truncate(self, state, lengths):
            return state

    found = check(Forgets(gpt2()), ["C4", "C5", "C3"], examples=25, shrink=False)
    assert {result.law.name for result in found.broken} == {"C4", "C5"}


def test_a_module_of_pytorch_takes_and_gives_tensors():
    class Bag(torch.nn.Module):
        vocabulary_size = 9

        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(9, 9)

        def forward(self, ids, mask):
            assert ids.dtype == torch.int64
            return self.table(ids).cumsum(1)

    own = subject(Bag())
    assert own.capabilities == {"logits", "mask"} and own.tensors


def test_ways_to_compute_are_compared_and_the_model_is_left_as_it_was():
    model = llama()
    own = subject(model)
    assert list(own.paths) == ["sdpa", "output_attentions", "float64"]
    assert [r.status for r in check(own, ["R2"], examples=10).results] == ["passed"]
    assert model.config._attn_implementation == "eager" and model.dtype == torch.float32


def test_an_implementation_that_scales_otherwise_is_broken(monkeypatch):
    right = torch.nn.functional.scaled_dot_product_attention

    def scaled(query, key, value, *args, scale=None, **options):
        return right(query, key, value, *args, scale=1.1 * scale, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", scaled)
    (result,) = check(llama(), ["R2"], examples=10, shrink=False).results
    assert result.status == "broken" and "path: sdpa" in result.why
