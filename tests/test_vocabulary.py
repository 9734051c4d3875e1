"""Tokens and ids."""

import pytest

from numtx import Vocabulary
from numtx.errors import VocabularyError


def test_encode_and_decode_are_inverse() -> None:
    vocabulary = Vocabulary(["<pad>", "今", "天", "Today", "today"])
    assert vocabulary.encode(["天", "today", "今"]) == [2, 4, 1]
    assert vocabulary.decode([2, 4, 1]) == ["天", "today", "今"]
    assert vocabulary.names([[1, -100]]) == [["今", "."]]
    assert len(vocabulary) == 5


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["a", "b", "a"], "'a' is entry 0 and entry 2"),
        (["a", 3], "entry 1 is int 3"),
        (["\ud800"], "half of a character"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tokens: list[str], words: str) -> None:
    with pytest.raises(VocabularyError, match=words):
        Vocabulary(tokens)


def test_an_unknown_token_shows_the_vocabulary() -> None:
    vocabulary = Vocabulary(["a", "b"])
    with pytest.raises(VocabularyError, match="'c' is not in the vocabulary: a b"):
        vocabulary.encode(["a", "c"])
    with pytest.raises(VocabularyError, match="ids are 0 to 1"):
        vocabulary.decode([-1])
