"""Document 003, part one and act one: special tokens, the sentence, the ids."""
# fmt: off

from __future__ import annotations

from typing import Any

from ..examples import weather as w
from ..sequences import SCHEMES, frame
from .judges import Definition, Equal, Found
from .row import row
from .runs import example, said, trace

# What the document lists, by its heading, and which of numtx's schemes is meant.
LISTED = (
    ("bert", "BERT", ("<CLS>", "<SEP>", "<PAD>", "<MASK>"), ""),
    ("gpt", "GPT", ("<|endoftext|>", "<PAD>"), ""),
    ("t5", "T5", ("<pad>", "<eos>", "<unk>"), "33: 5; 38: 5"),
    ("bart", "BART", ("<s>", "</s>", "<pad>"), ""),
    ("mbart", "mBART", ("<s>", "</s>", "<pad>"), ""),
    ("mt5", "mT5", ("<s>", "</s>", "<pad>"), "41: 5"),
)
REAL = {  # SCHEMES says the same in English
    "bert": "写在方括号里，另有 [UNK]；第二句也以 [SEP] 结束，句段编号为 1",
    "gpt": "GPT-2 只有 <|endoftext|>，开头、结尾与文档之间都用它（不是句子之间），没有填充符",
    "t5": "结束符写作 </s>；解码器以 <pad> 开头，它就相当于 <bos>（任务前缀在编码器一侧）",
    "bart": "解码器以 </s> 开头，<s> 是它预测的第一个词元",
    "mbart": "序列里没有 <s>：源句以 </s> 和语言代码结尾，目标语言的代码让解码器开始（mBART-25）",
    "mt5": "与 T5 相同：没有 <s>，解码器以 <pad> 开头，没有训练过任务前缀",
}


def used(scheme: str) -> list[str]:
    """The tokens that a scheme's sequences hold: those that frame a sample, and its padding."""
    framed = frame(scheme, ("A",), ("B",))
    found = {*framed.encoder, *framed.decoder, *framed.labels, SCHEMES[scheme].pad}
    # These stand in no sample of translation, and belong to the models all the same.
    return [t for t in SCHEMES[scheme].special if t in found or t in ("<unk>", "[MASK]", "<mask>", "[PAD]")]


def listed(scheme: str, tokens: tuple[str, ...]) -> Any:
    def compute() -> Any:
        own = used(scheme)
        return Found([t for t in tokens if t in own], f"模型用的：{' '.join(own)}", f"the models use {' '.join(own)}")

    return compute


for scheme, title, tokens, at in LISTED:
    row(f"003.tokens-{scheme}", "一", f"{title} 的特殊词元；其中模型真有的", f"special tokens of {title}; those of them that the models use", Equal(tokens), note=(REAL[scheme], SCHEMES[scheme].real), at=at)(listed(scheme, tokens))


@row("003.tokens-own", "一", "本文例子自己的三个词元（训练数据里出现的）", "the example's own three tokens (in its vocabulary)", Equal(("<bos>", "<eos>", "<pad>")))
def _() -> Any:
    vocabulary = example("weather").vocabulary
    return sorted(t for t in vocabulary.tokens if t in SCHEMES["classic"].special) if vocabulary else None


@row("003.sentence", "二·第一幕", "源句与目标句都是 今天天气很好", "source and target are 今天天气很好", Definition(tuple("今天天气很好")), note=("文中给的输入", "an input of the document"))
def _() -> Any:
    return w.SENTENCE


@row("003.split", "二·第一幕", "按字切开：个数", "split into characters: how many", Equal(6))
def _() -> Any:
    return len(trace("weather").tokens["encoder"][0]) - 1  # <eos>


@row("003.encoder-line", "二·第一幕", "编码器输入：源句加 <eos>，长 7", "encoder input: source and <eos>, of length 7", Equal(((*"今天天气很好", "<eos>"), 7)), at="83", stages=("weather", "encoder.tokens"))
def _() -> Any:
    line = trace("weather").tokens["encoder"][0]
    return line, len(line)


@row("003.decoder-line", "二·第一幕", "解码器输入：<bos> 加目标句，长 7", "decoder input: <bos> and target, of length 7", Equal((("<bos>", *"今天天气很好"), 7)), at="91", stages=("weather", "decoder.tokens"))
def _() -> Any:
    line = trace("weather").tokens["decoder"][0]
    return line, len(line)


@row("003.label-line", "二·第一幕", "标签：目标句加 <eos>，长 7", "labels: target and <eos>, of length 7", Equal(((*"今天天气很好", "<eos>"), 7)), at="99", stages=("weather", "labels"))
def _() -> Any:
    line = trace("weather").tokens["labels"][0]
    return line, len(line)


@row("003.vocabulary", "二·第一幕", "十个词的词表，编号 0 到 9", "the vocabulary of 10, ids 0 to 9", Definition(("<pad>", "<bos>", "<eos>", "今", "天", "气", "很", "好", "的", "是")), note=("文中给的输入", "an input of the document"), at="106; 109; 110; 111; 112; 113; 114; 115; 116; 117; 118")
def _() -> Any:
    vocabulary = example("weather").vocabulary
    return vocabulary.tokens if vocabulary else ()


@row("003.encoder-ids", "二·第一幕", "编码器编号", "encoder ids", Equal((3, 4, 4, 5, 6, 7, 2)), at="124", stages=("weather", "encoder.tokens"), labels=(("",), (*w.SENTENCE, "<eos>")))
def _() -> Any:
    return trace("weather")["encoder.tokens"][0]


@row("003.decoder-ids", "二·第一幕", "解码器编号", "decoder ids", Equal((1, 3, 4, 4, 5, 6, 7)), at="125; 262", stages=("weather", "decoder.tokens"), labels=(("",), ("<bos>", *w.SENTENCE)))
def _() -> Any:
    return trace("weather")["decoder.tokens"][0]


@row("003.label-ids", "二·第一幕", "标签编号", "label ids", Equal((3, 4, 4, 5, 6, 7, 2)), at="126", stages=("weather", "labels"), labels=(("",), (*w.SENTENCE, "<eos>")))
def _() -> Any:
    return trace("weather")["labels"][0]


@row("003.shifted", "二·第一幕", "解码器输入与标签错开一位：输入的第 2 个起，与标签去掉最后一个", "decoder input and labels are shifted by one: the input from its second on, the labels without their last", Equal(((3, 4, 4, 5, 6, 7), (3, 4, 4, 5, 6, 7))))
def _() -> Any:
    run = trace("weather")
    return run["decoder.tokens"][0, 1:], run["labels"][0, :-1]


@row("003.copies", "二·第一幕", "任务是复述：训练过的模型在每个位置说的词", "the task is to restate: what the trained model says at each position", Equal((*"今天天气很好", "<eos>")))
def _() -> Any:
    return said("weather")
