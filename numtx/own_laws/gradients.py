"""G1 to G3: gradients."""

from __future__ import annotations

import math

import numpy as np

from .. import model
from ..batch import Batch
from ..config import Config
from ..laws.law import Draw, LawBroken, expect, expect_true, law, seeds, tolerance_of
from ..shapes import Array
from ..subjects.models import parameters_of
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import attentions, labelled

H = 1e-5


@law(
    "G1",
    "every gradient is the slope of the loss, along random directions",
    "梯度等于损失沿随机方向的斜率",
    NUMTX,
    cost=5,
)
def slopes(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    own = subject.parameters
    factor = 0.7
    gradients = subject.record(batch, cotangent=factor).gradients
    # A difference over a step of H needs float64, whatever the type of the gradients.
    own = {n: a.astype(np.float64) for n, a in own.items()}
    fine = subject.with_(own, dtype="float64").config
    limit = max(1e-7, tolerance_of(subject, next(iter(subject.parameters.values()))))
    generator = np.random.default_rng(draw(seeds))
    for name, tensor in own.items():
        along = generator.standard_normal(tensor.shape)
        along /= math.sqrt(float((along * along).sum()))  # a step of length H, whatever the size
        ends = [
            _loss(fine, {**own, name: tensor + side * H * along}, batch) for side in (1.0, -1.0)
        ]
        slope = factor * (ends[0] - ends[1]) / (2.0 * H)
        got = float((gradients[f"parameters/{name}"] * along).sum())
        if not abs(slope - got) <= limit * max(1.0, abs(slope)):
            raise LawBroken(f"gradient of {name}", example, None, slope, got)
    return True


def _loss(config: Config, parameters: dict[str, Array], batch: Batch) -> float:
    loss = model.forward(config, parameters, batch)[0].loss
    assert loss is not None  # there are labels
    return float(loss)


@law(
    "G2",
    "gradients to keys and values that no query attends to are exactly 0, and to masked scores",
    "无人关注的键与值, 以及被遮蔽的分数, 梯度恰为 0",
    NUMTX,
)
def dead_keys(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch)
    hidden = 0
    for place in attentions(trace):
        seen = trace[f"{place}.mask"]
        dead = ~seen.any((1, 2))
        hidden += int((~seen).sum())
        for leaf in ("keys", "values"):
            gradient = trace.grad(f"{place}.{leaf}").swapaxes(1, 2)
            what = f"{place}.{leaf} has a gradient where nobody looks"
            expect_true((gradient[dead] == 0.0).all(), what, example)
        for leaf in ("scores", "masked_scores"):
            zero = (trace.grad(f"{place}.{leaf}")[~seen] == 0.0).all()
            expect_true(zero, f"{place}.{leaf} has a gradient where it is masked", example)
    return hidden > 0


@law(
    "G3",
    "a parameter that is used twice sums the gradients of both uses",
    "被使用两次的参数, 梯度为两条路径之和",
    NUMTX,
)
def shared(subject: NumtxSubject, draw: Draw) -> bool:
    """A tied output beside an output of its own with the same numbers."""
    tied = subject.with_(parameters_of(subject.with_(tied_output=True).config), tied_output=True)
    free = subject.with_(tied_output=False)
    name = "embedding" if tied.config.shared_embedding else f"{tied.side}.embedding"
    untied = {**tied.parameters, "output.w": tied.parameters[name].T.copy()}
    batch, example, _, _ = labelled(subject, draw)
    first, second = tied.record(batch), free.with_(untied).record(batch)
    expect(subject, "logits differ", second["logits"], first["logits"], example)
    paths = second.grad(f"parameters/{name}") + second.grad("parameters/output.w").T
    got = first.grad(f"parameters/{name}")
    expect(subject, f"gradient of {name}", paths[None], got[None], example)
    return True
