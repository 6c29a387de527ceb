"""Rows of the report about passes, kernels and regions."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np

from tracekit.analysis.busy import occupancy_by_group
from tracekit.analysis.phases import Phases
from tracekit.analysis.schema import KernelRow, Pass, RegionRow
from tracekit.attribution import NOBODY, Attribution, is_within_same, numbered, pair_keys, sum_inside
from tracekit.trace import GPU_KINDS, Trace

# A pass that takes this many times the median one is named as an outlier, unless it computes more as well.
OUTLIER_RATIO = 2.0
# Passes are of several kinds when the most FLOPs of one are this many times the fewest.
KINDS_RATIO = 1.25


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
    gaps = occupancy_by_group(start, end, events.device[at], number, count)
    origin = first_start(trace)
    # The passes of each phase and, where capture does not tell phases apart, those that compute as much.
    phase_of = phases.of_pass.tolist()
    mixed = are_of_several_kinds(phase_of, matrix_flops)
    kind = [(phase, flops if mixed else None) for phase, flops in zip(phase_of, matrix_flops, strict=True)]
    siblings: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    for key, duration in zip(kind, wall.tolist(), strict=True):
        siblings[key].append(duration)
    limit = {
        key: OUTLIER_RATIO * statistics.median(walls) for key, walls in siblings.items() if len(walls) > 2
    }
    columns = zip(
        (passes.start - origin).tolist(),
        wall.tolist(),
        (passes.end - passes.start).tolist(),
        kernels.tolist(),
        gpu_time.tolist(),
        gaps,
        matrix_flops,
        kind,
        strict=True,
    )
    return tuple(
        Pass(
            index=i,
            start_us=start_ns / 1000,
            wall_us=wall_ns / 1000,
            cpu_time_us=cpu_ns / 1000,
            kernels=launched,
            gpu_time_us=gpu_ns / 1000,
            gpu_busy_us=gap.busy / 1000,
            gpu_idle_us=gap.idle / 1000,
            matrix_flops=flops,
            outlier=wall_ns > limit.get(own_kind, math.inf),
            phase=phases.of(i),
        )
        for i, (start_ns, wall_ns, cpu_ns, launched, gpu_ns, gap, flops, own_kind) in enumerate(columns)
    )


def first_start(trace: Trace) -> int:
    """Start of the first interval of the trace, ns; 0 for an empty one."""
    tables = (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations)
    return min((int(table.start.min()) for table in tables if len(table)), default=0)


def kernel_rows(trace: Trace) -> tuple[KernelRow, ...]:
    """One row per kernel name, and per kind of copy, by GPU time."""
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
    rows.sort(key=attrgetter("name"))
    rows.sort(key=attrgetter("gpu_time_us"), reverse=True)
    return tuple(rows)


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
