"""GPU time without a known cost: which kernels, launched by which op, and why."""

from __future__ import annotations

import numpy as np

from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.schema import UncostedRow
from tracekit.attribution import NOBODY, Attribution, has_ancestor, numbered, pair_keys
from tracekit.costs import has_formula
from tracekit.trace import Trace

REASONS = ("launched_before_trace", "no_op", "no_shapes", "no_formula", "formula_lacks_inputs")


def uncosted_rows(trace: Trace, attribution: Attribution, costs: OpCosts) -> tuple[UncostedRow, ...]:
    """One row per kernel, innermost op around its launch and reason, those with most GPU time first."""
    events, nesting = trace.gpu_events, attribution.op_nesting
    op = attribution.gpu_op
    at = np.flatnonzero(~np.append(costs.within_counted, False)[op])
    op = op[at]
    of_signature = np.array([has_formula(one.name) for one in trace.signatures], np.bool_)
    formula = of_signature[attribution.ops.signature]
    formula |= has_ancestor(formula, nesting)
    of_op = np.select([~costs.within_shapes, formula], [2, 4], 3)
    no_op = np.where(attribution.launched_before_trace[at], 0, 1)
    reason = np.where(op == NOBODY, no_op, np.append(of_op, NOBODY)[op])
    name = np.append(attribution.ops.name, NOBODY)[op]
    names = len(trace.names) + 1
    keys = pair_keys(pair_keys(events.name[at], name + 1, names), reason, len(REASONS))
    distinct, row = numbered(keys)
    of_kernel, why = np.divmod(distinct, len(REASONS))
    kernel, op_name = np.divmod(of_kernel, names)
    duration = np.bincount(row, (events.end - events.start)[at], len(distinct))
    calls = np.bincount(row, minlength=len(distinct))
    rows = [
        UncostedRow(
            kernel=trace.names[kernel],
            op=trace.names[op_name] if op_name != NOBODY else None,
            calls=calls,
            gpu_time_us=time,
            reason=REASONS[why],
        )
        for kernel, op_name, why, calls, time in zip(
            *(column.tolist() for column in (kernel, op_name - 1, why, calls, duration / 1000)), strict=True
        )
    ]
    return tuple(sorted(rows, key=lambda one: (-one.gpu_time_us, one.kernel, one.op or "")))
