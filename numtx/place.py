"""A place in a model: the parameters, the tap and the gradients below one prefix.

    queries, context = at.linear(x, "q")     x·w_q + b_q, and what its backward pass needs
    queries = at("queries", queries)         emit a stage
    dqueries = at.grad("queries", dqueries)  emit its gradient
    here = at / "self_attention"             one level down

It holds no results: what a forward pass computes travels in return values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .config import Config
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.norm import NormContext, norm_backward, norm_forward
from .shapes import Array
from .tap import NO_TAP, Tap


class Place:
    """Parameters, tap and gradients below a prefix; internal, `tap` is the public face."""

    __slots__ = ("grad", "gradients", "parameters", "prefix", "tap")

    def __init__(
        self,
        parameters: Mapping[str, Array],
        tap: Tap = NO_TAP,
        gradients: dict[str, Array] | None = None,
        prefix: str = "",
    ) -> None:
        self.parameters = parameters
        self.tap = tap
        self.grad = tap.grad  # emits the total gradient at a stage's value, and gives it back
        self.gradients = {} if gradients is None else gradients
        self.prefix = prefix

    def __truediv__(self, name: str) -> Place:
        """The place one level down."""
        tap = self.tap.at(name) if self.tap.active else self.tap
        return Place(self.parameters, tap, self.gradients, f"{self.prefix}{name}.")

    def __call__(self, name: str, value: Array) -> Array:
        """Emit a stage's value; go on with what comes back."""
        return self.tap(name, value) if self.tap.active else value

    def __getitem__(self, name: str) -> Array:
        """A parameter of this place."""
        return self.parameters[self.prefix + name]

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.parameters

    def add(self, name: str, gradient: Array) -> None:
        """Add a path's share to the gradient of a parameter, which sums all its paths."""
        name, found = self.prefix + name, self.gradients
        found[name] = found[name] + gradient if name in found else gradient

    def linear(self, x: Array, letter: str) -> tuple[Array, LinearContext]:
        """x·w + b, with w_`letter`, and b_`letter` where the model has it"""
        known, prefix = self.parameters, self.prefix
        return linear_forward(x, known[f"{prefix}w_{letter}"], known.get(f"{prefix}b_{letter}"))

    def linear_backward(self, dy: Array, context: LinearContext, letter: str) -> Array:
        """y = x·w + b    =>    dx; dw and db are added to the gradients"""
        dx, dw, db = linear_backward(dy, context)
        self.add(f"w_{letter}", dw)
        if db is not None:
            self.add(f"b_{letter}", db)
        return dx

    def norm(
        self, x: Array, config: Config, name: str = "norm", centred: bool | None = None
    ) -> tuple[Array, NormContext]:
        """The norm over the last axis with the gain (gain_offset + w) and bias below `name` that
        the model has.

        centred  a mean is taken away; None: as the configuration's norm has it
        """
        known, prefix = self.parameters, f"{self.prefix}{name}."
        # Asked for without a call: a norm is small beside what Python calls.
        gain = known[f"{prefix}gain"] if f"{prefix}gain" in known else None  # noqa: SIM401
        if gain is not None and config.gain_offset:
            gain = gain + config.gain_offset
        bias = known[f"{prefix}bias"] if f"{prefix}bias" in known else None  # noqa: SIM401
        centred = config.norm == "layer" if centred is None else centred
        return norm_forward(x, gain, bias, config.epsilon, centred)

    def norm_backward(self, dy: Array, context: NormContext, name: str = "norm") -> Array:
        """y = norm(x)    =>    dx; those of gain and bias are added to the gradients"""
        dx, dgain, dbias = norm_backward(dy, context)
        if dgain is not None:
            self.add(f"{name}.gain", dgain)
        if dbias is not None:
            self.add(f"{name}.bias", dbias)
        return dx


Shapes = Iterator[tuple[str, tuple[int, ...]]]  # names and shapes of parameters, in order


def projection(config: Config, letter: str, inner: int, outer: int) -> Shapes:
    """The parameters of a linear map: w_`letter` (in, out), and b_`letter` where it has a bias"""
    yield f"w_{letter}", (inner, outer)
    if config.has_bias(f"b_{letter}"):
        yield f"b_{letter}", (outer,)
