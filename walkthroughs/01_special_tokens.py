"""Special tokens, shifting and padding, and the three jobs each of <bos> and <eos>."""

import dataclasses

import numpy as np

from numtx import Batch, forward, generate, load_example
from numtx.documents.text import systems_table
from numtx.lessons import Lesson
from numtx.sequences import frame, pad, pad_labels, sentence_vectors

lesson = Lesson(
    zh="一句话交给模型之前，为什么要加上 <bos>、<eos> 和 <pad>？",
    en="Why do <bos>, <eos> and <pad> join a sentence before a model reads it?",
    before=("什么都不用先知道。", "Nothing."),
    document="003, 一; 二 第一幕; 三",
)

# %%
lesson.head(zh="从字到编号", en="From characters to ids")
example = load_example("weather")
vocabulary = example.vocabulary
sentence = list("今天天气很好")
ids = vocabulary.encode(sentence)
lesson.say(
    zh=f"模型只会算数，所以每个词元（这里是一个字）先换成它在词表中的编号。本课的词表有"
    f" {len(vocabulary)} 个词元，其中有三个不是字，而是记号。",
    en=f"A model can only calculate, so each token (here: a character) is first replaced by its"
    f" number in a vocabulary: {len(vocabulary)} tokens, three of which are signs.",
)
lesson.table(
    [lesson.word(zh="词元", en="token"), *vocabulary.tokens],
    [[lesson.word(zh="编号", en="id"), *range(len(vocabulary))]],
)
lesson.check(
    vocabulary.decode(ids) == sentence and ids[1] == ids[2],
    zh=f"“今天天气很好”成了 {ids}，可以原样换回；两个“天”的编号相同。",
    en=f"今天天气很好 becomes {ids}, and turns back; both 天 have one id.",
)

# %%
lesson.head(zh="一个样本，三条序列", en="One sample, three sequences")
framed = frame("classic", sentence, sentence)
source = vocabulary.encode(framed.encoder)
lesson.say(
    zh="模型有两半：编码器读原句，解码器写出结果，这里的任务是复述。样本是给模型学的：解码器在每个位置"
    "读到正确的前文，要猜下一个词元；正确答案叫标签。怎样学（训练），第六、七课讲；这里的模型还没学过。",
    en="An encoder reads the source, a decoder writes; the task is to repeat the sentence. A sample"
    " is there to be learned from: at every place the decoder reads the right beginning and guesses"
    " the next token, its label. How a model learns (training), lessons six and seven tell; the one"
    " used here has not learned yet.",
)
lesson.table(
    ["", *(str(i) for i in range(len(source)))],
    [[lesson.word(zh="编码器读", en="encoder reads"), *framed.encoder],
     [lesson.word(zh="解码器读", en="decoder reads"), *framed.decoder],
     [lesson.word(zh="标签", en="labels"), *framed.labels]],
)  # fmt: skip
lesson.check(
    framed.decoder[1:] == framed.labels[:-1],
    zh="标签就是解码器输入左移一格：每一列上面是读到的，下面是要猜的。",
    en="The labels are the decoder's input, shifted by one: what a place must guess is what the"
    " next place reads.",
)

# %%
lesson.head(zh="<bos> 的三件事", en="Three jobs of <bos>")
logits = forward(example.config, example.parameters, example.batch)[0].logits
lesson.say(
    zh=f"把模型当作黑盒：它在每个位置给每个词元一个分数，叫 logits，形状是 {logits.shape}：批里的"
    "句数（一起算的几句叫一批）、位置、词元。第一件事：左移之后第一格空了出来，<bos> 填上它，第一个字才有地方可猜。",
    en="For now the model is a black box that gives every token of the vocabulary a score at"
    f" every place. The scores are called logits; their shape is {logits.shape}: sentences (those"
    " computed together are a batch), places, tokens. First job: the shift leaves the first place empty. <bos> fills it, and so the"
    " first character can be guessed somewhere.",
)
other = [[vocabulary["的"], *example.batch.decoder_ids[0][1:]]]
changed = forward(
    example.config, example.parameters, dataclasses.replace(example.batch, decoder_ids=other)
)[0].logits
moved = np.abs(changed - logits).max(-1)[0]
lesson.grid(moved[None], [lesson.word(zh="变化", en="change")], framed.decoder, decimals=3)
second = [[vocabulary["<bos>"], vocabulary["的"], *example.batch.decoder_ids[0][2:]]]
swapped = dataclasses.replace(example.batch, decoder_ids=second)
reach = forward(example.config, example.parameters, swapped)[0].logits != logits
lesson.check(
    (moved > 0).all() and not reach[0, 0].any() and reach[0, 1:].any(-1).all(),
    zh="第二件事：文档说它是锚。换成“的”，每个位置的分数都变：大家都回头看它。这并不特别：换掉第二个"
    "词元，从它起的分数也都变。<bos> 只是人人看得到、又与句子无关的那一个。",
    en="Second job: an anchor. With 的 in its place all scores move. Nothing special: with another"
    " second token all from there on move; <bos> is merely what all see and no sentence changes.",
)
alone, alone_other = (
    forward(example.config, example.parameters, Batch([read], [[vocabulary["<bos>"]]]))[0].logits
    for read in (source, [vocabulary["的"], *source[1:]])
)
lesson.check(
    not np.allclose(alone, alone_other),
    zh="第三件事：从 <bos> 所在处第一次查看原句。解码器只有 <bos>，原句换一个字，分数就不同。",
    en="Third job: at its place the source is consulted first: with <bos> alone in the decoder"
    " one other character in the source changes the scores.",
)

# %%
lesson.head(zh="<eos> 的三件事", en="Three jobs of <eos>")
lesson.say(
    zh="第一件事在编码器：标出原句的尽头。编码器给每个词元一列数，叫向量；<eos> 的向量"
    "能汇聚全句，常被当作句子的代表。逐字把原句的字换成“的”，看它变多少：",
    en="First job, in the encoder: it marks the end of the source. The encoder gives every token"
    " a vector, which is a list of numbers; that of <eos> can gather the whole sentence and often stands for it. We replace"
    " each character by 的 in turn and see how far the vector moves:",
)


def end_vector(read):
    """The encoder's vector at <eos>."""
    batch = Batch([read], [[vocabulary["<bos>"]]])
    output = forward(example.config, example.parameters, batch)[0].encoder_output
    return sentence_vectors(output, [read], vocabulary["<eos>"])[0]


variants = [[vocabulary["的"] if i == j else x for j, x in enumerate(source)] for i in range(6)]
distance = [float(np.abs(end_vector(v) - end_vector(source)).max()) for v in variants]
lesson.grid(np.array([distance]), [lesson.word(zh="变化", en="change")], sentence, decimals=3)
lesson.check(
    min(distance) > 0,
    zh="每一个字都传到了 <eos> 的向量里。",
    en="Every character reaches the vector of <eos>.",
)
limit = 12
prompt = Batch([source], [[vocabulary["<bos>"]]])
endless, stopped = (
    generate(example.config, example.parameters, prompt, max_new_tokens=limit, eos=end).new[0]
    for end in vocabulary.encode(["<eos>", "<bos>"])
)
lesson.say(
    zh="第二件事在标签里：最后一个标签是 <eos>，模型由此学会何时停（第七课看它学会）。第三件事在生成时："
    "把写出的词元接着读进去，再写下一个，如此循环；一写出 <eos>，循环就结束。没学过的模型不写 <eos>，"
    f"只被上限 {limit} 拦住：{''.join(vocabulary.decode(endless))}。若约定 <bos> 表示结束，"
    f"同一个模型写到它就停：{''.join(vocabulary.decode(stopped))}",
    en="Second job, in the labels: the last label is <eos>, and from it the model learns when to"
    " stop (lesson seven sees it learn). Third job, when the model writes by itself: what it has"
    " written is read, the next token is written, and so on in a loop, which ends with <eos>. One"
    f" that has not learned writes none, and only the limit of {limit} stops it:"
    f" {''.join(vocabulary.decode(endless))}. Were <bos> agreed to be the end, the same"
    f" model would stop there: {''.join(vocabulary.decode(stopped))}",
)
lesson.check(
    len(endless) == limit and stopped == endless[: endless.index(vocabulary["<bos>"]) + 1],
    zh="停止只是约定：写出的词元等于结束记号，循环就结束；此前写的一个不变。",
    en="To stop is an agreement: what was written is the end sign, and nothing before it differs.",
)

# %%
lesson.head(zh="<pad>：长短不一的句子放进一张表", en="<pad>: sentences of several lengths")
padding = load_example("padding")
words = padding.vocabulary
rows = [words.encode(frame("classic", list(text)).encoder) for text in ("今天很好", "明天会下雨吧")]
padded, real = pad(rows, words["<pad>"])
row, truth = lesson.word(zh="句", en="row"), lesson.word(zh="真", en="real")
lesson.table(
    ["", *(str(i) for i in range(padded.shape[1]))],
    [[f"{row} {i}", *words.decode(r)] for i, r in enumerate(padded.tolist())]
    + [[f"{truth} {i}", *r] for i, r in enumerate(real.astype(int).tolist())],
)
together = forward(padding.config, padding.parameters, padding.batch)[0].encoder_output
single = Batch([rows[0]], [[words["<bos>"]]])
by_itself = forward(padding.config, padding.parameters, single)[0].encoder_output
lesson.check(
    np.allclose(together[0, : len(rows[0])], by_itself[0], atol=1e-12),
    zh="模型知道哪些是填充，短句的结果与单独计算时一样：<pad> 只占位置。",
    en="The model is told which tokens are real, and so the short row comes out as it does"
    " alone: <pad> holds a place and does nothing else.",
)
lesson.head(zh="六套特殊词元", en="Six systems of special tokens")
listed = systems_table(lesson.lang)
lesson.table(*listed)
right = [name for name, stated, has, _ in listed[1] if stated == has]
lesson.check(
    len(right) == 1,
    zh=f"别的模型有别的记号，道理相同。文档列出的六套里，只有 {right[0]} 与模型真有的一样。",
    en=f"Of the six systems that the document lists only {right[0]}'s is as the model has it.",
)

# %%
lesson.exercise(
    zh="上面两句话各自复述，标签也填成一张表，填充处没有答案可猜。一共有几个标签要猜？",
    en="Both sentences are to be repeated, and their labels are padded too; there is nothing"
    " to guess at padding. How many labels are to be guessed?",
)
labels = pad_labels(rows)
counted = int((labels >= 0).sum())
lesson.check(
    counted == sum(len(row) for row in rows) == int(real.sum()),
    zh=f"{counted} 个：两句的字数，再各加一个 <eos>。填充处的标签是 {labels.min()}，意思是不猜。",
    en=f"{counted}: the characters of both, and one <eos> each. A label of {labels.min()} means:"
    " ignored.",
)
lesson.result(ids=ids, labels=vocabulary.encode(framed.labels), stopped=stopped, counted=counted)
