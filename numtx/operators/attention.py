"""Attention operators: `attention(q, k, v, ...) -> out`, with or without a `kind` of their own.

A call is asked in one form, whatever the operator's own: q [B,H,T,d], k and v [B,G,S,d], and what
else it takes by name. What it takes is read off its arguments; what it does always is declared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..calls import Call, CallFailed
from ..errors import SubjectError, nearest
from ..shapes import Array
from ..subjects.declared import MISSING, arguments_of
from ..subjects.kinds import (
    ATTENTION,
    BIAS,
    CAUSAL,
    GRADIENTS,
    GROUPED,
    LSE,
    SCALE,
    SCORE_MASK,
    SINKS,
    SLOPES,
    SOFTCAP,
    WINDOW,
)
from ..subjects.subject import Subject

AXES = "bhtd"
LOWER, UPPER = "lower right", "upper left"
# Arguments that an operator may take, each by its own name or by one of `names`.
TAKEN = (CAUSAL, SCORE_MASK, BIAS, WINDOW, SOFTCAP, SINKS, SCALE, SLOPES, GROUPED)
EPS = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
}
Options = dict[str, Any]


class Answer(NamedTuple):
    """What an operator gave, widened: out [B,H,T,d], lse [B,H,T] where it gives one; and the
    coarser of the types that it was asked in and answered in."""

    out: Array
    lse: Array | None
    dtype: str


def _one_of(*words: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not any(
            value is word or (value == word and type(value) is type(word)) for word in words
        ):
            raise ValueError(" or ".join(map(repr, words)))
        return value

    return check


def _number(value: Any) -> float:
    wrong = isinstance(value, bool) or not isinstance(value, int | float | np.number)
    if wrong or not np.isfinite(value) or value <= 0:
        raise ValueError("a number above 0")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError("a whole number of at least 1")
    return int(value)


def _layout(value: Any) -> str:
    fits = isinstance(value, str) and len(set(value)) == len(value) and set("td") <= set(value)
    if not fits or not set(value) <= set(AXES):
        raise ValueError(f"the letters of {AXES} in their order, such as 'bthd' or 'td'")
    return str(value)


def _lse(value: Any) -> str:
    if value is True:
        return "bht"
    if not isinstance(value, str) or sorted(value) not in (sorted("bht"), sorted("ht"), ["t"]):
        raise ValueError("True, or its axes, such as 'bht' or 'bth'")
    return value


def _dtypes(value: Any) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(value)
    if not found or not set(found) <= set(EPS):
        raise ValueError(f"some of {', '.join(EPS)}")
    return found


def _widths(value: Any) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(value)
    return tuple(map(_whole, found))


def _names(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not set(value) <= set(TAKEN):
        raise ValueError(f"the operator's own names by {', '.join(TAKEN)}")
    return dict(value)


def _function(value: Any) -> Any:
    if not callable(value):
        raise ValueError("a function (dout, q, k, v, ...) -> (dq, dk, dv)")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


# What may be declared of an operator, and what it may be; `attention` says what each means.
DECLARED: Mapping[str, Callable[[Any], Any]] = {
    "name": _text,
    "layout": _layout,
    "causal": _one_of(True, False, LOWER, UPPER),
    "window": _whole,
    "softcap": _number,
    "scale": _number,
    "grouped": _one_of(True, False),
    "empty": _one_of("zero", "nan", "any"),
    "lse": _lse,
    "backward": _function,
    "gradients": _one_of(True, False),
    "dtypes": _dtypes,
    "tensors": _one_of(True, False),
    "names": _names,
    "together": _one_of(True, False),
    "widths": _widths,
    "longest": _whole,
}


class AttentionSubject(Subject):
    """An operator with what is declared of it; see `attention`."""

    kind = ATTENTION
    wanted = "an attention operator takes q, k, v and gives an output of the shape of q"

    def __init__(self, function: Callable[..., Any], declared: Mapping[str, Any]) -> None:
        self.function = function
        own = getattr(function, "__name__", type(function).__name__)
        self.name = declared.get("name", own)
        self.layout: str = declared.get("layout", AXES)
        self.names: dict[str, str] = {name: name for name in TAKEN} | declared.get("names", {})
        taken = set(arguments_of(function)) | set(declared.get("names", {}).values())
        self.takes = frozenset(name for name in TAKEN if self.names[name] in taken)
        causal = declared.get("causal", CAUSAL in self.takes)
        self.corner = UPPER if causal == UPPER else LOWER
        self.is_causal = bool(causal)
        self.fixed = {name: declared[name] for name in (WINDOW, SOFTCAP, SCALE) if name in declared}
        for name in self.fixed:
            if name in self.takes:
                told = f"{self.name} takes {name}: it is not declared, each call gives its own"
                raise SubjectError(told)
        self.empty: str = declared.get("empty", "zero")
        self.lse_axes: str | None = declared.get("lse")
        self.tensors = bool(declared.get("tensors", _is_of_torch(function)))
        self.backward = declared.get("backward", getattr(function, "backward", None))
        self.dtypes: tuple[str, ...] = declared.get("dtypes", ("float64", "float32"))
        self.together = bool(declared.get("together", True))
        self.widths: tuple[int, ...] = declared.get("widths", (4, 8))
        self.longest = declared.get("longest", 96)
        self.inner: dict[str, str] = {}  # the precision within, by the type outside
        found = {ATTENTION} | (self.takes - {CAUSAL, GROUPED})
        found |= {CAUSAL} if self.is_causal else set()
        grouped = declared.get("grouped", GROUPED in self.takes) and "h" in self.layout
        found |= {GROUPED} if grouped else set()
        found |= {LSE} if self.lse_axes else set()
        backward = self.backward is not None or self.tensors
        found |= {GRADIENTS} if declared.get("gradients", backward) else set()
        self.capabilities = frozenset(found)

    @property
    def always_causal(self) -> bool:
        return self.is_causal and CAUSAL not in self.takes

    def attend(self, q: Array, k: Array, v: Array, options: Options, dtype: str) -> Answer:
        """The output, for float64 arrays whose numbers the type holds."""
        given = [self._into(x, dtype) for x in (q, k, v)]
        found = self.function(*given, **self._options(q, k, options, dtype))
        wanted = 2 if self.lse_axes else 1
        parts = tuple(found) if isinstance(found, tuple | list) else (found,)
        if len(parts) < wanted:
            raise SubjectError(f"{self.name} gave no lse beside the output")
        out, given_as = self._out_of(parts[0], self.layout, q.shape, "an output")
        lse = None
        if self.lse_axes is not None:
            lse = self._out_of(parts[1], self.lse_axes, q.shape[:3], "an lse")[0]
        return Answer(out, lse, max(dtype, given_as, self.inner.get(dtype, dtype), key=EPS.get))  # type: ignore[arg-type]

    def gradients(
        self, dout: Array, q: Array, k: Array, v: Array, options: Options, dtype: str
    ) -> tuple[Array, ...]:
        """dq, dk and dv for the gradient of the output."""
        given = [self._into(x, dtype) for x in (q, k, v)]
        named = self._options(q, k, options, dtype)
        turned = self._into(dout, dtype)
        if self.backward is not None:
            found = self.backward(turned, *given, **named)
        else:
            from .tensors import differentiated

            found = differentiated(self.function, turned, given, named, self.name)
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise SubjectError(f"{self.name}: its backward should give (dq, dk, dv)")
        return tuple(
            self._out_of(one, self.layout, x.shape, f"d{letter}")[0]
            for one, x, letter in zip(found, (q, k, v), "qkv", strict=True)
        )

    def first_call(self) -> CallFailed | None:
        """What is raised by a plain call of each type."""
        generator = np.random.default_rng(0)
        for dtype in self.dtypes:
            q, k, v = self.plain(generator, 3, 5)
            call = Call("attend", {"q": q, "k": k, "v": v})
            try:
                out = self.attend(q, k, v, {}, dtype).out
                if not np.isfinite(out).all():
                    raise SubjectError(f"{self.name} gave NaN or inf for a plain {dtype} input")
            except (Exception, SystemExit) as error:
                return CallFailed("call", error, call)
        return None

    def plain(self, generator: Any, queries: int, keys: int) -> tuple[Array, Array, Array]:
        """Random q, k and v, of numbers that every type holds."""
        rows, heads = (2 if "b" in self.layout else 1), (4 if "h" in self.layout else 1)
        shapes = [(rows, heads, n, self.widths[0]) for n in (queries, keys, keys)]
        q, k, v = (rounded(generator.standard_normal(shape), "bfloat16") for shape in shapes)
        return q, k, v

    def _options(self, q: Array, k: Array, options: Options, dtype: str) -> Options:
        named: Options = {}
        for name, value in options.items():
            if isinstance(value, np.ndarray):
                absent = tuple(i for i in (0, 1) if value.ndim > 1 and AXES[i] not in self.layout)
                value = value.squeeze(absent) if absent else value
                value = self._as_given(value, dtype)
            named[self.names[name]] = value
        if GROUPED in self.takes and q.shape[1] != k.shape[1]:
            named[self.names[GROUPED]] = True
        return named

    def _into(self, x: Array, dtype: str) -> Any:
        """[B,H,T,d] in the operator's own layout and type."""
        order = [AXES.index(letter) for letter in self.layout]
        absent = [i for i in range(4) if i not in order]
        turned = x.transpose(*absent, *order)[(0,) * len(absent)]
        return self._as_given(np.ascontiguousarray(turned), dtype)

    def _as_given(self, x: Array, dtype: str) -> Any:
        if self.tensors:
            from .tensors import as_tensor

            return as_tensor(x, dtype if x.dtype.kind == "f" else None)
        if x.dtype.kind != "f":
            return x.copy()
        if dtype == "bfloat16":
            raise SubjectError("bfloat16 is a type of tensors only; give tensors=True")
        return x.astype(dtype)

    def _out_of(
        self, found: Any, layout: str, shape: Sequence[int], what: str
    ) -> tuple[Array, str]:
        """What came back as [B,H,T,d] (or [B,H,T]) in float64, and its type."""
        kind = type(found).__name__
        if hasattr(found, "detach"):
            from .tensors import as_array

            array, dtype = as_array(found)
        else:
            array = np.asarray(found)
            dtype = str(array.dtype)
        letters = AXES[: len(shape)]
        layout = "".join(letter for letter in layout if letter in letters)
        wanted = tuple(shape[letters.index(letter)] for letter in layout)
        if array.dtype.kind != "f" or array.shape != wanted:
            got = f"{dtype} of shape {array.shape}" if array.ndim else kind
            raise SubjectError(
                f"{self.name} gave {what} of {got}; it should be floats of shape {wanted} "
                f"({', '.join(layout)}; layout= says another order)"
            )
        absent = [letter for letter in letters if letter not in layout]
        full = array[(None,) * len(absent)]
        own = "".join(absent) + layout
        return full.transpose([own.index(letter) for letter in letters]).astype(np.float64), dtype


def rounded(x: Array, dtype: str) -> Array:
    """Numbers of float64 rounded to what a type holds."""
    if dtype != "bfloat16":
        narrow: Array = x.astype(dtype).astype(np.float64)
        return narrow
    bits = np.asarray(x, np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return bits.view(np.float32).astype(np.float64)


def _is_of_torch(function: Any) -> bool:
    torch = sys.modules.get("torch")
    own = str(getattr(function, "__module__", None) or "").partition(".")[0] == "torch"
    return torch is not None and (own or isinstance(function, torch.nn.Module))


def attention(function: Callable[..., Any], **declared: Any) -> AttentionSubject:
    """An attention operator (q, k, v, ...) -> out, or (out, lse), to try laws on.

    Of the arguments causal, mask, bias, window, softcap, sinks, scale, slopes and grouped it is
    asked for those that the function takes. `mask` [B,1,T,S] is True where a query may attend,
    `bias` [B,H,T,S] is added to the scaled scores, `window` counts the keys that a query sees with
    its own, `sinks` and `slopes` are [H], `grouped` is True where there are fewer key/value heads.

    names      the function's own names for these: {"mask": "attn_mask"}
    layout     the axes of q, of b, h, t, d: 'bhtd', 'bthd', 'td'
    causal     always causal, or (where it is an argument) the corner that the triangle is aligned
               to where queries and keys differ in number: True or 'lower right', 'upper left'
    window, softcap, scale   what it does always, where it is no argument
    grouped    fewer key/value heads than query heads may come: each is that of a run of queries'
    empty      what a query gives that may attend to nothing: 'zero', 'nan', or 'any'
    lse        the function gives (out, lse): True, or the axes of lse
    backward   a function (dout, q, k, v, ...) -> (dq, dk, dv); tensors need none
    gradients  False: tensors are not to be differentiated
    dtypes     the types to try, of float64, float32, float16, bfloat16
    tensors    it takes tensors of PyTorch
    together   False: mask and causal are never given in one call
    widths     the sizes d to try
    longest    the most queries and keys

    Raises `SubjectError` for a declaration that is none, and for what cannot be called.
    """
    from .guess import guessed

    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise SubjectError(f"{name} is no function; an attention operator is one of q, k, v")
    found: dict[str, Any] = {}
    for one, check in DECLARED.items():
        value = declared.pop(one, MISSING)
        if value is MISSING and one not in ("name", "backward"):
            value = getattr(function, one, MISSING)
        if value is MISSING or value is None:
            continue
        try:
            found[one] = check(value)
        except (ValueError, TypeError) as error:
            raise SubjectError(f"{name}: {one} is {value!r}; it should be {error}") from None
    if declared:
        wrong = next(iter(declared))
        told = f"an attention operator has no option {wrong!r}; {nearest(wrong, DECLARED)}"
        raise SubjectError(told)
    return guessed(function, found)
