"""What a model gives, looked at before a law is: logits [B, T, V], or one clear error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SubjectError
from ..shapes import Array

COARSE = 1e-5  # the eps of float16 and of bfloat16 lie above


class Widened(np.ndarray[Any, Any]):
    """Numbers in float32 that a model gave in bfloat16, a type that NumPy has not."""

    eps = 2.0**-7
    __array_priority__ = 1.0  # what is joined to it is of its kind


def eps_of(numbers: Array) -> float:
    """The machine epsilon of the type in which numbers were given; 0 for whole numbers."""
    if isinstance(numbers, Widened):
        return numbers.eps
    return float(np.finfo(numbers.dtype).eps) if numbers.dtype.kind == "f" else 0.0


def as_logits(
    logits: Any,
    ids: Array,
    vocabulary_size: int,
    name: str,
    mask: Array | None = None,
    *,
    whole: bool = False,
) -> Array:
    """What a model gave, as an array [B, T', V] of its own.

    whole  T' is T; otherwise it may be fewer, the last tokens, and [B, V] is the last one's

    Raises `SubjectError` for anything else; see `check_logits`.
    """
    if isinstance(logits, tuple):
        logits = logits[0]
    given, widened = type(logits).__name__, False
    logits = getattr(logits, "logits", logits)
    if hasattr(logits, "detach"):
        logits = logits.detach().cpu()
        widened = str(logits.dtype) == "torch.bfloat16"
        logits = (logits.float() if widened else logits).numpy()
    try:
        array: Array = np.array(logits)
    except ValueError:  # rows of several lengths, say
        array = np.array(None)
    if array.dtype.kind == "O":
        wanted = (*ids.shape, vocabulary_size)
        raise SubjectError(f"{name} gave {given}; it should be logits of shape {wanted}")
    if array.ndim == 2 and len(array) == len(ids) and not whole:
        array = array[:, None]
    check_logits(array, ids, vocabulary_size, name, mask, whole=whole)
    return array.view(Widened) if widened else array


def as_tokens(tokens: Any, name: str) -> Array:
    """The tokens of one row that a model gave, as an array [1, n]. Raises `SubjectError`."""
    if hasattr(tokens, "detach"):
        tokens = tokens.detach().cpu().numpy()
    try:
        array: Array = np.array(tokens)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "iu" or array.size != array.shape[-1]:
        raise SubjectError(
            f"{name} gave {on_one_line(tokens)} for the tokens that follow; give ids [1, n]"
        )
    return array.reshape(1, -1)


def check_logits(
    array: Array,
    ids: Array,
    vocabulary_size: int,
    name: str,
    mask: Array | None = None,
    *,
    whole: bool = False,
) -> None:
    """Raise `SubjectError` unless these are floats [B, T', V], finite at real tokens."""
    fits = array.ndim == 3 and len(array) == len(ids) and array.shape[2] == vocabulary_size
    least = ids.shape[1] if whole else 1
    if not fits or not least <= array.shape[1] <= ids.shape[1]:
        raise SubjectError(
            f"{name} gave logits of shape {array.shape} for ids of shape {ids.shape}; they "
            f"should be {(*ids.shape, vocabulary_size)}"
        )
    if array.dtype.kind != "f":
        raise SubjectError(f"{name} gave logits of type {array.dtype}; they should be floats")
    wrong = ~np.isfinite(array)
    if mask is not None:
        wrong &= mask[:, -array.shape[1] :, None]
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise SubjectError(
            f"{name} gave {array[place]} at [{','.join(map(str, place))}] of logits of shape "
            f"{array.shape}; they should be finite"
        )


def on_one_line(value: object) -> str:
    """A value on one line of a message."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            text = np.array2string(value, precision=6, separator=",", threshold=12)
        else:
            text = str(value.astype(int).tolist())
        return " ".join(text.split())
    return str(value)
