"""The cache of a decoder: what it holds of each token, and how that is stored."""

from __future__ import annotations

from .cache import Cache as Cache
from .paged import BlockPool as BlockPool
from .paged import Paged as Paged
from .ring import Ring as Ring
from .storage import Contiguous as Contiguous
from .storage import Storage as Storage
