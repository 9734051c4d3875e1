"""Special tokens, shifting and padding."""

import numpy as np
import pytest

from numtx.errors import BatchError, VocabularyError
from numtx.ops.loss import IGNORED
from numtx.sequences import (
    SCHEMES,
    concatenate,
    frame,
    pad,
    pad_labels,
    sentence_vectors,
)

# What each family does with the source "a b" and the target "x y z", written out by hand.
EXPECTED = {
    "classic": ("a b <eos>", "<bos> x y z", "x y z <eos>"),
    "bert": ("[CLS] a b [SEP] x y z [SEP]", "", ""),
    "gpt": ("", "<|endoftext|> x y z", "x y z <|endoftext|>"),
    "t5": ("translate : a b </s>", "<pad> x y z", "x y z </s>"),
    "mt5": ("a b </s>", "<pad> x y z", "x y z </s>"),
    "bart": ("<s> a b </s>", "</s> <s> x y z", "<s> x y z </s>"),
    "mbart": ("a b </s> zh_CN", "en_XX x y z </s>", "x y z </s> en_XX"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_frames_a_sample(scheme: str) -> None:
    framed = frame(scheme, ["a", "b"], ["x", "y", "z"], ["translate", ":"])
    got = tuple(" ".join(part) for part in (framed.encoder, framed.decoder, framed.labels))
    assert got == EXPECTED[scheme]


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "bert"])
def test_labels_are_the_decoder_input_shifted_by_one(scheme: str) -> None:
    framed = frame(scheme, ["a"], ["x", "y", "z"])
    assert framed.decoder[1:] == framed.labels[:-1]


def test_a_pair_has_two_segments_and_a_single_sentence_one() -> None:
    assert frame("bert", ["a", "b"], ["x"]).segments == [0, 0, 0, 0, 1, 1]
    single = frame("bert", ["a", "b"])
    assert single.encoder == ["[CLS]", "a", "b", "[SEP]"]
    assert single.segments == [0, 0, 0, 0]


def test_every_template_uses_only_its_own_special_tokens() -> None:
    for scheme in SCHEMES.values():
        for token in (*scheme.encoder, *scheme.decoder, *scheme.labels):
            assert token.startswith("@") or token in scheme.special


def test_concatenated_counts_the_target_only() -> None:
    inputs, labels = concatenate(["a", "b"], ["x", "y"])
    assert inputs == ["a", "b", "<sep>", "x", "y"]
    assert labels == [None, None, "x", "y", "<eos>"]


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("right", [[5, 6, 9], [7, 9, 9]], [[1, 1, 1], [1, 0, 0]]),
        ("left", [[5, 6, 9], [9, 9, 7]], [[1, 1, 1], [0, 0, 1]]),
    ],
)
def test_pad(side: str, ids: list[list[int]], mask: list[list[int]]) -> None:
    rows = [[5, 6, 9], [7]]
    got_ids, got_mask = pad(rows, 9, side)
    assert got_ids.tolist() == ids
    assert got_mask.tolist() == np.array(mask, bool).tolist()
    assert pad_labels(rows, side)[1].tolist().count(IGNORED) == 2


def test_bad_input() -> None:
    with pytest.raises(VocabularyError, match="did you mean 'classic'"):
        frame("clasic")
    with pytest.raises(VocabularyError, match="'<eos>' is a special token"):
        frame("classic", ["a", "<eos>"])
    with pytest.raises(BatchError, match="without a token"):
        pad([[1], []])
    with pytest.raises(BatchError, match="'right' or 'left'"):
        pad([[1]], side="middle")
    with pytest.raises(BatchError, match="row 1 has no token 4"):
        sentence_vectors(np.zeros((2, 3, 5)), np.array([[1, 4, 2], [1, 2, 3]]), 4)


def test_sentence_vectors_are_the_rows_at_the_token() -> None:
    output = np.random.default_rng(0).standard_normal((2, 3, 5))
    vectors = sentence_vectors(output, np.array([[1, 4, 4], [4, 2, 3]]), 4)
    assert np.array_equal(vectors, output[[0, 1], [1, 0]])
