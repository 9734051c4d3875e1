"""What to run: an example, a sentence, or a model of the caller's own."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, UsageError, nearest, reason
from ..strict_json import BOM, read_json
from .given import SHIFTED, shifted_labels, vectors_in
from .options import whole

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..trace.trace import Trace

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
    if name in ("", "-") or not name.isascii() or any(c.isspace() for c in name):
        return example_for_text(_text(name), seed=seed, **options)
    if Path(name).is_dir():
        raise UsageError(
            f"{name} is a folder, and no example; a model's folder runs with --model "
            f"{shlex.quote(name)}"
        )
    if Path(name).exists():
        raise UsageError(
            f"{name} is a file, and no example; a model of your own runs with --model, or with "
            "--config and --parameters; arrays of a run are held against a trace by numtx compare"
        )
    raise UsageError(
        f"example {name!r} does not exist; {nearest(name, EXAMPLES)}; for a text of your own: "
        f"--text {shlex.quote(name)}"
    )


def _step(text: str) -> int | str:
    """A number of --step; another word is what stands behind it, such as an example."""
    return whole(1)(text) if text.isdecimal() else text


def add_source(parser: argparse.ArgumentParser, stepping: bool = False) -> None:
    """The options that choose what to run; stepping: --step alone shows it stage by stage."""
    add_example(parser, "weather")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--parameters", metavar="FILE",
        help="parameters in a file (.npz or safetensors), such as trained ones; by the names of "
        "numtx, or of a state dict of transformers",
    )  # fmt: skip
    group = parser.add_argument_group("options of single examples")
    group.add_argument("--wiring", choices=("paper", "as-written"), help="weather")
    group.add_argument(
        "--as-stated", action="store_true", default=None,
        help="weather, cat: hold the run at what the document states",
    )  # fmt: skip
    group.add_argument(
        "--layers", metavar="N",
        help="translation: how many (default 2); numtx trace of a model of your own: which are "
        "printed, such as 0,3-5 or -1",
    )  # fmt: skip
    group.add_argument("--words", type=whole(1), metavar="N", help="translation: vocabulary size")
    if stepping:
        group.add_argument(
            "--step", nargs="?", const="", type=_step, metavar="N",
            help="stage by stage: Enter, b, a stage's name or number, q; memory, with N: 1, 2 or 3",
        )  # fmt: skip
    else:
        group.add_argument("--step", type=whole(1), metavar="N", help="memory: 1, 2 or 3")
    group.add_argument("--side", choices=("right", "left"), help="padding")
    add_own_model(parser)


def add_own_model(parser: argparse.ArgumentParser) -> None:
    """The options that bring a model of one's own, alike in every command; beside `--seed` and
    `--parameters`, which examples take too."""
    group = parser.add_argument_group("a model of your own (JSON text, or - for standard input)")
    group.add_argument(
        "--model", dest="folder", metavar="DIR",
        help="a folder with config.json and model.safetensors, as transformers writes it",
    )  # fmt: skip
    group.add_argument(
        "--dtype", choices=("float64", "float32"), help="of --model (default: float32 unless F64)"
    )
    group.add_argument("--config", metavar="FILE", help="its configuration (JSON)")
    group.add_argument(
        "--length", type=whole(1), metavar="N",
        help="of rotary_scaling longrope: the longest text of the run, which says the list that "
        "is used (default: the length of the training)",
    )  # fmt: skip
    group.add_argument("--ids", metavar="JSON", help="token ids, [[1,2],[3,4]] or [1,2]")
    group.add_argument(
        "--vectors", metavar="FILE",
        help="in place of ids, arrays in a file (.npz): vectors, decoder_vectors, each [rows, "
        "tokens, width]; memory: the encoder's output, which then does not run",
    )  # fmt: skip
    group.add_argument("--decoder-ids", metavar="JSON", help="token ids of the decoder")
    group.add_argument("--labels", metavar="JSON", help="labels; -100 is ignored")
    group.add_argument(
        "--shift-labels", action="store_true", default=None,
        help="the labels are as the tokens are: each place is to predict the one after it",
    )  # fmt: skip
    group.add_argument("--mask", metavar="JSON", help="1 or true: a real token; 0: padding")
    group.add_argument("--decoder-mask", metavar="JSON", help="the same for the decoder")
    group.add_argument(
        "--documents", metavar="JSON", help="the document of each token, where a row holds several"
    )
    group.add_argument("--decoder-documents", metavar="JSON", help="the same for the decoder")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The options that bring a run of a model of one's own in the place of a trace file."""
    parser.add_argument("--parameters", metavar="FILE", help="of --config, in a file")
    add_own_model(parser)


def own_run(args: argparse.Namespace, file: str | None) -> Trace | None:
    """The run that the options of `add_run` bring, with gradients where there are labels; None
    where there is a file in its place."""
    if not is_own(args):
        if file is None:
            raise UsageError("which trace? give its file, or --model DIR and --ids")
        return None
    if file is not None:
        raise UsageError(f"{file} does not go with a model of your own; give one")
    return own_model(args).trace(gradients=args.labels is not None)


def is_own(args: argparse.Namespace) -> bool:
    """Whether the options of `add_own_model` bring a model."""
    return args.config is not None or args.folder is not None


def inputs_of(args: argparse.Namespace) -> list[str | None]:
    """The files that are read for the options of `add_own_model`."""
    folder = [] if args.folder is None else map(str, Path(args.folder).glob("*"))
    return [args.config, args.parameters, args.vectors, *folder]


def example_of(args: argparse.Namespace) -> Example:
    """The example, sentence or model that the options of `add_source` name."""
    if is_own(args):
        return own_model(args)
    for name in (*_MODEL, "vectors", "shift_labels", "dtype", "length"):
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for a model of your own: add --model or --config")
    options = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    if "layers" in options:
        try:
            options["layers"] = whole(1)(args.layers)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--layers: {error}") from None
    example = named_example(args, "weather", **options)
    if args.parameters is not None:
        from ..checkpoints.weights import read_weights
        from ..stages.catalogue import Text

        parameters = read_weights(args.parameters, example.config)
        note = Text(
            f"参数取自 {args.parameters}；上面关于参数取值与种子的话说的是训练之前",
            f"parameters are those of {args.parameters}; what is said above of their values and "
            "seed holds before training",
        )
        example = dataclasses.replace(
            example, parameters=parameters, chosen=[*example.chosen, note]
        )
    return example


def own_model(args: argparse.Namespace) -> Example:
    """The model that the options of `add_own_model` bring."""
    from ..batch import Batch
    from ..examples.example import Example
    from ..stages.catalogue import Text

    for name in ("example", "text", *_OPTIONS):
        if name == "layers" and getattr(args, "chooses_layers", False):
            continue
        if getattr(args, name, None) is not None and (name != "text" or args.folder is None):
            shown = args.example if name == "example" else f"--{name.replace('_', '-')}"
            option = "--config" if args.folder is None else "--model"
            raise UsageError(f"{shown} does not go with {option}")
    if sum(getattr(args, name) == "-" for name in _MODEL) > 1:
        raise UsageError("- (standard input) can serve one option only")
    text = getattr(args, "text", None)
    if text is None and args.ids is args.vectors is args.decoder_ids is None:
        raise UsageError(
            "--ids is missing: token ids as JSON, such as [[1,2,3]], or --vectors FILE"
        )
    fields = {name: _json_rows(name, getattr(args, name)) for name in _MODEL}
    fields |= vectors_in(args.vectors)
    if text is not None and args.ids is not None:
        raise UsageError("both --ids and --text; give one")
    config, parameters, words, chosen = _model(args)
    if text is not None:
        from ..checkpoints.words import ids_of

        name = "decoder_ids" if config.lacks_encoder else "ids"
        fields[name] = [ids_of(args.folder, _text(text))]
    if args.shift_labels:
        fields["labels"] = shifted_labels(config, fields)
        chosen = [*chosen, Text(*SHIFTED)]
    return Example(
        name="model",
        title=Text("你自己的模型", "a model of your own"),
        source=args.config or args.folder,
        config=config,
        parameters=parameters,
        batch=Batch(**fields),
        vocabularies={} if words is None else dict.fromkeys(config.sides, words),
        chosen=chosen,
        is_trained=True,  # or it is to be run as it is drawn
    )


def with_names(example: Example) -> Example:
    """A model whose tokens have names; where they have none, these are the ids."""
    from ..vocabulary import Vocabulary

    if example.vocabularies:
        return example
    config = example.config
    return dataclasses.replace(example, vocabularies={
        side: Vocabulary(map(str, range(config.vocabulary_of(side)))) for side in config.sides
    })  # fmt: skip


def _model(args: argparse.Namespace) -> tuple[Any, Any, Any, list[Any]]:
    """Configuration, parameters and words of a model of one's own, and what to say of them."""
    from ..checkpoints.weights import read_weights
    from ..parameters import initialise
    from ..stages.catalogue import Text

    parameters, words, notes, place = None, None, [], args.parameters
    if args.folder is not None:
        if args.config is not None:
            raise UsageError("both --model and --config; give one")
        from ..checkpoints.folder import Folder

        folder = Folder(args.folder, args.dtype)
        config, parameters, words = folder.read()
        notes = [Text(note, note) for note in folder.notes]
        place = args.parameters or args.folder
    else:
        if args.dtype is not None:
            raise UsageError("--dtype is for --model; a configuration has a dtype of its own")
        config = read_config(args.config)
    if args.length is not None:
        own, config = config, config.for_length(args.length)
        if config is own:
            told = "--length is for models with rotary_scaling longrope; this has another"
            raise UsageError(told)
    if args.parameters is not None:
        parameters = read_weights(args.parameters, config)
    elif parameters is None:
        origin = Text(f"参数由种子 {args.seed} 产生", f"parameters come from seed {args.seed}")
        return config, initialise(config, args.seed), words, [origin]
    return config, parameters, words, [
        Text(f"参数取自 {place}", f"parameters are those of {place}"), *notes
    ]  # fmt: skip


def read_config(path: str) -> Any:
    """The configuration in a file."""
    from ..config import Config

    text = read_text(path)
    try:
        return Config.from_json(text)
    except ConfigError as error:
        from ..checkpoints.fields import foreign

        told = ""
        if "unknown field" in str(error):
            told = foreign(read_json(text, "config", ConfigError))
        raise UsageError(f"{path}: {told or error}") from None


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`."""
    if path == "-":
        return _standard_input()
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {reason(error)}") from None


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
