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
    from .check.gradcheck import check_model as check_model
    from .check.gradcheck import check_operation as check_operation
    from .check.gradcheck import check_stages as check_stages
    from .check.operations import check_own_operation as check_own_operation
    from .check.verify import verify as verify
    from .checkpoints.folder import read_model as read_model
    from .checkpoints.folder import write_model as write_model
    from .config import Config as Config
    from .costs import cache_numbers as cache_numbers
    from .costs import count_generation as count_generation
    from .costs import token_costs as token_costs
    from .decoding.beam import beam_search as beam_search
    from .decoding.filters import Filters as Filters
    from .decoding.generate import generate as generate
    from .decoding.prefix import PrefixCache as PrefixCache
    from .decoding.probability import sequence_log_probability as sequence_log_probability
    from .decoding.record import record_generation as record_generation
    from .decoding.sample import sampler as sampler
    from .errors import NumtxError as NumtxError
    from .examples.registry import example_for_text as example_for_text
    from .examples.registry import load_example as load_example
    from .formats.tables import write_csv as write_csv
    from .interface.cells import explain as explain
    from .interface.checks import check_backward as check_backward
    from .interface.checks import check_exercise as check_exercise
    from .interface.checks import check_laws as check_laws
    from .interface.checks import figures as figures
    from .interface.checks import inspect as inspect
    from .interface.checks import lesson_exercise as lesson_exercise
    from .interface.comparing import compare_runs as compare_runs
    from .interface.output import to_html as to_html
    from .interface.output import to_json as to_json
    from .interface.output import to_markdown as to_markdown
    from .interface.output import to_text as to_text
    from .interface.pictures import picture as picture
    from .learning.learn import all_lessons as all_lessons
    from .learning.learn import run_lesson as run_lesson
    from .model import backward as backward
    from .model import forward as forward
    from .notebook.lesson import lesson_notebook as lesson_notebook
    from .parameters import initialise as initialise
    from .parameters import parameter_shapes as parameter_shapes
    from .parameters_file import load_parameters as load_parameters
    from .parameters_file import save_parameters as save_parameters
    from .sequences import pad as pad
    from .tap import NO_TAP as NO_TAP
    from .tap import Pin as Pin
    from .tap import Recorder as Recorder
    from .trace.files import load_trace as load_trace
    from .trace.files import save_trace as save_trace
    from .trace.trace import RecordedStage as RecordedStage
    from .trace.trace import Trace as Trace
    from .trace.trace import record as record
    from .trace.trace import stages_of as stages_of
    from .trace.what_if import changes as changes
    from .training.checkpoint import load_run as load_run
    from .training.checkpoint import save_run as save_run
    from .training.demonstrations import exposure_bias as exposure_bias
    from .training.demonstrations import gradient_depth as gradient_depth
    from .training.flow import gradient_flow as gradient_flow
    from .training.loop import train as train
    from .training.peeking import counting_task as counting_task
    from .training.peeking import own_task as own_task
    from .training.peeking import peeking as peeking
    from .training.recipe import Recipe as Recipe
    from .training.run import Run as Run
    from .vocabulary import Vocabulary as Vocabulary

_HOMES = {
    "all_lessons": "learning.learn",
    "backward": "model",
    "BackwardPass": "backwards.own",
    "Batch": "batch",
    "beam_search": "decoding.beam",
    "BlockPool": "cache",
    "Cache": "cache",
    "cache_numbers": "costs",
    "changes": "trace.what_if",
    "check_backward": "interface.checks",
    "check_exercise": "interface.checks",
    "check_laws": "interface.checks",
    "check_model": "check.gradcheck",
    "check_operation": "check.gradcheck",
    "check_own_operation": "check.operations",
    "check_stages": "check.gradcheck",
    "compare_runs": "interface.comparing",
    "Config": "config",
    "count_generation": "costs",
    "counting_task": "training.peeking",
    "example_for_text": "examples.registry",
    "explain": "interface.cells",
    "exposure_bias": "training.demonstrations",
    "figures": "interface.checks",
    "Filters": "decoding.filters",
    "forward": "model",
    "generate": "decoding.generate",
    "gradient_depth": "training.demonstrations",
    "gradient_flow": "training.flow",
    "initialise": "parameters",
    "inspect": "interface.checks",
    "lesson_exercise": "interface.checks",
    "lesson_notebook": "notebook.lesson",
    "load_example": "examples.registry",
    "load_parameters": "parameters_file",
    "load_run": "training.checkpoint",
    "load_trace": "trace.files",
    "next_tokens": "batch",
    "NO_TAP": "tap",
    "NumtxError": "errors",
    "own_task": "training.peeking",
    "pad": "sequences",
    "parameter_shapes": "parameters",
    "peeking": "training.peeking",
    "picture": "interface.pictures",
    "Pin": "tap",
    "PrefixCache": "decoding.prefix",
    "read_model": "checkpoints.folder",
    "Recipe": "training.recipe",
    "record": "trace.trace",
    "record_generation": "decoding.record",
    "RecordedStage": "trace.trace",
    "Recorder": "tap",
    "Run": "training.run",
    "run_lesson": "learning.learn",
    "sampler": "decoding.sample",
    "save_parameters": "parameters_file",
    "save_run": "training.checkpoint",
    "save_trace": "trace.files",
    "sequence_log_probability": "decoding.probability",
    "stages_of": "trace.trace",
    "to_html": "interface.output",
    "to_json": "interface.output",
    "to_markdown": "interface.output",
    "to_text": "interface.output",
    "token_costs": "costs",
    "Trace": "trace.trace",
    "train": "training.loop",
    "verify": "check.verify",
    "Vocabulary": "vocabulary",
    "write_csv": "formats.tables",
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
