"""Bytes to columns, and nothing else: `read(path)` gives a `Trace`."""

from tracekit.trace.columns import (
    FRAME_PREFIX,
    GPU_KINDS,
    NO_ID,
    CollectiveArgs,
    Flows,
    GpuEvents,
    Intervals,
    Ints,
    Launches,
    Ops,
    Signature,
    Trace,
)
from tracekit.trace.read import read

__all__ = [
    "FRAME_PREFIX",
    "GPU_KINDS",
    "NO_ID",
    "CollectiveArgs",
    "Flows",
    "GpuEvents",
    "Intervals",
    "Ints",
    "Launches",
    "Ops",
    "Signature",
    "Trace",
    "read",
]
