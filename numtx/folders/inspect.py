"""`numtx inspect`: what a model from outside is, before its numbers are read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_lang

if TYPE_CHECKING:
    from ..checkpoints.folder import Folder
    from ..config import Config


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "inspect",
        help="what a saved model is: mechanisms, layers, tensors, sizes, the cost of a token",
        description="Say of a folder with config.json and model.safetensors, as transformers "
        "writes it, what its mechanisms are, where its layers differ, which parameter every tensor "
        "becomes, how large it is and what a token costs. The numbers are not read.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="DIR", help="the folder")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), help="default: float32 unless F64"
    )
    add_lang(parser)


def run(args: argparse.Namespace) -> int:
    from ..checkpoints.folder import Folder
    from ..show.grid import table_text
    from ..show.headings import say
    from ..stages.catalogue import Text

    folder = Folder(args.folder, args.dtype)
    print(f"{args.folder}: {folder.layout.name} ({folder.layout.architecture})")
    for note in folder.notes:
        print(f"  - {note}")
    for title, rows in (
        (Text("机制", "mechanisms"), mechanisms(folder.config)),
        (Text("各层", "layers"), layers(folder.config)),
        (Text("张量与参数", "tensors and parameters"), tensors(folder)),
        (Text("大小与每个词元的代价", "sizes, and the cost of a token"), sizes(folder)),
    ):
        print(f"\n{say(title, args.lang)}")
        print(table_text(list(rows), "l" * len(next(iter(rows))), "  "))
    return 0


def mechanisms(config: Config) -> list[list[str]]:
    """Fields that are not at their default, with their words."""
    from ..config.fields import fields_of

    rows = []
    for name, field in fields_of(type(config)).items():
        value = config.to_dict()[name]
        if field.needed or getattr(config, name) != field.default:
            rows.append([name, short(value), field.words.partition(";")[0]])
    return rows


def layers(config: Config) -> list[list[str]]:
    """What may differ by layer: one line for layers that are alike and follow each other."""
    from ..config.fields import fields_of

    names = [name for name, field in fields_of(type(config)).items() if field.layers]
    rows: list[list[str]] = []
    for side in config.sides:
        for i in range(config.layers(side)):
            here = config.layer(side, i).to_dict()
            row = [short(here[name]) for name in names]
            if rows and rows[-1][2:] == row and rows[-1][0] == side:
                rows[-1][1] = f"{rows[-1][1].partition('-')[0]}-{i}"
            else:
                rows.append([side, str(i), *row])
    return [["", "", *names], *rows]


def tensors(folder: Folder) -> list[list[str]]:
    """Every tensor of the files, and what becomes of it."""
    from ..show.numbers import shape_text

    rows = [["tensor", "type", "shape", "how", "parameter", "shape"]]
    for name, tensor in folder.tensors.items():
        kind, own = folder.places[name]
        row = [name, tensor.dtype, shape_text(tensor.shape)]
        if kind != "mapped":
            rows.append([*row, kind, own if kind == "outside" else "", ""])
            continue
        entry = folder.entries[own]
        for n, (parameter, shape) in enumerate(entry.shapes.items()):
            start = ["", "", "", ""] if n else [*row, entry.row.how.replace("_", " ")]
            rows.append([*start, parameter, shape_text(shape)])
    return rows


def sizes(folder: Folder) -> list[list[str]]:
    """How much there is, and what one token more takes."""
    import numpy as np

    from ..costs import cache_numbers, token_costs
    from ..memory import size_text
    from ..parameters import count_parameters

    config = folder.config
    numbers = count_parameters(config)
    stored = sum(tensor.stop - tensor.start for tensor in folder.tensors.values())
    size = np.dtype(config.dtype).itemsize
    rows = [
        ["parameters", f"{numbers:,}"],
        ["in the files", f"{size_text(stored)} in {len(folder.tensors)} tensors"],
        ["in memory", f"{size_text(numbers * size)} in {config.dtype}"],
    ]
    for side, (fixed, by_key) in token_costs(config).items():
        rows.append(
            [f"a token of the {side}", f"{fixed:,} multiply-adds, and {by_key:,} for every token "
             "that it attends to"]
        )  # fmt: skip
    if "decoder" in config.sides:
        cached, _ = cache_numbers(config, 1)
        rows.append(["in the cache", f"{cached:,} numbers a token, {size_text(cached * size)}"])
    return rows


def short(value: Any) -> str:
    """A value on one line, not too long for a table."""
    text = ", ".join(map(str, _flat(value)))
    return text if len(text) <= 60 else text[:57] + "..."


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (f"{name} {short(part)}" for name, part in value.items() if part is not None)
    elif isinstance(value, list):
        yield from map(short, value) if value else ("none",)
    else:
        yield "-" if value is None else value
