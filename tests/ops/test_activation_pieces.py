from __future__ import annotations

import numpy as np
import pytest

import numtx.ops.activation as activation
from numtx.config.output import ACTIVATIONS


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_pieces_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(2)
    x, dy = draw.standard_normal((2, 3, 5, 7))
    whole = activation.activation_forward(kind, x), activation.activation_backward(kind, dy, x)
    monkeypatch.setattr(activation, "_PIECE", 8)
    pieces = activation.activation_forward(kind, x), activation.activation_backward(kind, dy, x)
    for one, other in zip(whole, pieces, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-14, atol=0.0)
