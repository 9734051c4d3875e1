"""What the checks are worth: bugs are planted in a second copy, and each must be caught. The
checks know nothing of the bugs. Each is run on the copy with the copy's own recorder and oracle;
the table says which of them have to speak for a bug, and the clean copy passes all."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from samples import ragged_batch, random_parameters, some

import numtx
from numtx.testing.second_copy import SecondCopy, Substitution, second_copy

FIELDS: dict[str, Any] = {
    "width": 4, "encoder_layers": 1, "decoder_layers": 2, "heads": 2, "key_width": 3,
    "hidden": 5, "vocabulary": 9, "position_base": 100.0, "tied_output": True,
    "embedding_scale": 1.5,
}  # fmt: skip
H = 1e-5
MARGIN = 10.0  # a bug is caught by the oracle where it is that many times what is tolerated


class Bench:
    """One copy with a model, its recorded run (backward too), and the same with a pin."""

    def __init__(self, copy: SecondCopy) -> None:
        self.copy = copy
        self.config = copy.module("config").Config(**FIELDS)
        self.parameters = weights()
        self.fields = ragged_batch(self.config, 1, "right")
        self.record = copy.module("trace.trace").record
        self.trace = self.record(self.config, self.parameters, self.batch())

    def batch(self, **changes: Any) -> Any:
        return self.copy.module("batch").Batch(**{**self.fields, **changes})

    def loss(self, parameters: dict[str, Any], pins: dict[str, Any] | None = None) -> float:
        recorder = self.copy.module("tap").Recorder(pins)
        outputs, _ = self.copy.module("model").forward(
            self.config, parameters, self.batch(), recorder
        )
        return float(outputs.loss)

    def logits(self, **changes: Any) -> Any:
        forward, recorder = self.copy.module("model").forward, self.copy.module("tap").Recorder()
        return forward(self.config, self.parameters, self.batch(**changes), recorder)[0].logits

    @property
    def wrong(self) -> list[Any]:
        if not hasattr(self, "_wrong"):
            self._wrong = self.copy.module("check.verify").verify(self.trace).wrong
        return self._wrong


@cache
def weights() -> dict[str, Any]:
    return random_parameters(numtx.Config(**FIELDS), 2)


def oracle_value(bench: Bench) -> bool:
    return not [f for f in bench.wrong if f.kind == "value" and f.worst >= MARGIN]


def oracle_gradient(bench: Bench) -> bool:
    return not [f for f in bench.wrong if f.kind == "gradient" and f.worst >= MARGIN]


def catalogue(bench: Bench) -> bool:
    """Names, order and shapes of the stages, and which of them have a gradient."""
    lengths = {"encoder": 5, "decoder": 3}
    expected = {s.name: bench.trace.graph.shape(s.name, 2, lengths) for s in bench.trace.graph}
    got = {name: bench.trace[name].shape for name in bench.trace}
    floats = {name for name in got if bench.trace[name].dtype.kind == "f"} - {"probabilities"}
    stages = {name for name in bench.trace.gradients if not name.startswith("parameters/")}
    return list(got.items()) == list(expected.items()) and stages == floats


def slopes_agree(bench: Bench, gradients: Any, pins: dict[str, Any] | None) -> bool:
    generator = np.random.default_rng(7)
    for name, tensor in bench.parameters.items():
        along = generator.standard_normal(tensor.shape)
        ahead = bench.loss({**bench.parameters, name: tensor + H * along}, pins)
        behind = bench.loss({**bench.parameters, name: tensor - H * along}, pins)
        slope = float((gradients[f"parameters/{name}"] * along).sum())
        if not abs(slope - (ahead - behind) / (2.0 * H)) <= 1e-7 * max(1.0, abs(slope)):
            return False
    return True


def finite_differences(bench: Bench) -> bool:
    """Each parameter along a random direction."""
    return slopes_agree(bench, bench.trace.gradients, None)


def pinned_differences(bench: Bench) -> bool:
    """The same with some cells of a stage held constant."""
    name = "encoder.0.self_attention.scores"
    value = bench.trace[name]
    where = np.random.default_rng(3).random(value.shape) < 0.5
    pins = {name: bench.copy.module("tap").Pin(where, value + 0.1)}
    trace = bench.record(bench.config, bench.parameters, bench.batch(), pins=pins)
    return slopes_agree(bench, trace.gradients, pins)


def hand_values(bench: Bench) -> bool:
    """Numbers worked out by hand."""
    module = bench.copy.module
    root = math.sqrt(1.5)  # the deviation of 1, 2, 3 is sqrt(2/3)
    three = np.array([[1.0, 2.0, 3.0]])
    gain, third = np.ones(3), 1.0 / 3.0
    ids = np.array([[2, 0, 2]])
    dy = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    thousand = np.array([[1000.0, 1000.0, -np.inf]])
    heads = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])  # 1 row, 2 heads, 2 tokens
    log_three = -np.full((1, 3, 3), math.log(3.0))
    labels = np.array([[0, -100, 2]])
    pairs = [
        (module("ops.norm").norm_forward(three, gain, None, 0.0, True)[0], [[-root, 0.0, root]]),
        (module("ops.softmax").softmax_forward(thousand), [[0.5, 0.5, 0.0]]),
        (module("ops.softmax").softmax_forward(np.full((1, 2), -np.inf)), [[0.0, 0.0]]),
        (module("ops.softmax").log_softmax_forward(np.zeros((1, 3))), -np.log([[3.0] * 3])),
        (
            module("ops.softmax").log_softmax_backward(np.array([[-1.0, 0, 0]]), log_three[0, :1]),
            [[third - 1.0, third, third]],
        ),
        (
            module("ops.positions").sinusoidal(np.array([[1]]), 4, 100.0, "float64"),
            [[[math.sin(1.0), math.cos(1.0), math.sin(0.1), math.cos(0.1)]]],
        ),
        (module("ops.heads").merge_heads(heads), [[[1.0, 3.0], [2.0, 4.0]]]),
        (
            module("ops.lookup").lookup_backward(dy, ids, np.zeros((3, 2))),
            [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]],
        ),
        (
            module("ops.lookup").lookup_backward(dy, ids, np.zeros((70, 2)))[:3],
            [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]],
        ),
        (module("ops.loss").pick_forward(log_three, labels), [[math.log(3.0), 0, math.log(3.0)]]),
        (module("ops.loss").mean_forward(np.array([[2.0, 0.0, 4.0]]), labels), 3.0),
        (module("ops.activation").activation_forward("gelu", np.array([0.0])), [0.0]),
        (module("ops.activation").activation_backward("relu", gain, three - 2.0), [[0, 0, 1.0]]),
        (
            module("masks").allowed(np.ones((1, 3), bool), 1, 2, causal=True).allowed[0, 0],
            [[True, True, False], [True, True, True]],
        ),
        (bench.config.scale, 1.0 / math.sqrt(3.0)),
    ]
    return all(
        np.shape(got) == np.shape(right) and np.allclose(got, right, rtol=0, atol=1e-12)
        for got, right in pairs
    )


def tap_off(bench: Bench) -> bool:
    """A run that nobody looks at gives what the recorded run gives, forward and backward."""
    model = bench.copy.module("model")
    outputs, context = model.forward(bench.config, bench.parameters, bench.batch())
    got = {f"parameters/{name}": g for name, g in model.backward(context).items()}
    got["logits"] = outputs.logits
    right = {**bench.trace.gradients, "logits": bench.trace["logits"]}
    return all(np.allclose(got[name], right[name], rtol=1e-10, atol=1e-12) for name in got)


def mask_laws(bench: Bench) -> bool:
    """Later tokens and padding change nothing, bit for bit; what is within reach does."""
    base = bench.logits()
    ids, decoder_ids = bench.fields["ids"], bench.fields["decoder_ids"]
    padding, future, past, source = ids.copy(), decoder_ids.copy(), decoder_ids.copy(), ids.copy()
    padding[1, -1] = (padding[1, -1] + 1) % 9
    future[:, -1] = (future[:, -1] + 1) % 9
    past[:, 0] = (past[:, 0] + 1) % 9
    source[:, 0] = (source[:, 0] + 1) % 9
    return bool(
        (bench.logits(ids=padding) == base).all()
        and (bench.logits(decoder_ids=future)[:, :-1] == base[:, :-1]).all()
        and (bench.logits(decoder_ids=past) != base).any(-1).all()
        and (bench.logits(ids=source) != base).any(-1).all()
    )


CHECKS: dict[str, Callable[[Bench], bool]] = {
    check.__name__: check
    for check in (
        oracle_value, oracle_gradient, catalogue, finite_differences, pinned_differences,
        hand_values, mask_laws, tap_off,
    )
}  # fmt: skip


def caught_by(bench: Callable[[], Bench]) -> set[str]:
    """The checks that do not pass; a run that fails at all is caught by whatever runs."""
    try:
        ready = bench()
    except Exception:
        return {"run"}
    caught = set()
    for name, check in CHECKS.items():
        try:
            if not check(ready):
                caught.add(name)
        except Exception:
            caught.add(name)
    return caught


class Bug(NamedTuple):
    """A bug, and the checks that must catch it (others may, too)."""

    name: str
    module: str
    old: str
    new: str
    catch: str


BUGS = [
    Bug("causal mask off by one", "masks", "keys - queries if causal",
        "keys - queries + 1 if causal", "oracle_value hand_values mask_laws"),
    Bug("causal mask hides the token itself", "masks", "keys - queries if causal",
        "keys - queries - 1 if causal", "oracle_value hand_values"),
    Bug("causal mask aligned upper left", "masks", "keys - queries if causal",
        "0 if causal", "hand_values"),
    Bug("mask polarity flipped", "ops.attend", "return np.where(mask, scores, -np.inf)",
        "return np.where(mask, -np.inf, scores)", "oracle_value mask_laws"),
    Bug("padding is not masked", "masks", "seen = valid[:, None, None, :]",
        "seen = np.ones_like(valid)[:, None, None, :]", "oracle_value mask_laws"),
    Bug("another row's padding", "masks", "seen = valid[:, None, None, :]",
        "seen = valid[::-1, None, None, :]", "oracle_value mask_laws"),
    Bug("causal encoder", "model", 'causal=side == "decoder" and config.causal',
        "causal=config.causal", "oracle_value"),
    Bug("cross-attention forgets the source's padding", "model",
        'hidden["encoder"], stacks["encoder"].valid',
        'hidden["encoder"], stacks["encoder"].valid | True', "oracle_value mask_laws"),
    Bug("cross-attention masked by another row", "model",
        'hidden["encoder"], stacks["encoder"].valid',
        'hidden["encoder"], stacks["encoder"].valid[::-1]', "oracle_value mask_laws"),
    Bug("hidden scores get a gradient", "ops.attend", "return np.where(mask, dmasked, 0.0)",
        "return dmasked + 1e-3 * ~mask", "oracle_gradient finite_differences"),
    Bug("scale missing", "ops.attend", "products * scale", "products * 1.0",
        "oracle_value finite_differences"),
    Bug("scale applied twice", "ops.attend", "products * scale",
        "products * scale * scale", "oracle_value finite_differences"),
    Bug("scale by the width of the model", "config", "1.0 / math.sqrt(self.d_k)",
        "1.0 / math.sqrt(self.width)", "hand_values"),
    Bug("scale lost in backward", "ops.attend", "dscores * c.scale)", "dscores)",
        "oracle_gradient finite_differences"),
    Bug("norm divides by n - 1", "ops.norm",
        "np.divide(math.sqrt(width), inverse", "np.divide(math.sqrt(width - 1), inverse",
        "oracle_value hand_values"),
    Bug("norm adds epsilon to the sum of squares", "ops.norm", "inverse += width * epsilon",
        "inverse += epsilon", "oracle_value"),
    Bug("norm backward without the projection through the mean", "ops.norm",
        "dx -= row_dots(dnormal, constant_row(width, 1.0 / width, dy.dtype))", "pass",
        "oracle_gradient finite_differences"),
    Bug("norm backward without the projection through the variance", "ops.norm",
        "dx = dnormal - normal * through_variance", "dx = dnormal.copy()",
        "oracle_gradient finite_differences"),
    Bug("norm backward without the gain", "ops.norm", "dnormal = dy * gain", "dnormal = dy",
        "oracle_gradient finite_differences"),
    Bug("gain's gradient without the normalised input", "ops.norm",
        "sum_rows(rows * normal.reshape(-1, width))", "sum_rows(rows)",
        "oracle_gradient finite_differences"),
    Bug("residual lost", "block", 'at("residual", skip + y)', 'at("residual", y + 0.0)',
        "oracle_value finite_differences"),
    Bug("residual lost in backward", "block", "return dh if dskip is None else dh + dskip",
        "return dh", "oracle_gradient finite_differences"),
    Bug("keys and values swapped", "attention.multi_head", 'key_map = at.linear(memory, "k")',
        'key_map = at.linear(memory, "v")', "oracle_value finite_differences"),
    Bug("gradients of keys and values swapped", "attention.multi_head",
        'dvalues = at.grad("values", dvalues)\n    dkeys = at.grad("keys", dkeys)',
        'dkeys, dvalues = at.grad("values", dvalues), at.grad("keys", dkeys)',
        "oracle_gradient finite_differences"),
    Bug("gradient of queries and keys swapped", "attention.multi_head",
        "dqueries, dkeys, dvalues = attend_backward(dcontext, attended, at.tap)",
        "dqueries, dkeys, dvalues = attend_backward(dcontext, attended, at.tap)\n"
        "    if dqueries.shape == dkeys.shape:\n        dqueries, dkeys = dkeys, dqueries",
        "oracle_gradient finite_differences"),
    Bug("softmax over the queries", "ops.softmax",
        "total = row_dots(out, constant_row(out.shape[-1], 1.0, out.dtype))\n    if blind",
        "total = np.add.reduce(out, -2, keepdims=True) + 1e-300\n    if False and blind",
        "oracle_value finite_differences"),
    Bug("softmax without taking the largest away", "ops.softmax",
        "np.subtract(scores, largest, out=out)", "out[...] = scores", "hand_values"),
    Bug("softmax backward without its sum", "ops.softmax",
        "dscores = dweights - row_dots(dweights, weights)", "dscores = dweights.copy()",
        "oracle_gradient finite_differences"),
    Bug("log_softmax backward without its sum", "ops.softmax",
        "dlogits: Array = dlog - np.exp(log_probabilities) * total", "dlogits: Array = dlog",
        "oracle_gradient finite_differences hand_values"),
    Bug("heads merged without transposing", "ops.heads",
        "return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)",
        "return x.reshape(batch, length, heads * width)", "oracle_value hand_values"),
    Bug("repeated ids lost in the table's gradient", "ops.lookup",
        "dtable: Array = one_hot @ rows",
        "dtable: Array = np.zeros_like(table)\n        dtable[ids.reshape(-1)] = rows",
        "oracle_gradient finite_differences hand_values"),
    Bug("repeated ids lost in a large table's gradient", "ops.lookup",
        "np.add.at(dtable, ids.reshape(-1), rows)", "dtable[ids.reshape(-1)] += rows",
        "hand_values"),
    Bug("cross-attention looks at its own input", "block",
        "here, h, stack.memory, stack.cross_attention",
        "here, h, h[:, [0, 1, 2, 0, 1]], stack.cross_attention", "oracle_value mask_laws"),
    Bug("gradient of the memory from one layer only", "model",
        "dmemory = dshare if dmemory is None else dmemory + dshare", "dmemory = dshare",
        "oracle_gradient finite_differences"),
    Bug("gradient of the memory through the keys only", "attention.multi_head",
        "return dx, dkey_memory + dvalue_memory", "return dx, dkey_memory",
        "oracle_gradient finite_differences"),
    Bug("self-attention's gradient through the queries only", "block",
        "dh = dqueries + dkeys", "dh = dqueries", "oracle_gradient finite_differences"),
    Bug("ignored labels backpropagate", "ops.loss",
        "dloss = np.where(counted, dloss, 0.0)", "dloss = dloss + 0.1",
        "oracle_gradient finite_differences"),
    Bug("mean over all labels", "ops.loss", "return int(np.count_nonzero(labels != IGNORED))",
        "return labels.size", "oracle_value hand_values"),
    Bug("mean's gradient not divided", "ops.loss",
        "np.where(counted, dmean / _count(labels), 0.0)", "np.where(counted, dmean, 0.0)",
        "oracle_gradient finite_differences"),
    Bug("label shifted by one", "ops.loss",
        "picked = np.take_along_axis(log_probabilities, safe[..., None], -1)[..., 0]",
        "picked = np.take_along_axis(log_probabilities, safe[..., None] - 1, -1)[..., 0]",
        "oracle_value finite_differences"),
    Bug("a pin's cells pass their gradient on", "tap",
        "return np.where(self.pins[name].where, gradient.dtype.type(0), gradient)",
        "return gradient", "pinned_differences"),
    Bug("a pin is recorded but not used", "tap",
        "value = np.where(pin.where, pin.value, value)",
        "self.values[name] = np.where(pin.where, pin.value, value)\n            return value",
        "pinned_differences"),
    Bug("base of the positions", "model",
        "sinusoidal(given.positions, config.width, config.position_base, config.dtype)",
        "sinusoidal(given.positions, config.width, 10000.0, config.dtype)", "oracle_value"),
    Bug("sine and cosine swapped", "ops.positions",
        "table[..., 0::2] = np.sin(angles)\n    table[..., 1::2] = np.cos(angles)",
        "table[..., 0::2] = np.cos(angles)\n    table[..., 1::2] = np.sin(angles)",
        "oracle_value hand_values"),
    Bug("positions not added", "model", 'x = x + here("positions", places)',
        'here("positions", places)', "oracle_value"),
    Bug("embedding scaled after the positions", "model",
        'return here("input", x), context', 'return here("input", x * 1.5), context',
        "oracle_value finite_differences"),
    Bug("scale of the embedding lost in backward", "model",
        'dx = here.grad("scaled_embedding", dx) * config.embedding_scale',
        'dx = here.grad("scaled_embedding", dx)', "oracle_gradient finite_differences"),
    Bug("shared embedding keeps one path only", "place",
        "found[name] + gradient if name in found else gradient", "gradient",
        "oracle_gradient finite_differences"),
    Bug("tied output without its gradient", "model",
        "at.add(tied_name(config), dw.T)", "at.add(tied_name(config), 0.0 * dw.T)",
        "oracle_gradient finite_differences"),
    Bug("slope of relu", "ops.activation", "return (x > 0.0).astype(x.dtype)",
        "return np.where(x > 0.0, 1.0, 0.01)", "oracle_gradient finite_differences hand_values"),
    Bug("leaky relu", "ops.activation", "return np.maximum(x, 0.0)",
        "return np.maximum(x, 0.01 * x)", "oracle_value finite_differences"),
    Bug("bias's gradient of the first row only", "ops.linear",
        "db = sum_rows(drows) if biased else None", "db = drows[0] if biased else None",
        "oracle_gradient finite_differences"),
    Bug("a stage is not emitted", "model", 'logits = at("logits", logits)', "pass", "run"),
    Bug("two stages in the wrong order", "ops.attend",
        'tap("mask", mask.allowed)\n    masked_scores = tap("masked_scores", '
        'mask_forward(scores, seen))',
        'mask.allowed\n    masked_scores = tap("masked_scores", mask_forward(scores, seen))'
        '\n    seen = tap("mask", seen)', "catalogue"),
    Bug("mask polarity flipped when nobody looks", "ops.attend",
        "np.copyto(weights, -np.inf, where=~mask)", "np.copyto(weights, -np.inf, where=mask)",
        "tap_off"),
    Bug("scale missing when nobody looks", "ops.attend", "    weights *= scale", "    pass",
        "tap_off"),
    Bug("scale lost in backward when nobody looks", "ops.attend", "dscores *= c.scale", "pass",
        "tap_off"),
    Bug("softmax backward without its sum when nobody looks", "ops.attend",
        "dscores -= row_dots(dscores, weights)", "pass", "tap_off"),
]  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_some_check_must_catch_it(bug):
    with second_copy([Substitution(bug.module, bug.old, bug.new)]) as copy:
        copy.module(bug.module)
    assert bug.catch and set(bug.catch.split()) <= {*CHECKS, "run"}


def test_the_clean_copy_passes_every_check():
    with second_copy() as copy:
        assert caught_by(lambda: Bench(copy)) == set() and not Bench(copy).wrong


@pytest.mark.parametrize("name", some(20, __name__, [bug.name for bug in BUGS]))
def test_a_planted_bug_is_caught(name):
    (bug,) = (bug for bug in BUGS if bug.name == name)
    with second_copy([Substitution(bug.module, bug.old, bug.new)]) as copy:
        caught = caught_by(lambda: Bench(copy))
    assert bug.catch and set(bug.catch.split()) <= caught, f"caught by {sorted(caught)}"
