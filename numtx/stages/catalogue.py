"""The catalogue: every leaf of every stage name, as data.

A leaf says by which operation it is made and from what. Its inputs are symbolic:

    products        a sibling of that name
    @input          a role, which the wiring fills (`stages.resolve`)
    #w_q, #b_q?     a parameter; with a question mark, only where the model has it

The first two operands of a contraction are multiplied and summed over; a third is a bias.

Printing, the explanation of a cell, the independent check, the report, the comparison and
the cost counts all read this table. Index specifications are those of `shapes`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..small_repr import small_repr


@small_repr()
class Text(NamedTuple):
    """The same words in Chinese and in English."""

    zh: str
    en: str


@small_repr()
class Leaf(NamedTuple):
    """The last part of a stage's name, and what it means."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    specification: str
    formula: str
    title: Text
    why: Text


TOKENS = Leaf(
    "tokens", "given", (), "->bt", "ids",
    Text("词元编号", "Token ids"),
    Text("模型只认识数字：每个词元是词表里的一个编号", "a model sees numbers only: each token is its number in the vocabulary"),
)  # fmt: skip
EMBEDDING = Leaf(
    "embedding", "lookup", ("tokens", "@table"), "bt,vd->btd", "E[id]",
    Text("词嵌入", "Embedding"),
    Text("查表：同一个词元总得到同一行", "a table look-up: the same token always gets the same row"),
)  # fmt: skip
SCALED_EMBEDDING = Leaf(
    "scaled_embedding", "scale", ("embedding",), "btd->btd", "{factor} * embedding",
    Text("缩放后的词嵌入", "Scaled embedding"),
    Text("放大嵌入，使它不被位置编码盖过", "enlarged, so that positions do not drown it"),
)  # fmt: skip
SINUSOIDAL_POSITIONS = Leaf(
    "positions", "lookup", ("@positions",), "bt->btd",
    "P[p,2i] = sin(p / {base}^(2i/d)), P[p,2i+1] = cos(p / {base}^(2i/d))",
    Text("位置编码", "Positions"),
    Text("注意力本身不分先后，位置编码给每个位置一个标记", "attention by itself knows no order; this marks every place"),
)  # fmt: skip
LEARNED_POSITIONS = Leaf(
    "positions", "lookup", ("@positions", "#positions"), "bt,vd->btd", "P[p + {offset}]",
    Text("可学习的位置向量", "Learned positions"),
    Text("每个位置一行可学习的向量", "one learned row for every place"),
)  # fmt: skip
SEGMENTS = Leaf(
    "segments", "lookup", ("@segments", "#segments"), "bt,vd->btd", "S[segment]",
    Text("句段嵌入", "Segments"),
    Text("标明词元属于第几句", "says to which sentence a token belongs"),
)  # fmt: skip
EMBEDDING_SUM = Leaf(
    "embedding_sum", "add", ("@summands",), "btd->btd", "{sum}",
    Text("嵌入之和", "Sum of embeddings"),
    Text("归一化之前的和", "the sum before its norm"),
)  # fmt: skip
INPUT_SUM = Leaf(
    "input", "add", ("@summands",), "btd->btd", "X = {sum}",
    Text("输入", "Input"),
    Text("内容加位置：同一个词在不同位置成为不同的向量", "content plus place: the same token differs from place to place"),
)  # fmt: skip
INPUT_NORM = Leaf(
    "input", "norm", ("embedding_sum", "#embedding_norm.gain", "#embedding_norm.bias?"),
    "btd->btd", "X = norm(embedding_sum)",
    Text("输入（归一化）", "Input (normalised)"),
    Text("把每个词元的向量调到同一尺度", "brings every token's vector to one scale"),
)  # fmt: skip
TOKEN_MASK = Leaf(
    "mask", "given", (), "->bt", "1 = a real token, 0 = padding",
    Text("填充掩码", "Padding mask"),
    Text("填充只为对齐长度，谁也不该看它", "padding only aligns lengths; nobody may look at it"),
)  # fmt: skip

ALL_MASK = Leaf(
    "all_mask", "append", ("@parts",), "bt,bt->bs", "{parts}",
    Text("全部词元的填充掩码", "Padding mask of all tokens"),
    Text("缓存里的词元，加上这一步的词元", "the tokens in the cache, and then those of this step"),
)  # fmt: skip

QUERIES = Leaf(
    "queries", "contract", ("@input", "#w_q", "#b_q?"), "btd,d(hk),(hk)->bhtk", "Q = X·W_Q{+ b_q}",
    Text("查询", "Queries"),
    Text("每个位置要找什么", "what each place looks for"),
)  # fmt: skip
KEYS = Leaf(
    "keys", "contract", ("@memory", "#w_k", "#b_k?"), "bsd,d(gk),(gk)->bgsk", "K = {memory}·W_K{+ b_k}",
    Text("键", "Keys"),
    Text("每个位置凭什么被找到", "by what each place is found"),
)  # fmt: skip
VALUES = Leaf(
    "values", "contract", ("@memory", "#w_v", "#b_v?"), "bsd,d(gc),(gc)->bgsc", "V = {memory}·W_V{+ b_v}",
    Text("值", "Values"),
    Text("每个位置被找到后交出什么", "what each place hands over when found"),
)  # fmt: skip
ROTATED_QUERIES = Leaf(
    "rotated_queries", "rotate", ("queries", "@positions"), "bhtk->bhtk", "Q' = R(p)·Q",
    Text("旋转后的查询", "Rotated queries"),
    Text("按位置旋转：点积只取决于两个位置之差", "turned by its position: the product depends on the distance only"),
)  # fmt: skip
ROTATED_KEYS = Leaf(
    "rotated_keys", "rotate", ("keys", "@key_positions"), "bgsk->bgsk", "K' = R(p)·K",
    Text("旋转后的键", "Rotated keys"),
    Text("与查询用同样的旋转", "the same rotation as the queries"),
)  # fmt: skip
ALL_KEYS = Leaf(
    "all_keys", "append", ("@parts",), "bgsk,bgsk->bgsk", "{parts}",
    Text("全部键", "All keys"),
    Text("以前算过的键从缓存里读出，这一步只添上新的", "keys of earlier steps are read from the cache; this step adds only its own"),
)  # fmt: skip
ALL_VALUES = Leaf(
    "all_values", "append", ("@parts",), "bgsc,bgsc->bgsc", "{parts}",
    Text("全部值", "All values"),
    Text("值与键一样：算一次，存下来，反复读", "values as keys: computed once, kept, read again and again"),
)  # fmt: skip
# Where keys and values are made from a latent.
QUERY_LATENT = Leaf(
    "query_latent", "contract", ("@input", "#w_dq"), "btd,dq->btq", "c_Q = X·W_DQ",
    Text("查询的潜向量", "Latent of the queries"),
    Text("所有头的查询都由这一个窄向量展开", "the queries of all heads are made from this one narrow vector"),
)  # fmt: skip
UP_QUERIES = QUERIES._replace(
    inputs=("query_latent", "#w_uq"), specification="btq,q(hk)->bhtk", formula="Q = c_Q·W_UQ"
)
POSITION_QUERIES = Leaf(
    "position_queries", "contract", ("@input", "#w_qr"), "btd,d(hp)->bhtp", "X·W_QR",
    Text("带位置的查询", "Queries for positions"),
    Text("位置单独占 d_r 个分量，与内容分开", "positions have d_r components of their own, apart from the content"),
)  # fmt: skip
UP_POSITION_QUERIES = POSITION_QUERIES._replace(
    inputs=("query_latent", "#w_qr"), specification="btq,q(hp)->bhtp", formula="c_Q·W_QR"
)
LATENT = Leaf(
    "latent", "contract", ("@input", "#w_dkv"), "bsd,dr->bsr", "c = X·W_DKV",
    Text("键值的潜向量", "Latent of keys and values"),
    Text("缓存只存它：所有头的键和值都能由它算出", "all that a cache keeps: keys and values of every head follow from it"),
)  # fmt: skip
UP_KEYS = KEYS._replace(
    inputs=("latent", "#w_uk"), specification="bsr,r(gk)->bgsk", formula="K = c·W_UK"
)
UP_VALUES = VALUES._replace(
    inputs=("latent", "#w_uv"), specification="bsr,r(gc)->bgsc", formula="V = c·W_UV"
)
POSITION_KEY = Leaf(
    "position_key", "contract", ("@input", "#w_kr"), "bsd,dp->bsp", "X·W_KR",
    Text("带位置的键", "Key for positions"),
    Text("所有头共用一个", "one for all heads"),
)  # fmt: skip
TURNED_QUERIES = ROTATED_QUERIES._replace(
    inputs=("position_queries", "@positions"), specification="bhtp->bhtp",
    formula="Q' = R(p)·position_queries",
)  # fmt: skip
ROTATED_KEY = ROTATED_KEYS._replace(
    name="rotated_key", inputs=("position_key", "@key_positions"), specification="bsp->bsp",
    formula="K' = R(p)·position_key", title=Text("旋转后的键（各头共用）", "Rotated key of all heads"),
)  # fmt: skip
ALL_LATENT = Leaf(
    "all_latent", "append", ("@parts",), "bsr,bsr->bsr", "{parts}",
    Text("全部潜向量", "All latents"),
    Text("从缓存读出以前的潜向量，添上这一步的", "those of earlier steps from the cache, then those of this step"),
)  # fmt: skip
ALL_ROTATED_KEY = Leaf(
    "all_rotated_key", "append", ("@parts",), "bsp,bsp->bsp", "{parts}",
    Text("全部旋转后的键", "All rotated keys"),
    Text("位置部分不能并入潜向量，另存一份", "positions cannot be taken from the latent, so they are kept beside it"),
)  # fmt: skip
ABSORBED_QUERIES = Leaf(
    "absorbed_queries", "contract", ("queries", "#w_uk"), "bhtk,r(hk)->bhtr", "Q~ = Q·W_UK^T",
    Text("吸收了 W_UK 的查询", "Queries with W_UK absorbed"),
    Text("Q·(c·W_UK)^T = (Q·W_UK^T)·c^T：不必展开每个键", "Q·(c·W_UK)^T = (Q·W_UK^T)·c^T: no key has to be made"),
)  # fmt: skip
FULL_QUERIES = Leaf(
    "full_queries", "append", ("@parts",), "bhtk,bhtp->bhte", "[Q; Q']",
    Text("完整的查询", "Full queries"),
    Text("内容部分与位置部分并排：点积就是两部分之和", "content and position side by side: the product is the sum of both"),
)  # fmt: skip
FULL_KEYS = Leaf(
    "full_keys", "append", ("@parts",), "bgsk,bsp->bgse", "[K; K']",
    Text("完整的键", "Full keys"),
    Text("每个头接上同一个位置部分", "every head with the same part for positions"),
)  # fmt: skip
ABSORBED_FULL_QUERIES = FULL_QUERIES._replace(specification="bhtr,bhtp->bhtz", formula="[Q~; Q']")
ABSORBED_FULL_KEYS = FULL_KEYS._replace(
    specification="bsr,bsp->bsz", formula="[c; K']",
    why=Text("所有头看同一个潜向量和同一个位置部分", "every head looks at the same latent and the same part for positions"),
)  # fmt: skip
LATENT_CONTEXT = Leaf(
    "latent_context", "contract", ("weights", "all_latent"), "bhts,bsr->bhtr", "C~ = A·c",
    Text("潜向量的加权求和", "Latents mixed"),
    Text("先按权重混合潜向量，再展开一次", "the latents mixed by the weights first, then expanded once"),
)  # fmt: skip

PRODUCTS = Leaf(
    "products", "contract", ("@queries", "@keys"), "bhtk,bgsk->bhts", "Q·K^T",
    Text("点积", "Products"),
    Text("行是查询，列是键：越相近，点积越大", "row: query, column: key; the more alike, the larger"),
)  # fmt: skip
SCORES = Leaf(
    "scores", "scale", ("products",), "bhts->bhts", "S = Q·K^T {scale}",
    Text("分数", "Scores"),
    Text("除以 sqrt(d_k)，使分数不随宽度变大，softmax 不致饱和", "the division keeps scores from growing with d_k, so softmax does not saturate"),
)  # fmt: skip
ATTENTION_MASK = Leaf(
    "mask", "allowed", ("@valid",), "bs->bhts", "{rule}",
    Text("掩码", "Mask"),
    Text("1 表示可以看，0 表示不可以看", "1 = may attend, 0 = may not"),
)  # fmt: skip
MASKED_SCORES = Leaf(
    "masked_scores", "mask", ("scores", "mask"), "bhts,bhts->bhts", "S' = S where mask, else -inf",
    Text("掩码后的分数", "Masked scores"),
    Text("exp(-inf) = 0：被遮住的位置得不到一点权重", "exp(-inf) = 0, so a hidden key gets exactly no weight"),
)  # fmt: skip
WEIGHTS = Leaf(
    "weights", "softmax", ("masked_scores",), "bhts->bhts", "A = softmax(S') per row",
    Text("注意力权重", "Weights"),
    Text("每行之和为 1：一个查询把注意力分给各个键", "every row sums to 1: how a query divides its attention"),
)  # fmt: skip
CONTEXT = Leaf(
    "context", "contract", ("weights", "@values"), "bhts,bgsc->bhtc", "C = A·V",
    Text("加权求和", "Context"),
    Text("按权重混合各个值", "the values mixed by their weights"),
)  # fmt: skip
UP_CONTEXT = CONTEXT._replace(
    inputs=("latent_context", "#w_uv"), specification="bhtr,r(hc)->bhtc", formula="C = C~·W_UV"
)
PROJECTED_OUTPUT = Leaf(
    "output", "contract", ("context", "#w_o", "#b_o?"), "bhtc,(hc)d,d->btd", "O = concat(C)·W_O{+ b_o}",
    Text("注意力输出", "Attention output"),
    Text("把各头拼起来，再混合", "the heads side by side, then mixed"),
)  # fmt: skip
MERGED_OUTPUT = Leaf(
    "output", "contract", ("context",), "bhtc->bt(hc)", "O = concat(C)",
    Text("注意力输出（无 W_O）", "Attention output (no W_O)"),
    Text("只把各头拼起来", "the heads side by side"),
)  # fmt: skip
RESIDUAL = Leaf(
    "residual", "add", ("@skip", "output"), "btd,btd->btd", "{skip} + output",
    Text("残差连接", "Residual"),
    Text("原样保留输入，梯度也能直接通过", "keeps the input as it is, and lets the gradient pass straight through"),
)  # fmt: skip
NORM = Leaf(
    "norm", "norm", ("@normed", "#norm.gain", "#norm.bias?"), "btd->btd", "{norm}",
    Text("归一化", "Norm"),
    Text("每个词元各自归一化，再乘增益、加偏置", "each token by itself, then gain and bias"),
)  # fmt: skip

HIDDEN = Leaf(
    "hidden", "contract", ("@input", "#w_in", "#b_in?"), "btd,df,f->btf", "X·W_in{+ b_in}",
    Text("前馈层（升维）", "Feed-forward, up"),
    Text("每个位置各自变换，先展宽", "each place by itself, first made wider"),
)  # fmt: skip
GATE = Leaf(
    "gate", "contract", ("@input", "#w_gate", "#b_gate?"), "btd,df,f->btf", "X·W_gate{+ b_gate}",
    Text("门", "Gate"),
    Text("决定每个分量放行多少", "decides how much of each component passes"),
)  # fmt: skip
ACTIVATION = Leaf(
    "activation", "activation", ("@opened",), "btf->btf", "{activation}({opened})",
    Text("激活", "Activation"),
    Text("没有非线性，两层线性就只是一层", "without it two linear maps would be one"),
)  # fmt: skip
GATED = Leaf(
    "gated", "multiply", ("activation", "hidden"), "btf,btf->btf", "activation * hidden",
    Text("门控", "Gated"),
    Text("逐分量相乘", "component by component"),
)  # fmt: skip
FEED_FORWARD_OUTPUT = Leaf(
    "output", "contract", ("@inner", "#w_out", "#b_out?"), "btf,fd,d->btd", "{inner}·W_out{+ b_out}",
    Text("前馈层（降维）", "Feed-forward, down"),
    Text("回到原来的宽度，才能与输入相加", "back to the width of the input, to be added to it"),
)  # fmt: skip

STACK_OUTPUT = Leaf(
    "output", "add", ("@last",), "btd->btd", "= {last}",
    Text("输出", "Output"),
    Text("最后一个块的结果", "what the last block gives"),
)  # fmt: skip
STACK_NORM = Leaf(
    "output", "norm", ("@last", "#norm.gain", "#norm.bias?"), "btd->btd", "norm({last})",
    Text("输出（末层归一化）", "Output (final norm)"),
    Text("前置归一化的块之间从不归一化，所以最后补一次", "pre-norm blocks pass on raw sums, so one norm ends the stack"),
)  # fmt: skip

LABELS = Leaf(
    "labels", "given", (), "->bt", "ids",
    Text("标签", "Labels"),
    Text("每个位置应当预测的词元", "what each place should predict"),
)  # fmt: skip
SCALED_OUTPUT = Leaf(
    "scaled_output", "scale", ("@hidden",), "btd->btd", "{factor} * {hidden}",
    Text("缩放后的输出", "Scaled output"),
    Text("投影前乘一个固定的数", "a fixed factor before the projection"),
)  # fmt: skip
LAST_OUTPUT = Leaf(
    "last_output", "last", ("@hidden", "@last"), "bsd->btd", "last of {hidden}",
    Text("最后一个位置的输出", "Output of the last column"),
    Text("只需预测下一个词元，其他位置不必求分数", "only the next token is wanted: the other places need no scores"),
)  # fmt: skip
LOGITS = Leaf(
    "logits", "contract", ("@hidden", "@matrix", "#output.b?"), "btd,dv,v->btv", "{hidden}·W{+ output.b}",
    Text("词表分数", "Logits"),
    Text("每个位置对词表里每个词的原始分数", "a raw score of every word of the vocabulary, at every place"),
)  # fmt: skip
TIED_LOGITS = LOGITS._replace(specification="btd,vd,v->btv", formula="{hidden}·E^T{+ output.b}")
LOG_PROBABILITIES = Leaf(
    "log_probabilities", "log_softmax", ("logits",), "btv->btv", "log softmax(logits) per row",
    Text("对数概率", "Log-probabilities"),
    Text("损失从这里取；直接求对数更精确", "the loss is taken from here; the logarithm is exact where a small probability is not"),
)  # fmt: skip
PROBABILITIES = Leaf(
    "probabilities", "exp", ("log_probabilities",), "btv->btv", "exp(log_probabilities)",
    Text("概率", "Probabilities"),
    Text("每行之和为 1；只给读者看，后面不再用到", "every row sums to 1; for the reader, nothing uses it further on"),
)  # fmt: skip
PER_TOKEN_LOSS = Leaf(
    "loss.per_token", "pick", ("log_probabilities", "labels"), "btv,bt->bt", "-log P(label)",
    Text("每个位置的损失", "Loss per token"),
    Text("正确答案的概率越高，损失越小", "the more probable the right answer, the smaller the loss"),
)  # fmt: skip
SMOOTHED_LOSS = PER_TOKEN_LOSS._replace(
    formula="-(1 - {smoothing}) * log P(label) - {smoothing}/{words} * sum of log P",
    why=Text("标签平滑：正确答案不再占满目标，过分自信也要付出代价", "label smoothing: the label is not the whole target, so overconfidence has a price"),
)  # fmt: skip
LOSS = Leaf(
    "loss", "mean", ("loss.per_token", "labels"), "bt,bt->", "sum / number of counted labels",
    Text("损失", "Loss"),
    Text("对计入的位置取平均", "the mean over the counted positions"),
)  # fmt: skip
