"""A right model of float32 is accused of nothing, and a wrong one is found all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from samples import some

from numtx.models import MODELS, parameters_of
from numtx.testing import NumtxSubject
from numtx.testing.trial import BROKEN, ERROR, LAWS, attempt, law_names


def single(name: str) -> NumtxSubject:
    config = MODELS[name].config(dtype="float32")
    return NumtxSubject(config, parameters_of(config), name)


@pytest.mark.parametrize("model", some(1, __name__, list(MODELS)))
def test_a_right_model_of_float32_is_accused_of_nothing(model):
    subject = single(model)
    found = [attempt(LAWS[name], subject, examples=3, shrink=False) for name in law_names()]
    assert [result.why for result in found if result.status in (BROKEN, ERROR)] == []


class Wrong(NumtxSubject):
    """What a run records is off by a hundredth in one array."""

    off = ""

    def record(self, batch, **options):
        trace = super().record(batch, **options)
        values, gradients = dict(trace.values), dict(trace.gradients)
        for arrays in (values, gradients):
            for name in arrays:
                if f"{'grad/' * (arrays is gradients)}{name}" == self.off:
                    arrays[name] = arrays[name] * arrays[name].dtype.type(1.01)
                    if name == "logits":
                        arrays[name] = arrays[name] + arrays[name].dtype.type(0.01)
        return replace(trace, values=values, gradients=gradients)


@pytest.mark.parametrize(
    ("law", "off"),
    [
        ("L1", "loss"), ("L5", "grad/logits"), ("G1", "grad/parameters/output.w"),
        ("S4", "decoder.0.self_attention.context"), ("S3", "logits"), ("T1", "logits"),
    ],
)  # fmt: skip
def test_what_is_off_by_a_hundredth_is_found_in_float32(law, off):
    config = MODELS["encoder-decoder"].config(dtype="float32")
    subject = Wrong(config, parameters_of(config))
    assert attempt(LAWS[law], subject, examples=30, shrink=False).status != BROKEN
    subject.off = off
    assert attempt(LAWS[law], subject, examples=60, shrink=False).status == BROKEN
