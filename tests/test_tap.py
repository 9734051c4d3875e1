from __future__ import annotations

import numpy as np
import pytest

from numtx import NO_TAP, Pin, Recorder
from numtx.errors import StageError


def three() -> np.ndarray:
    return np.array([[1.0, 2.0, 3.0]])


def test_a_tap_that_is_off_gives_the_very_value_back():
    value = three()
    assert NO_TAP("scores", value) is value
    assert NO_TAP.grad("scores", value) is value
    assert NO_TAP.at("decoder.0") is NO_TAP
    assert not NO_TAP.active and value.flags.writeable
    NO_TAP.show("probabilities", value)
    NO_TAP.end()


def test_a_recorder_keeps_values_and_gradients_in_order_under_scoped_names():
    tap = Recorder()
    here = tap.at("decoder").at("0")
    a = here("scores", three())
    tap("loss", np.array(2.0))
    tap.show("probabilities", three())
    assert list(tap.values) == ["decoder.0.scores", "loss", "probabilities"]
    assert tap.values["decoder.0.scores"] is a
    back = tap.at("decoder.0").grad("scores", 2.0 * a)
    assert (back == 2.0 * a).all() and (tap.gradients["decoder.0.scores"] == 2.0 * a).all()
    tap.end()


def test_recorded_arrays_never_change():
    tap = Recorder()
    cache = np.zeros((4, 3))
    value = tap("keys", cache[:2])
    cache[0] = 7.0
    assert not tap.values["keys"].any() and not value.any()
    assert cache.flags.writeable
    for array in (tap("own", three()), tap("scalar", np.float64(3.0))):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1.0
    gradient = np.ones((4, 3))
    tap.grad("keys", gradient[:2])
    gradient[...] = 5.0
    assert (tap.gradients["keys"] == 1.0).all()


def test_a_pin_of_every_cell():
    tap = Recorder({"x": 2.0 * three()})
    assert tap("x", three()).tolist() == [[2.0, 4.0, 6.0]]
    assert tap.values["x"].tolist() == [[2.0, 4.0, 6.0]]
    assert not tap.grad("x", three()).any()
    assert tap.gradients["x"].tolist() == [[1.0, 2.0, 3.0]]


def test_a_pin_of_some_cells_lets_the_others_compute():
    tap = Recorder({"x": Pin(np.array([[True, False, True]]), 10.0 * three())})
    assert tap("x", three()).tolist() == [[10.0, 2.0, 30.0]]
    assert tap.grad("x", three()).tolist() == [[0.0, 2.0, 0.0]]
    assert tap.gradients["x"].tolist() == [[1.0, 2.0, 3.0]]


def test_a_pin_takes_the_stage_s_type_and_may_leave_out_leading_ones():
    tap = Recorder({"x": [1, 2, 3]})
    value = tap("x", np.zeros((1, 1, 3), np.float32))
    assert value.shape == (1, 1, 3) and value.dtype == np.float32
    assert tap.pins["x"].where.shape == (1, 1, 3)
    assert tap.grad("x", np.ones((1, 1, 3), np.float32)).dtype == np.float32


def test_a_pin_in_a_scope():
    tap = Recorder({"encoder.0.norm": 0.0 * three()})
    assert not tap.at("encoder").at("0")("norm", three()).any()
    assert tap.at("encoder").at("1")("norm", three()).any()


def refuse(match: str):
    return pytest.raises(StageError, match=match)


def test_a_stage_is_emitted_once():
    tap = Recorder()
    tap("x", three())
    with refuse("value of 'x' was emitted twice"):
        tap("x", three())
    tap.grad("x", three())
    with refuse("gradient of 'x' was emitted twice"):
        tap.grad("x", three())


def test_a_gradient_fits_its_value():
    tap = Recorder()
    tap("x", three())
    with refuse(r"gradient of 'x' has shape \(3,\) but the forward pass recorded \(1, 3\)"):
        tap.grad("x", three()[0])
    with refuse("recorded no value"):
        tap.grad("y", three())


@pytest.mark.parametrize(
    ("pin", "match"),
    [
        (np.zeros((1, 4)), r"shape \(1, 4\); the stage has shape \(1, 3\)"),
        (np.zeros((3, 1)), r"shape \(3, 1\)"),
        (np.zeros(()), r"shape \(\)"),
        (np.zeros((1, 3), complex), "is complex128; the stage is float64"),
    ],
)
def test_a_pin_fits_its_stage(pin, match):
    with refuse(match):
        Recorder({"x": pin})("x", three())


def test_a_whole_number_stage_takes_no_floats():
    with refuse("is float64; the stage is int64"):
        Recorder({"x": np.zeros(3)})("x", np.zeros(3, int))


@pytest.mark.parametrize(
    "where", [np.ones((1, 3)), np.ones((1, 2), bool), np.array(True)], ids=["float", "shape", "()"]
)
def test_where_is_boolean_and_of_the_value_s_shape(where):
    with refuse("`where` is boolean and of the same shape"):
        Recorder({"x": Pin(where, three())})


def test_a_pin_that_nothing_matched():
    tap = Recorder({"decoder.0.score": three()})
    tap("decoder.0.scores", three())
    tap.at("decoder").end()  # the end of a part is not the end of the run
    with refuse("no such stage; did you mean 'decoder.0.scores'"):
        tap.end()


def test_what_nothing_consumes_takes_no_pin():
    with refuse("nothing consumes this stage"):
        Recorder({"probabilities": three()}).show("probabilities", three())


def test_a_pin_may_be_a_plain_pair() -> None:
    tap = Recorder({"x": (np.array([True, False]), np.array([5.0, 5.0]))})
    assert tap("x", np.array([1.0, 2.0])).tolist() == [5.0, 2.0]
