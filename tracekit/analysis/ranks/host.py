"""Which module a thread of the host runs at each moment, forward or backward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.names import holds_for_names
from tracekit.analysis.ranks.kinds import is_communication_op
from tracekit.analysis.ranks.spans import Spans, union
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Mask,
    has_ancestor,
    holds_inside,
    innermost,
    moments,
    nest,
)
from tracekit.trace import Intervals, Ints, Trace


@dataclass(frozen=True)
class HostTime:
    """Pieces of time of threads, by thread and start; those of one thread do not overlap. ns."""

    thread: Ints
    start: Ints
    end: Ints
    module: Ints  # `NOBODY`: ops of no module

    def __len__(self) -> int:
        return len(self.thread)

    def of_thread(self, thread: int) -> slice:
        return slice(*np.searchsorted(self.thread, (thread, thread + 1)).tolist())


def host_time(trace: Trace, attribution: Attribution) -> HostTime:
    """By the innermost scope, and outside scopes by whose forward the outermost op differentiates."""
    ops, scopes, tree = attribution.ops, attribution.tree.scopes, attribution.tree
    outermost = (attribution.op_nesting.parent == NOBODY) & (attribution.op_scope == NOBODY)
    module_of_scope = np.append(tree.module, np.int32(NOBODY))
    calls = Intervals(
        *(
            np.concatenate((getattr(scopes, column), getattr(ops, column)[outermost]))
            for column in ("name", "thread", "start", "end")
        )
    )
    module = np.concatenate(
        (module_of_scope[: len(scopes)], module_of_scope[attribution.op_backward_scope[outermost]])
    )
    thread, start, end = _pieces(calls)
    if not len(thread):
        return HostTime(thread, start, end, np.empty(0, np.int32))
    runs = innermost(nest(calls), thread, start, end)
    some = runs != NOBODY
    return HostTime(thread[some], start[some], end[some], module[runs[some]])


def _pieces(calls: Intervals) -> tuple[Ints, Ints, Ints]:
    """The time between each two moments on a thread at which a call begins or ends."""
    thread, time = np.tile(calls.thread, 2), np.concatenate((calls.start, calls.end))
    (key,) = moments((thread, time))
    order = np.argsort(key, kind="stable")
    thread, time = thread[order], time[order]
    lasts = (thread[1:] == thread[:-1]) & (time[1:] > time[:-1])
    return thread[1:][lasts], time[:-1][lasts], time[1:][lasts]


@dataclass(frozen=True)
class CpuTime:
    """What the processors do in a job without GPU; ns.

    An op computes unless it belongs to a collective, or holds the call of one: then it may well wait in it,
    and only the ops within compute. A module computes while it runs, unless nothing but a collective does.
    """

    compute: Spans
    communication: Spans
    exposed: Spans

    @property
    def busy(self) -> Spans:
        return union(
            np.concatenate((self.compute.start, self.communication.start)),
            np.concatenate((self.compute.end, self.communication.end)),
        )


def cpu_time(trace: Trace, attribution: Attribution, start: Ints, end: Ints) -> CpuTime:
    """`start`, `end`: of the collectives, where the trace has ranges of them."""
    ops, nesting, scopes = attribution.ops, attribution.op_nesting, attribution.tree.scopes
    calls = holds_for_names(ops.name, trace, is_communication_op)
    computes: Mask = ~holds_inside(calls, nesting) & ~has_ancestor(calls, nesting)
    communication = union(np.concatenate((ops.start[calls], start)), np.concatenate((ops.end[calls], end)))
    in_ops = union(ops.start[computes], ops.end[computes])
    exposed = communication.without(in_ops)
    in_modules = union(scopes.start, scopes.end).without(exposed)
    compute = union(
        np.concatenate((in_ops.start, in_modules.start)), np.concatenate((in_ops.end, in_modules.end))
    )
    return CpuTime(compute, communication, exposed)
