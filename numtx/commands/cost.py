"""`numtx cost`: operations and cached numbers, counted from a run beside the closed formulas."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..arguments.options import whole

if TYPE_CHECKING:
    from ..config import Config
    from ..costs import StepCost

LARGE = (32, 32, 128, 131072)  # layers, heads, d_k, tokens: the stated configuration of the table
GROUPED = 8


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "cost",
        help="operations and cache with and without a key/value cache, counted from a run",
        description="Generate with a small model, count every product of matrices from the "
        "shapes of the run, and set the counts beside the closed formulas.",
    )
    parser.set_defaults(run=run)
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
    from ..costs import count_generation
    from ..parameters import initialise

    if args.folder is not None:
        from ..folders.cost import of_folder

        print(of_folder(args.folder, args.prompt))
        return 0
    config = Config(
        model="decoder-only", width=args.width, decoder_layers=args.layers, hidden=args.hidden,
        vocabulary=args.vocabulary, positions="rotary" if args.width % 2 == 0 else None,
    )  # fmt: skip
    parameters = initialise(config)

    def count(prompt: int, new: int, use_cache: bool) -> list[StepCost]:
        batch = Batch([[0] * prompt])
        return count_generation(config, parameters, batch, max_new_tokens=new, use_cache=use_cache)

    print(
        f"numtx cost: decoder-only, d = {args.width}, {args.layers} layers, 1 head, "
        f"feed-forward {args.hidden}, vocabulary {args.vocabulary}\n"
        "multiply-adds, counted from the shapes of a run; softmax, norms and the like are left out"
    )
    print(f"\n{phases_text(count(args.prompt, 3, True))}")
    without, cached = count(1, args.tokens, False), count(1, args.tokens, True)
    print(f"\n{_growth(config, without, cached)}")
    print(f"\n{groups_text(without[-1], cached[-1])}")
    print(f"\n{_memory(config, cached)}")
    return 0


def _table(heads: list[str], rows: list[list[object]], left: int = 1) -> str:
    from ..show.grid import table_text

    cells = [[f"{x:,}" if isinstance(x, int) else str(x) for x in row] for row in rows]
    return table_text([heads, *cells], "l" * left + "r" * (len(heads) - left))


def phases_text(costs: list[StepCost]) -> str:
    from ..costs import ATTENTION

    rows: list[list[object]] = []
    for cost in costs:
        tokens, total = cost.step.attention
        order = "O(L^2)" if cost.step.phase == "prefill" else "O(L_total)"
        rows.append(
            [cost.step.phase, order, tokens, f"{tokens} x {total}", cost.total("Q·K^T"),
             cost.total(*ATTENTION), cost.total()]
        )  # fmt: skip
    heads = ["phase", "order", "input", "weights", "Q·K^T", "attention", "everything"]
    return "the two phases (document 001)\n" + _table(heads, rows)


def _growth(config: Config, without: list[StepCost], cached: list[StepCost]) -> str:
    from .. import costs

    d, layers, tokens = config.width, config.decoder_layers, len(cached)
    rows: list[list[object]] = []
    for i, (a, b) in enumerate(zip(without, cached, strict=True), 1):
        if tokens > 12 and 6 < i < tokens:
            continue
        rows.append([
            str(i), a.total(*costs.ATTENTION) // layers, costs.step_without_cache(i, d),
            b.total(*costs.ATTENTION) // layers, costs.step_with_cache(i, d),
        ])  # fmt: skip
    totals = [
        sum(cost.total(*costs.ATTENTION) for cost in run) // layers for run in (without, cached)
    ]
    rows.append([
        "sum", totals[0], costs.total_without_cache(tokens, d),
        totals[1], costs.total_with_cache(tokens, d),
    ])  # fmt: skip
    heads = ["step i", "without: counted", "formula", "with: counted", "formula"]
    return "\n".join([
        "with and without a cache (document 001): Q, K, V, Q·K^T and weights·V of one layer",
        _table(heads, rows),
        "without  step i: 3·i·d^2 + 2·i^2·d   O(i·d^2 + i^2·d)",
        "         sum:    3·d^2·T(T+1)/2 + 2·d·T(T+1)(2T+1)/6   O(T^2·d^2 + T^3·d)",
        "with     step i: 3·d^2 + 2·i·d       O(d^2 + i·d)",
        "         sum:    3·d^2·T + d·T(T+1)   O(T·d^2 + T^2·d)",
    ])  # fmt: skip


def groups_text(without: StepCost, cached: StepCost) -> str:
    from ..costs import GROUPS

    rows: list[list[object]] = []
    for group in GROUPS:
        if not cached.total(group):
            continue
        shapes = []
        for cost in (without, cached):
            first = next(p for p in cost.products if p.group == group)
            shapes.append(f"{_shape(first.left)}·{_shape(first.right)}")
        rows.append([group, shapes[0], without.total(group), shapes[1], cached.total(group)])
    rows.append(["sum", "", without.total(), "", cached.total()])
    heads = ["all layers", "without", "multiply-adds", "with", "multiply-adds"]
    left = sum(cached.total(g) for g in ("W_O", "feed-forward", "logits"))
    return "\n".join([
        f"the last step by operation: token {cached.step.attention[1]}",
        _table(heads, rows),
        "Q·K^T is written [queries]·[keys], the keys still to be transposed. The O() of documents",
        "001 and 004 leave out the factors 3 and 2, and W_O, feed-forward and logits:",
        f"{left:,} of {cached.total():,} here. O(n) a step in document 004 is Q·K^T and weights·V;",
        "the projections of a step cost d^2 whatever n is.",
    ])  # fmt: skip


def _shape(shape: tuple[int, ...]) -> str:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return f"[{','.join(map(str, shape))}]"


def _memory(config: Config, cached: list[StepCost]) -> str:
    from ..costs import cache_numbers

    tokens, layers, d = len(cached), config.decoder_layers, config.width
    own, _ = cache_numbers(config, tokens)
    encoder_decoder = _model(6, 1, 4, 1, "encoder-decoder")
    own_100, cross = cache_numbers(encoder_decoder, 100, 7)
    gpt3, _ = cache_numbers(_model(96, 96, 128, 96), 1)
    lines = [
        "numbers in the cache",
        f"this run: {layers} layers x {tokens} tokens x 2 matrices x {d} = {own:,} by the formula, "
        f"{cached[-1].cached:,} counted",
        f"document 003: 6 x 100 x 2 x 4 = {own_100:,}; it omits cross-attention's keys and values "
        f"of the\n7 source tokens, 6 x 7 x 2 x 4 = {cross:,}",
        f"GPT-3, width 12288, 96 layers: {gpt3:,} numbers a token; "
        f"{gpt3 * 2048 * 2 / 1e9:.2f} GB for 2048 tokens in 16 bits",
    ]
    n_layers, heads, width, context = LARGE
    rows: list[list[object]] = []
    for name, groups in (("MHA", heads), (f"GQA, {GROUPED} groups", GROUPED), ("MQA", 1)):
        per_token, _ = cache_numbers(_model(n_layers, heads, width, groups), 1)
        rows.append([name, per_token, f"{2 * per_token * context / 2**30:.1f} GiB"])
    lines.append(
        f"\n{context:,} tokens, {n_layers} layers, {heads} heads of {width}, 16 bits\n"
        + _table(["attention", "numbers a token", "cache"], rows)
    )
    return "\n".join(lines)


def _model(layers: int, heads: int, width: int, groups: int, model: str = "decoder-only") -> Config:
    from ..config import Config

    return Config(
        model=model, width=heads * width, heads=heads, key_value_heads=groups, hidden=1,
        vocabulary=1, decoder_layers=layers,
        encoder_layers=layers if model == "encoder-decoder" else 0,
    )  # fmt: skip
