"""Testing a cache: forks, cuts and new orders, and the mistakes that plain generation never shows."""

import math

import numpy as np

from numtx.lessons import Lesson
from numtx.testing import check

lesson = Lesson(
    zh="我的缓存写出的句子都对。它还会在哪里出错？",
    en="The sentences that my cache writes are right. Where may it still be wrong?",
    before=(
        "缓存（第十二课）、束搜索（第十五课）、定律（第十八课）。",
        "The cache (lesson twelve), beams (lesson fifteen), the laws (lesson eighteen).",
    ),
    document="003, KV Cache",
)

# %%
lesson.head(zh="四件事", en="Four things")
lesson.say(
    zh="缓存不只是越接越长。试写几种续法，要把它分成互不相干的几份（fork）；草稿没被接受，要截短（truncate）；束搜索"
    "换了候选，要按新的次序取行（reorder）。逐词生成只用到“接上”，别的一样也测"
    "不到。",
    en="A cache does more than grow. To try several continuations it is forked into copies that do not"
    " touch one another; a draft that was refused is cut off (truncate); beams that change places are"
    " gathered in a new order (reorder). Writing word by word appends, and tests none of the rest.",
)


class Mine:
    """One layer of attention; its cache is one array for keys and values, and the lengths of rows."""

    vocabulary_size, room = 11, 64

    def __init__(self, shares=False, forgets=False, halves=False):
        self.shares, self.forgets, self.halves = shares, forgets, halves
        draw = np.random.default_rng(0).normal
        self.embedding, self.positions = draw(size=(11, 8)), draw(size=(self.room, 8))
        self.w = 0.4 * draw(size=(3, 8, 8))
        self.w_out = draw(size=(8, 11))

    def __call__(self, ids):
        return self.prefill(np.asarray(ids))[0]

    def prefill(self, ids):
        return self.step(ids, (np.zeros((2, len(ids), self.room, 8)), np.zeros(len(ids), int)))

    def step(self, ids, state):
        store, lengths = state
        rows, tokens = ids.shape
        place = lengths[:, None] + np.arange(tokens)
        x = self.embedding[ids] + self.positions[place]
        q, k, v = (x @ w for w in self.w)
        store[0, np.arange(rows)[:, None], place], store[1, np.arange(rows)[:, None], place] = k, v
        scores = q @ store[0].swapaxes(1, 2) / math.sqrt(8)
        later = np.arange(self.room) > place[..., None]
        scores = np.where(later, -np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return (x + weights @ store[1]) @ self.w_out, (store, lengths + tokens)

    def fork(self, state):
        store, lengths = state
        return (store if self.shares else store.copy()), lengths.copy()

    def truncate(self, state, lengths):
        store, before = state
        return store, before if self.forgets else np.asarray(lengths)

    def reorder(self, state, index):
        store, lengths = state
        index = np.asarray(index)
        if self.halves:
            return np.stack([store[0, index], store[1, np.sort(index)]]), lengths[index]
        return store[:, index], lengths[index]


# %%
lesson.head(zh="逐词生成都对", en="Word by word all is right")
mistakes = {
    "fork": {"shares": True},
    "truncate": {"forgets": True},
    "reorder": {"halves": True},
}
ids = np.array([[3, 1, 4, 1, 5]])
gaps = []
for options in mistakes.values():
    model = Mine(**options)
    logits, state = model.prefill(ids[:, :1])
    for n in range(1, ids.shape[1]):
        logits, state = model.step(ids[:, n : n + 1], state)
    gaps.append(float(np.abs(logits[0, -1] - model(ids)[0, -1]).max()))
lesson.check(
    max(gaps) < 1e-12,
    zh=f"三份缓存各藏着一个错误；逐词写出的 logits 与一次算完的却一样（最大差 {max(gaps):.0e}）。",
    en="Three caches, a mistake in each; and word by word they give the logits of the whole text (the"
    f" largest difference is {max(gaps):.0e}).",
)

# %%
lesson.head(zh="定律来问", en="Asked by laws")
laws = {
    "C3": ("fork 之后互不影响", "a fork is independent of its origin"),
    "C4": ("截短就像没接过", "what was cut off was never there"),
    "C5": ("换次序就是取行", "a new order gathers whole rows"),
}


def broken(model):
    """The laws of caches that a model breaks."""
    report = check(model, laws, examples=9, shrink=False)
    return [result.law.name for result in report.results if result.status == "broken"]


found = {name: broken(Mine(**options)) for name, options in mistakes.items()}
lesson.say(
    zh=f"每条定律说一件事：{'；'.join(f'{name} {zh}' for name, (zh, _) in laws.items())}",
    en=f"Each law says one thing: {'; '.join(f'{name}, {en}' for name, (_, en) in laws.items())}",
)
head = {"zh": ["错在", "打破的定律"], "en": ["mistake in", "laws broken"]}[lesson.lang]
lesson.table(head, [(name, " ".join(names)) for name, names in found.items()])
lesson.check(
    not broken(Mine()),
    zh="没有错误的缓存一条也不打破。",
    en="The cache without a mistake breaks none.",
)
lesson.check(
    "C3" in found["fork"],
    zh="fork 之后共用一块数组：一份接上新词，另一份的内容也变了。",
    en="Forks that share an array: what one appends overwrites what the other has.",
)
lesson.check(
    "C4" in found["truncate"],
    zh="截短忘了改长度：后来的词站错了位置，还看得到被截掉的词。",
    en="A cut that forgets the lengths: later tokens stand in the wrong place, and see what was cut off.",
)
lesson.check(
    "C5" in found["reorder"] and "C3" not in found["reorder"],
    zh="换次序时键换对了，值没有跟着换：束搜索里，一个候选拿着另一个候选的值。",
    en="A new order for the keys, and another for the values: in a beam search one candidate has the values"
    " of another.",
)

# %%
lesson.exercise(
    zh="截短之后，旧的键和值还留在数组里，没有清零。这是错误吗？",
    en="After a cut the old keys and values are still in the array; nothing sets them to zero. Is that"
    " a mistake?",
)
model = Mine()
_, state = model.prefill(ids)
cut = model.truncate(state, [2])
(asked,) = found["truncate"]
stale = float(np.abs(cut[0][0, 0, 2]).max())
after = model.step(np.array([[7]]), cut)[0][0, -1]
fresh = model(np.array([[3, 1, 7]]))[0, -1]
lesson.check(
    stale > 0 and np.allclose(after, fresh, rtol=0, atol=1e-12),
    zh=f"不是：掩码按长度遮住它们，下一个词会覆盖它们。留着的数没人看，就不起作用；{asked} 问的正是结果，不是数组。",
    en=f"No: the mask hides them by length, and the next tokens overwrite them. What nobody looks at has"
    f" no effect; {asked} asks for results, not for arrays.",
)
lesson.result(found=[found[name][0] for name in mistakes], gap=max(gaps) < 1e-12)
