"""Generation in two phases: prefill runs the whole prompt at once, fills the cache and gives
the first token; decode runs one token at a time.

Without a cache every step runs everything so far again, and gives the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from ..batch import Batch, SideInput, check_step
from ..cache import Cache
from ..config import Config
from ..errors import DecodingError
from ..shapes import Array, all_true, describe
from ..small_repr import in_notebook, small_repr
from ..step import Encoded, step
from ..tap import NO_TAP, Tap
from .checks import check_whole
from .filters import rule_out

# From logits [B, V] and the tokens of each row so far (prompt and new, no padding) to ids [B].
Choose: TypeAlias = Callable[[Array, Sequence[Sequence[int]]], Array]


def greedy(logits: Array, rows: Sequence[Sequence[int]]) -> Array:
    """The token with the largest logit; of equal ones the first."""
    choice: Array = np.argmax(logits, -1)
    return choice


@small_repr()
class Step(NamedTuple):
    """One run of the decoder within a generation, and the tokens that it led to.

    phase       prefill, prefill.{n} for a chunk of it, or decode.{n}
    ids, valid  [B, T], the columns that were computed, and which of them are real tokens
    read        columns whose keys and values were read from the cache
    recomputed  columns whose keys and values an earlier step had computed already
    logits      [B, V] at the last token of each row
    tokens      [B], the next token of each row, pad in a row that has ended; None after a
                chunk of the prompt that is not the last
    counts      [B], True where the token belongs to the row's text
    """

    phase: str
    ids: Array
    valid: Array
    read: int
    recomputed: int
    logits: Array
    tokens: Array | None
    counts: Array

    @property
    def computed(self) -> int:
        """Columns that went through the decoder."""
        return int(self.ids.shape[1])

    @property
    def attention(self) -> tuple[int, int]:
        """The shape of self-attention's weights: L x L in prefill, 1 x L_total in decode."""
        return self.computed, self.read + self.computed


@in_notebook
@small_repr("prompt", "new", "steps")
@dataclass(frozen=True, eq=False)
class Generation:
    """What was generated.

    prompt     the tokens of each row before, without padding
    new        the tokens of each row that were generated, with the one that ended it
    steps      what each step did
    config     of the model
    cached     whether the steps had a cache
    vocabulary the tokens by id, where they were given to `record_generation`
    """

    prompt: list[list[int]]
    new: list[list[int]]
    steps: list[Step]
    config: Config
    cached: bool
    vocabulary: Sequence[str] | None = None


def generate(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    *,
    max_new_tokens: int,
    min_new_tokens: int = 0,
    eos: int | None = None,
    stop: Sequence[int] = (),
    pad: int = 0,
    use_cache: bool = True,
    cache: Cache | None = None,
    chunk: int | None = None,
    choose: Choose = greedy,
    tap: Tap = NO_TAP,
) -> Generation:
    """Continue a prompt, row by row, until a stop token or `max_new_tokens` tokens.

    prompt     the prompt of a decoder-only model; of an encoder-decoder the source in `ids`, or a
               memory, and the beginning of the target in `decoder_ids`, such as <bos>. Rows of
               different lengths are padded on either side and come with their mask
    eos, stop  tokens that end a row; they are part of what it gives, and none of them is chosen
               before `min_new_tokens` tokens
    pad        what a row that has ended is continued with while others go on
    use_cache  False: every step computes all tokens again
    cache      a cache to go on from: the prompt is then what comes after its tokens
    chunk      run the prompt in pieces of so many columns
    choose     how a token is chosen from the logits

    Raises `DecodingError` for an option that cannot be taken and for logits that are not
    finite, besides what `step` raises.
    """
    check_whole("max_new_tokens", max_new_tokens, 0)
    check_whole("min_new_tokens", min_new_tokens, 0, max_new_tokens)
    for name, token in (("pad", pad), ("eos", eos), *(("stop", token) for token in stop)):
        if token is not None:
            check_whole(name, token, 0, config.vocabulary - 1)
    if chunk is not None:
        check_whole("chunk", chunk, 1)
    if not use_cache and (chunk is not None or cache is not None):
        what = "chunk" if chunk is not None else "cache"
        raise DecodingError(f"{what} given with use_cache=False; it needs the cache")
    given = decoder_input(config, prompt, cache)
    if use_cache and cache is None:
        cache = Cache(config, parameters, len(given.ids))
    ends = set(stop) if eos is None else {eos, *stop}
    plan = _Plan(config, parameters, prompt, given, cache, chunk, tap)
    prompts = [row[real].tolist() for row, real in zip(given.ids, given.valid, strict=True)]
    rows = [list(row) for row in prompts]
    steps = list(_steps(plan, rows, (min_new_tokens, max_new_tokens), ends, pad, choose))
    new = [row[len(before) :] for row, before in zip(rows, prompts, strict=True)]
    return Generation(prompts, new, steps, config, use_cache)


class _Plan:
    """The runs of the decoder within one generation."""

    def __init__(
        self, config: Config, parameters: Mapping[str, Array], prompt: Batch, given: SideInput,
        cache: Cache | None, chunk: int | None, tap: Tap,
    ) -> None:  # fmt: skip
        self.config, self.parameters, self.cache, self.tap = config, parameters, cache, tap
        self.ids, self.valid = given.ids, given.valid
        self.chunk = chunk
        self.encoded: Encoded | None = None
        self.source = prompt if config.model == "encoder-decoder" else None

    def prefill(self) -> Iterator[tuple[Step, bool]]:
        """The prompt, whole or in chunks; with each, whether it is the last."""
        columns = self.ids.shape[1]
        chunk = self.chunk or columns
        starts = range(0, columns, chunk)
        logits = np.zeros((len(self.ids), self.config.vocabulary), self.config.dtype)
        for n, start in enumerate(starts):
            end = start + chunk
            ids, valid = self.ids[:, start:end], self.valid[:, start:end]
            phase = "prefill" if self.chunk is None else f"prefill.{n}"
            one = self.run(phase, ids, valid, 0)
            # A row whose last token stood in an earlier chunk keeps that chunk's logits.
            logits = np.where(one.counts[:, None], one.logits, logits)
            yield one._replace(logits=logits), end >= columns

    def decode(self, number: int, tokens: Array, counts: Array) -> Step:
        """One more token of each row; padding in those that have ended."""
        ids, valid = tokens[:, None], counts[:, None]
        phase = f"decode.{number}"
        if self.cache is not None:
            return self.run(phase, ids, valid, 0)
        known = self.ids.shape[1]
        self.ids = np.concatenate((self.ids, ids), 1)
        self.valid = np.concatenate((self.valid, valid), 1)
        return self.run(phase, self.ids, self.valid, known)

    def run(self, phase: str, ids: Array, valid: Array, recomputed: int) -> Step:
        read = 0 if self.cache is None else self.cache.length
        outputs = step(
            self.config, self.parameters, self.batch(ids, valid), self.cache,
            encoded=None if self.cache is not None else self.encoded, phase=phase, tap=self.tap,
        )  # fmt: skip
        self.encoded, self.source = outputs.encoded, None
        logits = outputs.logits[:, 0]
        return Step(
            phase, ids, valid, read, recomputed, logits, None, np.logical_or.reduce(valid, 1)
        )

    def batch(self, ids: Array, valid: Array) -> Batch:
        mask = None if all_true(valid) else valid
        if self.config.model != "encoder-decoder":
            return Batch(ids, mask=mask)
        if self.source is None:
            return Batch(None, ids, decoder_mask=mask)
        return replace(self.source, decoder_ids=ids, decoder_mask=mask, labels=None)


def _steps(
    plan: _Plan, rows: list[list[int]], lengths: tuple[int, int], ends: set[int], pad: int,
    choose: Choose,
) -> Iterator[Step]:  # fmt: skip
    """The steps one by one; the tokens of each are added to the rows."""
    min_new_tokens, max_new_tokens = lengths
    going = np.ones(len(rows), bool)
    tokens = np.full(len(rows), pad)
    for number in range(max_new_tokens):
        if number == 0:
            for one, is_last in plan.prefill():
                if not is_last:
                    yield one
        else:
            one = plan.decode(number - 1, tokens, going)
        _check_finite(one, going)
        logits = one.logits.copy()
        if not all_true(going):  # what a row computes after its end is nobody's business
            logits[~going] = 0.0
        if ends and number < min_new_tokens:
            logits = rule_out(logits, ends)
        tokens = np.where(going, choose(logits, rows), pad)
        for row, token, goes_on in zip(rows, tokens.tolist(), going.tolist(), strict=True):
            if goes_on:
                row.append(token)
        yield one._replace(tokens=tokens, counts=going)
        if ends:
            going = going & ~np.isin(tokens, list(ends))
        if not going.any():
            return


def _check_finite(one: Step, going: Array) -> None:
    finite = np.isfinite(one.logits)
    if all_true(finite):
        return
    wrong = going & ~finite.all(1)
    if wrong.any():
        raise DecodingError(
            f"{one.phase}: logits of row {np.flatnonzero(wrong)[0]} are not finite, so no token "
            "can be chosen; look for NaN or overflow in the parameters"
        )


def decoder_input(config: Config, prompt: Batch, cache: Cache | None) -> SideInput:
    """The checked prompt of the decoder."""
    if not isinstance(prompt, Batch):
        raise DecodingError(f"the prompt is {describe(prompt)}; it is a numtx.Batch of ids")
    prefix = "decoder_" if config.model == "encoder-decoder" else ""
    for name in ("positions", "segments"):
        if getattr(prompt, prefix + name) is not None:
            raise DecodingError(
                f"{prefix}{name} given; generation counts them itself: leave it out"
            )
    if getattr(prompt, prefix + "vectors") is not None:
        raise DecodingError(f"{prefix}vectors given; generation goes on from ids: give those")
    _, given = check_step(config, prompt, None if cache is None else cache.lengths)
    empty = np.flatnonzero(~given.valid.any(1))
    if empty.size:
        raise DecodingError(
            f"{prefix}mask: row {empty[0]} has no real token to go on from; drop the row"
        )
    return given
