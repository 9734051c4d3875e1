"""What a model of one's own is given beside token ids: vectors in a file, labels to be shifted."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError

KNOWN = ("vectors", "decoder_vectors", "memory")
SHIFTED = (
    "标签左移一位：每个位置预测下一个词元，末位不计",
    "labels shifted by one: each place predicts the next token, and the last none",
)


def vectors_in(path: str | None) -> dict[str, Any]:
    """The arrays of --vectors, by the names of a batch's fields."""
    from ..files import NpzFile

    if path is None:
        return {}
    with NpzFile(path) as file:
        names = list(file.headers)
        for name in names:
            if name not in KNOWN:
                raise UsageError(f"{path}: {name!r} is none of {', '.join(KNOWN)}")
        if not names:
            raise UsageError(f"{path}: it is empty; give arrays called {', '.join(KNOWN)}")
        return {name: file.read(name) for name in names}


def shifted_labels(config: Any, fields: dict[str, Any]) -> Any:
    """Labels of what comes next, from labels that stand where their tokens are."""
    from ..batch import next_tokens

    if fields["labels"] is None:
        raise UsageError("--shift-labels without --labels; there is nothing to shift")
    if config.model == "encoder-only":
        raise UsageError("--shift-labels: an encoder predicts the tokens in their places")
    prefix = "decoder_" if config.model == "encoder-decoder" else ""
    return next_tokens(fields["labels"], fields[f"{prefix}mask"], fields[f"{prefix}documents"])
