"""`numtx compare`: where two runs part, and the known mistake that explains it."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_lang, check_outputs, put_text, whole
from ..arguments.source import add_run, inputs_of, is_own, own_run, read_text
from ..errors import UsageError
from ..show.wrap import tell
from ..strict_json import read_json
from .against import both_sides

if TYPE_CHECKING:
    from ..compare.sides import Side


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="find where another implementation's run parts from a trace, and why",
        description="Hold a file of arrays against a trace: the first stage in computing order "
        "that differs, its worst cells, how the difference grows, and the known mistake that "
        "reproduces it. The second may be .npz, safetensors or a folder of .npy files, with the "
        "arrays it has, in any precision, under the names of stages (gradients: grad/STAGE), or "
        "those of a state dict or of modules of transformers. Axes may be in another order, "
        "flattened, or left out where they are one. Exit code 1 where they differ.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument("first", nargs="?", metavar="A", help="a trace (numtx trace --npz A)")
    parser.add_argument(
        "second", nargs="?", metavar="B",
        help="another trace, or arrays of your own; with --model the only file",
    )  # fmt: skip
    parser.add_argument(
        "--against", choices=("transformers",),
        help="with --model DIR in place of files: the package loads the folder too and runs the "
        "same ids, and what its modules give is held against numtx's run",
    )  # fmt: skip
    parser.add_argument(
        "--gradients", action="store_true",
        help="with --against: gradients too, without --labels those of the loss of random ones "
        "(--seed), or of a random sum of what a body ends in",
    )  # fmt: skip
    parser.add_argument(
        "--map", metavar="FILE", help='names of arrays in B, as JSON: {"their name": "stage"}'
    )
    parser.add_argument(
        "--layout", metavar="NAME",
        help="the family whose names B has, by model_type, such as gpt2 (default: that of --model, "
        "or the one that knows most of them)",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=_tolerance, metavar="X",
        help="relative to the size of the terms, for every array (default: 1e-10; where numbers "
        "are coarser than float64, what rounding does to this run)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--html", metavar="FILE",
        help="write both sides as one page for a browser, the first difference open",
    )  # fmt: skip
    parser.add_argument(
        "--cosine", metavar="STAGE",
        help="also the cosine between the two sides' vectors of each token, at a stage",
    )  # fmt: skip
    parser.add_argument("--full", action="store_true", help="list every stage, equal ones too")
    parser.add_argument(
        "--cells", type=whole(1), default=5, metavar="N", help="worst cells to show (default 5)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    add_run(parser)


def run(args: argparse.Namespace) -> int:
    from ..compare.compare import compare, pair_of
    from ..reports.runs import comparison_page
    from ..show.headings import pick
    from ..stages.leaf import Text
    from .compare_cosine import check_cosine, cosine_lines
    from .compare_json import as_json
    from .compare_report import report

    check_outputs((args.html,), (args.first, args.second, args.map, *inputs_of(args)))
    first, second = _sides(args)
    searching = pick(args.lang, "找原因", "looking for the cause")
    found = compare(
        first, second, args.tolerance, lambda share: args.progress.at(searching, share)
    )  # fmt: skip
    args.code = 0 if found.equal else 1
    if args.cosine is not None:
        check_cosine(args.cosine, found)
    if args.html is not None:
        lines = (report(found, first, second, args.full, args.cells, x) for x in ("zh", "en"))
        told = Text(*("\n".join(one) for one in lines))
        put_text(args.html, comparison_page(found, first, second, told, args.lang))
    if args.json:
        object_ = {**as_json(found), "notes": [note.en for note in second.notes]}
        print(json.dumps(object_, ensure_ascii=False, indent=1))
        return int(args.code)
    for line in report(found, first, second, args.full, args.cells, args.lang):
        tell(line)
    if args.html is not None:
        tell(f"{pick(args.lang, '已写入', 'written')}: {args.html}")
    if args.cosine is not None:
        for line in cosine_lines(
            args.cosine, pair_of(first, second, args.cosine), first, args.lang
        ):
            tell(line)
    return int(args.code)


def _sides(args: argparse.Namespace) -> tuple[Side, Side]:
    """What is held against what."""
    from ..checkpoints.sides import understood
    from ..compare.sides import read_side, side_of

    if args.against is not None:
        return both_sides(args)
    if args.gradients:
        raise UsageError("--gradients is for --against; of files all that they have is compared")
    if is_own(args):
        if args.first is None:
            raise UsageError("which file is held against the model? numtx compare --model DIR B")
        args.first, args.second = args.second, args.first
        trace = own_run(args, args.first)
        assert trace is not None
        first = side_of(trace, "the model")
    elif args.second is None:
        raise UsageError("which file is held against it? numtx compare A B")
    else:
        first = read_side(args.first)
    return first, understood(read_side(args.second, _names(args.map)), first, _layout(args))


def _layout(args: argparse.Namespace) -> str | None:
    """The family whose names the second file has: as said, or that of the model."""
    from ..checkpoints.folder import CONFIG, layout_of
    from ..safetensors import read_object

    if args.layout is not None:
        return layout_of(args.layout, "--layout").name
    if args.folder is not None:
        return str(read_object(Path(args.folder) / CONFIG)["model_type"])
    return None


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return number


def _names(path: str | None) -> dict[str, str] | None:
    if path is None:
        return None
    names = read_json(read_text(path), f"--map {path}", UsageError)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UsageError(f'--map {path}: an object is needed, {{"their name": "stage", ...}}')
    return names
