"""Any model that the configuration allows, against the oracle and finite differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from numtx import Batch, Config, backward, forward, initialise
from numtx.config_rules import ACTIVATIONS, ATTENTIONS, MODELS, NORMS, POSITIONS
from numtx.ops.loss import IGNORED
from numtx.parameters import parameter_shapes
from numtx.testing.strategies import LENGTHS, ROWS, batches, configs, parameters, seeds
from numtx.trace.trace import Trace, record
from numtx.trace.verify import verify

H = 1e-5


def many(examples: int) -> settings:
    """The same draws every time, none of them kept, no deadline."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


EXAMPLES = pytest.mark.parametrize(
    "examples", [200, pytest.param(1500, marks=pytest.mark.heavy, id="heavy")]
)
A_FEW = pytest.mark.parametrize(
    "examples", [12, pytest.param(40, marks=pytest.mark.heavy, id="heavy")]
)


def features(config: Config, batch: Batch) -> set[str]:
    """What of the table of mechanisms a draw contains, in words."""
    found = {
        config.model, f"norm {config.norm}", f"positions {config.positions}", config.activation,
        config.dtype,
    }  # fmt: skip
    norms = config.norm is not None and any(
        config.has_norm(f"{side}.{name}")
        for side in config.sides
        for name in config.sublayers(side)
    )
    places = {f"{side}.{name}" for side in config.sides for name in config.sublayers(side)}
    masks = [m for m in (batch.mask, batch.decoder_mask) if m is not None]
    ids = [i for i in (batch.ids, batch.decoder_ids) if i is not None]
    valid = batch.mask if config.model != "encoder-decoder" else batch.decoder_mask
    words = {
        "grouped heads": 1 < config.kv_heads < config.heads,
        "multi-query": config.kv_heads == 1 < config.heads,
        "heads as many as key/value heads": config.kv_heads == config.heads > 1,
        "d_k != d_v": config.d_k != config.d_v,
        "d_k of its own": config.heads * config.d_k != config.width,
        "latent": config.key_value_latent is not None,
        "latent of the queries too": config.query_latent is not None,
        "latent, rotary": config.key_value_latent is not None and config.rotated > 0,
        "score scale": config.score_scale is not None,
        "a layer beneath": max(config.encoder_layers, config.decoder_layers) > 1,
        "source vocabulary": config.source_vocabulary is not None,
        "tied output, shared embedding": config.tied_output and config.shared_embedding,
        "tied output, own embedding": config.tied_output and not config.shared_embedding,
        "untied output": not config.tied_output,
        "pre-norm": norms and config.norm_place == "pre",
        "post-norm": norms and config.norm_place == "post",
        "embedding norm": config.embedding_norm,
        "norm in some sublayers": norms and not all(map(config.has_norm, places)),
        "residual in some sublayers": 0 < sum(map(config.has_residual, places)) < len(places),
        "residual nowhere": not any(map(config.has_residual, places)),
        "W_O in some sublayers": 0
        < sum(config.has_output_projection(name) for name in places & set(ATTENTIONS))
        < len(places & set(ATTENTIONS)),
        "W_O nowhere": not any(config.has_output_projection(n) for n in places & set(ATTENTIONS)),
        "some biases": isinstance(config.biases, tuple) and len(config.biases) > 0,
        "no bias": config.biases is False,
        "window": config.window is not None,
        "window of itself": config.window == 1,
        "decoder not causal": config.decoder_layers > 0 and not config.causal,
        "rotary, half": config.positions == "rotary" and config.rotary_layout == "half",
        "rotary, interleaved": config.rotated > 0 and config.rotary_layout == "interleaved",
        "rotary, a part of d_k": 0 < config.rotated < config.d_k
        and config.key_value_latent is None,
        "learned with an offset": config.position_offset > 0,
        "another position base": config.position_base != 10000.0,
        "positions given": batch.positions is not None,
        "embedding scale": config.embedding_scale != 1.0,
        "output scale": config.output_scale != 1.0,
        "segments": batch.segments is not None,
        "gated": config.gated,
        "padding left": any((~m[:, 0]).any() for m in masks),
        "padding right": any((~m[:, -1]).any() for m in masks),
        "padding on both sides": any((~m[:, 0]).any() and (~m[:, -1]).any() for m in masks),
        "no padding": not masks,
        "a fully masked row": bool(config.decoder_layers)
        and config.causal
        and valid is not None
        and bool((~valid[:, 0]).any()),
        "repeated ids": any(len(set(row)) < len(row) for i in ids for row in i.tolist()),
        "ignored labels": batch.labels is not None and bool((batch.labels == IGNORED).any()),
        "labels at padding": batch.labels is not None
        and valid is not None
        and bool((batch.labels[~valid] != IGNORED).any()),
    }
    return found | {word for word, holds in words.items() if holds}


EVERY_FEATURE = {
    *MODELS, *(f"norm {norm}" for norm in (*NORMS, None)),
    *(f"positions {kind}" for kind in (*POSITIONS, None)), *ACTIVATIONS, "float64", "float32",
    "grouped heads", "multi-query", "heads as many as key/value heads", "d_k != d_v",
    "d_k of its own", "latent", "latent of the queries too", "latent, rotary",
    "score scale", "a layer beneath", "source vocabulary",
    "tied output, shared embedding", "tied output, own embedding", "untied output", "pre-norm",
    "post-norm", "embedding norm", "norm in some sublayers", "residual in some sublayers",
    "residual nowhere", "W_O in some sublayers", "W_O nowhere", "some biases", "no bias", "window",
    "window of itself", "decoder not causal", "rotary, half", "rotary, interleaved",
    "rotary, a part of d_k", "learned with an offset", "another position base", "positions given",
    "embedding scale", "output scale", "segments", "gated", "padding left", "padding right",
    "padding on both sides", "no padding", "a fully masked row", "repeated ids", "ignored labels",
    "labels at padding",
}  # fmt: skip


@EXAMPLES
def test_catalogue_and_oracle_agree_with_every_stage_and_gradient(examples: int) -> None:
    """And the draws of this very run contain every mechanism."""
    seen: Counter[str] = Counter()

    @many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs())
        batch = data.draw(batches(config, labels=None))
        seen.update(features(config, batch))
        own, cotangent = data.draw(parameters(config)), _cotangent(config, batch)
        trace = record(config, own, batch, cotangent=cotangent)
        _same_without_a_tap(trace, batch, cotangent)
        _same_stages(trace)
        _same_type(trace)
        report = verify(trace)
        assert report.ok, "\n".join(map(str, report.wrong[:5]))

    check()
    assert EVERY_FEATURE - set(seen) == set(), "never drawn"
    assert set(seen) - EVERY_FEATURE == set(), "missing in the list above"


def _cotangent(config: Config, batch: Batch) -> float | np.ndarray:
    """Random numbers: of the loss where the run has one, else of the logits."""
    generator = np.random.default_rng(5)
    if batch.labels is not None:
        return float(generator.standard_normal())
    both = config.model == "encoder-decoder"
    length = LENGTHS["decoder" if both else "encoder"]
    return generator.standard_normal((ROWS, length, config.vocabulary))


def _same_stages(trace: Trace) -> None:
    """Names, order and shapes of the catalogue are those that the run emitted, both ways."""
    assert [stage.name for stage in trace.graph] == list(trace.values)
    both = trace.config.model == "encoder-decoder"
    lengths = LENGTHS if both else dict.fromkeys(LENGTHS, LENGTHS["encoder"])
    for stage in trace.graph:
        assert trace.graph.shape(stage.name, ROWS, lengths) == trace[stage.name].shape, stage.name
    real = {name for name, value in trace.values.items() if value.dtype.kind == "f"}
    stages = {name for name in trace.gradients if not name.startswith("parameters/")}
    ends = {"probabilities"} | (set() if "labels" in trace else {"log_probabilities"})
    assert stages == real - ends  # nothing consumes these
    shapes = {name: array.shape for name, array in trace.gradients.items() if name not in stages}
    wanted = parameter_shapes(trace.config)
    assert shapes == {f"parameters/{name}": shape for name, shape in wanted.items()}


def _same_without_a_tap(trace: Trace, batch: Batch, cotangent: float | np.ndarray) -> None:
    """What is fast when nobody looks on gives the same outputs, loss and gradients."""
    outputs, context = forward(trace.config, trace.parameters, batch)
    pairs = {"logits": (outputs.logits, trace["logits"])}
    if outputs.loss is not None:
        pairs["loss"] = outputs.loss, trace["loss"]
    own = backward(context, cotangent)
    pairs |= {name: (own[name], trace.grad(f"parameters/{name}")) for name in trace.parameters}
    tolerance = 1e5 * float(np.finfo(trace.config.dtype).eps)
    largest = max(float(np.abs(gradient).max()) for gradient in own.values())
    for name, (plain, tapped) in pairs.items():
        size = max(float(np.abs(tapped).max()), 0.0 if name in ("logits", "loss") else largest)
        assert plain.dtype == trace.config.dtype, name
        assert float(np.abs(plain - tapped).max()) <= tolerance * size, name


def _same_type(trace: Trace) -> None:
    """No array of another floating type than the configuration's, in either pass."""
    for name, array in (*trace.values.items(), *trace.gradients.items()):
        assert array.dtype.kind != "f" or array.dtype == trace.config.dtype, name


@A_FEW
@pytest.mark.parametrize("model", MODELS)
def test_finite_differences_agree_with_every_parameter(model: str, examples: int) -> None:
    """Per array within 1e-6 of the larger of its largest gradient and a thousandth of the
    largest anywhere. A ReLU has no slope at 0: draws with an input near it are redrawn."""
    count = Counter[str]()

    @many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs(model, dtype="float64"))
        batch = data.draw(batches(config, labels=None))
        cotangent = _cotangent(config, batch)
        while True:
            own = data.draw(parameters(config))
            trace = record(config, own, batch, cotangent=cotangent)
            count["draws"] += 1
            if not _near_the_kink(trace):
                break
            count["redrawn"] += 1
            event("redrawn: a ReLU input within 10h of 0")
        compare_with_differences(
            _objective(config, batch, cotangent), own, trace, data.draw(seeds), examples > 12
        )

    check()
    share = count["redrawn"] / count["draws"]
    print(f"{model}: {count['redrawn']} of {count['draws']} draws redrawn ({share:.1%})")
    assert share < 0.25


def _near_the_kink(trace: Trace) -> bool:
    if trace.config.activation != "relu":
        return False
    leaf = "gate" if trace.config.gated else "hidden"
    inputs = [trace[name] for name in trace if name.endswith(f"feed_forward.{leaf}")]
    # An exact 0 is one by structure (a row that saw nothing and has no residual): it stays.
    return any(((np.abs(x) < 10 * H) & (x != 0.0)).any() for x in inputs)


def _objective(
    config: Config, batch: Batch, cotangent: float | np.ndarray
) -> Callable[[Mapping[str, np.ndarray]], float]:
    def objective(own: Mapping[str, np.ndarray]) -> float:
        outputs, _ = forward(config, own, batch)
        if outputs.loss is not None:
            return float(outputs.loss * cotangent)
        return float(np.sum(outputs.logits * cotangent))

    return objective


def compare_with_differences(
    objective: Callable[[Mapping[str, np.ndarray]], float],
    own: Mapping[str, np.ndarray],
    trace: Trace,
    seed: int,
    every_cell: bool,
) -> None:
    """Central differences along random directions of length 1 and along single cells; a
    difference of two objectives, each off by some eps of itself, is off by eps * objective / H."""
    generator = np.random.default_rng(seed)
    gradients = {name: trace.grad(f"parameters/{name}") for name in own}
    largest = max(float(np.abs(g).max()) for g in gradients.values())
    rounding = 8.0 * float(np.finfo(np.float64).eps) * abs(objective(own)) / H
    for name, gradient in gradients.items():
        tolerance = 1e-6 * max(float(np.abs(gradient).max()), 1e-3 * largest) + rounding
        directions = [generator.standard_normal(gradient.shape) for _ in range(2)]
        cells = range(gradient.size) if every_cell else generator.integers(0, gradient.size, 2)
        for cell in cells:
            directions.append(np.zeros(gradient.shape))
            directions[-1].ravel()[cell] = 1.0
        for direction in directions:
            direction /= np.sqrt(np.sum(direction * direction))
            after, before = ({**own, name: own[name] + sign * H * direction} for sign in (1, -1))
            numeric = (objective(after) - objective(before)) / (2 * H)
            analytic = float(np.sum(gradient * direction))
            assert abs(numeric - analytic) <= tolerance, (
                f"{name}: numeric {numeric!r}, analytic {analytic!r}, tolerance {tolerance:.3g}"
            )


def test_without_the_gradient_of_a_repeated_id_finite_differences_disagree() -> None:
    """The check above can fail: a planted bug that loses a repeated id is seen."""
    config = Config(
        model="decoder-only", width=8, heads=2, hidden=7, vocabulary=11, decoder_layers=1
    )
    own = initialise(config, 3)
    batch = Batch([[4, 4, 2]], labels=[[4, 2, 1]])
    trace = record(config, own, batch)
    compare_with_differences(_objective(config, batch, 1.0), own, trace, 0, False)
    wrong = trace.grad("parameters/decoder.embedding").copy()
    wrong[4] = trace.grad("decoder.embedding")[0, 0]
    planted = Trace(
        config, trace.values, {**trace.gradients, "parameters/decoder.embedding": wrong},
        trace.parameters, trace.inputs, trace.tokens,
    )  # fmt: skip
    with pytest.raises(AssertionError, match=r"decoder\.embedding"):
        compare_with_differences(_objective(config, batch, 1.0), own, planted, 0, False)


def test_gradients_take_no_part_in_the_callers_arrays() -> None:
    """backward gives arrays of its own: changing one changes neither parameters nor another."""
    config = Config(
        model="encoder-only", width=8, heads=2, hidden=7, vocabulary=11, encoder_layers=1
    )
    own = initialise(config, 3)
    copies = {name: array.copy() for name, array in own.items()}
    _, context = forward(config, own, Batch([[4, 5, 2]], labels=[[4, 2, 1]]))
    for gradient in backward(context).values():
        gradient += 1.0
    assert all(np.array_equal(own[name], copies[name]) for name in own)
