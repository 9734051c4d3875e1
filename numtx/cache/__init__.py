"""The key/value cache: what it holds of each token, and how that is stored."""

from __future__ import annotations

from .cache import Cache as Cache
from .storage import Contiguous as Contiguous
from .storage import Storage as Storage
