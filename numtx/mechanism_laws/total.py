"""L6: the loss as a sum."""

from __future__ import annotations

from ..laws.law import Draw, expect, law
from ..ops.loss import IGNORED
from ..own_laws.runs import labelled
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


@law(
    "L6",
    "a loss that is summed, and each of its gradients, is that of the mean times the labels that "
    "count",
    "求和的损失及其各梯度, 等于取平均时的乘以计入的标签数",
    NUMTX,
)
def total(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, labels = labelled(subject, draw)
    count = int((labels != IGNORED).sum())
    mean, summed = (subject.with_(loss_reduction=r).record(batch) for r in ("mean", "sum"))
    expected = count * mean["loss"].reshape(1, 1)
    expect(subject, "the sum is another", expected, summed["loss"].reshape(1, 1), example)
    for name in subject.parameters:
        place = f"parameters/{name}"
        before, after = (count * mean.grad(place))[None], summed.grad(place)[None]
        expect(subject, f"gradient of {name}", before, after, example)
    return count > 1
