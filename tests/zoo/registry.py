"""The registry: every planted bug."""

from __future__ import annotations

from .attention_bugs import ATTENTION_BUGS
from .block_bugs import BLOCK_BUGS
from .bug import Bug
from .cache_bugs import CACHE_BUGS
from .decoding_bugs import DECODING_BUGS
from .feed_forward_bugs import FEED_FORWARD_BUGS
from .fine_bugs import FINE_BUGS
from .head_bugs import HEAD_BUGS
from .mask_bugs import MASK_BUGS
from .model_bugs import MODEL_BUGS
from .position_bugs import POSITION_BUGS
from .training_bugs import TRAINING_BUGS
from .vector_bugs import VECTOR_BUGS

BUGS: tuple[Bug, ...] = (
    *MASK_BUGS, *ATTENTION_BUGS, *POSITION_BUGS, *MODEL_BUGS, *BLOCK_BUGS, *CACHE_BUGS,
    *DECODING_BUGS, *TRAINING_BUGS, *FINE_BUGS, *FEED_FORWARD_BUGS, *HEAD_BUGS, *VECTOR_BUGS,
)  # fmt: skip

# Those that laws must catch; the others are for checks alone.
OF_LAWS = tuple(bug for bug in BUGS if bug.laws or bug.equivalent)
