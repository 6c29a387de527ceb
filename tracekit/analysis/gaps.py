"""Gaps on a device that the host is to blame for, and what of each a synchronising call before it costs.

A gap lies within a pass between the end of all that ran before on that device and the start of the next GPU
event. It is the host's where the call that launched that event began after the gap did: until then the
device had nothing to do. Work that was queued in time and still waits, waits for something else.

A call that waits for the device lets its queue run dry. Had it not waited, all that its thread launches
later would have been launched earlier by as long as it took; so of the gap that it leaves, at most that much
is its fault, and the rest is there because launches cannot keep up anyway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np

from tracekit.analysis.busy import by_segment_and_start, latest_end
from tracekit.analysis.names import holds_for_names
from tracekit.attribution import NOBODY, Attribution, Mask, numbered, pair_keys
from tracekit.trace import Intervals, Ints, Trace

# Runtime calls that return when the device has done its work. cudaMemcpyAsync is none by its name; after a
# copy to pageable memory torch synchronizes the stream. hipMemcpyWithStream does both.
_SYNCHRONISES = re.compile(
    r"(cuda|hip)(Stream|Device|Event)Synchronize(_ptsz)?|(cuda|hip)Memcpy(WithStream|ToSymbol|FromSymbol|2D)?"
    r"|cu(Ctx|Stream|Event)Synchronize|cuMemcpy(DtoH|HtoD)(_v2)?"
)

# By how much the clocks of host and device may differ in a trace: a copy may seem to end after the call that
# waited for it has returned. A launch after that call needs longer than this to have any effect.
SKEW_NS = 5_000


@dataclass(frozen=True)
class Gaps:
    """Per gap; times in ns. Those of one device do not overlap."""

    start: Ints
    end: Ints
    device: Ints
    thread: Ints  # that launched the GPU event which ends it
    number: Ints  # of the pass
    synchronised_by: Ints  # launch that waited for the device when the gap began, `NOBODY` where none did
    lost_to_it: Ints  # ns of the gap

    def __len__(self) -> int:
        return len(self.start)

    @property
    def devices(self) -> int:
        """How many devices wait, at least 1: what all of them lose is lost beside each other."""
        return max(1, len(np.unique(self.device)))

    @property
    def lost_to_launches(self) -> Ints:
        return np.asarray(self.end - self.start - self.lost_to_it, np.int64)


def idle_in_scopes(gaps: Gaps, attribution: Attribution, within: Mask | None = None) -> Ints:
    """Per scope, with children: ns of gaps lost to launches that its thread filled, while it ran.

    `within`: only these gaps.
    """
    within = np.ones(len(gaps), np.bool_) if within is None else within
    scopes = attribution.tree.scopes
    idle = np.zeros(len(scopes), np.int64)
    start = gaps.start + gaps.lost_to_it
    for thread, device in {*zip(gaps.thread[within].tolist(), gaps.device[within].tolist(), strict=True)}:
        at = np.flatnonzero(within & (gaps.thread == thread) & (gaps.device == device))
        at = at[np.argsort(start[at], kind="stable")]
        own = scopes.thread == thread
        begin, end = start[at], gaps.end[at]
        idle[own] += _before(begin, end, scopes.end[own]) - _before(begin, end, scopes.start[own])
    return idle


def _before(start: Ints, end: Ints, moment: Ints) -> Ints:
    """How much of intervals that do not overlap lies before each moment."""
    total = np.concatenate(([0], np.cumsum(end - start)))
    begun = np.searchsorted(start, moment, side="right")
    still = np.where(begun > 0, np.maximum(end[begun - 1] - moment, 0), 0)
    return np.asarray(total[begun] - still, np.int64)


def is_synchronising(trace: Trace) -> Mask:
    """Per launch."""
    return holds_for_names(trace.launches.name, trace, lambda name: _SYNCHRONISES.fullmatch(name) is not None)


@dataclass(frozen=True)
class Idle:
    """Per interval in which nothing runs on a device, between two of its GPU events; times in ns."""

    start: Ints
    end: Ints
    device: Ints
    event: Ints  # the GPU event that ends it
    launched_late: Mask  # the call that launched that event began when the device was already idle

    def __len__(self) -> int:
        return len(self.start)

    def take(self, at: Mask) -> Idle:
        return Idle(*(getattr(self, field.name)[at] for field in fields(self)))


def find_idle(trace: Trace, attribution: Attribution) -> Idle:
    """All of the trace, by device and time."""
    events = trace.gpu_events
    order = by_segment_and_start(events.device, events.start)
    device = events.device[order]
    reached = latest_end(device, events.end[order])
    is_idle = (device[1:] == device[:-1]) & (events.start[order[1:]] > reached[:-1])
    event, start = order[1:][is_idle], reached[:-1][is_idle]
    launch = attribution.gpu_launch[event]
    late = launch != NOBODY
    late[late] = trace.launches.start[launch[late]] >= start[late]
    return Idle(start, events.start[event], events.device[event], event, late)


def find_gaps(trace: Trace, attribution: Attribution, idle: Idle) -> Gaps:
    """The host's gaps in all passes, of all intervals in which a device is idle."""
    events = trace.gpu_events
    idle = idle.take(idle.launched_late & (attribution.gpu_pass[idle.event] != NOBODY))
    number = attribution.gpu_pass[idle.event]
    first = _first_start(events.device, events.start, attribution.gpu_pass, idle.event, number)
    idle, number = idle.take(idle.start >= first), number[idle.start >= first]
    synchronised_by, lost_to_it = lost_to_calls(trace, attribution, idle)
    return Gaps(
        start=idle.start,
        end=idle.end,
        device=idle.device,
        thread=trace.launches.thread[attribution.gpu_launch[idle.event]],
        number=number,
        synchronised_by=synchronised_by,
        lost_to_it=lost_to_it,
    )


def lost_to_calls(trace: Trace, attribution: Attribution, idle: Idle) -> tuple[Ints, Ints]:
    """The call that waited for the device when each interval began, and how much of it is lost to that, ns.

    `NOBODY` and 0 where none waited, or the interval is not the host's.
    """
    waiting, lost = np.full(len(idle), NOBODY, np.int64), np.zeros(len(idle), np.int64)
    late = idle.take(idle.launched_late)
    launch = attribution.gpu_launch[late.event]
    launches = trace.launches
    gaps = Intervals(launches.name[launch], launches.thread[launch], late.start, late.end)
    waiting[idle.launched_late], waited = _waits(trace, gaps)
    lost[idle.launched_late] = np.minimum(waited, late.end - late.start)
    return waiting, lost


def _first_start(device: Ints, start: Ints, of_pass: Ints, events: Ints, number: Ints) -> Ints:
    """For each of `events` the start of the first event of its pass on its device."""
    passes = int(of_pass.max(initial=NOBODY)) + 1
    known = np.flatnonzero(of_pass != NOBODY)
    cells, cell = numbered(pair_keys(device[known], of_pass[known], passes))
    first = np.full(len(cells), np.iinfo(np.int64).max)
    np.minimum.at(first, cell, start[known])
    asked = np.searchsorted(cells, pair_keys(device[events], number, passes))
    return np.asarray(first[asked], np.int64)


def _waits(trace: Trace, gaps: Intervals) -> tuple[Ints, Ints]:
    """The call on the gap's thread that waited when the gap began, and its duration; else `NOBODY` and 0."""
    launches = trace.launches
    synchronises = np.flatnonzero(is_synchronising(trace))
    waiting = np.full(len(gaps), NOBODY, np.int64)
    for thread in np.unique(launches.thread[synchronises]):
        own = synchronises[launches.thread[synchronises] == thread]
        own = own[np.argsort(launches.start[own], kind="stable")]
        at = np.flatnonzero(gaps.thread == thread)
        last = np.searchsorted(launches.start[own], gaps.start[at], side="right") - 1
        call = np.where(last != NOBODY, own[last], NOBODY)
        holds = (call != NOBODY) & (launches.end[call] + SKEW_NS >= gaps.start[at])
        waiting[at[holds]] = call[holds]
    waited = np.where(waiting != NOBODY, (launches.end - launches.start)[waiting], 0) if len(launches) else 0
    return waiting, np.asarray(waited + np.zeros(len(gaps), np.int64), np.int64)
