"""`numtx inspect`: what a model from outside is, before its numbers are read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang
from ..show.wrap import tell

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
    add_json(parser, run)
    parser.add_argument("folder", metavar="DIR", help="the folder")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), help="default: float32 unless F64"
    )
    add_lang(parser)


def run(args: argparse.Namespace) -> int:
    from ..checkpoints.folder import Folder

    folder = Folder(args.folder, args.dtype)
    args.result = as_json(folder)
    for line in folder_text(folder, args.lang):
        tell(line)
    return 0


def folder_text(folder: Folder, lang: str) -> Iterator[str]:
    """Its mechanisms, layers, tensors and sizes in lines."""
    from ..show.headings import say
    from ..show.table import table_text
    from ..stages.catalogue import Text

    yield f"{folder.path}: {folder.layout.name} ({folder.layout.architecture})"
    for note in folder.notes:
        yield f"  - {note}"
    for title, rows in (
        (Text("机制", "mechanisms"), mechanisms(folder.config, lang)),
        (Text("各层", "layers"), layers(folder.config)),
        (Text("张量与参数", "tensors and parameters"), tensors(folder, lang)),
        (Text("大小与每个词元的代价", "sizes, and the cost of a token"), sizes(folder, lang)),
    ):
        yield f"\n{say(title, lang)}"
        yield table_text(list(rows), "l" * len(next(iter(rows))), "  ")


def as_json(folder: Folder) -> dict[str, Any]:
    """The family, the configuration in numtx's fields, the tensors and what becomes of each."""
    from ..costs import cache_numbers, token_costs
    from ..parameters import count_parameters

    config, found = folder.config, []
    for name, tensor in folder.tensors.items():
        kind, own = folder.places[name]
        mapped = kind == "mapped"
        shapes = folder.entries[own].shapes if mapped else {}
        found.append({
            "name": name, "type": tensor.dtype, "shape": tensor.shape,
            "how": folder.entries[own].row.how if mapped else kind, "parameters": shapes,
        })  # fmt: skip
    return {
        "layout": folder.layout.name,
        "architecture": folder.layout.architecture,
        "notes": folder.notes,
        "config": config.to_dict(),
        "numbers": count_parameters(config),
        "tensors": found,
        "multiply_adds": {
            side: {"a_token": fixed, "a_key": by_key}
            for side, (fixed, by_key) in token_costs(config).items()
        },
        "cached": cache_numbers(config, 1)[0] if "decoder" in config.sides else 0,
    }


def mechanisms(config: Config, lang: str) -> list[list[str]]:
    """Fields that are not at their default, with their words."""
    from ..fields.field import fields_of
    from ..show.headings import pick
    from .words_zh import FIELDS

    rows = []
    for name, field in fields_of(type(config)).items():
        value = config.to_dict()[name]
        if field.needed or getattr(config, name) != field.default:
            words = pick(lang, FIELDS[name], field.words.partition(";")[0])
            rows.append([name, short(value), words])
    return rows


def layers(config: Config) -> list[list[str]]:
    """What may differ by layer: one line for layers that are alike and follow each other."""
    from ..fields.field import fields_of

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


def tensors(folder: Folder, lang: str) -> list[list[str]]:
    """Every tensor of the files, and what becomes of it."""
    from ..show.headings import pick
    from ..show.numbers import shape_text
    from .words_zh import HOW

    heads = ["tensor", "type", "shape", "how", "parameter", "shape"]
    rows = [["张量", "类型", "形状", "怎样", "参数", "形状"] if lang == "zh" else heads]
    for name, tensor in folder.tensors.items():
        kind, own = folder.places[name]
        row = [name, tensor.dtype, shape_text(tensor.shape)]
        if kind != "mapped":
            part = folder.part(folder.places[name])
            rows.append([*row, pick(lang, HOW[kind], kind), part, ""])
            continue
        entry = folder.entries[own]
        for n, (parameter, shape) in enumerate(entry.shapes.items()):
            how = entry.row.how.replace("_", " ")
            start = ["", "", "", ""] if n else [*row, pick(lang, HOW[how], how)]
            if entry.expert is not None:
                parameter, shape = f"{parameter}[{entry.expert}]", shape[1:]
            rows.append([*start, parameter, shape_text(shape)])
    return rows


def sizes(folder: Folder, lang: str) -> list[list[str]]:
    """How much there is, and what one token more takes."""
    import numpy as np

    from ..costs import cache_numbers, token_costs
    from ..memory import size_text
    from ..parameters import count_parameters
    from ..show.headings import SIDES, pick
    from .loads import even_share

    config = folder.config
    numbers = count_parameters(config)
    stored = sum(tensor.stop - tensor.start for tensor in folder.tensors.values())
    size = np.dtype(config.dtype).itemsize
    count, kept, held = len(folder.tensors), size_text(stored), size_text(numbers * size)
    rows = [
        [pick(lang, "参数", "parameters"), f"{numbers:,}"],
        [pick(lang, "文件里", "in the files"),
         pick(lang, f"{kept}，{count} 个张量", f"{kept} in {count} tensors")],
        [pick(lang, "内存里", "in memory"),
         pick(lang, f"{held}，{config.dtype}", f"{held} in {config.dtype}")],
    ]  # fmt: skip
    for side, (fixed, by_key) in token_costs(config).items():
        zh = f"{fixed:,} 次乘加，它看的每个词元再加 {by_key:,} 次"
        en = f"{fixed:,} multiply-adds, and {by_key:,} for every token that it attends to"
        what = pick(lang, f"{SIDES[side].zh}的一个词元", f"a token of the {side}")
        rows.append([what, pick(lang, zh, en)])
    if share := even_share(config, lang):
        rows.append([pick(lang, "专家", "experts"), share])
    if "decoder" in config.sides:
        cached, _ = cache_numbers(config, 1)
        each = size_text(cached * size)
        zh, en = f"每个词元 {cached:,} 个数，{each}", f"{cached:,} numbers a token, {each}"
        rows.append([pick(lang, "缓存里", "in the cache"), pick(lang, zh, en)])
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
