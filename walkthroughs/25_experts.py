"""Experts: who is chosen, with what weight, and who learns from it."""

import dataclasses

import numpy as np

from numtx import Batch, Config, initialise, record
from numtx.config.experts import ChosenSoftmaxRouter, SigmoidRouter, SoftmaxRouter
from numtx.lessons import Lesson

lesson = Lesson(
    zh="路由怎样选专家，没有选中的专家会怎样？",
    en="How does a router choose experts, and what becomes of those not chosen?",
    before=(
        "前馈层（第五课）与专家一词（上一课）；softmax，梯度。",
        "Feed-forward (lesson five), and what an expert is (the lesson before); softmax, gradients.",
    ),
    document="003, 二 第二幕",
)

# %%
lesson.head(zh="三种路由", en="Three routers")
config = Config(
    model="decoder-only", width=6, decoder_layers=1, heads=2, hidden=7, vocabulary=11,
    norm_place="pre", experts=5, experts_chosen=2, expert_hidden=4,
    router=SoftmaxRouter(renormalised=True),
)  # fmt: skip
place = "decoder.0.feed_forward"
ids, labels = [3, 1, 4, 1, 5, 9], [1, 4, 1, 5, 9, 2]
words = [str(token) for token in ids]
experts = [f"{lesson.word(zh='专家', en='expert')} {e}" for e in range(config.experts)]


def run(config, **changed):
    """A run of the seeded model with this configuration, some parameters replaced."""
    own = initialise(config, 0) | {f"{place}.{name}": value for name, value in changed.items()}
    return record(config, own, Batch([ids], labels=[labels]))


trace = run(config)
lesson.say(
    zh="路由是一个小矩阵：词元的向量乘它，每个专家得到一个分数。下面是每个词元的分数、选中的专家，和它们的权重：",
    en="A router is a small matrix: a token's vector times it gives every expert a score. Here are the"
    " scores of each token, the experts chosen, and their weights:",
)
lesson.show(trace, f"{place}.router.logits", f"{place}.router.chosen", f"{place}.router.weights")
logits = trace[f"{place}.router.logits"][0]
chosen, weights = (trace[f"{place}.router.{x}"][0] for x in ("chosen", "weights"))
kinds = {
    "softmax": SoftmaxRouter(),
    "softmax, renormalised": SoftmaxRouter(renormalised=True),
    "chosen softmax": ChosenSoftmaxRouter(),
    "sigmoid": SigmoidRouter(),
}
runs = {name: run(dataclasses.replace(config, router=kind)) for name, kind in kinds.items()}
sums = {name: t[f"{place}.router.weights"][0].sum(-1) for name, t in runs.items()}
lesson.say(
    zh="选谁，几种路由都一样；不同的是权重。先对所有专家做 softmax 再选，权重之和不到一；再除以和，就是一；只在"
    "选中的之间做 softmax，结果相同；每个分数各做 sigmoid，和是多少都行。第一个词元的权重之和：",
    en="They all choose alike; they differ in the weights. Softmax over all experts, then the choice:"
    " the weights sum to less than one. Divided by their sum, to one; a softmax among the chosen alone"
    " gives the same. A sigmoid of each score: to anything. The sums at the first token:",
)
lesson.table(
    [lesson.word(zh="路由", en="router"), lesson.word(zh="和", en="sum")],
    [(name, f"{total[0]:.3f}") for name, total in sums.items()],
)
lesson.check(
    (sums["softmax"] < 1).all()
    and np.allclose(
        runs["softmax, renormalised"][f"{place}.output"], runs["chosen softmax"][f"{place}.output"]
    ),
    zh="先 softmax 再除以和，与只在选中的之间 softmax，是同一回事。",
    en="Softmax over all, renormalised, and softmax among the chosen are one and the same.",
)

# %%
lesson.head(zh="负载", en="The load")
load = np.bincount(chosen.ravel(), minlength=config.experts)
lesson.grid(load[None].astype(float), [lesson.word(zh="词元数", en="tokens")], experts, decimals=0)
lesson.check(
    load.sum() == config.experts_chosen * len(ids) and load.max() > load.min(),
    zh=f"{len(ids)} 个词元各选 {config.experts_chosen} 个。没有人安排，负载并不均匀：最忙的 {load.max()} 个，最闲的"
    f" {load.min()} 个。",
    en=f"{len(ids)} tokens choose {config.experts_chosen} each. Nobody arranges it, and the load is"
    f" uneven: {load.max()} tokens for the busiest expert, {load.min()} for the idlest.",
)
lesson.say(
    zh="有的模型给每个专家加一个数（修正），只用来选，不进权重：闲的加大，忙的减小。这里给最忙的专家减去一：",
    en="Some models add a number of each expert, a correction, for the choice alone and not for the"
    " weight: up for the idle, down for the busy. Here the busiest expert loses one:",
)
corrected = dataclasses.replace(config, router=SigmoidRouter(correction=True))
busy = int(load.argmax())
shift = np.where(np.arange(config.experts) == busy, -1.0, 0.0)
moved = run(corrected, **{"router.correction": shift})
after = np.bincount(moved[f"{place}.router.chosen"].ravel(), minlength=config.experts)
lesson.grid(after[None].astype(float), [lesson.word(zh="词元数", en="tokens")], experts, decimals=0)
picked = np.take_along_axis(
    1 / (1 + np.exp(-moved[f"{place}.router.logits"][0])), moved[f"{place}.router.chosen"][0], -1
)
lesson.check(
    after[busy] < load[busy] and np.allclose(moved[f"{place}.router.weights"][0], picked),
    zh="它闲了下来；而权重仍是没有修正的 sigmoid。",
    en="It has less to do; and the weights are still sigmoids without the correction.",
)

# %%
lesson.head(zh="谁学到东西", en="Who learns")
gradient = np.abs(moved.grad(f"parameters/{place}.experts.w_in")).sum((1, 2))
lesson.say(
    zh="没有选中的专家不参与计算，也就得不到梯度。还是这一次，每个专家第一个矩阵的梯度之和（取绝对值）：",
    en="An expert that is not chosen takes no part, and so has no gradient. In this last run, the sizes"
    " of the gradients of each expert's first matrix, added up:",
)
lesson.grid(gradient[None], [lesson.word(zh="梯度", en="gradient")], experts, decimals=4)
lesson.check(
    ((gradient > 0) == (after > 0)).all() and (after == 0).any(),
    zh="恰好是有词元来的专家有梯度。闲着的学不到东西，以后更没有词元来：所以要管负载。",
    en="Those with tokens have one, and no others. An idle expert learns nothing and gets fewer tokens"
    " still: hence the care about the load.",
)
dlogits = trace.grad(f"{place}.router.logits")[0]
hot = np.zeros(dlogits.shape, bool)
np.put_along_axis(hot, chosen, True, -1)
lesson.check(
    np.abs(dlogits[~hot]).max() < 1e-12 < np.abs(dlogits[hot]).max()
    and np.allclose(dlogits.sum(-1), 0),
    zh="第一次运行里，路由的分数也一样：梯度只落在选中的专家上，每行加起来是零。选择本身没有梯度，学的只是权重。",
    en="So it is with the scores of the first run: only those of the chosen have a gradient, and each row sums to zero."
    " The choice itself has none; what is learned is the weights.",
)

# %%
lesson.exercise(
    zh="把每个词元经过的专家数改成全部专家，输出会等于一个普通的前馈层吗？",
    en="Let every token go through all experts. Is the output that of a plain feed-forward layer?",
)
every = dataclasses.replace(config, experts_chosen=config.experts)
whole = run(every)
total = whole[f"{place}.router.weights"][0].sum(-1)
share = np.sort(whole[f"{place}.router.weights"][0], -1)
lesson.check(
    np.allclose(total, 1) and np.ptp(share, axis=0).max() > 0.01,
    zh="不等：权重之和是一，但每个词元分给各专家的份额不同，是一个随词元而变的平均。",
    en="No: the weights sum to one, but each token has shares of its own: it is a mean that changes"
    " from token to token.",
)
lesson.result(load=load, after=after, sums=[float(x[0]) for x in sums.values()])
