"""Checks of the training code, which run where a bug is planted, too. Each takes a folder."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.config import Config
from numtx.errors import FileError, NumtxError, TrainingError
from numtx.model import backward, forward
from numtx.ops import loss
from numtx.ops.softmax import log_softmax_forward
from numtx.parameters import initialise
from numtx.training import optimisers, schedule
from numtx.training import run as run_module
from numtx.training.checkpoint import load_run, save_run
from numtx.training.greedy import answers
from numtx.training.loop import train
from numtx.training.optimisers import adamw, sgd
from numtx.training.recipe import Recipe
from numtx.training.run import Run, batch_number

SOURCE = [3, 4, 4, 5, 6, 2]
TARGET = [5, 3, 7, 3, 2]


def tiny(**changes):
    """A small encoder-decoder, its parameters and a batch of two rows, one of them padded."""
    fields = {"width": 4, "encoder_layers": 1, "decoder_layers": 1, "hidden": 6, "vocabulary": 8}
    config = Config(**{**fields, **changes})
    batch = Batch(
        [SOURCE, [4, 3, 2, 0, 0, 0]],
        [[1, *TARGET[:-1]], [1, 6, 6, 0, 0]],
        [TARGET, [6, 6, 2, -100, -100]],
        mask=[[True] * 6, [True] * 3 + [False] * 3],
        decoder_mask=[[True] * 5, [True] * 3 + [False] * 2],
    )
    return config, initialise(config, 3), batch


def new_run(recipe=None, **changes):
    config, parameters, batch = tiny(**changes)
    return Run(config, parameters, Recipe(**(recipe or {}))), batch


def sgd_by_hand(folder):
    """w - 0.1 * g, in place"""
    weights = np.array([1.0, -2.0, 0.5])
    sgd(weights, np.array([0.5, -1.0, 0.0]), 0.1)
    np.testing.assert_allclose(weights, [0.95, -1.9, 0.5], rtol=1e-15)


def adamw_by_hand(folder):
    """One weight from 1.0 with gradients 0.5, -1 and 0.25; the numbers come from 30 decimals."""
    weights, first, second = np.array([1.0]), np.zeros(1), np.zeros(1)
    expected = (0.899000001999999960, 0.934711354238565603, 0.947445708982737852)
    for number, (gradient, value) in enumerate(zip((0.5, -1.0, 0.25), expected, strict=True), 1):
        adamw(weights, np.array([gradient]), first, second, number, 0.1, 0.01)
        np.testing.assert_allclose(weights, value, rtol=1e-13)
    np.testing.assert_allclose(first, 0.9 * (0.9 * 0.05 - 0.1) + 0.025, rtol=1e-13)


def clip_by_hand(folder):
    """(3, 4) has length 5; a limit of 2 makes it (1.2, 1.6), a limit of 6 leaves it"""
    gradient = np.array([3.0, 4.0])
    assert optimisers.norm(gradient) == 5.0
    optimisers.clip(gradient, 5.0, 6.0)
    assert gradient.tolist() == [3.0, 4.0]
    optimisers.clip(gradient, 5.0, 2.0)
    np.testing.assert_allclose(gradient, [1.2, 1.6], rtol=1e-15)


def schedule_by_hand(folder):
    """The original paper: width 512, warmup 4000; its highest rate is 7e-4"""
    peak = schedule.paper_peak(512, 4000)
    for step, expected in ((1, 1.7469281e-07), (4000, 6.9877124e-04), (16000, 3.4938562e-04)):
        formula = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert schedule.warmup_rate(step, 4000, peak) == pytest.approx(expected, rel=1e-7)
        assert schedule.warmup_rate(step, 4000, peak) == pytest.approx(formula, rel=1e-12)
    config = tiny()[0]
    assert Recipe().rate(7, config) == 0.003
    assert Recipe(optimiser="sgd").rate(7, config) == 0.001
    assert Recipe(warmup=10).rate(10, config) == pytest.approx((4 * 10) ** -0.5)
    assert Recipe(warmup=10, learning_rate=0.5).rate(5, config) == pytest.approx(0.25)


def loss_against_a_loop(folder):
    """Values and gradients of the smoothed and of the plain loss, number by number."""
    generator = np.random.default_rng(5)
    logs = -generator.exponential(size=(2, 3, 11))
    labels = np.array([[4, -100, 0], [10, 4, 4]])
    dloss = generator.standard_normal((2, 3))
    for smoothing in (0.0, 0.1, 0.7):
        values = loss.pick_forward(logs, labels, smoothing)
        dlogs = loss.pick_backward(dloss, labels, logs, smoothing)
        for b in range(2):
            for t in range(3):
                label, expected = labels[b, t], 0.0
                for v in range(11):
                    target = smoothing / 11 + (1 - smoothing) * (v == label)
                    target *= label != -100
                    expected -= target * logs[b, t, v]
                    assert dlogs[b, t, v] == pytest.approx(-target * dloss[b, t], abs=1e-15)
                assert values[b, t] == pytest.approx(expected, rel=1e-14)
    values = np.array([[1.0, 0.0, 2.5], [0.25, 4.0, 0.0]])
    assert loss.mean_forward(values, labels) == pytest.approx(7.75 / 5)
    dvalues = loss.mean_backward(np.array(3.0), labels)
    assert dvalues.tolist() == [[0.6, 0.0, 0.6], [0.6, 0.6, 0.6]]


def smoothing_reaches_the_model(folder):
    """A model's loss with smoothing is (1 - e) * plain + e * mean over all words, and its
    gradient is that of a finite difference."""
    config, parameters, batch = tiny()
    smooth = dataclasses.replace(config, label_smoothing=0.2)
    plain = forward(config, parameters, batch)[0]
    logs = log_softmax_forward(plain.logits)
    counted = np.array(batch.labels) != -100
    expected = 0.8 * float(plain.loss) - 0.2 * logs[counted].mean()
    outputs, context = forward(smooth, parameters, batch)
    assert float(outputs.loss) == pytest.approx(expected, rel=1e-13)
    gradient = backward(context)["output.w"]
    ends = []
    for sign in (1, -1):
        parameters["output.w"][1, 2] += sign * 1e-5
        ends.append(float(forward(smooth, parameters, batch)[0].loss))
        parameters["output.w"][1, 2] -= sign * 1e-5
    assert gradient[1, 2] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def one_step_is_the_formula(folder):
    """One step of a run, for every parameter, from the gradients themselves."""
    for recipe in ({"optimiser": "sgd", "learning_rate": 0.1}, {"clip": 0.01, "optimiser": "sgd"}):
        run, batch = new_run(recipe)
        before = {name: array.copy() for name, array in run.parameters.items()}
        outputs, context = forward(run.config, before, batch)
        gradients = backward(context)
        length = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        progress = run.advance([batch])
        assert progress.step == run.step == 1
        assert progress.loss == run.losses[0] == float(outputs.loss)
        assert progress.gradient_norm == pytest.approx(length, rel=1e-12)
        factor = min(1.0, run.recipe.clip / length) if run.recipe.clip else 1.0
        for name, array in run.parameters.items():
            expected = before[name] - progress.rate * factor * gradients[name]
            np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-15)


def three_steps_of_adamw_are_the_formula(folder):
    """For every parameter, gradients shortened, decay and moments included."""
    recipe = {"clip": 0.01, "decay": 0.1, "learning_rate": 0.02}
    run, batch = new_run(recipe)
    first, second = {}, {}
    for number in (1, 2, 3):
        before = {name: array.copy() for name, array in run.parameters.items()}
        _, context = forward(run.config, before, batch)
        gradients = backward(context)
        length = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        assert length > 0.01
        run.advance([batch])
        for name, array in run.parameters.items():
            g = gradients[name] * 0.01 / length
            first[name] = 0.9 * first.get(name, 0.0) + 0.1 * g
            second[name] = 0.999 * second.get(name, 0.0) + 0.001 * g * g
            m, v = first[name] / (1 - 0.9**number), second[name] / (1 - 0.999**number)
            expected = (1 - 0.02 * 0.1) * before[name] - 0.02 * m / (np.sqrt(v) + 1e-8)
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-13, err_msg=name)


def a_gradient_that_is_not_finite_stops_it(folder):
    """Under a finite loss, in the first parameter or the last; so does one whose length
    overflows. Nothing has changed then, and clipping makes none of it good."""
    right = run_module.backward
    for recipe in ({"optimiser": "sgd"}, {"clip": 1.0}, {"optimiser": "sgd", "clip": 1.0}):
        for wrong, place in itertools.product((math.inf, -math.inf, math.nan, 1e200), (0, -1)):
            run, batch = new_run(recipe)
            run.advance([batch])
            before = [array.tobytes() for array in (run.weights, *run.moments.values())]

            def spoilt(context, wrong=wrong, place=place):
                gradients = right(context)
                gradients[list(gradients)[place]].flat[place] = wrong
                return gradients

            run_module.backward = spoilt
            try:
                with pytest.raises(
                    TrainingError, match=r"step 2: the loss is \d.*length (inf|nan)"
                ):
                    run.advance([batch])
            finally:
                run_module.backward = right
            assert (run.step, len(run.losses)) == (1, 1)
            assert before == [a.tobytes() for a in (run.weights, *run.moments.values())]


def a_rate_of_the_schedule_is_used(folder):
    """The rates of the first steps of a run with a warmup."""
    run, batch = new_run({"warmup": 2, "learning_rate": 0.04})
    rates = [run.advance([batch]).rate for _ in range(8)]
    np.testing.assert_allclose(rates[:2] + rates[7:], [0.02, 0.04, 0.02], rtol=1e-13)


def batches_take_turns(folder):
    """Every epoch goes through all batches, each time in another order; repeatable."""
    epochs = [[batch_number(4, 7 * e + i, 7) for i in range(7)] for e in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert (
        batch_number(5, 0, 7) is not None and [batch_number(5, i, 7) for i in range(7)] != epochs[0]
    )


def resume_is_bit_for_bit(folder):
    """Stopped, saved, loaded and resumed in three places equals undisturbed, for each optimiser."""
    for recipe in ({"warmup": 5, "clip": 0.5, "seed": 9}, {"optimiser": "sgd"}):
        run, batch = new_run(recipe)
        other = dataclasses.replace(batch, ids=[SOURCE[::-1], [3, 3, 2, 0, 0, 0]])
        batches = [batch, other, batch]
        train(run, batches, 23)
        again, _ = new_run(recipe)
        path = Path(folder) / "run.npz"
        for stop in (1, 8, 15):
            train(again, batches, stop, save=path)
            again = load_run(path)
            assert again.step == stop
        train(again, batches, 23)
        same(run, again)


def same(one, other):
    """Two runs are equal bit for bit."""
    assert one.step == other.step and one.losses == other.losses
    assert one.config == other.config and one.recipe == other.recipe
    assert one.weights.tobytes() == other.weights.tobytes()
    assert list(one.moments) == list(other.moments)
    for name, moment in one.moments.items():
        assert moment.tobytes() == other.moments[name].tobytes()
    for name, array in one.parameters.items():
        assert np.shares_memory(array, one.weights), name


def saved_on_time(folder):
    """After every tenth step and after the last one; a save that fails leaves the old file."""
    run, batch = new_run()
    path = Path(folder) / "timely.npz"
    seen = []

    def look(progress):
        if path.exists():
            seen.append((progress.step, load_run(path).step))

    train(run, batch, 24, on_step=look, save=path, save_every=10)
    assert [pair for pair in seen if pair[0] in (11, 20, 21, 24)] == [
        (11, 10), (20, 10), (21, 20), (24, 20),
    ]  # fmt: skip
    assert load_run(path).step == 24
    old = path.read_bytes()
    write_array = np.lib.format.write_array
    written = []

    def fail(file, array, **options):
        written.append(array)
        if len(written) == 4:
            raise KeyboardInterrupt
        write_array(file, array, **options)

    np.lib.format.write_array = fail
    try:
        with pytest.raises(KeyboardInterrupt):
            save_run(path, run)
    finally:
        np.lib.format.write_array = write_array
    assert path.read_bytes() == old
    assert [file.name for file in Path(folder).iterdir() if "timely" in file.name] == [path.name]


def a_spoilt_file_is_refused(folder):
    """Every array of another shape or type, missing or extra, and a `meta` of something else."""
    run, batch = new_run()
    train(run, batch, 3)
    path, spoilt = Path(folder) / "good.npz", Path(folder) / "spoilt.npz"
    save_run(path, run)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)

    def refused(changed, words):
        np.savez(spoilt, **changed)
        with pytest.raises(NumtxError, match=words):
            load_run(spoilt)

    def meta(**changes):
        import json

        fields = json.loads(arrays["meta"].tobytes())
        return {**arrays, "meta": np.frombuffer(json.dumps({**fields, **changes}).encode(), "u1")}

    refused({k: v for k, v in arrays.items() if k != "moments/second"}, "moments/second.*missing")
    refused({**arrays, "moments/first": arrays["moments/first"][:-1]}, "moments/first")
    refused({**arrays, "losses": arrays["losses"][:2]}, "losses")
    refused({**arrays, "parameters/output.w": arrays["parameters/output.w"].T}, "output.w")
    single = arrays["moments/first"].astype(np.float32)
    refused({**arrays, "moments/first": single}, "moments/first.*float32")
    refused({**arrays, "parameters/embedding": arrays["parameters/embedding"] * np.nan}, "finite")
    for name, array in arrays.items():  # the first of them and the last
        if name != "meta":
            odd = array.copy()
            odd.flat[-1] = np.inf
            refused({**arrays, name: odd}, f"{name}.*not finite")
            refused({n: a for n, a in arrays.items() if n != name}, f"{name}.*missing")
    refused({**arrays, "extra": np.zeros(2)}, "extra")
    refused({k: v for k, v in arrays.items() if k != "meta"}, "meta")
    refused({**arrays, "meta": np.frombuffer(b"{", "u1")}, "JSON")
    refused({**arrays, "meta": np.frombuffer(b"[]", "u1")}, "format")
    refused(meta(format="numtx training 0"), "numtx training 0")
    refused(meta(step=-1), "step")
    refused(meta(config={"width": 4}), "hidden")
    refused(meta(recipe={"optimiser": "adam"}), "adam")
    spoilt.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileError):
        load_run(spoilt)


def stops_when_not_finite(folder):
    """A loss that overflows ends the run before the update, and the good file stays."""
    run, batch = new_run({"optimiser": "sgd", "learning_rate": 1e200})
    path = Path(folder) / "last_good.npz"
    with pytest.raises(TrainingError, match=r"step 2: the loss is (nan|inf).*learning rate"):
        train(run, batch, 50, save=path, save_every=1)
    assert run.step == 1 and len(run.losses) == 1
    assert load_run(path).step == 1


def training_lowers_the_loss(folder):
    """The default recipe learns both rows by heart."""
    run, batch = new_run()
    train(run, batch, 700)
    assert run.losses[-1] < 0.05
    given = answers(run.config, run.parameters, batch, eos=2)
    assert [answer.given for answer in given] == [TARGET, [6, 6, 2]]
    assert [answer.wanted for answer in given] == [TARGET, [6, 6, 2]]


CHECKS = (
    sgd_by_hand, adamw_by_hand, clip_by_hand, schedule_by_hand, loss_against_a_loop,
    smoothing_reaches_the_model, one_step_is_the_formula,
    three_steps_of_adamw_are_the_formula, a_rate_of_the_schedule_is_used,
    a_gradient_that_is_not_finite_stops_it,
    batches_take_turns, resume_is_bit_for_bit, saved_on_time, a_spoilt_file_is_refused,
    stops_when_not_finite, training_lowers_the_loss,
)  # fmt: skip
