"""Prefixes kept for reuse: a prompt that begins as an earlier one did computes only the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..batch import Batch, check_step
from ..cache import BlockPool, Cache
from ..config import Config
from ..errors import CacheError
from ..shapes import Array
from ..small_repr import small_repr
from ..step import step
from ..tap import NO_TAP, Tap


@small_repr()
class Prefilled(NamedTuple):
    """A prompt that has been run: the logits [V] of its last token, a cache of all its tokens
    that is the caller's own, and how many of them were found instead of computed."""

    logits: Array
    cache: Cache
    reused: int


@small_repr("pool")
class PrefixCache:
    """Prompts of one model and their caches, in blocks that they share.

    Tokens are taken from an earlier prompt only as far as both are identical from the first
    token on: keys and values of a token depend on all before it. Other parameters, another
    configuration or dtype are another model, and are refused.

    entries  how many prompts are kept; the one not used for longest goes first. None: no limit
    """

    def __init__(
        self,
        config: Config,
        parameters: Mapping[str, Array],
        *,
        block_size: int = 16,
        pool: BlockPool | None = None,
        entries: int | None = None,
    ) -> None:
        if config.model != "decoder-only":
            raise CacheError(
                f"prefixes of a model that is {config.model}: its tokens also depend on the "
                "source; use a decoder-only model"
            )
        self.pool = BlockPool(config, block_size) if pool is None else pool
        self._empty = Cache(config, parameters, 1, storage="paged", pool=self.pool)
        self._limit = entries
        self._entries: dict[tuple[int, ...], Cache] = {}  # the one used last stands last

    def __len__(self) -> int:
        return len(self._entries)

    def prefill(
        self,
        config: Config,
        parameters: Mapping[str, Array],
        tokens: Sequence[int],
        tap: Tap = NO_TAP,
    ) -> Prefilled:
        """Run a prompt, without what an earlier one has of it, and keep it for later ones.

        The last token is always run, for its logits. Raises `CacheError` for another model.
        """
        self._empty.check(config, parameters)
        given = tuple(check_step(config, Batch([tokens]), None)[1].ids[0].tolist())
        known = max(self._entries, key=lambda entry: _common(given, entry), default=())
        reused = max(min(_common(given, known), len(given) - 1), 0)
        cache = (self._entries[known] if reused else self._empty).fork()
        try:
            cache.truncate(reused)
            outputs = step(config, parameters, Batch([given[reused:]]), cache, tap=tap)
        except BaseException:
            cache.release()
            raise
        if reused:
            self._entries[known] = self._entries.pop(known)
        self._keep(given, cache)
        return Prefilled(outputs.logits[0, 0], cache, reused)

    def _keep(self, tokens: tuple[int, ...], cache: Cache) -> None:
        if tokens in self._entries:
            self._entries[tokens] = self._entries.pop(tokens)
            return
        self._entries[tokens] = cache.fork()
        if self._limit is not None and len(self._entries) > self._limit:
            self._entries.pop(next(iter(self._entries))).release()

    def release(self) -> None:
        """Forget every prompt; caches that were handed out live on."""
        for cache in self._entries.values():
            cache.release()
        self._entries.clear()


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the first on."""
    length = min(len(first), len(second))
    return next((i for i in range(length) if first[i] != second[i]), length)
