"""Document 003, the part on training: special tokens, sequences, and the encoder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...batch import Batch
from ...ops.norm import norm_forward
from ...ops.positions import sinusoidal
from ...sequences import SCHEMES, frame
from ...shapes import Array
from ...trace.trace import record
from .. import weather as w
from .rows import Row
from .runs import encoder, example, output, shape, tokens, trace, with_tokens
from .theorems import on_a_plane, rank_at_most
from .verdicts import Claim, Figures, Given, Illustration, Same, rounding_of

SELF = "encoder.0.self_attention"
NAMES = (*w.SENTENCE, "<eos>")


def _special(scheme: str) -> str:
    return f"{' '.join(SCHEMES[scheme].special)}; {SCHEMES[scheme].real}"


def _listed(scheme: str) -> Any:
    return lambda: [token for token in LISTED[scheme] if token in SCHEMES[scheme].special]


LISTED = {
    "bert": ("<CLS>", "<SEP>", "<PAD>", "<MASK>"),
    "gpt": ("<|endoftext|>", "<PAD>"),
    "t5": ("<pad>", "<eos>", "<unk>"),
    "bart": ("<s>", "</s>", "<pad>"),
    "mbart": ("<s>", "</s>", "<pad>"),
    "mt5": ("<s>", "</s>", "<pad>"),
}


def _table() -> Any:
    return trace("weather")["encoder.positions"][0]


def _bases() -> Array:
    """The bases (1 to 20,000, in steps of 0.1 below 200) with which no entry is off."""
    places = np.arange(7)[None]
    tried = [*np.arange(10, 2000) / 10, *range(200, 20001, 100)]
    stated = np.array(w.POSITIONS)

    def fits(base: float) -> bool:
        made = sinusoidal(places, 4, base, "float64")[0]
        return all(
            rounding_of(s, c, 2) != "off" for s, c in zip(stated.flat, made.flat, strict=True)
        )

    return np.array([base for base in tried if fits(base)])


def _base() -> tuple[bool, str]:
    found = _bases()
    return (
        bool(np.any(found == 10000)),
        f"bases {found.min():g} to {found.max():g} fit; 100 among them: sin(1/10) = 0.10 where 10000 gives sin(1/100) = 0.01",
    )


@lru_cache(maxsize=1)
def _input() -> Any:
    """X = E + PE from the numbers as printed."""
    return np.array([w.EMBEDDING[name] for name in NAMES]) + np.array(w.POSITIONS)


def _gram() -> Any:
    x = _input()
    return x @ x.T / 2.0


def _twins() -> tuple[bool, str]:
    scores = trace("weather")[f"{SELF}.scores"][0, 0]
    far = float(np.abs(scores[1] - scores[2]).max())
    return far < 0.005, f"positions 1 and 2 differ, so the rows differ by up to {far:.2f}"


def _twins_without_positions() -> tuple[bool, str]:
    config, p = encoder(None)
    rows = output(config, p, [3, 4, 4, 5])
    return bool(
        np.allclose(rows[1], rows[2], rtol=0, atol=1e-12)
    ), "without positions equal tokens stay equal through every layer"


def _twins_meet_table() -> tuple[bool, str]:
    """With W = I the table says |x1 - x2|^2 = 2(s11 - 2 s12 + s22)."""
    s = np.array(w.SCORES)
    squared = 2.0 * (s[1, 1] - 2 * s[1, 2] + s[2, 2]) + 2 * 4 * 0.005
    x = _input()
    apart = float(((x[1] - x[2]) ** 2).sum())
    return apart <= squared, f"|x1 - x2|^2 is {apart:.2f}; the table leaves {squared:.2f} at most"


def _invariant() -> tuple[bool, str]:
    config, p = encoder(None)
    ids = [1, 2, 3, 4]
    before, after = output(config, p, ids), output(config, p, ids[::-1])
    same = bool(np.allclose(before, after, rtol=0, atol=1e-9))
    permuted = bool(np.allclose(before[::-1], after, rtol=0, atol=1e-9))
    return (
        same,
        f"permuting the tokens permutes the rows of the output ({'yes' if permuted else 'no'}): it is equivariant; a sum or mean over the rows is what does not change",
    )


def _linear() -> tuple[bool, str]:
    """f(x) of the attention alone, in a model without residual or norm, at x and at 2x."""
    config, p = encoder(None, norm=None, residual_at=False, biases=False)
    once = record(config, p, Batch([[1, 2, 3]]), gradients=False)
    p2 = {**p, "encoder.embedding": 2 * p["encoder.embedding"]}
    twice = record(config, p2, Batch([[1, 2, 3]]), gradients=False)
    far = float(np.abs(twice[f"{SELF}.output"] - 2 * once[f"{SELF}.output"]).max())
    return (
        far < 1e-9,
        f"f(2x) differs from 2 f(x) by {far:.2g}: the weights depend on x through a softmax; only for fixed weights is it linear in V",
    )


def _normalised() -> tuple[tuple[float, float], str]:
    x = trace("weather")[f"{SELF}.residual"]
    y, _ = norm_forward(x, np.ones(4), np.zeros(4), 1e-5, True)
    return (
        round(float(y.mean(-1).max()), 4) + 0.0,
        round(float(y.var(-1).min()), 3),
    ), "of each token, over its 4 numbers (not over a sample); before gain and bias"


def _per_position() -> tuple[bool, str]:
    """The feed-forward network on all rows, and on each row by itself."""
    run = trace("weather")
    p = run.parameters
    place = "encoder.0.feed_forward"
    rows = run[f"{SELF}.norm"][0]
    one_by_one = np.vstack([
        np.maximum(row @ p[f"{place}.w_in"] + p[f"{place}.b_in"], 0) @ p[f"{place}.w_out"]
        + p[f"{place}.b_out"]
        for row in rows
    ])  # fmt: skip
    far = float(np.abs(one_by_one - run[f"{place}.output"][0]).max())
    return far < 1e-12, f"row by row the same, largest difference {far:.1g}"


def _product_order() -> tuple[bool, str]:
    try:
        np.ones((4, 16)) @ np.ones(4)
    except ValueError:
        return (
            False,
            "W1·x with W1 [4,16] and x of 4 does not conform; x·W1 does (row vectors, as numtx writes)",
        )
    return True, ""


def _sees_all() -> tuple[bool, str]:
    mask = trace("weather")[f"{SELF}.mask"]
    return bool(mask.all()), f"{int(mask.sum())} of {mask.size} pairs"


def _mixes() -> list[int]:
    """Positions of the encoder's output that move when the fourth token is another one."""
    ids = tokens("weather", "encoder")
    ids = [*ids[:3], 8, *ids[4:]]
    before = trace("weather")["encoder.output"][0]
    after = with_tokens("weather", "encoder", ids)["encoder.output"][0]
    return np.flatnonzero((before != after).any(1)).tolist()


def _encoded(line: str) -> list[int]:
    framed = frame("classic", w.SENTENCE, w.SENTENCE)
    return example("weather").vocabularies["decoder"].encode(getattr(framed, line))


def _embedding_again() -> tuple[list[str], str]:
    same = [
        name
        for name, row, place in zip(NAMES, w.ENCODER_OUTPUT, range(7), strict=True)
        if row == w.EMBEDDING[name] and place != 2
    ]
    return (
        same,
        "the 'deep representation' of five of seven tokens is their embedding, digit for digit",
    )


def _straight_through() -> tuple[bool, str]:
    """The largest gradient at the input of twelve layers, with and without residuals."""
    sizes = []
    for residual in (True, False):
        config, p = encoder("sinusoidal", encoder_layers=12, norm=None, residual_at=residual)
        run = record(config, p, Batch([[1, 2, 3, 4]], labels=[[2, 3, 4, 5]]))
        sizes.append(float(np.abs(run.grad("encoder.input")).max()))
    return (
        sizes[0] > 100 * sizes[1],
        f"12 layers without norm: the gradient at the input reaches {sizes[0]:.2g} with residuals, {sizes[1]:.2g} without",
    )


ROWS = [
    *(Row(f"003.tokens-{name}", "一", f"special tokens of {title}; which of them the models have", Given(LISTED[name], "the models' published vocabularies: " + _special(name)), at=at)
      for name, title, at in (("bert", "BERT", ""), ("gpt", "GPT", ""), ("t5", "T5", "33: 5; 38: 5"), ("bart", "BART", ""), ("mbart", "mBART", ""), ("mt5", "mT5", "41: 5"))),
    Row("003.tokens-own", "一", "the example's own three tokens", Same(("<bos>", "<eos>", "<pad>"), lambda: sorted(SCHEMES["classic"].special))),
    Row("003.sentence", "二·第一幕", "source and target are 今天天气很好", Given(tuple("今天天气很好"), "an input of the document", lambda: w.SENTENCE)),
    Row("003.split", "二·第一幕", "split into characters: how many", Same(6, lambda: len(w.SENTENCE))),
    Row("003.encoder-line", "二·第一幕", "encoder input: source and <eos>, of length 7", Same(((*w.SENTENCE, "<eos>"), 7), lambda: ((f := frame("classic", w.SENTENCE, w.SENTENCE)).encoder, len(f.encoder))), at="83", stages=("weather", "encoder.tokens")),
    Row("003.decoder-line", "二·第一幕", "decoder input: <bos> and target, of length 7", Same((("<bos>", *w.SENTENCE), 7), lambda: ((f := frame("classic", w.SENTENCE, w.SENTENCE)).decoder, len(f.decoder))), at="91", stages=("weather", "decoder.tokens")),
    Row("003.label-line", "二·第一幕", "labels: target and <eos>, of length 7", Same(((*w.SENTENCE, "<eos>"), 7), lambda: ((f := frame("classic", w.SENTENCE, w.SENTENCE)).labels, len(f.labels))), at="99", stages=("weather", "labels")),
    Row("003.vocabulary", "二·第一幕", "the vocabulary of 10, ids 0 to 9", Given(("<pad>", "<bos>", "<eos>", "今", "天", "气", "很", "好", "的", "是"), "an input of the document", lambda: w.VOCABULARY), at="106; 109; 110; 111; 112; 113; 114; 115; 116; 117; 118"),
    Row("003.encoder-ids", "二·第一幕", "encoder ids", Same((3, 4, 4, 5, 6, 7, 2), lambda: _encoded("encoder")), at="124", stages=("weather", "encoder.tokens")),
    Row("003.decoder-ids", "二·第一幕", "decoder ids", Same((1, 3, 4, 4, 5, 6, 7), lambda: _encoded("decoder")), at="125; 262", stages=("weather", "decoder.tokens")),
    Row("003.label-ids", "二·第一幕", "label ids", Same((3, 4, 4, 5, 6, 7, 2), lambda: _encoded("labels")), at="126", stages=("weather", "labels")),
    Row("003.shifted", "二·第一幕", "decoder input and labels are shifted by one", Same((3, 4, 4, 5, 6, 7), lambda: _encoded("decoder")[1:]), "the labels without their last"),
    Row("003.embedding-shape", "二·第二幕·1", "d_model = 4, W_emb is 10 x 4", Same((10, 4), lambda: trace("weather").parameters["embedding"].shape), at="137; 138"),
    Row("003.embedding", "二·第二幕·1", "the rows of seven tokens", Figures(((0.8, 0.1, 0.3, 0.2), (0.2, 0.9, 0.1, 0.4), (0.2, 0.9, 0.1, 0.4), (0.1, 0.2, 0.9, 0.1), (0.4, 0.3, 0.2, 0.8), (0.5, 0.4, 0.1, 0.6), (0.3, 0.5, 0.6, 0.4)), lambda: trace("weather")["encoder.embedding"][0], 1), "an input of the document, looked up by the run", at="141; 142; 143; 144; 145; 146; 147", stages=("weather", "encoder.embedding")),
    Row("003.same-embedding", "二·第二幕·1", "the two 天 have the same embedding", Claim(True, lambda: (bool(np.array_equal(*trace("weather")["encoder.embedding"][0, 1:3])), "one row of the table, looked up twice"))),
    Row("003.input-shape", "二·第二幕·1", "X_enc^(0) is 7 x 4", Same((7, 4), lambda: shape("weather", "encoder.input")), at="149"),
    Row("003.position-shape", "二·第二幕·2", "PE is 7 x 4", Same((7, 4), lambda: shape("weather", "encoder.positions")), at="157"),
    Row("003.positions", "二·第二幕·2", "the position table", Figures(w.POSITIONS, _table), "sine and cosine of pos and of pos/10, which is base 100", at="159; 160; 161; 162; 163; 164; 165", stages=("weather", "encoder.positions")),
    Row("003.position-base", "二·第二幕·2", "a table of sines (its base is not named), by the usual formula: base 10000 gives it", Claim(True, _base), "10000 is the base of Vaswani et al., 2017", stages=("weather", "encoder.positions")),
    Row("003.position-base-100", "二·第二幕·2", "the table is one of sines and cosines (正弦波函数) of some base", Claim(True, lambda: (len(_bases()) > 0, f"bases {_bases().min():g} to {_bases().max():g} give every entry, two of them cut")), "numtx runs with 100"),
    Row("003.position-add", "二·第二幕·2", "X = X + PE, element by element", Claim(True, lambda: (bool(np.array_equal(trace("weather")["encoder.input"], trace("weather")["encoder.embedding"] + trace("weather")["encoder.positions"])), "no factor on the embedding (the paper multiplies it by sqrt(d_model))")), at="168", stages=("weather", "encoder.input")),
    Row("003.invariant", "二·第二幕·2", "self-attention is permutation-invariant (置换不变)", Claim(True, _invariant)),
    Row("003.sine", "二·第二幕·2", "positions get different sine marks: different rows of 7", Same(7, lambda: len(np.unique(_table().round(2), axis=0)))),
    Row("003.no-encoder-mask", "二·第二幕·3", "the encoder's attention has no mask; every token sees every other", Claim(True, _sees_all), "", at="173: 1; 175: 一", stages=("weather", f"{SELF}.mask")),
    Row("003.identity", "二·第二幕·3", "W_Q = W_K = W_V = I of size 4", Given(np.eye(4), "an input of the document", lambda: trace("weather").parameters[f"{SELF}.w_q"]), at="178"),
    Row("003.queries", "二·第二幕·3", "Q = X, [7,4]", Same((True, (7, 4)), lambda: (np.array_equal(trace("weather")[f"{SELF}.queries"][0, 0], trace("weather")["encoder.input"][0]), shape("weather", f"{SELF}.queries"))), at="181", stages=("weather", f"{SELF}.queries")),
    Row("003.keys", "二·第二幕·3", "K = X, [7,4]", Same((True, (7, 4)), lambda: (np.array_equal(trace("weather")[f"{SELF}.keys"][0, 0], trace("weather")["encoder.input"][0]), shape("weather", f"{SELF}.keys"))), at="182"),
    Row("003.values", "二·第二幕·3", "V = X, [7,4]", Same((True, (7, 4)), lambda: (np.array_equal(trace("weather")[f"{SELF}.values"][0, 0], trace("weather")["encoder.input"][0]), shape("weather", f"{SELF}.values"))), at="183"),
    Row("003.scores-shape", "二·第二幕·3", "Scores = Q·K^T / sqrt(4), [7,7]", Same(((7, 7), 0.5), lambda: (shape("weather", f"{SELF}.scores"), example("weather").config.scale)), at="186"),
    Row("003.scores", "二·第二幕·3", "the table of scores, from X = E + PE with W = I", Figures(w.SCORES, _gram), "the stated inputs give quite another table", at="192; 193; 194; 195; 196; 197; 198", stages=("weather", f"{SELF}.scores")),
    Row("003.scores-embedding", "二·第二幕·3", "the same table, from E alone", Figures(w.SCORES, lambda: (e := np.array([w.EMBEDDING[n] for n in NAMES])) @ e.T / 2), "it is not a table without positions either"),
    Row("003.scores-rank", "二·第二幕·3", "the same table, for any X, W_Q and W_K of width 4", Illustration(w.SCORES, None, (rank_at_most(4),)), "no model of the stated shape has these scores"),
    Row("003.scores-symmetric", "二·第二幕·3", "the table is symmetric, as X·X^T is: rank below 7 alone would not need it", Claim(True, lambda: (bool(np.array_equal(np.array(w.SCORES), np.array(w.SCORES).T)), "S = X·X^T / 2 is its own transpose"))),
    Row("003.scores-twins", "二·第二幕·3", "the rows of the two 天 are exactly equal (两个天完全一样)", Claim(True, _twins), "with position encodings they are two different inputs", at="194", stages=("weather", "encoder.input", f"{SELF}.scores")),
    Row("003.scores-twins-table", "二·第二幕·3", "equal rows fit the stated positions (W = I)", Claim(True, _twins_meet_table), "with W = I equal rows of scores mean equal rows of X"),
    Row("003.twins-without-positions", "二·第二幕·3", "(what would make it so) without positions two equal tokens have equal rows", Claim(True, _twins_without_positions), "but then H_enc could not give 天 two different rows, as it does"),
    Row("003.attention-shape", "二·第二幕·3", "weights are [7,7]", Same((7, 7), lambda: shape("weather", f"{SELF}.weights")), at="201", stages=("weather", f"{SELF}.weights")),
    Row("003.attention-output", "二·第二幕·3", "Output = weights·V, [7,4]", Same((7, 4), lambda: shape("weather", f"{SELF}.output")), at="204", stages=("weather", f"{SELF}.output")),
    Row("003.mixes", "二·第二幕·3", "each word takes in the whole sentence: positions that move when 气 is replaced", Same((0, 1, 2, 3, 4, 5, 6), _mixes)),
    Row("003.residual", "二·第二幕·4", "X_residual = X + Output", Claim(True, lambda: (bool(np.array_equal(trace("weather")[f"{SELF}.residual"], trace("weather")["encoder.input"] + trace("weather")[f"{SELF}.output"])), "")), at="212", stages=("weather", f"{SELF}.residual")),
    Row("003.residual-gradient", "二·第二幕·4", "residual connections keep gradients of deep networks from vanishing", Claim(True, _straight_through)),
    Row("003.layer-norm", "二·第二幕·4", "LayerNorm makes mean 0 and variance 1", Claim((0.0, 1.0), _normalised), "", at="214; 215", stages=("weather", f"{SELF}.norm")),
    Row("003.ffn-formula", "二·第二幕·5", "FFN(x) = W2·ReLU(W1·x + b1) + b2 with W1 [4,16], W2 [16,4]", Claim(True, _product_order), "formula and shapes follow two conventions", at="222: 两; 223; 225: 1 4 16 2 16 4"),
    Row("003.ffn-shapes", "二·第二幕·5", "W1 is [4,16], W2 is [16,4]", Same(((4, 16), (16, 4)), lambda: tuple(trace("weather").parameters[f"encoder.0.feed_forward.{n}"].shape for n in ("w_in", "w_out"))), at="225; 234", stages=("weather", "encoder.0.feed_forward.hidden")),
    Row("003.ffn-output", "二·第二幕·5", "FFN(X^(1)) is [7,4]; then Add & Norm again", Same(((7, 4), ("residual", "norm")), lambda: (shape("weather", "encoder.0.feed_forward.output"), tuple(n.split(".")[-1] for n in trace("weather") if n.startswith("encoder.0.feed_forward."))[-2:])), at="228; 231"),
    Row("003.ffn-per-position", "二·第二幕·5", "the network works on every position by itself", Claim(True, _per_position)),
    Row("003.attention-linear", "二·第二幕·5", "self-attention is linear (但是线性的)", Claim(True, _linear)),
    Row("003.six-layers", "二·第二幕·6", "real Transformers stack several layers, such as 6", Given(6, "Vaswani et al., 2017: 6 and 6"), at="238: 6"),
    Row("003.two-layers", "二·第二幕·6", "here 2 layers", Given(2, "an input of the document", lambda: example("weather").config.encoder_layers), at="238: 2; 240"),
    Row("003.encoder-output-shape", "二·第二幕·6", "H_enc is [7,4]", Same((7, 4), lambda: shape("weather", "encoder.output")), at="241; 254", stages=("weather", "encoder.output")),
    Row("003.encoder-output", "二·第二幕·6", "the numbers of H_enc, as rows that leave a LayerNorm (any gain, any bias)", Illustration(w.ENCODER_OUTPUT, None, (on_a_plane,), 1), "the same section ends every layer in LayerNorm", at="244; 245; 246; 247; 248; 249; 250; 251", stages=("weather", "encoder.output")),
    Row("003.encoder-output-plain", "二·第二幕·6", "H_enc as rows of mean 0 (LayerNorm as described: mean 0, variance 1): the row sums", Figures((0.0,) * 7, lambda: np.sum(w.ENCODER_OUTPUT, 1), 1), "the means are 0.33 to 0.48"),
    Row("003.encoder-output-is-embedding", "二·第二幕·6", "H_enc is a deep representation that has taken in the sentence: rows equal to the embedding", Claim((), _embedding_again), "今, the first 天, 气, 很 and 好"),
]  # fmt: skip
