"""A recorded run once more: the batch that it was given."""

from __future__ import annotations

from ..batch import Batch
from ..errors import TraceError
from ..shapes import Array
from .trace import Trace


def batch_of(trace: Trace) -> Batch:
    """The batch of a trace, from its tokens, masks, labels and what else the run was given.

    Raises `TraceError` for the trace of a generation, which is many runs, and for one that leaves
    out a stage that is needed.
    """
    if trace.phases:
        raise TraceError("this is the trace of a generation, which is many runs and no one batch")
    given: dict[str, Array | None] = {"labels": trace.values.get("labels")}
    for side in trace.config.sides:
        prefix = "decoder_" if side == "decoder" and trace.config.model == "encoder-decoder" else ""
        given[f"{prefix}mask"] = _had(trace, f"{side}.mask")
        if side == "encoder" and "memory" in trace.vectors:
            given["memory"] = _had(trace, "encoder.output")
            continue
        if side in trace.vectors:
            given[f"{prefix}vectors"] = _had(trace, f"{side}.embedding")
        else:
            given[f"{prefix}ids"] = _had(trace, f"{side}.tokens")
        for name in ("positions", "segments", "documents"):
            given[prefix + name] = trace.inputs.get(f"inputs/{side}.{name}")
    return Batch(**given)


def _had(trace: Trace, stage: str) -> Array:
    if stage not in trace:
        raise TraceError(f"this trace leaves out {stage!r}, without which it cannot be run again")
    return trace[stage]
