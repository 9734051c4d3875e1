"""What newer models change around attention: more norms, sublayers side by side, factors, layers that differ."""

import dataclasses

import numpy as np

from numtx import Batch, Config, initialise, record
from numtx.config.experts import SoftmaxRouter
from numtx.lessons import Lesson

lesson = Lesson(
    zh="比文档更新的模型，在注意力和前馈层的周围改了什么？",
    en="What do models newer than the documents change around attention and feed-forward?",
    before=("残差连接、层归一化、前馈层。", "Residual connections, norms, the feed-forward layer."),
    document="003, 二 第二幕 场景 3",
)

# %%
lesson.head(zh="归一化站在哪里", en="Where the norm stands")
lesson.say(
    zh="文档的模型在残差之后归一化（post）。更新的模型先归一化再进子层（pre），或者进出各一次（both），或者"
    "只归一化子层的输出，再加回去（inner）。后两种里，子层的输出放大多少都没有关系。",
    en="The documents' models normalise after the residual (post). Newer ones do it before a sublayer"
    " (pre), before and after it (both), or they normalise only what the sublayer adds (inner). In the"
    " last two it does not matter how large the output of a sublayer is.",
)
config = Config(
    model="decoder-only", width=6, decoder_layers=2, heads=2, hidden=7, vocabulary=11, norm="rms",
    norm_place="both", positions="rotary", key_width=4, epsilon=0.0,
)  # fmt: skip
ids = [3, 1, 4, 1, 5]
place, factor = "decoder.0.self_attention", 100.0


def run(config, *enlarged):
    """A run of a seeded model, some of its parameters made larger."""
    own = initialise(config, 0)
    return record(config, own | {name: factor * own[name] for name in enlarged}, Batch([ids]))


trace = run(config)
lesson.show(trace, f"{place}.norm_after", f"{place}.residual")
moved = {
    where: float(np.abs(run(c, f"{place}.w_o")["logits"] - run(c)["logits"]).max())
    for where in ("pre", "both", "inner")
    for c in [dataclasses.replace(config, norm_place=where)]
}
lesson.table(
    [lesson.word(zh="位置", en="place"), lesson.word(zh="logits 变了", en="logits moved by")],
    [(where, f"{far:.2g}") for where, far in moved.items()],
)
lesson.check(
    moved["pre"] > 0.1 and max(moved["both"], moved["inner"]) < 1e-10,
    zh=f"W_O 放大到 {factor:g} 倍：只有 pre 的结果变了。",
    en=f"With W_O made {factor:g} times as large only pre gives other logits.",
)

# %%
lesson.head(zh="并列", en="Side by side")
lesson.say(
    zh="有些模型让自注意力和前馈层读同一个输入，两个输出一起加回去，可以同时算；共用一个归一化，或各用一个。",
    en="In some models self-attention and feed-forward read the same input, and both outputs are added"
    " to it, so that they can be computed at once; on one norm for both, or on two.",
)
beside = dataclasses.replace(config, norm_place="pre", parallel="one")
outputs = [
    [run(c, *names)["decoder.0.feed_forward.output"] for names in ((), (f"{place}.w_o",))]
    for c in (dataclasses.replace(beside, parallel=None), beside)
]
lesson.check(
    (outputs[1][0] == outputs[1][1]).all() and (outputs[0][0] != outputs[0][1]).any(),
    zh="改动自注意力的输出，并列的前馈层逐位不变，先后的则变。",
    en="A change of what self-attention gives leaves a feed-forward beside it as it was, bit for bit,"
    " and changes one that comes after it.",
)

# %%
lesson.head(zh="系数，和各层的不同", en="Factors, and layers that differ")
part = 0.5
scaled = dataclasses.replace(config, residual_scale=part, gain_offset=1, window=(2, None))
trace = run(scaled)
lesson.say(
    zh=f"残差可以只加输出的一部分（这里 {part:g}）；增益可以存为与一的差，从零学起；各层的窗口、位置、宽度和"
    "归一化也可以不同，写成一个列表，每层一个值，用完从头再来。",
    en=f"A residual may add a part of the output (here {part:g}); a gain may be kept as what it is more"
    " than one, so that it starts from zero; and window, positions, width and norms may differ by"
    " layer: a list of one value a layer, which repeats.",
)
added = trace[f"{place}.residual"] - trace["decoder.input"]
lesson.check(
    np.allclose(added, part * trace[f"{place}.norm_after"])
    and not initialise(scaled, 0)[f"{place}.norm.gain"].any(),
    zh="加上的正是这一部分；新模型的增益都是零，归一化却与增益为一时相同。",
    en="Just that part is added; the gains of a new model are zero, and its norms are those of gains of"
    " one.",
)
seen = [trace[f"decoder.{i}.self_attention.mask"][0, 0, -1].sum() for i in range(2)]
lesson.check(
    seen == [2, len(ids)],
    zh=f"最后一个词元在第一层看 {seen[0]} 个词元，在第二层看全部 {seen[1]} 个。",
    en=f"The last token sees {seen[0]} tokens in the first layer, and all {seen[1]} in the second.",
)

# %%
lesson.head(zh="专家", en="Experts")
lesson.say(
    zh="前馈层可以是许多个专家：路由给每个专家打分，每个词元只经过分数最高的几个，结果按权重相加；共享专家"
    "人人经过，不带权重。参数多了，每个词元的计算却不多。",
    en="Feed-forward may be many experts: a router scores them, every token goes through the few with the"
    " largest scores, and their results are added by their weights; through a shared expert every token"
    " goes, without a weight. There are more parameters, and no token computes with all of them.",
)
chosen_each = 2
experts = dataclasses.replace(
    config, norm_place="pre", experts=6, experts_chosen=chosen_each, expert_hidden=3,
    shared_experts=1, router=SoftmaxRouter(renormalised=True),
)  # fmt: skip
forward = "decoder.0.feed_forward"
trace = run(experts)
lesson.show(trace, f"{forward}.router.chosen", f"{forward}.router.weights")
load = np.bincount(trace[f"{forward}.router.chosen"].ravel(), minlength=6)
lesson.table(
    [
        lesson.word(zh="专家", en="expert"),
        lesson.word(zh="选中它的词元", en="tokens that chose it"),
    ],
    list(enumerate(load)),
)
lesson.check(
    load.sum() == chosen_each * len(ids)
    and np.allclose(trace[f"{forward}.router.weights"].sum(-1), 1.0),
    zh=f"{len(ids)} 个词元各选 {chosen_each} 个，负载共 {load.sum()}，最忙的专家有 {load.max()} 个词元；"
    "选中者的权重之和为一。",
    en=f"{len(ids)} tokens choose {chosen_each} each, a load of {load.sum()} in all, of which the busiest"
    f" expert has {load.max()}; the weights of those chosen sum to one.",
)
beside = trace[f"{forward}.output"] - trace[f"{forward}.routed"]
lesson.check(
    np.allclose(beside, trace[f"{forward}.shared.output"]),
    zh="输出减去专家之和，正是共享专家给出的。",
    en="The output less what the chosen experts give is what the shared one gives.",
)

# %%
lesson.exercise(
    zh="一个子层都不加回去（系数趋于零）时，这个块给出什么？",
    en="What does a block give when its factor on what is added goes to zero?",
)
nothing = run(dataclasses.replace(config, residual_scale=0.0))
lesson.check(
    (nothing["decoder.1.feed_forward.residual"] == nothing["decoder.input"]).all(),
    zh="它的输入，逐位不变：残差让每个块从“什么也不做”开始学起。",
    en="Its input, bit for bit: with residuals a block learns from doing nothing on.",
)
lesson.result(moved=moved["pre"], seen=[int(n) for n in seen], load=load)
