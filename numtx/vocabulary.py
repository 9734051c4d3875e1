"""A vocabulary: tokens in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .errors import VocabularyError
from .small_repr import small_repr


@small_repr()
class Vocabulary:
    """Tokens by id and ids by token.

    Raises `VocabularyError` for a token that occurs twice, is no string, or cannot be
    written as UTF-8 (a lone surrogate).
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens: tuple[str, ...] = tuple(tokens)
        self._ids: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            if not isinstance(token, str):
                raise VocabularyError(
                    f"vocabulary: entry {number} is {type(token).__name__} {token!r}; "
                    "tokens are strings"
                )
            try:
                token.encode()
            except UnicodeEncodeError:
                raise VocabularyError(
                    f"vocabulary: entry {number} is {token!r}, half of a character; "
                    "read the text as UTF-8"
                ) from None
            if token in self._ids:
                raise VocabularyError(
                    f"vocabulary: {token!r} is entry {self._ids[token]} and entry {number}; "
                    "every token has one id"
                )
            self._ids[token] = number

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """The id of a token."""
        if token not in self._ids:
            shown = " ".join(self.tokens[:40]) + (" ..." if len(self.tokens) > 40 else "")
            raise VocabularyError(f"token {token!r} is not in the vocabulary: {shown}")
        return self._ids[token]

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens."""
        return [self[token] for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of ids."""
        return [self.token(number) for number in ids]

    def token(self, number: int) -> str:
        """The token of an id."""
        if not 0 <= number < len(self.tokens):
            raise VocabularyError(
                f"id {number} is not in the vocabulary; ids are 0 to {len(self.tokens) - 1}"
            )
        return self.tokens[number]

    def text(self, ids: Iterable[int]) -> str:
        """What ids say, as one text."""
        return " ".join(self.decode(ids))

    @property
    def ends(self) -> list[int]:
        """The ids that end a text."""
        return self.encode(["<eos>"] if "<eos>" in self else [])

    def names(self, rows: Sequence[Sequence[int]]) -> list[list[str]]:
        """Tokens of rows of ids; an id outside (an ignored label) is shown as `.`."""
        return [[self.tokens[i] if 0 <= i < len(self.tokens) else "." for i in row] for row in rows]
