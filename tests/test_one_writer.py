"""No module but `files` writes a file, in whatever way it might be written."""

import ast
from pathlib import Path

import pytest

import numtx

HOME = Path(numtx.__file__).parent

WRITERS = {
    "write_text", "write_bytes", "savez", "savez_compressed", "savetxt", "tofile", "memmap",
    "open_memmap", "FileIO", "fdopen", "mkstemp", "NamedTemporaryFile", "TemporaryFile", "touch",
    "FileHandler", "symlink_to", "hardlink_to", "mknod", "mkfifo", "rename",
}  # fmt: skip
FUNCTIONS = {"os.replace", "os.truncate", "np.save", "numpy.save"}
OPENERS = {"open", "ZipFile", "GzipFile", "TarFile"}
MODULES = {"sqlite3", "dbm", "shelve", "fileinput", "mmap", "codecs", "gzip", "tarfile"}
LEAVES = {"numpy", "os", "io", "tempfile", "pathlib", "logging", "zipfile"}


def other_writers(source: str) -> list[str]:
    """Everything in a module that may write a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            shell = owner == "shutil" and node.attr not in ("get_terminal_size", "which")
            if shell or node.attr in WRITERS or f"{owner}.{node.attr}" in FUNCTIONS:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in OPENERS and not _reads(node):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            modules = [alias.name.split(".")[0] for alias in node.names]
            found += [ast.unparse(node) for module in modules if module in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = (node.module or "").split(".")[0]
            names = {alias.name for alias in node.names}
            if module in MODULES | {"shutil"} or (
                module in LEAVES and names & (WRITERS | OPENERS | {"save", "replace"})
            ):
                found.append(ast.unparse(node))
    return found


def _reads(call: ast.Call) -> bool:
    """Whether a file is opened for reading, or nothing but the null device for writing."""
    function = ast.unparse(call.func)
    if call.args and ast.unparse(call.args[0]) == "os.devnull":
        return True
    if function == "os.open":
        return len(call.args) == 2 and ast.unparse(call.args[1]) == "os.O_RDONLY"
    # Path.open takes the mode first, every other one after the file.
    first = function.split(".")[-1] == "open" and isinstance(call.func, ast.Attribute)
    modes = [word.value for word in call.keywords if word.arg in ("mode", None)]
    modes += call.args[0 if first and len(call.args) == 1 else 1 :][:1]
    return all(isinstance(mode, ast.Constant) and mode.value in ("r", "rb", "rt") for mode in modes)


@pytest.mark.parametrize(
    "source",
    [
        'open(p, "w")', 'open(p, mode="ab")', "open(p, mode)", "open(p, **how)", 'open(p, "r+")',
        'p.open("wb")', "p.open(mode)", 'io.open(p, "x")', "os.open(p, os.O_WRONLY | os.O_CREAT)",
        "p.write_text(t)", "p.write_bytes(b)", "np.save(p, x)", "save = np.savez", "x.tofile(p)",
        'zipfile.ZipFile(p, "w")', "from numpy import save", "import shelve", "os.replace(a, b)",
        "shutil.copy(a, b)", "from shutil import move", "move = shutil.move",
        "from os import replace", "from io import FileIO", "tempfile.mkstemp()",
        "from zipfile import ZipFile", "p.rename(q)", "np.lib.format.open_memmap(p)",
    ],
)  # fmt: skip
def test_a_second_writer_is_seen(source: str) -> None:
    assert other_writers(f"def f():\n    {source}\n") != []


def test_readers_are_no_writers() -> None:
    source = (
        'open(p)\nopen(p, "rb")\np.open()\np.open("rb")\nos.open(p, os.O_RDONLY)\n'
        'open(os.devnull, "w")\nzipfile.ZipFile(p)\nargs.save\ntext.replace("a", "b")\n'
        "shutil.get_terminal_size().columns\nshutil.which(p)\n"
        "np.load(p)\nfrom ..files import write_text\nwrite_text(p, t)\np.read_text()\n"
    )
    assert other_writers(source) == []


def test_there_is_no_other_writer() -> None:
    for file in sorted(HOME.rglob("*.py")):
        found = other_writers(file.read_text(encoding="utf-8"))
        if file == HOME / "files.py":
            assert len(found) >= 4, "the writer itself is not seen"
        else:
            assert found == [], f"{file.relative_to(HOME)}: write by numtx.files"
