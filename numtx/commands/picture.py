"""`numtx picture`: the documents' four pictures."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.options import terminal_width, whole
from ..errors import UsageError

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
    parser.add_argument("picture", choices=tuple(PICTURES))
    parser.add_argument("example", nargs="?", help="an example with a decoder alone (default: cat)")
    parser.add_argument("--svg", metavar="FILE", help=f"write a file: {', '.join(FILES)}")
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
    if args.picture == "cache-memory" and args.example is not None:
        raise UsageError(f"cache-memory shows no example ({args.example}); leave it out")
    text, svg = _memory(args) if args.picture == "cache-memory" else _of_example(args)
    if args.svg is None:
        print(text)
        return 0
    from ..files import write_text

    write_text(args.svg, svg)
    print(f"written: {args.svg}")
    return 0


def _of_example(args: argparse.Namespace) -> tuple[str, str]:
    """The picture as text, and as SVG where there is one."""
    from ..examples import pictures
    from ..examples.registry import load_example
    from ..show.pictures import cached_step_text, causal_mask_text, side_by_side_text
    from ..show.pictures_svg import causal_mask_svg

    example = load_example(args.example or "cat", seed=args.seed)
    if args.picture == "causal-mask":
        mask = pictures.mask_picture(example)
        return causal_mask_text(mask, args.width or terminal_width()), causal_mask_svg(mask)
    if args.picture == "cached-step":
        return cached_step_text(pictures.step_picture(example)), ""
    return side_by_side_text(pictures.frames(example)), ""


def _memory(args: argparse.Namespace) -> tuple[str, str]:
    from ..examples.pictures import memory_curves
    from ..show.pictures import memory_text
    from ..show.pictures_svg import memory_svg

    if args.heads % args.groups:
        raise UsageError(
            f"--heads {args.heads} is not a multiple of --groups {args.groups}: every group of "
            "query heads has one key/value head"
        )
    curves = memory_curves(
        layers=args.layers, heads=args.heads, width=args.head_width, groups=args.groups,
        rank=args.rank, rotary=args.rotary, size=args.bytes,
    )  # fmt: skip
    title = (
        f"{args.layers} layers, {args.heads} heads of {args.head_width}, "
        f"GQA with {args.groups} key/value heads, MLA with r = {args.rank}, d_r = {args.rotary}; "
        f"{args.bytes} bytes a number"
    )
    width = args.width or terminal_width()
    return memory_text(curves, args.tokens, title, width), memory_svg(curves, args.tokens, title)
