"""A backward pass of one's own: right ones pass and are accused of nothing, each planted mistake is
found, in the gradients that it makes wrong alone, and named."""

from __future__ import annotations

import hand_written as own_code
import numpy as np
import pytest

from numtx.backwards.check import OwnReport, check
from numtx.backwards.differences import jacobian
from numtx.backwards.own import BackwardPass, own

PLANTED = [  # operation, mistake, wrong gradients, and what each is
    ("layer_norm", "no mean", "x", "norm (without the term of the gradient's mean)"),
    ("layer_norm", "mean twice", "x", "norm (the mean taken away twice)"),
    ("layer_norm", "no variance", "x", "norm (without the term of the variance)"),
    ("layer_norm", "no gain", "x", "norm (without the gain)"),
    ("layer_norm", "gain not normalised", "gain", "not times the normalised input"),
    ("layer_norm", "bias of one row", "bias", "of the first row of the batch only"),
    ("rms_norm", "no variance", "x", "norm (without the term of the variance)"),
    ("rms_norm", "mean", "x", "the gradient's mean taken away (layer for rms)"),
    ("rms_norm", "not divided", "x", "norm (not divided by the deviation)"),
    ("soft_max", "no dot", "x", "softmax (without the dot product with the weights)"),
    ("soft_max", "diagonal", "x", "softmax (the diagonal alone)"),
    ("gelu", "tanh", "x", "activation (the derivative of gelu_tanh)"),
    ("gelu", "one term", "x", "activation (without the second term of the derivative)"),
    ("linear", "transposed", "w", "product (transposed)"),
    ("linear", "not transposed", "x", "product (times W, not its transpose)"),
    ("linear", "one row", "w", "of the last row of the batch only"),
    ("linear", "mean", "b", "the mean over the tokens"),
    ("embedding", "last", "table", "repeated ids not summed: the last one counts"),
    ("cross_entropy", "no label", "logits", "the probabilities alone"),
    ("cross_entropy", "all positions", "logits", "divided by all positions, ignored ones too"),
    ("cross_entropy", "sign", "logits", "loss per token (the sign lost)"),
    ("attention", "no dot", "q k", "softmax (without the dot product with the weights)"),
    ("attention", "no scale", "q k", "scale (the factor forgotten)"),
    ("attention", "scale twice", "q k", "scale (the factor twice)"),
    ("attention", "one head", "k", "of the first head of each group only"),
    ("attention", "no mask", "v", "product of attention (the mask forgotten)"),
    ("sine", "sign", "x", "the sign is the other way round"),
    ("sine", "twice", "x", "every number is 2 times what it should be"),
    ("sine", "three times", "x", "every number is 3 times what it should be (the length of axis 1"),
    ("sine", "factor", "x", "every number is 0.7 times what it should be"),
    ("sine", "ones", "x", "as if the gradient that comes in were all ones"),
    ("sine", "cotangent twice", "x", "times the gradient that comes in twice"),
    ("sine", "left out", "x", "the derivative left out"),
    ("sine", "zero", "x", "zero throughout"),
    ("sine", "reversed", "x", "axis 1 in reverse order"),
    ("sine", "moved", "x", "axis 1 moved by 1"),
    ("sine", "order", "x", "axis 2 in another order"),
    ("sine", "decay", "x", "0.01 times the input added"),
    ("sine", "nan", "x", "numbers are not finite"),
    ("sine", "level", "x", "off by a constant in each row"),
    ("square_sine", "transposed", "x", "transposed"),
    ("turned", "on", "x", "the Jacobian, not its transpose"),
    ("by_columns", "one row", "table", "not summed over axis 0 of the result: the first one alone"),
]


def checked(operation: str, mistake: str = "", seed: int = 0) -> OwnReport:
    return check(own(lambda: getattr(own_code, operation)(mistake), operation), seed=seed)


def test_every_operation_that_is_written_is_tried():
    written = {n for n, x in vars(own_code).items() if getattr(x, "__defaults__", None) == ("",)}
    assert written == {operation for operation, *_ in PLANTED}
    assert len(PLANTED) == len({line[:2] for line in PLANTED}) > 40


@pytest.mark.parametrize("operation", dict.fromkeys(line[0] for line in PLANTED))
def test_a_right_one_passes(operation):
    found = checked(operation)
    assert found.ok and not found.missing, found.checked
    assert all(one.worst < 0.1 and not one.kinks and not one.kinds for one in found.checked)


@pytest.mark.parametrize(("operation", "mistake", "wrong", "kind"), PLANTED)
def test_a_mistake_is_found_and_named(operation, mistake, wrong, kind):
    found = checked(operation, mistake)
    assert [one.name for one in found.checked if not one.ok] == wrong.split()
    for one in found.checked:
        assert bool(one.kinds) == (not one.ok), one
        if not one.ok:
            assert any(kind in text.en for text in one.kinds), one.kinds
            assert len(one.kinds) == 1, one.kinds
            assert all(text.zh and text.zh != text.en for text in one.kinds)
            assert one.wrong[0].numeric != one.wrong[0].analytic


def test_what_is_none_of_the_known_mistakes_has_no_name():
    noise = np.random.default_rng(3).normal(size=own_code.X.shape)
    found = check(own((np.sin, lambda d, x: np.cos(x) * d + noise, own_code.X), "mine"))
    assert not found.ok and found.checked[0].kinds == ()


def test_a_factor_of_few_numbers_is_none():
    """Any one number is some factor of another."""
    x = np.array([0.3, 0.4])
    for by, kinds in ((0.731, 0), (2.0, 1)):
        found = check(own((lambda x: x**2, lambda d, x, by=by: by * 2.0 * x * d, x), "mine"))
        assert not found.ok and len(found.checked[0].kinds) == kinds


def test_computed_in_float32_is_said():
    """It passes where that is near enough, and is named where it is not."""
    assert checked("sine", "float32").ok
    x = own_code.X + 3000.0  # whose float32 is a ten-thousandth off
    single = np.float32

    def backward(d, x):
        return (np.cos(x.astype(single)) * d.astype(single)).astype(single)

    found = check(own((np.sin, backward, x), "mine"))
    assert [text.en for text in found.checked[0].kinds] == ["computed in float32"]


KINKS = [
    (lambda x: np.maximum(x, 0.0), lambda d, x: d * (x > 0.0), np.array([0.0, 1.0, -2.0, 0.0]), 2),
    (lambda x: np.maximum(x, 0.0), lambda d, x: d * (x >= 0.0), np.array([0.0, 1.0, -2.0]), 1),
    (np.abs, lambda d, x: d * np.sign(x), np.array([0.0, 1.0, -2.0]), 1),
    (lambda x: x.max(-1), lambda d, x: d[:, None] * (x == x.max(-1, keepdims=True)),
     np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]]), 2),
    (lambda x: np.clip(x, -1.0, 1.0), lambda d, x: d * (abs(x) < 1.0),
     np.array([1.0, 0.5, -1.0]), 2),
    (lambda x: x * x, lambda d, x: 2.0 * x * d, np.array([0.0, 1.0]), 0),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "backward", "x", "kinks"), KINKS)
def test_kinks_are_told_apart_and_excuse_nothing_else(forward, backward, x, kinks):
    found = check(own((forward, backward, x), "mine"))
    assert found.ok and found.checked[0].kinks == kinks
    for wrong in (
        lambda d, x: backward(d, x) + 1e-4,
        lambda d, x: backward(d, x) - 9.0 * abs(d).max(),
    ):
        assert not check(own((forward, wrong, x), "mine")).ok


@pytest.mark.parametrize("near", [1e-4, 3e-6, -1e-5, 2e-3])
def test_near_a_kink_a_shorter_step_decides(near):
    x = np.array([near, 1.0, -1.0])
    found = check(own((lambda x: np.maximum(x, 0.0), lambda d, x: d * (x > 0.0), x), "mine"))
    assert found.ok and found.checked[0].kinks == 0
    found = check(own((lambda x: np.maximum(x, 0.0), lambda d, x: d * (x < 0.0), x), "mine"))
    assert found.checked[0].differing == 3


def test_derivatives_are_near():
    x = own_code.X
    found = jacobian(lambda x: np.exp(x) * 3.0, x, np.random.default_rng(0))
    assert np.allclose(np.diagonal(found.slopes), 3.0 * np.exp(x).reshape(-1), 1e-10, 1e-10)
    assert not found.jumps.any()


def test_of_many_cells_some_are_tried():
    found = check(own(lambda: own_code.linear("mean"), "linear"), samples=4)
    assert [one.cells for one in found.checked] == [4, 4, 4]
    assert [one.ok for one in found.checked] == [True, True, False]
    assert found.checked[2].kinds == ()  # not every number is known


def test_inputs_of_a_name_each():
    found = check(
        own(BackwardPass(*own_code.rms_norm()[:2], {"a": own_code.X, "b": own_code.GAIN}), "")
    )
    assert [one.name for one in found.checked] == ["a", "b"]


def test_inputs_drawn_of_the_same_seed_are_not_the_cotangent():
    """A norm passes back nothing of a gradient that is its own input."""
    x = np.random.default_rng(0).standard_normal((3, 8))
    found = check(own((own_code.soft_max()[0], own_code.soft_max("no dot")[1], x), "mine"), seed=0)
    assert np.abs(found.checked[0].wrong[0].numeric) > 1e-2
