"""Live models of transformers, recorded under numtx's names and held against numtx's runs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from small_folders import CONFIGS, written

from numtx import Batch, read_model
from numtx import record as run_of
from numtx.cli import main
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.parameters import parameter_shapes
from numtx.stages.resolve import resolve

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from numtx.adapters.folder import load  # noqa: E402
from numtx.adapters.transformers import Recorded, record  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = ("llama", "deepseek_v3", "bart", "roberta")
EVERY = [pytest.param(n, n, marks=() if n in FEW else pytest.mark.heavy) for n in CONFIGS]
IDS = [[1, 2, 3, 10, 5, 6], [4, 0, 3, 7, 9, 2]]
TARGET = [[3, 5, 1], [0, 7, 2]]  # as many as there are heads
LABELS = [[5, -100, 2], [7, 2, 0]]
LOSSLESS = ("bert", "distilbert")  # bodies alone
# What no module gives or is given, in any family: what one function computes at a stroke.
WITHIN = {
    "mask", "products", "scores", "capped_scores", "bias", "biased_scores", "masked_scores",
    "rotated_queries", "rotated_keys", "rotated_key", "full_queries", "full_keys",
    "embedding", "scaled_embedding", "scaled_output", "router.scores", "labels",
    "log_probabilities", "probabilities", "loss.per_token",
}  # fmt: skip
UNTAUGHT = ("output.b", "router.correction")  # buffers there, in some families


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """Exit code and what is printed."""
    capsys.readouterr()
    return main(args), capsys.readouterr().out


def given(name: str) -> dict[str, object]:
    """What a model of a family is given."""
    found = {} if name in LOSSLESS else {"labels": LABELS}
    if CONFIGS[name]["model"] == "encoder-decoder":
        return {"ids": IDS, "decoder_ids": TARGET, **found}
    return {"ids": TARGET if found else IDS, **found}


def options(name: str) -> list[str]:
    """The same for the command."""
    return [
        part
        for key, value in given(name).items()
        for part in (f"--{key.replace('_', '-')}", json.dumps(value))
    ]


@pytest.fixture
def folder(request, tmp_path):
    return written(tmp_path / "model", request.param, "float32")


def recorded(name: str, folder) -> Recorded:
    model = load(str(folder))
    if name not in LOSSLESS:
        return record(model, **given(name))
    draw, ends = np.random.default_rng(1), {"encoder_output": (2, 6, 12)}
    ends |= {"pooled": (2, 12)} if name == "bert" else {}
    return record(
        model, **given(name), cotangent={e: draw.standard_normal(s) for e, s in ends.items()}
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "folder"), EVERY, indirect=["folder"])
def test_one_command_holds_a_folder_against_the_package(name, folder, dtype, capsys):
    """Values and gradients; in float64, too, much is taken in float32 there."""
    command = ("compare", "--model", str(folder), "--against", "transformers", "--gradients")
    code, out = run(capsys, *command, *options(name), "--dtype", dtype, "--lang", "en")
    assert code == 0, out
    assert re.search(rf"torch\.{dtype}: \d+ of \d+ stages recorded\n", out)


@pytest.mark.parametrize(("name", "folder"), EVERY, indirect=["folder"])
def test_a_family_is_recorded_whole(name, folder):
    """All but what stands within one function; the gradients of it, and of every parameter."""
    found = recorded(name, folder)
    assert not found.silent
    config = read_model(folder).config
    graph = resolve(config, labels="labels" in given(name))
    for stage in found.lacking:
        leaf = re.sub(r"^(encoder|decoder)\.(\d+\.\w+\.)?", "", stage)
        beside = leaf == "residual" and config.parallel is not None and "self_att" in stage
        assert leaf in WITHIN or leaf.startswith("experts.") or beside, stage
    assert {*graph.stages} == {*found.stages, *found.lacking}
    shapes = parameter_shapes(config)
    lacking = [n for n in shapes if f"parameters/{n}" not in found.arrays]
    assert not [n for n in lacking if not n.endswith(UNTAUGHT)]
    for stage in (*found.stages, *(f"parameters/{n}" for n in shapes)):
        value = found.arrays.get(stage)
        if value is None or value.dtype.kind != "f" or stage.endswith(UNTAUGHT):
            continue
        if graph.stages.get(stage) is not None and graph[stage].operation in ("bucket", "lookup"):
            continue  # what rows or layers share
        assert found.arrays[f"grad/{stage}"].shape == value.shape, stage


@pytest.fixture
def llama(tmp_path):
    return written(tmp_path / "llama", "llama", "float32")


def held(folder, model):
    """The comparison of a folder's model with a live one."""
    config, parameters, _ = read_model(folder)
    ours = run_of(config, parameters, Batch(IDS, labels=IDS))
    theirs = record(model, IDS, labels=IDS)
    return theirs, compare(side_of(ours, "ours"), Side("theirs", theirs.arrays, None))


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        ("model.layers.1.self_attn.q_proj.weight", "decoder.1.self_attention.queries"),
        ("model.layers.1.self_attn.o_proj.weight", "decoder.1.self_attention.output"),
        ("model.layers.0.mlp.gate_proj.weight", "decoder.0.feed_forward.gate"),
        ("model.layers.1.post_attention_layernorm.weight", "decoder.1.feed_forward.norm"),
        ("model.norm.weight", "decoder.output"),
        ("lm_head.weight", "logits"),
    ],
)
def test_a_changed_weight_is_found_where_it_acts(llama, changed, stage):
    model = load(str(llama))
    assert held(llama, model)[1].equal
    with torch.no_grad():
        model.get_parameter(changed)[..., 2] += 0.01
    found = held(llama, model)[1]
    assert found.first.name == stage
    assert [d.equal for d in found.parameters].count(False) == 1


def test_a_module_that_is_not_called_is_told(llama):
    model = load(str(llama))
    layer = model.model.layers[1].mlp
    layer.forward = lambda x: layer.down_proj(
        torch.nn.functional.silu(layer.gate_proj(x)) * layer.up_proj(x)
    )
    found, comparison = held(llama, model)
    assert comparison.equal
    assert "decoder.1.feed_forward.activation" in found.lacking
    assert "modules that were not called: model.layers.1.mlp.act_fn" in str(found)


def test_a_model_is_left_as_it_was(llama):
    model = load(str(llama)).train()
    model.model.layers[0].eval()
    model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
    modes = [module.training for module in model.modules()]
    attention = model.config._attn_implementation
    assert held(llama, model)[1].equal
    assert modes == [module.training for module in model.modules()]
    assert attention == model.config._attn_implementation != "eager"
    assert not any(module._forward_hooks for module in model.modules())
    graded = [name for name, x in model.named_parameters() if x.grad is not None]
    assert graded == ["lm_head.weight"] and bool((model.lm_head.weight.grad == 1).all())


def test_padding_has_no_part_in_a_comparison(llama, capsys):
    """Nor what a query does that may attend to nothing: there it attends to everything."""
    mask = "[[1,1,1,1,1,1],[0,0,1,1,1,1]]"
    command = ("compare", "--model", str(llama), "--against", "transformers", "--gradients")
    code, out = run(capsys, *command, "--ids", json.dumps(IDS), "--mask", mask, "--lang", "en")
    assert code == 0, out
    assert "numbers at padding, which act on nothing, are left out" in out


def test_a_bias_that_layers_share_has_no_gradient_of_each(tmp_path):
    """Of a single row it has the shape of a layer's own, and is the sum over all layers."""
    folder = written(tmp_path / "t5", "t5", "float32")
    found = record(load(str(folder)), IDS[:1], decoder_ids=TARGET[:1], labels=LABELS[1:])
    biases = [name for name in found.stages if name.endswith("self_attention.bias")]
    assert biases and not [name for name in biases if f"grad/{name}" in found.arrays]


def test_the_padding_of_a_model_is_taught_like_any_token(tmp_path, capsys):
    folder = written(tmp_path / "bart", "bart", "float32")
    command = ("compare", "--model", str(folder), "--against", "transformers", "--gradients")
    for ids, told in (([[2, 3]], False), ([[2, 1]], True)):
        given = ("--ids", json.dumps(ids), "--decoder-ids", "[[3,4,5]]")
        code, out = run(capsys, *command, *given, "--lang", "en")
        assert code == 0, out
        assert ("token 1 is the model's padding" in out) is told


def test_a_body_and_another_head_give_what_they_have(llama):
    """All but the logits, which no label can be held against."""
    whole, body = load(str(llama)), load(str(llama)).model
    ends = {"decoder_output": np.ones((2, 6, 12))}
    expected = record(body, IDS, cotangent=ends)
    classes = transformers.LlamaForSequenceClassification.from_pretrained(llama)
    classes.config.pad_token_id = 0
    tokens = transformers.LlamaForTokenClassification.from_pretrained(llama)
    for model in (body, classes, tokens):
        found = record(model, IDS)
        assert {*record(whole, IDS).stages} - {*found.stages} == {"logits"}
        with pytest.raises(ValueError, match=r"labels: Llama.* gives no logits of every token"):
            record(model, IDS, labels=IDS)
    config, parameters, _ = read_model(llama)
    ours = run_of(config, parameters, Batch(IDS), cotangent=ends)
    comparison = compare(side_of(ours, "ours"), Side("theirs", expected.arrays, None))
    assert comparison.equal and len(comparison.gradients) > 50
    with pytest.raises(ValueError, match="cotangent of 'pooled', which the model does not give"):
        record(body, IDS, cotangent={"pooled": np.ones((2, 12))})


def test_what_is_recorded_is_written(llama, tmp_path, capsys):
    file = tmp_path / "theirs.npz"
    record(load(str(llama)), IDS, labels=IDS).save(file)
    command = ("compare", "--model", str(llama), str(file), "--labels", json.dumps(IDS))
    assert run(capsys, *command, "--ids", json.dumps(IDS))[0] == 0


def test_models_that_numtx_does_not_know_are_refused_in_a_line():
    config = transformers.OPTConfig(
        vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, ffn_dim=4,
        word_embed_proj_dim=4,
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"^OPTForCausalLM: model_type 'opt' is not known; [^\n]*$"
    ):
        record(transformers.OPTForCausalLM(config), IDS)
    with pytest.raises(ValueError, match="Linear is no model of transformers"):
        record(torch.nn.Linear(2, 2), IDS)
