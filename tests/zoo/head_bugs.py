"""Planted bugs: what stands on the last stack."""

from __future__ import annotations

from .bug import Bug

HEAD_BUGS = (
    Bug("the head's layer without its activation", "head_layer",
        'at("activation", activation_forward(kind, hidden))', 'at("activation", hidden)',
        checks="masked_heads_oracle", laws="S3"),
    Bug("the head's layer with the activation of the stack", "head_layer",
        "config.head_activation or config.activation", "config.activation",
        checks="masked_heads_oracle"),
    Bug("the head's layer adds its input", "head_layer", 'return at("norm", y)',
        'return at("norm", y + x)', checks="masked_heads_oracle", laws="V15 S3"),
    Bug("no gradient through the head's layer", "head_layer",
        "activation_backward(kind, dactive, hidden))", "dactive)",
        checks="masked_heads_oracle", laws="G1"),
    Bug("the bias of the head's layer has no gradient", "head_layer", 'at.add("b", db)',
        'at.add("b", 0.0 * db)', checks="masked_heads_oracle", laws="G1"),
    Bug("the pooler reads the first column, padding or not", "ops.pool", "np.argmax(valid, 1)",
        "0 * np.argmax(valid, 1)", checks="pooler_oracle", laws="V15 S3"),
    Bug("the pooler without its tanh", "pooler", 'return at("output", y)[:, 0]',
        'return at("output", hidden)[:, 0]', checks="pooler_oracle", laws="S3"),
    Bug("the pooler's gradient goes to the first column", "ops.pool",
        "dx[np.arange(len(dy)), places] = dy[:, 0]", "dx[:, 0] = dy[:, 0]",
        checks="pooler_oracle"),
    Bug("the gradient of a summed loss is that of the mean", "ops.total",
        "np.where(labels != IGNORED, dtotal, 0.0)",
        "np.where(labels != IGNORED, dtotal / np.count_nonzero(labels != IGNORED), 0.0)",
        checks="summed_oracle", laws="L6 G1"),
    Bug("a summed loss counts ignored labels", "ops.total",
        "counted = np.where(labels != IGNORED, per_token, 0.0)",
        "counted = np.where(labels != IGNORED, per_token, 1.0)", checks="summed_oracle",
        laws="L1 L6"),
    Bug("the output of a stack without a head passes no gradient on", "model",
        'dhidden = dhidden + given[f"{side}_output"]', "pass", checks="bare_oracle", laws="V15"),
    Bug("no gradient through the pooler", "head", "share = pooler_backward(",
        "share = 0.0 * pooler_backward(", checks="pooler_oracle"),
)  # fmt: skip
