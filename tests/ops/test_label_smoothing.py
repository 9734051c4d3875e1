"""Label smoothing through the whole model: stages, formula, and every cell by the oracle."""

import numpy as np
import pytest

from numtx.batch import Batch
from numtx.check.verify import verify
from numtx.config import Config
from numtx.parameters import initialise
from numtx.stages.resolve import resolve
from numtx.trace.trace import record


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_the_oracle_agrees(smoothing, dtype):
    config = Config(
        model="decoder-only", width=8, decoder_layers=1, hidden=6, vocabulary=11,
        label_smoothing=smoothing, dtype=dtype,
    )  # fmt: skip
    labels = [[4, -100, 0], [10, 4, 4]]
    trace = record(config, initialise(config, 0), Batch([[1, 2, 3], [3, 2, 1]], labels=labels))
    assert verify(trace).wrong == []
    assert trace["loss.per_token"].dtype == dtype
    assert trace["loss.per_token"][0, 1] == 0
    assert not trace.grad("log_probabilities")[0, 1].any()
    sums = trace.grad("logits").sum(-1)
    np.testing.assert_allclose(sums, 0, rtol=0, atol=16 * np.finfo(dtype).eps)


def test_the_formula_says_it_where_there_is_some():
    fields = {
        "model": "decoder-only", "width": 4, "decoder_layers": 1, "hidden": 6, "vocabulary": 7,
    }  # fmt: skip
    assert resolve(Config(**fields))["loss.per_token"].formula == "-log P(label)"
    formula = resolve(Config(**fields, label_smoothing=0.1))["loss.per_token"].formula
    assert formula == "-(1 - 0.1) * log P(label) - 0.1/7 * sum of log P"


def test_uniform_logits_give_the_logarithm_of_the_vocabulary():
    config = Config(
        model="decoder-only", width=4, decoder_layers=1, hidden=6, vocabulary=7,
        label_smoothing=0.3,
    )  # fmt: skip
    parameters = initialise(config)
    parameters["output.w"][:] = 0.0
    trace = record(config, parameters, Batch([[1, 2]], labels=[[5, 6]]))
    np.testing.assert_allclose(trace["loss"], np.log(7), rtol=1e-14)
