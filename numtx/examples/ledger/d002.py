"""Document 002: what runs where, prediction at every position, lengths that meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...sequences import frame
from ...shapes import Array
from . import counts
from .d001 import _first_token
from .rows import Row
from .runs import encoder, example, moved, output, shape, softmax, tokens, trace, with_tokens
from .verdicts import Claim, Given, Same

CROSS = "decoder.0.cross_attention"
SELF = "decoder.0.self_attention"
LETTERS = ("a", "b", "c", "d", "e", "f")


def _order() -> list[str]:
    """The stages inside an attention that the document names, in the order of a run."""
    names = [s.leaf.name for s in trace("letters").graph if s.name.startswith(f"{SELF}.")]
    return [name for name in names if name in ("products", "weights")]


def _all_pairs() -> tuple[bool, str]:
    mask = trace("letters")[f"{SELF}.mask"][0, 0]
    return bool(
        mask.all()
    ), f"{int(mask.sum())} of {mask.size} pairs: a token attends to itself and what came before"


def _cheaper() -> tuple[bool, str]:
    one = counts.projections(1, 512) + counts.attention(1, 1000, 512)
    whole = counts.projections(1000, 512) + counts.attention(1000, 1000, 512)
    return (
        one < whole,
        f"prompt of 1000 at width 512: {whole / one:.0f} times the multiply-adds of one step",
    )


def _predictions() -> list[str]:
    """What the model says at each position of [a, b, c], seed 0."""
    logits = with_tokens("letters", "decoder", [0, 1, 2])["logits"][0]
    vocabulary = example("letters").vocabulary
    assert vocabulary is not None
    return vocabulary.decode(logits.argmax(1).tolist())


def _outputs_are_the_shift() -> tuple[list[str], str]:
    return (
        _predictions(),
        "a prediction is the model's guess (here an untrained one): b and c come out only where the model has learnt the prompt; in generation b and c are known anyway",
    )


def _moves(token: int, at: int) -> bool:
    """Whether the logits of one position move when a token of [a, b, c] is another one."""
    ids = [0, 1, 2]
    before = with_tokens("letters", "decoder", ids)["logits"]
    ids[token] = 5
    return moved(before, with_tokens("letters", "decoder", ids)["logits"])[at]


def _bigram() -> tuple[bool, str]:
    return not _moves(
        0, 1
    ), "replacing a moves the prediction after b: it is a,b -> c, as the document's part 2 has it"


def _memory_stays() -> tuple[bool, str]:
    keys = [trace("memory", step=n)[f"{CROSS}.keys"] for n in (1, 2, 3)]
    same = all(np.array_equal(keys[0], other) for other in keys[1:])
    return same, "keys of cross-attention in steps 1, 2 and 3, bit for bit"


def _memory_is_keys(leaf: str) -> tuple[bool, str]:
    run = trace("memory", step=3)
    memory, found = run["encoder.output"][0], run[f"{CROSS}.{leaf}"][0, 0]
    far = float(np.abs(memory - found).max())
    return (
        far < 1e-12,
        f"they differ by up to {far:.1f}: {leaf} are the memory times a matrix of their own",
    )


def _formula() -> tuple[bool, str]:
    run = trace("memory", step=2)
    q, k, v = (run[f"{CROSS}.{leaf}"][0, 0] for leaf in ("queries", "keys", "values"))
    far = float(np.abs(softmax(q @ k.T / np.sqrt(512)) @ v - run[f"{CROSS}.context"][0, 0]).max())
    return far < 1e-12, f"largest difference {far:.1g}"


def _whole_input() -> tuple[bool, str]:
    """Every position of the encoder's output moves with every token of its input."""
    ids = [0, 1, 2, 3]
    before = trace("memory")["encoder.output"]
    all_move = []
    for place in range(4):
        changed = list(ids)
        changed[place] = (ids[place] + 1) % 4
        all_move += moved(before, with_tokens("memory", "encoder", changed)["encoder.output"])
    return all(all_move), f"{sum(all_move)} of {len(all_move)} pairs of input and output move"


def _inputs(step: int) -> list[str]:
    vocabulary = example("memory", step=step).vocabulary
    assert vocabulary is not None
    return vocabulary.decode(tokens("memory", "decoder", step=step))


def _label(step: int) -> str:
    vocabulary = example("memory", step=step).vocabulary
    assert vocabulary is not None
    return vocabulary.token(int(np.asarray(example("memory", step=step).batch.labels)[0, -1]))


def _independent() -> tuple[bool, str]:
    config, p = encoder("sinusoidal", model="decoder-only")
    before: Array = output(config, p, [1, 2, 3])
    after = output(config, p, [1, 2, 3, 4])
    far = float(np.abs(before - after[:3]).max())
    return far < 1e-12, "the old positions come out as they were: only the last prediction is new"


def _shape(leaf: str, step: int) -> Any:
    return lambda: shape("memory", f"{CROSS}.{leaf}", step=step)[-2:]


ROWS = [
    Row("002.forward", "Attention 1", "self(...) calls the model's forward", Given("a fact about PyTorch", "torch.nn.Module.__call__ runs hooks and then forward; not computed here")),
    Row("002.inside-attention", "Attention 2", "inside attention: Q x K, then softmax", Same(("products", "weights"), _order), stages=("letters", f"{SELF}.products", f"{SELF}.weights")),
    Row("002.tens-of-blocks", "Attention 2", "a model has dozens of blocks (数十个)", Given("dozens", "common sizes: 12 (GPT-2 small) to 96 (GPT-3; Brown et al., 2020)"), at="11: 十"),
    Row("002.two-phases", "Attention 3", "prefill and decode as two branches of two lines of code", Given(("prefill", "decode"), "the names of the phases, as in 001"), at="15: 两 两; 28: 两"),
    Row("002.prefill-pairs", "Attention 3", "prefill computes the attention between all tokens of the prompt", Claim(True, _all_pairs), "with the causal mask only pairs with the key not later than the query", stages=("letters", f"{SELF}.mask")),
    Row("002.prefill-cache", "Attention 3", "prefill makes keys for every token of the prompt (5 letters)", Same(5, lambda: shape("letters", f"{SELF}.keys")[1]), at="20: 一"),
    Row("002.decode-one", "Attention 3", "decode takes in the last token only; id of a log line, tokens", Given((113182,), "one id of a vocabulary of more than 113,182 entries; the tensor has shape [1,1]", lambda: [113182]), at="23: 1 113182"),
    Row("002.decode-keys", "Attention 3", "the new token attends to the tokens before it (past_key_values): keys of its row at 4 cached tokens", Same(4, lambda: int(trace("letters")[f"{SELF}.mask"][0, 0, -1].sum())), "to itself as well: its own key is joined to the cache first (000)", at="24: 1"),
    Row("002.decode-cheaper", "Attention 3", "a decoding step is far cheaper than prefill", Claim(True, _cheaper)),
    Row("002.first-step", "Inference 1", "input [a, b, c]: the last position predicts the next token; shape of logits used", Same((1, 7), lambda: with_tokens("letters", "decoder", [0, 1, 2])["logits"][0, -1:].shape), "six letters and <EOS>", at="36: 一"),
    Row("002.first-from-prompt", "Inference 1", "the first new word comes from the run over the prompt", Claim("prefill", _first_token)),
    Row("002.predicts-everywhere", "Inference 1", "the model predicts after a, after a,b and after a,b,c: predictions for three tokens", Same(3, lambda: with_tokens("letters", "decoder", [0, 1, 2])["logits"].shape[1]), "", stages=("letters", "logits")),
    Row("002.second-step", "Inference 1", "then the input is [a, b, c, d], computed again: the earlier positions give something new", Claim(False, lambda: (not _independent()[0], _independent()[1])), "", at="42: 二"),
    Row("002.loop", "Inference 1", "generation stops at an end token, written <EOS> or <end>", Given("<EOS>", "a name of the document; 003 writes <eos>", lambda: example("letters").vocabulary.tokens[-1])),  # type: ignore[union-attr]
    Row("002.positions-predict", "Inference 2", "positions 1, 2, 3 (inputs a, b, c) are trained to predict b, c, d", Same(("b", "c", "d"), lambda: [example("letters").vocabulary.tokens[i] for i in example("letters").batch.labels[0][:3]]), at="55; 56; 57", stages=("letters", "decoder.tokens", "labels")),  # type: ignore[union-attr]
    Row("002.output-is-shift", "Inference 2", "the complete output for [a, b, c] is [b, c, d]", Claim(("b", "c", "d"), _outputs_are_the_shift), "", stages=("letters", "logits", "probabilities")),
    Row("002.one-pass", "Inference 2", "the decoder handles the whole sequence in one go", Same((5, 8), lambda: shape("letters", "decoder.output")), at="53: 一"),
    Row("002.upper-triangle", "Inference 3", "a mask in the upper triangle: pairs hidden of 5 x 5", Same(10, lambda: int((~trace("letters")[f"{SELF}.mask"][0, 0]).sum())), "strictly above the diagonal; 003 draws the lower triangle of what is allowed: the same mask"),
    Row("002.a-sees-a", "Inference 3", "position 1 (a) cannot see positions 2 and 3: its prediction moves with b, with c", Same((False, False), lambda: (_moves(1, 0), _moves(2, 0))), at="68"),
    Row("002.b-sees-ab", "Inference 3", "position 2 (b) sees a and b, not c: its prediction moves with a, b, c", Same((True, True, False), lambda: tuple(_moves(i, 1) for i in range(3))), at="69"),
    Row("002.training-sequences", "Inference 4", "input [a..e], target [b..f]", Same((LETTERS[:5], LETTERS[1:]), lambda: (frame("gpt", (), LETTERS).decoder[1:6], frame("gpt", (), LETTERS).labels[1:6])), stages=("letters", "decoder.tokens", "labels")),
    Row("002.training-one-pass", "Inference 4", "all losses in one pass: losses of letters", Same(5, lambda: int(trace("letters")["loss.per_token"].size)), stages=("letters", "loss.per_token")),
    Row("002.pairs-of-letters", "Inference 4", "training checks a->b and b->c: the prediction after b depends on b alone", Claim(True, _bigram), "the arrows are short for a -> b and a,b -> c"),
    Row("002.encoder-at-once", "Encoder Decoder 1", "the encoder reads [a, b, c, d] in one go, and every row of its output holds all of it", Claim(True, _whole_input), stages=("memory", "encoder.output")),
    Row("002.one-predicts-two", "Encoder Decoder 1", "input [1] predicts [2], input [1, 2] predicts [3] (no start token): what [Start] predicts", Same("2", lambda: _label(1)), "the closing summary puts Start first, and then [Start] predicts [1]", at="95"),
    Row("002.lengths-differ", "Encoder Decoder 2", "an encoder of length 4 and decoders of length 1, 2, 3: shapes of their products", Same(((1, 4), (2, 4), (3, 4)), lambda: tuple(shape("memory", f"{CROSS}.products", step=n)[-2:] for n in (1, 2, 3))), at="98", stages=("memory", f"{CROSS}.products")),
    Row("002.q-from-decoder", "Encoder Decoder 2", "Q comes from the decoder; K and V from the encoder: rows of Q, K, V in step 2", Same((2, 4, 4), lambda: tuple(shape("memory", f"{CROSS}.{leaf}", step=2)[-2] for leaf in ("queries", "keys", "values")))),
    Row("002.memory-shape", "Encoder Decoder 2", "the encoder's output is [4, 512]", Same((4, 512), lambda: shape("memory", "encoder.output")), "four tokens of 512 numbers", at="107", stages=("memory", "encoder.output")),
    Row("002.memory-as-keys", "Encoder Decoder 2", "this matrix is used as K", Claim(True, lambda: _memory_is_keys("keys")), "K = memory·W_K; one and the same matrix only if W_K = I", stages=("memory", "encoder.output", f"{CROSS}.keys")),
    Row("002.memory-as-values", "Encoder Decoder 2", "this matrix is used as V", Claim(True, lambda: _memory_is_keys("values")), "V = memory·W_V, and another matrix than K", stages=("memory", f"{CROSS}.values")),
    Row("002.keys-stay", "Encoder Decoder 2", "K and V stay the same while the decoder generates", Claim(True, _memory_stays), "", at="109", stages=("memory", f"{CROSS}.keys")),
    Row("002.third-word-input", "Encoder Decoder 2", "generating word 3 the decoder's input is [1, 2]", Same(("1", "2"), lambda: _inputs(3)), "off by one against the closing summary: word 3 is predicted from [Start, 1, 2]", at="112; 113"),
    Row("002.third-word-query", "Encoder Decoder 2", "generating word 3, Q is [2, 512]", Same((2, 512), _shape("queries", 3)), "three rows; [2, 512] belongs to word 2", at="114", stages=("memory", f"{CROSS}.queries")),
    Row("002.step-two-query", "Encoder Decoder 2", "Q of two tokens is [2, 512]", Same((2, 512), _shape("queries", 2)), at="120"),
    Row("002.formula", "Encoder Decoder 2", "Attention(Q, K, V) = softmax(QK^T / sqrt(d_k))·V", Claim(True, _formula), stages=("memory", f"{CROSS}.scores", f"{CROSS}.weights", f"{CROSS}.context")),
    Row("002.key-shape", "Encoder Decoder 2", "K is [4, 512]", Same((4, 512), _shape("keys", 2)), at="121"),
    Row("002.product-shape", "Encoder Decoder 2", "[2, 512] times [512, 4] = [2, 4] (two decoder tokens)", Same((2, 4), _shape("products", 2)), "right for two tokens, which is step 2 of the summary", at="124; 126; 127"),
    Row("002.product-shape-word-3", "Encoder Decoder 2", "the same [2, 4] while generating word 3", Same((2, 4), _shape("products", 3)), "[3, 512] times [512, 4] = [3, 4]", stages=("memory", f"{CROSS}.products")),
    Row("002.rows-mean", "Encoder Decoder 2", "row i holds the attention of decoder token i to a, b, c, d: sums of the rows", Same((1.0, 1.0), lambda: tuple(trace("memory", step=2)[f"{CROSS}.weights"][0, 0].sum(1).round(12))), at="128: 1; 129: 2"),
    Row("002.context-shape", "Encoder Decoder 2", "weights [2, 4] times V [4, 512] is [2, 512] again", Same((2, 512), _shape("context", 2)), at="131"),
    Row("002.memory-summary", "Encoder Decoder 3", "input of length 4; memory is 4 x width", Same((4, 512), lambda: shape("memory", "encoder.output")), at="140; 141", stages=("memory", "encoder.output")),
    Row("002.step-1", "Encoder Decoder 3", "step 1: input, and the token predicted", Same((("[Start]",), "1"), lambda: (_inputs(1), _label(1))), at="143; 144; 146", stages=("memory", "decoder.tokens", "labels")),
    Row("002.step-2", "Encoder Decoder 3", "step 2: input, and the token predicted", Same((("[Start]", "1"), "2"), lambda: (_inputs(2), _label(2))), "the four rows of memory are still the same", at="148; 149; 150; 151"),
    Row("002.step-3", "Encoder Decoder 3", "step 3: input, and the token predicted", Same((("[Start]", "1", "2"), "3"), lambda: (_inputs(3), _label(3))), at="153; 154; 155; 156"),
]  # fmt: skip
