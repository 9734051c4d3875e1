from __future__ import annotations

import math

import numpy as np
import pytest
from samples import (
    MODELS,
    WEATHER,
    among,
    assert_close,
    config_of,
    ragged_batch,
    random_parameters,
    some,
    weather_batch,
)

from numtx import Batch, Config, Recorder, backward, forward
from numtx.check.gradcheck import random_cotangent
from numtx.errors import BatchError, StageError

ALL = ["weather", *MODELS]
EACH = pytest.mark.parametrize("name", ALL)


def setup(name: str, **changes: object) -> tuple[Config, dict, dict]:
    config = config_of(name, **changes)
    return config, random_parameters(config, 3), ragged_batch(config, 4)


@EACH
def test_a_run_with_the_tap_on_is_bit_for_bit_the_run_with_it_off(name):
    config, parameters, fields = setup(name)
    off, off_context = forward(config, parameters, Batch(**fields))
    recorder = Recorder()
    on, on_context = forward(config, parameters, Batch(**fields), recorder)
    pairs = zip(on, off, strict=True)
    assert all(x is None if y is None else (x == y).all() for x, y in pairs)
    start = random_cotangent(off, np.random.default_rng(5))
    quiet, loud = backward(off_context, start), backward(on_context, start, recorder)
    assert list(quiet) == list(loud) == list(parameters)
    assert all((quiet[key] == loud[key]).all() for key in quiet)


@EACH
def test_backward_may_run_twice_and_changes_nothing_of_the_caller_s(name):
    config, parameters, fields = setup(name)
    before = {key: array.copy() for key, array in parameters.items()}
    given = {key: np.array(value) for key, value in fields.items()}
    outputs, context = forward(config, parameters, Batch(**fields))
    start = random_cotangent(outputs, np.random.default_rng(5))
    one, two = backward(context, start), backward(context, start)
    assert all((one[key] == two[key]).all() for key in one)
    forward(config, parameters, Batch(**fields), Recorder())
    assert all((parameters[key] == before[key]).all() for key in before)
    assert all(array.flags.writeable for array in parameters.values())
    assert all((np.array(fields[key]) == given[key]).all() for key in given)


WITH_LOSS = among(lambda config: config.head is not None)


@pytest.mark.parametrize("name", some(5, __name__, WITH_LOSS, always=["weather"]))
def test_gradients_by_finite_differences_along_random_directions(name):
    config, parameters, fields = setup(name)
    if config.activation == "relu":  # no kink within the step
        config, parameters, fields = setup(name, activation="silu")
    batch = Batch(**fields)
    _, context = forward(config, parameters, batch)
    gradients = backward(context, 0.7)
    generator = np.random.default_rng(5)
    for key, tensor in parameters.items():
        along, h = generator.standard_normal(tensor.shape), 1e-5
        far, behind, ahead, farther = (
            float(forward(config, {**parameters, key: tensor + n * h * along}, batch)[0].loss)
            for n in (-2, -1, 1, 2)
        )
        slope = 0.7 * (8.0 * (ahead - behind) - (farther - far)) / (12.0 * h)  # of fourth order
        assert_close((gradients[key] * along).sum(), np.asarray(slope))


@EACH
def test_the_type_is_kept(name):
    config, parameters, fields = setup(name, dtype="float32")
    outputs, context = forward(config, parameters, Batch(**fields))
    assert {x.dtype for x in outputs if x is not None} == {np.dtype(np.float32)}
    start = random_cotangent(outputs, np.random.default_rng(5))
    assert {g.dtype for g in backward(context, start).values()} == {np.dtype(np.float32)}


@EACH
def test_padding_on_either_side_is_as_no_padding(name):
    config, parameters, fields = setup(name)
    for padding in ("left", "right"):
        fields = ragged_batch(config, 4, padding)
        full, _ = forward(config, parameters, Batch(**fields))
        row = {}
        for key, value in fields.items():
            array = np.array(value)
            side_mask = "decoder_mask" if array.shape[1] == 3 else "mask"
            row[key] = array[1][np.array(fields[side_mask])[1]][None]
        alone, _ = forward(config, parameters, Batch(**row))
        last = np.array(fields["decoder_mask" if "decoder_ids" in fields else "mask"])[1]
        name = full.ends[0].replace("loss", "logits")
        assert_close(getattr(full, name)[1][last], getattr(alone, name)[0], 1e-12)


def test_who_sees_whom():
    """The encoder looks both ways; the decoder back only, and at every source token."""
    config, parameters, _ = setup("encoder-decoder")
    fields = {"ids": [[1, 2, 3, 4, 5]], "decoder_ids": [[6, 7, 8]]}
    base, _ = forward(config, parameters, Batch(**fields))
    moved, _ = forward(config, parameters, Batch(**{**fields, "ids": [[1, 2, 3, 4, 6]]}))
    assert (moved.encoder_output != base.encoder_output).any(-1).all()
    assert (moved.logits != base.logits).any(-1).all()
    for place in range(3):
        ids = [6, 7, 8]
        ids[place] = 9
        moved, _ = forward(config, parameters, Batch(**{**fields, "decoder_ids": [ids]}))
        assert (moved.encoder_output == base.encoder_output).all()
        differs = (moved.logits != base.logits).any(-1)[0]
        assert differs.tolist() == [t >= place for t in range(3)]


def test_uniform_logits_give_the_logarithm_of_the_vocabulary():
    config, parameters, _ = setup("weather")
    parameters["output.w"] = np.zeros_like(parameters["output.w"])
    outputs, context = forward(config, parameters, Batch(**weather_batch()))
    assert_close(outputs.loss, math.log(10.0), 1e-14)
    assert backward(context)["output.w"].any()


@pytest.mark.parametrize("name", among(lambda c: c.output_scale != 1.0))
def test_last_logits_are_the_last_of_all_forwards_and_backwards(name):
    """Scaled or not; what no logit was made from has no gradient."""
    config, parameters, fields = setup(name)
    del fields["labels"]
    every, all_context = forward(config, parameters, Batch(**fields))
    last, context = forward(config, parameters, Batch(**fields), last_logits=True)
    assert_close(last.logits, every.logits[:, -1:], 1e-13)
    cotangent = np.random.default_rng(0).standard_normal(every.logits.shape)
    cotangent[:, :-1] = 0.0
    recorder = Recorder()
    tapped = forward(config, parameters, Batch(**fields), recorder, last_logits=True)[1]
    expected = backward(all_context, cotangent)
    for found in (backward(context, cotangent[:, -1:]), backward(tapped, cotangent[:, -1:])):
        for key in parameters:
            assert_close(found[key], expected[key], 1e-12)


def test_the_cotangent_scales_every_gradient():
    config, parameters, fields = setup("encoder-decoder")
    _, context = forward(config, parameters, Batch(**fields))
    one, two = backward(context), backward(context, 2.0)
    assert all((two[key] == 2.0 * one[key]).all() for key in one)


def test_a_row_of_the_logits_gradient_sums_to_zero_and_ignored_rows_are_zero():
    config, parameters, fields = setup("encoder-decoder")
    recorder = Recorder()
    _, context = forward(config, parameters, Batch(**fields), recorder)
    backward(context, 1.0, recorder)
    dlogits = recorder.gradients["logits"]
    assert np.abs(dlogits.sum(-1)).max() < 1e-16
    assert not dlogits[fields["labels"] == -100].any()
    assert dlogits[fields["labels"] != -100].any(-1).all()
    assert (recorder.values["loss.per_token"][fields["labels"] == -100] == 0.0).all()


def test_what_was_not_asked_for_is_none():
    config, parameters, fields = setup("decoder, rotary, grouped, gated")
    del fields["labels"]
    outputs, context = forward(config, parameters, Batch(**fields))
    assert outputs.loss is None and outputs.encoder_output is None
    assert outputs.decoder_output.shape == (2, 5, 6)
    with pytest.raises(BatchError, match="backward of a run without labels; give the batch"):
        backward(context)
    with pytest.raises(BatchError, match=r"cotangent has shape \(2, 11\); it should be that"):
        backward(context, np.ones((2, 11)))


def test_a_recorder_is_one_run():
    config, parameters, fields = setup("decoder, deep")
    recorder = Recorder()
    _, context = forward(config, parameters, Batch(**fields), recorder)
    backward(context, 1.0, recorder)
    with pytest.raises(StageError, match="emitted twice"):
        forward(config, parameters, Batch(**fields), recorder)
    with pytest.raises(StageError, match="emitted twice"):
        backward(context, 1.0, recorder)
    with pytest.raises(StageError, match="did you mean 'logits'"):
        forward(config, parameters, Batch(**fields), Recorder({"logit": np.zeros(3)}))


def test_shared_and_tied_tensors_sum_their_paths():
    """With three tables in the place of one, the gradients of the three sum to that of the one."""
    fields = {**WEATHER, "tied_output": True}
    shared, apart = Config(**fields), Config(**{**WEATHER, "source_vocabulary": 10})
    p = random_parameters(shared, 3)
    table = p["embedding"]
    q = {key: array for key, array in p.items() if key != "embedding"}
    q |= {"encoder.embedding": table, "decoder.embedding": table, "output.w": table.T.copy()}
    one, context = forward(shared, p, Batch(**weather_batch()))
    three, other = forward(apart, q, Batch(**weather_batch()))
    assert_close(three.logits, one.logits, 1e-14)
    g, d = backward(context), backward(other)
    total = d["encoder.embedding"] + d["decoder.embedding"] + d["output.w"].T
    assert_close(g["embedding"], total, 1e-14)
    assert all(d[key].any() for key in ("encoder.embedding", "decoder.embedding", "output.w"))


@pytest.mark.parametrize("content", [3.9, 1e3, 1e10, 1e30, 1e38, 1e200, np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_finite_content_of_any_size_under_padding_has_no_effect_however_deep(dtype, content):
    """Without norms every gated feed-forward multiplies what stands there by itself."""
    config = config_of("decoder, deep", norm=None, dtype=dtype)
    p, given = random_parameters(config), ragged_batch(config)
    last = config.vocabulary - 1
    given["ids"] = np.where(given["mask"], given["ids"] % last, last)
    found = []
    for number in (0.5, content):
        own = dict(p)
        own["decoder.embedding"] = p["decoder.embedding"].copy()
        with np.errstate(over="ignore"):
            own["decoder.embedding"][last] = np.array([number, -number] * (config.width // 2))
        outputs, context = forward(config, own, Batch(**given))
        found.append([outputs.logits[given["mask"]], *backward(context).values()])
    for clean, dirty in zip(*found, strict=True):
        assert np.isfinite(dirty).all() and np.array_equal(clean, dirty)
