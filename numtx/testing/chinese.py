"""What a report says of a law that is broken, in error or undeclared, in Chinese."""

from __future__ import annotations

import re

from .report import Result

# What laws say of an example, a brace for each number or name; `numtx.own_laws` and
# `numtx.generation_laws` are of numtx itself, and are left out.
WORDS = {
    "{} (largest difference {}, allowed {})": "{}（最大差 {}，允许 {}）",
    "{}: {} differs (largest difference {}, allowed {})": "{}：{} 不同（最大差 {}，允许 {}）",
    "{}: the shapes differ": "{}：形状不同",
    "one more token gives other logits than the whole text": "再添一个词元，logits 与整段一起算的不同",
    "a cache that was reset has a length": "重置过的缓存还有长度",
    "lengths are not the tokens of each row": "长度不是各行的词元数",
    "row {} remembers what was cut, or forgot what was not": "第 {} 行记得已截去的，或忘了没截去的",
    "the rows were not gathered": "各行没有按次序取来",
    "the length is wrong": "长度不对",
    "the length after a step is wrong": "一步之后长度不对",
    "a cache that was reset remembers": "重置过的缓存还记得以前的内容",
    "an uncached call changed": "无缓存的调用变了",
    "{} differs in turn {}": "{} 在第 {} 轮不同",
    "dropping {} tokens and then {} is not dropping {}": "先去掉 {} 个词元再去掉 {} 个，不等于去掉 {} 个",
    "dropping {} tokens and then those before them is not dropping all of them": "先去掉 {} 个词元再去掉它们之前的，不等于全部去掉",
    "a shift that drops nothing changes something": "什么也不去掉的移位改变了结果",
    "what stays gives other logits than it gives where what was dropped is hidden": "留下的与把去掉的遮住时 logits 不同",
    "the first {} tokens, kept, give other logits than they alone": "留下的前 {} 个词元与它们单独时 logits 不同",
    "what stays gives other logits than it gives alone": "留下的与它单独时 logits 不同",
    "the length after a shift is wrong": "移位之后长度不对",
    "not {} tokens": "不是 {} 个词元",
    "new token {} is not the greedy one": "第 {} 个新词元不是贪心的那个",
    "what was asked before changes a request": "以前问过的改变了一个请求",
    "draft {}, {} accepted": "草稿 {} 个，接受 {} 个",
    "a draft gives other logits than the whole text": "草稿的 logits 与整段一起算的不同",
    "a change": "有变化",
    "a later token moved an output": "后面的词元改变了输出",
    "another token at {} moved nothing at {} places that it reaches": "换掉 {} 处的词元，够得到的 {} 个位置毫无变化",
    "token {} has an effect beyond its reach of {}": "词元 {} 的影响超出了可达范围 {}",
    "what stands under padding moved a real token": "填充下的内容影响了真实词元",
    "what stands under the memory's padding moved an output": "记忆中填充下的内容影响了输出",
    "the prefix alone differs": "单独的前缀结果不同",
    "token {} has no effect at exactly its reach, {} places on": "词元 {} 在恰为可达范围处（{} 格之外）没有影响",
    "the memory's padding moved an output": "记忆的填充影响了输出",
    "token {} of the memory moved nothing": "记忆的词元 {} 毫无影响",
    "{} gives other logits": "{} 的 logits 不同",
    "other rows moved row {}": "别的行影响了第 {} 行",
    "the padding of other rows moved row {}": "别的行的填充影响了第 {} 行",
    "the memory of other rows moved row {}": "别的行的记忆影响了第 {} 行",
    "padding on the {} changed the outputs": "{} 侧填充改变了输出",
    "row {} alone differs": "第 {} 行单独算结果不同",
    "the order of two tokens changed nothing; ordered=False where it has none by nature": "交换两个词元毫无变化；若本来不分次序，请声明 ordered=False",
    "a second call differs": "第二次调用结果不同",
    "the outputs did not follow": "输出没有随之改变",
    "another memory moved no row": "换了记忆，没有一行改变",
    "chunks differ from the full pass": "分段与一次通过结果不同",
    "the output differs": "输出不同",
    "later keys moved an earlier output": "后面的键影响了前面的输出",
    "what is masked moved the output": "被遮住的内容影响了输出",
    "a blind query moved another": "什么也看不到的查询影响了别的查询",
    "a query that sees nothing does not give NaN, as empty='nan' says": "什么也看不到的查询没有给出 empty='nan' 所说的 NaN",
    "a query that sees nothing does not give 0 (empty= says what it gives)": "什么也看不到的查询没有给出 0（empty= 说明给出什么）",
    "a group is not its head repeated": "一组不等于重复的一个头",
    "query {} alone differs": "查询 {} 单独算结果不同",
    "large scores": "很大的分数",
    "the lse of large scores": "很大的分数的 lse",
    "a causal triangle aligned {}": "对齐到 {} 的因果三角",
    "{} changes what it keeps": "{} 改变了留下的",
    "cold, and not greedy": "温度趋于零，却不是贪心",
    "two draws of one seed differ": "同一种子的两次抽样不同",
    "a text occurs twice": "同一文本出现两次",
    "not sorted": "没有排序",
    "{} keeps other tokens": "{} 留下了别的词元",
    "top-k with k = {}": "top-k，k = {}",
    "top-p with p = {}": "top-p，p = {}",
    "min-p with p = {}": "min-p，p = {}",
    "the logits are not divided by it": "logits 没有除以它",
    "the penalty differs": "惩罚不同",
    "other tokens are ruled out": "排除了别的词元",
    "row {}: a token that is ruled out was drawn": "第 {} 行：抽到了已排除的词元",
    "row {}: {} draws do not follow the probabilities": "第 {} 行：{} 次抽样不符合概率",
    "nothing was found": "什么也没有找到",
    "one beam is not greedy": "一个束不等于贪心",
    "{} beams do not find the best": "{} 个束没有找到最好的",
    "a text goes on after its end, or is too long": "文本在结束之后继续，或者太长",
    "a text that is not at its end was given": "给出了还没有结束的文本",
    "the score of {}": "{} 的得分",
    "the gradient": "梯度",
    "the gradient of grouped heads": "分组头的梯度",
    "{} is not 0 at [{}], which has no part": "{} 在没有参与的 [{}] 处不是 0",
    "d{} along a random direction is not the difference of the output": "d{} 沿随机方向不等于输出之差",
    "keys split at {} and merged by their lse differ from the whole": "键在 {} 处分开、按 lse 合并，与整体不同",
    "an even bias changed the output": "处处相同的偏置改变了输出",
    "twice the queries is not twice the scale": "查询加倍不等于缩放加倍",
    "a window of {} keys hides some": "{} 个键的窗口遮住了一些",
    "not its own value": "不是它自己的值",
    "a cap of {} changed the output": "上限 {} 改变了输出",
    "the output is not Z / (Z + exp s)": "输出不是 Z / (Z + exp s)",
    "a sink of -1e4 changed the output": "-1e4 的汇改变了输出",
    "the lse differs": "lse 不同",
}  # fmt: skip
# What stands around them.
FRAME = (
    (r"positions that differ \[row,token\]:", "不同的位置 [行,词元]:"),
    (r"  and (\d+) more$", r"  另有 \1 处"),
    (r"^( *)expected:", r"\1应为:"),
    (r"^( *)got:     ", r"\1得到:"),
    (r" error: ", " 出错: "),
    (r" undeclared: ", " 未声明: "),
    (r"^( *)line: ", r"\1行: "),
    (r"^( *)call: ", r"\1调用: "),
    (r"; if it does so by nature, declare (.*) \(as an attribute of it, in (.*), or (.*)\)$",
     r"；若本来如此，请声明 \1（作为它的属性，写在 \2 里，或用 \3）"),
    (r"nothing farther than (\d+) places away has an effect, and all else has", r"相隔超过 \1 格的都没有影响，其余的都有"),
    (r"every place sees every later one", "每个位置都看得到后面的所有位置"),
    (r"every place sees (\d+) places to both sides, and nothing farther", r"每个位置看得到两侧各 \1 格，更远的看不到"),
    (r"(\d[\d, ]*) rows pass, others do not", r"只接受 \1 行"),
    (r"it is in training mode, in which dropout draws anew; call \.eval\(\) before", "它处在训练模式，dropout 每次另抽；请先调用 .eval()"),
    (r"nothing else is asked: no law can be told from chance", "别的都不再问：分不清是定律还是偶然"),
    (r"the same example passed when asked again: what was asked before matters", "同一个例子再问一次就通过了：以前问过什么会有影响"),
    (r"and, in other examples:", "此外，在别的例子里："),
    (r"a model takes ids \[B, T\] of int64 and gives logits (.*); wrap what takes or gives something else in a function of ids",
     r"模型应接受 int64 的 ids [B, T]，给出 logits \1；接受或给出别的，请包成 ids 的函数"),
    (r"shorter inputs passed; (.*) says that it takes no (\d+) tokens", r"更短的输入通过了；\1 说明它不接受 \2 个词元"),
    (r"inputs of (.*) rows passed", r"\1 行的输入通过了"),
    (r"a difference of (.*) at most, (.*) eps of the largest logit, which grows with what should be hidden: from (.*) eps by one token to (.*) by many \(rounding does not grow (.*) times\)",
     r"最多差 \1，是最大 logit 的 \2 eps，并随应被遮住的内容增大：一个词元 \3 eps，许多词元 \4（舍入不会增大 \5 倍）"),
)  # fmt: skip
_FRAME = [(re.compile(pattern), words) for pattern, words in FRAME]


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile("(.+)".join(map(re.escape, words.split("{}"))) + "$")


_WORDS = [(_pattern(en), zh) for en, zh in WORDS.items()]


def _said(text: str) -> str:
    """A phrase of a law; what is put into it may be a phrase, too."""
    for pattern, zh in _WORDS:
        found = pattern.match(text)
        if found:
            return zh.format(*map(_said, found.groups()))
    return text


def why_in_chinese(result: Result) -> str:
    """`result.why`, line by line; examples and what a model raised stay as they are."""
    lines = []
    broken = f"{result.law.name} broken: {result.law.statement}"
    for line in result.why.splitlines():
        inner = line.lstrip()
        if inner == broken:
            lines.append(
                line.replace(broken, f"{result.law.name} 不成立: {result.law.statement_zh}")
            )
            continue
        line = line[: len(line) - len(inner)] + _said(inner)
        for pattern, words in _FRAME:
            line = pattern.sub(words, line)
        lines.append(line)
    return "\n".join(lines)
