"""你 是 一 只 猫, as an autoregressive and as a masked language model."""

from dataclasses import replace

import numpy as np

from numtx import Batch, Cache, NumtxError, generate, load_example, record
from numtx.lessons import Lesson
from numtx.training.greedy import answers, predictions
from numtx.training.loop import train
from numtx.training.run import Run

lesson = Lesson(
    zh="预测下一个词，与猜被遮住的词，这两种学法差在哪里？",
    en="Predicting the next word, or guessing a hidden one: what is the difference?",
    before=(
        "编码器与解码器、因果掩码、标签与损失（交叉熵）、训练。",
        "Encoder and decoder, the causal mask, labels and the cross-entropy loss, training.",
    ),
    document="004",
)

# %% Two examples of one sentence
left, both = load_example("cat"), load_example("masked")
words = left.vocabulary
sentence = words.decode(left.batch.ids[0])
one, two = left.trace(), both.trace()
lesson.say(
    zh=f"句子是 {' '.join(sentence)}，{len(sentence)} 个词。词嵌入 E 与位置编码 P 都取自文档，"
    "两个模型一样大。先看预测下一个词的，叫自回归：标签就是输入左移一格。",
    en=f"The sentence is {' '.join(sentence)}, {len(sentence)} words. The embedding E and the "
    "positions P are the document's, and both models are of one size. First the one that "
    "predicts the next word, called autoregressive: its labels are the input, shifted by one.",
)
lesson.show(one, "decoder.0.self_attention.mask", "labels")
lesson.say(
    zh="再看猜被遮住的词的，叫掩码语言模型，或自编码。把某个词换成 [MASK]，标签只有它。"
    "我们让每个词各被遮一次，一行遮一个。",
    en="Then the one that guesses a hidden word, called a masked language model, or "
    "auto-encoding. One word is replaced by [MASK], and it alone has a label. Here every word is "
    "hidden once, one in each row.",
)
lesson.show(two, "labels")
lesson.check(
    np.array_equal(one["decoder.0.self_attention.mask"][0, 0], np.tri(len(sentence), dtype=bool))
    and two["encoder.0.self_attention.mask"].all(),
    zh="两个“掩码”不是一回事：前者的因果掩码挡住注意力，后者的 [MASK] 换掉输入，注意力处处畅通。",
    en="two different masks: the causal mask bars attention; [MASK] replaces an input word, "
    "and attention reaches everywhere.",
)
lesson.say(
    zh="真正的掩码语言模型（BERT）在输出前还有一层：norm(act(x·W + b))，然后才与每个词的嵌入比较，"
    "再加偏置；要代表整句时，取首个词元 [CLS] 的输出，过一层 tanh，叫池化。只要向量时两者都不需要，"
    "一次运行就止于编码器的输出；输入也可以直接是向量，例如图像的小块。",
    en="A real masked language model (BERT) has one more layer before its output, norm(act(x·W + b)), "
    "and only then is a vector compared with every word's embedding, and a bias added. To stand for "
    "a whole sentence, the output of its first token, [CLS], goes through a layer with tanh: the "
    "pooler. Who wants vectors alone needs neither, and a run ends in the encoder's output; what "
    "goes in may be vectors too, of the patches of a picture for instance.",
)

# %% How many lessons in one pass
counted = [int((t["loss.per_token"] > 0).sum()) for t in (one, two)]
rows = [len(t["loss.per_token"]) for t in (one, two)]
names = {"zh": ["自回归", "掩码"], "en": ["autoregressive", "masked"]}[lesson.lang]
lesson.head(zh="一次前向，学几个词", en="Words learnt in one pass")
lesson.table(
    {"zh": ["模型", "行数", "有标签的位置", "每行"],
     "en": ["model", "rows", "places with a label", "in a row"]}[lesson.lang],
    [
        (name, r, c, c // r)
        for name, r, c in zip(names, rows, counted, strict=True)
    ],
)  # fmt: skip
lesson.check(
    counted[0] // rows[0] == len(sentence) - 1 and counted[1] // rows[1] == 1,
    zh="自回归的一行里，除最后一个词外，每个位置都在学；掩码的一行里，只有被遮的那一个在学。",
    en="in an autoregressive row every place but the last learns; in a masked row only the "
    "hidden word does.",
)

# %% The probability of a sentence
labels = np.array(left.batch.labels[0][:-1])
chosen = one["probabilities"][0, np.arange(len(labels)), labels]
together, loss = float(np.prod(chosen)), float(one["loss"])
lesson.head(zh="整句的概率", en="The probability of the sentence")
lesson.say(
    zh=f"自回归的各个概率可以相乘：{' × '.join(f'{p:.3f}' for p in chosen)} = {together:.6f}，"
    f"这就是给定 {sentence[0]} 时整句的概率。损失是平均的负对数，所以乘积就是 exp(-个数 × 损失)。",
    en=f"The autoregressive probabilities may be multiplied: "
    f"{' x '.join(f'{p:.3f}' for p in chosen)} = {together:.6f} is the probability of the whole "
    f"sentence, given {sentence[0]}. The loss is the mean of -log, so the product is "
    "exp(-count x loss).",
)
lesson.check(
    np.isclose(together, np.exp(-len(labels) * loss), rtol=1e-12, atol=0),
    zh=f"exp(-{len(labels)} × {loss:.4f}) = {np.exp(-len(labels) * loss):.6f}，相同。"
    "掩码模型的概率各以其余的词为条件，乘起来不是任何句子的概率。",
    en=f"exp(-{len(labels)} x {loss:.4f}) = {np.exp(-len(labels) * loss):.6f}, the same. The "
    "masked model's are each given all other words; their product is no probability of a "
    "sentence.",
)

# %% Who helps to predict the third word
place = 2
reach = []
for example, trace_place in ((left, place - 1), (both, place)):
    side = example.config.sides[0]
    row = place if example is both else 0
    ids = np.asarray(example.batch.ids)[row : row + 1]
    own = np.full_like(ids, -100)
    own[0, trace_place] = words[sentence[place]]
    trace = record(example.config, example.parameters, Batch(ids, labels=own))
    reach.append(np.abs(trace.grad(f"{side}.input"))[0].max(1))
lesson.head(zh="谁参与了预测", en="Who takes part in a prediction")
lesson.say(
    zh=f"只留一个标签：{sentence[place]}。损失对每个输入位置的梯度说明谁参与了预测。",
    en=f"Keep a single label, {sentence[place]}. The gradient of its loss at every place of the "
    "input says who took part.",
)
lesson.table(
    ["", *(f"{i} {w}" for i, w in enumerate(sentence))],
    [
        (name, *(f"{x:.3f}" if x else "." for x in values))
        for name, values in zip(names, reach, strict=True)
    ],
)
lesson.check(
    (reach[0][:place] > 0).all() and not reach[0][place:].any() and (reach[1] > 0).all(),
    zh="自回归只用左边的词，右边的梯度恰好为零；掩码模型左右都用，被遮的位置自己也参与。",
    en="the autoregressive model uses what stands to the left, and the gradient to the right is "
    "exactly zero; the masked one uses both sides, and the hidden place itself.",
)

# %% Trained, and asked to write
steps = 200
runs = [train(Run(e.config, e.parameters), e.batch, steps) for e in (left, both)]
lesson.head(zh="训练之后", en="After training")
first = Batch([[words[sentence[0]]]])
written = generate(left.config, runs[0].parameters, first, max_new_tokens=len(sentence) - 1).new[0]
lesson.check(
    words.decode(written) == sentence[1:],
    zh=f"{steps} 步之后，自回归模型从 {sentence[0]} 出发逐词写出 {' '.join(words.decode(written))}。",
    en=f"after {steps} steps the autoregressive model writes {' '.join(words.decode(written))}, "
    f"word by word, from {sentence[0]}.",
)
found = answers(both.config, runs[1].parameters, both.batch)
try:
    Cache(both.config, runs[1].parameters, 1)
    refused = ""
except NumtxError as error:
    refused = str(error)
lesson.check(
    all(a.given == a.wanted for a in found) and "no decoder" in refused,
    zh=f"掩码模型把 {len(found)} 个遮住的词都填对了，但它不能逐词书写，也没有缓存可用。",
    en=f"the masked model fills in all {len(found)} hidden words; but it cannot write word by "
    "word, and there is no cache for it.",
)
lesson.say(
    zh="文档把自回归模型里的层叫作“编码器”。这些层的结构确实与编码器相同；但编码器没有因果掩码，"
    "若照编码器那样做，每个位置都会看到它该预测的词。加上因果掩码之后，通行的叫法是仅解码器的模型。",
    en="The document calls the layers of its autoregressive model an encoder. They are built as "
    "an encoder's, but without the causal mask every place would see the word that it should "
    "predict; the usual name is a decoder-only model.",
)

# %% Exercise
lesson.exercise(
    zh=f"遮住最后一个词 {sentence[-1]} 时，两个模型用到的词相同吗？它们都能猜对吗？",
    en=f"Hide the last word, {sentence[-1]}: do both models go by the same words? Do both guess "
    "it?",
)
hidden = replace(both.batch, ids=np.asarray(both.batch.ids)[-1:], labels=None)
guesses = [
    int(predictions(left.config, runs[0].parameters, Batch([left.batch.ids[0][:-1]]))[0, -1]),
    int(predictions(both.config, runs[1].parameters, hidden)[0, -1]),
]
lesson.check(
    words.decode(guesses) == [sentence[-1]] * 2,
    zh=f"相同：左边的 {len(sentence) - 1} 个词就是其余所有的词。两个模型都猜到了 {sentence[-1]}。",
    en=f"the same: the {len(sentence) - 1} words to its left are all the others. Both guess "
    f"{sentence[-1]}.",
)
lesson.result(
    counted=counted, together=together, loss=loss, written=" ".join(words.decode(written)),
    reach=[values.tolist() for values in reach],
)  # fmt: skip
