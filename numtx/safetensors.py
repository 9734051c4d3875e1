"""Files of tensors as `safetensors` writes them: eight bytes that say how long the header is, the
header, which is JSON, and the bytes of the tensors, one after the other without a gap.

Everything that a header says is checked before any data is read; a tensor is read when it is asked
for, and no other with it. Format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from .errors import CheckpointError
from .files import writing
from .shapes import Array
from .strict_json import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
LONGEST_HEADER: Final = 10_000_000  # bytes; of a hundred thousand tensors
LENGTH = 8  # bytes that say how long the header is
MOST_AXES = 16

# The bytes of a cell; and how NumPy sees one, where it is a number that becomes a parameter.
SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# What else can be an array beside parameters: ids, and masks.
WHOLE = {
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip


class Tensor(NamedTuple):
    """What a header says of a tensor.

    start, stop  its bytes, counted from the beginning of the file
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    def read(self, name: str) -> Array:
        """The data of a parameter: float64, float32 or float16 as stored, bfloat16 as float32."""
        if self.dtype not in FLOATS:
            raise CheckpointError(
                f"{self.file}: {name!r} is {self.dtype}; parameters are F64, F32, F16 or BF16, and "
                "a quantised model has to be saved in one of these first"
            )
        return self.read_any(name)

    def read_any(self, name: str) -> Array:
        """The same of numbers of any type but those of eight bits with a point."""
        stored = np.empty(self.shape, {**FLOATS, **WHOLE}[self.dtype])
        try:
            with self.file.open("rb") as file:
                file.seek(self.start)
                got = file.readinto(_bytes(stored))
        except OSError as error:
            raise _unreadable(self.file, error) from None
        if got != self.stop - self.start:
            raise CheckpointError(f"{self.file}: {name!r} is cut short; the file has changed")
        return from_bfloat16(stored) if self.dtype == "BF16" else stored


def from_bfloat16(stored: Array) -> Array:
    """bfloat16, as whole numbers of 16 bits, in float32: the upper half of its bits."""
    bits = stored.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def to_bfloat16(x: Array) -> Array:
    """The nearest bfloat16 of finite numbers, even where two are as near, as 16 bits each."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + (0x7FFF + ((bits >> 16) & 1))
    return (rounded >> 16).astype("<u2")


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, without their data.

    Raises `CheckpointError` for a file that is none, or whose header does not fit its bytes.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise CheckpointError(f"{path}: is no regular file; a file of tensors is needed")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH), "little")
            if size < LENGTH or length > size - LENGTH:
                raise CheckpointError(
                    f"{path}: {size} bytes, and the header alone should have {length}; "
                    "it is cut short, or no file of tensors"
                )
            if length > LONGEST_HEADER:
                raise CheckpointError(
                    f"{path}: a header of {length} bytes; {LONGEST_HEADER} are taken"
                )
            text = file.read(length)
    except OSError as error:
        raise _unreadable(path, error) from None
    header = read_json(text, f"{path}: header", CheckpointError)
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the header is no JSON object of tensors")
    header.pop("__metadata__", None)
    found = {name: _tensor(path, name, entry, LENGTH + length) for name, entry in header.items()}
    end = LENGTH + length
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].start, item[1].stop)):
        if tensor.start != end:
            how = "leaves a gap after" if tensor.start > end else "overlaps"
            raise CheckpointError(f"{path}: {name!r} {how} the tensor before it")
        end = tensor.stop
    if end != size:
        raise CheckpointError(
            f"{path}: the tensors end at byte {end}, and the file has {size}; it is damaged"
        )
    return found


def _tensor(path: Path, name: str, entry: Any, origin: int) -> Tensor:
    """One entry of a header, checked by itself."""
    where = f"{path}: {name[:80]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: an entry has dtype, shape and data_offsets, only and all")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise CheckpointError(f"{where}: dtype {str(dtype)[:40]!r}; known: {', '.join(SIZES)}")
    if not _whole_numbers(shape) or len(shape) > MOST_AXES:
        raise CheckpointError(
            f"{where}: shape {str(shape)[:60]}; it is a list of at most {MOST_AXES} whole numbers"
        )
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where}: data_offsets {str(offsets)[:60]}; they are [begin, end]")
    needed = math.prod(shape) * SIZES[dtype]
    if needed != offsets[1] - offsets[0]:
        raise CheckpointError(
            f"{where}: {dtype} of shape {str(shape)[:60]} needs {str(needed)[:25]} bytes; "
            f"data_offsets give {offsets[1] - offsets[0]}"
        )
    return Tensor(path, dtype, tuple(shape), origin + offsets[0], origin + offsets[1])


def _whole_numbers(value: Any) -> bool:
    """Whether it is a list of sizes that a file can have."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder: of model.safetensors, or of the shards that the index names.

    Raises `CheckpointError` where there are none, where they are pickles, and where index and
    shards do not name the same.
    """
    if (folder / SINGLE).exists():
        return read_header(folder / SINGLE)
    index = folder / INDEX
    if not index.exists():
        pickles = sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt*"))
        if pickles:
            raise CheckpointError(
                f"{pickles[0]}: a pickle, which is never loaded; save the model with "
                "save_pretrained(DIR, safe_serialization=True)"
            )
        raise CheckpointError(f"{folder}: has no {SINGLE} and no {INDEX}; it is no saved model")
    names = read_object(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(v, str) for v in names.values()):
        raise CheckpointError(f"{index}: weight_map is no object of names and files")
    found: dict[str, Tensor] = {}
    for shard in sorted(set(names.values())):
        if Path(shard).name != shard or "\\" in shard or shard.startswith("."):
            raise CheckpointError(
                f"{index}: {shard[:80]!r} is no plain name; shards stand in the folder itself"
            )
        if not (folder / shard).exists():
            raise CheckpointError(f"{folder / shard}: is missing, and {INDEX} names it")
        for name, tensor in read_header(folder / shard).items():
            if names.get(name) != shard:
                raise CheckpointError(f"{folder / shard}: {name!r} is not in it by {INDEX}")
            found[name] = tensor
    for name, shard in names.items():
        if name not in found:
            raise CheckpointError(f"{folder / shard}: {name!r} is missing, and {INDEX} names it")
    return found


def read_object(path: Path, most: int = LONGEST_HEADER) -> dict[str, Any]:
    """The JSON object in a file of at most so many bytes."""
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        size = path.stat().st_size
        if size > most:
            raise CheckpointError(f"{path}: {size} bytes; {most} are taken")
        found = read_json(path.read_bytes(), str(path), CheckpointError)
    except OSError as error:
        raise _unreadable(path, error) from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is no JSON object")
    return found


def write_tensors(
    path: Path,
    tensors: Mapping[str, tuple[tuple[int, ...], Callable[[], Array]]],
    dtype: str,
    others: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a file, as `files.writing` does; each is made when its turn comes.

    tensors  the shape of each, and what makes it
    dtype    F64, F32, F16 or BF16
    others   the types of tensors that have another
    """
    types = {**dict.fromkeys(tensors, dtype), **(others or {})}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # as transformers asks for
    end = 0
    for name, (shape, _) in tensors.items():
        begin, end = end, end + math.prod(shape) * SIZES[types[name]]
        header[name] = {"dtype": types[name], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)
    with writing(path) as file:
        file.write(len(text).to_bytes(LENGTH, "little"))
        file.write(text)
        for data in _stored(tensors, types):
            file.write(data)


def _stored(
    tensors: Mapping[str, tuple[tuple[int, ...], Callable[[], Array]]], types: Mapping[str, str]
) -> Iterator[memoryview]:
    for name, (_, make) in tensors.items():
        array, dtype = make(), types[name]
        with np.errstate(over="ignore"):
            if dtype == "BF16":
                stored = to_bfloat16(array)
                fits = np.isfinite(from_bfloat16(stored)).all()
            else:
                stored = np.ascontiguousarray(array, FLOATS[dtype])
                fits = np.isfinite(stored).all()
        if not fits:
            raise CheckpointError(f"{name!r} has numbers that {dtype} cannot hold; write F32")
        yield _bytes(stored)


def _bytes(x: Array) -> memoryview:
    """The bytes of an array, not copied."""
    return x.reshape(-1).view(np.uint8).data


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{path}: cannot be read: {error.strerror or error}")
