"""Document 002: what runs where, prediction at every position, lengths that meet."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..costs import count_generation
from .d000 import attention_of
from .judges import Definition, Equal, Order, Same
from .row import row
from .runs import (
    CROSS,
    SELF,
    example,
    in_chunks,
    logits_of,
    moves,
    names,
    said,
    shape,
    tokens,
    trace,
    trained,
    with_ids,
    words_written,
    written,
)

LETTERS = ("a", "b", "c", "d", "e", "f")


def letters_model() -> Any:
    made = trained("letters")
    return made.config, made.parameters


def memory(stage: str, step: int) -> tuple[int, ...]:
    """The shape of a stage of the memory example in one of its steps."""
    return shape("memory", stage, step=step)


def inputs(step: int) -> tuple[str, ...]:
    """What the decoder of the memory example reads in a step."""
    return names(example("memory", step=step), tokens("memory", step=step))


def predicted(step: int) -> str:
    """What the trained memory example says at the last place of a step."""
    made = trained("memory")
    run = with_ids(made, tokens("memory", step=step))
    return names(made, [int(run["logits"][0, -1].argmax())])[0]


@row("002.forward", "Attention 1", "self(...) 调用模型的 forward", "self(...) calls the model's forward", Definition("-"), note=("PyTorch 的事实：torch.nn.Module.__call__ 先执行钩子，再执行 forward；此处不算", "a fact about PyTorch: torch.nn.Module.__call__ runs hooks and then forward; not computed here"))
def _() -> Any:
    return None


@row("002.inside-attention", "Attention 2", "注意力模块内部：Q x K，然后 Softmax", "inside attention: Q x K, then softmax", Equal(("products", "weights")), stages=("letters", f"{SELF}.products", f"{SELF}.weights"))
def _() -> Any:
    leaves = [s.leaf.name for s in trace("letters").graph if s.name.startswith(f"{SELF}.") and s.name in trace("letters")]
    return [leaf for leaf in leaves if leaf in ("weights", "products")]


@row("002.tens-of-blocks", "Attention 2", "数十个 Transformer Block", "a model has dozens of blocks", Definition("数十"), note=("常见的层数：12（GPT-2 small）到 96（GPT-3；Brown 等，2020）", "common sizes: 12 (GPT-2 small) to 96 (GPT-3; Brown et al., 2020)"), at="11: 十")
def _() -> Any:
    return None


@row("002.two-phases", "Attention 3", "两个分支对应推理的两个阶段：一次生成里的阶段", "two branches, the two phases of inference: the phases of one generation", Equal(("prefill", "decode")), at="15: 两 两; 28: 两")
def _() -> Any:
    return list(dict.fromkeys(one.phase.split(".")[0] for one in written(trained("letters"), 3, most=3).steps))


@row("002.prefill-pairs", "Attention 3", "prefill 计算所有 Token 之间的注意力：五个词元中有权重的词元对", "prefill computes the attention between all tokens: pairs of five that have a weight", Equal(25), note=("因果掩码下只有键不晚于查询的对：每个词元看自己和之前的", "under the causal mask only pairs with the key not later than the query: a token sees itself and what came before"), stages=("letters", f"{SELF}.mask"))
def _() -> Any:
    return int((trace("letters")[f"{SELF}.weights"][0, 0] > 0).sum())


@row("002.prefill-cache", "Attention 3", "prefill 一次生成所有 Prompt Token 的 KV Cache（5 个字母）：缓存的列数", "prefill makes the cache of all tokens of the prompt (5 letters) at once: columns of the cache", Equal(5), at="20: 一")
def _() -> Any:
    return in_chunks(letters_model(), [0, 1, 2, 3, 4], (5,))[1].length


@row("002.decode-one", "Attention 3", "decode 只输入最后生成的 1 个 Token（日志里的编号 113182）：一步的输入", "decode takes in the last token only (id 113182 of a log line): shape of a step's input", Equal((1, 1)), note=("113182 是一个词表的编号，词表至少有 113183 个词", "113182 is an id of a vocabulary of 113,183 entries or more"), at="23: 1 113182")
def _() -> Any:
    return written(trained("letters"), 3, most=2).steps[1].ids.shape


@row("002.decode-keys", "Attention 3", "新 Token 与之前所有历史 Token（past_key_values）做注意力：已有 4 个时它看的键数", "the new token attends to the tokens before it (past_key_values): keys of its row at 4 cached tokens", Equal(4), note=("还有它自己：它的键先拼接到缓存上（000）", "to itself as well: its own key is joined to the cache first (000)"), at="24: 1")
def _() -> Any:
    return written(trained("letters"), 4, most=2).steps[1].attention[1]


@row("002.decode-cached", "Attention 3", "else 分支（1 个 Token 加缓存）与完整前向：最后位置的 logits", "the else branch (one token and the cache), beside a full pass: logits of the last position", Same(True))
def _() -> Any:
    model = letters_model()
    return in_chunks(model, [0, 1, 2, 3, 4], (4, 1))[0][-1], logits_of(model, Batch([[0, 1, 2, 3, 4]]))[0, -1]


@row("002.decode-cheaper", "Attention 3", "decode 的计算量远小于 prefill：乘加次数（提示 12 个词元）", "decode costs far less than prefill: multiply-adds (a prompt of 12)", Order(("prefill", "decode.0")))
def _() -> Any:
    made = example("letters")
    steps = count_generation(made.config, made.parameters, Batch([[0, 1, 2, 3] * 3]), max_new_tokens=2)
    return {one.step.phase: one.total() for one in steps}


@row("002.first-step", "Inference 1", "输入 [a, b, c]，最后位置预测 d（训练过的模型）", "input [a, b, c]: the last position predicts d (a trained model)", Equal("d"), at="36: 一")
def _() -> Any:
    return words_written(trained("letters"), 3, most=1)[0]


@row("002.first-from-prompt", "Inference 1", "第一个新词出自对提示的那次前向：它的阶段", "the first new word comes from the run over the prompt: its phase", Equal("prefill"))
def _() -> Any:
    return written(trained("letters"), 3, most=1).steps[0].phase


@row("002.predicts-everywhere", "Inference 1", "a 之后、a,b 之后、a,b,c 之后都有预测：三个词元的预测数", "the model predicts after a, after a,b and after a,b,c: predictions for three tokens", Equal(3), stages=("letters", "logits"))
def _() -> Any:
    return with_ids(trained("letters"), [0, 1, 2])["logits"].shape[1]


@row("002.second-step", "Inference 1", "输入变成 [a, b, c, d]，“再次计算”：前三个位置与上一步的结果", "then the input is [a, b, c, d], computed again: the first three positions, beside the step before", Same(True), note=("旧位置没有新结果，只有最后的预测是新的：这正是缓存省掉的", "the old positions give nothing new, only the last prediction is: what a cache saves"), at="42: 二")
def _() -> Any:
    model = letters_model()
    return logits_of(model, Batch([[0, 1, 2]]))[0], logits_of(model, Batch([[0, 1, 2, 3]]))[0, :3]


@row("002.second-step-word", "Inference 1", "第二步预测 e，直到 <EOS>：从 [a, b, c] 起写出的词", "the second step predicts e, and so on: the words written from [a, b, c] on", Equal(("d", "e", "f")))
def _() -> Any:
    return words_written(trained("letters"), 3, most=3)


@row("002.loop", "Inference 1", "遇到结束符 <EOS> 或 <end> 就停止", "generation stops at an end token, written <EOS> or <end>", Definition("<EOS>"), note=("文中的名字；003 写作 <eos>", "a name of the document; 003 writes <eos>"))
def _() -> Any:
    vocabulary = example("letters").vocabulary
    return vocabulary.tokens[-1] if vocabulary else None


@row("002.positions-predict", "Inference 2", "位置 1、2、3（输入 a、b、c）训练去预测 b、c、d：标签", "positions 1, 2, 3 (inputs a, b, c) are trained to predict b, c, d: the labels", Equal(("b", "c", "d")), at="55; 56; 57", stages=("letters", "decoder.tokens", "labels"))
def _() -> Any:
    return trace("letters").tokens["labels"][0][:3]


@row("002.output-is-shift", "Inference 2", "[a, b, c] 的完整输出是 [b, c, d]（训练过的模型）", "the complete output for [a, b, c] is [b, c, d] (a trained model)", Equal(("b", "c", "d")), note=("前提是模型学过这段提示：未训练的模型在 b、c 处会说别的", "provided that it has learnt the prompt: an untrained model says other words at b and c"), stages=("letters", "logits", "probabilities"))
def _() -> Any:
    made = trained("letters")
    return names(made, with_ids(made, [0, 1, 2])["logits"][0].argmax(-1).tolist())


@row("002.one-pass", "Inference 2", "Decoder 一次处理整个序列：一次前向的输出", "the decoder handles the whole sequence in one go: output of one run", Equal((5, 8)), at="53: 一")
def _() -> Any:
    return shape("letters", "decoder.output")


@row("002.upper-triangle", "Inference 3", "上三角掩码矩阵：5 x 5 中遮住的对数", "a mask in the upper triangle: pairs hidden of 5 x 5", Equal(10), note=("严格在对角线以上；003 画的下三角是可看的部分，同一个掩码", "strictly above the diagonal; 003 draws the lower triangle of what is allowed: the same mask"))
def _() -> Any:
    return int(np.triu(trace("letters")[f"{SELF}.weights"][0, 0] == 0).sum())


@row("002.a-sees-a", "Inference 3", "位置 1 (a) 看不到位置 2、3：换掉 b、c 后会动的位置", "position 1 (a) cannot see positions 2 and 3: positions that move with b, with c", Equal(((1, 2), (2,))), at="68")
def _() -> Any:
    return [moves("letters", place, "logits", length=3) for place in (1, 2)]


@row("002.b-sees-ab", "Inference 3", "位置 2 (b) 看 a 和 b，看不到 c：换掉 a、b、c 后位置 2 动不动（1 动，0 不动）", "position 2 (b) sees a and b, not c: whether it moves with a, b, c (1: it does)", Equal((1, 1, 0)), at="69")
def _() -> Any:
    return [int(1 in moves("letters", place, "logits", length=3)) for place in range(3)]


@row("002.training-sequences", "Inference 4", "输入 [a..e]，目标 [b..f]", "input [a..e], target [b..f]", Equal((LETTERS[:5], LETTERS[1:])), stages=("letters", "decoder.tokens", "labels"))
def _() -> Any:
    run = trace("letters")
    return run.tokens["decoder"][0], run.tokens["labels"][0]


@row("002.training-one-pass", "Inference 4", "一次算出所有位置的损失：损失的个数", "all losses in one pass: how many", Equal(5), stages=("letters", "loss.per_token"))
def _() -> Any:
    return int((trace("letters")["loss.per_token"] > 0).sum())


@row("002.pairs-of-letters", "Inference 4", "同时计算 a->b、b->c …：每个位置的输入与训练后的预测", "a->b, b->c ... at the same time: input and prediction at each position, after training", Equal([["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"], ["e", "f"]]), note=("箭头是简写：b 之后的预测也看 a", "the arrows are short: the prediction after b looks at a as well"))
def _() -> Any:
    return [list(pair) for pair in zip(trace("letters").tokens["decoder"][0], said("letters"), strict=True)]


@row("002.encoder-at-once", "Encoder Decoder 1", "Encoder 一次读入 [a, b, c, d]，输出包含所有信息：换掉每个词后会动的行", "the encoder reads [a, b, c, d] in one go, each row holds all of it: rows that move with each token", Equal([[0, 1, 2, 3]] * 4), stages=("memory", "encoder.output"))
def _() -> Any:
    return [moves(trained("memory"), place, "encoder.output", "encoder") for place in range(4)]


@row("002.one-predicts-two", "Encoder Decoder 1", "输入 [1] 预测 [2]（没有起始符）；训练过的模型在 [Start] 之后说的", "input [1] predicts [2] (no start token); what a trained model says first, after [Start]", Equal("2"), note=("结尾的总结先给 Start，它预测 [1]；[Start, 1] 才预测 [2]", "the closing summary puts Start first, and it predicts [1]; [Start, 1] predicts [2]"), at="95")
def _() -> Any:
    return predicted(1)


@row("002.lengths-differ", "Encoder Decoder 2", "编码器长 4，解码器长 1、2、3：Q·K^T 的形状", "an encoder of length 4 and decoders of length 1, 2, 3: shapes of Q·K^T", Equal(((1, 4), (2, 4), (3, 4))), at="98", stages=("memory", f"{CROSS}.products"))
def _() -> Any:
    return [memory(f"{CROSS}.products", n) for n in (1, 2, 3)]


@row("002.q-from-decoder", "Encoder Decoder 2", "Q 来自解码器，K、V 来自编码器：换掉一个源词后会动的（Q, K, V）", "Q comes from the decoder, K and V from the encoder: which of Q, K, V move with a source token", Equal(("keys", "values")))
def _() -> Any:
    return [leaf for leaf in ("queries", "keys", "values") if moves(trained("memory"), 0, f"{CROSS}.{leaf}", "encoder")]


@row("002.memory-shape", "Encoder Decoder 2", "编码器的输出是 [4, 512]", "the encoder's output is [4, 512]", Equal((4, 512)), note=("四个词元，每个 512 个数", "four tokens of 512 numbers"), at="107", stages=("memory", "encoder.output"))
def _() -> Any:
    return memory("encoder.output", 3)


@row("002.memory-as-keys", "Encoder Decoder 2", "这个矩阵被用作 K：编码器输出与 K", "this matrix is used as K: the encoder's output, beside K", Same(True), note=("K = 编码器输出·W_K；只有 W_K = I 才是同一个矩阵", "K = memory·W_K; one and the same matrix only if W_K = I"), stages=("memory", "encoder.output", f"{CROSS}.keys"))
def _() -> Any:
    run = trace("memory")
    return run["encoder.output"][0], run[f"{CROSS}.keys"][0, 0]


@row("002.memory-as-values", "Encoder Decoder 2", "这个矩阵被用作 V：编码器输出与 V", "this matrix is used as V: the encoder's output, beside V", Same(True), note=("V = 编码器输出·W_V，与 K 也不同", "V = memory·W_V, and another matrix than K"), stages=("memory", f"{CROSS}.values"))
def _() -> Any:
    run = trace("memory")
    return run["encoder.output"][0], run[f"{CROSS}.values"][0, 0]


@row("002.keys-stay", "Encoder Decoder 2", "生成过程中 K 与 V 永远不变：第 1 步与第 3 步", "K and V stay the same while the decoder generates: step 1, beside step 3", Same(True), at="109", stages=("memory", f"{CROSS}.keys"))
def _() -> Any:
    first, third = (trace("memory", step=n) for n in (1, 3))
    return [first[f"{CROSS}.{leaf}"] for leaf in ("keys", "values")], [third[f"{CROSS}.{leaf}"] for leaf in ("keys", "values")]


@row("002.third-word-input", "Encoder Decoder 2", "生成第 3 个词时解码器的输入是 [1, 2]", "generating word 3 the decoder's input is [1, 2]", Equal(("1", "2")), note=("与结尾的总结差一个：第 3 个词由 [Start, 1, 2] 预测", "off by one against the closing summary: word 3 is predicted from [Start, 1, 2]"), at="112; 113")
def _() -> Any:
    return inputs(3)


@row("002.third-word-query", "Encoder Decoder 2", "生成第 3 个词时 Q 是 [2, 512]", "generating word 3, Q is [2, 512]", Equal((2, 512)), note=("三行；[2, 512] 属于第 2 个词", "three rows; [2, 512] belongs to word 2"), at="114", stages=("memory", f"{CROSS}.queries"))
def _() -> Any:
    return memory(f"{CROSS}.queries", 3)


@row("002.step-two-query", "Encoder Decoder 2", "两个词元的 Q 是 [2, 512]", "Q of two tokens is [2, 512]", Equal((2, 512)), at="120")
def _() -> Any:
    return memory(f"{CROSS}.queries", 2)


@row("002.formula", "Encoder Decoder 2", "Attention(Q, K, V) = softmax(QK^T / sqrt(d_k))·V 与前向计算", "Attention(Q, K, V) = softmax(QK^T / sqrt(d_k))·V, beside the run", Same(True), stages=("memory", f"{CROSS}.scores", f"{CROSS}.weights", f"{CROSS}.context"))
def _() -> Any:
    run = trace("memory", step=2)
    return attention_of(run, CROSS), run[f"{CROSS}.context"][0, 0]


@row("002.key-shape", "Encoder Decoder 2", "K 是 [4, 512]", "K is [4, 512]", Equal((4, 512)), at="121")
def _() -> Any:
    return memory(f"{CROSS}.keys", 2)


@row("002.product-shape", "Encoder Decoder 2", "[2, 512] 乘 [512, 4] = [2, 4]（两个解码词元）", "[2, 512] times [512, 4] = [2, 4] (two decoder tokens)", Equal((2, 4)), note=("两个词元时是对的，即总结里的第 2 步", "right for two tokens, which is step 2 of the summary"), at="124; 126; 127")
def _() -> Any:
    return memory(f"{CROSS}.products", 2)


@row("002.product-shape-word-3", "Encoder Decoder 2", "生成第 3 个词时也是 [2, 4]", "the same [2, 4] while generating word 3", Equal((2, 4)), note=("[3, 512] 乘 [512, 4] = [3, 4]", "[3, 512] times [512, 4] = [3, 4]"), stages=("memory", f"{CROSS}.products"))
def _() -> Any:
    return memory(f"{CROSS}.products", 3)


@row("002.rows-mean", "Encoder Decoder 2", "第 i 行是解码词元 i 对 a、b、c、d 的关注度：各行之和", "row i holds the attention of decoder token i to a, b, c, d: sums of the rows", Equal((1.0, 1.0)), at="128: 1; 129: 2")
def _() -> Any:
    return trace("memory", step=2)[f"{CROSS}.weights"][0, 0].sum(1).round(12)


@row("002.context-shape", "Encoder Decoder 2", "权重 [2, 4] 乘 V [4, 512] 又是 [2, 512]", "weights [2, 4] times V [4, 512] is [2, 512] again", Equal((2, 512)), at="131")
def _() -> Any:
    return memory(f"{CROSS}.context", 2)


@row("002.memory-summary", "Encoder Decoder 3", "输入长 4；Memory 是 4 x 维度", "input of length 4; memory is 4 x width", Equal((4, 512)), at="140; 141", stages=("memory", "encoder.output"))
def _() -> Any:
    return memory("encoder.output", 1)


@row("002.step-1", "Encoder Decoder 3", "第 1 步：输入与预测（训练过的模型）", "step 1: input, and the token predicted (by a trained model)", Equal((("[Start]",), "1")), at="143; 144; 146", stages=("memory", "decoder.tokens", "labels"))
def _() -> Any:
    return inputs(1), predicted(1)


@row("002.step-2", "Encoder Decoder 3", "第 2 步：输入与预测", "step 2: input, and the token predicted", Equal((("[Start]", "1"), "2")), note=("Memory 的四行没有变", "the four rows of memory are still the same"), at="148; 149; 150; 151")
def _() -> Any:
    return inputs(2), predicted(2)


@row("002.step-3", "Encoder Decoder 3", "第 3 步：输入与预测", "step 3: input, and the token predicted", Equal((("[Start]", "1", "2"), "3")), at="153; 154; 155; 156")
def _() -> Any:
    return inputs(3), predicted(3)


@row("002.steps-generated", "Encoder Decoder 3", "三步由生成连起来：从 [Start] 起写出的词（用缓存）", "the three steps in one generation: the words written from [Start] on (with a cache)", Equal(("1", "2", "3")))
def _() -> Any:
    return words_written(trained("memory"), most=3)


@row("002.memory-cached", "Encoder Decoder 3", "参考书放在旁边不动：三步的 logits，编码器只算一次与每步重算", "the reference book stays beside: logits of the three steps, the encoder run once and run in every step", Same(True))
def _() -> Any:
    once = written(trained("memory"), most=3)
    whole = trained("memory").trace(gradients=False)["logits"][0]
    return [one.logits[0] for one in once.steps], whole
