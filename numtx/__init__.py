"""numtx: a Transformer in pure NumPy that can be read, printed, checked and compared.

Names are loaded when they are first used, so that `numtx --help` does not load NumPy. Nothing
is imported here at once: Ctrl-C would meet it before `__main__` can answer.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers take it for typing's
if TYPE_CHECKING:
    from typing import Any

    from .backwards.own import BackwardPass as BackwardPass
    from .batch import Batch as Batch
    from .batch import next_tokens as next_tokens
    from .cache import BlockPool as BlockPool
    from .cache import Cache as Cache
    from .check.gradcheck import check_operation as check_operation
    from .checkpoints.folder import read_model as read_model
    from .checkpoints.folder import write_model as write_model
    from .config import Config as Config
    from .decoding.beam import beam_search as beam_search
    from .decoding.filters import Filters as Filters
    from .decoding.generate import generate as generate
    from .decoding.prefix import PrefixCache as PrefixCache
    from .decoding.probability import sequence_log_probability as sequence_log_probability
    from .decoding.record import record_generation as record_generation
    from .decoding.sample import sampler as sampler
    from .errors import NumtxError as NumtxError
    from .examples.registry import load_example as load_example
    from .model import backward as backward
    from .model import forward as forward
    from .parameters import initialise as initialise
    from .parameters_file import load_parameters as load_parameters
    from .parameters_file import save_parameters as save_parameters
    from .sequences import pad as pad
    from .tap import NO_TAP as NO_TAP
    from .tap import Pin as Pin
    from .tap import Recorder as Recorder
    from .trace.files import load_trace as load_trace
    from .trace.trace import Trace as Trace
    from .trace.trace import record as record
    from .vocabulary import Vocabulary as Vocabulary

_HOMES = {
    "BackwardPass": "backwards.own",
    "Batch": "batch",
    "BlockPool": "cache",
    "Cache": "cache",
    "Config": "config",
    "Filters": "decoding.filters",
    "NumtxError": "errors",
    "backward": "model",
    "check_operation": "check.gradcheck",
    "beam_search": "decoding.beam",
    "forward": "model",
    "generate": "decoding.generate",
    "initialise": "parameters",
    "NO_TAP": "tap",
    "Pin": "tap",
    "PrefixCache": "decoding.prefix",
    "Recorder": "tap",
    "Trace": "trace.trace",
    "Vocabulary": "vocabulary",
    "load_example": "examples.registry",
    "load_parameters": "parameters_file",
    "load_trace": "trace.files",
    "next_tokens": "batch",
    "pad": "sequences",
    "read_model": "checkpoints.folder",
    "record": "trace.trace",
    "record_generation": "decoding.record",
    "sampler": "decoding.sample",
    "save_parameters": "parameters_file",
    "sequence_log_probability": "decoding.probability",
    "write_model": "checkpoints.folder",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
