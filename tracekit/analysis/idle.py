"""Gaps in which no GPU works because the host has not launched the next kernel yet, and whose code ran then.

A gap lies within a pass, between the end of all that ran before and the start of the next GPU event. It is
the host's where the call that launched that event began after the gap did: work that was queued in time and
still waits, waits for something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.attribution import NOBODY, Attribution, Floats
from tracekit.trace import Ints, Trace


@dataclass(frozen=True)
class HostGaps:
    """In the order of time; `event` is the GPU event that ends each gap. Times in ns."""

    start: Ints
    end: Ints
    event: Ints

    def __len__(self) -> int:
        return len(self.start)

    def until(self, moment: Ints) -> Ints:
        """How much of the gaps lies before each moment."""
        total = np.concatenate(([0], np.cumsum(self.end - self.start)))
        number = np.searchsorted(self.start, moment, side="right")
        within = np.zeros(len(moment), np.int64)
        inside = number > 0
        last = number[inside] - 1
        within[inside] = np.maximum(self.end[last] - moment[inside], 0)
        return np.asarray(total[number] - within, np.int64)


def host_gaps(trace: Trace, attribution: Attribution) -> HostGaps:
    """The gaps of all passes; one begins no earlier than its pass."""
    events, launches = trace.gpu_events, trace.launches
    order = np.argsort(events.start, kind="stable")
    start, end = events.start[order], events.end[order]
    if not len(order) or not len(attribution.passes):
        nothing = np.zeros(0, np.int64)
        return HostGaps(nothing, nothing, nothing)
    busy_until = np.maximum.accumulate(end)
    gap_start = np.concatenate((start[:1], busy_until[:-1]))
    number = attribution.gpu_pass[order]
    in_pass = number != NOBODY
    pass_start = attribution.passes.scopes.start[np.where(in_pass, number, 0)]
    first = np.zeros(len(order), np.bool_)
    first[0] = True
    gap_start = np.where(first, pass_start, np.maximum(gap_start, pass_start))
    launch = attribution.gpu_launch[order]
    launched_at = launches.start[np.where(launch != NOBODY, launch, 0)] if len(launches) else start
    is_gap = in_pass & (launch != NOBODY) & (start > gap_start) & (launched_at >= gap_start)
    return HostGaps(gap_start[is_gap], start[is_gap], order[is_gap])


def idle_in_scopes(gaps: HostGaps, attribution: Attribution) -> Floats:
    """Per scope, with children: ns for which the GPU waited for the host while the scope's code ran."""
    scopes = attribution.tree.scopes
    idle = (gaps.until(scopes.end) - gaps.until(scopes.start)).astype(np.float64)
    # Code that runs beside the passes, such as a backward's on a thread of its own, makes nobody wait here.
    return np.asarray(np.where(attribution.scope_pass != NOBODY, idle, 0.0), np.float64)
