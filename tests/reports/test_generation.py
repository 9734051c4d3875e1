"""The page of a generation: what each step computed and read, token by token, and the words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import config_of, ragged_batch, random_parameters

from numtx.batch import Batch
from numtx.cli import main
from numtx.decoding import Generation, record_generation
from numtx.decoding.filters import probabilities_of
from numtx.reports.generation import generation_page
from numtx.show.stage_grid import Style
from numtx.stages.catalogue import Text
from numtx.trace.trace import Trace

TITLE = Text("a", "a")


def generated(model: str = "encoder-decoder", **options: Any) -> tuple[Generation, Trace]:
    config = config_of(model)
    fields = ragged_batch(config, padding="left")
    del fields["labels"]
    chosen = {"max_new_tokens": 3, **options}
    return record_generation(config, random_parameters(config), Batch(**fields), **chosen)


def steps_of(generation: Generation, trace: Trace) -> list[str]:
    stages = list(trace)[:1]
    text = generation_page(generation, trace, TITLE, [TITLE], Style(lang="en"), stages)
    return re.findall(r'<section class="step".*?</section>', text)


def cells(step: str) -> list[list[str]]:
    """Of each line of the table the kinds of its cells."""
    lines = re.findall(r'<tr><th scope="row"><span lang="zh">层.*?</tr>', step)
    return [re.findall(r'<td class="(\w*)">', line) for line in lines]


@pytest.mark.parametrize("chunk", [None, 2])
def test_the_cache_fills_step_by_step(chunk: int | None) -> None:
    generation, trace = generated(chunk=chunk)
    total = sum(step.computed for step in generation.steps)
    for step, text in zip(generation.steps, steps_of(generation, trace), strict=True):
        row = [*["read"] * step.read, *["new"] * step.computed]
        row += [""] * (total - len(row))
        lines = len(generation.prompt) * trace.config.decoder_layers
        assert cells(text) == [row] * lines
        assert f"tokens computed: {step.computed}; read from the cache: {step.read}" in text
        said = "computed" if step is generation.steps[0] else "read"
        assert f"keys and values of the encoder&#x27;s output: {said}<" in text


def test_without_a_cache_everything_is_computed_again() -> None:
    generation, trace = generated(use_cache=False)
    length = generation.steps[0].computed
    for n, text in enumerate(steps_of(generation, trace)):
        again = ["again"] * (length + n - 1) if n else []
        new = ["new"] * (1 if n else length)
        assert cells(text)[0] == [*again, *new, *[""] * (2 - n)]
        assert "encoder&#x27;s output: computed<" in text


@pytest.mark.parametrize("model", ["encoder-decoder", "decoder, latents, no positions, window"])
def test_a_key_that_is_read_has_the_length_that_it_had(model: str) -> None:
    generation, trace = generated(model)
    seen = [re.findall(r">[●○] ([\d.]+)</td>", text) for text in steps_of(generation, trace)]
    assert all(len(step) for step in seen)
    numbers = [float(x) for x in seen[0]]
    later = [float(x) for x in seen[-1]]
    assert set(numbers) <= set(later) and len(later) > len(numbers)


def test_each_row_has_the_lengths_of_its_own_keys() -> None:
    generation, trace = generated()
    tables = re.findall(r'<table class="stated cache">.*?</table>', steps_of(generation, trace)[0])
    for row, table in enumerate(tables):
        keys = trace["prefill.decoder.0.self_attention.keys"][row]
        lengths = np.sqrt((keys**2).sum((0, 2)))[generation.steps[0].valid[row]]
        line = re.findall(r"<tr><th.*?</tr>", table)[0]  # of layer 0
        shown = [float(x) for x in re.findall(r">● ([\d.]+)</td>", line)]
        np.testing.assert_allclose(shown, lengths, atol=6e-3)
    assert len(tables) == 2


def test_words_are_the_models_probabilities_and_the_chosen_one_is_marked() -> None:
    generation, trace = generated()
    for step, text in zip(generation.steps, steps_of(generation, trace), strict=True):
        assert step.tokens is not None
        for row, table in enumerate(re.findall(r'<table class="stated words">.*?</table>', text)):
            odds = probabilities_of(step.logits)[row]
            shown = [float(x) for x in re.findall(r"<td>([\d.]+)</td>", table)]
            np.testing.assert_allclose(shown, np.sort(odds)[::-1][: len(shown)], atol=5e-4)
            assert re.findall(r"→ (\d+)</th>", table) == [str(step.tokens[row])]


def test_a_row_that_has_ended_says_so() -> None:
    generation, _ = generated()
    ends = generation.new[0][0]
    generation, trace = generated(stop=[ends])
    last = steps_of(generation, trace)[-1]
    assert len(generation.steps) > 1 and "this row has ended" in last


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, config = tmp_path / "page.html", tmp_path / "config.json"
    config.write_text(json.dumps(config_of("decoder, rotary, grouped, gated").to_dict()))
    own = ["generate", "--config", str(config), "--ids", "[[1,2,3]]", "--max-new-tokens", "2"]
    assert main([*own, "--top-k", "2", "--stage", "*.weights", "--html", str(page)]) == 0
    assert capsys.readouterr().out.split()[-2:] == ["written:", str(page)]
    text = page.read_text(encoding="utf-8")
    assert text.count('<section class="step"') == 2
    assert "sampling with seed 0, top k 2" in text and "随机采样，种子 0" in text
    assert 'id="decode.0.decoder.1.self_attention.weights"' in text
    assert 'id="decode.0.decoder.1.self_attention.context"' not in text
    assert main([*own, "--beams", "2", "--html", str(page)]) == 2
    assert "--html with --strategy beam" in capsys.readouterr().err
