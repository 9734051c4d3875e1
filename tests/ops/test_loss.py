from __future__ import annotations

import math

import numpy as np
from samples import assert_close, central_difference

from numtx.ops.loss import IGNORED, mean_backward, mean_forward, pick_backward, pick_forward
from numtx.ops.softmax import log_softmax_forward

LABELS = np.array([[2, 0, IGNORED], [4, IGNORED, 1]])
GENERATOR = np.random.default_rng(0)
LOGS = log_softmax_forward(GENERATOR.standard_normal((2, 3, 5)))


def test_pick():
    loss = pick_forward(LOGS, LABELS)
    assert loss[0, 0] == -LOGS[0, 0, 2] and loss[1, 0] == -LOGS[1, 0, 4]
    assert loss[0, 2] == loss[1, 1] == 0.0 and (loss[LABELS >= 0] > 0.0).all()
    assert not np.signbit(loss[0, 2])


def test_uniform_logits_give_the_logarithm_of_the_vocabulary():
    logs = log_softmax_forward(np.zeros((2, 3, 5)))
    assert_close(mean_forward(pick_forward(logs, LABELS), LABELS), math.log(5.0), 1e-15)


def test_the_mean_counts_labels():
    per_token = np.array([[1.0, 2.0, 50.0], [3.0, np.nan, 6.0]])  # two do not count
    assert float(mean_forward(per_token, LABELS)) == 3.0
    assert mean_forward(per_token, LABELS).shape == ()
    share = mean_backward(np.array(8.0), LABELS)
    assert share.tolist() == [[2.0, 2.0, 0.0], [2.0, 0.0, 2.0]]


def test_what_stands_at_an_ignored_place_changes_nothing():
    other = LOGS.copy()
    other[0, 2] = other[1, 1] = -50.0
    assert (pick_forward(other, LABELS) == pick_forward(LOGS, LABELS)).all()
    dlog = pick_backward(GENERATOR.standard_normal((2, 3)), LABELS, LOGS)
    assert not dlog[0, 2].any() and not dlog[1, 1].any()


def test_backward():
    d = GENERATOR.standard_normal((2, 3))
    numeric = central_difference(lambda x: float((pick_forward(x, LABELS) * d).sum()), LOGS)
    assert_close(pick_backward(d, LABELS, LOGS), numeric, 1e-9)
    per_token = pick_forward(LOGS, LABELS)
    numeric = central_difference(lambda x: 1.7 * float(mean_forward(x, LABELS)), per_token)
    assert_close(mean_backward(np.array(1.7), LABELS), numeric, 1e-9)


def test_type_is_kept():
    logs = LOGS.astype(np.float32)
    per_token = pick_forward(logs, LABELS)
    loss = mean_forward(per_token, LABELS)
    back = mean_backward(loss, LABELS)
    kinds = {x.dtype for x in (per_token, loss, back, pick_backward(back, LABELS, logs))}
    assert kinds == {np.dtype(np.float32)}
