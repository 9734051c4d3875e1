"""How `numtx generate` chooses the next token: its options, named as in transformers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..batch import Batch
    from ..decoding.beam import BeamSearch
    from ..decoding.filters import Filters
    from ..decoding.generate import Choose
    from ..examples.example import Example
    from ..shapes import Array

SAMPLE = ("temperature", "top_k", "top_p", "min_p")
BEAM = ("num_beams", "length_penalty")
BEAMS = 5  # document 003's


def add_choosing(parser: argparse.ArgumentParser) -> None:
    """The options of how a token is chosen."""
    group = parser.add_argument_group(
        "choosing a token",
        "The filters come in this order: repetition penalty, no repeated n-grams, temperature, "
        "top-k, top-p, min-p.",
    )
    group.add_argument(
        "--strategy", choices=("greedy", "sample", "beam"),
        help="default greedy; an option of sample or beam alone is enough too",
    )  # fmt: skip
    group.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="X",
        help="above 1: words seen before become less probable (default 1)",
    )  # fmt: skip
    group.add_argument(
        "--no-repeat-ngram-size", type=int, default=0, metavar="N",
        help="so many words in a row never come twice (default 0: they may)",
    )  # fmt: skip
    group.add_argument(
        "--min-new-tokens", type=int, default=0, metavar="N",
        help="no word that ends the text comes before so many (default 0)",
    )  # fmt: skip
    for name, kind, metavar, what in (
        ("temperature", float, "X", "sample: logits / X (default 1; 0: greedy)"),
        ("top-k", int, "N", "sample: from the N most probable tokens (default: all)"),
        ("top-p", float, "X", "sample: from the smallest set that reaches X (default 1: all)"),
        ("min-p", float, "X", "sample: from tokens X times as probable as the best (default 0)"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar=metavar, help=what)
    group.add_argument(
        "--num-beams", "--beams", type=int, metavar="N", help=f"beam: texts kept (default {BEAMS})"
    )
    group.add_argument(
        "--length-penalty", type=float, metavar="X",
        help="beam: the score is log P / length^X (default 1)",
    )  # fmt: skip


def strategy_of(args: argparse.Namespace) -> str:
    """The strategy that the options name, or that they belong to."""
    given = {
        "sample": [name for name in SAMPLE if getattr(args, name) is not None],
        "beam": [name for name in BEAM if getattr(args, name) is not None],
    }
    strategy: str = args.strategy or next((name for name in given if given[name]), "greedy")
    for other, names in given.items():
        if names and other != strategy:
            option = "--" + names[0].replace("_", "-")
            raise UsageError(f"{option} belongs to --strategy {other}, not to {strategy}; drop one")
    return strategy


def filters_of(args: argparse.Namespace) -> Filters:
    """The filters that the options set."""
    from ..decoding.filters import Filters

    given = {name: getattr(args, name) for name in SAMPLE if getattr(args, name) is not None}
    return Filters(
        repetition_penalty=args.repetition_penalty,
        no_repeat_ngram_size=args.no_repeat_ngram_size, **given,
    )  # fmt: skip


def choose_of(strategy: str, filters: Filters, seed: int) -> Choose:
    """The function that `generate` chooses by."""
    from ..decoding.sample import filtered_greedy, sampler

    return sampler(filters, seed) if strategy == "sample" else filtered_greedy(filters)


def describe(strategy: str, filters: Filters, seed: int, least: int = 0, lang: str = "en") -> str:
    """One line that says how tokens are chosen; empty for greedy without a filter."""
    from ..show.headings import pick

    set_here = [
        f"{pick(lang, zh, name.replace('_', ' '))} {value:g}"
        for name, zh, value, none in (
            ("repetition_penalty", "重复惩罚", filters.repetition_penalty, 1.0),
            ("no_repeat_ngram_size", "不重复的 n 元组长", filters.no_repeat_ngram_size, 0),
            ("temperature", "温度", filters.temperature, 1.0),
            ("top_k", "top-k", filters.top_k, None),
            ("top_p", "top-p", filters.top_p, 1.0),
            ("min_p", "min-p", filters.min_p, 0.0),
        )
        if value is not None and value != none
    ]
    if least:
        set_here.append(pick(lang, f"至少 {least} 个新词元", f"at least {least} new tokens"))
    comma = pick(lang, "，", ", ")
    if strategy == "sample":
        how = pick(lang, f"随机采样，种子 {seed}", f"sampling with seed {seed}")
        return comma.join([how, *set_here])
    return comma.join([pick(lang, "贪心", "greedy"), *set_here]) if set_here else ""


def search(
    args: argparse.Namespace,
    example: Example,
    parameters: Mapping[str, Array],
    prompt: Batch,
    longest: int,
    stop: Sequence[int],
) -> tuple[BeamSearch, str]:
    """Beam search, and what it found as text: the tree with --trace, the hypotheses, the cost."""
    from ..decoding.beam import beam_search
    from ..decoding.text import beams_text, hypotheses_text
    from ..show.headings import below, pick

    for name in ("no_cache", "chunk", "stage", "npz", "html"):
        if getattr(args, name):
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} with --strategy beam; drop it")
    options: dict[str, Any] = {
        "max_new_tokens": longest, "stop": stop, "repetition_penalty": args.repetition_penalty,
        "no_repeat_ngram_size": args.no_repeat_ngram_size, "min_new_tokens": args.min_new_tokens,
        "num_beams": BEAMS if args.num_beams is None else args.num_beams,
        "length_penalty": 1.0 if args.length_penalty is None else args.length_penalty,
    }  # fmt: skip
    assert example.vocabulary is not None
    tokens, penalty = example.vocabulary.tokens, options["length_penalty"]
    found = beam_search(example.config, parameters, prompt, **options)
    beams, lang = options["num_beams"], args.lang
    blocks = [below(
        lang, f"束搜索：{beams} 个束，得分 = log P / 长度^{penalty:g}",
        f"beam search: {beams} beams, score = log P / length^{penalty:g}",
    )]  # fmt: skip
    asked, answer = pick(lang, "提示", "prompt"), pick(lang, "输出", "output")
    for row, before in enumerate(found.prompt):
        text = f"{asked}: {example.vocabulary.text(before)}"
        if args.trace and found.steps:
            blocks.append(f"{text}\n\n{beams_text(found, tokens, row, lang, args.width)}")
        else:
            blocks.append(f"{text}\n{hypotheses_text(found, tokens, row, lang, args.width)}")
    best = [f"{answer}: {example.vocabulary.text(row)}" for row in found.new]
    cost = _cost(example, parameters, prompt, options, found, lang)
    return found, "\n\n".join([*blocks, "\n".join(best), *([cost] if cost else [])])


def _cost(
    example: Example,
    parameters: Mapping[str, Array],
    prompt: Batch,
    options: dict[str, Any],
    found: BeamSearch,
    lang: str,
) -> str:
    """What the first step of decode costs beside greedy's, counted from both runs."""
    from ..costs import count_beam_search, count_generation
    from ..show.headings import below

    if len(found.steps) < 2:
        return ""
    search = {**options, "max_new_tokens": 2, "min_new_tokens": min(2, options["min_new_tokens"])}
    step, many = count_beam_search(example.config, parameters, prompt, **search)[1]
    one = count_generation(example.config, parameters, prompt, max_new_tokens=2)[1].total()
    return below(
        lang,
        f"代价：{step.phase} 中 {step.rows} 条文本经过解码器，乘加 {many:,} 次；贪心 {one:,} 次\n"
        f"是贪心的 {many / one:g} 倍",
        f"cost: {step.rows} texts through the decoder in {step.phase}, {many:,} multiply-adds; "
        f"greedy: {one:,}\n{many / one:g} times as many",
    )
