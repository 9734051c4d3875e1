"""The floors of the package: a module imports from lower floors (or its own) only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from children import python

import numtx

HOME = Path(numtx.__file__).parent
FILES = sorted(HOME.rglob("*.py"))
NAMES = [".".join(file.relative_to(HOME).with_suffix("").parts) for file in FILES]

FLOORS = [
    {
        "errors",
        "config",
        "fields",
        "config.rotary",
        "shapes",
        "tap",
        "files",
        "memory",
        "strict_json",
        "selection",
        "safetensors",
        "array_files",
        "small_repr",
    },
    {"ops", "arithmetic", "vocabulary", "masks", "sequences"},
    {"place"},
    {
        "attention",
        "feed_forward",
        "head",
        "head_layer",
        "pooler",
        "parameters",
        "parameters_file",
        "cache",
        "batch",
    },
    {"block"},
    {"model", "step"},
    {"stages"},
    {"formulas"},
    {"oracle", "explaining", "recompute"},
    {"trace"},
    {"show", "check", "mistakes", "mistakes_of_positions", "slips", "fitting"},
    {
        "html",
        "diagnosis",
        "page",
        "formats",
        "pictures",
        "screen",
        "training",
        "decoding",
        "costs",
    },
    {
        "examples",
        "models",
        "subjects",
        "calls",
        "operators",
        "adapters",
        "backwards",
        "lessons",
        "layouts",
        "families",
        "checkpoints",
        "cost_tables",
        "compare",
    },
    {"answering"},
    {"exercises"},
    {"exercises_of_training"},
    {"documents", "reports"},
    {"laws"},
    {"cache_laws"},
    {"own_laws", "generation_laws", "operator_laws"},
    {"mechanism_laws"},
    {"testing"},
    {"written"},
    {"arguments"},
    {"commands", "verdicts", "folders", "gradchecks", "learning", "interface", "notebook"},
    {"cli", "pytest_plugin", "__main__", "__version__"},
]
# A trace can be asked for its check, and what a notebook shows for its tables: they stand above.
FACES = {"trace.trace": {"check.verify"}, "small_repr": {"notebook.shown"}}
KIT = {
    "laws",
    "cache_laws",
    "own_laws",
    "mechanism_laws",
    "generation_laws",
    "operator_laws",
    "testing",
}  # what draws examples
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_ROOM = 400, 60, 1500  # lines
MOST_BY_PLACE = 7  # arguments; others are given by name
ROOMS = sorted({file.parent.name for file in HOME.glob("*/*.py")} - {"examples", "documents"})
RUNTIME = {"numpy", "tabulate", "wcwidth"}


def floor(module: str) -> int:
    top = module.split(".")[0]
    for number, names in enumerate(FLOORS):
        if top in names:
            return number
    raise AssertionError(f"{top} stands on no floor: give it one here and in the design")


class Import:
    """One import: what, and whether it runs when the module is loaded."""

    def __init__(self, module: str, at_load: bool, own: bool) -> None:
        self.module, self.at_load, self.own = module, at_load, own


@cache
def imports(file: Path) -> tuple[Import, ...]:
    """Every import of a file; relative ones as the module below the package."""
    package = file.relative_to(HOME).parts[:-1]

    def walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, at_load, False)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield Import(node.module or "", at_load, False)
        elif isinstance(node, ast.ImportFrom):
            parts = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            base = ".".join(part for part in parts if part)
            if base:
                yield Import(base, at_load, True)
            else:
                for alias in node.names:
                    is_module = (HOME / alias.name).is_dir() or (
                        HOME / f"{alias.name}.py"
                    ).is_file()
                    yield Import(alias.name if is_module else "__init__", at_load, True)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        inner = at_load and not typing_only
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = False
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return tuple(walk(ast.parse(file.read_text(encoding="utf-8")), True))


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_imports_go_down(file):
    name = ".".join(file.relative_to(HOME).with_suffix("").parts)
    if name == "__init__":  # the face: lazy, so it may name every floor
        assert not [found.module for found in imports(file) if found.own and found.at_load]
        return
    for found in imports(file):
        if found.module in FACES.get(name, ()):
            assert not found.at_load
        elif found.own and found.module != "__init__":
            assert floor(found.module) <= floor(name), f"{name} imports {found.module}"
        if not found.own:
            assert found.module.split(".")[0] != "numtx", f"{name}: import relatively"


def test_floors_within_a_floor_have_no_circle():
    """Modules of one floor may read one another, one way."""
    reads: dict[str, set[str]] = {}
    for file, name in zip(FILES, NAMES, strict=True):
        top = name.split(".")[0]
        found = {i.module.split(".")[0] for i in imports(file) if i.own and i.at_load}
        reads.setdefault(top, set()).update(found - {top})
    seen: set[str] = set()

    def walk(top: str, path: tuple[str, ...]) -> None:
        assert top not in path, " -> ".join((*path, top))
        if top in seen:
            return
        for other in reads.get(top, ()):
            walk(other, (*path, top))
        seen.add(top)

    for top in reads:
        walk(top, ())


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_foreign_imports(file):
    """NumPy and the printing of tables; hypothesis in the law kit alone; torch only on demand."""
    place = file.relative_to(HOME).parts[0]
    for found in imports(file):
        top = found.module.split(".")[0]
        if found.own or top in sys.stdlib_module_names or top in RUNTIME:
            continue
        if top == "pytest":
            assert place == "pytest_plugin.py"
        elif top == "hypothesis":
            assert place in KIT
        else:
            assert top in {"torch", "transformers", "tokenizers"} and not found.at_load, (
                f"{file}: {top}"
            )


def test_the_checks_see_imports_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "HOME", tmp_path)
    (tmp_path / "ops").mkdir()
    (tmp_path / "tap.py").touch()
    file = tmp_path / "ops" / "made_up.py"
    file.write_text(
        "from ..model import forward\nfrom .linear import x\nfrom .. import tap, __version__\n"
        "import torch\ndef f():\n    import json\n"
    )
    found = [(i.module, i.at_load, i.own) for i in imports(file)]
    assert found == [
        ("model", True, True), ("ops.linear", True, True), ("tap", True, True),
        ("__init__", True, True),
        ("torch", True, False), ("json", False, False),
    ]  # fmt: skip
    with pytest.raises(AssertionError, match=r"ops\.made_up imports model"):
        test_imports_go_down(file)


def too_long(files: Iterable[Path]) -> list[str]:
    """Files and functions that are longer than what a reader can hold."""
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        if len(text.splitlines()) > LONGEST_FILE:
            found.append(str(file))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
                by_place = len(names) - (names[:1] in (["self"], ["cls"]))
                if lines > LONGEST_FUNCTION or by_place > MOST_BY_PLACE:
                    found.append(f"{file}: {node.name}")
    return found


@pytest.mark.parametrize("folder", ["numtx", "tests", "walkthroughs"])
def test_length_of_files_and_functions(folder):
    if not (HOME.parent / folder).is_dir():
        pytest.skip("only in a checkout")
    assert too_long((HOME.parent / folder).rglob("*.py")) == []


def test_a_file_or_a_function_too_long_is_seen(tmp_path):
    body = "        x = 1\n" * (LONGEST_FUNCTION - 1)
    fits, long = f"    def fits():\n{body}", f"    def long():\n{body}        x = 2\n"
    (tmp_path / "a.py").write_text(f"class A:\n{fits}{long}")
    (tmp_path / "b.py").write_text("x = 1\n" * (LONGEST_FILE + 1))
    files = sorted(tmp_path.rglob("*.py"))
    assert too_long(files) == [f"{files[0]}: long", str(files[1])]
    (tmp_path / "c.py").write_text(
        "def fits(a, b, c, d, e, f, g, *, h=0): ...\ndef many(a, b, c, d, e, f, g, h=0): ...\n"
    )
    assert too_long([tmp_path / "c.py"]) == [f"{tmp_path / 'c.py'}: many"]


def lines_of(room: Path) -> int:
    """The lines of a folder with all below it, in Python and in JavaScript."""
    return sum(
        len(file.read_text(encoding="utf-8").splitlines())
        for file in room.rglob("*")
        if file.suffix in (".py", ".js")
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_no_more_than_can_be_known(room):
    assert lines_of(HOME / room) < LARGEST_ROOM


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_messages_are_one_line(file):
    """No text of a raise holds a line break (what callers hand over is shown with !r)."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            for part in ast.walk(node.exc):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    assert "\n" not in part.value


def test_testing_loads_no_hypothesis():
    code = "import sys, numtx.testing; print('hypothesis' in sys.modules)"
    run = python("-c", code, check=True)
    assert run.stdout.strip() == "False"


def test_the_package_loads_no_numpy():
    code = "import sys, numtx; print('numpy' in sys.modules)"
    run = python("-c", code, check=True)
    assert run.stdout.strip() == "False"
