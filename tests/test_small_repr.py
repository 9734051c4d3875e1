"""Every public object has a small text, and so has everything that hangs on it."""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from samples import VARIANTS, ragged_batch, random_parameters

import numtx
from numtx import Batch, Config
from numtx.cache import Cache
from numtx.check.explain import explain
from numtx.check.gradcheck import check_model
from numtx.compare.compare import compare
from numtx.compare.sides import read_side
from numtx.costs import count_generation
from numtx.small_repr import brief, small_repr
from numtx.step import step
from numtx.trace.files import save_trace
from numtx.trace.what_if import changes
from numtx.training.greedy import answers, rows
from numtx.training.loop import train
from numtx.training.run import Run

LINES, WIDTH = 5, 200
SMALL = "decoder, rotary, grouped, gated"


def own(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numtx"


def parts(value: object) -> list[object]:
    """What hangs on a value: its items, fields, attributes and properties."""
    if isinstance(value, Mapping):
        return list(value.values())
    found: list[object] = []
    if isinstance(value, list | tuple | set | frozenset):
        found += value
    if own(value):
        names = [*getattr(value, "__dict__", ()), *getattr(value, "__slots__", ())]
        names += [
            name
            for name, member in inspect.getmembers(type(value))
            if isinstance(member, property) and not name.startswith("_")
        ]
        found += [getattr(value, name) for name in names if hasattr(value, name)]
    return found


def too_long(text: str) -> bool:
    lines = text.split("\n")
    return len(lines) > LINES or max(map(len, lines)) > WIDTH


def large(value: object) -> list[str]:
    """Types of objects of the package, at or below a value, whose texts are too long."""
    seen: set[int] = set()
    keep, wrong, waiting = [], {}, [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, str | bytes | np.ndarray | np.generic):
            continue
        seen.add(id(one))
        keep.append(one)  # so that no id is given out again
        if own(one) and not isinstance(one, type) and (too_long(repr(one)) or too_long(str(one))):
            wrong[type(one).__qualname__] = repr(one)[:100]
        waiting += parts(one)
    return sorted(wrong)


def small_model() -> tuple[Config, dict[str, Any]]:
    config = Config(**VARIANTS[SMALL])
    return config, random_parameters(config)


def prompt() -> Batch:
    return Batch([[1, 2, 3, 4]] * 30)


def in_a_folder() -> object:
    small = Config(
        model="decoder-only", width=8, decoder_layers=1, hidden=4, vocabulary=5, norm="rms",
        norm_place="pre", positions="rotary", activation="silu", gated=True, biases=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        numtx.write_model(folder, small, numtx.initialise(small), "llama")
        return numtx.read_model(folder)


def recorder(config: Config, parameters: Mapping[str, np.ndarray]) -> object:
    tap = numtx.Recorder({"logits": np.zeros((30, 4, 11))})
    numtx.forward(config, parameters, prompt(), tap)
    return tap


@cache
def found_by_calling() -> dict[str, Callable[[], object]]:
    """What every public name gives, by name."""
    config, parameters = small_model()
    example = numtx.load_example("cat")
    long = {"max_new_tokens": 3}

    def saved(save: Callable[..., object], load: Callable[..., object], *what: Any) -> object:
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder) / "f.npz", what[0])
            return load(Path(folder) / "f.npz", *what[1:])

    def run() -> object:
        return numtx.forward(config, parameters, Batch([[1, 2, 3]] * 9, labels=[[2, 3, 4]] * 9))

    return {
        "__version__": lambda: numtx.__version__,
        "BackwardPass": lambda: numtx.BackwardPass(np.sin, np.cos, [np.zeros((30, 30))] * 30),
        "Batch": prompt,
        "BlockPool": lambda: numtx.BlockPool(config, 4, 1000),
        "Cache": lambda: numtx.Cache(config, parameters, 30, storage="paged"),
        "Config": lambda: [Config(**fields) for fields in VARIANTS.values()],
        "Filters": lambda: numtx.Filters(temperature=0.5, top_k=3),
        "NumtxError": lambda: numtx.NumtxError("what"),
        "NO_TAP": lambda: numtx.NO_TAP,
        "Pin": lambda: numtx.Pin(np.ones((30, 30), bool), np.zeros((30, 30))),
        "PrefixCache": lambda: (
            cache := numtx.PrefixCache(config, parameters),
            cache.prefill(config, parameters, [1, 2, 3]),
        ),
        "Recorder": lambda: recorder(config, parameters),
        "Trace": example.trace,
        "Vocabulary": lambda: numtx.Vocabulary(map(str, range(5000))),
        "backward": lambda: numtx.backward(run()[1]),  # type: ignore[index]
        "beam_search": lambda: numtx.beam_search(config, parameters, prompt(), num_beams=3, **long),
        "check_operation": lambda: numtx.check_operation(
            lambda *x: sum(x), lambda d, *x: [d] * 30, [np.zeros((5, 5))] * 30, samples=1
        ),
        "forward": run,
        "generate": lambda: numtx.generate(config, parameters, prompt(), **long),
        "initialise": lambda: numtx.initialise(config),
        "load_example": lambda: [numtx.load_example(n) for n in ("cat", "weather", "memory")],
        "load_parameters": lambda: saved(
            numtx.save_parameters, numtx.load_parameters, parameters, config
        ),
        "load_trace": lambda: saved(
            lambda path, trace: save_trace(trace, path), numtx.load_trace, example.trace()
        ),
        "next_tokens": lambda: numtx.next_tokens([list(range(40))] * 30),
        "pad": lambda: numtx.pad([[1] * n for n in range(1, 40)]),
        "read_model": in_a_folder,
        "record": lambda: numtx.record(config, parameters, prompt()),
        "record_generation": lambda: numtx.record_generation(config, parameters, prompt(), **long),
        "sampler": lambda: numtx.sampler(numtx.Filters(), 3),
        "sequence_log_probability": lambda: numtx.sequence_log_probability(
            config, parameters, prompt(), [[1, 2]] * 30
        ),
        **dict.fromkeys(("save_parameters", "write_model"), lambda: None),
        **found_by_commands(config, parameters),
    }


def wrong_answer() -> object:
    """The verdict on a wrong answer."""
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "e.py").write_text(
            numtx.lesson_exercise("3").replace("    ...", "    return queries @ keys.T")
        )
        return numtx.check_exercise(file)


def found_by_commands(
    config: Config, parameters: Mapping[str, np.ndarray]
) -> dict[str, Callable[[], object]]:
    """The same of what commands do."""
    trace = numtx.record(config, parameters, Batch([[1, 2, 3]] * 9, labels=[[2, 3, 4]] * 9))
    model = config, parameters, Batch([[1, 2, 3]], labels=[[2, 3, 4]])
    wrong = dataclasses.replace(trace, values={**trace.values, "logits": trace["logits"] + 1.0})
    texts = ("to_text", "to_markdown", "to_html", "to_json", "write_csv", "lesson_notebook",
             "lesson_exercise", "run_lesson", "save_trace", "save_run")  # fmt: skip
    return {
        **dict.fromkeys(texts, lambda: None),  # texts, files, and what a lesson names
        **dict.fromkeys(("exposure_bias", "gradient_depth"), lambda: None),  # they take long
        "check_own_operation": lambda: numtx.check_own_operation("softmax", samples=1),
        "counting_task": numtx.counting_task,
        "example_for_text": lambda: numtx.example_for_text("我爱你"),
        "gradient_flow": lambda: numtx.gradient_flow(numtx.load_example("weather").trace()),
        "own_task": lambda: numtx.own_task(*model),
        "peeking": lambda: numtx.peeking(numtx.own_task(*model), steps=1),
        "RecordedStage": lambda: trace.stage("logits"),
        "Run": lambda: Run(config, parameters),
        "Recipe": numtx.Recipe,
        "all_lessons": numtx.all_lessons,
        "cache_numbers": lambda: numtx.cache_numbers(config, 3),
        "changes": lambda: numtx.changes(trace, wrong),
        "check_backward": lambda: numtx.check_backward(
            numtx.BackwardPass(np.square, np.multiply, [np.ones((30, 30))])
        ),
        "check_laws": lambda: numtx.check_laws(
            lambda ids: np.eye(5)[np.asarray(ids)], vocabulary_size=5, examples=1
        ),
        "check_model": lambda: numtx.check_model(*model, samples=1),
        "check_stages": lambda: numtx.check_stages(*model, ["logits"], samples=1),
        "compare_runs": lambda: numtx.compare_runs(trace, wrong),
        "count_generation": lambda: count_generation(*model[:2], prompt(), max_new_tokens=2),
        "explain": lambda: numtx.explain(trace, "logits[0,2,1]", depth=3),
        "figures": lambda: numtx.figures(figure="004.hidden"),
        "check_exercise": wrong_answer,
        "inspect": lambda: None,  # a path, and what the tests of `read_model` give
        "load_run": lambda: None,  # what `Run` is
        "parameter_shapes": lambda: numtx.parameter_shapes(config),
        "picture": lambda: numtx.picture("causal-mask"),
        "stages_of": lambda: numtx.stages_of(config, model[2]),
        "token_costs": lambda: numtx.token_costs(config),
        "train": lambda: train(Run(*model[:2]), model[2], 2),
        "verify": trace.verify,
    }


def test_every_public_name_is_tried():
    assert set(found_by_calling()) == set(numtx.__all__)


@pytest.mark.parametrize("name", sorted(numtx.__all__))
def test_what_a_public_name_gives_has_a_small_text(name):
    assert large(found_by_calling()[name]()) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_a_context_of_every_kind_of_model(name):
    config = Config(**VARIANTS[name])
    assert (
        large(numtx.forward(config, random_parameters(config), Batch(**ragged_batch(config)))) == []
    )


def test_reports_have_small_texts(tmp_path):
    example = numtx.load_example("cat")
    trace = example.trace()
    report = trace.verify()
    assert large([report, trace.graph, trace.oracle()]) == []
    assert repr(report).startswith("Verification(ok=True, share=1.0, wrong=[], ")
    values = {**trace.values, "decoder.input": trace["decoder.input"] + 1.0}
    wrong = dataclasses.replace(trace, values=values)
    assert large([wrong.verify(), changes(trace, wrong)]) == []
    for file, one in (("a.npz", trace), ("b.npz", wrong)):
        save_trace(one, tmp_path / file)
    sides = [read_side(tmp_path / file) for file in ("a.npz", "b.npz")]
    assert large([sides, compare(*sides)]) == []
    model = example.config, example.parameters, example.batch
    assert large(check_model(*model)) == []
    assert large(explain(trace, "logits", (0, 4, 1), 3)) == []
    run = train(Run(*model[:2]), example.batch, 20)
    assert large([run, rows(model[0], model[2]), answers(model[0], run.parameters, model[2])]) == []
    assert large(count_generation(*model[:2], Batch([[0]]), max_new_tokens=3)) == []
    cache = Cache(*model[:2], 1)
    assert large([step(*model[:2], Batch([[0, 1]]), cache), cache]) == []


def test_values_in_brief():
    for value, text in (
        (np.array([[-4.1, 7.5, 1.0]]), "float64(1,3) [-4.1, 7.5]"),
        (np.array(2.5), "float64() 2.5"),
        (np.float32(2.5), "float32() 2.5"),
        (np.array([True, False, True]), "bool(3) 2 True"),
        (np.zeros((0, 3)), "float64(0,3)"),
        (np.array([-np.inf, np.nan]), "float64(2) [nan, nan]"),
        (np.array(["a"]), "<U1(1)"),
        ([[1, 2], [3]], "[[1, 2], [3]]"),
        ((), "()"), ((1,), "(1,)"), ({}, "{}"), ({"a": 1}, "{'a': 1}"), (None, "None"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... 1000 in all]"),
        (print, "print"), (int, "int"), (np.float64, "float64"),
        ([Batch([[1]])] * 3, "[Batch(...), ... 3 in all]"),
        ("x" * 1000, repr("x" * 1000)[:70] + "..."),
    ):  # fmt: skip
        assert brief(value) == text
    assert len(brief(10**9999)) < 80 and len(brief({"x" * 500: "y" * 500})) < 200


def test_defaults_are_left_out_and_properties_can_be_shown():
    @small_repr("total")
    class Pair(NamedTuple):
        a: int
        b: int

        @property
        def total(self) -> int:
            return self.a + self.b

    assert repr(Pair(1, 2)) == "Pair(total=3)"
    config = Config(model="decoder-only", width=4, decoder_layers=1, hidden=5, vocabulary=7)
    assert eval(repr(config)) == config
    assert repr(config) == (
        "Config(model='decoder-only', width=4, decoder_layers=1, hidden=5, vocabulary=7)"
    )
    for fields in VARIANTS.values():
        text = repr(Config(**fields)).replace("\n", "")
        assert "..." in text or eval(text) == Config(**fields)  # a long list is cut short
