"""A figure changed in the source, and a bug in what rows run, change verdicts; nothing crashes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from ledger_checks import ROOMS
from samples import DRAW
from zoo.bug import Bug
from zoo.cost_bugs import COST_BUGS
from zoo.planting import planted
from zoo.registry import BUGS

EXPECTED = json.loads(
    (Path(__file__).parent / "expected_verdicts.json").read_text(encoding="utf-8")
)
Change = tuple[str, str, str]

# A figure of the documents, changed where it stands in the source, and a row that must change: all
# of numtx then runs with it.
SENTENCE, TARGET = 'tuple("今天天气很好")', '("Today", "is", "nice", "weather", "today")'
SOURCES: dict[str, tuple[Change, str]] = {
    "a position": (("examples.weather", "0.39, 0.92", "0.49, 0.92"), "003.positions"),
    "a position far off": (("examples.weather", "(0.84, 0.54,", "(8.4, 0.54,"), "003.position-base-100"),
    "another sentence": (("examples.weather", SENTENCE, 'tuple("今天天气好好")'), "003.encoder-line"),
    "a shorter sentence": (("examples.weather", SENTENCE, 'tuple("今天很好")'), "003.sentence"),
    "a longer sentence": (("examples.weather", SENTENCE, 'tuple("今天天气很好的")'), "003.split"),
    "another target": (("examples.translation", '"nice", "weather", "today")\n', '"good", "weather", "today")\n'), "003.concatenated"),
    "a shorter target": (("examples.translation", TARGET, '("Today", "is", "nice")'), "003.all-causal"),
    "a target with a word of its own": (("examples.translation", TARGET, '("Today", "is", "cold")'), "003.concatenated"),
    "an embedding": (("examples.weather", '"今": (0.8, 0.1', '"今": (0.9, 0.1'), "003.embedding"),
    "a score": (("examples.weather", "(0.82, 0.69, 0.69,", "(0.82, 0.59, 0.69,"), "003.scores-symmetric"),
    "a row of H_enc": (("examples.weather", "(0.4, 0.5, 0.5, 0.5),", "(0.4, 0.5, 0.5, 0.9),"), "003.cross-row-with-h"),
    "a weight": (("examples.weather", "(0.15, 0.25, 0.20, 0.10", "(0.25, 0.25, 0.20, 0.10"), "003.cross-row-sum"),
    "a weight of 0": (("examples.weather", "(0.15, 0.25, 0.20, 0.10", "(0.00, 0.25, 0.20, 0.10"), "003.cross-row"),
    "a logit": (("examples.weather", "0.32, 0.41, 0.38,", "0.32, 0.31, 0.38,"), "003.top-k-which"),
    "a probability of a label": (("examples.weather", "(0.131, 0.153,", "(0.0, 0.153,"), "003.losses"),
    "a probability of the story": (("examples.story", '"Today": 0.35', '"Today": 0.36'), "003.probabilities-1st"),
    "a probability above 1": (("examples.story", '"<eos>": 0.55', '"<eos>": 1.55'), "003.story"),
    "a word that is not there": (("examples.story", '"nice": 0.38', '"cold": 0.38'), "003.probabilities-3rd"),
    "a weight of the story": (("examples.story", "1: (0.4, 0.6)", "1: (0.5, 0.5)"), "003.self-row-step-2"),
    "an embedding of cat": (("examples.cat", "(0.0, 1.0, 1.0, 0.0)", "(0.0, 1.0, 1.0, 1.0)"), "004.embedding"),
    "a row of H": (("examples.cat", "(2.0, 1.2, 0.8, 0.5)", "(2.0, 1.2, 0.8, 5.5)"), "004.hidden"),
    "a row of positions too short": (("examples.weather", "(0.91, -0.42, 0.20, 0.98)", "(0.91, -0.42, 0.20)"), "003.positions"),
    "another word of the story": (("examples.story", '"is": 0.42', '"are": 0.42'), "003.probabilities-2nd"),
    "another step of the story": (("examples.story", "1: (0.4, 0.6)", "7: (0.4, 0.6)"), "003.self-row-step-2"),
    "another beam": (("documents.d003_search", '"Today is": -0.6', '"Rain is": -0.6'), "003.beam-scores"),
    "a beam's probability": (("examples.choosing", '"Today": 0.35, "The"', '"Today": 0.25, "The"'), "003.greedy-first"),
}  # fmt: skip


def test_a_figure_changed_in_the_source_is_seen() -> None:
    for name in random.Random(DRAW).sample(sorted(SOURCES), 2):
        change, row = SOURCES[name]
        assert planted([change], "ledger_checks:verdicts", [row]) != {row: EXPECTED[row]}, name


@pytest.mark.heavy
@pytest.mark.parametrize("name", SOURCES)
def test_every_row_runs_with_every_changed_figure(name: str) -> None:
    change, row = SOURCES[name]
    found = planted([change], "ledger_checks:verdicts")
    assert found.keys() == EXPECTED.keys() and found[row] != EXPECTED[row]


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_verdict_depends_on_the_seed(seed: int) -> None:
    change = "documents.runs", "SEED = 0  #", f"SEED = {seed}  #"
    assert planted([change], "ledger_checks:verdicts") == EXPECTED


# Two bugs of the zoo for each room, and rows that see them.
PLANTED = {
    "cache": {
        "padding in the cache is attended to": ("000.cache-rows",),
        "every layer gets the first layer's memory": ("003.beam-log-sum-rows",),
        "a fork shares memory": ("000.cache-keeps",),
        "a shared block is written to": ("003.paged",),
    },
    "step": {
        "cross-attention's mask forgotten in decode": ("003.cross-cache-padded",),
        "logits of the last column, padding or not": ("000.cache-rows",),
    },
    "generate": {
        "a finished row goes on": ("003.words", "003.eos-stops"),
        "without a cache the new token stands in the wrong place": ("003.words-uncached",),
        "the first finished row ends all": ("000.cache-rows",),
    },
    "beam": {
        "beams: the sum of the text so far is forgotten": ("003.beam-log-sum", "003.beam-kept"),
        "beams are not reordered as they were chosen": ("003.beam-log-sum-rows",),
        "no length penalty": ("003.length-mean", "003.length-formula"),
    },
    "filters": {
        "top-k keeps one too many": ("003.top-k", "003.top-k-which"),
        "top-p drops the token that crosses": ("003.top-p",),
        "temperature multiplies": ("003.temperature-formula", "003.temperature-high"),
        "the repetition penalty boosts negative logits": ("003.penalty-negative",),
    },
    "sample": {
        "the filters are not used": ("003.sampling-filtered",),
        "the same draw at every step": ("003.sampling-steps",),
        "draws that depend on the batch": ("003.sampling-rows",),
    },
    "latent attention": {
        "latents: the scale of d_k alone in decode": ("003.mla-cached", "003.mla-generates"),
        "values of another head": ("003.mla-cached",),
        "the gradient not rotated back": ("003.mla-trains",),
    },
    "costs": {
        "the closed formula forgets weights·V": ("001.step-formula",),
        "a product counts the cells of its result alone": ("001.without-qkv", "001.total-formula"),
        "the values of the source are not counted": ("003.cache-whole", "003.cache-counted"),
    },
    "training": {
        "gradient ascent": ("003.update", "003.update-lowers"),
        "decay without the rate": ("003.adamw",),
        "the clipped gradient is not used": ("003.adamw",),
    },
}  # fmt: skip
ALL = {bug.name: bug for bug in (*BUGS, *COST_BUGS)}
CASES = [
    pytest.param(ALL[name], rows, id=f"{room}: {name}")
    for room, bugs in PLANTED.items()
    for name, rows in bugs.items()
]


def test_two_bugs_or_more_of_every_room() -> None:
    assert PLANTED.keys() == ROOMS.keys()
    for room, bugs in PLANTED.items():
        own = [name for name in bugs if ALL[name].module.startswith(ROOMS[room])]
        assert len(own) == len(bugs) >= 2, room


def caught(bug: Bug, rows: tuple[str, ...]) -> None:
    found = planted([bug.change], "ledger_checks:verdicts", rows)
    assert any(found[row] != EXPECTED[row] for row in rows), bug.name


def test_a_bug_in_what_rows_run_changes_a_verdict() -> None:
    for case in random.Random(DRAW).sample(CASES, 4):
        caught(*case.values)  # type: ignore[arg-type]


@pytest.mark.heavy
@pytest.mark.parametrize(("bug", "rows"), CASES)
def test_every_bug_in_what_rows_run_changes_a_verdict(bug: Bug, rows: tuple[str, ...]) -> None:
    caught(bug, rows)
