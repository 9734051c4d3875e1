"""S1 to S4, K7 to K9, T1, T2: what the numbers of a trace must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from .. import masks, model, tap
from ..check.verify import verify
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law, rounding, seeds
from ..laws.strategies import attention_masks
from ..ops import attend, attend_blocks
from ..ops.loss import IGNORED
from ..ops.softmax import log_softmax_forward, softmax_forward
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import attentions, expect_gradients, labelled, logits_of, prefixes, sink_shares, untied


@law(
    "S1",
    "softmax rows sum to 1 and are finite up to 1e300, a shift changes nothing, to the last digits",
    "softmax 每行和为 1, 数值有限, 平移不变, 精确到末几位",
    NUMTX,
    once=True,
)
def softmax_rows(subject: NumtxSubject, draw: Draw) -> bool:
    size = draw(st.sampled_from([1.0, 1e2, 1e4, 1e8, 1e300]))
    generator = np.random.default_rng(draw(seeds))
    scores = size * generator.uniform(-1.0, 1.0, (2, 3, draw(st.integers(1, 6))))
    weights, logs = softmax_forward(scores), log_softmax_forward(scores)
    example = {"scores": scores}
    expect_true(np.isfinite(weights).all(), "weights are not finite", example, weights)
    expect_true(np.isfinite(logs).all(), "log-probabilities are not finite", example, logs)
    expect_true((weights >= 0.0).all(), "a weight is below 0", example, weights)
    worst = np.abs(weights.sum(-1) - 1.0).max()
    expect_true(worst <= rounding(weights, 4.0 * scores.shape[-1]), "rows do not sum to 1", example)
    shift = draw(st.sampled_from([-1e4, -3.0, 0.25, 1e4, 1e8]))
    if size <= 1e4:  # beyond, the sum with the shift has lost what tells the scores apart
        what, large = f"a shift by {shift} changed", size + abs(shift)
        worst = np.abs(softmax_forward(scores + shift) - weights).max()
        expect_true(worst <= rounding(weights, 4.0, large), f"{what} the weights", example, worst)
        worst = np.abs(log_softmax_forward(scores + shift) - logs).max()
        expect_true(worst <= rounding(logs, 8.0, large), f"{what} the logarithms", example, worst)
        worst = np.abs(np.exp(logs) - weights).max()
        what = "exp of log_softmax is not softmax"
        expect_true(worst <= rounding(weights, 16.0), what, example, worst)
    return True


@law(
    "S2",
    "in a run valid rows of weights (with the share of a sink), and probabilities, sum to 1 to the "
    "last digits, whatever the type; masked weights are exactly 0, others are not",
    "有效行的权重 (连同汇的份额) 与概率, 和为 1, 精确到末几位, 两种浮点类型皆然; "
    "被遮蔽的权重恰为 0, 其余不为 0",
    NUMTX,
)
def weights_of_a_run(subject: NumtxSubject, draw: Draw) -> bool:
    dtype = draw(st.sampled_from(["float64", "float32"]))
    if dtype != subject.config.dtype:
        own = {name: array.astype(dtype) for name, array in subject.parameters.items()}
        subject = subject.with_(own, dtype=dtype)
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    for place in attentions(trace):
        weights, seen = trace[f"{place}.weights"], trace[f"{place}.mask"]
        where = {**example, "stage": f"{place}.weights"}
        whole = seen.any(-1) - sink_shares(subject, trace, place)
        worst = np.abs(weights.sum(-1, dtype=np.float64) - whole).max()
        expect_true(worst <= rounding(weights, 4.0), "a row does not sum to 1", where, worst)
        expect_true((weights[~seen] == 0.0).all(), "a masked weight is not 0", where)
        expect_true((weights[seen] > 0.0).all(), "a weight is 0 that is not masked", where)
    words = trace["probabilities"]
    worst = np.abs(words.sum(-1, dtype=np.float64) - 1.0).max()
    expect_true(worst <= rounding(words, 16.0), "probabilities do not sum to 1", example, worst)
    return True


@law(
    "S3",
    "every stage and every gradient is what an independent loop over single numbers gives",
    "每个阶段与梯度等于逐数循环的独立结果",
    NUMTX,
    cost=25,
)
def oracle(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    report = verify(subject.record(batch))
    wrong = [str(finding) for finding in report.findings if not finding.ok]
    if wrong:
        raise LawBroken(wrong[0], {**example, "stages that differ": len(wrong)})
    return True


@law(
    "S4",
    "context lies within min and max of the attended values (with a sink, and of 0)",
    "上下文处于所关注值 (有汇时连同 0) 的最小与最大之间",
    NUMTX,
)
def context(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    group = subject.config.heads // subject.config.kv_heads
    for place in attentions(trace):
        values = trace[f"{place}.values"].repeat(group, 1)[:, :, None]
        seen, found = trace[f"{place}.mask"][..., None], trace[f"{place}.context"]
        room = rounding(found, 16.0 * values.shape[-2], float(np.abs(values).max()))
        sunk = f"{place}.sinks" in subject.parameters  # whose value is 0
        least = np.where(seen, values, np.inf).min(-2, initial=0.0 if sunk else np.inf) - room
        largest = np.where(seen, values, -np.inf).max(-2, initial=0.0 if sunk else -np.inf) + room
        inside = (found >= least) & (found <= largest) | ~seen.any(-2)
        where = {**example, "stage": f"{place}.context"}
        expect_true(inside.all(), "context lies outside the attended values", where)
    return True


@law(
    "K7",
    "a query with no key to attend to has weights and context exactly 0; a gradient comes back to "
    "its context, and its queries and scores have gradient 0; other rows are untouched, and there "
    "is no NaN",
    "没有可关注键的查询: 权重与上下文恰为 0; 上下文有梯度, 查询与分数的梯度为 0; 其他行不受影响, "
    "且无 NaN",
    NUMTX,
    exact=True,
)
def blind_rows(subject: NumtxSubject, draw: Draw) -> bool:
    """The operation by itself, with any mask, then a run that is padded on the left."""
    rows, heads, queries, keys = 2, 2, 3, 4
    seen = draw(attention_masks(rows, queries, keys))[:, None].repeat(heads, 1)
    blind = ~seen.any(-1)
    mask = masks.Mask(seen, masks.live_keys(seen))
    generator = np.random.default_rng(draw(seeds))
    q, k, v = (generator.standard_normal((rows, heads, n, 5)) for n in (queries, keys, keys))
    dcontext = generator.standard_normal(q.shape)
    whole = np.ones_like(seen)
    for one_tap in (tap.NO_TAP, tap.Recorder()):
        got, kept = attend.attend_forward(q, k, v, mask, 0.4, one_tap)
        dq, dk, dv, *_ = attend.attend_backward(dcontext, kept, one_tap)
        example = {"mask": seen[:, 0], "tap": one_tap is not tap.NO_TAP}
        for name, array in (("context", got), ("dqueries", dq), ("dkeys", dk), ("dvalues", dv)):
            expect_true(np.isfinite(array).all(), f"{name} is not finite", example, array)
        expect_true((got[blind] == 0.0).all(), "context of a blind row is not 0", example)
        expect_true((dq[blind] == 0.0).all(), "a blind row's query has a gradient", example)
        other, _ = attend.attend_forward(q, k, v, masks.Mask(whole, None), 0.4, tap.NO_TAP)
        full = seen.all(-1)
        same = np.allclose(got[full], other[full], rtol=0.0, atol=1e-12)
        expect_true(same, "rows that see every key changed", example)
    _blind_rows_of_a_run(subject, draw)
    return True


def _blind_rows_of_a_run(subject: NumtxSubject, draw: Draw) -> None:
    """All tokens have labels, padding too, so that a gradient does come back to blind rows."""
    batch, example, mask, _ = labelled(subject, draw, ignored=False)
    trace = subject.record(batch)
    for name, array in (*trace.values.items(), *trace.gradients.items()):
        expect_true(not np.isnan(array).any(), f"NaN in {name}", example)
    for place in attentions(trace):
        blind = ~trace[f"{place}.mask"].any(-1)
        alone = np.zeros_like(blind)
        if subject.causal and place.startswith("decoder") and ".self_" in place:
            alone |= (np.cumsum(mask, 1) == 0)[:, None]
        as_masked = (blind | ~alone).all() if subject.config.window else (blind == alone).all()
        expect_true(as_masked, f"{place}: other rows are blind than padding makes", example)
        for leaf in ("weights", "context"):
            zero = (trace[f"{place}.{leaf}"][blind] == 0.0).all()
            expect_true(zero, f"{place}.{leaf} of a blind row is not 0", example)
        for leaf in ("queries", "scores", "products", "masked_scores"):
            zero = (trace.grad(f"{place}.{leaf}")[blind] == 0.0).all()
            expect_true(zero, f"{place}.{leaf} of a blind row has a gradient", example)
        comes = blind & (trace.grad(f"{place}.output") != 0.0).any(-1)[:, None]
        reached = trace.grad(f"{place}.context")[comes].any() or not comes.any()
        expect_true(reached, f"{place}.context of a blind row has no gradient", example)


@law(
    "K6-padding",
    "content of 1e200, NaN and inf under the padding of every stack changes no real output, nor "
    "the loss, nor a gradient",
    "各侧填充处的 1e200, NaN, inf 不影响真实输出, 损失与梯度",
    NUMTX,
    exact=True,
)
def content_under_padding(subject: NumtxSubject, draw: Draw) -> bool:
    """The padding token's own embedding holds it, in every table; no real token is that one.

    An output of its own: one that is tied would hold it for every token.
    """
    subject = untied(subject)
    batch, example, mask, labels = labelled(subject, draw)
    content = draw(st.sampled_from([1e200, 1e100, 1e30, np.nan, -np.inf]))
    given, hidden = {"labels": np.where(mask, labels, IGNORED)}, False
    for prefix, side in prefixes(subject).items():
        ids, real = (getattr(batch, f"{prefix}{field}") for field in ("ids", "mask"))
        pad = subject.config.vocabulary_of(side) - 1
        given[f"{prefix}ids"] = np.where(real, ids % pad, pad)
        hidden = hidden or not real.all()
    if not hidden:
        return False
    broken = dict(subject.parameters)
    for name in (name for name in broken if name.endswith("embedding")):
        broken[name] = broken[name].copy()
        with np.errstate(over="ignore"):  # in float32 1e200 is inf
            broken[name][-1, ::2], broken[name][-1, 1::2] = content, -content
    batch = replace(batch, **given)
    first, second = subject.record(batch), subject.with_(broken).record(batch)
    example = {**example, **given, "embedding of the padding": content}
    before, after = first["logits"], second["logits"]
    expect(
        subject,
        "what stands under padding moved a real token",
        before,
        after,
        example,
        exact=True,
        real=mask,
    )
    expect_gradients(subject, "what stands under padding", (first, second), example, exact=True)
    return True


@law(
    "K8",
    "a boolean mask is the same as the additive one",
    "布尔掩码等于加性掩码",
    NUMTX,
    exact=True,
    once=True,
)
def additive(subject: NumtxSubject, draw: Draw) -> bool:
    seen = draw(attention_masks(2, 3, 4))
    scores = np.random.default_rng(draw(seeds)).standard_normal(seen.shape)
    example = {"mask": seen}
    added = scores + masks.to_additive(seen)
    masked = attend.mask_forward(scores, seen)
    expect(subject, "masked scores differ", added, masked, example, exact=True)
    before, after = softmax_forward(added), softmax_forward(masked)
    expect(subject, "weights differ", before, after, example, exact=True)
    back = masks.from_additive(masks.to_additive(seen))
    expect_true((back == seen).all(), "there and back is another mask", example, back)
    turned = masks.inverted(seen)
    expect_true((turned == ~seen).all(), "inverted is not the other polarity", example, turned)
    return not seen.all()


@law(
    "K9",
    "with chunks of c tokens nothing passes from one into another, not even through several layers",
    "分块注意力: 任何信息不跨块, 多层亦然",
    NUMTX,
    exact=True,
)
def chunks_apart(subject: NumtxSubject, draw: Draw) -> bool:
    """That all of a chunk is reached says K4."""
    if subject.chunk is None:
        return False
    ids = draw_ids(subject, draw, subject.chunk + 1)
    key = draw(st.integers(0, ids.shape[1] - 1))
    changed = ids.copy()
    changed[:, key] = (ids[:, key] + 1) % subject.vocabulary_size
    apart = np.arange(ids.shape[1]) // subject.chunk != key // subject.chunk
    before, after = (subject.logits(one)[:, apart] for one in (ids, changed))
    expect(subject, "another chunk moved", before, after, {"ids": ids, "token": key}, exact=True)
    return bool(apart.any())


@law(
    "T1",
    "a run that nobody looks at gives what the recorded run gives, forward and backward; without "
    "labels the logits are the same, bit for bit",
    "不记录的运行与记录的运行结果相同; 无标签时 logits 逐位相同",
    NUMTX,
)
def unrecorded(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, mask, _ = labelled(subject, draw)
    trace = subject.record(batch)
    outputs, kept = model.forward(subject.config, subject.parameters, batch)
    expect(subject, "logits differ", logits_of(trace), outputs.logits, example, real=mask)
    bare = model.forward(subject.config, subject.parameters, replace(batch, labels=None))[0].logits
    expect(subject, "labels moved the logits", bare, outputs.logits, example, exact=True)
    for name, got in model.backward(kept).items():
        expected = trace.grad(f"parameters/{name}").reshape(1, -1)
        expect(subject, f"gradient of {name} differs", expected, got.reshape(1, -1), example)
    return True


@law(
    "T2",
    "attention in blocks, for many scores, gives what it gives in one piece; content of 1e200, NaN "
    "and inf at keys that no query sees has no effect, forward and backward",
    "分块注意力与整体相同; 无人关注的键处的 1e200, NaN, inf 正反向都无影响",
    NUMTX,
    once=True,
)
def in_blocks(subject: NumtxSubject, draw: Draw) -> bool:
    rows, queries, keys = 2, draw(st.integers(1, 5)), draw(st.integers(2, 6))
    seen = draw(attention_masks(rows, queries, keys))
    hidden = draw(st.lists(st.integers(0, keys - 1), max_size=2))
    seen[:, :, hidden] = False
    seen = seen[:, None].repeat(4, 1)
    mask = masks.Mask(seen, masks.live_keys(seen))
    generator = np.random.default_rng(draw(seeds))
    q = generator.standard_normal((rows, 4, queries, 6))
    k, v = (generator.standard_normal((rows, 2, keys, 6)) for _ in "kv")
    dcontext = generator.standard_normal(q.shape)
    content = draw(st.sampled_from([0.0, 1e200, np.nan, np.inf]))
    dead = ~seen.any((1, 2))
    found = []
    sizes = {name: attend_blocks.__dict__[name] for name in ("OF_A_HEAD", "ROWS", "PIECE")}
    small = {"OF_A_HEAD": 0, "ROWS": 4, "PIECE": 1}
    for one_tap, limits, inside in (
        (tap.Recorder(), sizes, 0.0), (tap.Recorder(), sizes, content),
        (tap.NO_TAP, sizes, content), (tap.NO_TAP, small, content),
    ):  # fmt: skip
        keys_in, values_in = (np.where(dead[:, None, :, None], inside, a) for a in (k, v))
        attend_blocks.__dict__.update(limits)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # products with the content
                out, saved = attend.attend_forward(q, keys_in, values_in, mask, 0.4, one_tap)
                found.append((out, *attend.attend_backward(dcontext, saved, one_tap)[:3]))
        finally:
            attend_blocks.__dict__.update(sizes)
    example = {"mask": seen[:, 0], "content of unattended keys": content}
    ways = ("recorded, with that content", "in one piece", "in blocks")
    for way, results in zip(ways, found[1:], strict=True):
        for name, expected, got in zip(("out", "dq", "dk", "dv"), found[0], results, strict=True):
            expect(subject, f"{name} {way} differs", expected, got, example)
    return True
