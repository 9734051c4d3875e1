"""A backward pass of somebody else's: what it is made of, and how it is called.

    forward(*inputs) -> result                 backward(cotangent, *inputs) -> gradients
    forward(*inputs) -> (result, kept)         backward(cotangent, kept) -> gradients

The gradients are those of sum(result * cotangent), one for each input, or for each array, or for
each array of floating numbers; one alone need not be in a tuple. NumPy, or PyTorch where the inputs
are its tensors or the object is one of its functions with a backward of their own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..errors import UsageError
from ..shapes import Array
from ..small_repr import small_repr

WANTED = (
    "a function without arguments that returns (forward, backward, inputs), a "
    "numtx.BackwardPass, or what has forward and backward, with inputs or --shapes"
)
SUFFIXES = ("_backward", "_back", "_bwd", "_vjp", "_grad")


@small_repr("names")
class BackwardPass(NamedTuple):
    """A forward pass, its backward pass, and inputs to try them on; names of the inputs, where
    those of the arguments of forward will not do."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: Sequence[Any] | Mapping[str, Any]
    names: Sequence[str] = ()


class Own:
    """A backward pass as it is checked: NumPy arrays in float64 go in and come out."""

    def __init__(self, found: BackwardPass, where: str) -> None:
        self.where, self.forward_of, self.backward_of = where, found.forward, found.backward
        given = found.inputs
        names = list(found.names)
        if isinstance(given, Mapping):
            names, given = names or [str(name) for name in given], list(given.values())
        elif isinstance(given, np.ndarray) or _is_tensor(given) or not isinstance(given, Sequence):
            given = [given]
        self.torch = any(_is_tensor(x) for x in given)
        self.given = [_array(x) if _is_tensor(x) or isinstance(x, np.ndarray | list) else x
                      for x in given]  # fmt: skip
        called = _arguments(found.forward)
        self.names = [
            names[k] if k < len(names) else called[k] if k < len(called) else f"input {k}"
            for k in range(len(self.given))
        ]
        self.arrays = [k for k, x in enumerate(self.given) if isinstance(x, np.ndarray)]
        self.floats = [k for k in self.arrays if self.given[k].dtype.kind == "f"]
        if not self.floats:
            raise UsageError(f"{where}: no input is an array of floating numbers")
        for k in self.floats:
            self.given[k] = self.given[k].astype(np.float64)

    def forward(self, inputs: Sequence[Any]) -> Array:
        """The result alone."""
        return self.run(inputs)[0]

    def moved(self, k: int, x: Array) -> Array:
        """The result with another input in one place."""
        return self.forward([*self.given[:k], x, *self.given[k + 1 :]])

    def run(self, inputs: Sequence[Any]) -> tuple[Array, Any, bool]:
        """The result, what forward kept, and whether it kept anything."""
        taken = [self._in(x) for x in inputs]
        found = self._call("forward", self.forward_of, *taken)
        for name, x, y in zip(self.names, inputs, taken, strict=True):
            if isinstance(x, np.ndarray) and not np.array_equal(x, _array(y), equal_nan=True):
                raise UsageError(f"{self.where}: forward changes its input {name} in place")
        keeps = isinstance(found, tuple | list) and len(found) == 2
        result, kept = found if keeps else (found, None)
        if not (isinstance(result, np.ndarray | np.generic | float) or _is_tensor(result)):
            raise UsageError(
                f"{self.where}: forward returns {type(found).__name__}; it should be an array, or "
                "(array, what backward needs)"
            )
        y = _array(result)
        if y.dtype != np.float64:
            raise UsageError(
                f"{self.where}: forward gives {y.dtype} where its inputs are float64; differences "
                "need float64: take the type from the inputs"
            )
        return y, kept, keeps

    def gradients(self, cotangent: Array) -> dict[int, Array]:
        """What backward gives, by the place of the input; None is left out."""
        result, kept, keeps = self.run(self.given)
        taken = [self._in(x) for x in self.given]
        d = self._in(cotangent.reshape(result.shape))
        if keeps:
            found = self._call("backward", self.backward_of, d, kept)
        elif len(_required(self.backward_of)) == 1:  # what it needs is kept on an object
            found = self._call("backward", self.backward_of, d)
        else:
            found = self._call("backward", self.backward_of, d, *taken)
        for name, x, y in zip(self.names, self.given, taken, strict=True):
            if isinstance(x, np.ndarray) and not np.array_equal(x, _array(y), equal_nan=True):
                raise UsageError(f"{self.where}: backward changes the input {name} in place")
        if isinstance(found, Mapping):
            found = [found.get(name) for name in self.names]
        several = list(found) if isinstance(found, tuple | list) else [found]
        for places in (list(range(len(self.given))), self.arrays, self.floats):
            if len(places) == len(several):
                break
        else:
            names = ", ".join(self.names[k] for k in self.arrays)
            raise UsageError(
                f"{self.where}: backward gives {len(several)} gradients; there are "
                f"{len(self.arrays)} inputs ({names})"
            )
        return {k: self._gradient(k, x) for k, x in zip(places, several, strict=True)
                if x is not None and k in self.floats}  # fmt: skip

    def _gradient(self, k: int, given: Any) -> Array:
        try:
            found = _array(given)
        except (TypeError, ValueError):
            found = np.empty(0, object)
        if found.dtype.kind not in "fiu":
            raise UsageError(
                f"{self.where}: the gradient of {self.names[k]} is no array of numbers"
            )
        if found.shape != (want := self.given[k].shape):
            more = ""
            if found.shape == want[::-1]:
                more = " (transposed)"
            elif found.shape[-len(want) :] == want:
                more = " (not summed over the axes before)"
            raise UsageError(
                f"{self.where}: the gradient of {self.names[k]} has shape {found.shape}; it should "
                f"be {want}{more}"
            )
        return found

    def _in(self, x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        if self.torch:
            import torch

            return torch.tensor(x)
        return x.copy()

    def _call(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                return function(*args)
        except Exception as error:
            told = " ".join(str(error).split())
            raise UsageError(
                f"{self.where}: {what} raises {type(error).__name__}: {told}"
            ) from None


def own(found: Any, where: str, inputs: Any = None, backward: Any = None) -> Own:
    """A backward pass of an object of a module.

    inputs    in place of the object's own
    backward  the backward pass, where the object is a forward pass
    """
    if backward is not None:
        return Own(BackwardPass(found, backward, _needed(inputs, where)), where)
    if callable(found) and not isinstance(found, type) and not hasattr(found, "backward"):
        if _required(found):
            raise UsageError(
                f"{where} takes arguments ({', '.join(_required(found))}): is it a forward pass? "
                f"Give --backward NAME and --shapes, or {WANTED}"
            )
        try:
            found = found()
        except Exception as error:
            told = " ".join(str(error).split())
            raise UsageError(f"{where} raises {type(error).__name__}: {told}") from None
    if isinstance(found, Mapping) and {"forward", "backward"} <= set(found):
        found = SimpleNamespace(**found)
    elif type(found) in (tuple, list) and len(found) in (3, 4):
        found = BackwardPass(*found)
    if _is_function_of_torch(found):
        run, back = _of_torch(found)
        called = _arguments(found.forward)[1:]  # after the context
        return Own(BackwardPass(run, back, _needed(_as_tensors(inputs), where), called), where)
    if isinstance(found, type) and "self" in _arguments(getattr(found, "forward", None)):
        found = found()
    forward, vjp = getattr(found, "forward", None), getattr(found, "backward", None)
    if not (callable(forward) and callable(vjp)):
        raise UsageError(f"{where} gives {type(found).__name__}; it should be {WANTED}")
    had = inputs if inputs is not None else getattr(found, "inputs", None)
    names: Sequence[str] = getattr(found, "names", ())
    return Own(BackwardPass(forward, vjp, _needed(had, where), names), where)


def backward_beside(module: Any, name: str) -> Any:
    """The backward pass that stands beside a forward pass in its module, by its name."""
    stem = name.removesuffix("_forward")
    return next((found for suffix in SUFFIXES
                 if callable(found := getattr(module, stem + suffix, None))), None)  # fmt: skip


def _needed(inputs: Any, where: str) -> Any:
    if inputs is None:
        raise UsageError(
            f"{where}: which inputs? --shapes '[[2,3,8],[8]]' draws them; --inputs FILE.npz"
        )
    return inputs


def _arguments(function: Any) -> list[str]:
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in every if p.kind in positional]


def _required(function: Any) -> list[str]:
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in every if p.default is p.empty and p.kind is not p.VAR_KEYWORD
            for _ in range(1 + (p.kind is p.VAR_POSITIONAL))]  # fmt: skip


# ---- PyTorch, where the module has loaded it


def _is_tensor(x: Any) -> bool:
    return "torch" in sys.modules and isinstance(x, sys.modules["torch"].Tensor)


def _is_function_of_torch(found: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, type) and issubclass(
        found, torch.autograd.Function
    )  # fmt: skip


def _as_tensors(inputs: Any) -> Any:
    if inputs is None:
        return None
    import torch

    values = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
    return [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in values]


def _of_torch(function: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A function of torch with a backward of its own, as two functions."""
    import torch

    def backward(d: Any, *inputs: Any) -> list[Any]:
        for x in inputs:
            if torch.is_tensor(x) and x.is_floating_point():
                x.requires_grad_()
        y = function.apply(*inputs)
        some = [x for x in inputs if torch.is_tensor(x) and x.is_floating_point()]
        return list(torch.autograd.grad(y, some, d, allow_unused=True))

    return lambda *inputs: function.apply(*inputs), backward


def _array(x: Any) -> Array:
    return np.asarray(x.detach().cpu().numpy() if _is_tensor(x) else x)
