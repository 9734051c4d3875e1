"""Every option of the command line that writes a file, and every kind of path it may be given."""

import argparse
import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from numtx.cli import main, parser

CONFIG = {
    "model": "decoder-only", "vocabulary": 5, "width": 4, "heads": 2, "hidden": 6,
    "decoder_layers": 1,
}  # fmt: skip
MODULE = "import numpy as np\ndef model(ids): return np.zeros((*np.shape(ids), 7))\n"
# Command and option -> the arguments of a short run.
RUNS = {
    ("trace", "--npz"): ["trace", "--quiet"],
    ("trace", "--json"): ["trace", "--quiet"],
    ("trace", "--html"): ["trace", "cat", "--quiet"],
    ("trace", "--markdown"): ["trace", "cat", "--quiet"],
    ("cell", "--json"): ["cell", "cat", "loss"],
    ("compare", "--html"): ["compare", "TRACE", "TRACE"],
    ("init", "--out"): ["init", "--config", "CONFIG"],
    ("train", "--save"): ["train", "cat", "--steps", "101"],
    ("generate", "--npz"): ["generate", "cat", "--parameters", "TRAINED", "--max-new-tokens", "1"],
    ("generate", "--html"): ["generate", "cat", "--parameters", "TRAINED", "--max-new-tokens", "1"],
    ("figures", "--json"): ["figures", "--document", "0", "--verdict", "contradicted", "--summary"],
    ("figures", "--html"): ["figures", "--document", "0", "--verdict", "contradicted", "--summary"],
    ("learn", "--html"): ["learn", "1"],
    ("learn", "--notebook"): ["learn", "1"],
    ("picture", "--svg"): ["picture", "cache-memory"],
    ("laws", "--json"): ["laws", "MODULE:model", "--vocabulary", "7", "--law", "K1"],
    ("laws", "--write"): ["laws", "MODULE:model", "--vocabulary", "7", "--law", "K1"],
}
RESULTS = {"cell", "check", "cost", "generate", "init", "inspect", "stages", "train", "verify"}
BINARY = ("--npz", "--out", "--save")
FILES = {"CONFIG": "config.json", "TRACE": "trace.npz"}
OPTIONS = [pytest.param(*names, id=" ".join(names)) for names in RUNS]


def options_that_write() -> set[tuple[str, str]]:
    """Those whose FILE is not read, as their help says. The result of any command as JSON is one
    option; an exercise never replaces a file."""
    others = {("learn", "--exercise"), *((name, "--json") for name in RESULTS - {"cell"})}
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {
        (command, action.option_strings[0])
        for command, one in commands.choices.items()
        for action in one._actions
        if action.option_strings and "FILE" in str(action.metavar) and "write" in str(action.help)
    } - others


def test_every_option_that_writes_is_tried() -> None:
    assert options_that_write() == set(RUNS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run.npz"
    assert main(["train", "cat", "--steps", "1", "--save", str(path)]) == 0
    return path


@pytest.fixture
def arguments(
    tmp_path: Path, trained: Path, command: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    module = f"written_{abs(hash(tmp_path))}"
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / f"{module}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    names = {name: str(tmp_path / file) for name, file in FILES.items()} | {"TRAINED": str(trained)}
    if command == "compare":
        run = ["trace", "--config", names["CONFIG"], "--ids", "[[1,2]]", "--quiet"]
        assert main([*run, "--npz", names["TRACE"]]) == 0
    given = [names.get(word, word) for word in RUNS[command, option]]
    return [*(word.replace("MODULE", module) for word in given), option]


def readable(data: bytes, option: str, path: Path) -> None:
    """The file is whole and of the kind that its option says."""
    path.write_bytes(data)
    if option in BINARY:
        with np.load(path) as file:
            assert all(file[name].size for name in file.files) and file.files
    elif option in ("--json", "--notebook"):
        assert json.loads(data)
    elif option == "--markdown":
        assert data.startswith(b"# cat: ") and b"\n| " in data
    elif option == "--write":
        compile(data, path, "exec")
        assert b"class TestLaws(LawSuite)" in data
    else:
        assert data.decode().rstrip().endswith(("</html>", "</svg>"))


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_a_file_a_link_and_a_pipe(command: str, option: str, arguments: list[str]) -> None:
    file, link, pipe = Path("file"), Path("link"), Path("pipe")
    file.write_text("old")
    file.chmod(0o604)
    link.symlink_to("file")
    assert main([*arguments, "link"]) == 0
    assert link.is_symlink() and stat.S_IMODE(file.stat().st_mode) == 0o604
    assert sorted(Path().iterdir()) == [file, link]
    readable(file.read_bytes(), option, Path("copy"))

    os.mkfifo(pipe)
    number = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # open before and after: no writer waits
    os.set_blocking(number, True)
    heard = bytearray()
    done = threading.Event()

    def listen() -> None:
        ended = False
        while not ended:
            ended = done.wait(0.01)
            while part := os.read(number, 1 << 16):
                heard.extend(part)

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    assert main([*arguments, "pipe"]) == 0
    done.set()
    reader.join(30)
    os.close(number)
    assert pipe.is_fifo()
    assert heard == file.read_bytes()
    assert sorted(Path().iterdir()) == [Path("copy"), file, link, pipe]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_a_text_has_standard_output_alone(
    command: str, option: str, arguments: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = option not in BINARY
    capsysbinary.readouterr()
    assert main([*arguments, "-"]) == (0 if text else 2)
    out, err = capsysbinary.readouterr()
    assert not list(Path().iterdir())
    if text:
        readable(out, option, Path("copy"))
    else:
        assert out == b"" and err.count(b"\n") == 1 and err.startswith(b"numtx: -: ")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["trace", "--html", "-", "--markdown", "-"], "two outputs"),
        (["compare", "a", "b", "--html", "-", "--json"], "two outputs"),
        (["trace", "--step", "--html", "-"], "--html does not go with --step"),
        (["trace", "--csv", "-"], "'-' names no folder"),
        (["trace", "--csv", ""], "'' names no folder"),
        (["trace", "--csv", "config.json"], "config.json: is a file"),
        (["trace", "--csv", "no/folder"], "no/folder: the folder"),
        (["export", "p", "-", "--config", "config.json", "--layout", "llama"], "'-' names"),
    ],
)
def test_what_has_no_such_output(
    command: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps(CONFIG))
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err
    assert list(Path().iterdir()) == [Path("config.json")]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_what_is_refused(
    command: str, option: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("old")
    Path("file").chmod(0o444)
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    before = sorted(Path().iterdir())
    for path, words in (
        ("file", "is read-only"), ("folder", "is a folder"), ("loop", "cannot be written"),
        ("no/file", "the folder"), ("file/x", "cannot be written"), ("", "names no file"),
    ):  # fmt: skip
        assert main([*arguments, path]) == 2
        out, err = capsys.readouterr()
        assert err.startswith(f"numtx: {path or repr(path)}") and err.count("\n") == 1, err
        assert words in err and ";" in err
        assert "written:" not in out
    assert Path("file").read_text() == "old"
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("command", "option", "failure"),
    [
        *((*names, OSError(28, "No space left on device")) for names in RUNS),
        ("init", "--out", KeyboardInterrupt()),  # it ends every command alike
    ],
)
def test_a_failure_leaves_the_old_file(
    command: str, option: str, arguments: list[str], failure: BaseException,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(_: int) -> None:
        raise failure

    Path("file").write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    assert main([*arguments, "file"]) == (2 if isinstance(failure, OSError) else 130)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    if isinstance(failure, OSError):
        assert err.startswith("numtx: file: cannot be written: No space left on device; ")
    assert Path("file").read_text() == "old"
    assert list(Path().iterdir()) == [Path("file")]


def test_the_run_is_written_where_no_step_is_left(trained: Path, tmp_path: Path) -> None:
    arguments = ["train", "cat", "--steps", "1", "--resume", str(trained)]
    assert main([*arguments, "--save", str(tmp_path / "again.npz")]) == 0
    assert (tmp_path / "again.npz").read_bytes() == trained.read_bytes()


@pytest.mark.parametrize("option", ["--save", "--resume"])
def test_a_demonstration_keeps_no_run(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--demo", "flow", option, "run.npz"]) == 2
    assert capsys.readouterr().err == f"numtx: {option} with --demo, which keeps no run; drop it\n"
