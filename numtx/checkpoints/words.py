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

from ..errors import CheckpointError
from ..vocabulary import Vocabulary
from .safetensors import read_object

FILE = "tokenizer.json"
LARGEST = 64_000_000  # bytes
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Words(Vocabulary):
    """Tokens by id as they are shown, and the text that ids stand for."""

    def __init__(self, pieces: Iterable[bytes | None], specials: Iterable[int] = ()) -> None:
        """pieces  the bytes that each token stands for; None: it has no name"""
        self.pieces = list(pieces)
        self.specials = frozenset(specials)
        taken: set[str] = set()
        shown = []
        for number, piece in enumerate(self.pieces):
            spelled = f"<{number}>" if piece is None else _shown(piece)
            while spelled in taken:  # two tokens that look alike are told apart by the id
                spelled += f"<{number}>"
            taken.add(spelled)
            shown.append(spelled)
        super().__init__(shown)

    def text(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens."""
        every = [self.pieces[i] or b"" for i in ids if i not in self.specials]
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


def read_words(folder: Path, size: int) -> Words | None:
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
    assert isinstance(listed, dict) and isinstance(model, dict)
    spell = _byte_level if _has(whole, "ByteLevel") else _marked
    prefix = model.get("continuing_subword_prefix") if model.get("type") == "WordPiece" else None
    pieces: list[bytes | None] = [None] * size
    specials = []
    extra = [(one.get("content"), one.get("id"), one.get("special") is True) for one in added]
    for token, number, special in [*((t, i, None) for t, i in listed.items()), *extra]:
        if not isinstance(token, str) or type(number) is not int or number < 0:
            raise CheckpointError(f"{file}: {str(token)[:40]!r} has the id {str(number)[:40]!r}")
        if number < size:
            plain = special is not None or prefix is not None
            pieces[number] = token.encode(errors="replace") if plain else spell(token)
            specials += [number] if special else []
    if not prefix:
        return Words(pieces, specials)
    return _WordPieces(pieces, specials, prefix.encode())


class _WordPieces(Words):
    """Words of which the later pieces begin with a prefix, as in `play ##ing`."""

    def __init__(self, pieces: Iterable[bytes | None], specials: Iterable[int], prefix: bytes):
        super().__init__(pieces, specials)
        self.pieces = [
            piece and (piece.removeprefix(prefix) if piece.startswith(prefix) else b" " + piece)
            for piece in self.pieces
        ]


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
