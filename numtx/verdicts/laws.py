"""`numtx laws`: property tests for masks and caches, of numtx or of any model."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_lang, check_outputs, put_text, whole
from ..errors import FileError, UsageError, reason
from ..show.wrap import tell
from ..strict_json import parse
from ..subjects.declared import DECLARATIONS, OPTIONS
from .written import copied, file_of, place_of, write

if TYPE_CHECKING:
    from ..testing.trial import Report, Result


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "laws",
        help="property tests for masks and caches: numtx, or a model of your own",
        description="Try laws on a model: what every right mask, cache and batch does. Exit code "
        "1 where one is broken, or a call of the model raises; 2 where the model fails exactly as "
        "a declaration would explain, which is then named. What the model cannot do is not asked, "
        "and what no example exercised is vacuous; neither is a pass.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument(
        "model", nargs="?", metavar="MODULE:OBJECT",
        help="a callable ids -> logits with a vocabulary_size, or a subject, in a module or in a "
        "file (path/to/file.py:OBJECT), or transformers:DIR, a saved model's folder; without one "
        "the laws run on numtx itself, over all kinds of models",
    )  # fmt: skip
    _declarations(parser)
    parser.add_argument(
        "--model", dest="folder", metavar="DIR",
        help="numtx with the model in a folder, as transformers writes it, in float64",
    )  # fmt: skip
    parser.add_argument("--law", action="append", metavar="NAME", help="only this law (repeatable)")
    parser.add_argument("--list", action="store_true", help="print the laws and run none")
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="N", help="seed of the examples (default 0)"
    )
    parser.add_argument(
        "--examples", type=whole(1), metavar="N",
        help="examples of each law (default 50; on numtx itself 4 for each kind of model)",
    )  # fmt: skip
    parser.add_argument(
        "--known-failures", metavar="FILE",
        help="names of laws that may be broken, one a line; # begins a comment",
    )  # fmt: skip
    parser.add_argument(
        "--zoo", action="store_true",
        help="plant bugs in numtx and print which laws catch which; in a checkout",
    )  # fmt: skip
    parser.add_argument(
        "--json", metavar="FILE", help="write the results as JSON (-: standard output)"
    )
    parser.add_argument(
        "--write", metavar="FILE",
        help="write tests for pytest: the laws as a suite, and for each that is broken its "
        "smallest example as a test that needs neither numtx nor hypothesis",
    )  # fmt: skip


def _declarations(parser: argparse.ArgumentParser) -> None:
    """An option for each declaration, under its name."""
    group = parser.add_argument_group("declarations, as on the object or in subject(...)")
    group.add_argument(
        "--vocabulary", "--vocabulary-size", dest="vocabulary_size", type=whole(2), metavar="N",
        help="ids are 0 up to this",
    )  # fmt: skip
    for name, (metavar, text) in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        if metavar:
            group.add_argument(flag, type=_declared(name), metavar=metavar, help=text)
        else:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)


def _declared(name: str) -> Callable[[str], Any]:
    """The type of an option: what the declaration takes, from a text."""

    def read(text: str) -> Any:
        value: Any = text
        with contextlib.suppress(ValueError):
            value = float(text) if name == "tolerance" else int(text)
        try:
            return DECLARATIONS[name](value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}; it should be {error}") from None

    return read


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """The declarations that were given."""
    names = ("vocabulary_size", *OPTIONS)
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def run(args: argparse.Namespace) -> int:
    from ..testing import need_hypothesis

    need_hypothesis()
    from ..laws.law import KINDS, law_of
    from ..show.headings import below
    from ..show.table import table_text
    from ..testing.trial import law_names

    for name in args.law or ():
        law_of(name)
    if args.list:
        laws = [law_of(name, kind) for kind in KINDS for name in law_names(kind)]
        needs = [f"[{', '.join(sorted(law.needs))}]" for law in laws]
        rows = [
            [
                law.name,
                "E" if law.exact else "T",
                below(args.lang, law.statement_zh, law.statement),
                n,
            ]
            for law, n in zip(laws, needs, strict=True)
        ]
        print(table_text(rows, "llll"))
        return 0
    read = (args.known_failures, file_of(args.model or ""))
    check_outputs((args.json, args.write), read)
    place = None if args.write is None else place_of(args)
    if args.zoo:
        return _zoo(args)
    args.known = known = _known(args.known_failures)
    if args.model is None and _said(args):
        raise UsageError("declarations are for a model of your own; give MODULE:OBJECT")
    if args.folder is not None:
        if args.model is not None:
            raise UsageError("both MODULE:OBJECT and --model; give one")
        args.model = args.folder
        model = _of_folder(args.folder)
    else:
        model = None if args.model is None else load(args.model)
    fresh = None if place is None else copied(model)
    report = _numtx(args) if args.model is None else _own(args, model)
    broken = {result.law.name for result in report.broken}
    args.code = 1 if broken - known or report.errors else 2 if report.undeclared else 0
    if args.json is not None:
        put_text(args.json, report.to_json() + "\n")
    if place is not None:
        write(args, report, (model, fresh), _said(args), place)
    tell(report.table(known, args.lang))
    _tell(report, known, args.lang)
    return int(args.code)


def _of_folder(folder: str) -> Any:
    from ..checkpoints.folder import read_model
    from ..subjects.own import NumtxSubject

    config, parameters, _ = read_model(folder, "float64")
    return NumtxSubject(config, parameters, folder)


def _numtx(args: argparse.Namespace) -> Report:
    from ..laws.law import law_of
    from ..subjects.own import every_kind
    from ..testing.trial import Report, check, law_names

    names = args.law or law_names()
    subjects = list(every_kind())
    results: list[Result] = []
    notes: dict[str, None] = {}
    for one in args.progress.over(subjects, lambda subject: subject.name):
        again = one is not subjects[0]
        report = check(
            one, [name for name in names if not (again and law_of(name).once)],
            seed=args.seed, examples=args.examples or 4,
        )  # fmt: skip
        results += report.results
        notes |= dict.fromkeys(report.notes)
    return Report(results, tuple(notes))


def _own(args: argparse.Namespace, model: Any) -> Report:
    from ..testing.trial import check

    def tell(law: str, number: int, of: int) -> None:
        args.progress.at(f"{args.model}: {law}", number, of)

    return check(
        model, args.law, seed=args.seed, examples=args.examples or 50, progress=tell,
        record=args.write is not None, **_said(args),
    )  # fmt: skip


def _zoo(args: argparse.Namespace) -> int:
    """The matrix of bugs and laws, by the registry that stands in a checkout beside the package."""
    if args.model is not None or args.known_failures is not None:
        raise UsageError("--zoo plants bugs in numtx; leave out MODULE:OBJECT and --known-failures")
    tests = Path(__file__).resolve().parents[2] / "tests"
    if not (tests / "zoo" / "matrix.py").is_file():
        raise UsageError(
            "--zoo needs the planted bugs of a checkout (tests/zoo); there are none here"
        )
    command = [sys.executable, "-P", "-m", "zoo", "--seed", str(args.seed)]
    command += ["--examples", str(args.examples or 4)]
    command += [part for name in args.law or () for part in ("--law", name)]
    paths = os.pathsep.join(filter(None, (str(tests), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as zoo:
        try:
            told, _ = zoo.communicate()
        except KeyboardInterrupt:
            zoo.terminate()
            raise
    if zoo.returncode:  # it said why
        return zoo.returncode
    matrix = parse(told)
    print(matrix["text"])
    if args.json is not None:
        put_text(args.json, matrix["json"] + "\n")
    return 0 if matrix["ok"] else 1


def _tell(report: Report, known: frozenset[str], lang: str) -> None:
    """Each law that is broken, in error or undeclared with its example, and what is to be said
    of known failures; only what is broken is one of these."""
    from ..show.headings import pick
    from ..testing.chinese import why_in_chinese
    from ..testing.report import BROKEN, ERROR, UNDECLARED

    found = {result.law.name for result in report.broken}
    tried = {result.law.name for result in report.results}
    for name in sorted(known & tried - found):
        en = f"{name} is a known failure and is not broken now; take it out of the file"
        tell(pick(lang, f"{name} 列为已知会坏，这次没有坏；请从文件里去掉", en))
    if found & known:
        names = ", ".join(sorted(found & known))
        tell(pick(lang, f"* 已知会坏: {names}", f"* known failures: {names}"))
    shown: set[tuple[str, str]] = set()
    for result in report.results:
        undeclared = result.status == UNDECLARED  # one declaration may explain several laws
        one = (result.why if undeclared else result.law.name, result.status)
        excused = result.status == BROKEN and result.law.name in known
        told = (BROKEN, ERROR, UNDECLARED)
        if result.status in told and one not in shown and not excused:
            shown.add(one)
            why = why_in_chinese(result) if lang == "zh" else result.why
            tell(f"\n{result.subject}: {why}")


def _known(path: str | None) -> frozenset[str]:
    from ..laws.law import law_of

    if path is None:
        return frozenset()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None
    names = {line.partition("#")[0].strip() for line in lines} - {""}
    return frozenset(law_of(name).name for name in names)


def load(text: str) -> Any:
    """The object that MODULE:OBJECT or FILE.py:OBJECT names; modules of the working directory,
    or of the file's own, come first."""
    module, _, name = text.rpartition(":")
    if text.startswith("transformers:"):
        from ..adapters.folder import load as load_folder

        return load_folder(text.removeprefix("transformers:"))
    if not module or not name:
        raise UsageError(
            f"{text!r} is not MODULE:OBJECT, such as my_model:logits or ./my_model.py:logits"
        )
    path = Path(module)
    if path.suffix == ".py" or len(path.parts) > 1:
        if path.suffix != ".py" or not path.is_file():
            raise UsageError(f"{module}: no such file of Python; give FILE.py:OBJECT")
        folder, to_import = path.resolve().parent, path.stem
    else:
        folder, to_import = Path.cwd(), module
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found: Any = _import(to_import, path if path.suffix == ".py" else None)
    except (Exception, SystemExit) as error:  # whatever the module does when it is loaded
        told = " ".join(str(error).split())
        raise UsageError(
            f"module {module!r} cannot be loaded: {type(error).__name__}: {told}"
        ) from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"module {module!r} has no {name!r}")
        found = getattr(found, part)
    return found


def _import(name: str, path: Path | None) -> ModuleType:
    """A module by its name, or from a file of whatever name."""
    if path is None:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a file that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as dataclasses and pickles of the file need it
    spec.loader.exec_module(module)
    return module
