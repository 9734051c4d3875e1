"""Checks of models for planted bugs. Each gives False, or raises, where something is wrong; they
know nothing of the bugs."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from samples import among, config_of, one, ragged_batch, random_parameters

from numtx import Batch, Cache, Config, Recorder, backward, forward
from numtx.check.verify import verify
from numtx.config.rotary import LongropeScaling, YarnScaling
from numtx.errors import CacheError
from numtx.formulas.angles import turn_of
from numtx.formulas.positions import bucket_of
from numtx.masks import allowed
from numtx.ops.activation import activation_backward, activation_forward
from numtx.ops.angles import frequencies
from numtx.ops.attend_at_once import at_once_backward, at_once_forward
from numtx.ops.attend_blocks import blocks_backward, blocks_forward
from numtx.ops.attend_inputs import AttendInputs
from numtx.ops.heads import merge_heads
from numtx.ops.lookup import lookup_backward
from numtx.ops.loss import mean_forward, pick_forward
from numtx.ops.norm import norm_forward
from numtx.ops.positions import sinusoidal
from numtx.ops.relative import buckets
from numtx.ops.sinks import sink_softmax_forward
from numtx.ops.softmax import log_softmax_backward, log_softmax_forward, softmax_forward
from numtx.step import step
from numtx.tap import Pin
from numtx.trace.trace import record

FIELDS: dict[str, Any] = {
    "width": 4, "encoder_layers": 1, "decoder_layers": 2, "heads": 2, "key_width": 3,
    "hidden": 5, "vocabulary": 9, "position_base": 100.0, "tied_output": True,
    "embedding_scale": 1.5,
}  # fmt: skip
H = 1e-5
MARGIN = 10.0  # a bug is caught by the oracle where it is that many times what is tolerated


class Bench:
    """A model, its recorded run (backward too), and what is wrong with it."""

    def __init__(self) -> None:
        self.config = Config(**FIELDS)
        self.parameters = random_parameters(self.config, 2)
        self.fields = ragged_batch(self.config, 1, "right")
        self.trace = record(self.config, self.parameters, self.batch())

    def batch(self, **changes: Any) -> Batch:
        return Batch(**{**self.fields, **changes})

    def loss(self, parameters: dict[str, Any], pins: dict[str, Any] | None = None) -> float:
        outputs, _ = forward(self.config, parameters, self.batch(), Recorder(pins))
        return float(outputs.loss)

    def logits(self, **changes: Any) -> Any:
        return forward(self.config, self.parameters, self.batch(**changes), Recorder())[0].logits

    def wrong(self, kind: str) -> list[Any]:
        found = self._wrong()
        return [one for one in found if one.kind == kind and one.worst >= MARGIN]

    @cache  # noqa: B019 (there is one bench)
    def _wrong(self) -> list[Any]:
        return verify(self.trace).wrong


@cache
def bench() -> Bench:
    return Bench()


def run() -> bool:
    """The model runs at all, and records what it should."""
    return bool(bench().trace)


def oracle_value() -> bool:
    return not bench().wrong("value")


def oracle_gradient() -> bool:
    return not bench().wrong("gradient")


def catalogue() -> bool:
    """Names, order and shapes of the stages, and which of them have a gradient."""
    lengths = {"encoder": 5, "decoder": 3}
    expected = {s.name: bench().trace.graph.shape(s.name, 2, lengths) for s in bench().trace.graph}
    got = {name: bench().trace[name].shape for name in bench().trace}
    floats = {name for name in got if bench().trace[name].dtype.kind == "f"} - {"probabilities"}
    stages = {name for name in bench().trace.gradients if not name.startswith("parameters/")}
    return list(got.items()) == list(expected.items()) and stages == floats


def slopes_agree(gradients: Any, pins: dict[str, Any] | None) -> bool:
    generator = np.random.default_rng(7)
    for name, tensor in bench().parameters.items():
        along = generator.standard_normal(tensor.shape)
        ahead = bench().loss({**bench().parameters, name: tensor + H * along}, pins)
        behind = bench().loss({**bench().parameters, name: tensor - H * along}, pins)
        slope = float((gradients[f"parameters/{name}"] * along).sum())
        if not abs(slope - (ahead - behind) / (2.0 * H)) <= 1e-7 * max(1.0, abs(slope)):
            return False
    return True


def finite_differences() -> bool:
    """Each parameter along a random direction."""
    return slopes_agree(bench().trace.gradients, None)


def pinned_differences() -> bool:
    """The same with some cells of a stage held constant."""
    name = "encoder.0.self_attention.scores"
    value = bench().trace[name]
    where = np.random.default_rng(3).random(value.shape) < 0.5
    pins = {name: Pin(where, value + 0.1)}
    trace = record(bench().config, bench().parameters, bench().batch(), pins=pins)
    return slopes_agree(trace.gradients, pins)


def hand_values() -> bool:
    """Numbers worked out by hand."""
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
        (norm_forward(three, gain, None, 0.0, True)[0], [[-root, 0.0, root]]),
        (softmax_forward(thousand), [[0.5, 0.5, 0.0]]),
        (softmax_forward(np.full((1, 2), -np.inf)), [[0.0, 0.0]]),
        (log_softmax_forward(np.zeros((1, 3))), -np.log([[3.0] * 3])),
        (
            log_softmax_backward(np.array([[-1.0, 0, 0]]), log_three[0, :1]),
            [[third - 1.0, third, third]],
        ),
        (
            sinusoidal(np.array([[1]]), 4, 100.0, "float64"),
            [[[math.sin(1.0), math.cos(1.0), math.sin(0.1), math.cos(0.1)]]],
        ),
        (merge_heads(heads), [[[1.0, 3.0], [2.0, 4.0]]]),
        (
            lookup_backward(dy, ids, np.zeros((3, 2))),
            [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]],
        ),
        (
            lookup_backward(dy, ids, np.zeros((70, 2)))[:3],
            [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]],
        ),
        (pick_forward(log_three, labels), [[math.log(3.0), 0, math.log(3.0)]]),
        (mean_forward(np.array([[2.0, 0.0, 4.0]]), labels), 3.0),
        (activation_forward("gelu", np.array([0.0])), [0.0]),
        (activation_backward("relu", gain, three - 2.0), [[0, 0, 1.0]]),
        (
            allowed(np.ones((1, 3), bool), 2, causal=True).allowed[0, 0],
            [[True, True, False], [True, True, True]],
        ),
        (bench().config.scale, 1.0 / math.sqrt(3.0)),
    ]
    return all(
        np.shape(got) == np.shape(right) and np.allclose(got, right, rtol=0, atol=1e-12)
        for got, right in pairs
    )


def tap_off() -> bool:
    """A run that nobody looks at gives what the recorded run gives, forward and backward."""
    outputs, context = forward(bench().config, bench().parameters, bench().batch())
    got = {f"parameters/{name}": g for name, g in backward(context).items()}
    got["logits"] = outputs.logits
    right = {**bench().trace.gradients, "logits": bench().trace["logits"]}
    return all(np.allclose(got[name], right[name], rtol=1e-10, atol=1e-12) for name in got)


def mask_laws() -> bool:
    """Later tokens and padding change nothing, bit for bit; what is within reach does."""
    base = bench().logits()
    ids, decoder_ids = bench().fields["ids"], bench().fields["decoder_ids"]
    padding, future, past, source = ids.copy(), decoder_ids.copy(), decoder_ids.copy(), ids.copy()
    padding[1, -1] = (padding[1, -1] + 1) % 9
    future[:, -1] = (future[:, -1] + 1) % 9
    past[:, 0] = (past[:, 0] + 1) % 9
    source[:, 0] = (source[:, 0] + 1) % 9
    return bool(
        (bench().logits(ids=padding) == base).all()
        and (bench().logits(decoder_ids=future)[:, :-1] == base[:, :-1]).all()
        and (bench().logits(decoder_ids=past) != base).any(-1).all()
        and (bench().logits(ids=source) != base).any(-1).all()
    )


def oracle_of(name: str, **changes: Any) -> bool:
    """Whether a model of the list, in a run padded on the left, is what the oracle wants."""
    config = config_of(name, **changes)
    mask = np.array([[1] * 5, [0, 0, 1, 1, 1]], bool)
    labels = [[2, 3, 4, 5, 1], [-100, -100, 7, 2, 8]]
    ids, more = [[1, 2, 3, 4, 5], [0, 0, 6, 7, 2]], {}
    if len(config.sides) == 2:
        more = {"decoder_ids": ids, "decoder_mask": mask}
    batch = Batch(ids, mask=mask, labels=labels, **more)
    return verify(record(config, random_parameters(config), batch)).ok


def slopes_oracle() -> bool:
    return oracle_of("decoder, slopes, six heads")


def halves_oracle() -> bool:
    return oracle_of("decoder, not causal")


def normed_oracle() -> bool:
    return oracle_of("decoder, normed queries and keys")


def projections_oracle() -> bool:
    return oracle_of("decoder, normed queries and keys", query_key_norm="projection")


def turned_oracle() -> bool:
    return oracle_of("decoder, normed queries and keys", query_key_norm_place="after")


def bound_shift() -> bool:
    """A cache does not turn keys that have a gain on their rotation."""
    config = config_of("decoder, normed queries and keys", query_key_norm_place="after")
    cache = Cache(config, p := random_parameters(config), 1)
    step(config, p, Batch([[1, 2, 3]]), cache)
    try:
        cache.shift(0, 1)
    except CacheError as error:
        return "gain" in str(error)
    return False


def capped_oracle() -> bool:
    return oracle_of("decoder, slopes, grouped, window")


def sinks_oracle() -> bool:
    return oracle_of(one(lambda config: config.sinks and config.key_value_latent))


def sinks_alone() -> bool:
    """A large sink takes all."""
    weights, share = sink_softmax_forward(np.zeros((1, 2, 3, 4)), np.array([2000.0, 0.0]))
    right = np.allclose(weights[:, 1], 0.2) and (weights[:, 0] == 0.0).all()
    return bool(right and (share[:, 0] == 1.0).all())


def blocks_alone() -> bool:
    """Two blocks of queries, with a bias, a cap and sinks, give what one piece gives."""
    generator = np.random.default_rng(0)
    q, k, v, dcontext = generator.standard_normal((4, 1, 2, 70, 4))
    bias, sinks = generator.standard_normal((1, 2, 70, 70)), np.array([0.5, -1.0])
    inputs = AttendInputs(q, k, v, np.tri(70, dtype=bool)[None, None], 0.4, bias, 1.5, sinks)
    (whole, kept), (parts, saved) = at_once_forward(inputs), blocks_forward(inputs)
    expected = at_once_backward(dcontext, inputs, kept, True)
    found = blocks_backward(dcontext, inputs, saved, True)
    return all(map(np.allclose, (parts, *found), (whole, *expected)))


def latents_oracle() -> bool:
    return oracle_of(one(lambda config: config.query_latent and config.rotated > 2))


def layers_oracle() -> bool:
    return oracle_of(one(lambda config: len(config.values_of("position_base")) > 1))


def chunks_oracle() -> bool:
    return all(map(oracle_of, among(lambda config: any(config.values_of("chunk")))))


def relative_oracle() -> bool:
    """In a decoder; and every bucket up to far away."""
    away = np.arange(-200, 201)
    wanted = [bucket_of(int(distance), 32, 128, True) for distance in away]
    model = one(lambda config: config.positions == "relative" and len(config.sides) == 1)
    return oracle_of(model) and buckets(away, 32, 128, True).tolist() == wanted


def scaled_oracle() -> bool:
    """Every kind of scaled angles in a whole model."""
    return all(map(oracle_of, among(lambda config: config.rotary_scaling is not None)))


def scaled_angles() -> bool:
    """All angles of a width at which the ramp passes the last pair, whose list is taken, and the
    scale of scores over latents in a known model."""
    yarn = YarnScaling(factor=4.0, original=64, beta_fast=4.0, beta_slow=0.5)
    wanted = [turn_of(pair, 8, 10.0, yarn)[0] for pair in range(4)]
    longrope = LongropeScaling(short=(1.0,), long=(2.0,), original=8, length=8)
    known = Config(
        model="decoder-only", width=8, decoder_layers=1, hidden=4, vocabulary=5, key_width=128,
        key_value_latent=4, positions="rotary", rotary_width=64,
        rotary_scaling=YarnScaling(factor=40.0, original=4096, mscale=1.0, mscale_all_dim=1.0),
    )  # fmt: skip
    return (
        np.allclose(frequencies(8, 10.0, yarn), wanted, rtol=1e-12)
        and not longrope.is_long
        and math.isclose(known.latent_scale, 0.1352337788608801)
    )


CHECKS = (
    run, oracle_value, oracle_gradient, catalogue, finite_differences, pinned_differences,
    hand_values, mask_laws, tap_off, slopes_oracle, normed_oracle, projections_oracle,
    turned_oracle, bound_shift, capped_oracle, sinks_oracle, sinks_alone, blocks_alone,
    latents_oracle, layers_oracle, scaled_oracle, scaled_angles, chunks_oracle, relative_oracle,
    halves_oracle,
)  # fmt: skip
