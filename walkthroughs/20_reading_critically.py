"""Reading the documents critically: the ledger."""

import numpy as np

from numtx import Batch, Config, load_example, record
from numtx.costs import cache_numbers
from numtx.documents.ledger import row_of, rows_of
from numtx.documents.row import run
from numtx.documents.text import summary_text, verdict_name
from numtx.lessons import Lesson
from numtx.show.stage_grid import Style

lesson = Lesson(
    zh="文档里的数，哪些对，哪些不对，怎样才算证明？",
    en="Which of the documents' numbers are right, which are wrong, and what proves it?",
    before=(
        "前面各课：整个模型、损失、掩码、缓存、束搜索。",
        "The lessons before: the whole model, the loss, masks, the cache, beam search.",
    ),
    document="000, 001, 002, 003, 004",
)

# %% Six verdicts
lesson.say(
    zh="numtx 把文档里的每个数、每个形状、每句断言都登记为一条：写的是什么，怎样算，算出什么。"
    "结论不是写死的，每次运行都重新算。结论有六种，各举一例：",
    en="numtx keeps a ledger with a row for every figure, shape and claim of the documents: what "
    "is stated, how it is computed, what comes out. No verdict is written down; each is computed "
    "in every run. There are six; an example of each:",
)
examples = {
    "003.loss-mean": ("七个损失的平均", "the mean of seven losses"),
    "003.positions": ("位置编码表", "the table of positions"),
    "003.probabilities-0": ("某一行 logits 的 softmax", "the softmax of a row of logits"),
    "003.logits-0": ("某一行 logits", "a row of logits"),
    "003.probabilities-0-sum": ("十个词的概率", "the probabilities of ten words"),
    "003.learning-rate": ("学习率", "the learning rate"),
}
meanings = {
    "reproduced": ("算得出同样的数", "computed, and equal as printed"),
    "rounding": ("只差在舍入", "differs by rounding alone"),
    "contradicted": ("由文档自己的数算出别的", "its own inputs give something else"),
    "attainable": ("例子，有参数做得到", "made up, and parameters exist that give it"),
    "impossible": ("例子，任何参数都做不到", "made up, and no parameters give it"),
    "definition": ("约定或输入", "a convention, or an input"),
}
results = {name: run([row_of(name)])[0] for name in examples}
language = 0 if lesson.lang == "zh" else 1
lesson.table(
    {"zh": ["", "写的是", "结论", "意思"], "en": ["", "stated", "verdict", "meaning"]}[lesson.lang],
    [
        (name, examples[name][language], verdict_name(r.verdict, lesson.lang),
         meanings[r.verdict][language])
        for name, r in results.items()
    ],
)  # fmt: skip
verdicts = [result.verdict for result in results.values()]
lesson.check(
    verdicts == list(meanings),
    zh="六条，六种结论。",
    en="six rows, six verdicts.",
)

# %% Reproduced, and contradicted
stated = np.array(row_of("003.probabilities-0").judge.stated)
example = load_example("weather")
held = {"logits": load_example("weather", as_stated=True).pins["logits"]}
trace = example.trace(gradients=False, pins=held)
computed = trace["probabilities"][0, 0]
lesson.head(zh="前后对不上", en="Where two passages do not agree")
lesson.say(
    zh="文档写了一行 logits，也写了它的 softmax。把 logits 固定住，让 numtx 接着算：",
    en="The document states a row of logits and its softmax. Hold the logits with a pin, and let "
    "numtx go on from there:",
)
lesson.grid(
    np.stack((trace["logits"][0, 0], stated, computed)),
    {"zh": ["logits", "文档", "算出"], "en": ["logits", "stated", "computed"]}[lesson.lang],
    example.vocabulary.tokens,
    decimals=3,
)
lesson.check(
    abs(stated.sum() - 1) > len(stated) * 0.0005 and np.isclose(computed.sum(), 1.0),
    zh=f"文档的十个概率之和是 {stated.sum():.3f}，舍入也补不到一；算出的之和是 {computed.sum():.3f}。",
    en=f"the ten stated probabilities sum to {stated.sum():.3f}, and rounding cannot make that "
    f"one; those computed sum to {computed.sum():.3f}.",
)
pair = run([row_of("003.loss-mean"), row_of("003.loss-mean-from-logits")])
lesson.check(
    [r.verdict for r in pair] == ["reproduced", "contradicted"],
    zh=f"平均损失 {pair[0].outcome.computed.en} 由写出的七个损失算得出来；但若从 logits 算起，"
    f"是 {pair[1].outcome.computed.en}。“算得出”只说这一步没错，不说前面也没错。",
    en=f"the mean loss {pair[0].outcome.computed.en} follows from the seven losses as stated; from "
    f"the logits it is {pair[1].outcome.computed.en}. Reproduced says that this step is right, "
    "not that those before it are.",
)

# %% Attainable
row = row_of("003.logits-0")
witness = row.witness()["logits"][0, 0]
lesson.head(zh="例子：做得到", en="Made up, and attainable")
lesson.say(
    zh="许多数是随手举的例子，没有给出由来，谈不上算对算错。能问的是：有没有一组参数，"
    "前向计算正好给出它？找到一组，就是证明。",
    en="Many numbers are made up for illustration; nothing is given from which they would follow. "
    "One can ask whether there are parameters whose forward pass gives them. To find some is the "
    "proof.",
)
lesson.check(
    np.abs(witness - np.array(row.judge.stated)).max() <= 0.005,
    zh=f"账本里存着这样一组参数：它的 logits 与写出的最多差 {np.abs(witness - row.judge.stated).max():.0e}。",
    en="the ledger holds such parameters: their logits are the stated ones, within "
    f"{np.abs(witness - row.judge.stated).max():.0e}.",
)

# %% Impossible
lesson.head(zh="例子：做不到", en="Made up, and impossible")
two_rows = row_of("003.self-row-changes")
earlier, later = two_rows.judge.stated
lesson.say(
    zh=f"找不到参数，不等于没有；说做不到，要有论证。例：Today 这一行的权重，第二步写的是 {earlier}，"
    f"第三步写的是 {later}。可是因果掩码下，后来的词不会改变前面的行：",
    en="That none was found is no proof that there are none; that takes an argument. An example: "
    f"the weights of Today are {earlier} in the second step and {later} in the third. But under "
    "the causal mask, later tokens do not change an earlier row:",
)
story = load_example("translation")
weights = []
for length in (2, 3):
    ids = [story.vocabulary.encode(["<bos>", "Today", "is"][:length])]
    part = record(story.config, story.parameters, Batch(story.batch.ids, ids), gradients=False,
                  tokens={"decoder": [["<bos>", "Today", "is"][:length]]})  # fmt: skip
    lesson.show(part, "decoder.0.self_attention.weights")
    weights.append(part["decoder.0.self_attention.weights"][0, 0, 1, :2])
lesson.check(
    np.allclose(*weights, rtol=0, atol=1e-12) and run([two_rows])[0].verdict == "impossible",
    zh="这一行两次都一样；掩码使它对任何参数都如此。同一层同一头里，两行各自做得到，一起做不到。",
    en="the row is the same both times, and the mask makes it so for any parameters. In one layer "
    "and head each of the two can be, but not both.",
)

# %% No verdict is known by heart
changed = row_of("003.loss-mean").restated(1.88)
lesson.head(zh="账本本身可信吗？", en="Is the ledger itself to be trusted?")
lesson.check(
    run([changed])[0].verdict == "contradicted",
    zh=f"把平均损失改写成 {changed.judge.stated}，结论就变：结论确实是算出来的。",
    en=f"with {changed.judge.stated} for the mean loss the verdict changes: it is computed indeed.",
)
everything = run(rows_of())
lesson.lines("\n" + summary_text(everything, Style(lang=lesson.lang, width=lesson.width)))
wrong = sum(r.verdict in ("contradicted", "impossible") for r in everything)
lesson.check(
    0 < wrong < len(everything) and not any(r.verdict == "open" for r in everything),
    zh=f"全部 {len(everything)} 条里有 {wrong} 条不符或做不到，每条都写着理由；没有一条悬而未决。"
    "命令 numtx figures 列出每一条。",
    en=f"of all {len(everything)} rows {wrong} are contradicted or impossible, each with its "
    "reason, and none is left open. The command numtx figures lists every row.",
)

# %% Exercise
lesson.exercise(
    zh="文档说缓存要存四千八百个浮点数（六层、一百个位置、宽四）。这个数对吗？它说全了吗？",
    en="The document says that the cache takes forty-eight hundred numbers (six layers, a hundred "
    "positions, width four). Is that right? Is it all?",
)
deep = Config(width=4, encoder_layers=6, decoder_layers=6, hidden=16, vocabulary=10)
own, cross = cache_numbers(deep, tokens=100, source=7)
ids = ["003.cache-4800", "003.cache-whole"]
lesson.check(
    own == 4800
    and cross > 0
    and [r.verdict for r in run([row_of(i) for i in ids])] == ["reproduced", "contradicted"],
    zh=f"自注意力正好 {own} 个；但同一节要求缓存交叉注意力，那又是 {cross} 个，共 {own + cross} 个。",
    en=f"self-attention keeps {own} indeed; but the same section asks for cross-attention's too, "
    f"{cross} more, {own + cross} together.",
)
lesson.result(verdicts=verdicts, total=float(stated.sum()), cache=[own, cross])
