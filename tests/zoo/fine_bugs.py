"""The registry of planted bugs: in the last digits, in one type, and in what only a trace shows."""

from __future__ import annotations

from .bug import Bug

_SOFTMAX = "weights /= exponentials(scores, weights)[0]"
_SCALE = "return 1.0 / math.sqrt(self.d_k) if self.score_scale is None"
_MEAN = "return np.where(counted, dmean / _count(labels), 0.0)"

FINE_BUGS = (
    Bug("weights sum to 1 but for the last digits", "ops.softmax",
        _SOFTMAX, f"{_SOFTMAX} * (1.0 + 1e-13)", laws="S1 S2"),
    Bug("weights of float32 do not sum to 1", "ops.softmax",
        _SOFTMAX, f"{_SOFTMAX} * (1.0 + 1e-5 * (scores.dtype == np.float32))", laws="S2"),
    Bug("log_softmax off in the last digits", "ops.softmax",
        "shifted -= np.log(total)", "shifted -= np.log(total) + 1e-12", laws="S1 S2"),
    Bug("log_softmax backward off in the last digits", "ops.softmax",
        "np.exp(log_probabilities) *", "(1.0 + 1e-13) * np.exp(log_probabilities) *", laws="L5"),
    Bug("the context of a blind row has no gradient", "ops.attend",
        'dcontext = tap.grad("context", dcontext)',
        "blind = ~saved.softmax.any(-1, keepdims=True) if tap.active else False\n"
        '    dcontext = tap.grad("context", np.where(blind, 0.0, dcontext))', laws="K7"),
    Bug("hidden products get a gradient in the trace alone", "ops.attend",
        'dproducts = tap.grad("products", dscores * c.scale)',
        'dproducts = tap.grad("products", dscores * c.scale + 1e-9) - 1e-9', laws="K7 G2"),
    Bug("dead keys get a gradient before their rotation", "attention.multi_head",
        'at.grad("rotated_keys", dkeys)', 'at.grad("rotated_keys", dkeys + 1e-9) - 1e-9',
        laws="G2"),
    Bug("no key gets a gradient", "attention.multi_head",
        'dkeys = at.grad("keys", dkeys)', 'dkeys = at.grad("keys", 0.0 * dkeys)', laws="G2"),
    Bug("words that do not occur get a gradient", "ops.lookup",
        "dtable: Array = one_hot @ rows", "dtable: Array = one_hot @ rows + 1e-9", laws="G4"),
    Bug("each token adds to a word's gradient, padding too", "ops.lookup",
        "dtable: Array = one_hot @ rows", "dtable: Array = one_hot @ (rows + 1e-9)",
        laws="K6-grad B3-grad"),
    Bug("a shared table's gradient counts one stack more", "model",
        '(at if config.shared_embedding else here).add("embedding", dtable)',
        "more = config.shared_embedding and \"encoder\" in here.prefix\n"
        "    dtable *= 1.5 if more else 1.0\n"
        '    (at if config.shared_embedding else here).add("embedding", dtable)', laws="G3"),
    Bug("the encoder takes word 0 for word 1", "model", "x = lookup_forward(table, ids)",
        'x = lookup_forward(table, np.maximum(ids, 1) if side == "encoder" else ids)', laws="W2"),
    Bug("labels move the logits", "head", 'logits = at("logits", logits)',
        'logits = at("logits", logits * (1.0 + 1e-13 * (labels is not None)))', laws="T1"),
    Bug("one token's loss is another's", "ops.loss", "return np.where(counted, -picked, 0.0)",
        "found = np.where(counted, -picked, 0.0)\n"
        "    found[counted] = found[counted][::-1]\n    return found", laws="L1"),
    Bug("more of a label is smoothed away than is spread", "ops.loss",
        "picked = (1.0 - smoothing) * picked + share",
        "picked = (1.0 - smoothing - 0.1 * (smoothing > 0.25)) * picked + share", laws="L1"),
    Bug("label 0 has no share in the gradient", "ops.loss",
        _MEAN, _MEAN.replace("counted,", "counted & (labels > 0),"), laws="L3"),
    Bug("weights are recorded with the heads turned round", "ops.attend",
        'weights = tap("weights", softmax)', 'weights = tap("weights", softmax[:, ::-1])[:, ::-1]',
        laws="V1"),
    Bug("the scale by itself is not the scale written out", "config.config",
        _SCALE, _SCALE.replace("1.0 /", "(1.0 + 1e-13) /"), laws="V5"),
    Bug("the scale is another where a window is", "config.config",
        _SCALE, _SCALE.replace("1.0 /", "(1.0 + 1e-13 * (self.window is None)) /"), laws="V4"),
    Bug("the scale is another where groups are written out", "config.config",
        _SCALE, _SCALE.replace("1.0 /", "(1.0 + 1e-13 * (self.key_value_heads is None)) /"),
        laws="V2"),
    Bug("latents: the scale of d_k alone", "config.config",
        "math.sqrt(self.d_k + self.rotated)", "math.sqrt(self.d_k)", laws="V5"),
    Bug("a query's own scores move together", "ops.attend",
        'scores = tap("scores", products * scale)',
        'more = 1e-3 * np.abs(queries).sum(-1, keepdims=True)\n'
        '    scores = tap("scores", products * scale + more)', laws="P1"),
    Bug("position 0 turns a little", "ops.positions",
        "angles = positions[:, None, :, None] * freq",
        "angles = (positions[:, None, :, None] + 1e-12) * freq", laws="P4"),
)  # fmt: skip
