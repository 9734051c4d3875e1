"""Operations and cached numbers as tables: what `numtx cost` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Config
    from .costs import StepCost

LARGE = (32, 32, 128, 131072)  # layers, heads, d_k, tokens: the stated configuration of the table
GROUPED = 8


def _table(heads: list[str], rows: list[list[object]], left: int = 1) -> str:
    from .show.table import table_text

    cells = [[f"{x:,}" if isinstance(x, int) else str(x) for x in row] for row in rows]
    return table_text([heads, *cells], "l" * left + "r" * (len(heads) - left))


def phases_text(costs: list[StepCost], lang: str) -> str:
    from .costs import ATTENTION
    from .show.headings import below

    rows: list[list[object]] = []
    for cost in costs:
        tokens, total = cost.step.attention
        order = "O(L^2)" if cost.step.phase == "prefill" else "O(L_total)"
        rows.append(
            [cost.step.phase, order, tokens, f"{tokens} x {total}", cost.total("Q·K^T"),
             cost.total(*ATTENTION), cost.total()]
        )  # fmt: skip
    heads = ["phase", "order", "input", "weights", "Q·K^T", "attention", "everything"]
    if lang == "zh":
        heads = ["阶段", "复杂度", "输入", "权重", "Q·K^T", "注意力", "全部"]
    title = below(lang, "两个阶段（文档 001）", "the two phases (document 001)")
    return f"{title}\n{_table(heads, rows)}"


def growth_text(config: Config, without: list[StepCost], cached: list[StepCost], lang: str) -> str:
    from . import costs
    from .show.headings import below, pick

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
        pick(lang, "合计", "sum"), totals[0], costs.total_without_cache(tokens, d),
        totals[1], costs.total_with_cache(tokens, d),
    ])  # fmt: skip
    heads = ["step i", "without: counted", "formula", "with: counted", "formula"]
    if lang == "zh":
        heads = ["第 i 步", "无缓存：数出", "公式", "有缓存：数出", "公式"]
    title = below(
        lang, "有缓存与没有缓存（文档 001）：一层的 Q、K、V、Q·K^T 与 权重·V",
        "with and without a cache (document 001): Q, K, V, Q·K^T and weights·V of one layer",
    )  # fmt: skip
    formulas = below(
        lang,
        "无缓存  第 i 步: 3·i·d^2 + 2·i^2·d   O(i·d^2 + i^2·d)\n"
        "        合计:    3·d^2·T(T+1)/2 + 2·d·T(T+1)(2T+1)/6   O(T^2·d^2 + T^3·d)\n"
        "有缓存  第 i 步: 3·d^2 + 2·i·d       O(d^2 + i·d)\n"
        "        合计:    3·d^2·T + d·T(T+1)   O(T·d^2 + T^2·d)",
        "without  step i: 3·i·d^2 + 2·i^2·d   O(i·d^2 + i^2·d)\n"
        "         sum:    3·d^2·T(T+1)/2 + 2·d·T(T+1)(2T+1)/6   O(T^2·d^2 + T^3·d)\n"
        "with     step i: 3·d^2 + 2·i·d       O(d^2 + i·d)\n"
        "         sum:    3·d^2·T + d·T(T+1)   O(T·d^2 + T^2·d)",
    )
    return "\n".join([title, _table(heads, rows), formulas])


GROUP_NAMES = {
    "Q, K, V projections": "Q、K、V 的投影",
    "feed-forward": "前馈",
    "weights·V": "权重·V",
}


def groups_text(without: StepCost, cached: StepCost, lang: str) -> str:
    from .costs import GROUPS
    from .show.headings import below, pick

    rows: list[list[object]] = []
    for group in GROUPS:
        if not cached.total(group):
            continue
        shapes = []
        for cost in (without, cached):
            first = next(p for p in cost.products if p.group == group)
            shapes.append(f"{_shape(first.left)}·{_shape(first.right)}")
        name = pick(lang, GROUP_NAMES.get(group, group), group)
        rows.append([name, shapes[0], without.total(group), shapes[1], cached.total(group)])
    rows.append([pick(lang, "合计", "sum"), "", without.total(), "", cached.total()])
    heads = ["all layers", "without", "multiply-adds", "with", "multiply-adds"]
    if lang == "zh":
        heads = ["所有层", "无缓存", "乘加次数", "有缓存", "乘加次数"]
    left = sum(cached.total(g) for g in ("W_O", "feed-forward", "logits"))
    last = cached.step.attention[1]
    title = below(
        lang, f"最后一步（第 {last} 个词元）的各项运算", f"the last step by operation: token {last}"
    )
    notes = below(
        lang,
        "Q·K^T 写作 [查询]·[键]，键还要转置。文档 001 与 004 的 O() 略去系数 3 与 2，也略去 W_O、"
        f"前馈与 logits：这里占 {cached.total():,} 中的 {left:,}。文档 004 的每步 O(n) 指 "
        "Q·K^T 与 权重·V；一步的投影不论 n 多大都要 d^2。",
        "Q·K^T is written [queries]·[keys], the keys still to be transposed. The O() of "
        "documents "
        "001 and 004 leave out the factors 3 and 2, and W_O, feed-forward and logits: "
        f"{left:,} of {cached.total():,} here. O(n) a step in document 004 is Q·K^T and "
        "weights·V; "
        "the projections of a step cost d^2 whatever n is.",
    )
    return "\n".join([title, _table(heads, rows), notes])


def _shape(shape: tuple[int, ...]) -> str:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return f"[{','.join(map(str, shape))}]"


def memory_text(config: Config, cached: list[StepCost], lang: str) -> str:
    from .costs import cache_numbers
    from .show.headings import below, pick

    tokens, layers, d = len(cached), config.decoder_layers, config.width
    own, _ = cache_numbers(config, tokens)
    encoder_decoder = _model(6, 1, 4, 1, "encoder-decoder")
    own_100, cross = cache_numbers(encoder_decoder, 100, 7)
    gpt3, _ = cache_numbers(_model(96, 96, 128, 96), 1)
    counted, size = cached[-1].cached, gpt3 * 2048 * 2 / 1e9
    zh = (
        f"缓存里的数\n这次运行：{layers} 层 x {tokens} 个词元 x 2 个矩阵 x {d} = {own:,}（公式），"
        f"数出 {counted:,}\n文档 003：6 x 100 x 2 x 4 = {own_100:,}；漏了交叉注意力里 7 个源词元的"
        f"键与值，6 x 7 x 2 x 4 = {cross:,}\nGPT-3，宽 12288，96 层：每个词元 {gpt3:,} 个数；"
        f"2048 个词元、16 位，{size:.2f} GB"
    )
    en = (
        f"numbers in the cache\nthis run: {layers} layers x {tokens} tokens x 2 matrices x {d} = "
        f"{own:,} by the formula, {counted:,} counted\ndocument 003: 6 x 100 x 2 x 4 = "
        f"{own_100:,}; it omits cross-attention's keys and values of the 7 source tokens, "
        f"6 x 7 x 2 x 4 = {cross:,}\nGPT-3, width 12288, 96 layers: {gpt3:,} numbers a token; "
        f"{size:.2f} GB for 2048 tokens in 16 bits"
    )
    n_layers, heads, width, context = LARGE
    rows: list[list[object]] = []
    groups = pick(lang, f"{GROUPED} 组", f"{GROUPED} groups")
    for name, number in (("MHA", heads), (f"GQA, {groups}", GROUPED), ("MQA", 1)):
        per_token, _ = cache_numbers(_model(n_layers, heads, width, number), 1)
        rows.append([name, per_token, f"{2 * per_token * context / 2**30:.1f} GiB"])
    title = below(
        lang, f"{context:,} 个词元，{n_layers} 层，{heads} 个宽 {width} 的头，16 位",
        f"{context:,} tokens, {n_layers} layers, {heads} heads of {width}, 16 bits",
    )  # fmt: skip
    names = ["attention", "numbers a token", "cache"]
    if lang == "zh":
        names = ["注意力", "每个词元的数", "缓存"]
    return f"{below(lang, zh, en)}\n\n{title}\n{_table(names, rows)}"


def _model(layers: int, heads: int, width: int, groups: int, model: str = "decoder-only") -> Config:
    from .config import Config

    return Config(
        model=model, width=heads * width, heads=heads, key_value_heads=groups, hidden=1,
        vocabulary=1, decoder_layers=layers,
        encoder_layers=layers if model == "encoder-decoder" else 0,
    )  # fmt: skip
