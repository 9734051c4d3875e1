"""V16: vectors in place of ids, and a memory in place of an encoder's run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..laws.law import Draw, expect, law
from ..own_laws.runs import labelled, prefixes
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


@law(
    "V16",
    "rows of the table given as vectors, and the encoder's output as memory, are the run with "
    "ids, bit for bit, and get the gradients that these have there",
    "以词表的行作为向量, 以编码器的输出作为记忆, 与用 id 运行逐位相同, 所得梯度亦然",
    NUMTX,
    exact=True,
)
def vectors(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    whole = subject.record(batch)
    given: dict[str, Any] = {}
    for prefix, side in prefixes(subject).items():
        name = "embedding" if subject.config.shared_embedding else f"{side}.embedding"
        rows = subject.parameters[name][np.asarray(getattr(batch, f"{prefix}ids"))]
        given |= {f"{prefix}vectors": rows, f"{prefix}ids": None}
    runs = [subject.record(replace(batch, **given))]
    if subject.two_stacks:
        memory = whole["encoder.output"]
        rest = {"ids": None, "segments": None, "memory": memory}
        runs.append(subject.record(replace(batch, **rest)))
    for run in runs:
        for stage in run.gradients:
            if not stage.startswith("parameters/"):
                before, after = whole.grad(stage), run.grad(stage)
                if before.ndim < 2:
                    before, after = before.reshape(1, 1), after.reshape(1, 1)
                told = f"gradient of {stage}"
                expect(subject, told, before, after, example, exact=True)
        before, after = whole["loss"].reshape(1, 1), run["loss"].reshape(1, 1)
        expect(subject, "the loss differs", before, after, example, exact=True)
    return True
