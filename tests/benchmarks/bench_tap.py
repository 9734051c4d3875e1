"""What a tap costs that is off, and what recording costs, in the tiny encoder-decoder.

The package runs beside a second copy of itself in which every call of a tap is taken out of
the source: what is left is the mathematics alone.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
from interleave import ratios, report

import numtx
from numtx.testing.second_copy import SecondCopy, second_copy

PLACES = {"at", "here"}  # the names that the source gives to places


def is_tap(node: ast.AST) -> bool:
    """`tap`, or that of a place: `at.tap`"""
    return getattr(node, "id", getattr(node, "attr", "")) == "tap"


def is_place(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in PLACES


class WithoutTaps(ast.NodeTransformer):
    """`at("x", v)` -> `v`, `at.grad("x", v)` -> `v`, and of `tap` or `at.tap` the same;
    `tap.at("x")` -> `tap`, `tap.active` -> False, what else is read of a tap -> None"""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if is_tap(function) or is_place(function):
            return self.visit(node.args[1])
        if isinstance(function, ast.Attribute):
            of_tap = is_tap(function.value)
            if function.attr == "grad" and (of_tap or is_place(function.value)):
                return self.visit(node.args[1])
            if of_tap:
                return function.value if function.attr == "at" else ast.Constant(None)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if is_tap(node.value):
            return ast.Constant(False if node.attr == "active" else None)
        return self.generic_visit(node)


def without_taps(module: str, source: str) -> str:
    """The source of a module with every tap taken out (the tap itself stays)."""
    return source if module == "tap" else ast.unparse(WithoutTaps().visit(ast.parse(source)))


class Untouchable:
    """A tap that no one may use: it shows that no call of a tap was left standing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the copy without taps uses its tap: {name}")

    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError(f"the copy without taps calls its tap: {arguments}")


def main() -> None:
    with second_copy(transform=without_taps) as copy:
        compare(copy)


def compare(copy: SecondCopy) -> None:
    config = numtx.Config(
        width=4, hidden=16, encoder_layers=2, decoder_layers=2, vocabulary=10, position_base=100.0
    )
    parameters = numtx.initialise(config, 0)
    arrays = [[3, 4, 4, 5, 6, 7, 2]], [[1, 3, 4, 4, 5, 6, 7]], [[3, 4, 4, 5, 6, 7, 2]]
    batch = numtx.Batch(*arrays)
    bare: Any = copy.module("model")
    no_tap: Any = Untouchable()
    bare_config = copy.module("config").Config(**config.to_dict())
    bare_batch = copy.module("batch").Batch(*arrays)

    def forward_bare() -> Any:
        return bare.forward(bare_config, parameters, bare_batch, no_tap)

    def forward_off() -> Any:
        return numtx.forward(config, parameters, batch)

    def forward_recorded() -> Any:
        return numtx.forward(config, parameters, batch, numtx.Recorder())

    def both_bare() -> Any:
        return bare.backward(forward_bare()[1], 1.0, no_tap)

    def both_off() -> Any:
        return numtx.backward(forward_off()[1])

    def both_recorded() -> Any:
        recorder = numtx.Recorder()
        return numtx.backward(numtx.forward(config, parameters, batch, recorder)[1], 1.0, recorder)

    losses = [run()[0].loss for run in (forward_bare, forward_off, forward_recorded)]
    assert losses[0] == losses[1] == losses[2], losses
    gradients = [run() for run in (both_bare, both_off, both_recorded)]
    for name, expected in gradients[0].items():
        assert np.array_equal(gradients[1][name], expected), name
        assert np.array_equal(gradients[2][name], expected), name

    aim = "off 1.04 x, recording 1.15 x, above 1.30 x is a defect"
    found = ratios(
        {"no taps": forward_bare, "taps off": forward_off, "recording": forward_recorded}, 300, 4
    )
    report("forward pass, tiny encoder-decoder", found, aim)
    found = ratios({"no taps": both_bare, "taps off": both_off, "recording": both_recorded}, 200, 2)
    report("forward and backward pass, tiny encoder-decoder", found, aim)


if __name__ == "__main__":
    main()
