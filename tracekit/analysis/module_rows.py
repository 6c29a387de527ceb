"""Rows of the report about modules and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.analysis.block_parts import BlockParts
from tracekit.analysis.captured import ModuleMemory
from tracekit.analysis.module_totals import ModuleTotals, total_by_label
from tracekit.analysis.per_pass import PerPass
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import Accounting, ModulePhase, ModuleRow, TypePhase, TypeRow
from tracekit.analysis.work import ModuleWork, work_by_label
from tracekit.attribution import NOBODY, Attribution, Block, Mask, Module
from tracekit.trace import Ints


@dataclass(frozen=True)
class Measured:
    """All that rows about modules are made of."""

    attribution: Attribution
    totals: ModuleTotals
    work: ModuleWork
    blocks: Sequence[Block]
    parts: BlockParts
    parameters: Mapping[int, int]  # by index in capture's table
    knows_flops: bool
    on_cpu: bool
    wall_us: float | None  # of a pass, median
    of_pass: Mask  # the passes that medians are of

    def headroom_per_pass_us(self, bounded_time: PerPass, bound: PerPass) -> list[float | None]:
        """Per row of two columns of the same cells (ns) the median over passes, None without a bound."""
        headroom = bounded_time.above(bound).at_least_zero().medians_us()
        return [one if known else None for one, known in zip(headroom, bounded_time.any(), strict=True)]

    def share_of_wall(self, us: float | None) -> float | None:
        """At most 1: several devices, or streams, work beside each other."""
        return min(1.0, us / self.wall_us) if us is not None and self.wall_us else None


def module_rows(
    measured: Measured,
    memory: Mapping[int, ModuleMemory],
    phases: Mapping[int, tuple[ModulePhase, ...]],
) -> tuple[ModuleRow, ...]:
    """One row per module, those with most GPU time first (without a GPU: CPU time).

    `memory` is by index in capture's table, `phases` by that in the tree.
    """
    attribution, totals, work = measured.attribution, measured.totals, measured.work
    has_shapes, blocks = measured.knows_flops, measured.blocks
    modules = attribution.tree.modules
    no_memory = ModuleMemory(None, None)
    memory_of = [memory.get(NOBODY if m.table_index is None else m.table_index, no_memory) for m in modules]
    own_bytes = [one.allocated_bytes for one in memory_of]
    for module, one in zip(modules, memory_of, strict=True):
        if (own := own_bytes[module.parent]) is not None and module.parent != NOBODY:
            own_bytes[module.parent] = max(0, own - (one.allocated_bytes or 0))
    block_of = {block.module: modules[block.module].path for block in blocks}
    depth = [0] * len(modules)
    for index, module in enumerate(modules):
        if module.parent != NOBODY:
            depth[index] = depth[module.parent] + 1
            if index not in block_of and module.parent in block_of:
                block_of[index] = block_of[module.parent]
    gpu_median, gpu_self_median, cpu_median, cpu_self_median, backward_median, backward_self_median = (
        column.medians_us()
        for column in (
            totals.gpu_time_per_pass,
            totals.gpu_self_time_per_pass,
            totals.cpu_time_per_pass,
            totals.cpu_self_time_per_pass,
            totals.gpu_backward_time_per_pass,
            totals.gpu_backward_self_time_per_pass,
        )
    )
    headroom = measured.headroom_per_pass_us(work.bounded_time_per_pass, work.bound_per_pass)
    has_backward, on_gpu = attribution.has_backward, bool(totals.gpu_events.any())
    return tuple(
        ModuleRow(
            path=modules[i].path,
            name=modules[i].name,
            type=modules[i].type,
            parent=modules[modules[i].parent].path if modules[i].parent != NOBODY else None,
            block=block_of.get(i),
            depth=depth[i],
            calls=int(totals.calls[i]),
            kernels=int(totals.gpu_events[i]),
            gpu_time_us=int(totals.gpu_time[i]) / 1000,
            gpu_self_time_us=int(totals.gpu_self_time[i]) / 1000,
            gpu_backward_time_us=int(totals.gpu_backward_time[i]) / 1000 if has_backward else None,
            gpu_backward_self_time_us=int(totals.gpu_backward_self_time[i]) / 1000 if has_backward else None,
            backward_kernels=int(totals.gpu_backward_events[i]) if has_backward else None,
            gpu_time_per_pass_us=gpu_median[i],
            gpu_self_time_per_pass_us=gpu_self_median[i],
            gpu_backward_time_per_pass_us=backward_median[i] if has_backward else None,
            gpu_backward_self_time_per_pass_us=backward_self_median[i] if has_backward else None,
            cpu_time_us=int(totals.cpu_time[i]) / 1000,
            cpu_self_time_us=int(totals.cpu_self_time[i]) / 1000,
            cpu_time_per_pass_us=cpu_median[i],
            cpu_self_time_per_pass_us=cpu_self_median[i],
            slowest_call_us=int(totals.slowest_call[i]) / 1000,
            median_call_us=float(totals.median_call[i]) / 1000,
            parameters=parameters_of(modules[i], measured.parameters),
            matrix_flops=int(totals.matrix[i]) if has_shapes else None,
            backward_matrix_flops=int(totals.backward_matrix[i]) if totals.counts_backward else None,
            tflops=tflops_of(totals, i) if has_shapes else None,
            headroom_per_pass_us=headroom[i],
            headroom_share=measured.share_of_wall(headroom[i]),
            gpu_idle_us=float(work.modules.idle[i]) / 1000 if on_gpu else None,
            **roofline_fields(
                work.modules, i, int(totals.matrix[i]) if has_shapes else None, int(totals.gpu_time[i])
            ),
            allocated_bytes=memory_of[i].allocated_bytes,
            allocated_self_bytes=own_bytes[i],
            net_bytes=memory_of[i].net_bytes,
            phases=phases[i],
            order=i,
        )
        for i in order_of_rows(totals).tolist()
    )


def order_of_rows(totals: ModuleTotals) -> Ints:
    """The module of each of `module_rows`."""
    return np.lexsort((-totals.cpu_time, -totals.gpu_time))


def type_rows(
    measured: Measured,
    accounting: Accounting,
    matrix_flops_of_kind: Mapping[str, int],
    phases: Mapping[str, tuple[TypePhase, ...]],
) -> tuple[TypeRow, ...]:
    """One row per type, by GPU self time; then what no module's forward launched, so that self times sum up.

    `matrix_flops_of_kind`: those of the ops that launched the latter.
    """
    attribution, totals, has_shapes = measured.attribution, measured.totals, measured.knows_flops
    has_backward = attribution.has_backward
    labels = [type_label(module) for module in attribution.tree.modules]
    names = sorted(set(labels))
    number = {name: index for index, name in enumerate(names)}
    label = np.array([number[name] for name in labels], np.int64)
    nested = total_by_label(totals, attribution, label, len(names))
    work = work_by_label(measured.work, attribution, label, len(names))

    def self_sum(values: Any) -> list[int]:
        return [int(x) for x in np.bincount(label, values, len(names))]

    gpu_self, cpu_self, backward_self, calls = map(
        self_sum,
        (totals.gpu_self_time, totals.cpu_self_time, totals.gpu_backward_self_time, totals.calls),
    )
    counts = np.bincount(label, minlength=len(names)).tolist()
    rows = [
        TypeRow(
            type=name,
            kind="modules",
            modules=counts[i],
            calls=calls[i],
            kernels=int(nested.gpu_events[i]),
            gpu_time_us=int(nested.gpu_time[i]) / 1000,
            gpu_self_time_us=gpu_self[i] / 1000,
            gpu_backward_time_us=int(nested.gpu_backward_time[i]) / 1000 if has_backward else None,
            gpu_backward_self_time_us=backward_self[i] / 1000 if has_backward else None,
            backward_kernels=int(nested.gpu_backward_events[i]) if has_backward else None,
            cpu_time_us=int(nested.cpu_time[i]) / 1000,
            cpu_self_time_us=cpu_self[i] / 1000,
            matrix_flops=int(nested.matrix[i]) if has_shapes else None,
            backward_matrix_flops=int(nested.backward_matrix[i]) if totals.counts_backward else None,
            phases=phases[name],
            **roofline_fields(
                work, i, int(nested.matrix[i]) if has_shapes else None, int(nested.gpu_time[i])
            ),
        )
        for i, name in enumerate(names)
    ]
    rows.sort(key=lambda row: (-row.gpu_self_time_us, -row.cpu_self_time_us))
    others = {
        "modules_backward": accounting.modules_backward,
        "outside_modules": accounting.outside_modules,
        "launched_before_trace": accounting.launched_before_trace,
    }
    rows += [
        TypeRow(
            type=kind,
            kind=kind,
            modules=0,
            calls=0,
            kernels=share.events,
            gpu_time_us=share.us,
            gpu_self_time_us=share.us,
            gpu_backward_time_us=None,
            gpu_backward_self_time_us=None,
            backward_kernels=None,
            cpu_time_us=0.0,
            cpu_self_time_us=0.0,
            matrix_flops=matrix_flops_of_kind.get(kind) if has_shapes else None,
            backward_matrix_flops=None,
        )
        for kind, share in others.items()
        if share.events
    ]
    return tuple(rows)


def tflops_of(totals: ModuleTotals, index: int) -> float | None:
    """FLOPs of ops that launched GPU events ÷ GPU time; None where no such op is known."""
    time, matrix = int(totals.gpu_time[index]), int(totals.launched_matrix[index])
    return matrix / time / 1000 if time and matrix else None


def parameters_of(module: Module, parameters: Mapping[int, int]) -> int | None:
    return parameters.get(module.table_index) if module.table_index is not None else None


def type_label(module: Module | ModuleRow) -> str:
    """Its type; where only a path is known, its last part, or that of a numbered module's container."""
    if module.type:
        return module.type
    container, _, name = module.path.rpartition(".")
    return f"{container.rpartition('.')[2]}.*" if name.isdigit() and container else name
