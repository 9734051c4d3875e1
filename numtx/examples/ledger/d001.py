"""Document 001: decoder-only models, prefill and decoding, the cost of a step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import counts
from .d000 import _attention_sees_itself
from .rows import Row
from .runs import encoder, example, moved, output, shape, tokens, trace, trained, with_tokens
from .verdicts import Claim, Given, Same

SELF = "decoder.0.self_attention"
DIM = 4096  # a common width; T is far smaller than it in most uses
LONG = 1024


def _sublayers() -> list[str]:
    """The sublayers of a decoder-only block, in order."""
    graph = trace("cat").graph
    names = [s.name.split(".")[2] for s in graph if s.name.startswith("decoder.0.")]
    return list(dict.fromkeys(names))


def _wired() -> list[str]:
    """The leaves that end a sublayer."""
    graph = trace("cat").graph
    return [s.leaf.name for s in graph if s.name.startswith("decoder.0.feed_forward.")][-2:]


def _no_past_and_future() -> tuple[bool, str]:
    mask = trace("cat")[f"{SELF}.mask"][0, 0]
    return bool(
        mask.all()
    ), f"the training run hides {int((~mask).sum())} of {mask.size} pairs from one another"


def _first_token() -> tuple[str, str]:
    """Which run gives the first new token: its logits are the last column of the prompt's run."""
    prompt = tokens("cat", "decoder")[:3]
    alone = with_tokens("cat", "decoder", prompt)["logits"][0, -1]
    whole = trace("cat")["logits"][0, 2]
    same = bool(np.allclose(alone, whole, rtol=0, atol=1e-12))
    return (
        "prefill" if same else "decoding",
        "the last column of the prompt's own run is the distribution of the first new token; no further step is needed",
    )


def _query_of(place: int) -> int:
    """Which token's query (counted from 1) predicts token `place`."""
    made = example("cat")
    ids, labels = list(made.batch.ids[0]), list(made.batch.labels[0])
    return labels.index(ids[place - 1]) + 1


def _keys_stay() -> tuple[bool, str]:
    """Keys and values of earlier tokens, every layer, as the sequence grows."""
    ids = tokens("weather", "decoder")
    before, after = (with_tokens("weather", "decoder", ids[:n]) for n in (4, 7))
    far = 0.0
    for layer in (0, 1):
        for leaf in ("keys", "values"):
            name = f"decoder.{layer}.self_attention.{leaf}"
            far = max(far, float(np.abs(before[name] - after[name][:, :, :4]).max()))
    config, p = encoder("sinusoidal", encoder_layers=2)
    both = moved(output(config, p, [1, 2, 3]), output(config, p, [1, 2, 3, 4]))
    return (
        far < 1e-12,
        f"largest change {far:.1g}; thanks to the causal mask: in an encoder a new token moves {sum(both)} of 3 old rows",
    )


def _one_row_only() -> tuple[bool, str]:
    """The rows before i of the attention matrix, at length i - 1 and at length i."""
    ids = tokens("cat", "decoder")
    known = with_tokens("cat", "decoder", ids[:4])[f"{SELF}.weights"]
    now = trace("cat")[f"{SELF}.weights"][:, :, :4, :4]
    far = float(np.abs(known - now).max())
    return (
        far < 1e-12,
        f"rows 1 to i-1 come out as before (largest change {far:.1g}); only row i is new",
    )


def _proportional(cached: bool, times: float) -> tuple[float, str]:
    """How many times the total grows when T doubles, beside what a pure power would give."""
    found = counts.growth(lambda n: counts.total(n, DIM, cached), LONG)
    return (
        round(found, 1),
        f"T = {LONG} to {2 * LONG} at dim = {DIM}: {found:.2f} times, where a pure power gives {times:g}; the other term leads while T < {'3' if cached else '2.25'} dim",
    )


def _left_out() -> tuple[bool, str]:
    """The share of a layer's products, with W_O and a feed-forward of four widths."""
    counted = counts.step(1, DIM, True)
    whole = counted + DIM * DIM + 2 * 4 * DIM * DIM
    return (
        counted == whole,
        f"W_O (dim^2) and the feed-forward network (8 dim^2) are left out: {counted / whole:.0%} of a layer is counted; the powers of T stay",
    )


def _prefill_share() -> tuple[int, str]:
    linear, square = counts.projections(LONG, DIM), counts.attention(LONG, LONG, DIM)
    return (
        counts.degree(lambda n: counts.projections(n, DIM) + counts.attention(n, n, DIM)),
        f"O(L^2) leaves out L·dim^2, which leads while L < 1.5 dim: at L = {LONG}, dim = {DIM} attention is {square / (linear + square):.0%} of it",
    )


def _causal(position: int) -> list[int]:
    """What a position may look at, by the mask."""
    return np.flatnonzero(trace("cat")[f"{SELF}.mask"][0, 0, position]).tolist()


def _needs_gradient() -> tuple[bool, str]:
    run = trained("cat")
    live = [name for name in run.parameters if np.any(run.grad(f"parameters/{name}"))]
    return len(live) == len(
        run.parameters
    ), f"{len(live)} of {len(run.parameters)} parameters of cat have a gradient"


def _shift() -> int:
    made = example("cat")
    ids, labels = list(made.batch.ids[0]), list(made.batch.labels[0])
    return next(k for k in range(1, len(ids)) if ids[k:] == labels[: len(ids) - k])


def _powers(cost: Callable[[int, bool], int]) -> tuple[int, int]:
    """The power of the length without and with a cache."""
    return counts.degree(lambda n: cost(n, False)), counts.degree(lambda n: cost(n, True))


def _grown(prompt: int, steps: int) -> int:
    """Keys of a layer when a prompt and so many tokens more have gone in."""
    ids = tokens("cat", "decoder")[: prompt + steps]
    return int(with_tokens("cat", "decoder", ids)[f"{SELF}.keys"].shape[2])


ROWS = [
    Row("001.decoder-only", "Part 1", "a decoder-only model is made of decoder blocks alone; stacks", Same(("decoder",), lambda: example("cat").config.sides)),
    Row("001.as-the-decoder", "Part 1", "it uses the original decoder's block: sublayers", Same(("self_attention", "cross_attention", "feed_forward"), _sublayers), "the original block has cross-attention as well; here it is gone, for there is no encoder to look at"),
    Row("001.causal", "Part 1", "a token sees itself and all tokens before it: keys of position 2 of 0 to 4", Same((0, 1, 2), lambda: _causal(2)), "", stages=("cat", f"{SELF}.mask")),
    Row("001.feed-forward", "Part 1", "a feed-forward network follows attention", Same(("self_attention", "feed_forward"), _sublayers)),
    Row("001.norm-residual", "Part 1", "residual connection and layer norm are everywhere; what ends a sublayer", Same(("residual", "norm"), _wired), "in cat after the sublayer (post-norm); most decoder-only models put the norm first"),
    Row("001.objective", "Part 1", "the task: from the tokens so far the next one; cat's labels are its tokens moved by", Same(1, lambda: _shift()), stages=("cat", "decoder.tokens", "labels")),
    Row("001.one-go", "Part 2", "training puts the whole text in at once (我是一个学生)", Given(tuple("我是一个学生"), "an example sentence of 6 characters", lambda: [*"我是一个学生"]), at="22: 一"),
    Row("001.parallel-qkv", "Part 2", "Q, K and V of every position in one go: shape of Q for cat's five tokens, two heads", Same((2, 5, 2), lambda: shape("cat", f"{SELF}.queries")), "a query, key and value a position; the matrices hold all of them", stages=("cat", f"{SELF}.queries")),
    Row("001.attention-matrix", "Part 2", "the attention matrix is (length, length)", Same((5, 5), lambda: shape("cat", f"{SELF}.weights")[1:]), stages=("cat", f"{SELF}.weights")),
    Row("001.all-losses", "Part 2", "the loss of all positions flows back into the weights", Claim(True, _needs_gradient)),
    Row("001.no-cache-in-training", "Part 2", "one training pass computes every key once: keys of cat in a layer", Same(5, lambda: shape("cat", f"{SELF}.keys")[1]), "nothing is computed twice, so there is nothing to keep"),
    Row("001.no-past-no-future", "Part 2", "in one forward pass past and future are not told apart", Claim(True, _no_past_and_future), "Part 1's causal mask tells them apart in training above all; what makes a cache needless is that every key is there at once", stages=("cat", f"{SELF}.mask")),
    Row("001.whole-again", "Part 2", "without a cache every step computes all tokens so far again: keys of step 5", Same(5, lambda: with_tokens("cat", "decoder", tokens("cat", "decoder"))[f"{SELF}.keys"].shape[2])),
    Row("001.huge", "Part 2", "that cost is huge: times as much for 100 tokens at dim 512 (more than 10)", Claim(True, lambda: (counts.total(100, 512, False) > 10 * counts.total(100, 512, True), f"{counts.total(100, 512, False) / counts.total(100, 512, True):.0f} times the multiply-adds of the cached way"))),
    Row("001.prefill-once", "Part 3", "prefill is one full forward pass over L tokens; logits of a prompt of 3", Same((3, 5), lambda: with_tokens("cat", "decoder", tokens("cat", "decoder")[:3])["logits"].shape[1:]), at="47"),
    Row("001.prefill-fills", "Part 3", "prefill computes k and v of every token in every layer; layers of cat", Same(2, lambda: sum(s.leaf.name == "keys" for s in trace("cat").graph)), at="48; 49"),
    Row("001.prefill-cost", "Part 3", "prefill costs O(L^2): power of L", Claim(2, _prefill_share), "true in the long run; 'because of the L x L matrix' is the smaller part at common sizes", at="51; 76: 2"),
    Row("001.prefill-matrix", "Part 3", "prefill's attention matrix is L x L (L = 5)", Same((5, 5), lambda: shape("cat", f"{SELF}.scores")[1:]), "with the causal mask L(L+1)/2 of the L^2 entries count"),
    Row("001.first-token", "Part 3", "the first new token comes from (list: the decoding phase starts from prefill's hidden state; quotation: prefill)", Claim("prefill", _first_token), "the quotation is right; the list leaves it to decoding", at="55: 一 一 一; 53: 一"),
    Row("001.first-token-list", "Part 3", "the last hidden state is only the starting point: the decoding phase generates the first new token", Claim("decoding", _first_token), "the same section's quotation says prefill, and so does the run"),
    Row("001.decode-one-token", "Part 3", "a decoding step takes in one token: rows of its query", Same((1, 5), lambda: trace("cat")[f"{SELF}.scores"][0, 0, -1:].shape), "", at="62; 63; 77: 1 1"),
    Row("001.decode-order", "Part 3", "steps 2 to 5: attend to the cached k_1..k_L, then compute k_(L+1), v_(L+1): the context is that of the full pass", Claim(True, _attention_sees_itself), "the query must see its own key: 000 and this document's Part 4 join it first", at="66; 67; 68; 69; 70", stages=("weather", f"{SELF}.weights", f"{SELF}.context")),
    Row("001.decode-order-table", "Part 3", "the list's row of scores is 1 x L; the table's is 1 x L_total (prompt and generated), at L = 4 known and one new token", Same((1, 4), lambda: trace("cat")[f"{SELF}.scores"][0, 0, -1:].shape), "the table (1 x 5 here) is right: the new token is one of the keys"),
    Row("001.decode-index", "Part 3", "the query that generates token L+1 is q_(L+1) (L = 3)", Same(4, lambda: _query_of(4)), "token L's query generates token L+1; q_(L+1) belongs to token L+1 and generates token L+2", at="65", stages=("cat", "decoder.tokens", "labels")),
    Row("001.new-token-keys", "Part 3", "k and v of the token just generated are appended in the same step: keys after a step that took in token 5 and generated another", Same(6, lambda: trace("cat")[f"{SELF}.keys"].shape[2]), "its keys exist when it has gone through the layers itself, which is the next step"),
    Row("001.decode-cost", "Part 3", "a decoding step costs O(L_total): power of the length of its attention", Same(1, lambda: counts.degree(lambda n: counts.attention(1, n, DIM))), "and dim^2 for the projections, which does not grow", at="72; 77: 1 1"),
    Row("001.table-prefill", "Part 3", "table: prefill takes the whole prompt (L = 5), a matrix L x L", Same((5, (5, 5)), lambda: (shape("cat", f"{SELF}.queries")[1], shape("cat", f"{SELF}.scores")[1:])), at="76"),
    Row("001.keys-fixed", "Part 4.1", "keys and values, once computed, never change in later steps", Claim(True, _keys_stay)),
    Row("001.recomputes-all", "Part 4.2", "without a cache the attention of tokens 1 to i-1 is computed again: rows computed at step i = 5 beside the new one", Same(4, lambda: shape("cat", f"{SELF}.weights")[1] - 1), at="91"),
    Row("001.row-i", "Part 4.2", "with a cache only row i of the attention matrix is needed", Claim(True, _one_row_only), "", at="93"),
    Row("001.without-input", "Part 4.2", "without a cache step i puts the tokens 1 to i through: X is (i, dim) (cat: 5, 4)", Same((5, 4), lambda: shape("cat", "decoder.input")), at="98; 100"),
    Row("001.without-qkv", "Part 4.2", "Q, K, V of step i cost O(i·dim^2): powers of i and of dim", Same((1, 2), lambda: (counts.degree(lambda i: counts.projections(i, 8)), counts.degree(lambda d: counts.projections(8, d)))), "exactly 3·i·dim^2 multiply-adds", at="101"),
    Row("001.without-scores", "Part 4.2", "Q·K^T of step i costs O(i^2·dim): powers of i and of dim", Same((2, 1), lambda: (counts.degree(lambda i: counts.attention(i, i, 8)), counts.degree(lambda d: counts.attention(8, 8, d)))), "exactly i^2·dim; the causal mask would allow half", at="102"),
    Row("001.without-values", "Part 4.2", "weights·V of step i: (i, i)·(i, dim) = shape (cat: 5, 2 a head)", Same((5, 2), lambda: shape("cat", f"{SELF}.context")[1:]), "O(i^2·dim) again", at="103"),
    Row("001.sum-linear", "Part 4.2", "the sum of the projections over T steps is O(T^2·dim^2): power of T", Same(2, lambda: counts.degree(lambda n: counts.total_projections(n, DIM, False))), "1 + 2 + ... + T = T(T+1)/2", at="105; 106"),
    Row("001.sum-attention", "Part 4.2", "the sum of attention over T steps is O(T^3·dim): power of T", Same(3, lambda: counts.degree(lambda n: counts.total_attention(n, DIM, False))), "1 + 4 + ... + T^2 = T(T+1)(2T+1)/6", at="107"),
    Row("001.total-without", "Part 4.2", "in all O(T^2·dim^2 + T^3·dim): power of T in the end", Same(3, lambda: counts.degree(lambda n: counts.total(n, DIM, False))), "", at="109"),
    Row("001.cube", "Part 4.2", "that is 'proportional to the cube of T' (三次方): times as much at twice the length", Claim(8.0, lambda: _proportional(False, 8.0)), "the formula of the same line has T^2·dim^2 beside T^3·dim: which reading holds depends on T against dim", at="109: 三"),
    Row("001.left-out", "Part 4.2", "the total counts all of a layer", Claim(True, _left_out)),
    Row("001.with-input", "Part 4.2", "with a cache step i takes in token i alone, (1, dim); i-1 steps are stored (i = 5)", Same(((1, 4), 4), lambda: (trace("cat")["decoder.input"][0, -1:].shape, trace("cat")[f"{SELF}.keys"].shape[2] - 1)), at="112; 114"),
    Row("001.with-qkv", "Part 4.2", "q, k, v of one token cost O(dim^2): powers of i and of dim", Same((0, 2), lambda: (counts.degree(lambda i: counts.projections(1, 8)), counts.degree(lambda d: counts.projections(1, d)))), at="115"),
    Row("001.cache-shapes", "Part 4.2", "Q is (1, dim), K and V of the cache (i, dim), at i = 5 (a head of cat: width 2)", Same(((1, 2), (5, 2), (5, 2)), lambda: (trace("cat")[f"{SELF}.queries"][0, 0, -1:].shape, *(shape("cat", f"{SELF}.{leaf}")[1:] for leaf in ("keys", "values")))), "i rows with the new token's own", at="117"),
    Row("001.with-scores", "Part 4.2", "q·K^T of step i: (1, dim)·(dim, i), O(i·dim): powers of i and of dim", Same((1, 1), lambda: (counts.degree(lambda i: counts.attention(1, i, 8)), counts.degree(lambda d: counts.attention(1, 8, d)))), at="120"),
    Row("001.with-values", "Part 4.2", "weights·V of step i: (1, i)·(i, dim) = (1, dim) (a head of cat: width 2)", Same((1, 2), lambda: (trace("cat")[f"{SELF}.weights"][0, 0, -1:] @ trace("cat")[f"{SELF}.values"][0, 0]).shape), at="121"),
    Row("001.sum-linear-cached", "Part 4.2", "the projections of T cached steps are O(T·dim^2): power of T", Same(1, lambda: counts.degree(lambda n: counts.total_projections(n, DIM, True))), at="122; 123"),
    Row("001.sum-attention-cached", "Part 4.2", "the attention of T cached steps is O(T^2·dim): power of T", Same(2, lambda: counts.degree(lambda n: counts.total_attention(n, DIM, True))), at="124"),
    Row("001.total-with", "Part 4.2", "in all O(T·dim^2 + T^2·dim): power of T in the end", Same(2, lambda: counts.degree(lambda n: counts.total(n, DIM, True))), at="126"),
    Row("001.square", "Part 4.2", "that is 'proportional to the square of T': times as much at twice the length", Claim(4.0, lambda: _proportional(True, 4.0)), "T·dim^2 stands beside it"),
    Row("001.cube-to-square", "Part 4.2", "the cache brings O(T^3) down to O(T^2): powers", Same((3, 2), lambda: _powers(lambda n, cached: counts.total(n, DIM, cached))), "as limits; at T < dim it brings dim^2·T^2 down to dim^2·T", at="128"),
    Row("001.table-step", "Part 4.2", "table, step i: powers of i without and with a cache", Same((2, 1), lambda: _powers(lambda i, cached: counts.step(i, 8, cached))), at="132"),
    Row("001.table-total", "Part 4.2", "table, T steps: powers of T without and with a cache", Same((3, 2), lambda: _powers(lambda n, cached: counts.total(n, 8, cached))), at="133"),
    Row("001.both-save", "Part 4.3", "prefill creates the cache, each decoding step adds its own token: keys after a prompt of 3 and 2 steps", Same(5, lambda: _grown(3, 2))),
]  # fmt: skip
