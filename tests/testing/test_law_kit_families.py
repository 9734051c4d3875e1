"""Right models of `transformers` break no law, with each cache that they have, in both types."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from samples import some

from numtx.cli import main
from numtx.errors import SubjectError
from numtx.testing import check, subject

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
    from families import FAMILIES, make

pytestmark = pytest.mark.filterwarnings("ignore")
NO_STATIC = {"BERT", "T5", "BART", "BLOOM"}  # BLOOM's raises: see below
# In float64 these give NaN where a row sees padding alone, in a window on either side.
EAGER = {"Gemma 2": (), "BLOOM": ("right",)}
WAYS = [
    f"{name}, {dtype}, {cache}"
    for name in FAMILIES
    for dtype in ("float32", "float64")
    for cache in ("dynamic", "static")
    if cache == "dynamic" or name not in NO_STATIC
]
FEW = {"examples": 4, "shrink": False}


@pytest.mark.parametrize("way", some(4, __name__, WAYS))
def test_a_right_model_breaks_no_law_and_none_is_in_error(way):
    name, dtype, cache = way.split(", ")
    options = {"cache": "static"} if cache == "static" else {}
    report = check(make(name, dtype == "float64"), **FEW, **options)
    found = report.broken + report.errors + report.undeclared
    assert not found, "\n".join(result.why for result in found)
    passed = {r.law.name for r in report.results if r.status in ("passed", "rounding")}
    wanted = {"K6", "B1", "B3", "B4", "R1"}
    wanted |= {"K1", "K3", "C1", "C2", "C3", "C5", "C8", "C11"} if name != "BERT" else set()
    wanted -= {"K6", "B3", "C2"} if (name, dtype) == ("Gemma 2", "float64") else set()
    assert wanted | ({"K6-memory", "B5"} if name in ("T5", "BART") else set()) <= passed


@pytest.mark.parametrize("name", EAGER)
def test_nan_in_float64_is_the_package_own(name):
    """Its eager attention takes the softmax in float32, where the least float64 is -inf."""
    model, ids = make(name, True), torch.tensor([[5, 7, 9]])
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=torch.tensor([[0, 1, 1]])).logits
        single = make(name)(input_ids=ids, attention_mask=torch.tensor([[0, 1, 1]])).logits
    assert found[0, 2].isnan().any() and not single[0, 2].isnan().any()
    report = check(model, ["B3"], **FEW)
    assert subject(model).paddings == EAGER[name] and not report.errors
    assert any("gives NaN for a row of padding alone; not asked: left" in n for n in report.notes)
    forced = check(model, ["B3"], paddings="left", **FEW).errors if EAGER[name] else ()
    assert all("gave nan" in result.why for result in forced) and bool(forced) == (name == "BLOOM")


def test_a_static_cache_that_raises_is_the_package_own():
    model, ids = make("BLOOM"), torch.tensor([[5, 7, 9]])
    cache = transformers.StaticCache(config=model.config, max_cache_len=8)
    with torch.no_grad(), pytest.raises(RuntimeError, match="expanded size"):
        model(input_ids=ids, attention_mask=torch.ones_like(ids), cache=cache, use_cache=True)


def test_a_window_that_has_passed_cannot_be_cut_and_that_is_told():
    ids = np.random.default_rng(0).integers(0, 23, (2, 6))
    own = subject(make("Mistral"))
    _, state = own.step(ids[:, :3])
    assert own.lengths(own.truncate(state, [1, 1])) == [1, 1]
    _, state = own.step(ids)
    with pytest.raises(NotImplementedError, match="DynamicSlidingWindowLayer cannot be cropped"):
        own.truncate(state, [4, 4])
    static = check(make("Mistral"), ["C4"], cache="static", **FEW)
    assert "truncate is refused: StaticSlidingWindowLayer cannot be cropped" in static.table()


def test_a_sequence_model_whose_memory_is_not_reordered_or_seen_through_padding_is_caught():
    own = subject(make("T5"))

    class Wrong(type(own)):
        def reorder(self, state, index):
            found = super().reorder(state, index)
            return found._replace(hidden=found.hidden.flip(0))

        def logits(self, ids, mask=None, memory=None):
            seen = None if memory is None else memory._replace(mask=np.ones_like(memory.mask))
            return super().logits(ids, mask, seen)

    report = check(Wrong(make("T5")), ["K6-memory", "B5", "K1"], examples=10, shrink=False)
    assert {result.law.name for result in report.broken} == {"K6-memory", "B5"}


def test_a_cache_is_of_causal_models():
    for name in ("T5", "BERT"):
        with pytest.raises(SubjectError, match="tried with its dynamic cache only"):
            subject(make(name), cache="static")
    with pytest.raises(SubjectError, match="cache is for language models"):
        subject(lambda ids: ids, 5, cache="static")


def test_a_saved_folder_from_the_command_line(tmp_path, capsys):
    make("Llama").save_pretrained(tmp_path / "llama")
    few = ("--law", "K1", "--law", "C1", "--examples", "3")
    code = main(["laws", f"transformers:{tmp_path / 'llama'}", *few, "--cache", "static"])
    out = capsys.readouterr().out
    assert code == 0 and "2 passed, 0 broken" in out
    config = tmp_path / "llama" / "config.json"
    for text, told in [
        (json.dumps({"architectures": ["NoSuchModel"]}), "transformers has no NoSuchModel"),
        ("{", "config.json: not JSON"),
    ]:
        config.write_text(text)
        assert main(["laws", f"transformers:{tmp_path / 'llama'}", *few]) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1
