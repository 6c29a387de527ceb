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
from dataclasses import dataclass

import numpy as np

from tracekit.analysis.names import holds_for_names
from tracekit.attribution import NOBODY, Attribution, Mask
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


def find_gaps(trace: Trace, attribution: Attribution) -> Gaps:
    """The host's gaps in all passes."""
    events, launches = trace.gpu_events, trace.launches
    order = np.lexsort((events.start, events.device))
    order, gap_start = _idle_before(events.start, events.end, events.device, order)
    number = attribution.gpu_pass[order]
    launch = attribution.gpu_launch[order]
    known = (number != NOBODY) & (launch != NOBODY)
    order, gap_start, number, launch = (column[known] for column in (order, gap_start, number, launch))
    first = _first_start(events.device, events.start, attribution.gpu_pass, order, number)
    is_host = (gap_start >= first) & (launches.start[launch] >= gap_start)
    order, gap_start, number, launch = (column[is_host] for column in (order, gap_start, number, launch))
    thread, end = launches.thread[launch], events.start[order]
    waiting, waited = _waits(trace, Intervals(launches.name[launch], thread, gap_start, end))
    return Gaps(
        start=gap_start,
        end=end,
        device=events.device[order],
        thread=thread,
        number=number,
        synchronised_by=waiting,
        lost_to_it=np.minimum(waited, end - gap_start),
    )


def _idle_before(start: Ints, end: Ints, device: Ints, order: Ints) -> tuple[Ints, Ints]:
    """The events before which their device is idle, and since when."""
    found, since = [order[:0]], [start[:0]]
    for one in np.unique(device):
        own = order[device[order] == one]
        reached = np.maximum.accumulate(end[own])
        is_idle = start[own][1:] > reached[:-1]
        found.append(own[1:][is_idle])
        since.append(reached[:-1][is_idle])
    return np.concatenate(found), np.concatenate(since)


def _first_start(device: Ints, start: Ints, of_pass: Ints, events: Ints, number: Ints) -> Ints:
    """For each of `events` the start of the first event of its pass on its device."""
    passes = int(of_pass.max(initial=NOBODY)) + 1
    first = np.full((int(device.max(initial=NOBODY)) + 1) * passes, np.iinfo(np.int64).max)
    known = of_pass != NOBODY
    np.minimum.at(first, device[known] * passes + of_pass[known], start[known])
    return np.asarray(first[device[events] * passes + number], np.int64)


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
