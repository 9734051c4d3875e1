"""`numtx init`: seeded parameters for a configuration, to fill or to start from."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang, check_outputs, whole
from ..arguments.source import read_config
from ..errors import UsageError
from ..show.wrap import tell


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "init",
        help="write seeded parameters for a configuration of your own",
        description="Write seeded parameters for a configuration to a file (.npz), under the "
        "names that a file from another framework should use. --fields lists the fields (with "
        "--config the layers that differ), --list the names and shapes of its parameters.",
    )
    add_json(parser, run)
    add_lang(parser)
    parser.add_argument("--config", metavar="FILE", help="the configuration (JSON; - for stdin)")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    parser.add_argument("--out", metavar="FILE", help="the file to write")
    parser.add_argument("--list", action="store_true", help="list names and shapes")
    parser.add_argument("--fields", action="store_true", help="list the fields of a configuration")


def run(args: argparse.Namespace) -> int:
    from ..config import Config
    from ..fields.field import fields_of, values_of
    from ..parameters import count_parameters, initialise, named_shapes
    from ..parameters_file import save_parameters
    from ..show.headings import pick
    from ..show.layers import layer_text
    from ..show.numbers import shape_text

    if args.fields:
        args.result = {
            name: {
                "default": None if one.needed else one.default, "needed": one.needed,
                "about": one.words,
            }
            for name, one in fields_of(Config).items()
        }  # fmt: skip
        own = "" if args.config is None else layer_text(read_config(args.config), args.lang)
        tell(f"{own}{Config.__doc__}\n\nDefaults, and what is taken:\n{values_of(Config)}")
        return 0
    if args.config is None:
        raise UsageError("--config is missing: a file of JSON (--fields lists its fields)")
    check_outputs((), (args.config,), (args.out,))
    config = read_config(args.config)
    if args.list:
        for name, shape in named_shapes(config):  # one after the other: they may be very many
            tell(f"{name:44} {shape_text(shape)}")
        tell(f"{count_parameters(config):,} {pick(args.lang, '个数', 'numbers')}")
    if args.out is not None:
        save_parameters(args.out, initialise(config, args.seed))
        numbers = f"{count_parameters(config):,}"
        zh = f"已写入: {args.out}   {numbers} 个数，种子 {args.seed}"
        tell(pick(args.lang, zh, f"written: {args.out}   {numbers} numbers, seed {args.seed}"))
    elif not args.list:
        raise UsageError("--out is missing: the file to write (or --list)")
    args.result = {
        "parameters": dict(named_shapes(config)), "numbers": count_parameters(config),
        "seed": args.seed, "file": args.out,
    }  # fmt: skip
    return 0
