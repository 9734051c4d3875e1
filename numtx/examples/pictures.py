"""What the pictures show, taken from runs of an example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..batch import Batch
from ..costs import ATTENTION, count_generation
from ..decoding.record import record_generation
from ..errors import ExampleError
from ..ops.softmax import softmax_forward
from ..pictures.terminal import Frame, MaskPicture, MemoryCurve, StepPicture
from ..shapes import Array
from .example import Example

LONGEST = 16  # tokens that a picture has room for
PLACE = "decoder.0.self_attention"


def mask_picture(example: Example) -> MaskPicture:
    """The first row's first head in the decoder's first block."""
    count = len(_text(example))
    trace = example.trace(gradients=False)
    real = np.flatnonzero(trace["decoder.mask"][0])
    assert len(real) == count

    def square(leaf: str) -> Array:
        array = trace[f"{PLACE}.{leaf}"]
        whole = np.broadcast_to(array, trace[f"{PLACE}.scores"].shape)
        return np.ascontiguousarray(whole[0, 0][np.ix_(real, real)])

    tokens = [trace.tokens["decoder"][0][i] for i in real.tolist()]
    free = softmax_forward(square("scores"))
    return MaskPicture(f"{example.name}, {PLACE}", tokens, free, square("mask"), square("weights"))


def memory_curves(
    *, layers: int, heads: int, width: int, groups: int, rank: int, rotary: int, size: int
) -> list[MemoryCurve]:
    """Bytes a token of multi-head, grouped-query, multi-query and latent attention: keys and
    values x layers x key/value heads x width x bytes, and layers x (r + d_r) x bytes.

    width: of a head; groups: key/value heads of GQA; rank: r of the latent; rotary: d_r of its
    rotated key; size: bytes a number
    """
    curves = [
        MemoryCurve(
            name,
            f"2 x {layers} x {count} x {width} x {size}",
            2 * layers * count * width * size,
        )
        for name, count in (("MHA", heads), ("GQA", groups), ("MQA", 1))
    ]
    latent = layers * (rank + rotary) * size
    formula = f"{layers} x ({rank} + {rotary}) x {size}"
    return [*curves, MemoryCurve("MLA", formula, latent)]


def step_picture(example: Example) -> StepPicture:
    """The last step of decode while the example's own text is generated."""
    words = _text(example)
    _, trace = record_generation(
        example.config, example.parameters, Batch([[words[0]]]), max_new_tokens=len(words),
        choose=_Forced(words),
    )  # fmt: skip
    phase = trace.phases[-1]
    tokens = [*_names(example, words)]

    def shape(leaf: str) -> tuple[int, ...]:
        """The heads side by side: (B,H,T,d) -> (T, H·d)"""
        _, heads, length, wide = trace[f"{phase}.{PLACE}.{leaf}"].shape
        return length, heads * wide

    found = {name: shape(leaf) for name, leaf in (
        ("q", "queries"), ("k", "keys"), ("v", "values"), ("all_keys", "all_keys"),
    )}  # fmt: skip
    found["x"] = trace[f"{phase}.decoder.input"].shape[1:]
    found["weights"] = trace[f"{phase}.{PLACE}.weights"].shape[2:]
    found["output"] = trace[f"{phase}.{PLACE}.context"].shape[2:]
    if f"{phase}.{PLACE}.output" in trace:
        found["output"] = trace[f"{phase}.{PLACE}.output"].shape[1:]
    return StepPicture(f"{example.name}, {phase}.{PLACE}", tokens, found)


def frames(example: Example) -> list[Frame]:
    """Each step of generating the example's own text, without a cache and with one."""
    words = _text(example)
    names = _names(example, words)
    runs = [
        count_generation(
            example.config, example.parameters, Batch([words[:1]]),
            max_new_tokens=len(words) - 1, use_cache=use_cache,
        )
        for use_cache in (False, True)
    ]  # fmt: skip
    return [
        Frame(
            names[:n],
            names[n],
            (without.step.computed, cached.step.computed),
            (without.total(*ATTENTION), cached.total(*ATTENTION)),
        )
        for n, (without, cached) in enumerate(zip(*runs, strict=True), 1)
    ]


class _Forced:
    """A choice that says a given text."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = words

    def __call__(self, _: Array, rows: Sequence[Sequence[int]]) -> Array:
        return np.array([self.words[min(len(row), len(self.words) - 1)] for row in rows])


def _text(example: Example) -> list[int]:
    """The first row's tokens, of a decoder without an encoder."""
    if example.config.model != "decoder-only" or not example.config.causal:
        raise ExampleError(f"{example.name} is no decoder alone; the picture needs one: try cat")
    ids, mask = np.asarray(example.batch.ids)[0], example.batch.mask
    words: list[int] = (ids if mask is None else ids[np.asarray(mask)[0]]).tolist()
    if not 2 <= len(words) <= LONGEST:
        raise ExampleError(
            f"{example.name} has {len(words)} tokens; a picture shows 2 to {LONGEST}"
        )
    return words


def _names(example: Example, words: Sequence[int]) -> list[str]:
    if example.vocabulary is None:
        return [str(word) for word in words]
    return example.vocabulary.decode(words)
