"""`numtx export`: a model of numtx as a folder that transformers loads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..arguments.options import add_lang, check_outputs
from ..arguments.source import read_config
from ..errors import UsageError
from ..show.wrap import tell

FILES = ("config.json", "model.safetensors")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write a folder that transformers loads as it is",
        description="Write config.json and model.safetensors in the layout of a family. A "
        "configuration that the family cannot say is refused, with the reason.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument(
        "parameters", metavar="FILE.npz",
        help="parameters of --config, as numtx writes them; with --model none, or trained ones",
    )  # fmt: skip
    out = parser.add_argument("out", metavar="DIR", help="the folder to write")

    class Model(argparse.Action):
        """A folder has parameters of its own, so that one name, the folder to write, is enough."""

        def __call__(
            self, _: argparse.ArgumentParser, args: argparse.Namespace, value: Any, *__: Any
        ) -> None:
            args.folder, out.required = value, False

    parser.add_argument("--config", metavar="FILE", help="the configuration (JSON)")
    parser.add_argument(
        "--model", action=Model, dest="folder", metavar="DIR", help="a folder to begin from"
    )
    parser.add_argument(
        "--layout", metavar="NAME", help="the family, its model_type (default: that of --model)"
    )
    parser.add_argument(
        "--store", choices=("F64", "F32", "F16", "BF16"),
        help="type in the file (default: that of --model, or of the configuration)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from ..checkpoints.folder import Folder, layout_of, write_model
    from ..checkpoints.weights import read_weights
    from ..show.headings import pick

    given, out = (args.parameters, args.out) if args.out is not None else (None, args.parameters)
    if (args.config is None) == (args.folder is None):
        raise UsageError("give one of --config FILE and --model DIR: what is exported")
    if args.folder is None and args.layout is None:
        raise UsageError("--layout is missing: the family, such as llama or gpt2")
    if args.layout is not None:
        layout_of(args.layout, "--layout")
    read = [args.config, given]
    layout, source = args.layout, None
    if args.folder is None:
        config = read_config(args.config)
    else:
        source = Folder(args.folder)
        layout, config = layout or source.layout.name, source.config
        read += map(str, Path(args.folder).glob("*"))
    files = [str(Path(out) / name) for name in FILES if Path(out).is_dir()]
    check_outputs((), read, files, out)
    if given is not None:
        parameters = read_weights(given, config)
    elif source is not None:  # its own, where no others are given
        parameters = source.read().parameters
    write_model(out, config, parameters, layout, stored=args.store, source=source)
    written = pick(args.lang, "已写入", "written")
    tell(f"{written}: {out}/config.json, {out}/model.safetensors ({layout})")
    return 0
