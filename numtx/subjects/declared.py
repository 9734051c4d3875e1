"""What an object says of itself: declarations, and what only looks like one.

Nothing is taken in silence: a declaration with a wrong value is an error, and a name that looks
like a declaration or a capability, and is none, is named once in the report.
"""

from __future__ import annotations

import difflib
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import SubjectError, nearest

MISSING = object()
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def _truth(value: Any) -> bool:
    if value is True or value is False or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise ValueError("True or False")


def _whole(least: int) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        if value is None:
            return None
        try:
            if isinstance(value, bool) or (found := operator.index(value)) < least:
                raise TypeError
        except TypeError:
            raise ValueError(f"a whole number of at least {least}, or None") from None
        return found

    return check


def _size(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
        raise ValueError("a number between 0 and 1, or None")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _paths(value: Any) -> Mapping[str, Any]:
    """Functions by name; with None for one that is looked up on the object."""
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    try:
        found = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names)
    except TypeError:
        found = {"": None}
    for name, function in found.items():
        if not (isinstance(name, str) and name and (function is None or callable(function))):
            raise ValueError("names of its methods, or functions by name")
    return found


def _one_of(*words: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is not None and value not in words:
            raise ValueError(" or ".join(map(repr, words)) + ", or None")
        return None if value is None else str(value)

    return check


PADDINGS = ("left", "right", "holes")


def _paddings(value: Any) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    try:
        words = tuple(words)
    except TypeError:
        words = (None,)
    if words == ("none",):
        return ()
    if set(words) - set(PADDINGS):
        raise ValueError(f"some of {', '.join(PADDINGS)}, or none")
    return tuple(one for one in PADDINGS if one in words)


# What may be declared, and what it may be; the attributes of `Subject` say what each means.
DECLARATIONS: Mapping[str, Callable[[Any], Any]] = {
    "causal": _truth,
    "reach": _whole(0),
    "reach_by": _one_of("columns", "tokens"),
    "ordered": _truth,
    "longest": _whole(1),
    "exact": _truth,
    "tolerance": _size,
    "paddings": _paddings,
    "fixed_rows": _whole(1),
    "rollback": _truth,
    "documents": _truth,
    "paths": _paths,
    "name": _text,
    "tensors": _truth,
    "cache": _one_of("dynamic", "static"),
}
# What stands for a value on the command line (empty: true or false), and what it says.
OPTIONS: Mapping[str, tuple[str, str]] = {
    "causal": ("", "no token sees a later one (default; an encoder's is --no-causal)"),
    "reach": ("N", "places from the farthest token that has an effect: layers * (window - 1)"),
    "reach_by": ("WORD", "what the reach counts under padding: columns or tokens"),
    "ordered": ("", "the model knows the order of tokens (default)"),
    "longest": ("N", "the longest input to try"),
    "exact": ("", "equal shapes give equal bits (default)"),
    "tolerance": ("X", "for what is equal to the last digits, relative to the largest logit"),
    "paddings": ("WORDS", "which padding it takes: some of left,right,holes; or none"),
    "fixed_rows": ("N", "every call has so many rows"),
    "rollback": ("", "tokens can be taken away from a state again (default)"),
    "documents": ("", "the call takes documents, [B, T], which document a token belongs to"),
    "paths": ("NAMES", "other ways to compute the same logits: names of its methods"),
    "cache": ("KIND", "the cache of a language model of transformers: dynamic or static"),
}
MASKS, PASTS = ("mask", "attention_mask"), ("past_key_values", "cache")
DOCUMENT_ARGUMENT = "documents"
FLAGS = ("output_attentions", "return_weights", "need_weights", "return_attention", "fused")
STEPS = ("prefill", "step")
EDITS = ("fork", "truncate", "reorder", "reset", "lengths", "shift", "hide")
SPECULATE = "speculate"
TAKES = {  # what is given to methods whose names others use otherwise
    "shift": "state, keep, drop", "hide": "state, drop", SPECULATE: "ids, draft, max_new_tokens",
}  # fmt: skip

# Names in use elsewhere for what is declared here, for methods, and for arguments.
_DATA = {
    "reach": "window window_size sliding_window attention_window local_window max_distance",
    "longest": "max_length max_len max_seq_len max_seq_length max_sequence_length max_tokens n_ctx "
    "ctx_len context_length context_size context_window n_positions max_positions block_size "
    "max_position_embeddings capacity max_cache_len seq_len",
    "causal": "is_causal autoregressive bidirectional is_decoder is_encoder",
    "vocabulary_size": "vocab_size n_vocab vocab_len vocabulary num_embeddings",
    "tolerance": "atol rtol tol",
    "exact": "deterministic bitwise",
    "ordered": "permutation_invariant order_invariant",
    "reach_by": "window_by reach_in window_unit",
    "paddings": "padding padding_side pad_side padding_sides",
    "fixed_rows": "batch_size max_batch_size max_batch n_rows num_rows static_batch fixed_batch",
    "paths": "path implementations attn_implementations backends variants",
    "rollback": "no_rollback can_rollback supports_rollback supports_truncate can_truncate",
}
_METHODS = {
    "prefill": "prompt prime encode_prompt process_prompt",
    "step": "decode decode_step decode_one forward_step next_token incremental extend",
    "fork": "clone copy clone_cache copy_cache branch snapshot",
    "truncate": "crop cut trim rollback roll_back rewind truncate_cache",
    "reorder": "reorder_cache gather gather_rows select_rows permute_rows beam_reorder",
    "reset": "clear clear_cache reset_cache empty",
    "lengths": "length get_length get_seq_length cache_length seq_lengths",
    "shift": "shift_cache context_shift shift_context slide evict drop_oldest",
    "speculate": "speculative_decode speculative_generate assisted_generate verify verify_draft",
}
_ARGUMENTS = {
    "mask": "padding_mask key_padding_mask src_key_padding_mask attn_mask pad_mask",
    "prefill and step": "past past_kv past_kvs kv_cache",
    "documents": "document_ids doc_ids segment_ids sequence_ids document_id seq_ids",
}


def _turned(table: Mapping[str, str]) -> dict[str, str]:
    return {name: right for right, names in table.items() for name in names.split()}


DATA, METHODS, ARGUMENTS = _turned(_DATA), _turned(_METHODS), _turned(_ARGUMENTS)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Declarations that were given by name. Raises `SubjectError` for one that is none."""
    found = {}
    for name, value in options.items():
        if name not in DECLARATIONS:
            hint = f"did you mean {DATA[name]!r}?" if name in DATA else nearest(name, DECLARATIONS)
            raise SubjectError(f"subject has no option {name!r}; {hint}")
        try:
            found[name] = DECLARATIONS[name](value)
        except ValueError as error:
            raise SubjectError(f"{name} is {value!r}; it should be {error}") from None
    return found


def declared_on(model: Any, name: str) -> tuple[dict[str, Any], list[str]]:
    """The declarations that stand on an object, and notes on what cannot be taken as one."""
    found: dict[str, Any] = {}
    notes: list[str] = []
    for one, check in DECLARATIONS.items():
        if one == "cache":  # a model's own store, more often than a declaration
            continue
        try:
            value = getattr(model, one, MISSING)
        except Exception as error:  # a property of the object's own
            raise SubjectError(f"{name}.{one} raised {type(error).__name__}: {error}") from None
        if value is MISSING or (one == "name" and not isinstance(value, str)):
            continue
        if callable(value) and one in METHODS:  # that is looked at among the methods
            continue
        try:
            found[one] = check(value)
        except ValueError as error:
            if isinstance(value, PLAIN):
                told = f"{name}.{one} is {value!r}; it should be {error}"
                raise SubjectError(told) from None
            notes.append(
                f"{one} is {type(value).__name__}: not a declaration; it should be {error}"
            )
    return found, notes


def overlooked(
    model: Any, given: set[str], functions: Mapping[str, Any], can: frozenset[str] = frozenset()
) -> list[str]:
    """Notes on what looks like a declaration or a capability under another name.

    given      names of what is declared already
    functions  what is called, by name ('' is the model itself): their arguments are looked at too
    can        capabilities that were found
    """
    notes: list[str] = []
    able = {one for one in (*STEPS, *EDITS, SPECULATE) if offers(model, one)}
    if "step" in can:
        able |= set(STEPS)
    for name, value in _own(model):
        if callable(value):
            right = _meant(name, METHODS, (*STEPS, *EDITS, SPECULATE))
            if name in TAKES and not offers(model, name):
                notes.append(f"{name}(): not asked; it should take {TAKES[name]}")
            elif right is not None and right not in able:
                notes.append(f"{name}(): not a capability; did you mean {right}?")
        else:
            right = _meant(name, DATA, (*DECLARATIONS, "vocabulary_size"))
            if right is not None and right not in given and getattr(model, name, None) is not None:
                shown = f" {value!r}" if isinstance(value, PLAIN) else ""
                hint = " (the farthest token that has an effect: layers * (window - 1))"
                hint = hint if right == "reach" and "window" in name else ""
                notes.append(f"{name}{shown}: not a declaration; did you mean {right}?{hint}")
    for place, function in functions.items():
        names = arguments_of(function)
        where = f" of {place}" if place else ""
        for name in names:
            right = _meant(name, ARGUMENTS, (*MASKS, *PASTS, DOCUMENT_ARGUMENT))
            if right == "mask":
                there = any(one in names for one in MASKS)
            else:
                there = "step" in can if right == "prefill and step" else right in names
            if right is not None and not there:
                notes.append(f"argument {name}{where}: never given; did you mean {right}?")
    return notes + _halves(model, able)


def _halves(model: Any, able: set[str]) -> list[str]:
    """Capabilities that are asked together with others only."""
    missing = [one for one in STEPS if one not in able]
    if not missing:
        methods = [(one, getattr(model, one, None)) for one in STEPS]
        one_of = [one for one, f in methods if set(MASKS) & set(arguments_of(f))]
        if len(one_of) == 1:
            return [f"mask of {one_of[0]}: never given; both prefill and step should take it"]
        return []
    halves = sorted(able - {SPECULATE})
    return [f"{one}: not asked without {' and '.join(missing)}" for one in halves]


def offers(model: Any, name: str) -> bool:
    """Whether an object has a method of this name, which takes what is given to it."""
    method = getattr(model, name, None)
    if not callable(method) or name not in TAKES:
        return callable(method)
    try:
        inspect.signature(method).bind(*TAKES[name].split())
    except TypeError:
        return False
    except ValueError:  # nobody can know
        return True
    return True


def arguments_of(function: Any) -> list[str]:
    """The names of what a function takes; none where that cannot be known."""
    try:
        if type(function).__module__.startswith("torch") or hasattr(function, "forward"):
            function = getattr(function, "forward", function)
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def other_flags(function: Any) -> list[tuple[str, bool]]:
    """Arguments that choose how logits are computed, each with the value that is not its own."""
    try:
        given = inspect.signature(getattr(function, "forward", function)).parameters
    except (TypeError, ValueError):
        return []
    return [(name, not given[name].default) for name in FLAGS if name in given
            and given[name].default in (None, False, True)]  # fmt: skip


def _meant(name: str, table: Mapping[str, str], known: tuple[str, ...]) -> str | None:
    """The known name that another one stands for; None: it is known, or is like none."""
    low = name.lower()
    if name in known:
        return None
    if low in table:
        return table[low]
    close = difflib.get_close_matches(low, known, n=1, cutoff=0.85) if len(low) > 3 else []
    return close[0] if close else None


_FOREIGN = {
    "builtins",
    "torch",
    "transformers",
    "typing",
    "abc",
    "enum",
    "functools",
    "dataclasses",
}


def _own(model: Any) -> Iterator[tuple[str, Any]]:
    """The public attributes that the object's owner gave it, each name once."""
    kinds = [k for k in type(model).__mro__ if k.__module__.partition(".")[0] not in _FOREIGN]
    places = [getattr(model, "__dict__", {}), *map(vars, kinds)]
    seen = set()
    for place in places:
        for name in place:
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, inspect.getattr_static(model, name, None)
