"""The registry of planted bugs: masks, attention, softmax, positions, wiring, gradients, loss.

Each is a substitution in the source; `old` occurs exactly once in its module. The name says
what the real bug is. (Those of caches and generation stand in `zoo_cache_bugs`.)
"""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """A bug that people really write, as a change of one place in the source.

    equivalent  why nothing can tell the change from the original, in a line; "" where it can
    """

    name: str
    module: str
    old: str
    new: str
    equivalent: str = ""


_COPY_MASK = "np.copyto(weights, -np.inf, where=~mask)"
_SEEN = "seen = valid[:, None, None, :]"

MASK_BUGS = (
    Bug("causal mask off by one: the next token is seen", "masks",
        "keys - queries if causal", "keys - queries + 1 if causal"),
    Bug("causal mask hides the token itself", "masks",
        "keys - queries if causal", "keys - queries - 1 if causal"),
    Bug("mask aligned upper left: a decode step sees key 0 only", "masks",
        "keys - queries if causal", "0 if causal"),
    Bug("causal mask skipped whenever a cache is passed", "masks",
        "& _reach(queries, keys, causal)", "& _reach(queries, keys, causal and keys == queries)"),
    Bug("causal mask forgotten", "masks",
        "& _reach(queries, keys, causal)", "& _reach(queries, keys, False)"),
    Bug("padding is not masked", "masks", _SEEN, "seen = np.ones_like(valid)[:, None, None, :]"),
    Bug("a row uses another row's padding", "masks", _SEEN, "seen = valid[::-1, None, None, :]"),
    Bug("every row uses the first row's padding", "masks",
        _SEEN, "seen = valid[:1, None, None, :].repeat(batch, 0)"),
    Bug("padding mask applied to queries instead of keys", "masks",
        _SEEN, "seen = valid[:, None, -queries:, None] if queries <= keys else "
        "valid[:, None, None, :]"),
    Bug("padding mask polarity flipped", "masks", _SEEN, "seen = ~valid[:, None, None, :]"),
    Bug("window off by one, too wide", "masks", "(np.abs(distance) < window)",
        "(np.abs(distance) <= window)"),
    Bug("window off by one, too narrow", "masks", "(np.abs(distance) < window)",
        "(np.abs(distance) < max(window - 1, 1))"),
    Bug("window looks back only, in an encoder too", "masks", "(np.abs(distance) < window)",
        "(distance < window)"),
    Bug("window forgotten", "masks", "if window is not None:", "if window is not None and False:"),
    Bug("window forgotten in decode", "masks", "if window is not None:",
        "if window is not None and queries > 1:"),
    Bug("window measured in columns, padding included", "masks",
        "distance = query_positions[:, None, :, None] - key_positions[:, None, None, :]",
        "distance = (np.arange(keys - queries, keys)[:, None] - np.arange(keys))[None, None]"),
    Bug("additive mask with a finite sentinel", "masks",
        "np.where(mask, 0.0, -np.inf)", "np.where(mask, 0.0, -1e9)"),
    Bug("additive mask read with the other polarity", "masks",
        "can_attend: Array = mask == 0.0", "can_attend: Array = mask != 0.0"),
    Bug("inverting a mask does nothing", "masks", "return ~mask", "return mask.copy()"),
    Bug("no key is ever taken for dead, and 0 * NaN is NaN", "masks",
        "return None if live.all() else live", "return None"),
    Bug("mask polarity flipped in the scores", "ops.attend",
        "return np.where(mask, scores, -np.inf)", "return np.where(mask, -np.inf, scores)"),
    Bug("finite minus infinity: a blind row gives the average of junk", "ops.attend",
        "return np.where(mask, scores, -np.inf)", "return np.where(mask, scores, -1e9)"),
    Bug("finite minus infinity that is too small", "ops.attend",
        "return np.where(mask, scores, -np.inf)", "return np.where(mask, scores, -30.0)"),
    Bug("masked scores are 0 instead of minus infinity", "ops.attend",
        "return np.where(mask, scores, -np.inf)", "return np.where(mask, scores, 0.0)"),
    Bug("hidden scores get a gradient", "ops.attend",
        "return np.where(mask, dmasked, 0.0)", "return dmasked + 1e-3 * ~mask"),
    Bug("masking has no backward of its own", "ops.attend",
        "return np.where(mask, dmasked, 0.0)", "return dmasked",
        "dmasked is weights * (...), and masked weights are exactly 0 already"),
    Bug("fast way: mask polarity flipped", "ops.attend", _COPY_MASK,
        "np.copyto(weights, -np.inf, where=mask)"),
    Bug("fast way: finite minus infinity", "ops.attend", _COPY_MASK,
        "np.copyto(weights, -1e9, where=~mask)"),
    Bug("fast way: no mask", "ops.attend", _COPY_MASK, "pass"),
    Bug("fast way: another row's mask", "ops.attend",
        "seen = mask.allowed[:, :1]", "seen = mask.allowed[::-1, :1]"),
    Bug("0 * NaN from masked values", "ops.attend",
        "return np.where(rows | np.isfinite(x), x, x.dtype.type(0))", "return x"),
    Bug("cross-attention forgets the source's padding", "model",
        'hidden["encoder"], stacks["encoder"].valid',
        'hidden["encoder"], stacks["encoder"].valid | True'),
    Bug("cross-attention masked by another row", "model",
        'hidden["encoder"], stacks["encoder"].valid',
        'hidden["encoder"], stacks["encoder"].valid[::-1]'),
    Bug("the encoder is causal", "model", 'causal=side == "decoder" and config.causal',
        "causal=config.causal"),
    Bug("NaN under padding is let through", "ops.lookup",
        "~(np.abs(x) <= limit)", "(np.abs(x) > limit)"),
    Bug("token 0 is taken for padding", "batch",
        "valid = np.ones(ids.shape, bool)", "valid = ids != 0"),
)  # fmt: skip

ATTENTION_BUGS = (
    Bug("scale missing", "ops.attend", "products * scale", "products * 1.0"),
    Bug("scale applied twice", "ops.attend", "products * scale", "products * scale * scale"),
    Bug("scale by the width of the model", "config", "1.0 / math.sqrt(self.d_k)",
        "1.0 / math.sqrt(self.width)"),
    Bug("scale by d_k instead of its root", "config", "1.0 / math.sqrt(self.d_k)",
        "1.0 / self.d_k"),
    Bug("scale lost in backward", "ops.attend", "dscores * c.scale)", "dscores)"),
    Bug("fast way: scale missing", "ops.attend", "    weights *= scale", "    pass"),
    Bug("fast way: scale lost in backward", "ops.attend", "dscores *= c.scale", "pass"),
    Bug("fast way: softmax backward without its sum", "ops.attend",
        "dscores -= row_dots(dscores, weights)", "pass"),
    Bug("blocks of queries: the last key is lost", "ops.attend",
        "span = slice(seen[0], seen[-1] + 1)", "span = slice(seen[0], max(seen[-1], seen[0] + 1))"),
    Bug("blocks of queries: part of the edge is not masked", "ops.attend",
        "edge = slice(partly[0], partly[-1] + 1)", "edge = slice(partly[0], partly[-1])"),
    Bug("blocks of queries: groups taken in turn", "ops.attend",
        "np.divide(scores @ values[b, h // group, span]",
        "np.divide(scores @ values[b, h % values.shape[1], span]"),
    Bug("keys tiled instead of repeated for grouped heads", "ops.attend",
        "products = _stack_groups(queries, keys.shape[1]) @ keys.swapaxes(-1, -2)\n"
        "    return _unstack_groups(products, queries.shape[1])",
        "every = np.tile(keys, (1, queries.shape[1] // keys.shape[1], 1, 1))\n"
        "    return queries @ every.swapaxes(-1, -2)"),
    Bug("values tiled instead of repeated for grouped heads", "ops.attend",
        "context = _stack_groups(weights, values.shape[1]) @ values\n"
        "    return _unstack_groups(context, weights.shape[1])",
        "return weights @ np.tile(values, (1, weights.shape[1] // values.shape[1], 1, 1))"),
    Bug("gradient of a group's keys from its first head only", "ops.attend",
        "dkeys = drows.swapaxes(-1, -2) @ _stack_groups(queries, groups)",
        "first = slice(None, None, queries.shape[1] // groups)\n"
        "    dkeys = dproducts[:, first].swapaxes(-1, -2) @ queries[:, first]"),
    Bug("gradient of a group's values from its first head only", "ops.attend",
        "dvalues = _stack_groups(weights, groups).swapaxes(-1, -2) @ drows",
        "first = slice(None, None, weights.shape[1] // groups)\n"
        "    dvalues = weights[:, first].swapaxes(-1, -2) @ dcontext[:, first]"),
    Bug("weights that do not sum to 1", "ops.attend",
        'weights = tap("weights", softmax)', 'weights = tap("weights", softmax * 1.5)'),
    Bug("softmax over the queries", "ops.softmax",
        "total = row_dots(out, constant_row(out.shape[-1], 1.0, out.dtype))\n    if blind",
        "total = np.add.reduce(out, -2, keepdims=True) + 1e-300\n    if False and blind"),
    Bug("softmax without taking the largest away", "ops.softmax",
        "np.subtract(scores, largest, out=out)", "out[...] = scores"),
    Bug("log_softmax without taking the largest away", "ops.softmax",
        "shifted = logits - np.maximum.reduce(logits, -1, keepdims=True)",
        "shifted = logits.copy()"),
    Bug("softmax backward without its sum", "ops.softmax",
        "dscores = dweights - row_dots(dweights, weights)", "dscores = dweights.copy()"),
    Bug("log_softmax backward without its sum", "ops.softmax",
        "dlogits: Array = dlog - np.exp(log_probabilities) * total", "dlogits: Array = dlog"),
    Bug("a blind row gives NaN", "ops.softmax", "        largest[blind] = 0.0\n", ""),
    Bug("a blind row attends to everything alike", "ops.softmax",
        "        total[blind] = 1.0",
        "        out += blind\n        total[blind] = out.shape[-1]"),
    Bug("heads merged without transposing", "ops.heads",
        "return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)",
        "return x.reshape(batch, length, heads * width)"),
    Bug("heads split the other way than they are merged", "ops.heads",
        "x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)",
        "x.reshape(batch, length, width // heads, heads).transpose(0, 3, 1, 2)"),
    Bug("keys and values swapped", "attention.multi_head",
        'key_map = at.linear(memory, "k")', 'key_map = at.linear(memory, "v")'),
    Bug("gradients of keys and values swapped", "attention.multi_head",
        'dvalues = at.grad("values", dvalues)\n    dkeys = at.grad("keys", dkeys)',
        'dkeys, dvalues = at.grad("values", dvalues), at.grad("keys", dkeys)'),
    Bug("the memory's gradient through the keys only", "attention.multi_head",
        "return dx, dkey_memory + dvalue_memory", "return dx, dkey_memory"),
    Bug("self-attention's gradient through the queries only", "block",
        "dh = dqueries + dkeys", "dh = dqueries"),
    Bug("cross-attention looks at its own input", "block",
        "here, h, stack.memory, stack.cross_attention",
        "here, h, stack.memory if stack.memory is None else h[:, [i % h.shape[1] for i in "
        "range(stack.memory.shape[1])]], stack.cross_attention"),
)  # fmt: skip

POSITION_BUGS = (
    Bug("left padding shifts positions", "batch", "count = np.cumsum(valid, 1) - 1",
        "count = np.cumsum(np.ones_like(valid), 1) - 1"),
    Bug("positions start at 1 with a mask", "batch", "count = np.cumsum(valid, 1) - 1",
        "count = np.cumsum(valid, 1)"),
    Bug("positions taken from the chunk instead of from the cache", "batch",
        "            positions += before[:, None]", "            pass"),
    Bug("positions of a padded chunk start anew", "batch",
        "count += before[:, None]", "pass"),
    Bug("a cached position leaks into an uncached call", "batch",
        "        positions += np.arange(ids.shape[1])\n",
        "        positions += np.arange(ids.shape[1]) + "
        "(getattr(_side, 'kept', 0) if before is None else 0)\n"
        "        _side.kept = 0 if before is None else 1\n"),
    Bug("a position past the table is let through", "batch",
        "positions.max() >= limit", "positions.max() > limit"),
    Bug("queries are not rotated", "attention.multi_head",
        'at("rotated_queries", rotate_forward(queries, rotation))',
        'at("rotated_queries", queries.copy())'),
    Bug("keys are cached before their rotation", "attention.multi_head",
        'keys = at("rotated_keys", rotate_forward(keys, rotation))',
        'keys = at("rotated_keys", rotate_forward(keys, rotation) if store is None else keys * 1.0'
        ")"),
    Bug("the rotation's backward is missing for keys", "attention.multi_head",
        'dkeys = rotate_backward(at.grad("rotated_keys", dkeys), rotation)',
        'dkeys = at.grad("rotated_keys", dkeys)'),
    Bug("rotary halves and interleaved pairs mixed up", "ops.positions",
        'if self.layout == "half":', 'if self.layout != "half":'),
    Bug("a rotation that is none: a sign is wrong", "ops.positions",
        "first * by.cosine - second * by.sine", "first * by.cosine + second * by.sine"),
    Bug("rotation the other way round", "ops.positions",
        "np.sin(angles).astype(dtype), layout", "-np.sin(angles).astype(dtype), layout"),
    Bug("backward rotates on instead of back", "ops.positions",
        "by._replace(sine=-by.sine)", "by"),
    Bug("angles in float32", "ops.positions",
        "angles = positions[:, None, :, None] * _frequencies(width, base)",
        "angles = (positions[:, None, :, None] * _frequencies(width, base)).astype(np.float32)"),
    Bug("frequencies with half the exponent", "ops.positions",
        "base ** (-np.arange(0, width, 2) / width)", "base ** (-np.arange(width // 2) / width)"),
    Bug("sine and cosine swapped in the table", "ops.positions",
        "table[..., 0::2] = np.sin(angles)\n    table[..., 1::2] = np.cos(angles)",
        "table[..., 0::2] = np.cos(angles)\n    table[..., 1::2] = np.sin(angles)"),
    Bug("base of the positions fixed", "model",
        "sinusoidal(given.positions, config.width, config.position_base, config.dtype)",
        "sinusoidal(given.positions, config.width, 10000.0, config.dtype)"),
    Bug("sinusoidal positions not added", "model", 'x = x + here("positions", places)',
        'here("positions", places)'),
    Bug("offset of the learned table forgotten", "model",
        "given.positions + config.position_offset", "given.positions + 0"),
    Bug("learned positions from columns, not from tokens", "model",
        "given.positions + config.position_offset",
        "np.arange(given.ids.shape[1]) + 0 * given.positions + config.position_offset"),
)  # fmt: skip
