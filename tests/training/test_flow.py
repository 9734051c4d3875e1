"""The flow of gradients: order, sizes, the fork, and the update of a step."""

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.config import Config
from numtx.examples.registry import load_example
from numtx.parameters import initialise
from numtx.trace.trace import record
from numtx.training.flow import gradient_flow, memory_share, shown_matrices, updates
from numtx.training.text import flow_text, update_text


@pytest.fixture(scope="module")
def trace():
    return load_example("weather").trace()


def test_the_order_is_that_of_the_document(trace):
    symbols = [flow.symbol for flow in gradient_flow(trace)]
    one = ["W_in", "b_in", "W_out", "b_out", "gain", "bias"]
    attention = ["W_Q", "W_K", "W_V", "W_O", "gain", "bias"]
    decoder = [*one, *attention, "-> H_enc", *attention] * 2
    encoder = [*one, *attention] * 2
    assert symbols == ["W_vocab", "H_dec", *decoder, "X_dec", "H_enc", *encoder, "X_enc", "E"]
    names = [flow.name for flow in gradient_flow(trace)]
    assert names.index("parameters/decoder.1.feed_forward.w_in") < names.index(
        "parameters/decoder.0.feed_forward.w_in"
    )


def test_every_parameter_and_its_size_is_there(trace):
    flows = {flow.name: flow for flow in gradient_flow(trace)}
    for name in trace.parameters:
        flow = flows[f"parameters/{name}"]
        gradient = trace.grad(flow.name)
        assert flow.shape == gradient.shape
        assert flow.norm == pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-12)
        assert flow.largest == np.abs(gradient).max()


@pytest.mark.parametrize("heads", [(2, 2), (4, 2)])
def test_the_shares_of_the_layers_are_the_gradient_of_h_enc(heads):
    config = Config(
        width=8, encoder_layers=1, decoder_layers=3, heads=heads[0], key_value_heads=heads[1],
        value_width=3, hidden=6, vocabulary=11,
    )  # fmt: skip
    generator = np.random.default_rng(2)
    batch = Batch(
        generator.integers(11, size=(2, 5)), generator.integers(11, size=(2, 3)),
        generator.integers(11, size=(2, 3)),
    )  # fmt: skip
    trace = record(config, initialise(config, 0), batch)
    shares = [memory_share(trace, layer) for layer in range(3)]
    assert min(np.abs(share).max() for share in shares) > 1e-6
    np.testing.assert_allclose(sum(shares), trace.grad("encoder.output"), rtol=1e-10, atol=1e-15)


def test_a_step_of_the_document_lowers_the_loss(trace):
    gradients = {name: trace.grad(f"parameters/{name}") for name in trace.parameters}
    steps = updates(trace.parameters, gradients, list(trace.parameters))
    example = load_example("weather")
    for step in steps:
        np.testing.assert_allclose(step.new, step.old - 0.001 * step.gradient, rtol=1e-15)
    after = record(
        example.config, {step.name: step.new for step in steps}, example.batch, gradients=False
    )
    squares = sum(float((g * g).sum()) for g in gradients.values())
    fall = float(trace["loss"]) - float(after["loss"])
    # To first order the loss falls by the rate times the square of the gradient's length.
    assert fall == pytest.approx(0.001 * squares, rel=0.1) and fall > 0


def test_the_text_shows_every_row_and_number(trace):
    text = flow_text(gradient_flow(trace), "en", 100)
    assert text.count("-> H_enc") == 3  # two layers, and the note
    assert "the decoder's loss trains the encoder" in text
    assert shown_matrices(trace.config) == [
        "output.w", "encoder.0.self_attention.w_v", "decoder.0.self_attention.w_v",
    ]  # fmt: skip
    gradients = {name: trace.grad(f"parameters/{name}") for name in trace.parameters}
    step = updates(trace.parameters, gradients, ["encoder.0.self_attention.w_v"])[0]
    shown = update_text(step, 0.001, "en")
    for name in ("old", "gradient", "new"):
        row = next(line for line in shown.splitlines() if line.startswith(f"{name} 2"))
        numbers = [float(word) for word in row.split()[2:]]
        np.testing.assert_allclose(numbers, getattr(step, name)[2], rtol=0, atol=5.1e-8)
