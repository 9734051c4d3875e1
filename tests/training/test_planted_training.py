"""Bugs planted in loss, optimisers, schedule, loop and saving: each is caught, and by what."""

import pytest
import training_checks as checks

from numtx.testing.second_copy import second_copy

OPTIMISERS, RUN, SCHEDULE = "training.optimisers", "training.run", "training.schedule"
LOOP, CHECKPOINT, RECIPE = "training.loop", "training.checkpoint", "training.recipe"

BUGS = [
    # loss
    ("the smoothed label keeps all of its weight", "ops.loss",
     "picked = (1.0 - smoothing) * picked + share", "picked = picked + share",
     checks.loss_against_a_loop),
    ("smoothing sums over the words without dividing", "ops.loss",
     "share = smoothing / log_probabilities.shape[-1]\n        picked",
     "share = smoothing\n        picked", checks.loss_against_a_loop),
    ("the backward of smoothing forgets the other words", "ops.loss",
     "dlog -= share * dloss[..., None]", "dlog -= 0.0 * dloss[..., None]",
     checks.loss_against_a_loop),
    ("ignored labels still backpropagate", "ops.loss",
     "dloss = np.where(counted, dloss, 0.0)\n", "dloss = dloss + 0.0\n",
     checks.loss_against_a_loop),
    ("the mean divides by all positions", "ops.loss",
     "return int(np.count_nonzero(labels != IGNORED))", "return labels.size",
     checks.loss_against_a_loop),
    ("the model does not hand smoothing to the loss", "model",
     "pick_forward(seen, labels, config.label_smoothing)", "pick_forward(seen, labels)",
     checks.smoothing_reaches_the_model),
    ("the model does not hand smoothing to the backward", "model",
     "pick_backward(dper_token, labels, log_probabilities, config.label_smoothing)",
     "pick_backward(dper_token, labels, log_probabilities)",
     checks.smoothing_reaches_the_model),
    # optimisers
    ("gradient ascent", OPTIMISERS, "weights -= rate * gradient", "weights += rate * gradient",
     checks.sgd_by_hand),
    ("no correction of the first moment", OPTIMISERS,
     "rate / (1.0 - BETA_1**step)", "rate", checks.adamw_by_hand),
    ("no correction of the second moment", OPTIMISERS,
     "denominator *= 1.0 / math.sqrt(1.0 - BETA_2**step)", "pass", checks.adamw_by_hand),
    ("the correction counts steps from 0", OPTIMISERS,
     "1.0 - BETA_1**step", "1.0 - BETA_1 ** (step + 1)", checks.adamw_by_hand),
    ("epsilon inside the root", OPTIMISERS,
     "denominator = np.sqrt(second)", "denominator = np.sqrt(second + EPSILON)",
     checks.adamw_by_hand),
    ("decay without the rate", OPTIMISERS, "1.0 - rate * decay", "1.0 - decay",
     checks.adamw_by_hand),
    ("the second moment of the gradient, not of its square", OPTIMISERS,
     "(1.0 - BETA_2) * gradient * gradient", "(1.0 - BETA_2) * abs(gradient)",
     checks.adamw_by_hand),
    ("clipping lengthens short gradients", OPTIMISERS, "if length > limit:", "if length != limit:",
     checks.clip_by_hand),
    ("the clipped gradient is not used", RUN, "clip(gradient, length, recipe.clip)",
     "clip(gradient.copy(), length, recipe.clip)", checks.one_step_is_the_formula),
    # schedule
    ("no decay after the warmup", SCHEDULE, "min(ratio, 1.0 / math.sqrt(ratio))",
     "min(ratio, 1.0)", checks.schedule_by_hand),
    ("the highest rate ignores the width", SCHEDULE, "math.sqrt(width * warmup)",
     "math.sqrt(warmup)", checks.schedule_by_hand),
    ("the schedule runs a step ahead", RUN, "rate = recipe.rate(number, self.config)",
     "rate = recipe.rate(number + 1, self.config)", checks.a_rate_of_the_schedule_is_used),
    # loop
    ("the run goes on with a loss that is not finite", RUN,
     "if not (math.isfinite(loss) and math.isfinite(length)):", "if False:",
     checks.stops_when_not_finite),
    ("every epoch has the same order", RUN, "[seed, epoch]", "[seed]", checks.batches_take_turns),
    ("batches are drawn with repetition", RUN,
     ".permutation(count)", ".integers(count, size=count)", checks.batches_take_turns),
    ("the last step is not saved", LOOP,
     "    if save is not None:\n        save_run(save, run)\n    return run", "    return run",
     checks.saved_on_time),
    # saving
    ("moments are not restored", CHECKPOINT,
     'run.moments = {name: arrays[f"moments/{name}"] for name in run.moments}', "pass",
     checks.resume_is_bit_for_bit),
    ("the step is not restored", CHECKPOINT, "run.step = step\n", "run.step = 0\n",
     checks.resume_is_bit_for_bit),
    ("the recipe is not restored", CHECKPOINT, "parameter_shapes(config)}, recipe)",
     "parameter_shapes(config)})", checks.resume_is_bit_for_bit),
    ("losses in single precision", CHECKPOINT, "np.array(run.losses, np.float64)",
     "np.array(run.losses, np.float32).astype(np.float64)", checks.resume_is_bit_for_bit),
    ("the weights are no longer one buffer", RUN,
     "self.parameters = unpack(config, self.weights)",
     "self.parameters = unpack(config, self.weights.copy())", checks.one_step_is_the_formula),
    ("an interrupted write takes the name all the same", "files",
     "        aside.unlink(missing_ok=True)\n", "        aside.replace(place)\n",
     checks.saved_on_time),
    ("shapes are not checked", CHECKPOINT,
     "header.shape != shape or header.dtype != dtype", "header.dtype != dtype",
     checks.a_spoilt_file_is_refused),
    ("types are not checked", CHECKPOINT,
     "header.shape != shape or header.dtype != dtype", "header.shape != shape",
     checks.a_spoilt_file_is_refused),
    ("extra arrays are let in", CHECKPOINT, 'if name not in expected and name != "meta":',
     "if False:", checks.a_spoilt_file_is_refused),
    ("numbers that are not finite are let in", CHECKPOINT,
     "if not np.isfinite(arrays[name]).all():", "if False:", checks.a_spoilt_file_is_refused),
]  # fmt: skip

# By what a check says, or by what the code itself refuses; never by source that is broken.
CAUGHT = (AssertionError, ValueError, pytest.fail.Exception)


@pytest.mark.parametrize(("module", "old", "new", "check"), [b[1:] for b in BUGS],
                         ids=[b[0] for b in BUGS])  # fmt: skip
def test_a_planted_bug_is_caught(module, old, new, check, tmp_path):
    with second_copy([(module, old, new)]) as copy, pytest.raises(CAUGHT):
        check(copy.module, tmp_path)


def test_the_copy_without_a_bug_passes(tmp_path):
    with second_copy() as copy:
        for check in {bug[-1] for bug in BUGS}:
            folder = tmp_path / check.__name__
            folder.mkdir()
            check(copy.module, folder)
