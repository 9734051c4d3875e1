"""Tokens from tokenizer.json, spelled so that they can be read."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from numtx.checkpoints.words import Words, ids_of, read_words
from numtx.errors import UsageError


def words(folder: Path, size: int, **whole: Any) -> Words:
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    found = read_words(folder, size, [2])
    assert found is not None
    return found


def test_marked_spaces_and_single_bytes(tmp_path: Path) -> None:
    vocabulary = {
        "<s>": 0, "▁the": 1, "</s>": 2, "k": 3, "<0x6B>": 4, "<0xE5>": 5, "<0xA4>": 6, "<0xA9>": 7,
        "▁": 8, "<0x0A>": 9, "beyond": 99,
    }  # fmt: skip
    found = words(
        tmp_path, 11, model={"type": "BPE", "vocab": vocabulary},
        added_tokens=[{"id": 0, "content": "<s>", "special": True}],
    )  # fmt: skip
    assert found.tokens == (
        "<s>", "_the", "</s>", "k", "<0x6B>", "<0xE5>", "<0xA4>", "<0xA9>", "_", "<0x0A>", "<10>",
    )  # fmt: skip
    assert found.text([0, 1, 8, 3, 5, 6, 7, 9]) == " the k天\n"
    assert found.ends == [2]


def test_bytes_as_characters(tmp_path: Path) -> None:
    """The spelling of byte-level vocabularies: U+0120 is a space, U+010A a line's end."""
    vocabulary = {"Ġthe": 0, "the": 1, "å¤©": 2, "å¤": 3, "Ċ": 4, "_the": 5, "<|end|>": 6}
    found = words(
        tmp_path, 7, model={"type": "BPE", "vocab": vocabulary},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]},
        added_tokens=[{"id": 6, "content": "<|end|>", "special": False}],
    )  # fmt: skip
    assert found.tokens == ("_the", "the", "天", "<0xE5><0xA4>", "\\n", "_the<5>", "<|end|>")
    assert found.text([1, 0, 2, 4, 6]) == "the the天\n<|end|>"


def test_pieces_of_words(tmp_path: Path) -> None:
    model = {
        "type": "WordPiece", "continuing_subword_prefix": "##",
        "vocab": {"[CLS]": 0, "play": 1, "##ing": 2, "now": 3},
    }  # fmt: skip
    added = [{"id": 0, "content": "[CLS]", "special": True}]
    found = words(tmp_path, 4, model=model, added_tokens=added)
    assert found.tokens == ("[CLS]", "play", "##ing", "now")
    assert found.text([0, 1, 2, 3]) == " playing now"


def test_pieces_with_scores(tmp_path: Path) -> None:
    model = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["▁a", -1.5], ["b", -2]]}
    assert words(tmp_path, 3, model=model).tokens == ("<unk>", "_a", "b")


def test_no_words_without_the_file(tmp_path: Path) -> None:
    assert read_words(tmp_path, 3) is None


@pytest.mark.skipif(importlib.util.find_spec("tokenizers") is not None, reason="it is installed")
def test_a_text_needs_the_package(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --ids"):
        ids_of(tmp_path, "a")
