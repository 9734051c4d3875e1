"""Document 003, the end: training against inference, the cache, beam search, sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...shapes import Array
from ..story import PROBABILITIES
from ..weather import LOGITS_0
from . import counts, witnesses
from .rows import Row
from .runs import (
    encoder,
    example,
    moved,
    output,
    shape,
    softmax,
    tokens,
    trace,
    trained,
    with_tokens,
)
from .theorems import disjoint, never_rises, no_more_than_one
from .verdicts import Claim, Figures, Given, Illustration, Possible, Same

SELF = "decoder.0.self_attention"
CROSS = "decoder.0.cross_attention"
BEAM_FIRST = {"Today": 0.35, "The": 0.28, "It": 0.15, "Weather": 0.12, "Good": 0.10}
BEAM = {"The weather": -0.5, "Today is": -0.6, "The sky": -0.7, "It is": -0.8, "Today the": -0.9}
SECOND = PROBABILITIES[1]  # after Today
# The probability of each first word, and of each second where it is stated (1 where not), at the
# upper end of their rounding.
STARTS = np.array([BEAM_FIRST[name.split()[0]] for name in BEAM]) + 0.005
SECONDS = np.array([1.0, SECOND["is"] + 0.005, 1.0, 1.0, SECOND["the"] + 0.005])

# A small model of words: the next word depends on the one before. 'The' is less likely than
# 'Today' and leads to the better sentence. (Chosen to show what a search can and cannot do.)
Next = Mapping[str, Mapping[str, float]]
CHAIN: Next = {
    "<bos>": {"Today": 0.4, "It": 0.35, "The": 0.25},
    "Today": {"is": 0.5, "was": 0.5},
    "It": {"is": 0.5, "was": 0.5},
    "The": {"weather": 1.0},
}


def _beam(chain: Next, size: int, steps: int) -> list[list[tuple[tuple[str, ...], float]]]:
    """Plain beam search: the hypotheses kept after each step, with their probabilities."""
    kept: list[tuple[tuple[str, ...], float]] = [((), 1.0)]
    history = []
    for _ in range(steps):
        grown = [
            ((*words, word), p * share)
            for words, p in kept
            for word, share in chain.get(words[-1] if words else "<bos>", {}).items()
        ]
        kept = sorted(grown, key=lambda found: -found[1])[:size]
        history.append(kept)
    return history


def _goes_back() -> tuple[bool, str]:
    """Whether a beam of 2 finds the best sentence although its first word was dropped."""
    history = _beam(CHAIN, 2, 2)
    best = max(_beam(CHAIN, 99, 2)[-1], key=lambda found: found[1])
    found = history[-1][0]
    return (
        found[0] == best[0],
        f"best {' '.join(best[0])} ({best[1]:.2f}); a beam of 2 drops The in step 1 and ends with {' '.join(found[0])} ({found[1]:.2f})",
    )


def _overtakes(stated: bool) -> tuple[bool, str]:
    history = _beam(CHAIN, 3, 2)
    first, last = history[0][0][0][0], history[1][0][0][0]
    return (
        first != last
    ) == stated, f"a beam of 3: first {first} leads, then {' '.join(history[1][0][0])}"


def _greedy_misses(stated: bool) -> tuple[bool, str]:
    greedy, best = _beam(CHAIN, 1, 2)[-1][0], _beam(CHAIN, 99, 2)[-1][0]
    return (
        (greedy[1] < best[1]) == stated,
        f"{' '.join(greedy[0])} {greedy[1]:.2f} against {' '.join(best[0])} {best[1]:.2f}, found by trying all",
    )


def _joint(stated: tuple[float, float]) -> str | None:
    """Whether P(The ...) can exceed P(Today is nice weather), first words as stated."""
    the, today = stated
    return None if the > 0.0 and the + today <= 1.0 else "no such pair of probabilities"


def _joint_witness(stated: tuple[float, float]) -> tuple[bool, str]:
    """The rest of 'The weather is nice today' may have any probability up to 1."""
    the, today = stated
    best = the * 0.9**4
    other = today * SECOND["is"] * PROBABILITIES[2]["nice"]  # and the word weather, at most 1
    return (
        best > other,
        f"with 0.9 for each further word P(The weather is nice today) = {best:.3f}; P(Today is nice weather) <= {other:.3f} from the stated numbers",
    )


def _very(stated: str) -> str | None:
    if stated == "cumulative":
        return "each word multiplies by a probability of at most 1: a cumulative log-probability never rises"
    return None


def _very_witness(stated: str) -> tuple[bool, str]:
    """A conditional probability of 'very' that rises as its own history grows: a run."""
    config, p = encoder("sinusoidal", model="decoder-only")
    for seed_token in range(11):
        run = []
        for n in range(2, 5):
            logits = output(config, p, [seed_token] * n)[-1] @ p["output.w"] + p["output.b"]
            run.append(float(softmax(logits)[seed_token]))
        if run[0] < run[1] < run[2]:
            return True, "P(word | word n times) of a seeded model, n = 2, 3, 4: " + ", ".join(
                f"{x:.3f}" for x in run
            )
    return False, "no token of this model does so"


def _other_list() -> tuple[float, str]:
    return BEAM_FIRST[
        "It"
    ], "greedy's step 1 has It 0.08, and no Good, which at 0.10 would stand before It"


def _keys_depend(what: str) -> tuple[list[int], str]:
    """Layers whose keys at position 2 move when an earlier (or a later) token is another one."""
    ids = tokens("weather", "decoder")
    place = 1 if what == "past" else 4
    other = [*ids[:place], 9, *ids[place + 1 :]]
    changed = with_tokens("weather", "decoder", other)
    layers = [
        n for n in (0, 1)
        if moved(trace("weather")[f"decoder.{n}.self_attention.keys"], changed[f"decoder.{n}.self_attention.keys"])[2]
    ]  # fmt: skip
    return (
        layers,
        f"token {place} replaced, keys of position 2; from layer 1 on a key holds what attention has taken in below",
    )


def _own_content_only() -> tuple[bool, str]:
    layers, why = _keys_depend("past")
    return not layers, why


def _kv_known() -> tuple[int, ...]:
    ids = tokens("story", "decoder")
    return tuple(
        with_tokens("story", "decoder", ids[:n])[f"{SELF}.keys"].shape[2] for n in (1, 2, 3)
    )


def _gpt3() -> tuple[bool, str]:
    """Keys and values of GPT-3's 96 layers at its 2048 tokens, two bytes a number."""
    size = counts.cache_numbers(96, 2048, 12288) * 2 / 1e9
    return (
        2 <= size < 10,
        f"96 layers * 2048 tokens * 2 * 12288 * 2 bytes = {size:.1f} GB; at the paragraph's 100 tokens {counts.cache_numbers(96, 100, 12288) * 2 / 1e9:.2f} GB",
    )


def _beam_cost() -> float:
    """Decoder steps of a beam of 5 over 6 words, against greedy: the first step has one row."""
    return (1 + 5 * 5) / 6


def _entropy(temperature: float) -> float:
    p = softmax(np.array(LOGITS_0) / temperature)
    return float(-(p * np.log(p)).sum())


def _top(k: int) -> Any:
    p = softmax(LOGITS_0)
    keep = np.argsort(-p, kind="stable")[:k]
    kept = np.zeros_like(p)
    kept[keep] = p[keep]
    return kept / kept.sum()


def _nucleus(p: Any, mass: float) -> int:
    ordered = np.sort(np.asarray(p))[::-1]
    return int(np.searchsorted(np.cumsum(ordered) + 1e-12, mass) + 1)


def _penalised() -> bool:
    p, lower = softmax(LOGITS_0), np.array(LOGITS_0) - 0.5 * np.eye(10)
    return bool((softmax(lower).diagonal() < p).all())


def _same_gradients() -> tuple[bool, str]:
    one, other = trained("weather"), example("weather").trace()
    names = list(one.gradients)
    return all(
        np.array_equal(one.grad(n), other.grad(n)) for n in names
    ), f"{len(names)} gradients, bit for bit (no dropout)"


def _error_travels() -> list[bool]:
    ids = tokens("story", "decoder")
    other = [*ids[:3], ids[3] + 1, *ids[4:]]
    return moved(trace("story")["logits"], with_tokens("story", "decoder", other)["logits"])


def _ten_rows() -> tuple[tuple[int, ...], ...]:
    """Shapes with a target of ten, in the model of 10,000 words."""
    ids = [1, *range(3, 12)]
    run = with_tokens("translation", "decoder", ids, layers=6, words=10000)
    return run["decoder.input"].shape[1:], run["logits"].shape[1:]


def _first_words(stated: Array) -> Array:
    """Five first words with these probabilities (W_vocab alone), one run."""
    made = example("translation")
    vocabulary = made.vocabulary
    assert vocabulary is not None
    places = [vocabulary[word] for word in BEAM_FIRST]
    cells = {(0, place): float(p) * 0.997 for place, p in zip(places, stated, strict=True)}
    run = witnesses.run(made, witnesses.read_out(made, made.parameters, cells))
    found: Array = run["probabilities"][0, 0, places]
    return found


def _tenth_query() -> tuple[int, int]:
    """Keys that the tenth token looks at, and those of its own prefix of nine."""
    ids = [1, *range(3, 12)]
    seen = with_tokens("translation", "decoder", ids)[f"{SELF}.mask"][0, 0, 9]
    return int(seen.sum()), with_tokens("translation", "decoder", ids[:9])[f"{SELF}.keys"].shape[2]


def _saved(steps: int) -> tuple[str, str]:
    """Which cache saves more rows of keys over so many steps: 7 each step, or 1 + 2 + ..."""
    cross, own = 7 * (steps - 1), steps * (steps - 1) // 2
    return (
        "cross" if cross > own else "self",
        f"rows of keys a layer over {steps} steps: cross-attention saves {cross}, self-attention {own}; after 14 steps self-attention leads",
    )


def _beam_of_one() -> tuple[bool, str]:
    """A beam of one beside the greedy choice at every step."""
    words: list[str] = []
    for _ in range(2):
        shares = CHAIN[words[-1] if words else "<bos>"]
        words.append(max(shares, key=lambda word: shares[word]))
    found = _beam(CHAIN, 1, 2)[-1][0][0]
    return found == tuple(words), " ".join(found)


ROWS = [
    Row("003.one-word-at-a-time", "开篇", "one word at a time, each fed back: input lengths of three steps", Same((1, 2, 3), _kv_known), at="533: 一 一 一 一 一 一"),
    Row("003.no-way-back", "开篇", "generation cannot be taken back (不可回退): a word chosen in step 1 is in every later input", Same((True, True), lambda: (tokens("story", "decoder")[1] == 3, 3 in tokens("story", "decoder"))), "true of greedy decoding; the section on beam search says the opposite of a beam (003.beam-back)"),
    Row("003.thirty-degrees", "开篇", "turn left by 30 degrees", Given(30, "a comparison with driving; no figure of a model"), at="535: 30"),
    Row("003.ten-losses", "对比·一", "a target of ten: ten losses at once (here weather's seven)", Same(7, lambda: int(trace("weather")["loss.per_token"].size)), "one per position, whatever the length", at="669: 一 一 十 十 一 一 二 一 三 两"),
    Row("003.thousands-of-cores", "对比·一", "thousands of cores of a GPU", Given("thousands", "a fact about hardware, not computed here"), at="669: 千"),
    Row("003.error-travels", "对比·二", "an unfit word 3 affects the later steps: positions that move", Same((False, False, False, True, True, True), _error_travels), at="671: 二 三 四", stages=("story", "logits")),
    Row("003.own-output", "对比·二", "training feeds the right words, inference the model's own: equal where the model is right", Same(True, lambda: [int(i) for i in trace("story")["logits"][0].argmax(-1)[:-1]] == tokens("story", "decoder")[1:]), "the story's greedy words are its decoder input"),
    Row("003.deterministic", "对比·三", "the same input and parameters give the same gradients", Claim(True, _same_gradients), at="673: 三"),
    Row("003.beam-global", "对比·三", "beam search picks the path of globally highest probability", Claim(True, _goes_back), "it is a heuristic: what was dropped may have been best"),
    Row("003.ten-rows", "对比·五", "training: input [10, 4], output [10, 10000]; inference: 1, 2 and 10 rows of 4", Same(((10, 4), (10, 10000)), _ten_rows), at="677: 五 十 四 十 一万 二 一 四 两 四 十 十 四 一 一"),
    Row("003.cache-step-3", "KV Cache", "step 3 computes three queries, keys and values", Same((3, 3, 3), lambda: tuple(with_tokens("story", "decoder", tokens("story", "decoder")[:3])[f"{SELF}.{n}"].shape[2] for n in ("queries", "keys", "values"))), at="684: 三 三 三 三 三 二"),
    Row("003.keys-own-content", "KV Cache", "keys and values depend on their own position and content only (只依赖于自己的位置和内容)", Claim(True, _own_content_only), "true in layer 0 alone", stages=("weather", "decoder.1.self_attention.keys")),
    Row("003.keys-not-future", "KV Cache", "keys do not depend on later tokens: layers that move with one", Claim((), lambda: _keys_depend("future")), "this is what a cache needs, and the causal mask is what gives it"),
    Row("003.cache-grows", "KV Cache", "one key and one value in step 1, then two, then three (of four numbers)", Same(((1, 2, 3), 4), lambda: (_kv_known(), example("story").config.d_k)), at="686: 一 一 一 四 二 一 一 两 三 一 三 一"),
    Row("003.cross-cache", "KV Cache", "cross-attention's keys stay the same in all steps", Claim(True, lambda: (all(np.array_equal(with_tokens("story", "decoder", tokens("story", "decoder")[:n])[f"{CROSS}.keys"], trace("story")[f"{CROSS}.keys"]) for n in (1, 2, 3)), "steps 1, 2 and 3 against 6, bit for bit")), at="688: 一", stages=("story", f"{CROSS}.keys")),
    Row("003.cross-cache-more", "KV Cache", "the cache saves even more in cross-attention (更加显著), over the paragraph's 100 positions", Claim("cross", lambda: _saved(100))),
    Row("003.cross-cache-story", "KV Cache", "the same over the six steps of the story", Claim("cross", lambda: _saved(6))),
    Row("003.tenth-query", "KV Cache", "query 10 meets ten keys, nine of them cached", Same((10, 9), _tenth_query), at="690: 十 十 九 十 十"),
    Row("003.cache-4800", "KV Cache", "6 layers * 100 positions * 2 matrices * 4 numbers", Figures(4800, lambda: counts.cache_numbers(6, 100, 4), 0), "self-attention alone", at="692: 六 100 六 100 两 四 4800"),
    Row("003.cache-whole", "KV Cache", "4800 is all that must be stored (with the cross-attention cache that the section asks for)", Figures(4800, lambda: counts.cache_numbers(6, 100, 4) + counts.cache_numbers(6, 7, 4), 0), "six layers keep keys and values of the seven source tokens as well: 336 more"),
    Row("003.gpt-3", "KV Cache", "at GPT-3's width of 12288 several GB", Claim(True, _gpt3), "96 layers, 2048 tokens: Brown et al., 2020", at="692: 3 12288"),
    Row("003.mqa-gqa", "KV Cache", "MQA, GQA, MLA ease the cache: size with one key/value head of four", Same(0.25, lambda: counts.cache_numbers(6, 100, 4, 1 / 4) / counts.cache_numbers(6, 100, 4))),
    Row("003.greedy-first", "Beam", "Today 0.35 and The 0.28: greedy takes", Same("Today", lambda: max(("Today", "The"), key=lambda x: PROBABILITIES[0][x])), at="700: 一 一 0.35 0.28"),
    Row("003.greedy-misses", "Beam", "greedy can miss the most probable sentence", Possible(True, _greedy_misses)),
    Row("003.joint", "Beam", "P(The weather is nice today) may exceed P(Today is nice weather), with P(The) and P(Today)", Possible((0.28, 0.35), _joint_witness, _joint)),
    Row("003.beam-size", "Beam", "five hypotheses kept", Given(5, "a choice of the document"), at="702: 一 一 五; 706: 二 一 五 十 五"),
    Row("003.beam-first", "Beam", "first words Today 0.35, The 0.28, It 0.15, Weather 0.12, Good 0.10", Illustration(tuple(BEAM_FIRST.values()), _first_words, (no_more_than_one,)), "they sum to 1.00: rounding leaves 0.025 at most for the other 9995 words", at="704: 一 五 0.35 0.28 0.15 0.12 0.10 五 一"),
    Row("003.beam-first-rest", "Beam", "the same five and 0.17 for all other words, as in greedy's list", Illustration((*BEAM_FIRST.values(), 0.17), None, (no_more_than_one,)), "greedy's four words leave 0.17 to the others; It and Good would take 0.17 of it"),
    Row("003.beam-first-it", "Beam", "P(It) is greedy's 0.08", Claim(0.08, _other_list), "two lists for one step of one model"),
    Row("003.beam-scores", "Beam", "log-probabilities of the five kept, given P(first word)", Illustration(tuple(BEAM.values()), None, (never_rises(np.log(STARTS)),), 1), "log 0.28 = -1.27 bounds The weather and The sky, log 0.35 = -1.05 both of Today", at="708: 二 五 0.5 0.6 0.7 0.8 0.9"),
    Row("003.beam-scores-sum", "Beam", "the five scores as log-probabilities, whatever the first words are", Illustration(tuple(BEAM.values()), None, (disjoint,), 1), "five different sequences"),
    Row("003.beam-today-is", "Beam", "Today is: log(0.35 * 0.42)", Figures(-0.6, lambda: math.log(0.35 * SECOND["is"]), 1)),
    Row("003.beam-today-the", "Beam", "Today the: log(0.35 * 0.25)", Figures(-0.9, lambda: math.log(0.35 * SECOND["the"]), 1)),
    Row("003.beam-scores-mean", "Beam", "the five scores as means over the two words", Illustration(tuple(BEAM.values()), None, (never_rises(np.log(STARTS) / 2),), 1), "log P / 2, as with length normalisation"),
    Row("003.beam-scores-log10", "Beam", "the five scores as logarithms to base 10, with is 0.42 and the 0.25 after Today", Illustration(tuple(BEAM.values()), None, (never_rises(np.log10(STARTS * SECONDS)),), 1), "log10(0.35 * 0.42) = -0.83"),
    Row("003.beam-today-was", "Beam", "Today the is kept and Today was may be dropped: the more probable of the two", Same("Today the", lambda: max(("Today the", "Today was"), key=lambda x: SECOND[x.split()[1]])), "0.25 against 0.18"),
    Row("003.beam-kept", "Beam", "five paths stay in every step: hypotheses after step 2 of a search with room for more", Same(5, lambda: len(_beam({"<bos>": BEAM_FIRST, **{first: dict(SECOND) for first in BEAM_FIRST}}, 5, 2)[-1])), at="710: 一 五"),
    Row("003.beam-back", "Beam", "beam search can go back (能够“回头”)", Claim(True, _goes_back), "it can change its mind among what it kept; what it dropped never returns", at="712: 一 一"),
    Row("003.beam-overtakes", "Beam", "a path that was behind can overtake and drive out the leader", Possible(True, _overtakes)),
    Row("003.beam-cost", "Beam", "the cost grows by the beam size, 5 times (6 words)", Figures(5.0, _beam_cost, 2), "the first step has one hypothesis: (1 + 5·5) / 6; it tends to 5, and the encoder runs once"),
    Row("003.beam-range", "Beam", "beam sizes of 3 to 10 are usual", Given((3, 10), "a habit; Vaswani et al., 2017, use 4"), at="714: 3 10"),
    Row("003.beam-one", "Beam", "a beam that is too small is nearly greedy: a beam of one is greedy", Claim(True, _beam_of_one)),
    Row("003.very-cumulative", "Beam", "each further very raises the probability of the sequence", Possible("cumulative", _very_witness, _very)),
    Row("003.very-conditional", "Beam", "each further very raises the probability of the next very", Possible("conditional", _very_witness, _very), "this reading can be", at="714: 一"),
    Row("003.temperature-zero", "技巧", "T near 0: nearly all probability on the largest (above 0.99 at T = 0.01, logits[0])", Claim(True, lambda: (float(softmax(np.array(LOGITS_0) / 0.01).max()) > 0.99, f"{softmax(np.array(LOGITS_0) / 0.01).max():.6f}; the limit is greedy decoding")), at="721: 0 一"),
    Row("003.temperature-high", "技巧", "T above 1 flattens: the entropy rises from T = 0.5 to 1 to 2", Claim(True, lambda: (_entropy(0.5) < _entropy(1.0) < _entropy(2.0), f"{_entropy(0.5):.2f}, {_entropy(1.0):.2f}, {_entropy(2.0):.2f} on logits[0]")), at="721: 1"),
    Row("003.temperature-order", "技巧", "temperature keeps the order of the words", Same(True, lambda: np.argsort(np.array(LOGITS_0) / 2).tolist() == np.argsort(LOGITS_0).tolist())),
    Row("003.top-k", "技巧", "top-k: k words keep probability, renormalised (k = 3 of ten; how many, sum)", Same((3, 1.0), lambda: (int((_top(3) > 0).sum()), round(float(_top(3).sum()), 12))), at="723: 零 一"),
    Row("003.top-p", "技巧", "top-p 0.9: the smallest set that reaches it; of the beam's first words", Same(4, lambda: _nucleus(list(BEAM_FIRST.values()), 0.9)), "0.35 + 0.28 + 0.15 + 0.12 = 0.90, the word that reaches p included", at="723: 0.9"),
    Row("003.penalty", "技巧", "lowering a word's logit lowers its probability (logits[0], each word by 0.5)", Same(True, _penalised), "to divide logits by a penalty, as is common, lowers positive ones only: a negative one must be multiplied", at="725: 一"),
    Row("003.length", "技巧", "a longer sequence has a lower sum of log-probabilities: sums of the story after 1 to 6 words fall", Same(True, lambda: bool((np.diff(-np.cumsum(trace("story")["loss.per_token"][0])) < 0).all())), "", at="727: 一 1", stages=("story", "loss.per_token")),
    Row("003.length-mean", "技巧", "divided by the length it is comparable: the story's mean log-probability is minus its loss", Same(True, lambda: bool(np.isclose(trace("story")["loss"], trace("story")["loss.per_token"].mean()))), at="727: 一"),
    Row("003.cross-shape-all", "KV Cache", "keys of cross-attention to keep: 7 x 4 a layer", Same((7, 4), lambda: shape("story", f"{CROSS}.keys"))),
]  # fmt: skip
