"""Token sequences as models want them: special tokens, shifting, padding.

A scheme is data: templates in which `@source`, `@target` and `@prefix` stand for the caller's
tokens. What document 003 lists for a family and what its models really use are told apart in
`listed` and `real`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .errors import BatchError, VocabularyError, nearest
from .ops.loss import IGNORED
from .shapes import Array


class Scheme(NamedTuple):
    """How a family of models frames its input, its decoder input and its labels."""

    name: str
    special: tuple[str, ...]
    encoder: tuple[str, ...]  # empty: there is no encoder
    decoder: tuple[str, ...]  # empty: there is no decoder
    labels: tuple[str, ...]
    pad: str | None
    listed: str  # what document 003 says
    real: str  # what the models of that name do


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "classic", ("<pad>", "<bos>", "<eos>"),
            ("@source", "<eos>"), ("<bos>", "@target"), ("@target", "<eos>"), "<pad>",
            "<bos>, <eos>, <pad>: the sequence-to-sequence tokens of its own example",
            "as listed",
        ),
        Scheme(
            "bert", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
            ("[CLS]", "@source", "[SEP]", "@target", "[SEP]"), (), (), "[PAD]",
            "<CLS>, <SEP>, <PAD>, <MASK>",
            "written in square brackets, with [UNK] beside them; a second sentence is closed by "
            "a [SEP] of its own and has segment 1; with one sentence: [CLS] A [SEP]",
        ),
        Scheme(
            "gpt", ("<|endoftext|>",),
            (), ("<|endoftext|>", "@target"), ("@target", "<|endoftext|>"), None,
            "<|endoftext|> ends a document and separates sentences; <PAD>, rarely used",
            "GPT-2 has <|endoftext|> alone, for start, end and separation of documents (not of "
            "sentences), and no padding token at all",
        ),
        Scheme(
            "t5", ("<pad>", "</s>", "<unk>"),
            ("@prefix", "@source", "</s>"), ("<pad>", "@target"), ("@target", "</s>"), "<pad>",
            "<pad>, <eos>, <unk>; no <bos>, because there is a task prefix",
            "the end is written </s>; the decoder starts with <pad>, which serves as <bos> (the "
            "prefix goes to the encoder and starts nothing)",
        ),
        Scheme(
            "mt5", ("<pad>", "</s>", "<unk>"),
            ("@source", "</s>"), ("<pad>", "@target"), ("@target", "</s>"), "<pad>",
            "<s>, </s>, <pad>, together with BART and mBART",
            "the tokens of T5: no <s>; the decoder starts with <pad>; no task prefix was trained",
        ),
        Scheme(
            "bart", ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
            ("<s>", "@source", "</s>"), ("</s>", "<s>", "@target"), ("<s>", "@target", "</s>"),
            "<pad>",
            "<s> corresponds to <bos>, </s> to <eos>, <pad>",
            "the decoder starts with </s>, and <s> is the first token that it predicts",
        ),
        Scheme(
            "mbart", ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "zh_CN", "en_XX"),
            ("@source", "</s>", "zh_CN"), ("en_XX", "@target", "</s>"),
            ("@target", "</s>", "en_XX"), "<pad>",
            "as BART",
            "no <s>: the source ends in </s> and its language, and the language of the target "
            "starts the decoder (mBART-25)",
        ),
    )
}  # fmt: skip


class Framed(NamedTuple):
    """The sequences of one sample, with their special tokens."""

    encoder: list[str]
    decoder: list[str]
    labels: list[str]
    segments: list[int]  # of the encoder's tokens


def frame(
    scheme: str,
    source: Sequence[str] = (),
    target: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Framed:
    """The sequences of a sample under a scheme: encoder input, decoder input, labels.

    Decoder input and labels are the same tokens shifted by one (teacher forcing): at each
    place the model reads the right history and predicts the next token. Raises
    `VocabularyError` for an unknown scheme or a sample that holds a special token.
    """
    if scheme not in SCHEMES:
        raise VocabularyError(f"scheme {scheme!r} does not exist; {nearest(scheme, SCHEMES)}")
    rules = SCHEMES[scheme]
    for token in (*source, *target):
        if token in rules.special:
            raise VocabularyError(
                f"{token!r} is a special token of {scheme!r}; give the words alone, "
                "the scheme adds it"
            )
    parts = {"@source": source, "@target": target, "@prefix": prefix}
    template = rules.encoder
    if scheme == "bert" and not target:
        template = rules.encoder[:3]

    def fill(pieces: Sequence[str]) -> list[str]:
        return [token for piece in pieces for token in parts.get(piece, (piece,))]

    encoder = fill(template)
    segments = [0] * len(encoder)
    if scheme == "bert":
        first = encoder.index("[SEP]") + 1
        segments = [0] * first + [1] * (len(encoder) - first)
    return Framed(encoder, fill(rules.decoder), fill(rules.labels), segments)


def concatenate(
    source: Sequence[str], target: Sequence[str], separator: str = "<sep>", end: str = "<eos>"
) -> tuple[list[str], list[str | None]]:
    """[source, separator, target] for a decoder-only model: its input, and its labels.

    Labels are the input shifted by one; inside the source they are None, for what is asked
    of the model is the target alone.
    """
    whole: list[str] = [*source, separator, *target, end]
    labels: list[str | None] = [*whole[1:]]
    labels[: len(source)] = [None] * len(source)
    return whole[:-1], labels


def pad(rows: Sequence[Sequence[int]], value: int = 0, side: str = "right") -> tuple[Array, Array]:
    """Rows of different lengths as one array, and the mask of real tokens.

    value  the id that fills the gaps (`IGNORED` for labels)
    side   right or left

    Returns ids [B, T] int64 and mask [B, T] bool, True = real.
    """
    if side not in ("right", "left"):
        raise BatchError(f"side is {side!r}; it is 'right' or 'left'")
    if not rows or not all(len(row) for row in rows):
        raise BatchError("pad: there is no row, or one without a token; drop empty rows")
    length = max(len(row) for row in rows)
    ids = np.full((len(rows), length), value, np.int64)
    mask = np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        place = slice(length - len(row), None) if side == "left" else slice(len(row))
        ids[i, place] = row
        mask[i, place] = True
    return ids, mask


def pad_labels(rows: Sequence[Sequence[int]], side: str = "right") -> Array:
    """Labels of different lengths as one array; the gaps are ignored by the loss."""
    return pad(rows, IGNORED, side)[0]


def sentence_vectors(output: Array, ids: Array, token: int) -> Array:
    """The vector that stands for each sentence: the stack's output at a token such as [CLS]
    or <eos>, at its first place in each row.    [B, T, d], [B, T] -> [B, d]"""
    ids = np.asarray(ids)
    missing = np.flatnonzero(~(ids == token).any(1))
    if missing.size:
        raise BatchError(f"row {missing[0]} has no token {token}; it has no sentence vector")
    vectors: Array = output[np.arange(len(ids)), (ids == token).argmax(1)]
    return vectors
