"""What Python can: the names of the package, README's table of them, and its block of code."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest
from children import python

import numtx
from numtx.cli import COMMANDS

README = Path(__file__).parents[2] / "README.md"
PARTS = "the parts"


def section() -> str:
    if not README.is_file():
        pytest.skip("only in a checkout")
    return README.read_text(encoding="utf-8").partition("## In Python")[2].partition("\n## ")[0]


def table() -> dict[str, list[str]]:
    """What stands beside each command."""
    rows: dict[str, list[str]] = {}
    for line in section().splitlines():
        head = re.fullmatch(r"    ([a-z ]{1,9}) {2,}([A-Za-z_, ]+)", line)
        if head and (head[1].strip() in COMMANDS or head[1].strip() == PARTS):
            rows[head[1].strip()] = names = re.findall(r"\w+", head[2])
        elif rows and re.fullmatch(r" {16}[A-Za-z_, ]+", line):
            names += re.findall(r"\w+", line)
    return rows


def test_every_command_has_functions_and_every_name_a_command() -> None:
    rows = table()
    assert list(rows) == [*COMMANDS, PARTS]
    listed = [name for names in rows.values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(numtx.__all__) - {"__version__"}


@pytest.mark.parametrize("name", [n for n in numtx.__all__ if n != "__version__"])
def test_a_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(numtx, name)
    assert found is not None and (inspect.getdoc(found) or "").strip(), name
    # A module of this name would take its place as soon as it is imported.
    home = Path(numtx.__file__).parent
    assert not (home / name).is_dir() and not (home / f"{name}.py").is_file()


def test_names_need_no_more_than_numtx_does() -> None:
    code = """if True:
        import sys, numtx
        sys.modules["hypothesis"] = sys.modules["torch"] = None
        for name in numtx.__all__:
            getattr(numtx, name)
        trace = numtx.load_example("cat").trace()
        print(len(numtx.to_text(trace, "logits")) + len(trace.stage("logits")._repr_html_()))
    """
    assert int(python("-c", code, check=True).stdout) > 1000


def test_names_of_type_checkers_are_those_of_the_list() -> None:
    source = Path(numtx.__file__).read_text(encoding="utf-8")
    typed = re.findall(r"^    from \.([\w.]+) import (\w+) as (\w+)$", source, re.MULTILINE)
    assert {name: home for home, _, name in typed} == numtx._HOMES
    assert all(own == name for _, own, name in typed)


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"    import numtx\n(?:(?:    .*)?\n)+", section())
    assert found is not None
    code = textwrap.dedent(found[0])
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    exec(code, space)
    out = capsys.readouterr().out
    assert "decoder.0.self_attention.scores[1,3,2]" in out and "weights   Weights" in out
    assert (space["found"].verdict, space["found"].first) == ("equal", None)
    assert numtx.load_trace("ours.npz").verify().ok
