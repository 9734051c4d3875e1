"""The errors of numtx: one family, one line each.

Every message says the argument, where it was found, what was got and what is right,
so that the reader can mend it without opening the source.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 12  # names in a list of what is known


class NumtxError(ValueError):
    """The root of the family; `except NumtxError` catches all that numtx raises on bad input."""


class ConfigError(NumtxError):
    """A configuration that names no model."""


class BatchError(NumtxError):
    """Token ids, labels or positions that do not fit the model or one another."""


class MaskError(NumtxError):
    """A mask of the wrong type or shape, or one that leaves a row without a token."""


class ParameterError(NumtxError):
    """Parameters that are missing, unknown, of another shape or not finite."""


class StageError(NumtxError):
    """A stage that does not exist, was emitted twice, or a pin that fits none."""


class FileError(NumtxError):
    """A file that cannot be read or written, or that holds something else than it should."""


class CheckpointError(NumtxError):
    """A model from outside that cannot be read, or does not fit the layout that it is to have."""


class CacheError(NumtxError):
    """A cache that is full, belongs to another model or batch, or is asked for what it lacks."""


class DecodingError(NumtxError):
    """An option of generation that cannot be taken, or logits that no token can be chosen by."""


class TraceError(NumtxError):
    """A trace file that cannot be read as one."""


class VocabularyError(NumtxError):
    """A token that the vocabulary does not hold, or a vocabulary that is none."""


class ExampleError(NumtxError):
    """An example that does not exist, or an option that it does not take."""


class SubjectError(NumtxError):
    """An object that no law can be tried on, or a law that does not exist."""


class TrainingError(NumtxError):
    """A training run that cannot start, go on, or be resumed."""


class LessonError(NumtxError):
    """A lesson that does not exist, a claim in one that does not hold, or an answer to one that
    cannot be judged."""


class UsageError(NumtxError):
    """An option of the command line that cannot be taken."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: the closest one, one that ends in it, or some."""
    known = list(known)
    if not known:
        return "there are none"
    close = difflib.get_close_matches(name, known, n=1) or [
        other for other in known if other.endswith(f".{name}")
    ]
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    return f"known: {shown}"


def reason(error: Exception) -> str:
    """Why a file cannot be read, for a message that names the file already."""
    if isinstance(error, IsADirectoryError):
        return "it is a folder; give the name of a file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
