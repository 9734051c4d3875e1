"""From config.json to stages: what the fields of a saved model say, and where its tensors go."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from numtx import Batch, Config, NumtxError, initialise, read_model, record, write_model
from numtx.checkpoints.folder import Folder
from numtx.lessons import Lesson

lesson = Lesson(
    zh="一个存好的模型是两个文件。怎样从它们得到每一步的矩阵？",
    en="A saved model is two files. How do they become the matrix of every step?",
    before=(
        "自注意力与前馈层的各步，旋转位置，GQA，第二十四课的各种归一化。",
        "The steps of attention and feed-forward, rotary positions, GQA, norms (lesson twenty-four).",
    ),
    document="003, 二",
)

# %%
lesson.head(zh="两个文件", en="Two files")
config = Config(
    model="decoder-only", width=8, decoder_layers=2, heads=4, key_value_heads=2, key_width=2,
    hidden=10, vocabulary=13, norm="rms", norm_place="pre", biases=(), positions="rotary",
    activation="silu", gated=True,
)  # fmt: skip
parameters = initialise(config, 0)
home = TemporaryDirectory()
folder = Path(home.name) / "saved"
write_model(folder, config, parameters, "llama")
files = sorted(path.name for path in folder.iterdir())
settings = folder / "config.json"
text = settings.read_text()
lesson.say(
    zh=f"存好的模型是一个文件夹：{files[0]} 说它是什么，{files[1]} 存它的数。我们写一个小的来看：",
    en=f"A saved model is a folder: {files[0]} says what it is, and {files[1]} has its numbers. We write"
    " a small one to look at:",
)
lesson.lines("\n" + "\n".join(line for line in text.splitlines() if "null" not in line))
lesson.check(
    read_model(folder).config == config,
    zh="读回来，正是写进去的那个模型。",
    en="Read back, it is the model that was written.",
)

# %%
lesson.head(zh="字段说的是机制", en="Fields name mechanisms")


def saying(old, new):
    """What the model is after a change of the text of config.json, or why it is refused."""
    assert old in text
    settings.write_text(text.replace(old, new))
    try:
        return Folder(folder).config.to_dict()
    except NumtxError as error:
        return str(error).removeprefix(f"{settings}: ")
    finally:
        settings.write_text(text)


lesson.say(
    zh="别人的名字和这里的不同，意思要一个一个对上。改一个字段，看哪些机制跟着变：",
    en="Their names are not ours, and each has to be matched. We change a field and see what changes"
    " with it:",
)
changes = {
    "rms_norm_eps": ('"rms_norm_eps": 1e-05', '"rms_norm_eps": 0.5'),
    "rope_theta": ('"rope_theta": 10000.0', '"rope_theta": 500.0'),
    "hidden_act": ('"hidden_act": "silu"', '"hidden_act": "relu"'),
    "rope_type": ('"rope_type": "default"', '"rope_type": "linear", "factor": 4.0'),
}
before = config.to_dict()
rows = []
for name, change in changes.items():
    after = saying(*change)
    rows += [(name, ours, str(after[ours])) for ours in after if after[ours] != before[ours]]
head = {"zh": ["字段", "这里叫", "变成"], "en": ["field", "here", "becomes"]}[lesson.lang]
lesson.table(head, rows)
lesson.check(
    [ours for _, ours, _ in rows] == ["epsilon", "position_base", "activation", "rotary_scaling"],
    zh="每个字段恰好管一个机制。",
    en="Each of them sets exactly one mechanism.",
)
unknown = saying('"mlp_bias": false', '"mlp_bias": false, "secret_sauce": true')
lesson.say(
    zh=f"不认识的字段不能装作没看见，它可能改变计算。所以拒绝：{unknown}",
    en=f"A field that is not known cannot be passed over, for it may change what is computed. It is"
    f" refused: {unknown}",
)
lesson.check(
    isinstance(unknown, str) and "secret_sauce" in unknown,
    zh="拒绝时说出了字段的名字。",
    en="The refusal says the field's name.",
)

# %%
lesson.head(zh="张量成为参数", en="Tensors become parameters")
saved = Folder(folder)
lesson.say(
    zh="第零层的张量，和它们成为的参数：",
    en="The tensors of layer zero, and the parameters that they become:",
)
theirs = {name: saved.places[name][1] for name in saved.tensors if ".0." in name}
rows = []
for name, own in theirs.items():
    entry = saved.entries[own]
    ours = next(iter(entry.shapes))
    rows.append((name.removeprefix("model."), entry.row.how, ours.removeprefix("decoder.")))
head = {"zh": ["张量", "怎样", "参数"], "en": ["tensor", "how", "parameter"]}
lesson.table(head[lesson.lang], rows)
lesson.say(
    zh="矩阵多半要转置：别人存 [出, 入]，这里是 [入, 出]，y = x·W。方阵忘了转置，形状也不会报错，数却全错。",
    en="Most matrices are turned: theirs are [out, in], here they are [in, out], y = x·W. A square one"
    " that is not turned fits in shape, and every number is wrong.",
)
query = "model.layers.0.self_attn.q_proj.weight"
own = "decoder.0.self_attention"
lesson.check(
    np.array_equal(saved.tensor(query).T, parameters[f"{own}.w_q"])
    and saved.tensors[query].shape == parameters[f"{own}.w_q"].shape,
    zh=f"{query} 转置后就是 {own}.w_q；它是方阵，形状看不出转没转。",
    en=f"{query}, turned, is {own}.w_q; it is square, and its shape does not tell.",
)

# %%
lesson.head(zh="机制成为阶段", en="Mechanisms become stages")
ids = [[3, 1, 4, 1, 5]]
model = read_model(folder)
trace = record(model.config, model.parameters, Batch(ids), gradients=False)
leaves = [name.removeprefix(f"{own}.") for name in trace if name.startswith(f"{own}.")]
lesson.say(
    zh=f"配置定下了有哪些阶段、什么次序，共 {len([*trace])} 个。一层自注意力的阶段是：{'、'.join(leaves)}。",
    en=f"The configuration settles which stages there are, and their order: {len([*trace])} in all."
    f" Those of one layer's self-attention are: {', '.join(leaves)}.",
)
heads = [trace[f"{own}.{leaf}"].shape[1] for leaf in ("rotated_queries", "rotated_keys")]
lesson.check(
    heads == [config.heads, config.kv_heads] and leaves[0] == "norm",
    zh=f"旋转位置给出 rotated_queries 与 rotated_keys，GQA 使它们有 {heads[0]} 与 {heads[1]} 个头，先归一化（pre）使 norm 站在"
    "最前。",
    en=f"Rotary positions give rotated_queries and rotated_keys, GQA gives them {heads[0]} and {heads[1]}"
    " heads, and pre puts the norm first.",
)

# %%
lesson.exercise(
    zh="config.json 里的层数加一，张量却没有加。会怎样？",
    en="One more layer in config.json, and no more tensors: what happens?",
)
settings.write_text(text.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
try:
    read_model(folder)
    refused = ""
except NumtxError as error:
    refused = str(error).replace(str(folder), "saved")
home.cleanup()
lesson.check(
    "layers.2" in refused,
    zh=f"拒绝：{refused}",
    en=f"It is refused: {refused}",
)
lesson.result(leaves=leaves, heads=heads, turned=sum(how == "transposed" for _, how, _ in rows))
