"""Steps: the `ProfilerStep#n` regions of torch's profiler, which hold forward, backward and optimizer."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

import numpy as np

from tracekit.analysis.op_costs import OpCosts
from tracekit.attribution import NOBODY, Attribution
from tracekit.trace import Ints, Trace

_STEP = re.compile(r"ProfilerStep#\d+")


@dataclass(frozen=True)
class Steps:
    count: int
    wall_us: float | None  # median
    matrix_flops: int | None  # median; None where the trace has no shapes


def find_steps(trace: Trace, attribution: Attribution, costs: OpCosts, whole: int | None = None) -> Steps:
    """The steps of the process that has the first one; only the first `whole` if not all were ended.

    A step lasts from the start of its region to the later of its end and the end of the last GPU event that
    was launched in that time, by any thread of the process: backward has a thread of its own.
    """
    regions = attribution.regions
    is_name = np.array([_STEP.fullmatch(name) is not None for name in trace.names], np.bool_)
    at = np.flatnonzero(is_name[regions.name])
    if not len(at):
        return Steps(0, None, None)
    at = at[np.argsort(regions.start[at], kind="stable")]
    process = trace.processes[regions.thread[at]]
    at = at[process == process[0]][:whole]
    if not len(at):
        return Steps(0, None, None)
    start, end = regions.start[at], regions.end[at]

    def step_of(thread: Ints, moment: Ints) -> Ints:
        latest = np.searchsorted(start, moment, side="right") - 1
        inside = (latest != NOBODY) & (moment <= end[latest]) & (trace.processes[thread] == process[0])
        return np.where(inside, latest, NOBODY)

    launched = np.flatnonzero(~attribution.launched_before_trace)
    launch = attribution.gpu_launch[launched]
    step = step_of(trace.launches.thread[launch], trace.launches.start[launch])
    last_end = end.copy()
    np.maximum.at(last_end, step[step != NOBODY], trace.gpu_events.end[launched[step != NOBODY]])
    op_step = step_of(attribution.ops.thread[costs.op], attribution.ops.start[costs.op])
    counted = op_step != NOBODY
    matrix = np.bincount(op_step[counted], costs.matrix[counted], len(at))
    return Steps(
        count=len(at),
        wall_us=statistics.median((last_end - start).tolist()) / 1000,
        matrix_flops=round(statistics.median(matrix.tolist())) if costs.has_shapes else None,
    )
