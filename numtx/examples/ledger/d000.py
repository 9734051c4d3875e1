"""Document 000: training and inference, masks and the cache."""

from __future__ import annotations

import numpy as np

from ...batch import Batch
from ...config import Config
from ...masks import allowed, from_additive, to_additive
from ...parameters import initialise
from ...sequences import frame
from ...trace.trace import record
from ..weather import LABEL_PROBABILITIES
from . import counts
from .rows import Row
from .runs import encoder, example, moved, output, shape, softmax, trace, with_tokens
from .verdicts import Claim, Given, Same

SELF = "decoder.0.self_attention"
WORDS = ("The", "cat", "sat")


def _mask_formula(size: int = 5) -> list[list[float]]:
    """Mask(i, j) = 0 where i >= j, -inf where i < j, from numtx's own mask."""
    found: list[list[float]] = to_additive(
        allowed(np.ones((1, size), bool), 1, size, causal=True).allowed
    )[0, 0].tolist()
    return found


def _formula_with_mask() -> tuple[bool, str]:
    """softmax(QK^T / sqrt(d_k) + M)·V, written out, beside the run's own context."""
    run = trace("weather")
    q, k, v = (run[f"{SELF}.{leaf}"][0, 0] for leaf in ("queries", "keys", "values"))
    context = softmax(q @ k.T / np.sqrt(4) + np.array(_mask_formula(7))) @ v
    far = float(np.abs(context - run[f"{SELF}.context"][0, 0]).max())
    return far < 1e-12, f"largest difference {far:.1g}"


def _future_hidden() -> tuple[list[int], str]:
    """Which positions of the output move when token 3 of 7 is another one."""
    ids = list(example("weather").batch.decoder_ids[0])
    ids[3] = 9
    after = with_tokens("weather", "decoder", ids)
    changed = moved(trace("weather")["logits"], after["logits"])
    found = [i for i, moves in enumerate(changed) if moves]
    return found, "token 3 replaced; the positions before it are equal bit for bit"


def _peeking() -> tuple[bool, str]:
    """Without the mask a later token changes an earlier prediction."""
    config, p = encoder("sinusoidal", model="decoder-only", causal=False)
    before, after = output(config, p, [1, 2, 3, 4]), output(config, p, [1, 2, 3, 5])
    changed = moved(before, after)
    return changed[0], f"causal=False: replacing token 3 moves positions {np.flatnonzero(changed)}"


def _steps() -> list[list[list[str]]]:
    """Input and label of each step, from the frame of a decoder that starts with one token."""
    framed = frame("classic", (), WORDS)
    inputs = ["<SOS>", *framed.decoder[1:]]
    return [[inputs[: n + 1], [framed.labels[n]]] for n in range(3)]


def _recomputed() -> tuple[list[str], str]:
    """Step 3 computes three keys; those of the first two tokens are those of step 2."""
    ids = list(example("weather").batch.decoder_ids[0])
    steps = {n: with_tokens("weather", "decoder", ids[:n])[f"{SELF}.keys"][0, 0] for n in (2, 3)}
    same = [bool(np.allclose(steps[2][i], steps[3][i], rtol=0, atol=1e-12)) for i in range(2)]
    names = [name for name, equal in zip(("<SOS>", "The"), same, strict=True) if equal]
    return names, "<SOS> has been computed in step 1 already, and once more in step 2"


def _cached_attention() -> tuple[bool, str]:
    """The five steps with numbers: the last row from keys of before and its own."""
    run = trace("weather")
    q, k, v = (run[f"{SELF}.{leaf}"][0, 0] for leaf in ("queries", "keys", "values"))
    t = 6
    keys = np.vstack([k[:t], k[t : t + 1]])  # K_<=t = [K_<t; k_t]
    values = np.vstack([v[:t], v[t : t + 1]])
    context = softmax(q[t] @ keys.T / 2.0) @ values
    far = float(np.abs(context - run[f"{SELF}.context"][0, 0, t]).max())
    return far < 1e-12, f"position 6 of weather, largest difference {far:.1g}"


def _sum_and_mean() -> tuple[bool, str]:
    losses = -np.log(LABEL_PROBABILITIES)
    return bool(
        np.isclose(losses.sum(), losses.mean())
    ), f"003's seven: sum {losses.sum():.2f}, mean {losses.mean():.2f}"


def _both_forms() -> tuple[bool, str]:
    lower = np.tril(np.ones((5, 5), bool))
    return bool(
        np.array_equal(from_additive(np.array(_mask_formula())), lower)
    ), "0 becomes True, -inf becomes False"


def _attention_sees_itself() -> tuple[bool, str]:
    """The last context of a full pass, with and without the token's own key among the keys."""
    run = trace("weather")
    q, k, v = (run[f"{SELF}.{leaf}"][0, 0] for leaf in ("queries", "keys", "values"))
    t = 6
    past_only = softmax(q[t] @ k[:t].T / 2.0) @ v[:t]
    own = run[f"{SELF}.context"][0, 0, t]
    equal = bool(np.allclose(past_only, own, rtol=0, atol=1e-9))
    return (
        equal,
        f"with the past keys alone the context moves by {np.abs(past_only - own).max():.2f}",
    )


def _store_before_or_after() -> tuple[bool, str]:
    """A later row of attention does not depend on when a key was put away."""
    ids = list(example("weather").batch.decoder_ids[0])
    known = with_tokens("weather", "decoder", ids[:4])[f"{SELF}.keys"]
    later = with_tokens("weather", "decoder", ids)[f"{SELF}.keys"]
    far = float(np.abs(known - later[:, :, :4]).max())
    return far < 1e-12, "attention reads k_t and v_t and does not change them"


def _group_sizes() -> tuple[float, ...]:
    """How many times smaller the keys of a layer are with 2 and with 1 key/value heads of 8."""
    sizes = {}
    for groups in (8, 2, 1):
        config = Config(
            model="decoder-only", width=16, decoder_layers=1, heads=8, key_value_heads=groups,
            hidden=8, vocabulary=5,
        )  # fmt: skip
        keys = record(config, initialise(config, 0), Batch([[1, 2, 3]]), gradients=False)
        sizes[groups] = keys[f"{SELF}.keys"].size
    return sizes[8] / sizes[2], sizes[8] / sizes[1]


ROWS = [
    Row("000.teacher-forcing", "3.4.1", "the whole correct sentence goes into the decoder at once; sequence and positions", Same((7, 4), lambda: shape("weather", "decoder.input")), "one run holds every position of weather's target", stages=("weather", "decoder.tokens", "decoder.input", "labels")),
    Row("000.loss-is-a-sum", "3.4.1", "L = -sum over t of log P(x_t | x_<t) equals the loss of 003 (mean) and 004 (1/n)", Claim(True, lambda: _sum_and_mean()), "000 sums, 003 and 004 average: the gradients differ by the factor T, and so does a fitting learning rate", at="13", stages=("weather", "loss.per_token", "loss")),
    Row("000.loss-first-term", "3.4.1", "the sum starts at t = 1: predictions that a sentence of 5 tokens gives", Same(5, lambda: int((trace("cat")["labels"][0] >= 0).sum())), "P(x_1 | nothing) needs a token before the first: without <SOS> T tokens give T - 1 terms (cat), and 3.4.2 does start with <SOS>", stages=("cat", "decoder.tokens", "labels")),
    Row("000.peeking", "3.4.1", "without a mask position t can look at t + 1", Claim(True, _peeking), "", at="15"),
    Row("000.mask-matrix", "3.4.1", "Mask(i, j) = 0 where i >= j, -inf where i < j", Same([[0.0 if i >= j else -np.inf for j in range(5)] for i in range(5)], _mask_formula), "an upper triangle of -inf above a diagonal of 0; 003 writes the same mask as 1 (may look) and 0", at="20", stages=("weather", f"{SELF}.mask")),
    Row("000.mask-both-forms", "3.4.1", "the -inf form of 000 and the 1/0 form of 003 say the same", Claim(True, lambda: _both_forms())),
    Row("000.formula-with-mask", "3.4.1", "Attention = softmax(QK^T / sqrt(d_k) + M)·V", Claim(True, _formula_with_mask), "", stages=("weather", f"{SELF}.masked_scores", f"{SELF}.weights", f"{SELF}.context")),
    Row("000.j-up-to-i", "3.4.1", "position i sees keys j <= i only: positions that move when token 3 changes", Claim([3, 4, 5, 6], _future_hidden)),
    Row("000.steps", "3.4.2", "inputs and outputs of steps 1 to 3", Same([[["<SOS>"], ["The"]], [["<SOS>", "The"], ["cat"]], [["<SOS>", "The", "cat"], ["sat"]]], _steps), "the shift of teacher forcing, read step by step", at="34; 35; 36"),
    Row("000.start-name", "3.4.2", "the name of the start token (as 003 has it)", Same("<SOS>", lambda: trace("weather").tokens["decoder"][0][0]), "<SOS> (000), [Start] (002) and <bos> (003) are one token under three names; 004 has none"),
    Row("000.recomputed", "3.4.3", "keys that step 3 computes although step 2 had them", Claim(["<SOS>", "The"], _recomputed), "", at="41"),
    Row("000.recomputed-count", "3.4.3", "of step 3's three keys, how many are known already", Same(2, lambda: len(_recomputed()[0])), "over T steps without a cache T(T-1)/2 keys a layer are computed again"),
    Row("000.cache-steps", "3.4.3", "with K_<=t = [K_<t; k_t] the last row of attention comes out the same", Claim(True, _cached_attention), "five steps: own q, k, v first; then the cache; then joined; then attention", at="47; 48; 49; 50; 51", stages=("weather", f"{SELF}.queries", f"{SELF}.keys", f"{SELF}.values", f"{SELF}.context")),
    Row("000.order-against-001", "3.4.3", "attention without the token's own key, as 001 orders its steps 2 to 5, gives the same", Claim(False, _attention_sees_itself), "000 joins k_t first (and is right); see 001.decode-order", stages=("weather", f"{SELF}.weights", f"{SELF}.context")),
    Row("000.store-last", "3.4.3", "storing k_t and v_t may come last (the list) or when they are joined (the drawing)", Claim(True, _store_before_or_after)),
    Row("000.diagram", "3.4.3", "the drawing: Linear feeds q_t, k_t, v_t; Concat feeds attention and writes the cache", Same(("queries", "keys", "values"), lambda: tuple(stage.leaf.name for stage in trace("weather").graph if stage.name.startswith(SELF))[:3]), "the drawing attends to the joined keys (as the list does, and 001's list does not)"),
    Row("000.linear-memory", "3.4.3", "the cache grows in proportion to the length: twice the tokens, numbers", Same(2.0, lambda: counts.growth(lambda n: counts.cache_numbers(2, n, 4), 512)), "layers * length * 2 * width"),
    Row("000.128k", "3.4.3", "a context of 128k tokens", Given(128 * 1024, "a size of contexts, of no model in particular; with GPT-3's shape (96 layers, width 12288, 2 bytes) such a cache would take 618 GB", lambda: 131072), "", at="85: 128"),
    Row("000.fewer-heads", "3.4.3", "MQA and GQA shrink the cache by lowering the number of K and V heads (8 heads; 2 and 1 groups)", Same((4.0, 8.0), lambda: _group_sizes()), "keys and values are [B, G, S, d_k] with G key/value heads"),
    Row("000.space-for-time", "3.4.3", "fewer operations for more memory", Claim(True, lambda: (counts.total(100, 512, True) < counts.total(100, 512, False), f"100 tokens at width 512: {counts.total(100, 512, False):,} multiply-adds without, {counts.total(100, 512, True):,} with")), ""),
    Row("000.figures", "3.4", "two pictures (a mask, a memory curve) without numbers of their own", Given("images", "pictures are not in the text; what they show is in 000.mask-matrix and 000.linear-memory"), "", at="29: 80; 89: 80"),
    Row("000.everything-is-transformer", "3.4", "ChatGPT, Claude and Stable Diffusion rest on the Transformer", Given("a statement about other systems", "not computed here; Stable Diffusion is a convolutional U-Net with attention layers (Rombach et al., 2022)")),
]  # fmt: skip
