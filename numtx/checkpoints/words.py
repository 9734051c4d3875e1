"""The tokens of a model from outside, from its tokenizer.json, without any library.

Tokens are spelled so that a line of a grid stays a line: a space that belongs to a token is `_`, as
in `_the`; what is no character on paper is written as Python writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UsageError
from ..safetensors import read_object
from ..vocabulary import Vocabulary

FILE = "tokenizer.json"
LARGEST = 64_000_000  # bytes
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Words(Vocabulary):
    """Tokens by id as they are shown, and the text that ids stand for."""

    def __init__(
        self,
        shown: Iterable[str],
        pieces: Iterable[bytes],
        specials: Iterable[int] = (),
        ends: Iterable[int] = (),
    ) -> None:
        """pieces    the bytes that each token stands for in a text
        specials  ids that stand for none
        ends      ids that end a text

        Of tokens that look alike the later ones are told apart by their id.
        """
        self._pieces, self._specials, self._ends = list(pieces), frozenset(specials), list(ends)
        taken: dict[str, None] = {}
        for number, token in enumerate(shown):
            while token in taken:
                token += f"<{number}>"
            taken[token] = None
        super().__init__(taken)

    @property
    def ends(self) -> list[int]:
        return self._ends

    def text(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens."""
        every = [self._pieces[i] for i in ids if i not in self._specials]
        return b"".join(every).decode(errors="replace")


def _shown(piece: bytes) -> str:
    """The bytes of a token on paper."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in piece)
    return (
        "".join("_" if c == " " else c if c.isprintable() else repr(c)[1:-1] for c in text)
        or "<empty>"
    )


def read_words(folder: Path, size: int, ends: Iterable[int] = ()) -> Words | None:
    """The words of a model's first `size` ids; None where the folder has no tokenizer.json.

    Raises `CheckpointError` for a file that is no vocabulary.
    """
    file = folder / FILE
    if not file.exists():
        return None
    whole = read_object(file, LARGEST)
    model = whole.get("model")
    listed = model.get("vocab") if isinstance(model, dict) else None
    added = whole.get("added_tokens") or []
    if isinstance(listed, list):  # pieces with their scores, in order
        listed = {one[0]: i for i, one in enumerate(listed) if isinstance(one, list) and one}
    fits = isinstance(listed, dict) and isinstance(added, list)
    if not fits or not all(isinstance(one, dict) for one in added):
        raise CheckpointError(f"{file}: has no model.vocab of tokens and ids")
    assert isinstance(listed, dict) and isinstance(model, dict)  # by `fits`
    spell = _byte_level if _has(whole, "ByteLevel") else _marked
    prefix = model.get("continuing_subword_prefix") if model.get("type") == "WordPiece" else None
    shown, pieces = [f"<{i}>" for i in range(size)], [b""] * size
    specials = []
    extra = [(one.get("content"), one.get("id"), one.get("special") is True) for one in added]
    for token, number, special in [*((t, i, None) for t, i in listed.items()), *extra]:
        if not isinstance(token, str) or type(number) is not int or number < 0:
            raise CheckpointError(f"{file}: {str(token)[:40]!r} has the id {str(number)[:40]!r}")
        if number >= size:
            continue
        piece = token.encode(errors="replace") if special is not None or prefix else spell(token)
        shown[number] = token if _BYTE.fullmatch(token) else _shown(piece)
        if prefix and special is None:  # a new word, unless it says that it goes on
            goes_on = token.startswith(prefix)
            piece = piece.removeprefix(prefix.encode()) if goes_on else b" " + piece
        pieces[number] = piece
        specials += [number] if special else []
    return Words(shown, pieces, specials, ends)


def _has(value: Any, kind: str) -> bool:
    """Whether a part of the tokenizer is of a kind."""
    parts = value.values() if isinstance(value, dict) else ()
    nested = [x for part in parts for x in (part if isinstance(part, list) else [part])]
    return any(isinstance(x, dict) and (x.get("type") == kind or _has(x, kind)) for x in nested)


def _marked(token: str) -> bytes:
    """A token whose spaces are U+2581, and whose rarest are single bytes, as in <0x0A>."""
    byte = _BYTE.fullmatch(token)
    if byte is not None:
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode(errors="replace")


def _byte_level(token: str) -> bytes:
    """A token whose every character stands for a byte."""
    known = _bytes_of_characters()
    if all(c in known for c in token):
        return bytes(known[c] for c in token)
    return token.encode(errors="replace")


@lru_cache(maxsize=1)
def _bytes_of_characters() -> dict[str, int]:
    """Printed characters of Latin-1 stand for themselves, the other bytes for those from U+0100."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in own]
    return {chr(b): b for b in own} | {chr(0x100 + n): b for n, b in enumerate(others)}


def ids_of(folder: str | Path, text: str) -> list[int]:
    """The ids of a text by the package `tokenizers`, where it is installed."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UsageError(
            "--text needs the package tokenizers, which is not installed; install it or give --ids"
        ) from None
    try:
        found: list[int] = Tokenizer.from_file(str(Path(folder) / FILE)).encode(text).ids
    except Exception as error:  # whatever the package says of a file
        told = " ".join(str(error).split())
        raise CheckpointError(
            f"{Path(folder) / FILE}: cannot be read by tokenizers: {told}"
        ) from None
    return found
