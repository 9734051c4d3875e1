"""Document 004: 你 是 一 只 猫."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.loss import IGNORED
from ...shapes import Array
from ...trace.trace import Trace
from .. import cat as c
from ..weather import LABEL_PROBABILITIES
from . import counts, witnesses
from .rows import Row
from .runs import encoder, example, moved, output, shape, softmax, tokens, trace, with_tokens
from .theorems import on_a_plane
from .verdicts import Claim, Figures, Given, Illustration, Same

SELF = "decoder.0.self_attention"
WORDS = c.WORDS

# Gain and bias of a last LayerNorm under which rows on its sphere round to H (`search_norm`). The rest of the witness is linear algebra.
SEED = 2
GAIN = (2.051592, -1.647959, 0.932563, 0.946373)
BIAS = (1.026447, 1.075312, -0.295266, 1.989195)


def _hidden_run(stated: Array) -> Trace:
    """cat with a last feed-forward layer that sends each row where the norm makes it H."""
    made, gain, bias = example("cat"), np.array(GAIN), np.array(BIAS)
    p = witnesses.write_output(
        made, made.parameters, "decoder", (stated - bias) / gain, gain=gain, bias=bias
    )
    return witnesses.run(made, p)


def _hidden(stated: Array) -> Any:
    return _hidden_run(stated)["decoder.output"][0]


def _pairs() -> list[list[str]]:
    """What the run reads and predicts at each position."""
    made = example("cat")
    ids, labels = list(made.batch.ids[0]), list(made.batch.labels[0])
    vocabulary = made.vocabulary
    assert vocabulary is not None
    return [
        [" ".join(vocabulary.decode(ids[: i + 1])), vocabulary.token(label)]
        for i, label in enumerate(labels) if label != IGNORED
    ]  # fmt: skip


def _next_of(words: str) -> str:
    return dict(_pairs())[words]


def _counted() -> int:
    return int((trace("cat")["labels"] != IGNORED).sum())


def _factors() -> tuple[int, str]:
    return _counted(), "P(你 | nothing) has no input to come from: there is no start token"


def _encoder_leaks() -> tuple[bool, str]:
    """An encoder without mask: does the first position see the word that it should predict?"""
    config, p = encoder("sinusoidal")
    ids = [1, 2, 3, 4, 5]
    other = [1, 3, 3, 4, 5]
    full = moved(output(config, p, ids), output(config, p, other))[0]
    causal = moved(
        trace("cat")["logits"], with_tokens("cat", "decoder", [0, 2, 2, 3, 4])["logits"]
    )[0]
    return (
        not full,
        f"replacing the second word moves the first row of an encoder ({'yes' if full else 'no'}), of a causal decoder ({'yes' if causal else 'no'})",
    )


def _softmax_head() -> tuple[bool, str]:
    run = trace("cat")
    p = run.parameters
    shares = softmax(run["decoder.output"][0] @ p["output.w"] + p["output.b"])
    far = float(np.abs(shares - run["probabilities"][0]).max())
    return far < 1e-12, f"largest difference {far:.1g}"


def _index_of_h() -> tuple[int, str]:
    """Which row of H gives P(w_3 | w_1, w_2)."""
    ids, labels = list(example("cat").batch.ids[0]), list(example("cat").batch.labels[0])
    return (
        labels.index(ids[2]) + 1,
        "row i has read w_i: it gives P(w_(i+1) | w_1 .. w_i); the formula pairs h_i with w_i, which h_i has seen",
    )


def _mean() -> tuple[bool, str]:
    run = trace("cat")
    losses = run["loss.per_token"][0]
    return (
        bool(np.isclose(run["loss"], losses.sum() / 4)),
        f"sum {losses.sum():.4f}, over 4 predictions {losses.sum() / 4:.4f}, over n = 5 {losses.sum() / 5:.4f}",
    )


def _per_step(cached: bool) -> int:
    """The power of n with which the attention of step n grows."""
    return counts.degree(lambda n: counts.attention(1 if cached else n, n, 512))


def _whole_step() -> tuple[tuple[float, float], str]:
    plain = round(counts.growth(lambda n: counts.step(n, 512, False), 64), 1)
    cached = round(counts.growth(lambda n: counts.step(n, 512, True), 64), 1)
    return (
        (plain, cached),
        f"from 64 to 128 tokens at width 512 a step without cache costs {plain} times as much, with cache {cached} times: the projections lead at such lengths",
    )


def _masked_predictions() -> tuple[bool, str]:
    made = example("masked")
    ids, labels = np.asarray(made.batch.ids), np.asarray(made.batch.labels)
    right = np.where(labels == IGNORED, ids, labels)
    return bool(
        (right == np.arange(5)).all()
    ), f"{int((labels != IGNORED).sum())} words hidden and predicted, from both sides"


def _matters() -> tuple[list[bool], str]:
    """Do 你 and 是 matter for the prediction after 你 是 一?"""
    ids = tokens("cat", "decoder")[:3]
    base = with_tokens("cat", "decoder", ids)["logits"]
    found = []
    for place in (0, 1):
        other = [*ids]
        other[place] = 4
        found.append(moved(base, with_tokens("cat", "decoder", other)["logits"])[2])
    return found, "each replaced by 猫; both weights are above 0"


ROWS = [
    Row("004.factorised", "1.1", "P(w_1..w_n) is a product of n conditional probabilities, i = 1..n: factors of 你 是 一 只 猫", Claim(5, _factors), "the table of the next section has four rows: n - 1", at="8"),
    Row("004.masked-model", "1.1", "an autoencoding model predicts the hidden words", Claim(True, _masked_predictions), "", stages=("masked", "encoder.tokens", "labels")),
    Row("004.sentence", "1.2", "the sentence", Given(("你", "是", "一", "只", "猫"), "an input of the document", lambda: WORDS), at="13: 一; 28: 一", stages=("cat", "decoder.tokens")),
    Row("004.table", "1.2", "inputs and targets", Same([["你", "是"], ["你 是", "一"], ["你 是 一", "只"], ["你 是 一 只", "猫"]], _pairs), "", at="18; 19; 20", stages=("cat", "decoder.tokens", "labels")),
    Row("004.width", "1.3.1", "width 4", Given(4, "an input of the document", lambda: example("cat").config.width), at="28: 4"),
    Row("004.embedding", "1.3.1", "E", Figures(((1, 0, 1, 0), (0, 1, 1, 0), (1, 1, 0, 1), (0, 1, 0, 1), (1, 0, 0, 1)), lambda: trace("cat")["decoder.embedding"][0], 0), "an input of the document, looked up by the run", at="35; 41; 42; 43; 44; 45", stages=("cat", "decoder.embedding")),
    Row("004.positions", "1.3.1", "P", Figures(((0.1, 0.2, 0.3, 0.4), (0.2, 0.3, 0.4, 0.5), (0.3, 0.4, 0.5, 0.6), (0.4, 0.5, 0.6, 0.7), (0.5, 0.6, 0.7, 0.8)), lambda: 0.1 * (np.arange(5)[:, None] + np.arange(4) + 1), 1), "0.1 * (row + column + 1), rows and columns from 0: neither sine nor learnt", at="54; 55; 56; 57; 58", stages=("cat", "decoder.positions")),
    Row("004.sum", "1.3.1", "X = E + P", Figures(((1.1, 0.2, 1.3, 0.4), (0.2, 1.3, 1.4, 0.5), (1.3, 1.4, 0.5, 1.6), (0.4, 1.5, 0.6, 1.7), (1.5, 0.6, 0.7, 1.8)), lambda: trace("cat")["decoder.input"][0], 1), "exactly, all twenty entries", at="67; 68; 69; 70; 71", stages=("cat", "decoder.embedding", "decoder.positions", "decoder.input")),
    Row("004.shape", "1.3.1", "five tokens of width 4", Same((5, 4), lambda: shape("cat", "decoder.input"))),
    Row("004.encoder", "1.3.2", "a Transformer encoder (编码器) does it: its first row does not see the word to be predicted", Claim(True, _encoder_leaks), "autoregressive modelling needs the causal mask: this is a decoder without cross-attention"),
    Row("004.predicts-yi", "1.3.2", "the input 你 是 一 helps to predict 一", Same("一", lambda: _next_of("你 是 一")), "一 is in the input; the document's own table and its part 2 say 只", at="80: 一 一", stages=("cat", "decoder.tokens", "labels")),
    Row("004.importance", "1.3.2", "attention takes 你 and 是 into account: the prediction moves with each", Claim((True, True), _matters), "", stages=("cat", f"{SELF}.weights")),
    Row("004.hidden", "1.3.3", "H, as rows that leave a LayerNorm", Illustration(c.HIDDEN, _hidden, (on_a_plane,), 1), "gain and bias found by search, the rest by linear algebra; the document names no norm", at="92; 93; 94; 95; 96", stages=("cat", "decoder.output"), trace=lambda: _hidden_run(np.array(c.HIDDEN))),
    Row("004.hidden-shape", "1.3.3", "H has a row for each token, of width 4", Same((5, 4), lambda: shape("cat", "decoder.output")), stages=("cat", "decoder.output")),
    Row("004.head", "1.3.3", "P = softmax(h_i·W_O + b_O)", Claim(True, _softmax_head), "W_O is the name of attention's output projection elsewhere; W_vocab in 003", stages=("cat", "logits", "probabilities")),
    Row("004.head-index", "1.3.3", "h_i gives P(w_i | w_1..w_(i-1)): the row that gives P(w_3 | w_1, w_2)", Claim(3, _index_of_h), "", at="103"),
    Row("004.head-shapes", "1.3.3", "W_O and b_O map width 4 to the vocabulary (five words)", Same(((4, 5), (5,)), lambda: (trace("cat").parameters["output.w"].shape, trace("cat").parameters["output.b"].shape))),
    Row("004.loss-terms", "1.3.4", "the loss sums over i = 1..n (n = 5): terms that have a prediction", Same(5, _counted), "four, as in the table", at="112", stages=("cat", "loss.per_token")),
    Row("004.loss-mean", "1.3.4", "the loss is a mean (1/n)", Claim(True, _mean), "over the predictions that there are; 000's loss is a sum, 003's a mean named Total_Loss", stages=("cat", "loss.per_token", "loss")),
    Row("004.loss-like-003", "1.3.4", "with the same formula 003's seven probabilities give its 1.86", Figures(1.86, lambda: -np.log(LABEL_PROBABILITIES).mean())),
    Row("004.predict-next", "2", "input 你 是 一, next word 只", Same("只", lambda: _next_of("你 是 一")), at="123; 127"),
    Row("004.append", "2", "只 is appended, then 猫 follows", Same("猫", lambda: _next_of("你 是 一 只"))),
    Row("004.stop-at-cat", "2", "generation ends at 猫 or a stop condition: tokens of the vocabulary that end a sentence", Same(0, lambda: sum(t in ("<eos>", "<EOS>", "</s>") for t in example("cat").vocabulary.tokens)), "the document has no end token; after 猫 nothing is defined"),  # type: ignore[union-attr]
    Row("004.cache-order", "2", "only the current token's K and V are stored anew: keys of the prompt of three at once, then one", Same((3, 4), lambda: tuple(with_tokens("cat", "decoder", tokens("cat", "decoder")[:n])[f"{SELF}.keys"].shape[2] for n in (3, 4)))),
    Row("004.cost", "2", "each step falls from O(n^2) to O(n): powers of n of its attention", Same((2, 1), lambda: (_per_step(False), _per_step(True))), "", at="134"),
    Row("004.cost-whole", "2", "a whole step at usual lengths, from n to 2n: 4 times without, 2 times with a cache", Claim((4.0, 2.0), _whole_step), "n·d^2 falls to d^2 as well; O(n^2) and O(n) speak of very long texts"),
    Row("004.training-predicts-one", "3", "training computes 你 是 一 只 -> 猫 in one go: predictions", Same(1, _counted), "all four at once, as the same section says two lines before", at="149: 一; 150: 一 一"),
    Row("004.training-predicts-all", "3", "training predicts all words in one go", Same(4, _counted), stages=("cat", "labels")),
    Row("004.inference-steps", "3", "inference: four inputs and outputs", Same([["你", "是"], ["你 是", "一"], ["你 是 一", "只"], ["你 是 一 只", "猫"]], _pairs), "", at="153; 154; 155", stages=("cat", "decoder.tokens", "labels")),
    Row("004.core", "3", "multi-head attention: heads of cat, and the cache as the key to long texts", Given("multi-head", "a summary; cat runs with two heads (the document says several)")),
]  # fmt: skip
