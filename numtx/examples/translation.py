"""今天天气很好 -> Today is nice weather today (document 003, the part on inference): as an
encoder-decoder, and as one sequence with <sep> for a decoder-only model."""

from __future__ import annotations

from ..batch import Batch
from ..config import Config
from ..errors import ExampleError
from ..ops.loss import IGNORED
from ..parameters import initialise
from ..sequences import concatenate, frame
from ..stages.catalogue import Text
from ..vocabulary import Vocabulary
from . import weather
from .example import Example

TARGET = ("Today", "is", "nice", "weather", "today")
# Every English word that the document names in its stories of greedy and beam search.
ENGLISH = (
    "<pad>", "<bos>", "<eos>", "Today", "is", "nice", "weather", "today", "The", "the",
    "Weather", "It", "was", "good", "sunny", "sky", "Good",
)  # fmt: skip
TODAY = 8888  # its id in a vocabulary of 10,000, as the document supposes


def translation(seed: int = 0, layers: int = 2, words: int = len(ENGLISH)) -> Example:
    """The encoder-decoder with a target vocabulary of its own (Today and today are two).

    layers  blocks on each side (the document speaks of six)
    words   size of the target vocabulary (the document speaks of 10,000)
    """
    if layers < 1:
        raise ExampleError(f"layers is {layers}; it is at least 1")
    target = _target_vocabulary(words)
    source = Vocabulary(weather.VOCABULARY)
    config = Config(
        model="encoder-decoder", width=4, encoder_layers=layers, decoder_layers=layers, heads=1,
        hidden=16, vocabulary=words, source_vocabulary=len(source), position_base=100.0,
        biases=("b_in", "b_out", "norm.bias"),
    )  # fmt: skip
    parameters = initialise(config, seed)
    for token, row in weather.EMBEDDING.items():
        parameters["encoder.embedding"][source[token]] = row
    framed = frame("classic", weather.SENTENCE, TARGET)
    return Example(
        name="translation",
        title=Text("今天天气很好 -> Today is nice weather today", "今天天气很好 -> Today is nice weather today"),
        source="003",
        config=config,
        parameters=parameters,
        batch=Batch(
            [source.encode(framed.encoder)], [target.encode(framed.decoder)],
            [target.encode(framed.labels)],
        ),
        vocabularies={"encoder": source, "decoder": target},
        given=[
            Text("源句、编号与嵌入同 weather；译文一词一步", "source, ids and embeddings as in weather; the target word by word"),
            Text("贪心译文 Today is nice weather today，然后 <eos>", "the greedy output Today is nice weather today, then <eos>"),
            Text("文中提到六层与 10000 个词：--layers 6 --words 10000", "the document speaks of six layers and 10,000 words: --layers 6 --words 10000"),
        ],
        chosen=[
            Text(f"{layers} 层；目标词表 {words} 个词：文中出现过的英文词", f"{layers} layers; {words} target words: the English words that the document names"),
            Text(f"其余参数由种子 {seed} 产生（Xavier）", f"all other parameters come from seed {seed} (Xavier)"),
        ],
    )  # fmt: skip


def concatenated(seed: int = 0) -> Example:
    """Decoder-only: [source, <sep>, target] as one sequence, the loss on the target."""
    chinese = tuple(token for token in weather.VOCABULARY if token not in ENGLISH)
    vocabulary = Vocabulary((*ENGLISH[:8], "<sep>", *chinese))
    config = Config(
        model="decoder-only", width=8, decoder_layers=2, heads=2, hidden=32,
        vocabulary=len(vocabulary),
    )  # fmt: skip
    inputs, labels = concatenate(weather.SENTENCE, TARGET)
    return Example(
        name="concatenated",
        title=Text("[源句, <sep>, 译文]：只有解码器", "[source, <sep>, target]: decoder-only"),
        source="003",
        config=config,
        parameters=initialise(config, seed),
        batch=Batch(
            [vocabulary.encode(inputs)],
            labels=[[IGNORED if token is None else vocabulary[token] for token in labels]],
        ),
        vocabularies={"decoder": vocabulary},
        given=[
            Text("把输入与输出拼成一个序列，全部用因果掩码", "input and output as one sequence, all under the causal mask"),
        ],
        chosen=[
            Text("d_model = 8，2 个头，2 层；只对译文部分计损失；译文以 <eos> 结束", "d_model = 8, 2 heads, 2 layers; the loss counts the target only; the target ends in <eos>"),
            Text(f"全部参数由种子 {seed} 产生", f"all parameters come from seed {seed}"),
        ],
    )  # fmt: skip


def _target_vocabulary(words: int) -> Vocabulary:
    if words < len(ENGLISH):
        raise ExampleError(f"words is {words}; the document's own words are {len(ENGLISH)}")
    if words <= TODAY:
        return Vocabulary((*ENGLISH, *(f"<word{i}>" for i in range(len(ENGLISH), words))))
    tokens = [f"<word{i}>" for i in range(words)]
    rest = [token for token in ENGLISH if token != "Today"]
    tokens[: len(rest)] = rest
    tokens[TODAY] = "Today"
    return Vocabulary(tokens)
