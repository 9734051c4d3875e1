"""Tensors of PyTorch for operators that take them; imported only where one is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import SubjectError
from ..shapes import Array


def as_tensor(x: Array, dtype: str | None) -> Any:
    """An array as a tensor of its own, of a type by its name."""
    import torch

    found = torch.tensor(x)
    return found if dtype is None else found.to(getattr(torch, dtype))


def as_array(x: Any) -> tuple[Array, str]:
    """A tensor as an array, and the name of its type; bfloat16 is widened."""
    x, dtype = x.detach().cpu(), str(x.dtype).partition(".")[2]
    found: Array = np.array((x.float() if dtype == "bfloat16" else x).numpy())
    return found, dtype


def differentiated(
    function: Callable[..., Any],
    dout: Any,
    given: Sequence[Any],
    named: Mapping[str, Any],
    name: str,
) -> tuple[Any, ...]:
    """The gradients of the first output to q, k and v, by autograd."""
    import torch

    leaves = [x.clone().requires_grad_(True) for x in given]
    found = function(*leaves, **named)
    out = found[0] if isinstance(found, tuple | list) else found
    if not getattr(out, "requires_grad", False):
        raise SubjectError(f"{name} gives tensors without gradients; gradients=False says so")
    return tuple(torch.autograd.grad(out, leaves, dout.to(out.dtype)))
