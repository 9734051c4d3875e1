"""Testing your own attention with the laws."""

import math

import numpy as np

from numtx.lessons import Lesson
from numtx.testing import check
from numtx.testing.chinese import why_in_chinese

lesson = Lesson(
    zh="没有标准答案可比时，怎样知道自己写的掩码和缓存对不对？",
    en="With nothing to compare with, how do I know that my mask and cache are right?",
    before=(
        "因果掩码、一批几句、键值缓存；预填充与解码应当给出同样的结果。",
        "The causal mask, batches, the key/value cache; prefill and decode should give the same.",
    ),
    document="000, 3.4.1; 001, Part 3; 003",
)

# %% Laws instead of answers
lesson.say(
    zh="不知道答案时，还知道答案之间的关系：后面的词不影响前面的输出；别的行不影响这一行；"
    "分几段算与一次算相同。这样的关系叫定律。程序随机造出许多输入，逐条去试。",
    en="Where the answer is not known, relations between answers are: later tokens do not move "
    "earlier outputs, other rows do not move this one, and pieces give what the whole gives. "
    "Such relations are called laws. They are tried on many inputs drawn at random.",
)


# %% A small model, as you might have written it
class Mine:
    """One layer of attention with a cache; the options plant mistakes."""

    vocabulary_size = 11

    def __init__(self, peek=0, restart=False, mix_rows=False, scale=True):
        self.peek, self.restart, self.mix_rows, self.scale = peek, restart, mix_rows, scale
        draw = np.random.default_rng(0).normal
        self.embedding, self.positions = draw(size=(11, 8)), draw(size=(64, 8))
        self.w_q, self.w_k, self.w_v = 0.3 * draw(size=(3, 8, 8))
        self.w_out = draw(size=(8, 11))

    def __call__(self, ids):
        return self.step(ids, None)[0]

    def prefill(self, ids):
        return self.step(ids, None)

    def step(self, ids, state):
        tokens = ids.shape[1]
        before = 0 if state is None else state[0].shape[1]
        first = 0 if self.restart else before
        x = self.embedding[ids] + self.positions[first : first + tokens]
        q, k, v = x @ self.w_q, x @ self.w_k, x @ self.w_v
        if state is not None:
            k, v = (np.concatenate(pair, 1) for pair in zip(state, (k, v), strict=True))
        scores = q @ k.swapaxes(1, 2) / (math.sqrt(8) if self.scale else 1.0)
        later = np.triu(np.ones((tokens, before + tokens), bool), 1 + before + self.peek)
        scores = np.where(later, -np.inf, scores)
        largest = scores.max(None if self.mix_rows else -1, keepdims=True)
        weights = np.exp(scores - largest)
        weights /= weights.sum((0, -1) if self.mix_rows else -1, keepdims=True)
        return (x + weights @ v) @ self.w_out, (k, v)


def tried(**mistakes):
    """What became of each law: law -> its result."""
    report = check(Mine(**mistakes), examples=12, shrink=not mistakes)
    return {result.law.name: result for result in report.results}


def named(found, status):
    return [name for name, result in found.items() if result.status == status]


# %% Without a mistake
right = tried()
lesson.head(zh="没有错误时", en="Without a mistake")


def says(result):
    return result.law.statement_zh if lesson.lang == "zh" else result.law.statement


for name in named(right, "passed"):
    lesson.lines(f"  {name:<3} {says(right[name])}")
passed, skipped = named(right, "passed"), named(right, "skipped")
lesson.say(
    zh=f"共 {len(right)} 条：通过 {len(passed)} 条，跳过 {len(skipped)} 条，"
    f"没有遇到可试的例子 {len(named(right, 'vacuous'))} 条。跳过是因为这个模型不会做，"
    "例如不接受填充掩码，或者那条是 numtx 自己的；跳过不算通过。",
    en=f"{len(right)} laws: {len(passed)} passed, {len(skipped)} skipped, and for "
    f"{len(named(right, 'vacuous'))} no example had anything to try. A law is skipped where the "
    "model cannot do what it asks, such as taking a padding mask, or where it is about numtx "
    "itself; skipped is not passed.",
)
lesson.check(
    not named(right, "broken") and {"K1", "C1", "B1"} <= set(passed),
    zh="没有一条被打破。",
    en="none is broken.",
)

# %% Three mistakes
lesson.head(zh="三个错误", en="Three mistakes")
planted = {
    "peek": {"peek": 1},
    "restart": {"restart": True},
    "mix_rows": {"mix_rows": True},
}
found = {name: tried(**options) for name, options in planted.items()}
broken = {name: named(results, "broken") for name, results in found.items()}
lesson.table(
    {"zh": ["错误", "打破的定律"], "en": ["mistake", "laws broken"]}[lesson.lang],
    [(name, " ".join(laws)) for name, laws in broken.items()],
)
lesson.say(
    zh="掩码的对角线偏了一格，看得到下一个词。打破的定律直接说出了毛病：",
    en="The diagonal of the mask is off by one, and each token sees the next. The broken law says "
    "what is wrong:",
)
why = found["peek"]["K1"]
lesson.lines(f"\n{why_in_chinese(why) if lesson.lang == 'zh' else why.why}")
lesson.check(
    "K1" in broken["peek"],
    zh="偷看未来：因果律被打破，并给出一个能重现的例子。",
    en="peeking: causality is broken, with an example that shows it.",
)
lesson.check(
    "C1" in broken["restart"] and "K1" not in broken["restart"],
    zh="每一步的位置都从头数起：一次算完全对，分段算才错。只测整段的测试发现不了它。",
    en="positions start again in every step: the whole at once is right, the pieces are not. A "
    "test of whole sequences alone never finds it.",
)
lesson.check(
    "B1" in broken["mix_rows"],
    zh="softmax 把一批里的各行加在了一起：别的行影响了这一行。只测一行的测试发现不了它。",
    en="the softmax sums over the rows of the batch: other rows matter. A test of one row alone "
    "never finds it.",
)

# %% What laws cannot see
blind = tried(scale=False)
lesson.head(zh="定律看不见的", en="What laws cannot see")
lesson.say(
    zh="忘了除以 d_k 的平方根呢？算出来的仍是一个合格的因果模型，只不过不是你要的那一个。",
    en="And with the root of d_k forgotten? It is still a proper causal model, only another one.",
)
lesson.check(
    not named(blind, "broken"),
    zh="没有一条定律被打破。数值上的错误要与参照逐步比较才看得见，那是下一课。",
    en="no law is broken. Mistakes in the numbers show only when each step is held against a "
    "reference, which is the next lesson.",
)

# %% Exercise
lesson.exercise(
    zh="若模型完全没有位置编码，哪条定律会被打破？",
    en="Which law is broken when the model knows no positions at all?",
)


class Unordered(Mine):
    """Every token has the same position."""

    def __init__(self):
        super().__init__()
        self.positions = np.zeros_like(self.positions)


report = check(Unordered(), examples=12)
answer = [result.law.name for result in report.broken]
lesson.check(
    answer == ["P3"],
    zh=f"{says(report.broken[0])}。顺序已经丢失。",
    en=f"{says(report.broken[0])}. Order is lost.",
)
lesson.result(
    passed=sorted({"K1", "C1", "B1"} & set(passed)), answer=answer,
    caught=[law in broken[name] for law, name in (("K1", "peek"), ("C1", "restart"))],
)  # fmt: skip
