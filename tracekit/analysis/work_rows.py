"""Rows of the report about passes, kernels and regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.analysis.busy import occupancy_by_group
from tracekit.analysis.phases import Phases
from tracekit.analysis.schema import KernelRow, Pass, RegionRow
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Mask,
    inverse,
    is_within_same,
    numbered,
    pair_keys,
    sum_inside,
)
from tracekit.trace import GPU_KINDS, Ints, Trace

# A pass that takes this many times the median one is named as an outlier, unless it computes more as well.
OUTLIER_RATIO = 2.0
# Passes are of several kinds when the most FLOPs of one are this many times the fewest.
KINDS_RATIO = 1.25
# So many rows are made of columns at a time: lists of all figures would take more room than the rows.
ROWS_AT_ONCE = 4096


def are_of_several_kinds(phases: Iterable[object], matrix_flops: Sequence[int | None]) -> bool:
    """Whether passes of one phase, with these FLOPs, can have no median: prompts and single tokens, say.

    Where capture tells phases apart, those of one differ only as a cache grows.
    """
    known = [flops for flops in matrix_flops if flops is not None]
    return len(set(phases)) == 1 and bool(known) and max(known) > KINDS_RATIO * min(known)


def pass_rows(
    trace: Trace, attribution: Attribution, phases: Phases, matrix_flops: Sequence[int | None]
) -> tuple[Pass, ...]:
    """One row per pass, in the order of time; `matrix_flops` are those of each."""
    passes, events = attribution.passes.scopes, trace.gpu_events
    count = len(passes)
    if not count:
        return ()
    at = attribution.gpu_pass != NOBODY
    number = attribution.gpu_pass[at]
    start, end = events.start[at], events.end[at]
    gpu_time = np.bincount(number, end - start, count)
    kernels = np.bincount(number, minlength=count)
    last_end = passes.end.copy()
    np.maximum.at(last_end, number, end)
    wall = last_end - passes.start
    occupied = occupancy_by_group(start, end, events.device[at], number, count)
    columns = (
        (passes.start - first_start(trace)) / 1000,
        wall / 1000,
        (passes.end - passes.start) / 1000,
        kernels,
        gpu_time / 1000,
        occupied.busy / 1000,
        occupied.idle / 1000,
        _outliers(wall, phases.of_pass, matrix_flops),
        phases.of_pass,
    )
    names = (*phases.names, None)  # the last one is that of `NOBODY`
    rows: list[Pass] = []
    for first in range(0, count, ROWS_AT_ONCE):
        some = slice(first, first + ROWS_AT_ONCE)
        figures = zip(*(column[some].tolist() for column in columns), matrix_flops[some], strict=True)
        rows += [
            Pass(
                index=i,
                start_us=start_us,
                wall_us=wall_us,
                cpu_time_us=cpu_time_us,
                kernels=launched,
                gpu_time_us=gpu_time_us,
                gpu_busy_us=busy_us,
                gpu_idle_us=idle_us,
                matrix_flops=flops,
                outlier=outlier,
                phase=names[phase],
            )
            for i, (
                start_us,
                wall_us,
                cpu_time_us,
                launched,
                gpu_time_us,
                busy_us,
                idle_us,
                outlier,
                phase,
                flops,
            ) in enumerate(figures, first)
        ]
    return tuple(rows)


def _outliers(wall: Ints, phase: Ints, matrix_flops: Sequence[int | None]) -> Mask:
    """Which passes take far longer than others of their phase, or without phases of as many FLOPs."""
    kind = numbered(phase + 1)[1]
    if are_of_several_kinds(phase.tolist(), matrix_flops):
        numbers: dict[int | None, int] = {}
        kind = np.array([numbers.setdefault(flops, len(numbers)) for flops in matrix_flops])
    passes = np.bincount(kind)
    last = np.cumsum(passes) - 1
    first = last - passes + 1
    ordered = wall[np.lexsort((wall, kind))]
    median = (ordered[(first + last) // 2] + ordered[(first + last + 1) // 2]) / 2
    limit = np.where(passes > 2, OUTLIER_RATIO * median, np.inf)
    return np.asarray(wall > limit[kind], np.bool_)


def first_start(trace: Trace) -> int:
    """Start of the first interval of the trace, ns; 0 for an empty one."""
    tables = (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations)
    return min((int(table.start.min()) for table in tables if len(table)), default=0)


def kernel_rows(trace: Trace) -> tuple[tuple[KernelRow, ...], Ints]:
    """One row per kernel name, and per kind of copy, by GPU time; and the row of each GPU event."""
    events = trace.gpu_events
    distinct, number = numbered(pair_keys(events.name, events.kind, len(GPU_KINDS)))
    calls = np.bincount(number, minlength=len(distinct))
    by_row = np.argsort(number, kind="stable")
    duration = (events.end - events.start)[by_row]
    first = np.cumsum(calls) - calls
    total, least, most = (of.reduceat(duration, first) for of in (np.add, np.minimum, np.maximum))
    columns = distinct, calls, total / 1000, total / calls / 1000, least / 1000, most / 1000
    rows = [
        KernelRow(
            name=trace.names[code // len(GPU_KINDS)],
            kind=GPU_KINDS[code % len(GPU_KINDS)],
            calls=count,
            gpu_time_us=time,
            mean_us=mean,
            min_us=shortest,
            max_us=longest,
        )
        for code, count, time, mean, shortest, longest in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].gpu_time_us, rows[i].name))
    return tuple(rows[i] for i in order), inverse(order)[number]


def region_rows(trace: Trace, attribution: Attribution) -> tuple[RegionRow, ...]:
    """One row per name of a user's own range; what was launched inside it on its thread."""
    regions, nesting = attribution.regions, attribution.region_nesting
    events = trace.gpu_events
    at = attribution.gpu_region != NOBODY
    own = np.bincount(attribution.gpu_region[at], (events.end - events.start)[at], len(regions))
    gpu = sum_inside(own.astype(np.int64), nesting)
    outer = ~is_within_same(regions.name, nesting.parent)
    count = len(trace.names)
    calls = np.bincount(regions.name, minlength=count)
    cpu_time = np.bincount(regions.name[outer], (regions.end - regions.start)[outer], count)
    gpu_time = np.bincount(regions.name[outer], gpu[outer], count)
    rows = [
        RegionRow(
            name=trace.names[code],
            calls=int(calls[code]),
            cpu_time_us=float(cpu_time[code]) / 1000,
            gpu_time_us=float(gpu_time[code]) / 1000,
        )
        for code in np.flatnonzero(calls).tolist()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.gpu_time_us, -row.cpu_time_us)))
