"""The mathematics names mechanisms, never products; what is recommended exists."""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numtx
from numtx.cli import parser

# llama3 is what everybody calls one kind of scaled angles.
PRODUCTS = re.compile(
    r"(?<![a-z])(?:(?:chat)?gpt|llama(?!3)|alpaca|(?:ro|al|distil|de)?berta?|qwen|(?:m|flan|u)?t5|m?bart"
    r"|deep_?seek|mistral|mixtral|gemma|pythia|xlnet|electra|marian|chatglm|chinchilla)(?![a-z])",
    re.IGNORECASE,
)
ROOT = Path(numtx.__file__).parent
# `sequences` and `layouts` are data about families of models, and name them: they compute nothing.
HIGHER = {
    "sequences.py", "cost_tables.py", "layouts", "families", "checkpoints", "folders", "trace",
    "check", "compare", "diagnosis", "training", "decoding", "documents", "examples", "subjects",
    "laws", "operators", "own_laws", "mechanism_laws", "generation_laws", "operator_laws",
    "testing", "arguments", "commands", "verdicts", "gradchecks", "cli.py",
}  # fmt: skip


def sources() -> list[Path]:
    """The files of the mathematics, of the oracle and of what shows them."""
    return [
        path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in HIGHER
    ]


def test_no_file_of_the_mathematics_names_a_product() -> None:
    found = sources()
    assert {"attention.py", "model.py", "config.py"} <= {path.name for path in found}
    named = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in found
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in PRODUCTS.finditer(line)
    ]
    assert named == []


def test_the_search_finds_names() -> None:
    for text in ('if name == "llama":', "GPT-2 style", "gpt2", "the Qwen2 layout", "use_t5_bias"):
        assert PRODUCTS.search(text), text
    for text in ("option", "vertical", "Hilbert", "best5", "liberty", "Barton", "margin"):
        assert not PRODUCTS.search(text), text


NAME = re.compile(r"(?<![\w./@-])numtx((?:\.[A-Za-z_]\w*)+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
FOREIGN = {"--heavy", "--benchmark", "--upgrade", "--target"}  # of pytest here, and of pip


@cache
def said() -> list[tuple[str, str]]:
    """Where and what: every text of the package (messages, docstrings, help), its comments, and
    the pages that are read beside it."""
    return [*_said()]


def _said() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield where, node.value
        if not re.search(r"#.*(numtx|--)", source):  # no comment that may name anything
            continue
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield where, token.string
    pages = [ROOT.parent / "README.md", *sorted((ROOT.parent / "walkthroughs").glob("*"))]
    for page in pages:
        if page.is_file():
            yield page.name, page.read_text(encoding="utf-8")


def exists(dotted: str) -> bool:
    """Whether `numtx.dotted` is a module, or a name that one of them gives."""
    found: object = numtx
    place = "numtx"
    for part in dotted.split("."):
        place = f"{place}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
            continue
        try:
            found = importlib.import_module(place)
        except ImportError:
            return False
    return True


def test_every_name_that_is_mentioned_exists() -> None:
    found = {(where, name) for where, text in said() for name in NAME.findall(text)}
    names = {name for _, name in found}
    assert {".pad", ".forward", ".testing"} <= names
    missing = sorted((where, name) for where, name in found if not exists(name[1:]))
    assert missing == []
    assert not exists("padd") and not exists("testing.chek") and exists("testing.check")


def test_every_option_that_is_mentioned_exists() -> None:
    top = parser()
    actions = top._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    plugin = (ROOT / "pytest_plugin.py").read_text(encoding="utf-8")
    known = {*top._option_string_actions, *FOREIGN, *re.findall(r'"(--numtx[\w-]*)"', plugin)}
    for command in actions.values():  # type: ignore[union-attr]
        known |= set(command._option_string_actions)
    found = {(where, name) for where, text in said() for name in OPTION.findall(text)}
    assert ("batch.py", "--ids") not in found and len(found) > 40
    assert sorted((where, name) for where, name in found if name not in known) == []
