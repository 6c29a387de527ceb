"""Bytes to columns, and nothing else: `read(path)` gives a `Trace`."""

from tracekit.trace.columns import (
    FRAME_PREFIX,
    GPU_KINDS,
    CollectiveArgs,
    Collectives,
    Flows,
    GpuEvents,
    Intervals,
    Ints,
    Launches,
    Layout,
    Ops,
    RecordedCollective,
    Signature,
    Trace,
)
from tracekit.trace.events import NO_ID
from tracekit.trace.insert import with_events
from tracekit.trace.read import read
from tracekit.trace.source import open_source

__all__ = [
    "FRAME_PREFIX",
    "GPU_KINDS",
    "NO_ID",
    "CollectiveArgs",
    "Collectives",
    "Flows",
    "GpuEvents",
    "Intervals",
    "Ints",
    "Launches",
    "Layout",
    "Ops",
    "RecordedCollective",
    "Signature",
    "Trace",
    "open_source",
    "read",
    "with_events",
]
