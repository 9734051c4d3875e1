"""Checks of the training code, written so that they can run on a second copy with a bug planted.

Each takes `get`, which gives a module of the package by name, and a folder. The tests beside
this file run them on the package itself; `test_planted_training.py` on copies with bugs.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

SOURCE = [3, 4, 4, 5, 6, 2]
TARGET = [5, 3, 7, 3, 2]


def tiny(get, **changes):
    """A small encoder-decoder, its parameters and a batch of two rows, one of them padded."""
    fields = {"width": 4, "encoder_layers": 1, "decoder_layers": 1, "hidden": 6, "vocabulary": 8}
    config = get("config").Config(**{**fields, **changes})
    batch = get("batch").Batch(
        [SOURCE, [4, 3, 2, 0, 0, 0]],
        [[1, *TARGET[:-1]], [1, 6, 6, 0, 0]],
        [TARGET, [6, 6, 2, -100, -100]],
        mask=[[True] * 6, [True] * 3 + [False] * 3],
        decoder_mask=[[True] * 5, [True] * 3 + [False] * 2],
    )
    return config, get("parameters").initialise(config, 3), batch


def new_run(get, recipe=None, **changes):
    config, parameters, batch = tiny(get, **changes)
    recipe = get("training.recipe").Recipe(**(recipe or {}))
    return get("training.run").Run(config, parameters, recipe), batch


def sgd_by_hand(get, folder):
    """w - 0.1 * g, in place"""
    weights = np.array([1.0, -2.0, 0.5])
    get("training.optimisers").sgd(weights, np.array([0.5, -1.0, 0.0]), 0.1)
    np.testing.assert_allclose(weights, [0.95, -1.9, 0.5], rtol=1e-15)


def adamw_by_hand(get, folder):
    """One weight from 1.0 with gradients 0.5, -1 and 0.25; the numbers come from 30 decimals."""
    weights, first, second = np.array([1.0]), np.zeros(1), np.zeros(1)
    step = get("training.optimisers").adamw
    expected = (0.899000001999999960, 0.934711354238565603, 0.947445708982737852)
    for number, (gradient, value) in enumerate(zip((0.5, -1.0, 0.25), expected, strict=True), 1):
        step(weights, np.array([gradient]), first, second, number, 0.1, 0.01)
        np.testing.assert_allclose(weights, value, rtol=1e-13)
    np.testing.assert_allclose(first, 0.9 * (0.9 * 0.05 - 0.1) + 0.025, rtol=1e-13)


def clip_by_hand(get, folder):
    """(3, 4) has length 5; a limit of 2 makes it (1.2, 1.6), a limit of 6 leaves it"""
    optimisers = get("training.optimisers")
    gradient = np.array([3.0, 4.0])
    assert optimisers.norm(gradient) == 5.0
    optimisers.clip(gradient, 5.0, 6.0)
    assert gradient.tolist() == [3.0, 4.0]
    optimisers.clip(gradient, 5.0, 2.0)
    np.testing.assert_allclose(gradient, [1.2, 1.6], rtol=1e-15)


def schedule_by_hand(get, folder):
    """The original paper: width 512, warmup 4000; its highest rate is 7e-4"""
    schedule = get("training.schedule")
    peak = schedule.paper_peak(512, 4000)
    for step, expected in ((1, 1.7469281e-07), (4000, 6.9877124e-04), (16000, 3.4938562e-04)):
        formula = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert schedule.warmup_rate(step, 4000, peak) == pytest.approx(expected, rel=1e-7)
        assert schedule.warmup_rate(step, 4000, peak) == pytest.approx(formula, rel=1e-12)
    config = tiny(get)[0]
    recipe = get("training.recipe").Recipe
    assert recipe().rate(7, config) == 0.003
    assert recipe(optimiser="sgd").rate(7, config) == 0.001
    assert recipe(warmup=10).rate(10, config) == pytest.approx((4 * 10) ** -0.5)
    assert recipe(warmup=10, learning_rate=0.5).rate(5, config) == pytest.approx(0.25)


def loss_against_a_loop(get, folder):
    """Values and gradients of the smoothed and of the plain loss, number by number."""
    loss = get("ops.loss")
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


def smoothing_reaches_the_model(get, folder):
    """A model's loss with smoothing is (1 - e) * plain + e * mean over all words, and its
    gradient is that of a finite difference."""
    config, parameters, batch = tiny(get)
    smooth = dataclasses.replace(config, label_smoothing=0.2)
    forward, backward = get("model").forward, get("model").backward
    plain = forward(config, parameters, batch)[0]
    logs = get("ops.softmax").log_softmax_forward(plain.logits)
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


def one_step_is_the_formula(get, folder):
    """One step of a run, for every parameter, from the gradients themselves."""
    for recipe in ({"optimiser": "sgd", "learning_rate": 0.1}, {"clip": 0.01, "optimiser": "sgd"}):
        run, batch = new_run(get, recipe)
        before = {name: array.copy() for name, array in run.parameters.items()}
        outputs, context = get("model").forward(run.config, before, batch)
        gradients = get("model").backward(context)
        length = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        progress = run.advance([batch])
        assert progress.step == run.step == 1
        assert progress.loss == run.losses[0] == float(outputs.loss)
        assert progress.gradient_norm == pytest.approx(length, rel=1e-12)
        factor = min(1.0, run.recipe.clip / length) if run.recipe.clip else 1.0
        for name, array in run.parameters.items():
            expected = before[name] - progress.rate * factor * gradients[name]
            np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-15)


def three_steps_of_adamw_are_the_formula(get, folder):
    """For every parameter, gradients shortened, decay and moments included."""
    recipe = {"clip": 0.01, "decay": 0.1, "learning_rate": 0.02}
    run, batch = new_run(get, recipe)
    first, second = {}, {}
    for number in (1, 2, 3):
        before = {name: array.copy() for name, array in run.parameters.items()}
        _, context = get("model").forward(run.config, before, batch)
        gradients = get("model").backward(context)
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


def a_gradient_that_is_not_finite_stops_it(get, folder):
    """Under a finite loss, in the first parameter or the last; so does one whose length
    overflows. Nothing has changed then, and clipping makes none of it good."""
    module, error = get("training.run"), get("errors").TrainingError
    right = module.backward
    for recipe in ({"optimiser": "sgd"}, {"clip": 1.0}, {"optimiser": "sgd", "clip": 1.0}):
        for wrong, place in itertools.product((math.inf, -math.inf, math.nan, 1e200), (0, -1)):
            run, batch = new_run(get, recipe)
            run.advance([batch])
            before = [array.tobytes() for array in (run.weights, *run.moments.values())]

            def spoilt(context, wrong=wrong, place=place):
                gradients = right(context)
                gradients[list(gradients)[place]].flat[place] = wrong
                return gradients

            module.backward = spoilt
            try:
                with pytest.raises(error, match=r"step 2: the loss is \d.*length (inf|nan)"):
                    run.advance([batch])
            finally:
                module.backward = right
            assert (run.step, len(run.losses)) == (1, 1)
            assert before == [a.tobytes() for a in (run.weights, *run.moments.values())]


def a_rate_of_the_schedule_is_used(get, folder):
    """The rates of the first steps of a run with a warmup."""
    run, batch = new_run(get, {"warmup": 2, "learning_rate": 0.04})
    rates = [run.advance([batch]).rate for _ in range(8)]
    np.testing.assert_allclose(rates[:2] + rates[7:], [0.02, 0.04, 0.02], rtol=1e-13)


def batches_take_turns(get, folder):
    """Every epoch goes through all batches, each time in another order; repeatable."""
    number = get("training.run").batch_number
    epochs = [[number(4, 7 * e + i, 7) for i in range(7)] for e in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert number(5, 0, 7) is not None and [number(5, i, 7) for i in range(7)] != epochs[0]


def resume_is_bit_for_bit(get, folder):
    """Stopped, saved, loaded and resumed in three places equals undisturbed, for each optimiser."""
    train, checkpoint = get("training.loop").train, get("training.checkpoint")
    for recipe in ({"warmup": 5, "clip": 0.5, "seed": 9}, {"optimiser": "sgd"}):
        run, batch = new_run(get, recipe)
        other = dataclasses.replace(batch, ids=[SOURCE[::-1], [3, 3, 2, 0, 0, 0]])
        batches = [batch, other, batch]
        train(run, batches, 23)
        again, _ = new_run(get, recipe)
        path = Path(folder) / "run.npz"
        for stop in (1, 8, 15):
            train(again, batches, stop, save=path)
            again = checkpoint.load_run(path)
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


def saved_on_time(get, folder):
    """After every tenth step and after the last one; a save that fails leaves the old file."""
    run, batch = new_run(get)
    path = Path(folder) / "timely.npz"
    seen = []

    def look(progress):
        if path.exists():
            seen.append((progress.step, get("training.checkpoint").load_run(path).step))

    get("training.loop").train(run, batch, 24, on_step=look, save=path, save_every=10)
    assert [pair for pair in seen if pair[0] in (11, 20, 21, 24)] == [
        (11, 10), (20, 10), (21, 20), (24, 20),
    ]  # fmt: skip
    assert get("training.checkpoint").load_run(path).step == 24
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
            get("training.checkpoint").save_run(path, run)
    finally:
        np.lib.format.write_array = write_array
    assert path.read_bytes() == old
    assert [file.name for file in Path(folder).iterdir() if "timely" in file.name] == [path.name]


def a_spoilt_file_is_refused(get, folder):
    """Every array of another shape or type, missing or extra, and a `meta` of something else."""
    checkpoint, errors = get("training.checkpoint"), get("errors")
    run, batch = new_run(get)
    get("training.loop").train(run, batch, 3)
    path, spoilt = Path(folder) / "good.npz", Path(folder) / "spoilt.npz"
    checkpoint.save_run(path, run)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)

    def refused(changed, words):
        np.savez(spoilt, **changed)
        with pytest.raises(errors.NumtxError, match=words):
            checkpoint.load_run(spoilt)

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
    with pytest.raises(errors.FileError):
        checkpoint.load_run(spoilt)


def stops_when_not_finite(get, folder):
    """A loss that overflows ends the run before the update, and the good file stays."""
    run, batch = new_run(get, {"optimiser": "sgd", "learning_rate": 1e200})
    path = Path(folder) / "last_good.npz"
    error = get("errors").TrainingError
    with pytest.raises(error, match=r"step 2: the loss is (nan|inf).*learning rate"):
        get("training.loop").train(run, batch, 50, save=path, save_every=1)
    assert run.step == 1 and len(run.losses) == 1
    assert get("training.checkpoint").load_run(path).step == 1


def training_lowers_the_loss(get, folder):
    """The default recipe learns both rows by heart."""
    run, batch = new_run(get)
    get("training.loop").train(run, batch, 700)
    assert run.losses[-1] < 0.05
    given = get("training.greedy").answers(run.config, run.parameters, batch, eos=2)
    assert [answer.given for answer in given] == [TARGET, [6, 6, 2]]
    assert [answer.wanted for answer in given] == [TARGET, [6, 6, 2]]
