"""`numtx trace`: run a model and print every stage."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_style, check_outputs, put_text, style_of, whole
from ..arguments.parts import chosen, kept_of, say_size, with_heads
from ..arguments.saved import is_saved, saved_run
from ..arguments.source import add_source, example_of, inputs_of, is_own
from ..errors import UsageError
from ..show.wrap import tell
from .what_if import add_set, changes_in_both, changes_text, trace_with

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..show.stage_grid import Style
    from ..trace.trace import Trace


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "trace",
        help="print a run stage by stage: values, and gradients with --gradients",
        description="Run an example, a sentence or a model of your own, and print every stage, "
        "from the token ids to the loss; or print a run that was saved (FILE.npz).",
    )
    parser.set_defaults(run=run)
    add_source(parser, stepping=True)
    parser.add_argument(
        "--stage", action="append", metavar="GLOB",
        help="only stages that match, such as 'decoder.0.self_attention.*', or a number or a span "
        "of these, such as 2-40 (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--gradients", action="store_true", help="each stage's gradient too (needs labels)"
    )
    parser.add_argument(
        "--record", action="append", metavar="GLOB",
        help="keep, and write to files, only stages that match (repeatable); without --npz, "
        "--json, --html and --set, --stage limits what is kept too",
    )  # fmt: skip
    parser.add_argument("--npz", metavar="FILE", help="write the trace to a file for NumPy")
    parser.add_argument("--json", metavar="FILE", help="write it as JSON (-: standard output)")
    parser.add_argument(
        "--html", metavar="FILE",
        help="write it as one page for a browser, with the arithmetic (-: standard output)",
    )  # fmt: skip
    parser.add_argument(
        "--markdown", metavar="FILE", help="write it as Markdown (-: standard output)"
    )
    parser.add_argument(
        "--csv", metavar="DIR", help="write each stage as a table, STAGE.csv, into a folder"
    )
    parser.add_argument(
        "--act",
        type=whole(1),
        metavar="N",
        help="weather, cat, story, memory, letters: one act of the document only",
    )
    parser.add_argument("--quiet", action="store_true", help="print no stages")
    add_set(parser)
    style = add_style(parser)
    style.add_argument("--last", type=whole(1), metavar="N", help="rows of the last N tokens only")
    style.add_argument("--heads", metavar="LIST", help="only these heads, such as 0,2-3 or -1")
    style.add_argument(
        "--top", type=whole(1), metavar="K",
        help="of logits and probabilities the K largest of each token, with their words",
    )  # fmt: skip
    parser.set_defaults(chooses_layers=True)


def run(args: argparse.Namespace) -> int:
    from ..show.headings import pick
    from ..show.trace_text import trace_text

    style = style_of(args)
    stepping = _stepping(args)
    given = [args.example] if is_saved(args) else inputs_of(args)
    check_outputs((args.json, args.html, args.markdown), given, (args.npz,), args.csv)
    example, trace, changed = _run(args)
    stages, style = chosen(args, trace), with_heads(args, style, example)
    _write_files(args, example, trace, style, stages, changed)
    if "-" in (args.json, args.html, args.markdown):
        return 0
    screen = not args.quiet and args.act is args.stage is None and not args.record
    if not stepping:
        print(header(example, trace, style, opening_of(example, trace, style) if screen else ""))
    if changed is not None:
        tell("")
        for line in changes_text(changed, trace, style.lang, style.width):
            tell(line, width=style.width)
    if stepping:
        step_by_step(example, trace, style, stages, args)
    elif not args.quiet:
        _warn_if_large(trace, stages, style)
        blocks = trace_text(trace, style, stages, args.gradients, changed)
        if args.stage is None and args.config is None:
            from ..documents.acts import acts_text  # the whole ledger is behind it
            from ..documents.scenes import ACTS

            if example.name in ACTS:
                blocks = acts_text(example, trace, style, args.act, args.gradients, changed)
        for block in blocks:
            tell(f"\n{block}", width=style.width)
    for path in (args.npz, args.json, args.html, args.markdown, args.csv):
        if path is not None:
            tell(f"\n{pick(style.lang, '已写入', 'written')}: {path}", width=style.width)
    return 0


def _run(args: argparse.Namespace) -> tuple[Example, Trace, Trace | None]:
    """What is run, or was, the run, and the same without the cells of `--set`."""
    if is_saved(args):
        return *saved_run(args), None
    example = example_of(args)
    if args.act is not None:
        _check_act(args, example)
    if args.gradients and example.batch.labels is None:
        needs = "give --labels"
        if example.config.head is None:
            needs = "this model has no head; numtx.record takes a cotangent of encoder.output"
        raise UsageError(f"--gradients needs a loss: {needs}")
    # Somebody's own model may be large: its backward pass runs only when asked for.
    backwards, kept = args.gradients or not is_own(args), kept_of(args, example)
    say_size(example, kept, backwards)
    trace = example.trace(gradients=backwards, stages=kept)
    if args.set:
        return example, trace_with(args.set, example, trace), trace
    return example, trace, None


def _write_files(
    args: argparse.Namespace,
    example: Example,
    trace: Trace,
    style: Style,
    stages: list[str],
    changed: Trace | None,
) -> None:
    """Write the run to what was asked for; what a file needs is loaded for it alone."""
    if args.npz is not None:
        from ..trace.files import save_trace

        save_trace(trace, args.npz)
    if args.html is not None:
        from ..reports.runs import run_page

        before = None if changed is None else (changed, changes_in_both(changed, trace))
        put_text(args.html, run_page(example, trace, style, stages, before))
    if args.csv is not None:
        from ..formats.tables import write_csv

        write_csv(trace, args.csv, stages, args.gradients, style.lang)
    if args.markdown is not None:
        from ..formats.markdown import escaped, trace_markdown
        from ..show.headings import on_one_line

        title = f"{example.name}: {on_one_line(example.title, style.lang)}"
        blocks = [f"# {escaped(title)}", *trace_markdown(trace, style, stages, args.gradients)]
        put_text(args.markdown, "\n\n".join(blocks) + "\n")
    if args.json is not None:
        from ..formats.trace_json import trace_json

        put_text(args.json, trace_json(trace, stages))


def _stepping(args: argparse.Namespace) -> bool:
    """Whether to go stage by stage: where --step has no number."""
    word, args.step = args.step, None
    if not isinstance(word, str):
        args.step = word
        return False
    if word and args.example is not None:
        raise UsageError(f"--step {word}: a number is for memory; without one it stands alone")
    args.example = word or args.example
    for name in ("act", "quiet", "json", "html", "markdown"):
        value = getattr(args, name)
        if value == "-" or (name in ("act", "quiet", "json") and value not in (None, False)):
            raise UsageError(f"--{name} does not go with --step; drop one")
    return True


def step_by_step(
    example: Example, trace: Trace, style: Style, stages: list[str], args: argparse.Namespace
) -> None:
    """Stage after stage, in the order of the document's acts where the example has them."""
    from ..documents.acts import headings_of
    from ..screen.stepping import step_through, stops_of
    from ..show.headings import pick

    headings = headings_of(example.name, trace, style.lang)
    order = [name for name in headings if name in stages]
    title = f"{example.name}: {pick(style.lang, *example.title)}"
    stops = stops_of(trace, order + [name for name in stages if name not in headings], headings)
    step_through(title, trace, stops, style, args.gradients)


def _check_act(args: argparse.Namespace, example: Example) -> None:
    from ..documents.scenes import ACTS

    acts = len(ACTS.get(example.name, ()))
    if args.config is not None or not acts:
        raise UsageError("--act is for weather, cat, story, memory and letters")
    if args.stage is not None:
        raise UsageError("--stage and --act both choose stages; give one")
    if args.act > acts:
        raise UsageError(f"--act {args.act}: the example has {acts} acts")


def opening_of(example: Example, trace: Trace, style: Style) -> str:
    """The first screen, with the acts of the document where it has them."""
    from ..examples.registry import EXAMPLES
    from ..screen.opening import opening_text

    contents = []
    if example.name in EXAMPLES:
        from ..documents.acts import stages_of  # the whole ledger is behind it
        from ..documents.scenes import ACTS

        for act in ACTS.get(example.name, ()):
            names = [name for scene in act.scenes for name in stages_of(trace, scene)]
            contents.append((act.title, names))
    return opening_text(trace, style, contents)


def header(example: Example, trace: Trace, style: Style, opening: str = "") -> str:
    """What is run, how the data flows, what the document gives, and what was chosen."""
    from ..show.headings import pick, say
    from ..show.trace_text import rounding_rule
    from ..show.wrap import flow, fold, wrap
    from ..stages.catalogue import Text

    lang = style.lang
    place = example.source
    if place.isdigit():
        place = f"{pick(lang, '文档', 'document')} {place}"
    title, *more = say(example.title, lang).split("\n")
    head = flow([f"{example.name}: {title}", f"({place})"], style.width)
    rest = (fold(f"    {second}", style.width) for second in more)
    lines = [style.painter.bold("\n".join([head, *rest]))]
    lines += [opening, ""] if opening else []
    for heading, texts in (
        (Text("文中给出:", "given by the document:"), example.given),
        (Text("自行设定:", "chosen here:"), example.chosen),
    ):
        if texts:
            lines.append(say(heading, lang))
            for text in texts:
                lines += wrap(say(text, lang), style.width, None, "  - ", "    ")
    lines += wrap(rounding_rule(style.precision, trace.config.dtype, lang), style.width)
    if trace.pins:
        held = Text("* = 固定为该值，不计算", "* = held at this value, not computed")
        lines.append(fold(say(held, lang), style.width))
    return "\n".join(lines)


LARGE = 2_000_000  # numbers; printing so many takes about a minute


def _warn_if_large(trace: Trace, stages: list[str], style: Style) -> None:
    """Say beforehand what printing everything will take."""
    numbers = sum(trace[name].size for name in stages if name in trace)
    if style.full and numbers > LARGE:
        print(
            f"numtx: {numbers:,} numbers, about {numbers * 8 / 1e6:,.0f} MB of text and "
            f"{numbers / LARGE:.0f} minutes; Ctrl-C stops, --stage takes a part",
            file=sys.stderr,
        )
