"""Rows of the report about ops: one per name, shapes and types."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np

from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.places import places
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import OpRow
from tracekit.analysis.work import OpWork
from tracekit.attribution import NOBODY, Attribution, inverse, is_within_same, numbered, pair_keys, sum_by
from tracekit.trace import Ints, Trace


def op_rows(
    trace: Trace, attribution: Attribution, costs: OpCosts, op_work: OpWork, on_cpu: bool
) -> tuple[tuple[OpRow, ...], Ints]:
    """One row per op name with shapes and types; and the row of each op.

    FLOPs and bytes stand where it is the op that counts. `on_cpu`: the model ran on the CPU.
    """
    ops = attribution.ops
    kinds: dict[tuple[str, str | None, str | None], list[int]] = defaultdict(list)
    for code in np.flatnonzero(np.bincount(ops.signature)).tolist():
        signature = trace.signatures[code]
        kinds[signature.name, _one_line(signature.shapes), _one_line(signature.dtypes)].append(code)
    row_of_signature = np.zeros(len(trace.signatures), np.int32)
    for number, codes in enumerate(kinds.values()):
        row_of_signature[codes] = number
    row, count = row_of_signature[ops.signature], len(kinds)
    row_of_costs = row[costs.op]

    def total(rows: Ints, values: Ints) -> list[int]:
        return [int(x) for x in np.bincount(rows, values, count)]

    outer = ~is_within_same(row, attribution.op_nesting.parent)
    launching, cpu_time = outer & (costs.gpu_events > 0), (ops.end - ops.start) * outer
    calls = np.bincount(row, minlength=count).tolist()
    counted = np.bincount(row_of_costs, minlength=count)
    kernels = total(row[launching], costs.gpu_events[launching])
    gpu_time = total(row[launching], costs.gpu_time[launching])
    with_op = attribution.gpu_op != NOBODY
    gpu_self = total(
        row[attribution.gpu_op[with_op]], (trace.gpu_events.end - trace.gpu_events.start)[with_op]
    )
    cpu = total(row, cpu_time)
    matrix, causal = total(row_of_costs, costs.matrix), total(row_of_costs, costs.causal)
    launched, multiplies = costs.launched, costs.multiplies
    launched_matrix = total(row_of_costs[multiplies], costs.matrix[multiplies])
    matrix_time = total(row_of_costs[multiplies], costs.time[multiplies])
    counted_time = total(row_of_costs[launched], costs.time[launched])
    work = op_work.summed_by(row, count)
    launchers = _launchers(attribution, row, costs.gpu_time * outer, cpu_time)
    rows = [
        OpRow(
            name=name,
            shapes=shapes,
            dtypes=dtypes,
            calls=calls[i],
            kernels=kernels[i],
            gpu_time_us=gpu_time[i] / 1000,
            gpu_self_time_us=gpu_self[i] / 1000,
            cpu_time_us=cpu[i] / 1000,
            matrix_flops=matrix[i] if counted[i] else None,
            tflops=launched_matrix[i] / matrix_time[i] / 1000 if matrix_time[i] else None,
            cpu_gflops=matrix[i] / cpu[i] if on_cpu and matrix[i] and cpu[i] else None,
            causal_matrix_flops=causal[i] if counted[i] and causal[i] != matrix[i] else None,
            launched_by=launchers[i][0],
            place=launchers[i][1],
            **roofline_fields(work, i, matrix[i] if counted[i] else None, counted_time[i]),
        )
        for i, (name, shapes, dtypes) in enumerate(kinds)
    ]
    order = sorted(range(count), key=lambda i: (-rows[i].gpu_time_us, -rows[i].cpu_time_us, rows[i].name))
    return tuple(rows[i] for i in order), inverse(order)[row]


def _launchers(
    attribution: Attribution, row: Ints, gpu_time: Ints, cpu_time: Ints
) -> list[tuple[str, str | None]]:
    """`launched_by` and `place` of each row of ops; times are per op, 0 for those within the same row."""
    place_of = places(attribution.tree)
    distinct = list(dict.fromkeys(place_of))
    number = {place: index for index, place in enumerate(distinct)}
    of_scope = np.array([number[place] for place in place_of], np.int32)[attribution.tree.module]
    forward, backward = attribution.op_scope, attribution.op_backward_scope
    in_forward, in_backward = forward != NOBODY, (forward == NOBODY) & (backward != NOBODY)
    launcher = np.full(len(row), 2 * len(distinct), np.int32)
    launcher[in_forward] = of_scope[forward[in_forward]]
    launcher[in_backward] = len(distinct) + of_scope[backward[in_backward]]
    cells, cell = numbered(pair_keys(row, launcher, 2 * len(distinct) + 1))
    of_row, launcher = np.divmod(cells, 2 * len(distinct) + 1)
    longest = np.lexsort((sum_by(cell, cpu_time, len(cells)), sum_by(cell, gpu_time, len(cells)), of_row))
    last = np.flatnonzero(np.diff(of_row[longest], append=-1))
    return [
        ("outside_modules", None)
        if one == 2 * len(distinct)
        else ("modules_backward" if one >= len(distinct) else "modules", distinct[one % len(distinct)])
        for one in launcher[longest[last]].tolist()
    ]


def _one_line(json: bytes) -> str | None:
    """The JSON text without the line breaks of a pretty-printed trace; None for an empty one."""
    return msgspec.json.format(json, indent=0).decode("utf-8", "replace") if json else None
