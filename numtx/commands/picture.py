"""`numtx picture`: the documents' four pictures."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.options import add_lang, check_outputs, put_text, whole
from ..errors import UsageError
from ..show.wrap import tell

PICTURES = {
    "causal-mask": "the causal mask and its effect on the weights",
    "cache-memory": "the memory of a cache: MHA, GQA, MQA, MLA",
    "cached-step": "the data flow of one step with a cache",
    "side-by-side": "decoding without a cache and with one, step by step",
}
FILES = ("causal-mask", "cache-memory")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "picture",
        help="the documents' pictures in the terminal, two of them as SVG files",
        description="Draw a picture from a run: "
        + "; ".join(f"{name}: {what}" for name, what in PICTURES.items())
        + ".",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument(
        "picture", choices=tuple(PICTURES), metavar="PICTURE", help=", ".join(PICTURES)
    )
    parser.add_argument("example", nargs="?", help="an example with a decoder alone (default: cat)")
    parser.add_argument(
        "--svg", metavar="FILE", help=f"write a file (-: standard output): {', '.join(FILES)}"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--width", type=whole(40), metavar="N", help="columns (default: the terminal's, or 80)"
    )
    group = parser.add_argument_group("cache-memory")
    for name, default, what in (
        ("layers", 32, "blocks"), ("heads", 32, "query heads"), ("head-width", 128, "d of a head"),
        ("groups", 8, "key/value heads of GQA"), ("rank", 512, "r, the width of MLA's latent"),
        ("rotary", 64, "d_r, the width of MLA's rotated key"), ("bytes", 2, "of a number"),
        ("tokens", 131072, "the longest text"),
    ):  # fmt: skip
        group.add_argument(
            f"--{name}", type=whole(1), default=default, metavar="N", help=f"{what} ({default})"
        )


def run(args: argparse.Namespace) -> int:
    if args.svg is not None and args.picture not in FILES:
        raise UsageError(f"--svg draws {' and '.join(FILES)}; {args.picture} is for the terminal")
    check_outputs((args.svg,))
    text, svg = drawn(args)
    if args.svg is None:
        tell(text, width=args.width)
        return 0
    from ..show.headings import pick

    put_text(args.svg, svg)
    tell(f"{pick(args.lang, '已写入', 'written')}: {args.svg}")
    return 0


def drawn(args: argparse.Namespace) -> tuple[str, str]:
    """The picture as text, and as SVG where there is one."""
    if args.picture == "cache-memory" and args.example is not None:
        raise UsageError(f"cache-memory shows no example ({args.example}); leave it out")
    return _memory(args) if args.picture == "cache-memory" else _of_example(args)


def _of_example(args: argparse.Namespace) -> tuple[str, str]:
    """The picture as text, and as SVG where there is one."""
    from ..examples import pictures
    from ..examples.registry import load_example
    from ..pictures.svg import causal_mask_svg
    from ..pictures.terminal import cached_step_text, causal_mask_text, side_by_side_text
    from ..show.wrap import columns

    example = load_example(args.example or "cat", seed=args.seed)
    width = args.width or columns()
    if args.picture == "causal-mask":
        mask = pictures.mask_picture(example)
        return causal_mask_text(mask, width, lang=args.lang), causal_mask_svg(mask)
    if args.picture == "cached-step":
        return cached_step_text(pictures.step_picture(example), args.lang, width), ""
    return side_by_side_text(pictures.frames(example), args.lang, width), ""


def _memory(args: argparse.Namespace) -> tuple[str, str]:
    from ..examples.pictures import memory_curves
    from ..pictures.svg import memory_svg
    from ..pictures.terminal import memory_text
    from ..show.headings import below
    from ..show.wrap import columns

    if args.heads % args.groups:
        raise UsageError(
            f"--heads {args.heads} is not a multiple of --groups {args.groups}: every group of "
            "query heads has one key/value head"
        )
    curves = memory_curves(
        layers=args.layers, heads=args.heads, width=args.head_width, groups=args.groups,
        rank=args.rank, rotary=args.rotary, size=args.bytes,
    )  # fmt: skip
    zh = (
        f"{args.layers} 层，{args.heads} 个宽 {args.head_width} 的头，"
        f"GQA 有 {args.groups} 个键值头，MLA 的 r = {args.rank}、d_r = {args.rotary}；"
        f"每个数 {args.bytes} 字节"
    )
    en = (
        f"{args.layers} layers, {args.heads} heads of {args.head_width}, "
        f"GQA with {args.groups} key/value heads, MLA with r = {args.rank}, d_r = {args.rotary}; "
        f"{args.bytes} bytes a number"
    )
    width, title = args.width or columns(), below(args.lang, zh, en)
    text = memory_text(curves, args.tokens, title, width, lang=args.lang)
    return text, memory_svg(curves, args.tokens, en)
