"""The calls that laws make of a subject, as functions of a file that needs no numtx."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

from ..subjects.declared import DOCUMENT_ARGUMENT, EDITS, STEPS, arguments_of
from ..subjects.subject import Subject

ARRAY = '''
def array(found):
    """What the model gave, as an array [B, T, V]; of the last token alone, [B, 1, V]."""
    found = found[0] if isinstance(found, tuple) else found
    found = getattr(found, "logits", found)
    if hasattr(found, "detach"):
        found = found.detach().cpu().double().numpy()
    found = np.array(found)
    return found[:, None] if found.ndim == 2 else found
'''
AGREE = """
def agree(got, expected, within):
    np.testing.assert_allclose(got, expected, rtol=0, atol=within, equal_nan=False)
"""
DIFFER = '''
def differ(pairs, least):
    """Each place must differ in some of the pairs."""
    moved = [np.abs(got - expected).max(-1) for got, expected in pairs]
    assert np.max(moved, 0).min() > least, "nothing moved"
'''


class UnstatedError(ValueError):
    """What a plain test cannot say, and why."""


def functions(own: Subject, used: set[str], masked: bool) -> str:
    """The functions for the methods that are used. Raises `UnstatedError` where there are none.

    masked  whether a mask is ever given
    """
    kind = type(own).__name__
    if kind not in KINDS:
        raise UnstatedError(f"{own.name} is a subject of numtx itself")
    known = {**KINDS[kind](own, masked), **({"fork": FORK} if kind != "ObjectSubject" else {})}
    unknown = sorted(used - set(known))
    if unknown:
        raise UnstatedError(f"there is no plain call for {', '.join(unknown)}")
    parts = [known.get("", "")]
    parts += [known[name] for name in known if name in used]
    return "\n\n".join(dedent(part).strip() + "\n" for part in [ARRAY, *parts] if part)


FORK = """
def fork(state):
    return copy.deepcopy(state)
"""


def _into(own: Any, name: str, kind: str = "") -> str:
    """An argument as the model takes it."""
    library = "torch" if own.tensors else "np"
    dtype = {"": "", "bool": ", dtype=torch.bool" if own.tensors else ", dtype=bool"}[kind]
    return f"{library}.{'tensor' if own.tensors else 'array'}({name}{dtype})"


def _given(own: Any, function: Any, masked: bool) -> str:
    """A line for the mask, where one is given."""
    name = own._mask_of(function)
    if not masked or not name:
        return ""
    value = _into(own, "mask", "bool" if name == "mask" else "")
    return f'    given = {{}} if mask is None else {{"{name}": {value}}}\n'


def _object(own: Any, masked: bool) -> dict[str, str]:
    ids, run = _into(own, "ids"), "model" if callable(own.model) else "model.logits"
    given = _given(own, own._run, masked)
    more = ", mask=None" if masked else ""
    star = ", **given" if given else ""
    found = {
        "logits": f"def logits(ids{more if given else ''}):\n{given}"
        f"    return array({run}({ids}{star}))\n",
        "in_documents": f"def in_documents(ids, documents):\n    documents = "
        f"{_into(own, 'documents')}\n    return array({run}({ids}, "
        f"{DOCUMENT_ARGUMENT}=documents))\n",
    }
    steps = [getattr(own.model, name, None) for name in STEPS]
    if all(map(callable, steps)) and not (masked and len(set(map(own._mask_of, steps))) > 1):
        given = _given(own, own.model.step, masked)
        more, star = (", mask=None", ", **given") if given else ("", "")
        found["step"] = (
            f"def step(ids, state=None{more}):\n{given}"
            "    if state is None:\n"
            f"        found, state = model.prefill({ids}{star})\n"
            "    else:\n"
            f"        found, state = model.step({ids}, state{star})\n"
            "    return array(found), state\n"
        )
    for name in EDITS:
        if callable(getattr(own.model, name, None)):
            given = {"truncate": ", lengths", "reorder": ", index"}.get(name, "")
            found[name] = f"def {name}(state{given}):\n    return model.{name}(state{given})\n"
    return found


def _past(own: Any, masked: bool) -> dict[str, str]:
    names = arguments_of(own._run)
    mask = own._mask_of(own._run)
    lines = [
        "def run(ids, mask, past, **options):",
        "    given = {} if past is None else " + f'{{"{own.past}": past}}',
    ]
    if masked:
        lines.append("    if mask is not None:")
        value = _into(own, "mask", "bool" if mask == "mask" else "")
        lines.append(f'        given["{mask}"] = {value}')
        if "position_ids" in names:
            places = "np.maximum(np.cumsum(mask, 1) - 1, 0)[:, -len(ids[0]) :]"
            lines.append(f"        places = {places}")
            lines.append(f'        given["position_ids"] = {_into(own, "places")}')
    caches = ", use_cache={}" if "use_cache" in names else ""
    off, on = caches.format(False), caches.format(True)
    lines.append(f"    return model({_into(own, 'ids')}, **given, **options)")
    part = f'''
def part(found):
    """What the model gave back to be given to it again."""
    if isinstance(found, dict):
        return found["{own.past}"]
    return getattr(found, "{own.past}", None) or found[1]
'''
    step = f'''
def step(ids, state=None, mask=None):
    """The logits of more tokens, and the state: what the model gave back, and the whole mask."""
    past, seen = state or (None, np.zeros((len(ids), 0), int))
    whole = np.concatenate([seen, np.ones_like(ids) if mask is None else mask], 1)
    found = run(ids, None if mask is None and whole.all() else whole, past{on})
    return array(found), (part(found), whole)
'''
    logits = f"def logits(ids, mask=None):\n    return array(run(ids, mask, None{off}))\n"
    return {"": "\n".join(lines), "logits": logits, "step": part + "\n" + step}


def _causal(own: Any, masked: bool) -> dict[str, str]:
    static = ""
    if own.static:
        static = f"""
if past is None:
    past = StaticCache(config=model.config, max_cache_len={own.far})
"""
    run = f'''
def run(ids, mask, past, use_cache):
    """Positions are counted over the mask, which is that of all columns."""
    places = np.maximum(np.cumsum(mask, 1) - 1, 0)[:, -len(ids[0]) :]
    with torch.no_grad():
        return model(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            position_ids=torch.tensor(places),
            {own.past}=past,
            use_cache=use_cache,
        )
'''
    logits = """
def logits(ids, mask=None):
    mask = np.ones_like(ids) if mask is None else mask
    return array(run(ids, mask, None, False))
"""
    step = f'''
def step(ids, state=None, mask=None):
    """The logits of more tokens, and the state: the cache, and the mask of all its columns."""
    past, seen = state or (None, np.zeros((len(ids), 0), int))
    mask = np.concatenate([seen, np.ones_like(ids) if mask is None else mask], 1)
{indent(static.strip(), "    ") + chr(10) if static else ""}    found = run(ids, mask, past, True)
    return array(found), (found.{own.past}, mask)
'''
    reorder = """
def reorder(state, index):
    past, mask = state
    if past is not None:
        past.reorder_cache(torch.tensor(index))
    return past, mask[index]
"""
    return {"": run, "logits": logits, "step": step, "reorder": reorder, **_truncate("past")}


def _truncate(cache: str) -> dict[str, str]:
    """Columns are cut; what a row loses beyond that is masked."""
    text = f'''
def truncate(state, lengths):
    """The last columns go; what a row loses beyond them is masked."""
    *others, past, mask = state
    kept = mask * (np.cumsum(mask, 1) <= np.array(lengths)[:, None])
    columns = 1 + max(np.flatnonzero(kept.any(0)), default=-1)
    if columns == 0:
        return (*others, None, kept[:, :0])
    if columns < mask.shape[1]:
        {cache}.crop(columns - mask.shape[1])
    return (*others, past, kept[:, :columns])
'''
    return {
        "truncate": text,
        "lengths": "def lengths(state):\n    return state[-1].sum(1).tolist()\n",
    }


def _encoder(own: Any, masked: bool) -> dict[str, str]:
    text = """
def logits(ids, mask=None):
    mask = np.array(np.ones_like(ids) if mask is None else mask)
    given = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
"""
    if own.positions:
        text += """    places = np.maximum(np.cumsum(mask, 1) - 1, 0)
    given["position_ids"] = torch.tensor(places)
"""
    return {"logits": text + "    with torch.no_grad():\n        return array(model(**given))\n"}


def _sequence(own: Any, masked: bool) -> dict[str, str]:
    from ..adapters.sequences import MEMORY_LENGTH

    known = own.new_memory(1, MEMORY_LENGTH, 99).ids.tolist()
    read = f'''
def read(rows, memory=None):
    """What the encoder makes of a memory, its ids and its mask, before any token of the decoder."""
    ids, mask = memory or ({known} * rows, [[1] * {MEMORY_LENGTH}] * rows)
    with torch.no_grad():
        found = model.get_encoder()(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))
    return found.last_hidden_state, np.array(mask), None, np.zeros((rows, 0), int)


def run(ids, mask, state, use_cache):
    hidden, memory_mask, past, seen = state
    mask = np.concatenate([seen, np.ones_like(ids) if mask is None else mask], 1)
    with torch.no_grad():
        found = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=torch.tensor(memory_mask),
            decoder_input_ids=torch.tensor(ids),
            decoder_attention_mask=torch.tensor(mask),
            {own.past}=past,
            use_cache=use_cache,
        )
    return array(found), (hidden, memory_mask, getattr(found, "{own.past}", None), mask)
'''
    logits = """
def logits(ids, mask=None, memory=None):
    return run(ids, mask, read(len(ids), memory), False)[0]
"""
    step = """
def step(ids, state=None, mask=None, memory=None):
    return run(ids, mask, read(len(ids), memory) if state is None else state, True)
"""
    reorder = """
def reorder(state, index):
    hidden, memory_mask, past, mask = state
    if past is not None:
        past.reorder_cache(torch.tensor(index))
    return hidden[index], memory_mask[index], past, mask[index]
"""
    return {
        "": read, "logits": logits, "step": step, "reorder": reorder,
        **_truncate("past.self_attention_cache"),
    }  # fmt: skip


# By the class of a subject: the texts of its methods; under "" what they all need.
KINDS = {
    "ObjectSubject": _object,
    "PastSubject": _past,
    "LanguageModelSubject": _causal,
    "EncoderSubject": _encoder,
    "SequenceSubject": _sequence,
}
