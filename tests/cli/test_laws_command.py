"""`numtx laws` as people meet it."""

from __future__ import annotations

import json
import sys

import pytest
import terminal

from numtx.subjects.own import every_kind
from numtx.verdicts import laws

MODULE = """
import numpy as np

TABLE = np.random.default_rng(0).standard_normal((7, 7))

class Model:
    vocabulary_size = 7

    def __init__(self, ahead):
        self.ahead = ahead

    def __call__(self, ids):
        length = ids.shape[1]
        seen = np.tri(length, length, self.ahead)
        return (seen / seen.sum(1, keepdims=True)) @ TABLE[ids]

right, wrong, encoder = Model(0), Model(1), Model(100)

def bare(ids):
    return right(ids)

class Windowed(Model):
    window = 4

similar = Windowed(0)

def raises(ids, more):
    return ids

raises.vocabulary_size = 7
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory, another one for each test."""
    name = f"own_model_{tmp_path.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def run(capsys, *args):
    return terminal.run(capsys, "laws", *args)


def test_a_right_model(module, capsys):
    code, out, err = run(capsys, f"{module}:right", "--law", "K1", "--law", "K5", "--law", "C1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["K1", "passed"]
    assert lines[2] == "vacuous: K5: no example exercised them"
    assert lines[3].startswith("not asked: C1; more is asked of a model with prefill and step")
    assert lines[-1] == "1 passed, 0 broken, 1 skipped, 1 vacuous"


def test_a_wrong_one_has_exit_code_1_and_shows_the_example(module, capsys):
    code, out, _ = run(capsys, f"{module}:wrong", "--law", "K1", "--examples", "10")
    assert code == 1
    assert f"Model: K1 broken: {'tokens after t never move outputs at or before t'}" in out
    assert "positions that differ [row,token]: [0,0]" in out


def test_a_model_of_another_signature_is_an_error_and_no_known_failure(module, tmp_path, capsys):
    known = tmp_path / "known.txt"
    known.write_text("K1\n")
    for more in ((), ("--known-failures", str(known))):
        code, out, err = run(capsys, f"{module}:raises", "--law", "K1", *more)
        assert (code, err) == (1, "")
        assert "raises: call error: TypeError: raises() missing 1 required" in out
        assert "broken: " not in out and "0 passed, 0 broken, 1 error" in out


def test_what_looks_like_a_declaration_is_named_once(module, tmp_path, capsys):
    file = tmp_path / "results.json"
    code, out, _ = run(capsys, f"{module}:similar", "--law", "K1", "--json", str(file))
    note = "window 4: not a declaration; did you mean reach?"
    assert code == 0 and out.count(note) == 1
    (told,) = json.loads(file.read_text())["notes"]
    assert told.startswith(note) and "layers * (window - 1)" in told


def test_known_failures(module, tmp_path, capsys):
    known = tmp_path / "known.txt"
    known.write_text("# the mask is off by one\nK1\nK3 # too\n")
    args = (f"{module}:wrong", "--law", "K1", "--examples", "10", "--known-failures", str(known))
    code, out, _ = run(capsys, *args)
    assert code == 0 and "broken*" in out and "* known failures: K1" in out
    assert "K3 is a known" not in out  # it was not tried
    code, out, _ = run(capsys, f"{module}:right", *args[1:])
    assert code == 0 and "K1 is a known failure and is not broken now" in out
    code, _, _ = run(capsys, f"{module}:wrong", *args[1:], "--law", "B4", "--law", "K3")
    assert code == 0


def test_seed_and_json(module, tmp_path, capsys):
    file = tmp_path / "results.json"
    shown = [
        run(capsys, f"{module}:wrong", "--law", "K1", "--seed", seed, "--json", str(file))[1]
        for seed in ("5", "5")
    ]
    assert shown[0] == shown[1]
    (row,) = json.loads(file.read_text())["results"]
    assert (row["law"], row["status"], row["subject"]) == ("K1", "broken", "Model")


def test_a_bare_function_needs_its_vocabulary(module, capsys):
    code, _, err = run(capsys, f"{module}:bare")
    assert code == 2 and err.startswith("numtx: bare has no vocabulary_size")
    code, _, _ = run(capsys, f"{module}:bare", "--vocabulary", "7", "--law", "K1")
    assert code == 0


def test_numtx_itself_over_all_kinds(capsys):
    code, out, _ = run(capsys, "--law", "K1", "--examples", "2")
    kinds = list(every_kind())
    causal = sum(kind.causal for kind in kinds)
    assert code == 0 and f"{causal}/{len(kinds)}" in out


def test_the_list_has_both_languages(capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0
    first, second = out.splitlines()[:2]
    assert first.split() == ["K1", "E", "t", "之后的词元不影响", "t", "及之前的输出", "[logits]"]
    assert second.strip() == "tokens after t never move outputs at or before t"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing"], "'nothing' is not MODULE:OBJECT"),
        (["./nothing.py:x"], "./nothing.py: no such file of Python; give FILE.py:OBJECT"),
        (["some/where:x"], "some/where: no such file of Python; give FILE.py:OBJECT"),
        (["no_such_module_at_all:x"], "module 'no_such_module_at_all' cannot be loaded: Module"),
        (["json:JSONDecoder"], "JSONDecoder is a class; give an object of it"),
        (["json:nothing"], "module 'json' has no 'nothing'"),
        (["json:dumps"], "dumps has no vocabulary_size"),
        (["--law", "K99"], "law 'K99' does not exist"),
        (["--known-failures", "no/such/file"], "no/such/file cannot be read"),
        (["json:dumps", "--zoo"], "--zoo plants bugs in numtx"),
    ],
)
def test_misuse_is_one_line(args, message, capsys):
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert err.startswith("numtx: ") and message in err and err.count("\n") == 1


def test_a_module_that_fails_to_load_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "fails_to_load.py").write_text("raise RuntimeError('two\\nlines')")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "fails_to_load:x")
    assert code == 2 and err.count("\n") == 1 and "RuntimeError: two lines" in err


@pytest.mark.parametrize("source", ["import sys\nsys.exit(0)", "1 +", "import no_such_thing"])
def test_a_file_that_fails_to_load_is_one_line(source, tmp_path, capsys):
    file = tmp_path / "fails.py"
    file.write_text(source)
    code, out, err = run(capsys, f"{file}:x")
    assert (code, out) == (2, "") and "cannot be loaded" in err and err.count("\n") == 1


def test_a_model_in_a_file(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "beside_the_model.py").write_text(MODULE)
    (folder / "my-model.py").write_text(
        "from dataclasses import dataclass\nfrom beside_the_model import right\n"
        "@dataclass\nclass Box:\n    model: object\nbox = Box(right)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in (f"{folder}/my-model.py:right", "./a folder/my-model.py:box.model"):
        code, out, err = run(capsys, name, "--law", "K1", "--examples", "3")
        assert (code, err) == (0, "") and "K1" in out
    code, _, err = run(capsys, "a folder/my-model.py:wrong")
    assert code == 2 and "my-model.py' has no 'wrong'" in err and err.count("\n") == 1


MATRIX = """
import json, sys
print(sys.argv[1:], file=sys.stderr)
code, ok = {code}, {ok}
print(json.dumps({{"ok": ok, "text": "the matrix", "json": "[1]"}}))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("ran", "ok", "code"), [(0, True, 0), (0, False, 1), (2, True, 2), (130, True, 130)]
)
def test_the_zoo_is_run_where_there_is_one(ran, ok, code, tmp_path, monkeypatch, capfd):
    """By a registry beside the package that stands in for the real one."""
    zoo = tmp_path / "tests" / "zoo"
    zoo.mkdir(parents=True)
    for name in ("__init__.py", "matrix.py"):
        (zoo / name).touch()
    (zoo / "__main__.py").write_text(MATRIX.format(code=ran, ok=ok))
    monkeypatch.setattr(laws, "__file__", str(tmp_path / "numtx" / "verdicts" / "laws.py"))
    file = tmp_path / "matrix.json"
    found, out, err = run(capfd, "--zoo", "--law", "K1", "--seed", "3", "--json", str(file))
    assert found == code
    assert err == "['--seed', '3', '--examples', '4', '--law', 'K1']\n"
    assert out == ("" if ran else "the matrix\n")
    assert file.exists() is not bool(ran)
    assert ran or file.read_text() == "[1]\n"


def test_elsewhere_there_is_no_zoo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(laws, "__file__", str(tmp_path / "numtx" / "verdicts" / "laws.py"))
    code, out, err = run(capsys, "--zoo")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "--zoo needs the planted bugs of a checkout (tests/zoo)" in err


def test_declarations_are_options_under_the_same_names(module, capsys):
    from numtx.subjects.declared import DECLARATIONS, OPTIONS

    assert set(OPTIONS) == set(DECLARATIONS) - {"name", "tensors"}
    few = ("--law", "K1", "--law", "K4", "--examples", "5")
    said = ("--no-causal", "--reach", "3", "--reach-by", "tokens", "--paddings", "left,right")
    said += ("--fixed-rows", "2", "--no-rollback", "--longest", "9", "--tolerance", "1e-6")
    code, out, _ = run(capsys, f"{module}:right", *few, *said)
    assert code == 1 and "inputs" not in out  # it is causal after all
    assert "K4 broken" in out and "vacuous: K1" in out
    for option, told in [
        (("--reach", "far"), "argument --reach: 'far'; it should be a whole number"),
        (("--paddings", "top"), "it should be some of left, right, holes"),
        (("--reach-by", "rows"), "it should be 'columns' or 'tokens'"),
    ]:
        code, _, err = run(capsys, f"{module}:right", *few, *option)
        assert code == 2 and told in err
    code, _, err = run(capsys, "--no-causal")
    assert code == 2 and "declarations are for a model of your own" in err


def test_a_missing_declaration_has_exit_code_2_and_is_named_once(module, capsys):
    code, out, _ = run(capsys, f"{module}:encoder", "--law", "K1", "--law", "K3")
    assert code == 2 and out.count("K1 K3 undeclared: every place sees every later one") == 1
    assert "declare causal=False" in out and out.count("undeclared") == 4
    assert run(capsys, f"{module}:encoder", "--law", "K1", "--no-causal")[0] == 0


def test_a_folder_that_is_none(tmp_path, capsys):
    code, _, err = run(capsys, f"transformers:{tmp_path}")
    assert code == 2 and "has no config.json" in err and err.count("\n") == 1
