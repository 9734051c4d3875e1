"""Every command says what it prints in Chinese, in English or in both."""

import argparse
import re

import pytest
import terminal
from command_files import command_files

from numtx.cli import COMMANDS, parser
from numtx.config import Config
from numtx.families import LAYOUTS
from numtx.fields.field import fields_of
from numtx.folders.words_zh import FIELDS, HOW

# A run of each command; {trace} is a trace file.
RUNS = {
    "trace": ["trace", "cat", "--stage", "loss*", "--set", "logits[0,0]=1"],
    "cell": ["cell", "cat", "loss"],
    "compare": ["compare", "{trace}", "{other}"],
    "verify": ["verify", "{trace}"],
    "stages": ["stages", "cat", "--stage", "loss*"],
    "init": ["init", "--config", "{config}", "--out", "{new}"],
    "train": ["train", "cat", "--steps", "3"],
    "gradcheck": ["gradcheck", "--operation", "softmax", "--samples", "1"],
    "generate": ["generate", "cat", "--no-cache", "--parameters", "{parameters}"],
    "cost": ["cost"],
    "figures": ["figures", "--figure", "003.loss-mean"],
    "learn": ["learn"],
    "check": ["check", "{solution}"],
    "picture": ["picture", "side-by-side"],
    "laws": ["laws", "--list"],
    "inspect": ["inspect", "{folder}"],
    "export": ["export", "--model", "{folder}", "{folder}2"],
}
SENTENCE = re.compile(r"(?:(?<![\w.])[a-z]{2,} ){3,}[a-z]{2,}")  # four plain words in a row


def commands():
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices


def test_every_command_has_a_language_and_a_run_here():
    assert set(RUNS) == set(COMMANDS) == set(commands())
    for name, one in commands().items():
        action = next((a for a in one._actions if "--lang" in a.option_strings), None)
        assert action is not None and set(action.choices) == {"zh", "en", "both"}, name


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return command_files(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("name", RUNS)
def test_chinese_alone_has_no_sentence_in_english(name, files, capsys, monkeypatch):
    monkeypatch.setenv("NUMTX_LANG", "zh")
    code, out, err = terminal.run(capsys, *(part.format(**files) for part in RUNS[name]))
    assert code in (0, 1) and err == ""
    assert re.search("[一-鿿]", out)
    assert SENTENCE.findall(out) == []


def test_every_field_and_every_tensor_has_chinese_words():
    assert list(FIELDS) == list(fields_of(Config))
    rows = [row for layout in LAYOUTS.values() for row in (*layout.rows, *layout.stacked)]
    ways = {row.how.replace("_", " ") for row in rows}
    assert ways | {"copy", "skipped", "outside", "carried"} == set(HOW)


def test_the_environment_sets_the_default_and_the_option_wins(capsys, monkeypatch):
    monkeypatch.setenv("NUMTX_LANG", "en")
    english = terminal.run(capsys, "cost")[1]
    assert not re.search("[一-鿿]", english)
    assert "有缓存" in terminal.run(capsys, "cost", "--lang", "zh")[1]
    monkeypatch.setenv("NUMTX_LANG", "fr")
    code, out, err = terminal.run(capsys, "cost")
    assert (code, out) == (2, "") and "NUMTX_LANG is 'fr'" in err
