"""What a tap costs that is off, and what recording costs.

The package runs beside itself with every call of a tap taken out of the source: what is left is
the mathematics alone.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from rows import Measured, Pair, row
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


@cache
def bare_package(transform: Transform = without_taps) -> SimpleNamespace:
    """numtx with its source transformed; what this process has imported of it stays as it is."""
    kept = {name: sys.modules.pop(name) for name in own_modules()}
    try:
        plant((), transform)
        import numtx

        names = ("Batch", "Config", "backward", "forward")  # loaded on demand
        return SimpleNamespace(**{name: getattr(numtx, name) for name in names})
    finally:
        del sys.meta_path[0]
        for name in own_modules():
            del sys.modules[name]
        sys.modules.update(kept)


def own_modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "numtx"]


SIZES: dict[str, Any] = {
    "width": 4, "hidden": 16, "encoder_layers": 2, "decoder_layers": 2, "vocabulary": 10,
    "position_base": 100.0,
}  # fmt: skip
ARRAYS = [[3, 4, 4, 5, 6, 7, 2]], [[1, 3, 4, 4, 5, 6, 7]], [[3, 4, 4, 5, 6, 7, 2]]
FORWARD, BOTH = "forward, tiny encoder-decoder", "forward and backward, tiny encoder-decoder"
PEER = "no taps in the source"


@row("taps-off", f"taps off: {FORWARD}", PEER, 0.98)
@row("taps-off-both", f"taps off: {BOTH}", PEER, 0.98, both=True)
@row("taps-recording", f"recording: {FORWARD}", PEER, None, recording=True)
@row("taps-recording-both", f"recording: {BOTH}", PEER, None, both=True, recording=True)
def taps(quick: bool, both: bool = False, recording: bool = False) -> Measured:
    return beside(bare_package(), both, recording)


def beside(bare: SimpleNamespace, both: bool, recording: bool) -> Measured:
    """The package and its copy, with an `Untouchable` tap: equal bit for bit."""
    import numtx

    parameters = numtx.initialise(numtx.Config(**SIZES), 0)

    def program(package: Any, tap: Callable[[], Any]) -> Callable[[], Any]:
        config, batch = package.Config(**SIZES), package.Batch(*ARRAYS)

        def run() -> Any:
            used = tap()
            outputs, context = package.forward(config, parameters, batch, used)
            return [*package.backward(context, 1.0, used).values()] if both else outputs.loss

        return run

    no_tap: Any = Untouchable()
    ours = program(numtx, numtx.Recorder if recording else lambda: numtx.NO_TAP)
    return Pair(ours, program(bare, lambda: no_tap), close=0)
