"""`numtx laws MODEL --write FILE`: tests that fail for a broken model and pass for a right one."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from children import pytests
from field_models import Cached
from plain_models import Masked, Stepping
from samples import some

from numtx.adapters import causal, encoders, sequences
from numtx.cli import main
from numtx.subjects import objects
from numtx.subjects.subject import Memory, Subject
from numtx.testing import subject
from numtx.written.calls import KINDS, functions

HERE = Path(__file__).parent
# A wrong model, and the change of its file that mends it.
BROKEN = {
    "ahead": ("plain_models", "wrong = Plain(ahead=1)", "wrong = Plain()", "K1 K3"),
    "reorder": (
        "plain_models",
        'wrong = Stepping("reorder")',
        'wrong = Stepping("none")',
        "C5 C11",
    ),
    "cut": ("plain_models", 'wrong = Stepping("truncate")', 'wrong = Stepping("none")', "C4 C13"),
    "columns": ("plain_models", 'wrong = Masked("columns")', "wrong = Masked()", "B3"),
    "padding": ("plain_models", 'wrong = Masked("ignored")', "wrong = Masked()", "K6 B3"),
    "deaf": ("plain_models", "wrong = Deaf()", "wrong = Plain()", "K4 P3"),
    "lengths": ("plain_models", "wrong = Counting(1)", "wrong = Counting()", "C6"),
    "raises": ("plain_models", "wrong = Raising()", "wrong = Stepping()", "C1"),
    "ring": ("field_models", 'wrong = Ring(16, "early")', "wrong = Ring(16)", "K2 C1"),
    "prefix": ("field_models", 'wrong = Shared("parent")', "wrong = Shared()", "C12"),
    "packed": ("field_models", 'wrong = Packed("seen")', "wrong = Packed()", "B6"),
}
MORE = """

class Deaf(Plain):
    def __call__(self, ids):
        return super().__call__(0 * ids)

class Counting(Stepping):
    def __init__(self, more=0):
        super().__init__()
        self.more = more

    def lengths(self, state):
        return [state["keys"].shape[1] + self.more] * len(state["keys"])

    def reset(self, state):
        return {"keys": state["keys"][:, :0], "values": None}

class Raising(Stepping):
    def step(self, ids, state):
        if state["keys"].shape[1] == 1:
            raise ValueError("no")
        return super().step(ids, state)

"""
WITHOUT = """
import importlib.util, sys
import pytest

class Without:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("numtx", "hypothesis"):
            raise ModuleNotFoundError(name)

real = importlib.util.find_spec
importlib.util.find_spec = lambda n: None if n in ("numtx", "hypothesis") else real(n)
sys.meta_path.insert(0, Without)
"""


def outcomes(*folders, without=True):
    """What pytest says of the file written in each folder; without numtx and hypothesis, or with
    them."""
    found = pytests(
        [(folder, ["-q"]) for folder in folders],
        WITHOUT if without else "",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    return [out for _, out in found]


@pytest.mark.parametrize("name", some(2, __name__, BROKEN))
def test_what_is_written_fails_and_passes_when_the_model_is_mended(name, tmp_path, monkeypatch):
    module, wrong, right, laws = BROKEN[name]
    folder, mended = tmp_path / "wrong", tmp_path / "mended"
    folder.mkdir()
    file = folder / "my_model.py"
    more = MORE if module == "plain_models" else "\n\n"
    file.write_text((HERE / f"{module}.py").read_text() + more + wrong + "\n")
    monkeypatch.chdir(folder)
    asked = [part for law in laws.split() for part in ("--law", law)]
    main(["laws", "./my_model.py:wrong", *asked, "--write", "test_it.py", "--examples", "30"])
    text = (folder / "test_it.py").read_text()
    assert max(map(len, text.splitlines())) <= 100 and text.endswith("\n")
    names = re.findall(r"^def (test_\w+)", text, re.M)
    assert names == [f"test_{law.lower()}" for law in laws.split()]
    shutil.copytree(folder, mended, ignore=shutil.ignore_patterns("__pycache__"))
    (mended / "my_model.py").write_text(file.read_text().replace(wrong, right))
    first, second = outcomes(folder, mended)
    assert f"{len(names)} failed, 1 skipped" in first
    assert f"{len(names)} passed, 1 skipped" in second


def test_the_suite_that_is_written_holds_what_was_declared_and_known(tmp_path, monkeypatch):
    (tmp_path / "my-models").mkdir()
    file = tmp_path / "my-models" / "plain.py"
    file.write_text((HERE / "plain_models.py").read_text())
    (tmp_path / "known").write_text("K3  # since ever\n")
    monkeypatch.chdir(tmp_path)
    options = ("--vocabulary", "13", "--longest", "5", "--paddings", "none", "--tolerance", "1e-9")
    few = ("--law", "K1", "--law", "K3", "--examples", "7", "--known-failures", "known")
    place = tmp_path / "tests"
    place.mkdir()
    wrong = ["laws", "my-models/plain.py:wrong", *options, *few, "--write", "tests/test_it.py"]
    code, text = main(wrong), (place / "test_it.py").read_text()
    assert code == 1 and 'sys.path.insert(0, str(Path(__file__).parent / "../my-models"))' in text
    declared = "model, vocabulary_size=13, longest=5, tolerance=1e-09, paddings=()"
    assert f"subject = subject({declared})\n" in text
    assert '        laws = ("K1", "K3")\n        examples = 7\n        seed = 0\n' in text
    assert '"K3": "known when this was written"' in text
    (out,) = outcomes(place, without=False)
    assert "3 failed, 1 skipped" in out and "K1 broken" in out
    assert main(["laws", "my-models/plain.py:right", *few, "--write", "tests/test_it.py"]) == 0
    assert "def test_k" not in (place / "test_it.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--write", "t.py"], "--write is for a model of your own"),
        (["m.py:right", "--write", "m.py"], "m.py would be overwritten: m.py is read"),
        (["m.py:right", "--write", "none/t.py"], "the folder"),
        (["m.py:right", "--write", "."], "is a folder"),
        (["a.b.py:right", "--write", "t.py", "--law", "B2"], "rename the file"),
    ],
)
def test_what_cannot_be_written_is_said(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("m.py", "a.b.py"):
        (tmp_path / name).write_text((HERE / "plain_models.py").read_text())
    assert main(["laws", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (tmp_path / "t.py").exists()


def test_what_no_plain_call_can_say_is_told(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\ndef attend(q, k, v):\n"
        "    return np.einsum('bhts,bhsd->bhtd', np.einsum('bhtd,bhsd->bhts', q, k), v)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["laws", "mine:attend", "--write", "test_it.py", "--examples", "3"]) == 1
    text = (tmp_path / "test_it.py").read_text()
    assert "no plain test; it asks more than calls of a model of ids" in text
    assert "def test_k" not in text and "1 skipped" in outcomes(tmp_path)[0]


def test_a_model_that_loads_only_here_is_not_said_to_pass(tmp_path, monkeypatch):
    own = 'import sys\n\nif sys.argv[0] == "-c":\n    raise RuntimeError("only here")\n'
    (tmp_path / "mine.py").write_text(
        (HERE / "plain_models.py").read_text() + own + "wrong = Plain(1)\n"
    )
    monkeypatch.chdir(tmp_path)
    few = ["--law", "K1", "--examples", "5"]
    assert main(["laws", "./mine.py:wrong", *few, "--write", "test_it.py"]) == 1
    text = " ".join((tmp_path / "test_it.py").read_text().replace("\n# ", " ").split())
    assert (
        "K1: no plain test; in a process of its own the file cannot be run: RuntimeError: " in text
    )
    assert "only here" in text and "passes" not in text.partition("K1: no plain test")[2]


CLASSES = {
    kind.__name__
    for module in (objects, causal, encoders, sequences) for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Subject) and kind.__module__ == module.__name__
}  # fmt: skip


def past(ids, past_key_values=None, attention_mask=None, position_ids=None, use_cache=True):
    """A model with its past in its call, and positions."""
    logits, state = Cached().step(ids, past_key_values or (np.zeros((len(ids), 0, 8)),) * 2)
    if position_ids is not None:
        logits = logits + position_ids[..., None] * attention_mask[:, -ids.shape[1] :, None]
    return logits, state


past.vocabulary_size = 13
TRIED = {
    "ObjectSubject": [lambda: Stepping("none"), Masked],
    "PastSubject": [lambda: past],
    "LanguageModelSubject": ["GPT-2", "Mistral"],
    "EncoderSubject": ["BERT"],
    "SequenceSubject": ["T5", "BART"],
}


def test_every_class_of_subjects_has_plain_calls():
    assert set(KINDS) == CLASSES == set(TRIED)


def script(do, own):
    """Calls of all kinds that the subject takes; what they give."""
    can, ids = own.capabilities, np.arange(10).reshape(2, 5) * 3 % 11
    mask, left = np.ones((2, 5), bool), "left" in own.paddings
    mask[1, 0 if left else -1] = False
    found = [do("logits", ids)]
    if "mask" in can:
        found.append(do("logits", ids, mask=mask)[mask])
    more = {"mask": mask[:, :3]} if "step with mask" in can and left else {}
    if "memory" in can:
        memory = Memory(ids[:, :3], mask[:, 2:])
        found.append(do("logits", ids, memory=memory))
        more["memory"] = memory
    if "step" not in can:
        return found
    logits, state = do("step", ids[:, :3], **more)
    kept = do("fork", state)
    second, state = do("step", ids[:, 3:], state)
    if "truncate" in can and own.reach is None:
        state = do("truncate", state, [3, 3] if not own.holes else [2, 1])
    if "reorder" in can:
        state = do("reorder", state, [1, 0])
    if "lengths" in can:
        found.append(np.array(do("lengths", state)))
    third, fourth = do("step", ids[:, :2], state)[0], do("step", ids[:, 3:], kept)[0]
    return [*found, logits[more.get("mask", mask[:, :3])], second, third, fourth]


WAYS = [
    (kind, model, cache)
    for kind, models in TRIED.items() for model in models for cache in (None, "static")
    if cache is None or kind == "LanguageModelSubject"
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "model", "cache"), WAYS)
def test_the_calls_that_are_written_give_what_the_subject_gives(kind, model, cache):
    if isinstance(model, str):
        pytest.importorskip("transformers")
        from families import make

        made = make(model, double=model != "BART")
    else:
        made = model()
    own = subject(made, **({} if cache is None else {"cache": cache}))
    assert type(own).__name__ == kind
    used = METHODS & (own.capabilities | {"logits"})
    space = {"np": np, "copy": copy, "model": made}
    for package in ("torch", "transformers") if isinstance(model, str) else ():
        space[package] = pytest.importorskip(package)
    if isinstance(model, str):
        space["StaticCache"] = space["transformers"].StaticCache
        space["BaseModelOutput"] = space["transformers"].modeling_outputs.BaseModelOutput
    exec(functions(own, used, "mask" in own.capabilities), space)

    def plain(name, *given, **options):
        def said(value):
            if isinstance(value, Memory):
                return tuple(map(said, value))
            is_array = isinstance(value, np.ndarray)
            return value.astype(int).tolist() if is_array else value

        options = {key: said(value) for key, value in options.items()}
        return space[name](*map(said, given), **options)

    expected = script(lambda name, *given, **more: getattr(own, name)(*given, **more), own)
    for one, other in zip(expected, script(plain, own), strict=True):
        np.testing.assert_array_equal(one, other)


METHODS = {"logits", "step", "fork", "truncate", "reorder", "lengths"}
