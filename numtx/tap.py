"""The tap: how each stage of a run can be seen, and pinned, without cluttering the mathematics.

The mathematics says `scores = tap("scores", products * scale)`. `NO_TAP` gives the value back
unchanged. A `Recorder` keeps it; given a pin, it gives back the pinned value instead. In the
backward pass `dscores = tap.grad("scores", dscores)` keeps the gradient at the same stage.
`tap.at("decoder.0")` puts a scope before the names. One recorder is one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from .errors import StageError, nearest
from .shapes import Array, without_leading_ones
from .small_repr import small_repr


class Tap(Protocol):
    """What the mathematics asks of a tap."""

    active: bool  # False: it is off, and nothing is emitted to it

    def __call__(self, name: str, value: Array) -> Array:
        """Emit a stage's value; go on with what comes back."""

    def show(self, name: str, value: Array) -> None:
        """Emit a value that is for the reader only: nothing consumes it, so it takes no pin."""

    def grad(self, name: str, gradient: Array) -> Array:
        """Emit the total gradient at a stage's value; go on with what comes back."""

    def at(self, scope: str) -> Tap:
        """The same tap with `scope.` before every name."""

    def end(self) -> None:
        """The run is over: complain about what did not fit it."""


class _NoTap:
    """A tap that is off."""

    __slots__ = ()
    active = False

    def __call__(self, name: str, value: Array) -> Array:
        return value

    def show(self, name: str, value: Array) -> None:
        return None

    def grad(self, name: str, gradient: Array) -> Array:
        return gradient

    def at(self, scope: str) -> Tap:
        return self

    def end(self) -> None:
        return None


NO_TAP: Tap = _NoTap()


@small_repr()
class Pin(NamedTuple):
    """Cells held constant: where `where` is True the stage is `value`, elsewhere it computes."""

    where: Array
    value: Array


@small_repr("values", "gradients", "pins")
class Recorder:
    """A tap that keeps every value and every gradient of one run, in the order of emission.

    Pins map a stage to an array (every cell pinned) or to a `Pin`, (where, value). Pinned cells are
    constants: the recorded gradient is the total gradient at the value after the pin, and
    what flows on upstream is zero there. Recorded arrays are read-only.

    keep  name -> whether a stage is kept; None: all are. Pinned ones are kept always.

    Errors (`StageError`): a stage or a gradient emitted twice, a gradient of another shape
    than its value, a pin of another shape than its stage, a pin that no stage matched.
    """

    __slots__ = ("_prefix", "gradients", "keep", "pins", "values")
    active = True

    def __init__(
        self,
        pins: Mapping[str, Array | Pin] | None = None,
        keep: Callable[[str], bool] | None = None,
    ) -> None:
        self.values: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.pins: dict[str, Pin] = {name: _as_pin(name, pin) for name, pin in (pins or {}).items()}
        self.keep = keep
        self._prefix = ""

    def __call__(self, name: str, value: Array) -> Array:
        name = self._prefix + name
        if name in self.values:
            raise _emitted_twice("value", name)
        if self.pins and name in self.pins:
            pin = self.pins[name] = _fit(name, self.pins[name], value)
            value = np.where(pin.where, pin.value, value)
        elif self.keep is not None and not self.keep(name):
            return value
        # An array that owns its data is frozen in place; a view is copied, for its base may
        # be a cache or the caller's own array. (NumPy gives scalars for a full reduction.)
        if type(value) is not np.ndarray or value.base is not None:
            value = np.array(value)
        value.setflags(False)  # type: ignore[call-arg]  # `write`, three times faster than by name
        self.values[name] = value
        return value

    def show(self, name: str, value: Array) -> None:
        if self._prefix + name in self.pins:
            raise StageError(
                f"pin {self._prefix + name!r}: nothing consumes this stage, so a pin would "
                "change nothing; pin a stage before it"
            )
        self(name, value)

    def grad(self, name: str, gradient: Array) -> Array:
        name = self._prefix + name
        if name in self.gradients:
            raise _emitted_twice("gradient", name)
        if self.keep is not None and not self.keep(name) and name not in self.pins:
            return gradient
        value = self.values.get(name)
        if value is None or value.shape != gradient.shape:
            raise StageError(
                f"gradient of {name!r} has shape {gradient.shape} but the forward pass recorded "
                f"{'no value' if value is None else value.shape}; run backward with the "
                "recorder of its own forward pass"
            )
        if type(gradient) is not np.ndarray or gradient.base is not None:
            gradient = np.array(gradient)
        gradient.setflags(False)  # type: ignore[call-arg]
        self.gradients[name] = gradient
        if self.pins and name in self.pins:
            return np.where(self.pins[name].where, gradient.dtype.type(0), gradient)
        return gradient

    def at(self, scope: str) -> Tap:
        scoped = Recorder.__new__(Recorder)
        scoped.values, scoped.gradients, scoped.pins = self.values, self.gradients, self.pins
        scoped.keep = self.keep
        scoped._prefix = f"{self._prefix}{scope}."
        return scoped

    def end(self) -> None:
        if self._prefix:  # a scope is a part of a run; its end is not the run's end
            return
        for name in self.pins:
            if name not in self.values:
                raise StageError(f"pin {name!r}: no such stage; {nearest(name, self.values)}")


def _emitted_twice(what: str, name: str) -> StageError:
    return StageError(
        f"{what} of {name!r} was emitted twice; one recorder is one run: make a new Recorder"
    )


def _as_pin(name: str, pin: Array | Pin) -> Pin:
    if isinstance(pin, tuple) and len(pin) == 2:
        where, value = np.asarray(pin[0]), np.asarray(pin[1])
    else:
        value = np.asarray(pin)
        where = np.ones(value.shape, dtype=bool)
    if where.dtype != np.bool_ or where.shape != value.shape:
        raise StageError(
            f"pin {name!r}: `where` is {where.dtype} {where.shape} and `value` has shape "
            f"{value.shape}; `where` is boolean and of the same shape"
        )
    return Pin(where, value)


def _fit(name: str, pin: Pin, value: Array) -> Pin:
    """The pin in the stage's shape and type; leading axes of size one may be left out."""
    shape = value.shape
    if pin.value.shape != shape:
        if without_leading_ones(pin.value.shape) != without_leading_ones(shape):
            raise StageError(
                f"pin {name!r} has shape {pin.value.shape}; the stage has shape {shape} "
                "(leading axes of size one may be left out)"
            )
        pin = Pin(pin.where.reshape(shape), pin.value.reshape(shape))
    if not np.can_cast(pin.value.dtype, value.dtype, "same_kind"):
        raise StageError(f"pin {name!r} is {pin.value.dtype}; the stage is {value.dtype}")
    return Pin(pin.where, pin.value.astype(value.dtype))
