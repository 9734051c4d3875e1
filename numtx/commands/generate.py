"""`numtx generate`: go on with a text, step by step."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..arguments.choosing import add_choosing, choose_of, describe, filters_of, search, strategy_of
from ..arguments.json_output import add_json
from ..arguments.options import add_style, check_outputs, put_text, style_of, whole
from ..arguments.source import (
    add_example,
    add_own_model,
    inputs_of,
    is_own,
    named_example,
    own_model,
    with_names,
)
from ..errors import UsageError
from ..show.wrap import tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..batch import Batch
    from ..decoding.beam import BeamSearch
    from ..decoding.generate import Generation
    from ..examples.example import Example
    from ..shapes import Array
    from ..show.stage_grid import Style
    from ..trace.trace import Trace
    from ..vocabulary import Vocabulary


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="go on with a text: prefill, decode, and what each step computed and read",
        description="Go on with a text: the whole prompt first (prefill), then one token at a "
        "time (decode), with a cache of keys and values or without one.",
    )
    add_json(parser, run)
    add_example(parser, "cat")
    parser.add_argument(
        "--prompt", metavar="TEXT",
        help="the beginning of the text; for an encoder-decoder the text to be read "
        "(default: the example's)",
    )  # fmt: skip
    parser.add_argument(
        "--max-new-tokens", type=whole(0), metavar="N", help="default: as long as the example"
    )
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TOKEN",
        help="a token that ends the text (repeatable); <eos> does anyhow",
    )  # fmt: skip
    parser.add_argument(
        "--parameters", metavar="FILE", help="trained parameters; without, the example is trained"
    )
    parser.add_argument("--save", metavar="FILE", help="keep what was trained in a file")
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="N", help="of parameters and draws (default 0)"
    )
    parser.add_argument("--no-cache", action="store_true", help="compute everything at every step")
    parser.add_argument("--chunk", type=whole(1), metavar="N", help="prefill by so many tokens")
    parser.add_argument(
        "--trace", action="store_true",
        help="print every stage of every step; with filters or beams: how each token was chosen",
    )  # fmt: skip
    parser.add_argument(
        "--stage", action="append", metavar="GLOB",
        help="with --trace: only stages that match, such as 'decode.*.weights' (repeatable)",
    )  # fmt: skip
    parser.add_argument("--npz", metavar="FILE", help="write the trace to a file")
    parser.add_argument(
        "--html", metavar="FILE",
        help="write it as one page for a browser, step by step, with the cache as it fills "
        "(-: standard output)",
    )  # fmt: skip
    add_choosing(parser)
    add_own_model(parser)
    add_style(parser)


OWN_LENGTH = 20  # new tokens of a model of one's own, unless said


def run(args: argparse.Namespace) -> int:
    from ..decoding.checks import check_whole
    from ..decoding.text import filters_text
    from ..show.headings import say
    from ..show.trace_text import trace_text

    style = style_of(args)
    if args.stage and not (args.trace or args.html):
        raise UsageError("--stage chooses what --trace and --html show; add --trace")
    check_outputs((args.html,), inputs_of(args), (args.npz, args.save))
    strategy, filters = strategy_of(args), filters_of(args)
    own = is_own(args)
    example = with_names(own_model(args)) if own else named_example(args, "cat")
    if args.save is not None and (own or args.parameters is not None or example.is_trained):
        raise UsageError("--save keeps what is trained here, and nothing is; drop it")
    vocabulary = example.vocabulary
    if "decoder" not in example.config.sides or vocabulary is None:
        raise UsageError(f"{example.name} has no decoder, so it writes no text; try cat")
    stop = [*vocabulary.encode(args.stop), *vocabulary.ends]
    prompt, longest = _prompt(args, example)
    longest = longest if args.max_new_tokens is None else args.max_new_tokens
    check_whole("min_new_tokens", args.min_new_tokens, 0, longest)
    if args.parameters is None and not example.is_trained:
        _rehearse(args, example, prompt, longest, stop)
    tell(f"numtx generate {example.name}: {say(example.title, style.lang)}", width=args.width)
    parameters = example.parameters if own else _parameters(args, example)
    if strategy == "beam":
        found, text = search(args, example, parameters, prompt, longest, stop)
        args.result = {**_texts(example, found), "hypotheses": found.hypotheses}
        tell(f"\n{text}", width=args.width)
        return 0
    how = describe(strategy, filters, args.seed, args.min_new_tokens, style.lang)
    if how:
        tell(how, width=args.width)
    recorded = not own or args.trace or bool(args.npz or args.html)
    generation, trace = _generate(args, example, parameters, prompt, longest, stop, recorded)
    args.result = {
        **_texts(example, generation),
        "steps": [
            {"phase": s.phase, "computed": s.computed, "read": s.read, "tokens": s.tokens}
            for s in generation.steps
        ],
    }
    tell(f"\n{_text(example, generation, args)}", width=args.width)
    held = args.min_new_tokens, stop
    if args.trace and how:
        words = vocabulary.tokens
        text = filters_text(generation, filters, words, style.width, held, style.lang)
        tell(f"\n{text}", width=style.width)
    if trace is not None and args.trace and (args.stage or not how):
        for block in trace_text(trace, style, trace.graph.select(args.stage)):
            tell(f"\n{block}", width=style.width)
    if trace is not None:
        _write_files(args, example, generation, trace, style)
    return 0


def _write_files(
    args: argparse.Namespace,
    example: Example,
    generation: Generation,
    trace: Trace,
    style: Style,
) -> None:
    from ..reports.generation import generation_page
    from ..show.headings import pick
    from ..stages.leaf import Text
    from ..trace.files import save_trace

    if args.npz is not None:
        save_trace(trace, args.npz)
    if args.html is not None:
        strategy, filters = strategy_of(args), filters_of(args)
        zh, en = (
            describe(strategy, filters, args.seed, args.min_new_tokens, lang) or greedy
            for lang, greedy in (("zh", "贪心"), ("en", "greedy"))
        )
        title = Text(f"{example.name}：生成", f"{example.name}: a generation")
        stages = trace.graph.select(args.stage)
        notes = [Text(zh, en)]
        page = generation_page(generation, trace, title, notes, style, stages)
        put_text(args.html, page)
    for path in (args.npz, args.html):
        if path is not None:
            tell(f"\n{pick(style.lang, '已写入', 'written')}: {path}", width=style.width)


def _texts(example: Example, found: Generation | BeamSearch) -> dict[str, Any]:
    """What was given and what was generated, of each row, as ids and as text."""
    assert example.vocabulary is not None
    rows = {"prompt": found.prompt, "new": found.new}
    texts = {n: [example.vocabulary.text(row) for row in rows[n]] for n in rows}
    return {**rows, "text": texts}


def _text(example: Example, generation: Generation, args: argparse.Namespace) -> str:
    from ..decoding.steps_text import generation_text

    assert example.vocabulary is not None
    return generation_text(
        example.config, generation, example.vocabulary, not args.no_cache, args.lang, args.width
    )


def _generate(
    args: argparse.Namespace,
    example: Example,
    parameters: Mapping[str, Array],
    prompt: Batch,
    longest: int,
    stop: Sequence[int],
    recorded: bool = True,
) -> tuple[Generation, Trace | None]:
    from ..decoding.generate import generate
    from ..decoding.record import record_generation

    assert example.vocabulary is not None
    options: dict[str, Any] = {
        "max_new_tokens": longest, "min_new_tokens": args.min_new_tokens, "stop": stop,
        "choose": choose_of(strategy_of(args), filters_of(args), args.seed),
        "use_cache": not args.no_cache, "chunk": args.chunk,
    }  # fmt: skip
    if not recorded:  # every stage of a model of somebody's own may be large
        return generate(example.config, parameters, prompt, **options), None
    return record_generation(
        example.config, parameters, prompt, **options,
        source_tokens=_source_tokens(example, prompt), vocabulary=example.vocabulary.tokens,
    )  # fmt: skip


def _rehearse(
    args: argparse.Namespace, example: Example, prompt: Batch, longest: int, stop: Sequence[int]
) -> None:
    """Generate once as the parameters are drawn: what an option is checked by comes before the
    training, not after it."""
    import numpy as np

    config = example.config
    if stop and config.position_limit is not None:  # a trained model may stop before the limit
        ids = prompt.ids if prompt.decoder_ids is None else prompt.decoder_ids
        longest = min(longest, max(1, config.position_limit - np.shape(ids)[1] + 1))
    # Nothing ends this text, so what it may not repeat could use up the vocabulary.
    args = argparse.Namespace(**{**vars(args), "no_repeat_ngram_size": 0})
    if strategy_of(args) == "beam":
        search(args, example, example.parameters, prompt, longest, ())
        return
    _, trace = _generate(args, example, example.parameters, prompt, longest, ())
    assert trace is not None
    trace.graph.select(args.stage)


def _prompt(args: argparse.Namespace, example: Example) -> tuple[Batch, int]:
    """What to go on from, and for how many tokens by default."""
    import numpy as np

    from ..batch import Batch
    from ..sequences import pad
    from ..training.greedy import rows

    if is_own(args):
        if args.prompt is not None:
            raise UsageError("--prompt is for examples; a model of your own goes on from --ids")
        return example.batch, OWN_LENGTH
    found = rows(example.config, example.batch)
    prompts = [row.prompt for row in found]
    length = max(len(row.prompt) + len(row.targets) for row in found)
    if example.config.model != "encoder-decoder":
        if args.prompt is not None:
            assert example.vocabulary is not None
            prompts = [example.vocabulary.encode(_tokens(args.prompt, example.vocabulary))]
        ids, mask = pad(prompts, side="left")
        return Batch(ids, mask=mask), max(1, length - ids.shape[1])
    ids, mask = pad(prompts, side="left")
    source, source_mask = example.batch.ids, example.batch.mask
    if args.prompt is not None:
        vocabulary = example.vocabularies["encoder"]
        tokens = _tokens(args.prompt, vocabulary)
        last = vocabulary.token(int(np.asarray(source)[0, -1]))
        if last == "<eos>" and tokens[-1] != last:  # as the example's source ends
            tokens.append(last)
        source, source_mask, ids, mask = [vocabulary.encode(tokens)], None, ids[:1], mask[:1]
    return Batch(source, ids, mask=source_mask, decoder_mask=mask), max(1, length - ids.shape[1])


def _tokens(text: str, vocabulary: Vocabulary) -> list[str]:
    """A text cut at its spaces; a piece that is no token, into characters."""
    pieces = text.split()
    if not pieces:
        raise UsageError("--prompt is empty; give at least one token")
    return [t for piece in pieces for t in ([piece] if piece in vocabulary else piece)]


def _source_tokens(example: Example, prompt: Batch) -> list[list[str]] | None:
    import numpy as np

    if prompt.ids is None or example.config.model != "encoder-decoder":
        return None
    return example.vocabularies["encoder"].names(np.asarray(prompt.ids).tolist())


def _parameters(args: argparse.Namespace, example: Example) -> Any:
    from ..show.headings import below

    if args.parameters is not None:
        from ..checkpoints.weights import read_weights

        zh, en = f"参数取自 {args.parameters}", f"parameters are those of {args.parameters}"
        tell(below(args.lang, zh, en), width=args.width)
        return read_weights(args.parameters, example.config)
    if example.is_trained:
        return example.parameters
    from ..training.loop import train
    from ..training.recipe import default_steps
    from ..training.run import Run

    steps = default_steps(example.config)
    zh = f"这个例子的参数没有训练过，先训练 {steps} 步"
    en = f"the example's parameters are not trained: training first, {steps} steps"
    if args.save is None:
        zh += "（--save FILE 保存训练结果，--parameters FILE 取用）"
        en += " (--save FILE keeps what comes of it, --parameters FILE takes it)"
    tell(below(args.lang, zh, en), width=args.width)
    sys.stdout.flush()
    training = Run(example.config, example.parameters)
    train(training, example.batch, steps, on_step=args.progress.steps(steps))
    losses = f"{training.losses[0]:.4f} -> {training.losses[-1]:.4f}"
    tell(below(args.lang, f"训练完毕：损失 {losses}", f"trained: loss {losses}"), width=args.width)
    if args.save is not None:
        from ..parameters_file import save_parameters

        save_parameters(args.save, training.parameters)
        tell(below(args.lang, f"已写入: {args.save}", f"written: {args.save}"), width=args.width)
    return training.parameters
