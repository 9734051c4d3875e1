"""`numtx laws MODEL --write FILE`: the tests, and how they come by the model."""

from __future__ import annotations

import argparse
import copy
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments.options import put_text
from ..errors import UsageError

if TYPE_CHECKING:
    from ..testing.trial import Report
    from ..written.file import Source


def place_of(args: argparse.Namespace) -> Path:
    """Where the tests will stand. Raises an error of numtx without a model."""
    from ..files import target

    if args.model is None or args.zoo:
        raise UsageError("--write is for a model of your own; give MODULE:OBJECT")
    if args.write == "-":
        return Path.cwd() / "test_model.py"
    place, _ = goal = target(args.write)
    return Path.cwd() / "test_model.py" if isinstance(place, int) or goal.straight else place


def file_of(model: str) -> str | None:
    """The file that MODULE:OBJECT or FILE.py:OBJECT reads, where it stands below this folder."""
    module = model.rpartition(":")[0]
    file = Path(module if module.endswith(".py") else module.replace(".", "/") + ".py")
    return str(file) if module and file.is_file() else None


def write(
    args: argparse.Namespace,
    report: Report,
    models: tuple[Any, Any],
    options: dict[str, Any],
    place: Path,
) -> None:
    """Write the tests of a model that was tried; models: it, and a copy from before, or None."""
    from ..subjects.subject import subject
    from ..written.file import Suite, text_of

    broken = {result.law.name for result in report.broken}
    known = broken & args.known
    laws = None if args.law is None else tuple(args.law)
    suite = Suite(options, laws, args.examples or 50, args.seed, known)
    own = subject(models[0], **options)
    fresh = None if models[1] is None else subject(models[1], **options)
    source = source_of(args.model, models[0], place)
    put_text(args.write, text_of(report, (own, fresh), source, suite, place))


def copied(model: Any) -> Any:
    """A copy of a model; None where it has none."""
    try:
        return copy.deepcopy(model)
    except Exception:  # whatever the model's parts say
        return None


def source_of(text: str, model: Any, place: Path) -> Source:
    """How a file at `place` comes by the model that MODULE:OBJECT, FILE.py:OBJECT or
    transformers:DIR names."""
    from ..written.file import Source

    module, _, name = text.rpartition(":")
    if text.startswith("transformers:"):
        kind, dtype = type(model).__name__, str(model.dtype)
        loaded = (
            f"FOLDER = {_beside(place, Path(text.removeprefix('transformers:')))}",
            f"model = transformers.{kind}.from_pretrained(FOLDER, dtype={dtype}).eval()",
        )
        return Source(text, ("import transformers",), loaded)
    folder, top = Path.cwd(), module.partition(".")[0]
    is_file = module.endswith(".py")
    if is_file:
        folder, module = Path(module).resolve().parent, Path(module).stem
        if "." in module:
            raise UsageError(f"{text}: a test cannot import a name with a point; rename the file")
    lines = [f'model = importlib.import_module("{module}").{name}']
    own = getattr(sys.modules.get(top), "__file__", None) or ""
    if is_file or Path(own).resolve().is_relative_to(folder):
        lines.insert(0, f"sys.path.insert(0, str({_beside(place, folder)}))")
    return Source(text, (), lines)


def _beside(place: Path, folder: Path) -> str:
    """A folder as Python that finds it from the file at `place`."""
    way = os.path.relpath(folder.resolve(), place.parent)
    return "Path(__file__).parent" + ("" if way == "." else f' / "{Path(way).as_posix()}"')
