"""What a tap costs that is off, and what recording costs, in the tiny encoder-decoder.

The package runs beside a second copy of itself in which every call of a tap is taken out of
the source: what is left is the mathematics alone.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

import numpy as np
from interleave import ratios, report

import numtx

TAPS = {"tap", "here", "there", "onward"}  # the names that the source gives to taps


class WithoutTaps(ast.NodeTransformer):
    """`tap("x", v)` -> `v`, `tap.grad("x", v)` -> `v`, `tap.at("x")` -> `tap`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id in TAPS:
            return node.args[1]
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.value.id not in TAPS:
                return node
            if function.attr == "grad":
                return node.args[1]
            if function.attr == "at":
                return function.value
            return ast.Constant(None)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in TAPS and node.attr == "active":
            return ast.Constant(False)
        return node


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> Any:
        tree = WithoutTaps().visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("untapped."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def without_taps() -> Any:
    """The module `model` of the second copy."""
    package = ModuleType("untapped")
    package.__path__ = numtx.__path__
    sys.modules["untapped"] = package
    sys.meta_path.insert(0, _Finder)
    return importlib.import_module("untapped.model")


class Untouchable:
    """A tap that no one may use: it shows that no call of a tap was left standing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the copy without taps uses its tap: {name}")

    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError(f"the copy without taps calls its tap: {arguments}")


def main() -> None:
    config = numtx.Config(
        width=4, hidden=16, encoder_layers=2, decoder_layers=2, vocabulary=10, position_base=100.0
    )
    parameters = numtx.initialise(config, 0)
    batch = numtx.Batch([[3, 4, 4, 5, 6, 7, 2]], [[1, 3, 4, 4, 5, 6, 7]], [[3, 4, 4, 5, 6, 7, 2]])
    bare = without_taps()
    no_tap: Any = Untouchable()
    bare_config = importlib.import_module("untapped.config").Config(**config.to_dict())

    def forward_bare() -> Any:
        return bare.forward(bare_config, parameters, batch, no_tap)

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
