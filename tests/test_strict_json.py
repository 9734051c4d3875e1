"""JSON as numtx reads it: strict, and by one reader."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import numtx
from numtx.errors import FileError
from numtx.strict_json import RefusedJSONError, parse, read_json


@pytest.mark.parametrize("value", [{"a": [1, -2.5, True, None, "x"]}, [], 5, "天"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_json_holds_comes_back(value, mark):
    text = mark + json.dumps(value, ensure_ascii=False)
    assert parse(text) == value
    assert parse(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"width": 4, "heads": 1, "width": 8}', "the name 'width' occurs twice"),
        ('[{"a": {"b": 1, "b": 1}}]', "the name 'b' occurs twice"),
        ("[1e400]", "1e400 is not finite"),
        ("-1e999", "-1e999 is not finite"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1" * 5000, "has 5000 digits"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff", "not JSON, which is UTF-8"),
    ],
)
def test_what_would_be_lost_or_made_up_is_refused(text, words):
    with pytest.raises(RefusedJSONError, match=words):
        parse(text)
    with pytest.raises(FileError, match=words) as caught:
        read_json(text, "x.json", FileError)
    assert str(caught.value).startswith("x.json: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1,", "nope", b"{"])
def test_what_is_not_json_is_said(text):
    with pytest.raises(FileError, match=r"^x: not JSON: "):
        read_json(text, "x", FileError)


def _readers(source: str) -> list[int]:
    """Lines that read JSON by the standard library itself."""
    if "json" not in source:
        return []
    nodes = list(ast.walk(ast.parse(source)))
    return [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Attribute)
        and node.attr in {"load", "loads", "JSONDecoder"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "json"
    ] + [
        node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "json"
    ]


def test_there_is_one_reader():
    home = Path(numtx.__file__).parent
    found = {
        str(path.relative_to(home)): lines
        for path in home.rglob("*.py")
        if (lines := _readers(path.read_text(encoding="utf-8")))
    }
    # What the process of an exercise tells is numtx's own, and NaN is a number in it.
    assert set(found) == {"strict_json.py", "answering/child.py", "answering/run.py"}
    assert _readers("import json\njson.load(f)\nfrom json import loads") == [2, 3]
