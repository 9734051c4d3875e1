"""The registry: every planted bug."""

from __future__ import annotations

from .attention_bugs import ATTENTION_BUGS, MASK_BUGS, POSITION_BUGS
from .bug import Bug
from .cache_bugs import CACHE_BUGS
from .model_bugs import MODEL_BUGS
from .storage_bugs import CHOOSING_BUGS, STORAGE_BUGS

BUGS: tuple[Bug, ...] = (
    *MASK_BUGS, *ATTENTION_BUGS, *POSITION_BUGS, *MODEL_BUGS, *CACHE_BUGS, *STORAGE_BUGS,
    *CHOOSING_BUGS,
)  # fmt: skip
