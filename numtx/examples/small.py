"""The smaller examples: lengths that meet in cross-attention and a prediction at every position
(document 002), a padded batch (document 003), and any sentence of the reader's own."""

from __future__ import annotations

from ..batch import Batch
from ..config import Config
from ..errors import ExampleError
from ..parameters import initialise
from ..sequences import frame, pad, pad_labels
from ..stages.catalogue import Text
from ..stages.resolve import resolve
from ..vocabulary import Vocabulary
from . import weather
from .example import Example

PADDED = (tuple("今天很好"), tuple("明天会下雨吧"))
PADDING_VOCABULARY = (*weather.VOCABULARY, "明", "会", "下", "雨", "吧")
LETTERS = tuple("abcdef")


def memory(seed: int = 0, step: int = 3) -> Example:
    """a b c d against [Start], [Start,1], [Start,1,2] at d_model 512.

    step  how many tokens the decoder has been given: 1, 2 or 3
    """
    if step not in (1, 2, 3):
        raise ExampleError(f"step is {step}; it is 1, 2 or 3")
    source, target = Vocabulary("abcd"), Vocabulary(("[Start]", "1", "2", "3"))
    config = Config(
        model="encoder-decoder", width=512, encoder_layers=1, decoder_layers=1, heads=1,
        hidden=64, vocabulary=4, source_vocabulary=4,
    )  # fmt: skip
    return Example(
        name="memory",
        title=Text("长度不同的两侧怎样相乘：a b c d 与 [Start,1,2]", "how two lengths meet: a b c d against [Start,1,2]"),
        source="002",
        config=config,
        parameters=initialise(config, seed),
        batch=Batch([[0, 1, 2, 3]], [[0, 1, 2][:step]], [[1, 2, 3][:step]]),
        vocabularies={"encoder": source, "decoder": target},
        given=[
            Text("d_model = 512；编码器读 a b c d；解码器依次读 [Start]、[Start,1]、[Start,1,2]", "d_model = 512; the encoder reads a b c d; the decoder reads [Start], then [Start,1], then [Start,1,2]"),
            Text("每一步的标签：1、2、3", "the labels of the steps: 1, 2, 3"),
            *(_lengths(config, n) for n in (1, 2, 3)),
        ],
        chosen=[
            Text(f"1 个头（d_k = 512）、1 层、前馈 64；此处为第 {step} 步（--step）", f"one head (d_k = 512), one layer, feed-forward 64; this is step {step} (--step)"),
            Text(f"全部参数由种子 {seed} 产生", f"all parameters come from seed {seed}"),
        ],
    )  # fmt: skip


def _lengths(config: Config, n: int) -> Text:
    """The shapes of step n's cross-attention, from the stages themselves."""
    graph, lengths = resolve(config), {"encoder": 4, "decoder": n}
    place = "decoder.0.cross_attention"
    q, k, s = (
        graph.shape(f"{place}.{leaf}", 1, lengths)[2:] for leaf in ("queries", "keys", "products")
    )
    line = f"Q·K^T   [{q[0]},{q[1]}]·[{k[1]},{k[0]}]=[{s[0]},{s[1]}]"
    return Text(f"第 {n} 步 {line}", f"step {n} {line}")


def letters(seed: int = 0) -> Example:
    """[a..e] -> [b..f]: the prediction at every position."""
    vocabulary = Vocabulary((*LETTERS, "<EOS>"))
    config = Config(
        model="decoder-only", width=8, decoder_layers=2, heads=2, hidden=32,
        vocabulary=len(vocabulary),
    )  # fmt: skip
    ids = vocabulary.encode(LETTERS)
    return Example(
        name="letters",
        title=Text("[a,b,c,d,e] -> [b,c,d,e,f]：每个位置都有预测", "[a,b,c,d,e] -> [b,c,d,e,f]: a prediction at every position"),
        source="002",
        config=config,
        parameters=initialise(config, seed),
        batch=Batch([ids[:-1]], labels=[ids[1:]]),
        vocabularies={"decoder": vocabulary},
        given=[
            Text("训练时输入 [a,b,c,d,e]，目标 [b,c,d,e,f]", "in training the input is [a,b,c,d,e] and the target [b,c,d,e,f]"),
        ],
        chosen=[
            Text("d_model = 8，2 个头，2 层；词表 a 到 f 与 <EOS>", "d_model = 8, 2 heads, 2 layers; the vocabulary a to f and <EOS>"),
            Text(f"全部参数由种子 {seed} 产生", f"all parameters come from seed {seed}"),
        ],
    )  # fmt: skip


def sat(seed: int = 0) -> Example:
    """The cat sat (document 000): step 1 reads <SOS>, step 2 <SOS> The, step 3 <SOS> The cat."""
    return _continued("sat", "000", ("<SOS>", "The", "cat", "sat", "<EOS>"), seed)


def student(seed: int = 0) -> Example:
    """我 是 一 个 学 生 through a decoder alone (document 001)."""
    return _continued("student", "001", ("<SOS>", *"我是一个学生", "<EOS>"), seed)


def _continued(name: str, document: str, words: tuple[str, ...], seed: int) -> Example:
    """Each word predicts the next, from a token that begins to one that ends."""
    vocabulary = Vocabulary(words)
    config = Config(
        model="decoder-only", width=8, decoder_layers=2, heads=2, hidden=32,
        vocabulary=len(vocabulary),
    )  # fmt: skip
    ids, text = vocabulary.encode(words), " ".join(words[1:-1])
    return Example(
        name=name,
        title=Text(f"{text}：逐词接下去（仅解码器）", f"{text}: word after word (decoder-only)"),
        source=document,
        config=config,
        parameters=initialise(config, seed),
        batch=Batch([ids[:-1]], labels=[ids[1:]]),
        vocabularies={"decoder": vocabulary},
        given=[Text(f"文本 {text}", f"the text, {text}")],
        chosen=[
            Text("开始与结束的记号 <SOS>、<EOS>；宽 8、2 层、2 个头、前馈 32", "the signs <SOS> and <EOS>; width 8, 2 layers, 2 heads, feed-forward 32"),
            Text(f"全部参数由种子 {seed} 产生；numtx generate 先训练", f"all parameters come from seed {seed}; numtx generate trains first"),
        ],
    )  # fmt: skip


def padding(seed: int = 0, side: str = "right") -> Example:
    """Document 003's two samples of different lengths, padded into one batch, as copying."""
    vocabulary = Vocabulary(PADDING_VOCABULARY)
    config = Config(
        model="encoder-decoder", width=8, encoder_layers=2, decoder_layers=2, heads=2, hidden=32,
        vocabulary=len(vocabulary), position_base=100.0,
    )  # fmt: skip
    framed = [frame("classic", words, words) for words in PADDED]
    ids, mask = pad([vocabulary.encode(f.encoder) for f in framed], vocabulary["<pad>"], side)
    decoder_ids, decoder_mask = pad(
        [vocabulary.encode(f.decoder) for f in framed], vocabulary["<pad>"], side
    )
    labels = pad_labels([vocabulary.encode(f.labels) for f in framed], side)
    return Example(
        name="padding",
        title=Text("两个长度不同的样本补齐成一个批次", "two samples of different lengths, padded into one batch"),
        source="003",
        config=config,
        parameters=initialise(config, seed),
        batch=Batch(ids, decoder_ids, labels, mask, decoder_mask),
        vocabularies={"encoder": vocabulary, "decoder": vocabulary},
        given=[
            Text("样本 1 [今,天,很,好,<eos>] 长 5，补两个 <pad>；样本 2 [明,天,会,下,雨,吧,<eos>] 长 7", "sample 1 [今,天,很,好,<eos>] of 5, filled with two <pad>; sample 2 [明,天,会,下,雨,吧,<eos>] of 7"),
            Text("<pad> 在注意力中被遮住，也不计入损失", "<pad> is masked in attention and does not count in the loss"),
        ],
        chosen=[
            Text("词表里没有 明 会 下 雨 吧，这里把它们补在后面（编号 10 到 14）", "明 会 下 雨 吧 are not in the document's vocabulary; they join it here (ids 10 to 14)"),
            Text("解码器复述源句；d_model = 8，2 个头，2 层", "the decoder restates the source; d_model = 8, 2 heads, 2 layers"),
            Text(f"全部参数由种子 {seed} 产生", f"all parameters come from seed {seed}"),
        ],
    )  # fmt: skip


def sentence(text: str, seed: int = 0) -> Example:
    """Any sentence through weather's shape, with a vocabulary of its own characters."""
    characters = tuple(c for c in text if not c.isspace())
    if not characters:
        raise ExampleError("the text is empty; give a sentence")
    if len(characters) > 200:
        raise ExampleError(f"the text has {len(characters)} characters; at most 200 can be read")
    vocabulary = Vocabulary(("<pad>", "<bos>", "<eos>", *dict.fromkeys(characters)))
    config = Config(
        model="encoder-decoder", width=4, encoder_layers=2, decoder_layers=2, heads=1, hidden=16,
        vocabulary=len(vocabulary), position_base=100.0, biases=("b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    framed = frame("classic", characters, characters)
    ids = vocabulary.encode
    return Example(
        name="text",
        title=Text("你自己的句子，按 weather 的形状", "a sentence of your own, in the shape of weather"),
        source="-",
        config=config,
        parameters=initialise(config, seed),
        batch=Batch([ids(framed.encoder)], [ids(framed.decoder)], [ids(framed.labels)]),
        vocabularies={"encoder": vocabulary, "decoder": vocabulary},
        chosen=[
            Text("没有文档写过这句话：词表由它的字组成", "no document works this sentence: the vocabulary is made of its own characters"),
            Text("形状同 weather：d_model = 4，各 2 层，前馈 16，位置 base = 100", "the shape of weather: d_model = 4, 2 + 2 layers, feed-forward 16, position base 100"),
            Text(f"全部参数由种子 {seed} 产生", f"all parameters come from seed {seed}"),
        ],
    )  # fmt: skip
