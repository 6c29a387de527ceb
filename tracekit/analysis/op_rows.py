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
from tracekit.attribution import NOBODY, Attribution, is_within_same, sum_by
from tracekit.trace import Ints, Trace


def op_rows(
    trace: Trace, attribution: Attribution, costs: OpCosts, op_work: OpWork, on_cpu: bool
) -> tuple[OpRow, ...]:
    """One row per op name with shapes and types; FLOPs and bytes where it is the op that counts.

    `on_cpu`: the model ran on the CPU.
    """
    ops = attribution.ops
    kinds: dict[tuple[str, str | None, str | None], list[int]] = defaultdict(list)
    for code in np.unique(ops.signature).tolist():
        signature = trace.signatures[code]
        kinds[signature.name, _one_line(signature.shapes), _one_line(signature.dtypes)].append(code)
    row_of_signature = np.zeros(len(trace.signatures), np.int64)
    for number, codes in enumerate(kinds.values()):
        row_of_signature[codes] = number
    row = row_of_signature[ops.signature]
    count = len(kinds)

    def total(values: Ints) -> list[int]:
        return [int(x) for x in np.bincount(row, values, count)]

    outer = ~is_within_same(row, attribution.op_nesting.parent)
    calls = np.bincount(row, minlength=count).tolist()
    counted = np.bincount(row, costs.counted, count)
    kernels, gpu_time = total(np.where(outer, costs.gpu_events, 0)), total(np.where(outer, costs.gpu_time, 0))
    gpu_self, cpu = total(costs.gpu_self_time), total(np.where(outer, ops.end - ops.start, 0))
    matrix, causal = total(costs.matrix), total(costs.causal)
    launched, launched_time = (
        total(np.where(costs.multiplies, costs.matrix, 0)),
        total(np.where(costs.multiplies, costs.gpu_time, 0)),
    )
    work = op_work.summed_by(row, count)
    counted_time = total(np.where(costs.launched, costs.gpu_time, 0))
    launchers = _launchers(
        attribution, row, np.where(outer, costs.gpu_time, 0), np.where(outer, ops.end - ops.start, 0)
    )
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
            tflops=launched[i] / launched_time[i] / 1000 if launched_time[i] else None,
            cpu_gflops=matrix[i] / cpu[i] if on_cpu and matrix[i] and cpu[i] else None,
            causal_matrix_flops=causal[i] if counted[i] and causal[i] != matrix[i] else None,
            launched_by=launchers[i][0],
            place=launchers[i][1],
            **roofline_fields(work, i, matrix[i] if counted[i] else None, counted_time[i]),
        )
        for i, (name, shapes, dtypes) in enumerate(kinds)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.gpu_time_us, -row.cpu_time_us, row.name)))


def _launchers(
    attribution: Attribution, row: Ints, gpu_time: Ints, cpu_time: Ints
) -> list[tuple[str, str | None]]:
    """`launched_by` and `place` of each row of ops; times are per op, 0 for those within the same row."""
    place_of = places(attribution.tree)
    distinct = list(dict.fromkeys(place_of))
    number = {place: index for index, place in enumerate(distinct)}
    of_module = np.array([number[place] for place in place_of], np.int64)
    of_scope = of_module[attribution.tree.module]
    forward, backward = attribution.op_scope, attribution.op_backward_scope
    in_forward, in_backward = forward != NOBODY, (forward == NOBODY) & (backward != NOBODY)
    launcher = np.full(len(row), 2 * len(distinct), np.int64)
    launcher[in_forward] = of_scope[forward[in_forward]]
    launcher[in_backward] = len(distinct) + of_scope[backward[in_backward]]
    cells, cell = np.unique(row * (2 * len(distinct) + 1) + launcher, return_inverse=True)
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
