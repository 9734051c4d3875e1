"""Document 003, the part on training: the decoder, the loss, the update, padding."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...model import backward, forward
from ...sequences import SCHEMES, concatenate, frame
from ...shapes import Array
from ...trace.trace import Trace
from .. import weather as w
from ..translation import TARGET
from . import witnesses
from .rows import Row
from .runs import example, moved, shape, softmax, tokens, trace, trained, with_tokens
from .theorems import log_span, no_more_than_one, softmax_of, sums_to_one
from .verdicts import Claim, Figures, Given, Illustration, Same

SELF = "decoder.0.self_attention"
CROSS = "decoder.0.cross_attention"
LABELS = (3, 4, 4, 5, 6, 7, 2)
PROBABILITIES_0 = (0.067, 0.065, 0.063, 0.131, 0.094, 0.076, 0.083, 0.080, 0.070, 0.065)
LOSSES = (2.03, 1.88, 1.92, 1.82, 1.84, 1.86, 1.69)
SMALL = (0.082, 0.153)  # position 1: 今 and 天


def _self_row(stated: Array) -> Any:
    made = example("weather")
    p = witnesses.steer(made, made.parameters, SELF, {1: stated[:2].tolist()})
    return witnesses.run(made, p)[f"{SELF}.weights"][0, 0, 1]


def _cross_row(stated: Array) -> Any:
    return _illustrated(tuple(stated.tolist()), w.LOGITS_0)[f"{CROSS}.weights"][0, 0, 1]


@lru_cache(maxsize=8)
def _illustrated(
    cross: tuple[float, ...],
    logits: tuple[float, ...],
    labels: tuple[float, ...] = w.LABEL_PROBABILITIES[1:],
    other: float = SMALL[0],
) -> Trace:
    """One model with all illustrations of this part that do not exclude one another."""
    made = example("weather")
    p = witnesses.write_output(made, made.parameters, "encoder", witnesses.spread(np.array(cross)))
    p = witnesses.steer(made, p, SELF, {1: w.SELF_WEIGHTS_1[:2]})
    p = witnesses.steer(made, p, CROSS, {1: cross})
    cells = {(t + 1, LABELS[t + 1]): value for t, value in enumerate(labels)}
    cells[1, 3] = other
    return witnesses.run(made, witnesses.read_out(made, p, cells, {0: logits}))


def _logits_row(stated: Array) -> Any:
    return _illustrated(w.CROSS_WEIGHTS_1, tuple(stated.tolist()))["logits"][0, 0]


def _labels_row(stated: Array) -> Any:
    run = _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0, tuple(stated.tolist()))
    return run["probabilities"][0, np.arange(1, 7), LABELS[1:]]


def _last_label(stated: Array) -> Any:
    return _labels_row(np.array([*w.LABEL_PROBABILITIES[1:-1], float(stated)]))[-1]


def _position_1(stated: Array) -> Any:
    labels = (float(stated[1]), *w.LABEL_PROBABILITIES[2:])
    run = _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0, labels, float(stated[0]))
    return run["probabilities"][0, 1, [3, 4]]


def _together(stated: Array) -> Array:
    """Self row, cross row, logits of position 0, labels of 1 to 6: one run, end to end."""
    cross, logits, labels = stated[2:9], stated[9:19], stated[19:]
    made = example("weather")
    p = witnesses.write_output(made, made.parameters, "encoder", witnesses.spread(cross))
    p = witnesses.steer(made, p, SELF, {1: stated[:2].tolist()})
    p = witnesses.steer(made, p, CROSS, {1: cross.tolist()})
    cells = {(t + 1, LABELS[t + 1]): float(value) for t, value in enumerate(labels)}
    run = witnesses.run(made, witnesses.read_out(made, p, cells, {0: logits.tolist()}))
    return np.concatenate([
        run[f"{SELF}.weights"][0, 0, 1, :2], run[f"{CROSS}.weights"][0, 0, 1], run["logits"][0, 0],
        run["probabilities"][0, np.arange(1, 7), LABELS[1:]],
    ])  # fmt: skip


def _one_probability(stated: Array) -> Any:
    """P(今) alone, without the row of logits."""
    made = example("weather")
    p = witnesses.read_out(made, made.parameters, {(0, 3): float(stated)})
    return witnesses.run(made, p)["probabilities"][0, 0, 3]


def _ratios() -> tuple[bool, str]:
    """Whether exp(logit) / P can be one number, each within half a printed unit."""
    p, logits = np.array(PROBABILITIES_0), np.array(w.LOGITS_0)
    low = float((np.exp(logits - 0.005) / (p + 0.0005)).max())
    high = float((np.exp(logits + 0.005) / (p - 0.0005)).min())
    return (
        low <= high,
        f"exp(logit) / P is {(np.exp(logits) / p).min():.1f} to {(np.exp(logits) / p).max():.1f}; rounding leaves [{low:.2f}, {high:.2f}] for all; the right sum of the exponentials is {np.exp(logits).sum():.2f}",
    )


def _losses_from_logits() -> Any:
    first = -np.log(softmax(w.LOGITS_0)[3])
    return np.array([first, *LOSSES[1:]]).mean()


def _two_wirings() -> tuple[bool, str]:
    paper, written = trace("weather"), trace("weather", wiring="as-written")
    left = [name for name in paper if name not in written and name.startswith("decoder.0.")]
    far = float(np.abs(paper["logits"] - written["logits"]).max())
    return (
        not left,
        f"{', '.join(name.removeprefix('decoder.0.') for name in left)} are missing here; the logits of one seed differ by up to {far:.1f}",
    )


def _encoder_learns() -> tuple[bool, str]:
    run = trained("weather")
    names = [name for name in run.parameters if name.startswith("encoder.")]
    live = [name for name in names if np.any(run.grad(f"parameters/{name}"))]
    size = float(np.abs(run.grad("encoder.output")).max())
    return (
        len(live) == len(names),
        f"{len(live)} of {len(names)} encoder parameters have a gradient; at encoder.output it reaches {size:.2g}",
    )


def _flow() -> list[str]:
    """The order in which backward reaches what the document lists."""
    seen = list(trained("weather").gradients)
    wanted = ("decoder.output", "decoder.1.feed_forward.output", "decoder.1.cross_attention.output",
              "decoder.1.self_attention.output", "decoder.input")  # fmt: skip
    return sorted(wanted, key=seen.index)


def _cross_gradients() -> tuple[str, ...]:
    run = trained("weather")
    place = "decoder.1.cross_attention"
    return tuple(
        n for n in ("w_q", "w_k", "w_v", "w_o") if np.any(run.grad(f"parameters/{place}.{n}"))
    )


def _one_step() -> tuple[bool, str]:
    made = example("weather")
    outputs, context = forward(made.config, made.parameters, made.batch)
    gradients = backward(context)
    after = {name: p - 0.001 * gradients[name] for name, p in made.parameters.items()}
    now, _ = forward(made.config, after, made.batch)
    assert outputs.loss is not None and now.loss is not None
    squared = sum(float((g * g).sum()) for g in gradients.values())
    change = float(now.loss - outputs.loss)
    return change < 0, f"the loss changes by {change:.2e} ({-0.001 * squared:.2e} to first order)"


def _first_sees(position: int) -> list[int]:
    return np.flatnonzero(trace("weather")[f"{SELF}.mask"][0, 0, position]).tolist()


def _padding() -> tuple[bool, str]:
    """Weights on padding, losses there, and whether its ids matter."""
    run = trace("padding")
    weights = float(np.abs(run["encoder.0.self_attention.weights"][0, :, :, 5:]).max())
    losses = float(np.abs(run["loss.per_token"][0, 5:]).max())
    return (
        weights == 0.0 and losses == 0.0,
        f"largest weight on padding {weights:g}, largest loss there {losses:g}",
    )


def _padded() -> tuple[Any, ...]:
    made = example("padding")
    rows = made.tokens["encoder"]
    lengths = [sum(token != "<pad>" for token in row) for row in rows]
    return rows, lengths, [len(row) for row in rows]


def _cannot_understand_first() -> tuple[bool, str]:
    """In [source, <sep>, target] a source token's vector moves with later source tokens?"""
    ids = tokens("concatenated", "decoder")
    other = [*ids[:5], ids[5] + 1, *ids[6:]]
    before, after = trace("concatenated"), with_tokens("concatenated", "decoder", other)
    early = moved(before["decoder.output"], after["decoder.output"])[:5]
    ids = tokens("weather", "encoder")
    whole = moved(
        trace("weather")["encoder.output"],
        with_tokens("weather", "encoder", [*ids[:5], 8, ids[6]])["encoder.output"],
    )[:5]
    return (
        not any(early) and all(whole),
        f"replacing source token 5 moves {sum(early)} of the 5 before it in one sequence, {sum(whole)} of 5 in the encoder",
    )


def _perfect() -> tuple[float, float]:
    """Loss of a probability 1, and whether a larger probability has a smaller loss."""
    p = np.array([0.131, 0.153, 0.185, 1.0])
    return float(-np.log(p[-1])), float((np.diff(-np.log(p)) < 0).all())


def _divergence() -> tuple[bool, str]:
    """KL(one-hot || p) against the losses: over one word the sum is -log p(label)."""
    p = trace("weather")["probabilities"][0]
    target = np.eye(10)[trace("weather")["labels"][0]]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(target > 0, target * np.log(target / p), 0.0)
    far = float(np.abs(terms.sum(1) - trace("weather")["loss.per_token"][0]).max())
    return (
        far < 1e-12,
        f"it equals KL(one-hot || P), largest difference {far:.1g}; a divergence, not a distance: it is not symmetric",
    )


ROWS = [
    Row("003.decoder-input", "二·第三幕·1", "X_dec^(0) = embedding + PE, [7,4]", Same((7, 4), lambda: shape("weather", "decoder.input")), at="266", stages=("weather", "decoder.embedding", "decoder.positions", "decoder.input")),
    Row("003.decoder-queries", "二·第三幕·2", "Q, K, V of the decoder are [7,4]", Same(((7, 4),) * 3, lambda: tuple(shape("weather", f"{SELF}.{n}") for n in ("queries", "keys", "values"))), at="274; 275; 276"),
    Row("003.one-w-q", "二·第三幕·2", "one W_Q, W_K, W_V in every attention: their names are those of the encoder; matrices W_Q of the model", Same(1, lambda: sum(n.endswith("w_q") for n in trace("weather").parameters)), "2 + 2 layers with cross-attention have six, each its own"),
    Row("003.decoder-scores", "二·第三幕·2", "Scores = Q·K^T / sqrt(4), [7,7]", Same((7, 7), lambda: shape("weather", f"{SELF}.scores")), at="279", stages=("weather", f"{SELF}.scores")),
    Row("003.mask", "二·第三幕·2", "the mask: 1 on and below the diagonal, 0 above", Same([[1 if j <= i else 0 for j in range(7)] for i in range(7)], lambda: trace("weather")[f"{SELF}.mask"][0, 0].astype(int)), "", at="282; 283; 284; 285; 286; 287; 288; 289", stages=("weather", f"{SELF}.mask")),
    Row("003.mask-minus-infinity", "二·第三幕·2", "where the mask is 0 the scores become -inf and the weights 0: largest weight there", Same(0.0, lambda: float(trace("weather")[f"{SELF}.weights"][0, 0][np.triu_indices(7, 1)].max())), at="291; 293", stages=("weather", f"{SELF}.masked_scores", f"{SELF}.weights")),
    Row("003.self-weights-shape", "二·第三幕·2", "weights [7,7], Output_self [7,4]", Same(((7, 7), (7, 4)), lambda: (shape("weather", f"{SELF}.weights"), shape("weather", f"{SELF}.output"))), at="294; 302"),
    Row("003.self-row", "二·第三幕·2", "the row of 今 over <bos>, 今 and the future", Illustration(w.SELF_WEIGHTS_1, _self_row, (sums_to_one,)), "a change of W_Q alone gives it", at="297; 298", stages=("weather", f"{SELF}.weights"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.self-row-number", "二·第三幕·2", "that row is called row 2; its index, as the rest counts positions (位置1 is the row after 位置0)", Same(2, lambda: tokens("weather", "decoder").index(3)), "row 2 counted from one, position 1 counted from zero", at="296: 2"),
    Row("003.as-at-inference", "二·第三幕·2", "the mask keeps training and inference alike: position 2 in training equals the last position of a prefix of 3", Claim(True, lambda: (bool(np.allclose(with_tokens("weather", "decoder", tokens("weather", "decoder")[:3])["logits"][0, 2], trace("weather")["logits"][0, 2], rtol=0, atol=1e-12)), "the same logits from the prefix and from the whole")), at="305: 一"),
    Row("003.cross-query", "二·第三幕·3", "Q_cross = Output_self·W_Q, [7,4]", Same((7, 4), lambda: shape("weather", f"{CROSS}.queries", wiring="as-written")), at="312", stages=("weather", f"{CROSS}.queries")),
    Row("003.cross-wiring", "二·第三幕·3", "no Add & Norm before cross-attention (training), as in the part on inference", Claim(True, _two_wirings), "the part on inference has Add & Norm after every sublayer; the document wires its decoder in two ways"),
    Row("003.cross-keys", "二·第三幕·3", "K_cross, V_cross = H_enc·W, [7,4]", Same(((7, 4), (7, 4)), lambda: tuple(shape("weather", f"{CROSS}.{n}") for n in ("keys", "values"))), at="315; 316", stages=("weather", f"{CROSS}.keys", f"{CROSS}.values")),
    Row("003.cross-scores", "二·第三幕·3", "Scores_cross [7,7]: 7 decoder positions, 7 encoder positions", Same((7, 7), lambda: shape("weather", f"{CROSS}.scores")), at="319; 320"),
    Row("003.cross-no-mask", "二·第三幕·3", "no mask here; weights [7,7]", Same((True, (7, 7)), lambda: (trace("weather")[f"{CROSS}.mask"].all(), shape("weather", f"{CROSS}.weights"))), at="322"),
    Row("003.cross-row", "二·第三幕·3", "weights of position 1 over the source", Illustration(w.CROSS_WEIGHTS_1, _cross_row, (sums_to_one,)), "with an encoder whose rows are free", at="325", stages=("weather", f"{CROSS}.weights"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.cross-row-with-h", "二·第三幕·3", "the same weights over the keys of H_enc as printed (one head, d_k = 4)", Illustration(w.CROSS_WEIGHTS_1, None, (log_span(np.array(w.ENCODER_OUTPUT)),)), "H_enc with its digits taken as exact: the row and it exclude one another, for any W_Q and W_K"),
    Row("003.cross-row-sum", "二·第三幕·3", "the weights sum to 1", Figures(1.00, lambda: sum(w.CROSS_WEIGHTS_1))),
    Row("003.cross-row-position", "二·第三幕·3", "position 1 predicts 天", Same("天", lambda: trace("weather").tokens["labels"][0][1]), at="324", stages=("weather", "decoder.tokens", "labels")),
    Row("003.cross-output", "二·第三幕·3", "Output_cross [7,4]", Same((7, 4), lambda: shape("weather", f"{CROSS}.output")), at="329"),
    Row("003.decoder-ffn", "二·第三幕·4", "X_dec^(1) = LayerNorm(Output_cross + FFN), [7,4]", Same(("residual", "norm"), lambda: tuple(n.split(".")[-1] for n in trace("weather", wiring="as-written") if n.startswith("decoder.0.feed_forward."))[-2:]), "the only Add & Norm of the decoder in this part", at="338", stages=("weather", "decoder.0.feed_forward.norm")),
    Row("003.decoder-two-layers", "二·第三幕·5", "the decoder has 2 layers; H_dec is [7,4]", Same((2, (7, 4)), lambda: (example("weather").config.decoder_layers, shape("weather", "decoder.output"))), at="345; 347; 349: 一", stages=("weather", "decoder.output")),
    Row("003.w-vocab", "二·第四幕·1", "W_vocab is [4,10]", Same((4, 10), lambda: trace("weather").parameters["output.w"].shape), at="358; 359"),
    Row("003.logits-shape", "二·第四幕·1", "Logits = H_dec·W_vocab, [7,10]", Same((7, 10), lambda: shape("weather", "logits")), at="361; 363", stages=("weather", "logits")),
    Row("003.logits-0", "二·第四幕·1", "logits of position 0 (input <bos>, predicts 今)", Illustration(w.LOGITS_0, _logits_row), "ten values from four hidden numbers: W_vocab has the rest", at="364; 365", stages=("weather", "logits"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.probabilities-shape", "二·第四幕·2", "Probs = softmax(Logits), [7,10]", Same((7, 10), lambda: shape("weather", "probabilities")), at="371"),
    Row("003.probabilities-0", "二·第四幕·2", "P[0] = softmax(logits[0])", Figures(PROBABILITIES_0, lambda: softmax(w.LOGITS_0), 3), "every entry is about 0.79 of the right one", at="373; 374; 375", stages=("weather", "probabilities")),
    Row("003.probabilities-0-sum", "二·第四幕·2", "P[0] as a distribution over ten words: its sum", Illustration(PROBABILITIES_0, None, (sums_to_one,), 3), "no softmax gives it, whatever the logits"),
    Row("003.probabilities-0-ratios", "二·第四幕·2", "P[0] is proportional to exp(logits[0])", Claim(True, _ratios), "a larger sum than that of the ten logits, as if more words shared in it"),
    Row("003.probability-percent", "二·第四幕·2", "P(今) = 0.131 is 13.1%, P(天) = 0.094 is 9.4%", Figures((13.1, 9.4), lambda: 100 * np.array(PROBABILITIES_0)[[3, 4]], 1), "as percentages of the stated (wrong) P[0]", at="377; 380: 0 13.1 9.4; 379: 7"),
    Row("003.probability-0-with-logits", "二·第四幕·2", "P(今) = 0.131 together with the stated logits[0]", Illustration(0.131, _one_probability, (softmax_of(w.LOGITS_0, 0.005, 3),), 3), "each is attainable alone; together they exclude one another"),
    Row("003.probability-0-alone", "二·第四幕·2", "P(今) = 0.131 at position 0, without the logits", Illustration(0.131, _one_probability, (no_more_than_one,), 3), stages=("weather", "probabilities")),
    Row("003.probabilities-1", "二·第四幕·2", "position 1: P(今) = 8.2%, P(天) = 15.3%", Illustration(SMALL, _position_1, (no_more_than_one,), 3), at="381: 1 8.2 15.3", stages=("weather", "probabilities"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.probabilities-6", "二·第四幕·2", "position 6: P(<eos>) = 18.5%", Illustration(0.185, _last_label, (no_more_than_one,), 3), at="384: 6 18.5; 382: 2", stages=("weather", "probabilities"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.label-probabilities", "二·第四幕·3", "the probabilities of the labels of positions 1 to 6", Illustration(w.LABEL_PROBABILITIES[1:], _labels_row, (), 3), "all six in one run", at="394; 395; 396; 397; 398; 399", stages=("weather", "probabilities"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.together", "二·第三、四幕", "one model with the self row, the cross row, logits[0] and six label probabilities at once", Illustration((*w.SELF_WEIGHTS_1[:2], *w.CROSS_WEIGHTS_1, *w.LOGITS_0, *w.LABEL_PROBABILITIES[1:]), _together, (), 3), "H_enc, P[0] and Loss_0 are the ones that stay out", stages=("weather", f"{SELF}.weights", f"{CROSS}.weights", "logits", "probabilities"), trace=lambda: _illustrated(w.CROSS_WEIGHTS_1, w.LOGITS_0)),
    Row("003.labels-again", "二·第四幕·3", "Labels", Same(LABELS, lambda: trace("weather")["labels"][0]), at="390", stages=("weather", "labels")),
    Row("003.losses", "二·第四幕·3", "the seven losses from the seven stated probabilities", Figures(LOSSES, lambda: -np.log(w.LABEL_PROBABILITIES)), "", at="393; 394; 395; 396; 397; 398; 399", stages=("weather", "loss.per_token")),
    Row("003.loss-indices", "二·第四幕·3", "the probabilities taken are P[t, label]", Same(((0, 3), (1, 4), (2, 4), (3, 5), (4, 6), (5, 7), (6, 2)), lambda: tuple(enumerate(trace("weather")["labels"][0].tolist())))),
    Row("003.loss-0-from-logits", "二·第四幕·3", "Loss_0 from the stated logits[0]", Figures(2.03, lambda: -np.log(softmax(w.LOGITS_0)[3])), "the softmax of the stated logits has P(今) = 0.167"),
    Row("003.loss-mean", "二·第四幕·3", "the mean of the seven stated losses", Figures(1.86, lambda: np.mean(LOSSES)), "13.04 / 7 = 1.863", at="402; 403", stages=("weather", "loss")),
    Row("003.loss-mean-exact", "二·第四幕·3", "the mean from the probabilities, not rounded in between", Figures(1.86, lambda: -np.log(w.LABEL_PROBABILITIES).mean())),
    Row("003.loss-mean-from-logits", "二·第四幕·3", "the mean with Loss_0 from the stated logits", Figures(1.86, _losses_from_logits), "one wrong softmax moves the mean"),
    Row("003.loss-name", "二·第四幕·3", "the mean is called Total_Loss (000's loss is the sum): sum of the seven", Figures(1.86, lambda: sum(LOSSES)), "a mean, in spite of its name; 000 sums"),
    Row("003.cross-entropy", "二·第四幕·3", "cross-entropy measures how far P is from the one-hot truth", Claim(True, _divergence), stages=("weather", "probabilities", "loss.per_token")),
    Row("003.loss-uniform", "二·第四幕·3", "a larger probability has a smaller loss (0 at probability 1)", Same((0.0, 1.0), lambda: tuple(abs(x) for x in _perfect())), "ln 10 = 2.30 is the loss of a guess among ten: 1.86 is a model that has hardly learnt"),
    Row("003.gradient-order", "二·第五幕", "the gradient flows from H_dec through FFN, cross-attention, self-attention to X_dec", Same(("decoder.output", "decoder.1.feed_forward.output", "decoder.1.cross_attention.output", "decoder.1.self_attention.output", "decoder.input"), _flow), "and so on through layer 0", at="427", stages=("weather", "decoder.output", "decoder.input")),
    Row("003.cross-gradients", "二·第五幕", "cross-attention's gradient updates W_Q, W_K, W_V", Same(("w_q", "w_k", "w_v"), lambda: _cross_gradients()[:3]), "and W_O, which this part leaves out"),
    Row("003.encoder-learns", "二·第五幕", "the decoder's loss trains the encoder", Claim(True, _encoder_learns), stages=("weather", "encoder.output")),
    Row("003.learning-rate", "二·第五幕", "learning rate 0.001", Given(0.001, "an input of the document"), at="434"),
    Row("003.update", "二·第五幕", "one step W - 0.001 * gradient on every parameter lowers the loss", Claim(True, _one_step)),
    Row("003.many-samples", "二·第五幕", "thousands upon thousands of samples (成千上万)", Given("a large number", "an idiom, no count"), at="441: 一 千 万"),
    Row("003.bos-anchor", "三", "the first word's query looks at <bos> and at itself: keys of position 1", Same((0, 1), lambda: _first_sees(1)), "", at="450; 452; 454: 一; 456", stages=("weather", f"{SELF}.mask")),
    Row("003.bos-starts", "三", "the decoder's first position needs an input, <bos>", Same("<bos>", lambda: trace("weather").tokens["decoder"][0][0])),
    Row("003.eos-collects", "三", "<eos> in the encoder can collect the sentence: tokens that its row looks at", Same(7, lambda: int(trace("weather")["encoder.0.self_attention.mask"][0, 0, 6].sum())), "so can every other row: the encoder has no order of sight", at="458; 460"),
    Row("003.eos-last", "三", "the last position must predict <eos>", Same("<eos>", lambda: trace("weather").tokens["labels"][0][-1]), at="462", stages=("weather", "labels")),
    Row("003.eos-stops", "三", "<eos> is the only thing that lets a model choose its length", Given("<eos>", "a convention of decoding; the maximum length (later in the document) also ends a run, from outside"), at="464: 一"),
    Row("003.pad-rows", "三", "two samples of length 5 and 7, padded to 7 and 7", Same(([["今", "天", "很", "好", "<eos>", "<pad>", "<pad>"], ["明", "天", "会", "下", "雨", "吧", "<eos>"]], [5, 7], [7, 7]), _padded), "明 会 下 雨 吧 are not in the vocabulary of ten that the document gives", at="468; 470; 471; 476; 477", stages=("padding", "encoder.tokens", "encoder.mask")),
    Row("003.pad-vocabulary", "三", "the words of the two samples are in the stated vocabulary: words that are not", Same((), lambda: sorted({t for row in example("padding").tokens["encoder"] for t in row} - set(w.VOCABULARY))), "numtx adds them as ids 10 to 14"),
    Row("003.pad-masked", "三", "padding is masked (-inf) and does not count in the loss", Claim(True, _padding), stages=("padding", "encoder.0.self_attention.weights", "loss.per_token")),
    Row("003.differentiable", "四", "the whole chain can be differentiated: parameters with a gradient", Same(True, lambda: len([n for n in trained("weather").parameters if np.any(trained("weather").grad(f"parameters/{n}"))]) == len(trained("weather").parameters)), "finite differences agree (the tests)", at="491: 一"),
    Row("003.no-cross-in-gpt", "四", "a decoder-only model has no cross-attention: stages of it", Same(0, lambda: sum("cross_attention" in n for n in trace("concatenated")))),
    Row("003.concatenated", "四", "it joins [source, <sep>, target] in one sequence", Same((*w.SENTENCE, "<sep>", *TARGET), lambda: concatenate(w.SENTENCE, TARGET)[0]), at="497", stages=("concatenated", "decoder.tokens", "labels")),
    Row("003.sep-in-gpt", "四", "with a <sep> that section 一 gives GPT among its tokens", Same(True, lambda: "<sep>" in SCHEMES["gpt"].special), "its list for GPT is <|endoftext|> and <PAD>; <SEP> stands under BERT"),
    Row("003.all-causal", "四", "all of it under the causal mask: pairs hidden above the diagonal of 12", Same(66, lambda: int((~trace("concatenated")["decoder.0.self_attention.mask"][0, 0]).sum())), stages=("concatenated", "decoder.0.self_attention.mask")),
    Row("003.reads-as-it-writes", "四", "one sequence cannot 'understand first', the encoder can: a source token's vector takes in later source tokens only there", Claim(True, _cannot_understand_first), "the target's tokens see the whole source in both"),
    Row("003.frame-shift", "四", "teacher forcing gives the right history: decoder input without <bos> is the labels' start", Same(True, lambda: (f := frame("classic", w.SENTENCE, w.SENTENCE)).decoder[1:] == f.labels[:-1])),
]  # fmt: skip
