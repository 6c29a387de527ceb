"""The steps of one rank as windows of time that do not overlap."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tracekit.attribution import NOBODY, Attribution
from tracekit.trace import Intervals, Ints, Trace

STEP_SOURCES = ("steps", "passes", "trace")
_STEP = re.compile(r"ProfilerStep#(\d{1,18})")


@dataclass(frozen=True)
class StepWindows:
    """By start; times in ns.

    A window lasts from the start of the step's range to the later of its end and the end of the last GPU
    event that was launched in it, but no longer than until the next one starts: what a device still does then
    is in the next window. `issued_until` is the end of the range itself. Where passes are the steps, one
    lasts until the next begins, since a pass is no more than the forward of a step.
    """

    source: str  # one of STEP_SOURCES
    number: Ints
    start: Ints
    end: Ints
    issued_until: Ints

    def __len__(self) -> int:
        return len(self.number)

    def of(self, moment: Ints) -> Ints:
        """The step in whose range each moment lies, else `NOBODY`."""
        at = np.searchsorted(self.start, moment, side="right") - 1
        inside = (at != NOBODY) & (moment <= self.issued_until[at])
        return np.where(inside, at, NOBODY)


def step_windows(trace: Trace, attribution: Attribution) -> StepWindows:
    """`ProfilerStep` ranges of the process that has the first one, else passes, else the whole trace."""
    regions = attribution.regions
    numbers = np.full(len(trace.names), NOBODY, np.int64)
    for code in np.unique(regions.name).tolist():
        if match := _STEP.fullmatch(trace.names[code]):
            numbers[code] = int(match[1])
    at = np.flatnonzero(numbers[regions.name] != NOBODY)
    if len(at):
        at = at[np.argsort(regions.start[at], kind="stable")]
        process = trace.processes[regions.thread[at]]
        at = at[process == process[0]]
        at = at[np.concatenate(([True], regions.start[at][1:] >= regions.end[at][:-1]))]
        return _windows(
            trace, attribution, "steps", numbers[regions.name[at]], regions.start[at], regions.end[at]
        )
    first, last = extent(trace)
    scopes = attribution.passes.scopes
    if len(scopes):
        number = np.arange(len(scopes), dtype=np.int64)
        until = np.append(scopes.start[1:], max(last, int(scopes.end.max())))
        return StepWindows("passes", number, scopes.start, until, until)
    whole = np.array([first], np.int64), np.array([last], np.int64)
    return StepWindows("trace", np.zeros(1, np.int64), *whole, whole[1])


def extent(trace: Trace) -> tuple[int, int]:
    """First start and last end of all events, 0 and 0 without any; ns."""
    tables: list[Intervals] = [trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations]
    tables = [table for table in tables if len(table)]
    if not tables:
        return 0, 0
    return min(int(one.start.min()) for one in tables), max(int(one.end.max()) for one in tables)


def _windows(
    trace: Trace, attribution: Attribution, source: str, number: Ints, start: Ints, end: Ints
) -> StepWindows:
    windows = StepWindows(source, number, start, end, end)
    launched = np.flatnonzero(~attribution.launched_before_trace)
    step = windows.of(trace.launches.start[attribution.gpu_launch[launched]])
    last = end.copy()
    np.maximum.at(last, step[step != NOBODY], trace.gpu_events.end[launched[step != NOBODY]])
    following = np.append(start[1:], np.iinfo(np.int64).max)
    return StepWindows(source, number, start, np.maximum(np.minimum(last, following), start), end)
