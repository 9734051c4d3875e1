"""What to run: an example, a sentence, or a model of the caller's own."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, UsageError, nearest
from ..strict_json import BOM, read_json
from .options import whole

if TYPE_CHECKING:
    from ..examples.example import Example

_OPTIONS = ("wiring", "as_stated", "layers", "words", "step", "side")
_MODEL = (
    "ids", "decoder_ids", "labels", "mask", "decoder_mask", "documents", "decoder_documents",
)  # fmt: skip


def add_example(parser: argparse.ArgumentParser, default: str) -> None:
    """The options that choose an example or a sentence, alike in every command."""
    parser.add_argument(
        "example", nargs="?",
        help="an example, a sentence such as 今天天气很好, or - for one from standard input "
        f"(default: {default})",
    )  # fmt: skip
    parser.add_argument("--text", metavar="TEXT", help="a sentence, whatever it looks like")


def named_example(args: argparse.Namespace, default: str, **options: Any) -> Example:
    """The example or the sentence that the options of `add_example` name."""
    from ..examples.registry import EXAMPLES, example_for_text, load_example

    name, seed = args.example, args.seed or 0
    if args.text is not None:
        if name is not None:
            raise UsageError(f"both an example ({name}) and --text; give one")
        return example_for_text(_text(args.text), seed=seed, **options)
    if name is None or name in EXAMPLES:
        return load_example(name or default, seed=seed, **options)
    if name == "-" or not name.isascii() or any(c.isspace() for c in name):
        return example_for_text(_text(name), seed=seed, **options)
    raise UsageError(
        f"example {name!r} does not exist; {nearest(name, EXAMPLES)}; for a text of your own: "
        f"--text {shlex.quote(name)}"
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """The options that choose what to run."""
    add_example(parser, "weather")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--parameters", metavar="FILE", help="parameters in a file (.npz), such as trained ones"
    )
    group = parser.add_argument_group("options of single examples")
    group.add_argument("--wiring", choices=("paper", "as-written"), help="weather")
    group.add_argument(
        "--as-stated", action="store_true", default=None,
        help="weather, cat: hold the run at what the document states",
    )  # fmt: skip
    group.add_argument("--layers", type=whole(1), metavar="N", help="translation (default 2)")
    group.add_argument("--words", type=whole(1), metavar="N", help="translation: vocabulary size")
    group.add_argument("--step", type=whole(1), metavar="N", help="memory: 1, 2 or 3")
    group.add_argument("--side", choices=("right", "left"), help="padding")
    group = parser.add_argument_group("a model of your own (JSON text, or - for standard input)")
    group.add_argument("--config", metavar="FILE", help="its configuration (JSON)")
    group.add_argument("--ids", metavar="JSON", help="token ids, [[1,2],[3,4]] or [1,2]")
    group.add_argument("--decoder-ids", metavar="JSON", help="token ids of the decoder")
    group.add_argument("--labels", metavar="JSON", help="labels; -100 is ignored")
    group.add_argument("--mask", metavar="JSON", help="1 or true: a real token; 0: padding")
    group.add_argument("--decoder-mask", metavar="JSON", help="the same for the decoder")
    group.add_argument(
        "--documents", metavar="JSON", help="the document of each token, where a row holds several"
    )
    group.add_argument("--decoder-documents", metavar="JSON", help="the same for the decoder")


def example_of(args: argparse.Namespace) -> Example:
    """The example, sentence or model that the options of `add_source` name."""
    if args.config is not None:
        return _own_model(args)
    for name in _MODEL:
        if getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for a model of your own: add --config")
    options = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    example = named_example(args, "weather", **options)
    if args.parameters is not None:
        from ..parameters_file import load_parameters
        from ..stages.catalogue import Text

        parameters = load_parameters(args.parameters, example.config)
        note = Text(
            f"参数取自 {args.parameters}；上面关于参数取值与种子的话说的是训练之前",
            f"parameters are those of {args.parameters}; what is said above of their values and "
            "seed holds before training",
        )
        example = dataclasses.replace(
            example, parameters=parameters, chosen=[*example.chosen, note]
        )
    return example


def _own_model(args: argparse.Namespace) -> Example:
    from ..batch import Batch
    from ..examples.example import Example
    from ..parameters import initialise
    from ..parameters_file import load_parameters
    from ..stages.catalogue import Text

    for name in ("example", "text", *_OPTIONS):
        if getattr(args, name) is not None:
            shown = args.example if name == "example" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{shown} does not go with --config")
    if args.ids is None:
        raise UsageError("--ids is missing: token ids as JSON, such as [[1,2,3]]")
    if sum(getattr(args, name) == "-" for name in _MODEL) > 1:
        raise UsageError("- (standard input) can serve one option only")
    config = read_config(args.config)
    fields = {name: _json_rows(name, getattr(args, name)) for name in _MODEL}
    if args.parameters is not None:
        parameters = load_parameters(args.parameters, config)
        origin = Text(f"参数取自 {args.parameters}", f"parameters are those of {args.parameters}")
    else:
        parameters = initialise(config, args.seed)
        origin = Text(f"参数由种子 {args.seed} 产生", f"parameters come from seed {args.seed}")
    return Example(
        name="model",
        title=Text("你自己的模型", "a model of your own"),
        source=args.config,
        config=config,
        parameters=parameters,
        batch=Batch(**fields),
        vocabularies={},
        chosen=[origin],
    )


def read_config(path: str) -> Any:
    """The configuration in a file."""
    from ..config import Config

    text = read_text(path)
    try:
        return Config.from_json(text)
    except ConfigError as error:
        raise UsageError(f"{path}: {error}") from None


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`."""
    if path == "-":
        return _standard_input()
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from None


def _standard_input() -> str:
    try:
        return sys.stdin.read().removeprefix(BOM)
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input cannot be read as text: {error}") from None


def _text(text: str) -> str:
    text = _standard_input() if text == "-" else text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("the text is not valid UTF-8") from None
    return text.strip()


def _json_rows(name: str, text: str | None) -> Any:
    """Rows of ids or of truth values; a single row may stand alone."""
    if text is None:
        return None
    option = "--" + name.replace("_", "-")
    if text == "-":
        text = _standard_input()
    rows = read_json(text, option, UsageError)
    if not isinstance(rows, list):
        raise UsageError(f"{option}: {text[:40]!r} is no list; rows such as [[1,2,3]] are needed")
    if rows and not isinstance(rows[0], list):
        rows = [rows]
    if not name.endswith("mask"):
        return rows
    import numpy as np

    if not all(isinstance(row, list) and all(cell in (0, 1) for cell in row) for row in rows):
        raise UsageError(f"{option}: cells are 1 or true (a real token), 0 or false (padding)")
    if len({len(row) for row in rows}) > 1:
        raise UsageError(f"{option}: the rows have different lengths")
    return np.array(rows, bool)
