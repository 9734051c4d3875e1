"""Parameters by linear algebra, so that numtx's own forward pass gives stated rows.

Each function changes few parameters of an example and leaves the rest seeded; what it returns
is read from a recorded run of the whole model, never from the algebra.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ..examples.example import Example
from ..shapes import Array
from ..trace.trace import Trace

Parameters = dict[str, Array]


def run(made: Example, parameters: Mapping[str, Array]) -> Trace:
    """The example's forward pass with other parameters."""
    return dataclasses.replace(made, parameters=parameters).trace(gradients=False)


def write_output(
    made: Example, parameters: Mapping[str, Array], side: str, rows: Array,
    gain: Array | None = None, bias: Array | None = None,
) -> Parameters:  # fmt: skip
    """Parameters under which `{side}.output` is LayerNorm(rows) * gain + bias.

    The last feed-forward layer has more hidden units than there are rows, so W_out can send
    every row anywhere: activation·W_out + b_out = rows * 10 - skip is solved exactly.
    """
    p = dict(parameters)
    place = f"{side}.{made.config.layers(side) - 1}.feed_forward"
    rng = np.random.default_rng(0)
    p[f"{place}.w_in"] = rng.standard_normal(p[f"{place}.w_in"].shape)
    p[f"{place}.b_in"] = rng.standard_normal(p[f"{place}.b_in"].shape)
    before = run(made, p)
    activation = before[f"{place}.activation"][0]
    skip = before[f"{place}.residual"][0] - before[f"{place}.output"][0]
    wanted = 10.0 * rows - skip
    p[f"{place}.b_out"] = wanted.mean(0)
    p[f"{place}.w_out"] = np.linalg.lstsq(activation, wanted - wanted.mean(0), rcond=None)[0]
    if gain is not None and bias is not None:
        p[f"{place}.norm.gain"], p[f"{place}.norm.bias"] = gain, bias
    return p


def spread(weights: Array) -> Array:
    """Rows on LayerNorm's sphere (mean 0, variance 1) of which one or two coordinates carry the
    logs of one or two rows of weights: [R, S] -> [S, 4]"""
    plane = np.linalg.svd(np.ones((1, 4)))[2][1:]  # orthonormal, mean 0
    logs = np.log(np.atleast_2d(weights))
    logs = logs - logs.mean(1, keepdims=True)
    logs = logs * (1.2 / np.abs(logs).max())
    last = np.sqrt(4.0 - (logs * logs).sum(0))
    rows: Array = np.vstack([logs, last]).T @ plane[-len(logs) - 1 :]
    return rows


def steer(
    made: Example, parameters: Mapping[str, Array], place: str, rows: Mapping[int, Sequence[float]]
) -> Parameters:
    """Parameters whose W_Q gives rows of `{place}.weights` (one head), as far as the keys span
    their logs; a row states the weights of the places that it may see."""
    trace = run(made, parameters)
    keys = trace[f"{place}.keys"][0, 0] * made.config.scale
    source = _input_of(place)
    inputs, queries = [], []
    for row, weights in rows.items():
        seen = keys[: len(weights)]
        system = np.column_stack([seen, np.ones(len(seen))])
        query = np.linalg.lstsq(system, np.log(np.asarray(weights, float)), rcond=None)[0][:-1]
        inputs.append(trace[source][0, row])
        queries.append(query)
    x = np.array(inputs)
    w_q = parameters[f"{place}.w_q"]
    change = np.linalg.lstsq(x, np.array(queries) - x @ w_q, rcond=None)[0]
    p = dict(parameters)
    p[f"{place}.w_q"] = w_q + change
    if f"{place}.b_q" in p:
        p[f"{place}.b_q"] = np.zeros_like(p[f"{place}.b_q"])
    return p


def _input_of(place: str) -> str:
    side, layer, sublayer = place.split(".")
    if sublayer == "cross_attention":
        return f"{side}.{layer}.self_attention.norm"
    return f"{side}.input" if layer == "0" else f"{side}.{int(layer) - 1}.feed_forward.norm"


def read_out(
    made: Example, parameters: Mapping[str, Array], cells: Mapping[tuple[int, int], float],
    logits: Mapping[int, Sequence[float]] | None = None, rounds: int = 60,
) -> Parameters:  # fmt: skip
    """Parameters whose output.w gives probabilities {(position, token): p}, and whole rows of
    logits: Gauss-Newton `rounds` on output.w alone, from 0."""
    hidden = run(made, parameters)[f"{made.config.sides[-1]}.output"][0]
    size = made.config.vocabulary
    w = np.zeros((hidden.shape[1], size))
    for _ in range(rounds):
        system, missing = [], []
        for row, stated in (logits or {}).items():
            for token, value in enumerate(stated):
                system.append(np.outer(hidden[row], _one(token, size)).ravel())
                missing.append(value - hidden[row] @ w[:, token])
        for (row, token), p in cells.items():
            shares = np.exp(hidden[row] @ w)
            shares = shares / shares.sum()
            system.append(np.outer(hidden[row], _one(token, size) - shares).ravel())
            missing.append(np.log(p) - np.log(shares[token]))
        rows = np.array(system)  # few rows, many unknowns: the shortest change that meets them
        change = np.linalg.lstsq(rows @ rows.T, np.array(missing), rcond=None)[0] @ rows
        w = w + change.reshape(w.shape)
    return {**parameters, "output.w": w}


def _one(place: int, size: int) -> Array:
    """A vector that is 1 at a place and 0 elsewhere."""
    unit = np.zeros(size)
    unit[place] = 1.0
    return unit


def keys_near(printed: Array, half: float, weights: Sequence[float]) -> Array:
    """Rows within half a printed unit of `printed` whose products with one query have the logs of
    `weights`, up to a constant: the query by least squares, then the rows moved to meet it."""
    rows, logs = printed.copy(), np.log(np.asarray(weights, float))
    for _ in range(200):
        system = np.column_stack([rows, np.ones(len(rows))])
        solution = np.linalg.lstsq(system, logs, rcond=None)[0]
        query, missing = solution[:-1], logs - system @ solution
        if np.abs(missing).max() < half / 100:
            break
        moved = rows + np.outer(missing, query) / (query @ query)
        rows = np.clip(moved, printed - 0.99 * half, printed + 0.99 * half)
    return rows
