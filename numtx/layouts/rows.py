"""Rows and fields that many tables share."""

from __future__ import annotations

from .layout import Key, Row

TRUTH = {True: True, False: False}
ATTENTION_BIASES = ("b_q", "b_k", "b_v", "b_o")
PLAIN_BIASES = (*ATTENTION_BIASES, "b_in", "b_out", "norm.bias")
HEAD = Row("lm_head.weight", ("output.w",), "transposed")
BUFFERS = (r".*\.rotary_emb\.inv_freq", r"(.*\.)?position_ids")
NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
TIED = {"tie_word_embeddings": Key("tied_output", True, TRUTH)}


def linear(theirs: str, *ours: str, how: str = "transposed") -> tuple[Row, Row]:
    """A matrix and its bias, of one projection or of several side by side; `ours` with `w_`."""

    def bias(name: str) -> str:
        place, _, leaf = name.rpartition(".")
        return f"{place}.b{leaf[1:]}"

    flat = "same" if how == "transposed" and len(ours) == 1 else how
    return (
        Row(f"{theirs}.weight", ours, how),
        Row(f"{theirs}.bias", tuple(map(bias, ours)), flat),
    )


def norm(theirs: str, ours: str) -> tuple[Row, Row]:
    """Gain and bias of a norm."""
    return Row(f"{theirs}.weight", (f"{ours}.gain",)), Row(f"{theirs}.bias", (f"{ours}.bias",))


def without(keys: dict[str, Key], *names: str) -> dict[str, Key]:
    return {name: key for name, key in keys.items() if name not in names}
