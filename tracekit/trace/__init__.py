"""Bytes to columns, and nothing else: `read(path)` gives a `Trace`."""

from tracekit.trace.columns import (
    GPU_KINDS,
    GpuEvents,
    Intervals,
    Ints,
    Launches,
    Ops,
    Signature,
    Trace,
)
from tracekit.trace.read import read

__all__ = ["GPU_KINDS", "GpuEvents", "Intervals", "Ints", "Launches", "Ops", "Signature", "Trace", "read"]
