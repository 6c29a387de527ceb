"""GPU time without a known cost: which kernels, launched by which op, and why."""

from __future__ import annotations

import numpy as np

from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.schema import UncostedRow
from tracekit.attribution import NOBODY, Attribution, has_ancestor
from tracekit.trace import Trace

REASONS = ("launched_before_trace", "no_op", "no_shapes", "no_formula", "formula_lacks_inputs")


def uncosted_rows(trace: Trace, attribution: Attribution, costs: OpCosts) -> tuple[UncostedRow, ...]:
    """One row per kernel, innermost op around its launch and reason, those with most GPU time first."""
    events, op = trace.gpu_events, attribution.gpu_op
    parent = attribution.op_nesting.parent
    has_formula = costs.has_formula | has_ancestor(costs.has_formula, parent)
    of_op = np.select([~costs.within_shapes, has_formula], [2, 4], 3)
    reason = np.where(attribution.launched_before_trace, 0, 1)
    with_op = op != NOBODY
    reason[with_op] = of_op[op[with_op]]
    covered = np.zeros(len(events), np.bool_)
    covered[with_op] = costs.within_counted[op[with_op]]
    at = np.flatnonzero(~covered)
    name = np.full(len(events), NOBODY, np.int64)
    name[with_op] = attribution.ops.name[op[with_op]]
    keys = np.stack((events.name[at], name[at], reason[at]), axis=1)
    distinct, row = np.unique(keys, axis=0, return_inverse=True)
    row = row.reshape(-1)
    duration = np.bincount(row, (events.end - events.start)[at], len(distinct))
    calls = np.bincount(row, minlength=len(distinct))
    rows = [
        UncostedRow(
            kernel=trace.names[kernel],
            op=trace.names[op_name] if op_name != NOBODY else None,
            calls=int(calls[i]),
            gpu_time_us=float(duration[i]) / 1000,
            reason=REASONS[why],
        )
        for i, (kernel, op_name, why) in enumerate(distinct.tolist())
    ]
    return tuple(sorted(rows, key=lambda one: (-one.gpu_time_us, one.kernel, one.op or "")))
