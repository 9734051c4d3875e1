"""What a tap costs that is off, and what recording costs, in the tiny encoder-decoder.

The package runs beside itself with every call of a tap taken out of the source: what is left is
the mathematics alone.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from interleave import ratios, report

sys.path.append(str(Path(__file__).resolve().parent.parent))
from zoo.planting import Transform, plant

TAPS = {"tap", "at", "here"}  # the names that the source gives to taps, and to places


class WithoutTaps(ast.NodeTransformer):
    """`at("x", v)` -> `v`, `at.grad("x", v)` -> `v`, `at.tap.active` -> `False`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id in TAPS:
            return node.args[1]
        if isinstance(function, ast.Attribute) and is_tap(function.value):
            if function.attr == "grad":
                return node.args[1]
            if function.attr in ("show", "end"):
                return ast.Constant(None)
            if function.attr == "at":
                return function.value
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "active" and is_tap(node.value):
            return ast.Constant(False)
        return self.generic_visit(node)


def is_tap(node: ast.AST) -> bool:
    """`tap`, `at`, `at.tap`"""
    if isinstance(node, ast.Attribute) and node.attr == "tap":
        node = node.value
    return isinstance(node, ast.Name) and node.id in TAPS | {"self"}


def without_taps(module: str, source: str) -> str:
    """The source of a module with every tap taken out (the tap itself stays)."""
    if module == "tap":
        return source
    if module == "place":  # one that is never to be called
        source = source.replace("self.grad = tap.grad", "self.grad = None")
        source = source.replace(
            "return self.tap(name, value) if self.tap.active else value", "raise"
        )
    return ast.unparse(WithoutTaps().visit(ast.parse(source)))


class Untouchable:
    """A tap that no one may use: it shows that no call of a tap was left standing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the copy without taps uses its tap: {name}")

    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError(f"the copy without taps calls its tap: {arguments}")


NAMES = ("Batch", "Config", "Recorder", "backward", "forward", "initialise")


def package(transform: Transform | None = None) -> SimpleNamespace:
    """numtx, with its source transformed; its names, for another is imported next."""
    if transform is not None:
        plant((), transform)
    import numtx

    found = SimpleNamespace(**{name: getattr(numtx, name) for name in NAMES})  # loaded on demand
    for name in [name for name in sys.modules if name.partition(".")[0] == "numtx"]:
        del sys.modules[name]
    if transform is not None:
        del sys.meta_path[0]
    return found


def main() -> None:
    compare(package(without_taps), package())


def compare(bare: SimpleNamespace, numtx: SimpleNamespace) -> None:
    fields: dict[str, Any] = {
        "width": 4, "hidden": 16, "encoder_layers": 2, "decoder_layers": 2, "vocabulary": 10,
        "position_base": 100.0,
    }  # fmt: skip
    config, bare_config = numtx.Config(**fields), bare.Config(**fields)
    parameters = numtx.initialise(config, 0)
    arrays = [[3, 4, 4, 5, 6, 7, 2]], [[1, 3, 4, 4, 5, 6, 7]], [[3, 4, 4, 5, 6, 7, 2]]
    batch, bare_batch = numtx.Batch(*arrays), bare.Batch(*arrays)
    no_tap: Any = Untouchable()

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
