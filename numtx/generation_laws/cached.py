"""C7, C9, C10, D5, W1: errors of the cache, work done once, generation, files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..batch import Batch
from ..decoding.generate import generate
from ..errors import BatchError, CacheError, NumtxError
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law
from ..laws.strategies import padding_masks
from ..parameters_file import load_parameters, save_parameters
from ..shapes import Array
from ..step import step
from ..subjects.own import NumtxSubject
from ..subjects.subject import MEMORY, NUMTX, STEP
from ..tap import Recorder


@law(
    "C7",
    "overflow raises, and an error in the middle of a call leaves the cache as it was",
    "溢出报错, 调用中途的错误不改变缓存",
    NUMTX,
    STEP,
    exact=True,
)
def overflow(subject: NumtxSubject, draw: Draw) -> bool:
    if subject.storage.get("storage") == "ring":
        return False  # it goes round
    ids = draw_ids(subject, draw, 2)
    held = ids.shape[1] - 1
    cache = subject.new_cache(len(ids), held + 1)
    if held:
        subject.step(ids[:, :held], cache)
    before = subject.step(ids[:, held:], cache.fork())[0]
    more = ids[:, :1].repeat(2, 1)
    example: dict[str, Any] = {"ids": ids, "capacity": held + 1, "too many": more}
    try:
        subject.step(more, cache)
    except CacheError:
        pass
    except BatchError:  # a table of positions that ends there says so first
        if subject.limit is None or held + 2 <= subject.limit:
            raise
    else:
        raise LawBroken("a full cache took more", example)
    expect_true(cache.length == held, "the length changed", example, cache.length)
    stop = _Stop(subject.config.decoder_layers - 1)
    try:
        batch = subject.batch(ids[:, :1]) if not held else _target(subject, ids[:, :1])
        step(subject.config, subject.parameters, batch, cache, tap=stop)
    except _StopError:
        pass
    expect_true(cache.length == held, "a call that failed was kept", example, cache.length)
    after = subject.step(ids[:, held:], cache)[0]
    expect(subject, "the cache changed", before, after, example, exact=True)
    return True


def _target(subject: NumtxSubject, ids: Array) -> Batch:
    return Batch(None, ids) if subject.two_stacks else Batch(ids)


class _StopError(Exception):
    pass


class _Stop:
    """A tap that fails in the decoder's last block, after every layer was written."""

    active = True

    def __init__(self, last: int, place: tuple[str, ...] = ()) -> None:
        self.last = ("decoder", str(last), "feed_forward")
        self.place = place

    def __call__(self, name: str, value: Array) -> Array:
        if name == "output" and self.place[-3:] == self.last:
            raise _StopError
        return value

    def show(self, name: str, value: Array) -> None:
        pass

    def grad(self, name: str, gradient: Array) -> Array:
        return gradient

    def end(self) -> None:
        pass

    def at(self, scope: str) -> _Stop:
        return _Stop(int(self.last[1]), (*self.place, scope))


@law(
    "C9",
    "cross-attention's keys and values are computed once in a generation",
    "交叉注意力的键值在一次生成中只计算一次",
    NUMTX,
    STEP,
    MEMORY,
)
def cross_once(subject: NumtxSubject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2)
    cache, recorder = subject.new_cache(len(ids)), Recorder()
    own = subject.config, subject.parameters
    step(*own, subject.batch(ids[:, :1]), cache, phase="prefill", tap=recorder)
    step(*own, _target(subject, ids[:, 1:]), cache, phase="decode.0", tap=recorder)
    again = [
        name
        for name in recorder.values
        if "cross_attention" in name and name.endswith((".keys", ".values"))
    ]
    wrong = [name for name in again if name.startswith("decode")]
    expect_true(not wrong and again, "computed again", {"ids": ids}, wrong)
    place = "decoder.0.cross_attention"
    made = [f"prefill.{place}.{leaf}" for leaf in ("normed_keys", "keys")]
    first = next(recorder.values[name] for name in made if name in recorder.values)
    second = recorder.values[f"decode.0.{place}.all_keys"]
    expect(subject, "the memory's keys changed", first, second, {"ids": ids}, exact=True)
    return True


@law(
    "C10",
    "a cache refuses another model, other parameters and another number of rows",
    "缓存拒绝其他模型, 参数与行数",
    NUMTX,
    STEP,
)
def foreign_cache(subject: NumtxSubject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    copied = {name: array.copy() for name, array in subject.parameters.items()}
    other = subject.with_(score_scale=0.123).config
    for what, config, parameters, tokens in (
        ("another configuration", other, subject.parameters, ids),
        ("other parameters", subject.config, copied, ids),
        ("another row", subject.config, subject.parameters, ids[:1].repeat(len(ids) + 1, 0)),
    ):
        try:
            step(config, parameters, subject.batch(tokens), subject.new_cache(len(ids)))
        except NumtxError:
            continue
        raise LawBroken(f"the cache took {what}", {"ids": ids})
    return True


@law(
    "D5",
    "generation in a batch is that of each row alone and that without a cache: padding after the "
    "end of a row, at most max_new_tokens",
    "成批生成等于逐行生成, 也等于无缓存生成",
    NUMTX,
    STEP,
)
def generation(subject: NumtxSubject, draw: Draw) -> bool:
    most = 4
    ids = draw_ids(subject, draw, 2, 2)[:, : max(1, subject.longest - most)]
    mask = draw(padding_masks(*ids.shape))
    eos = draw(st.integers(0, subject.vocabulary_size - 1))
    own = subject.config, subject.parameters
    options = {"max_new_tokens": most, "eos": eos}
    together = generate(*own, subject.batch(ids, mask), **options)
    example = {"ids": ids, "mask": mask, "eos": eos}
    plain = generate(*own, subject.batch(ids, mask), use_cache=False, **options)
    if together.new != plain.new:
        raise LawBroken("the cache changed the tokens", example, None, plain.new, together.new)
    for row, new in enumerate(together.new):
        alone = generate(*own, subject.batch(ids[row : row + 1, mask[row]]), **options)
        if alone.new[0] != new:
            raise LawBroken(f"row {row} alone differs", example, None, alone.new[0], new)
        ended = len(new) == most or new[-1] == eos
        expect_true(ended and eos not in new[:-1] and len(new) <= most, "a wrong end", example, new)
    return True


@law(
    "W1",
    "saved and loaded parameters give logits that are bitwise equal",
    "保存再读取, logits 逐位相同",
    NUMTX,
    exact=True,
    cost=10,
)
def saved(subject: NumtxSubject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parameters.npz"
        save_parameters(path, subject.parameters)
        loaded = load_parameters(path, subject.config)
    before, after = subject.logits(ids), subject.with_(loaded).logits(ids)
    expect(subject, "logits differ", before, after, {"ids": ids}, exact=True)
    expect_true(list(loaded) == list(subject.parameters), "names differ", {}, list(loaded))
    return bool(np.isfinite(before).all())
