"""`numtx cost`: operations and cached numbers, counted from a run beside the closed formulas."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang, whole
from ..show.wrap import tell

if TYPE_CHECKING:
    from ..costs import StepCost


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "cost",
        help="operations and cache with and without a key/value cache, counted from a run",
        description="Generate with a small model, count every product of matrices from the "
        "shapes of the run, and set the counts beside the closed formulas.",
    )
    add_json(parser, run)
    add_lang(parser)
    for name, default, what in (
        ("tokens", 8, "tokens, from one to N"), ("width", 4, "d"), ("layers", 6, "blocks"),
        ("hidden", 16, "width of the feed-forward layer"), ("vocabulary", 10, "words"),
        ("prompt", 4, "tokens of the prompt in the table of the two phases"),
    ):  # fmt: skip
        parser.add_argument(
            f"--{name}", type=whole(1, MOST.get(name)), default=default, metavar="N",
            help=f"{what} ({default})",
        )  # fmt: skip
    parser.add_argument(
        "--model", dest="folder", metavar="DIR",
        help="a folder as transformers writes it, whose model is counted in place of a small one",
    )  # fmt: skip


# The run that is counted is made, once without a cache: longer ones would take minutes.
MOST = {"tokens": 500, "prompt": 4000}


def run(args: argparse.Namespace) -> int:
    from ..batch import Batch
    from ..config import Config
    from ..cost_tables import groups_text, growth_text, memory_text, phases_text
    from ..costs import count_generation
    from ..formats.results import costs_of
    from ..parameters import initialise
    from ..show.headings import below
    from ..stages.catalogue import Text

    if args.folder is not None:
        from ..folders.cost import of_folder

        cached, without, text = of_folder(args.folder, args.prompt, args.lang)
        args.result = {"cached": costs_of(cached), "without_cache": costs_of(without)}
        tell(text)
        return 0
    config = Config(
        model="decoder-only", width=args.width, decoder_layers=args.layers, hidden=args.hidden,
        vocabulary=args.vocabulary, positions="rotary" if args.width % 2 == 0 else None,
    )  # fmt: skip
    parameters = initialise(config)

    def count(prompt: int, new: int, use_cache: bool) -> list[StepCost]:
        batch = Batch([[0] * prompt])
        return count_generation(config, parameters, batch, max_new_tokens=new, use_cache=use_cache)

    words = Text(
        f"numtx cost: 仅解码器，d = {args.width}，{args.layers} 层，1 个头，前馈 {args.hidden}，"
        f"词表 {args.vocabulary}\n乘加次数，由一次运行的形状数出；softmax、归一化之类不计",
        f"numtx cost: decoder-only, d = {args.width}, {args.layers} layers, 1 head, "
        f"feed-forward {args.hidden}, vocabulary {args.vocabulary}\nmultiply-adds, counted from "
        "the shapes of a run; softmax, norms and the like are left out",
    )
    lang = args.lang
    tell(below(lang, *words))
    phases = count(args.prompt, 3, True)
    tell(f"\n{phases_text(phases, lang)}")
    without, cached = count(1, args.tokens, False), count(1, args.tokens, True)
    args.result = {
        "phases": costs_of(phases), "cached": costs_of(cached), "without_cache": costs_of(without),
    }  # fmt: skip
    tell(f"\n{growth_text(config, without, cached, lang)}")
    tell(f"\n{groups_text(without[-1], cached[-1], lang)}")
    tell(f"\n{memory_text(config, cached, lang)}")
    return 0
