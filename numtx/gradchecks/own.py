"""`numtx gradcheck MODULE:OBJECT`: a backward pass of one's own."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..show.wrap import tell

if TYPE_CHECKING:
    from ..backwards.check import Checked, OwnReport

OBJECT = re.compile(r"[\w./\\-]+:[A-Za-z_][\w.]*", re.ASCII)


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "a backward pass of your own (MODULE:OBJECT or FILE.py:OBJECT)",
        "The object is a function without arguments that returns (forward, backward, inputs), or "
        "what has forward and backward, such as a torch.autograd.Function. forward(*inputs) gives "
        "the result, and backward(cotangent, *inputs) a gradient for each input; or forward gives "
        "(result, kept), and backward takes (cotangent, kept).",
    )
    group.add_argument(
        "--shapes", metavar="JSON", help="draw inputs of these shapes: '[[2,3,8],[8],[8]]'"
    )
    group.add_argument("--inputs", metavar="FILE", help="inputs in a file (.npz), in its order")
    group.add_argument(
        "--backward", metavar="NAME",
        help="the function of the module that is the backward pass of OBJECT",
    )  # fmt: skip


def is_own(args: argparse.Namespace) -> bool:
    """Whether what stands in the place of an example names an object of a module."""
    return args.example is not None and OBJECT.fullmatch(args.example) is not None


def run(args: argparse.Namespace) -> int:
    from ..backwards.check import check
    from ..backwards.own import backward_beside, own
    from ..verdicts.laws import load
    from .as_json import own_as_json

    for name in ("text", "config", "folder", "stage", "parameters", "operation"):
        if getattr(args, name) is not None:
            raise UsageError(f"{args.example} is no model; leave out {name}")
    module, _, name = args.example.rpartition(":")
    found, backward = load(args.example), None
    if args.backward is not None:
        backward = load(f"{module}:{args.backward}")
    elif args.shapes is not None or args.inputs is not None:
        home = sys.modules.get(getattr(found, "__module__", ""), None)
        if not isinstance(found, type):
            backward = backward_beside(home, name)
    inputs = _inputs(args)
    made = own(found, args.example, inputs, backward)
    samples = args.samples or None
    found = check(made, samples, args.seed)
    if not args.json:
        return report(found, args.lang)
    print(own_as_json(found))
    return 0 if found.ok else 1


def _inputs(args: argparse.Namespace) -> Any:
    import numpy as np

    from ..files import NpzFile
    from ..strict_json import read_json

    if args.inputs is not None:
        if args.shapes is not None:
            raise UsageError("both --inputs and --shapes; give one")
        file = NpzFile(args.inputs)
        return dict(file.arrays({name: name for name in file.headers}))
    if args.shapes is None:
        return None
    shapes = read_json(args.shapes, "--shapes", UsageError)
    right = isinstance(shapes, list) and all(
        isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
        for shape in shapes
    )  # fmt: skip
    if not right or not shapes:
        raise UsageError(f"--shapes {args.shapes}: a list of shapes is needed, [[2,3,8],[8],[8]]")
    generator = np.random.default_rng((args.seed, 1))
    return [generator.standard_normal(shape) for shape in shapes]


def report(found: OwnReport, lang: str) -> int:
    """One line a gradient, the wrong cells of each that is wrong and what it is, the verdict."""
    from ..show.headings import below, pick
    from ..show.table import table_text

    zh, en = (
        "误差：最大的差，以容差为单位",
        "error: the largest difference, in units of the tolerance",
    )
    tell(below(lang, zh, en) + "\n")
    wrong = pick(lang, "错", "WRONG")
    rows = [[*pick(lang, "输入 格 误差 错格", "input cells error wrong").split(), ""]]
    rows += [
        [one.name, str(one.cells), f"{one.worst:.2g}", str(one.differing), "" if one.ok else wrong]
        for one in found.checked
    ]
    tell(table_text(rows, "lrrrl"))
    for one in found.checked:
        if not one.ok:
            _wrong(one, lang)
    tell("")
    for one in found.checked:
        if one.kinks:
            tell(below(
                lang,
                f"{one.name}：{one.kinks} 格在没有斜率之处（如 relu 的 0、并列的最大值）："
                "两侧斜率之间的都算对",
                f"{one.name}: {one.kinks} cells lie where there is no slope (a relu at 0, a tie "
                "of a maximum): all between the slopes of the two sides is right",
            ))  # fmt: skip
    for name in found.missing:
        zh, en = "没有给出梯度，未比较", "no gradient is given; not compared"
        tell(below(lang, f"{name}：{zh}", f"{name}: {en}"))
    bad = [one.name for one in found.checked if not one.ok]
    if not bad:
        number = len(found.checked)
        tell(pick(lang, f"正确：{number} 个梯度", f"ok: {number} gradients"))
        return 0
    tell(pick(lang, f"错：{'、'.join(bad)} 的梯度", f"wrong: the gradient of {', '.join(bad)}"))
    return 1


def _wrong(one: Checked, lang: str) -> None:
    from ..show.headings import below, pick
    from ..show.table import table_text

    tell("\n" + one.name)
    rows = [pick(lang, "格 差商 反向传播", "cell differences backward").split()]
    rows += [
        [f"[{','.join(map(str, cell.cell))}]", f"{cell.numeric:.10g}", f"{cell.analytic:.10g}"]
        for cell in one.wrong
    ]
    tell(table_text(rows, "lrr"))
    for kind in one.kinds:
        tell(below(lang, f"原因：{kind.zh}", f"cause: {kind.en}"))
    if not one.kinds:
        tell(below(
            lang, "原因：试过的已知错误都得不出这些数",
            "cause: none of the known mistakes that were tried reproduces these numbers",
        ))  # fmt: skip
