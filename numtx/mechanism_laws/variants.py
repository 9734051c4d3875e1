"""V1 to V6, W2, W4: what must come to the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .. import model
from ..config.rotary import YarnScaling
from ..laws.law import Draw, draw_ids, expect, expect_true, law, moved, seeds
from ..models import parameters_of
from ..own_laws.runs import TINY, attentions, labelled
from ..parameters import parameter_shapes
from ..shapes import Array
from ..subjects.own import MEMORY_LENGTH, NumtxSubject
from ..subjects.subject import NUMTX, Memory


def heads_taken(
    config: Any, name: str, array: Array, query_heads: list[int], key_heads: list[int]
) -> Array:
    """A parameter with its heads in another order, or taken more than once."""
    leaf = name.rpartition(".")[2]
    if leaf == "sinks":
        return array[query_heads]
    if leaf == "gain" and config.query_key_norm == "projection":  # in the projection's order
        leaf = {"query_norm": "w_q", "key_norm": "w_k"}.get(name.split(".")[-2], leaf)
    if leaf == "relative_bias":
        width, order, axis = 1, query_heads, 1
    elif leaf in ("w_q", "b_q", "w_uq", "w_uk"):  # with latents every head has keys of its own
        width, order, axis = config.d_k, query_heads, -1
    elif leaf == "w_qr":
        width, order, axis = config.rotated, query_heads, -1
    elif leaf == "w_uv":
        width, order, axis = config.d_v, query_heads, -1
    elif leaf in ("w_k", "b_k"):
        width, order, axis = config.d_k, key_heads, -1
    elif leaf in ("w_v", "b_v"):
        width, order, axis = config.d_v, key_heads, -1
    elif leaf == "w_o":
        width, order, axis = config.d_v, query_heads, 0
    else:
        return array
    return np.take(array, [head * width + i for head in order for i in range(width)], axis)


@law(
    "V1",
    "permuting heads together with their parameters changes no logit, and permutes queries, "
    "weights and gradients",
    "头与其参数一同置换, 结果不变, 查询, 权重与梯度随之置换",
    NUMTX,
)
def order_of_heads(subject: NumtxSubject, draw: Draw) -> bool:
    """Sinks and biases by buckets go with their heads; slopes go by the place of a head."""
    config = subject.config
    for side in config.sides:
        for name in config.sublayers(side):
            if name != "feed_forward" and not config.has_output_projection(f"{side}.{name}"):
                return False  # the heads stand side by side as they are
    if "alibi" in config.values_of("positions"):
        return False  # a head's slope goes by its place
    group = config.heads // config.kv_heads
    key_heads = draw(st.permutations(range(config.kv_heads)))
    inner = draw(st.permutations(range(group)))
    query_heads = [key * group + i for key in key_heads for i in inner]
    taken = {
        name: heads_taken(config, name, array, query_heads, list(key_heads))
        for name, array in subject.parameters.items()
    }
    batch, example, _, _ = labelled(subject, draw)
    example = {**example, "heads": query_heads}
    first, second = subject.record(batch), subject.with_(taken).record(batch)
    expect(subject, "the order matters", first["logits"], second["logits"], example)
    for name in (f"{at}.{leaf}" for at in attentions(first) for leaf in ("queries", "weights")):
        before, after = first[name][:, query_heads], second[name]
        expect(subject, f"{name} did not follow", before, after, example)
    for name in subject.parameters:
        gradient = first.grad(f"parameters/{name}")
        before = heads_taken(config, name, gradient, query_heads, list(key_heads))
        after = second.grad(f"parameters/{name}")
        told = f"gradient of {name} did not follow"
        expect(subject, told, before[None], after[None], example)
    return query_heads != sorted(query_heads)


@law(
    "V2",
    "grouped heads are heads with repeated keys and values, forward and backward; as many groups "
    "as heads are the default, bit for bit",
    "分组查询等于重复键值的多头, 正向与反向皆然; 组数等于头数即默认, 逐位相同",
    NUMTX,
)
def grouped(subject: NumtxSubject, draw: Draw) -> bool:
    config = subject.config
    heads, groups = config.heads, config.kv_heads
    if groups == heads:
        ids = draw_ids(subject, draw)
        before, after = (subject.with_(key_value_heads=n).logits(ids) for n in (None, heads))
        expect(subject, "not the default", before, after, {"ids": ids}, exact=True)
        return True
    repeated = [head // (heads // groups) for head in range(heads)]
    wide = {
        name: heads_taken(config, name, array, list(range(heads)), repeated)
        for name, array in subject.parameters.items()
    }
    batch, example, _, _ = labelled(subject, draw)
    first = subject.record(batch)
    second = subject.with_(wide, key_value_heads=heads).record(batch)
    expect(subject, "logits differ", second["logits"], first["logits"], example)
    for name, array in subject.parameters.items():
        gradient = second.grad(f"parameters/{name}")
        if gradient.shape != array.shape:  # of keys and values, each of which has several uses
            shape = (*array.shape[:-1], groups, heads // groups, gradient.shape[-1] // heads)
            gradient = gradient.reshape(shape).sum(-2).reshape(array.shape)
        got = first.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", gradient[None], got[None], example)
    return True


@law(
    "V3",
    "attention over latents is attention with the keys and values that they expand to, with the "
    "latent cache too",
    "潜在向量注意力等于展开后的普通注意力, 用潜在缓存时亦然",
    NUMTX,
)
def latents(subject: NumtxSubject, draw: Draw) -> bool:
    """Without rotated parts and norms: these have no counterpart in ordinary attention."""
    if subject.config.key_value_latent is None or subject.config.latent_norm:
        return False
    subject = _unrotated(subject)
    ordinary = subject.with_(key_value_latent=None, query_latent=None, biases=True)
    own, expanded = subject.parameters, {}
    for name, shape in parameter_shapes(ordinary.config).items():
        place, _, leaf = name.rpartition(".")
        down = f"{place}.{leaf[0]}_d{'q' if leaf[-1] == 'q' else 'kv'}"
        up = f"{place}.w_u{leaf[-1]}"
        if name in own:
            expanded[name] = own[name]
        elif down in own and up in own:
            expanded[name] = own[down] @ own[up]
        else:
            expanded[name] = np.zeros(shape, ordinary.config.dtype)
    ids = draw_ids(subject, draw)
    expected = ordinary.with_(expanded).logits(ids)
    expect(subject, "the expanded one differs", expected, subject.logits(ids), {"ids": ids})
    if subject.causal:
        got, _ = subject.step(ids)
        expect(subject, "the cached one differs", expected, got, {"ids": ids})
    return True


@law(
    "V4",
    "a window, or a chunk, at least as long as the sequence is none, bit for bit, and a window of "
    "one token is not",
    "窗口或分块不短于序列时等于没有, 逐位相同; 长度为一的窗口则不然",
    NUMTX,
    exact=True,
)
def long_window(subject: NumtxSubject, draw: Draw) -> bool:
    """And a chunk as long is no chunk."""
    ids = draw_ids(subject, draw)
    longest = max(ids.shape[1], MEMORY_LENGTH if subject.two_stacks else 0)
    window = longest + draw(st.integers(0, 3))
    example = {"ids": ids, "window": window}
    subject = subject.with_(chunk=None)
    whole, wide, short = (subject.with_(window=w).logits(ids) for w in (None, window, 1))
    expect(subject, "the window matters", whole, wide, example, exact=True)
    chunked = subject.with_(window=None, chunk=window).logits(ids)
    expect(subject, "the chunk matters", whole, chunked, example, exact=True)
    if (ids != ids[:, :1]).any():
        expect_true(moved(whole, short).any(), "a window of one token does not matter", example)
    return True


@law(
    "V5",
    "the score scale is 1 / sqrt(d_k) where none is written out, bit for bit; over latents the "
    "rotated part counts too, and YaRN's factor",
    "未写明缩放时即为 1 / sqrt(d_k), 逐位相同; 潜在向量注意力还计入旋转部分与 YaRN 的因子",
    NUMTX,
    exact=True,
)
def scale(subject: NumtxSubject, draw: Draw) -> bool:
    """Cross-attention beside latents has no rotated part: there without one."""
    latent = subject.config.key_value_latent is not None
    if latent and subject.two_stacks:
        subject = _unrotated(subject)
    ids, width = draw_ids(subject, draw), subject.config.d_k + latent * subject.config.rotated
    default = subject.with_(score_scale=None)
    by = subject.config.rotary_scaling
    longer = 1.0  # what YaRN has beside it
    if latent and isinstance(by, YarnScaling) and by.factor > 1.0:
        longer = (1.0 + 0.1 * by.mscale_all_dim * math.log(by.factor)) ** 2
    explicit = subject.with_(score_scale=longer / math.sqrt(width))
    before, after = explicit.logits(ids), default.logits(ids)
    expect(subject, "logits differ", before, after, {"ids": ids}, exact=True)
    return True


def _unrotated(subject: NumtxSubject) -> NumtxSubject:
    """A model with latents without their rotated parts."""
    if not subject.config.rotated:
        return subject
    kept = {n: a for n, a in subject.parameters.items() if not n.endswith(("w_qr", "w_kr", "b_kr"))}
    return subject.with_(kept, positions=None, rotary_width=None, rotary_scaling=None)


@law(
    "V6",
    "normed queries and keys, of a head or of all, have one length: what multiplies their "
    "projection is lost",
    "归一化后的查询与键 (逐头或整个投影) 长度固定: 投影乘以任何正数, 结果不变",
    NUMTX,
)
def normed(subject: NumtxSubject, draw: Draw) -> bool:
    """What has a norm of its own by a factor of its own; with no epsilon to speak of."""
    if subject.config.query_key_norm is None:
        return False
    subject = subject.with_(epsilon=TINY)
    config, scaled = subject.config, dict(subject.parameters)
    factors: dict[str, list[float]] = {}
    for name, array in subject.parameters.items():
        place, _, leaf = name.rpartition(".")
        if leaf not in ("w_q", "b_q", "w_k", "b_k"):
            continue
        key = f"{place} {leaf[-1]}"
        heads = config.heads if leaf[-1] == "q" else config.kv_heads
        if key not in factors:
            apart = heads if config.query_key_norm == "head" else 1
            factors[key] = [draw(st.sampled_from([0.25, 0.5, 3.0, 8.0])) for _ in range(apart)]
            factors[key] *= heads // apart
        scaled[name] = (array * np.repeat(factors[key], config.d_k)).astype(array.dtype)
    ids = draw_ids(subject, draw)
    before, after = subject.logits(ids), subject.with_(scaled).logits(ids)
    expect(subject, "the length matters", before, after, {"ids": ids, "factors": factors})
    return True


@law(
    "W2",
    "permuting the vocabulary, with the words of both stacks where they have one table, permutes "
    "the logits",
    "词表置换 (两侧共用时一同置换), logits 随之置换",
    NUMTX,
)
def order_of_words(subject: NumtxSubject, draw: Draw) -> bool:
    order = np.random.default_rng(draw(seeds)).permutation(subject.vocabulary_size)
    place = np.argsort(order)
    taken = {
        name: array[order]
        if name in ("embedding", f"{subject.side}.embedding")
        else array[..., order]
        if name.startswith("output.")
        else array
        for name, array in subject.parameters.items()
    }
    ids = draw_ids(subject, draw)
    memory = other = subject.new_memory(len(ids), MEMORY_LENGTH, draw(seeds))
    if memory is not None and subject.config.shared_embedding:
        other = Memory(place[memory.ids], memory.mask)
    before = subject.logits(ids, memory=memory)[..., order]
    after = subject.with_(taken).logits(place[ids], memory=other)
    expect(subject, "the logits did not follow", before, after, {"ids": ids, "order": order})
    return True


@law(
    "W4",
    "a float32 model stays float32 through every stage and every gradient",
    "float32 模型的每个阶段与梯度都保持 float32",
    NUMTX,
)
def types(subject: NumtxSubject, draw: Draw) -> bool:
    config = subject.with_(dtype="float32").config
    small = NumtxSubject(config, parameters_of(config), subject.name)
    batch, example, _, _ = labelled(small, draw)
    trace = small.record(batch)
    outputs, kept = model.forward(config, small.parameters, batch)
    found = [
        *trace.values.items(), *trace.gradients.items(), ("logits", outputs.logits),
        *_floats(kept, "context"), *model.backward(kept).items(),
    ]  # fmt: skip
    wrong = [name for name, a in found if a.dtype.kind == "f" and a.dtype != np.float32]
    expect_true(not wrong, "not float32", example, wrong)
    return True


def _floats(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    """Every array inside a nested context."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _floats(inner, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        for key, inner in zip(fields, value, strict=True):
            yield from _floats(inner, f"{name}.{key}")
