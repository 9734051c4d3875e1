"""What stands on the last stack."""

from __future__ import annotations

import math

import numpy as np
from samples import assert_close, config_of, one, run_of

from numtx.compare.compare import Side, compare
from numtx.head import head_forward
from numtx.place import Place

MASKED = "masked-language-model"


def test_a_masked_language_model_by_hand():
    """x·W + b = (1, -1, 3) and (0, 2, -2), of which relu leaves (1, 0, 3) and (0, 2, 0)."""
    config = config_of(
        "encoder, chunks", width=3, vocabulary=2, head=MASKED, head_activation="relu", epsilon=0.0,
        heads=1, positions="alibi",
    )  # fmt: skip
    p = {
        "head.w": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        "head.b": np.array([0.0, -1.0, 1.0]),
        "head.norm.gain": np.array([1.0, 2.0, 1.0]),
        "head.norm.bias": np.array([0.0, 0.0, 1.0]),
        "encoder.embedding": np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
        "output.b": np.array([0.0, 10.0]),
    }
    hidden = np.array([[[1.0, 2.0, 0.0], [0.0, -3.0, 3.0]]])
    valid = np.ones((1, 2), bool)
    logits = head_forward(config, Place(p), hidden, valid, None, False)[0]["logits"]
    first, root = math.sqrt(14.0 / 9.0), math.sqrt(2.0)  # deviations of 1, 0, 3 and of 0, 2, 0
    rows = [
        [-1 / 3 / first, -8 / 3 / first, 5 / 3 / first + 1],
        [-1 / root, 2 * root, -1 / root + 1],
    ]
    expected = [[[row[0], row[1] + row[2] + 10.0] for row in rows]]
    assert_close(logits, expected, 1e-14)


def test_a_mistake_in_the_layer_before_the_logits_is_named():
    name = one(lambda config: config.head == MASKED and config.tied_output)
    trace = run_of(name, gradients=False)
    matrix = trace.parameters["encoder.embedding"].T
    for stage, form in (
        ("encoder.output", "left out"), ("head.activation", "its norm left out"),
    ):  # fmt: skip
        assert trace.config.output_scale == 1.0
        wrong = {"logits": trace[stage] @ matrix + trace.parameters["output.b"]}
        theirs = Side("B", {**trace.arrays, **wrong}, None)
        found = compare(Side("A", {**trace.arrays}, trace), theirs).causes
        assert f"layer of the head ({form})" in [one.cause for one in found]
