"""Rows of the report about modules, their types, and blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracekit.analysis.captured import ModuleMemory
from tracekit.analysis.module_totals import ModuleTotals, PerPass, total_by_label
from tracekit.analysis.schema import (
    Accounting,
    BlockPhase,
    BlockRow,
    ModulePhase,
    ModuleRow,
    TypePhase,
    TypeRow,
)
from tracekit.attribution import NOBODY, Attribution, Block, Module, is_within, is_within_same
from tracekit.trace import Ints

_PART_GROUPS = {  # what is in none, such as norms, is only in the sum of the block
    "attention": ("attention",),
    "ffn": ("mlp", "moe"),
    "mixer": ("mamba", "linear_attention", "convolution"),
}


def module_rows(
    attribution: Attribution,
    totals: ModuleTotals,
    blocks: Sequence[Block],
    parameters: Mapping[int, int],
    has_shapes: bool,
    memory: Mapping[int, ModuleMemory],
    phases: Mapping[int, tuple[ModulePhase, ...]],
) -> tuple[ModuleRow, ...]:
    """One row per module, those with most GPU time first (without a GPU: CPU time).

    `parameters` and `memory` are by index in capture's table, `phases` by that in the tree; `has_shapes`:
    matrix FLOPs are known.
    """
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
    gpu_median, gpu_self_median, cpu_median, cpu_self_median, backward_median, backward_self_median = map(
        median_us,
        (
            totals.gpu_time_per_pass,
            totals.gpu_self_time_per_pass,
            totals.cpu_time_per_pass,
            totals.cpu_self_time_per_pass,
            totals.gpu_backward_time_per_pass,
            totals.gpu_backward_self_time_per_pass,
        ),
    )
    has_backward = attribution.has_backward
    order = np.lexsort((-totals.cpu_time, -totals.gpu_time))
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
            parameters=_parameters(modules[i], parameters),
            matrix_flops=int(totals.matrix[i]) if has_shapes else None,
            backward_matrix_flops=int(totals.backward_matrix[i]) if totals.counts_backward else None,
            vector_flops=None,
            bytes=None,
            tflops=_tflops(totals, i) if has_shapes else None,
            bound_us=None,
            allocated_bytes=memory_of[i].allocated_bytes,
            allocated_self_bytes=own_bytes[i],
            net_bytes=memory_of[i].net_bytes,
            phases=phases[i],
        )
        for i in order.tolist()
    )


def type_rows(
    attribution: Attribution,
    totals: ModuleTotals,
    accounting: Accounting,
    matrix_flops_of_kind: Mapping[str, int],
    has_shapes: bool,
    phases: Mapping[str, tuple[TypePhase, ...]],
) -> tuple[TypeRow, ...]:
    """One row per type, by GPU self time; then what no module's forward launched, so that self times sum up.

    `matrix_flops_of_kind`: those of the ops that launched the latter.
    """
    has_backward = attribution.has_backward
    labels = [type_label(module) for module in attribution.tree.modules]
    names = sorted(set(labels))
    number = {name: index for index, name in enumerate(names)}
    label = np.array([number[name] for name in labels], np.int64)
    nested = total_by_label(totals, attribution, label, len(names))

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


def block_rows(
    attribution: Attribution,
    totals: ModuleTotals,
    blocks: Sequence[Block],
    parameters: Mapping[int, int],
    has_shapes: bool,
    on_cpu: bool,
    phases: Mapping[int, tuple[BlockPhase, ...]],
) -> tuple[BlockRow, ...]:
    """One row per block, by stack and index; `on_cpu`: the model ran on the CPU."""
    modules = attribution.tree.modules
    gpu_median, cpu_median = median_us(totals.gpu_time_per_pass), median_us(totals.cpu_time_per_pass)
    matrix_median = median_over_passes(totals.matrix_per_pass)
    matrix_within = _matrix_within_blocks(attribution, totals, blocks)
    rows = []
    for block in blocks:
        i = block.module
        flops, flops_per_pass = parts_of_block(block, matrix_within), parts_of_block(block, matrix_median)
        knows_parts = has_shapes and block.knows_parts
        has_passes = has_shapes and matrix_median[i] is not None
        matrix, cpu_time = int(totals.matrix[i]), int(totals.cpu_time[i])
        rows.append(
            BlockRow(
                stack=block.stack,
                index=block.index,
                path=modules[i].path,
                type=modules[i].type,
                kind=block.kind,
                calls=int(totals.calls[i]),
                parameters=_parameters(modules[i], parameters),
                gpu_time_us=int(totals.gpu_time[i]) / 1000,
                gpu_backward_time_us=int(totals.gpu_backward_time[i]) / 1000
                if attribution.has_backward
                else None,
                gpu_time_per_pass_us=gpu_median[i],
                cpu_time_us=cpu_time / 1000,
                cpu_time_per_pass_us=cpu_median[i],
                matrix_flops=matrix if has_shapes else None,
                attention_flops=flops["attention"] if knows_parts else None,
                ffn_flops=flops["ffn"] if knows_parts else None,
                mixer_flops=flops["mixer"] if knows_parts else None,
                matrix_flops_per_pass=round(matrix_median[i] or 0) if has_passes else None,
                attention_flops_per_pass=flops_per_pass["attention"] if has_passes and knows_parts else None,
                ffn_flops_per_pass=flops_per_pass["ffn"] if has_passes and knows_parts else None,
                mixer_flops_per_pass=flops_per_pass["mixer"] if has_passes and knows_parts else None,
                tflops=_tflops(totals, i) if has_shapes else None,
                cpu_gflops=matrix / cpu_time if on_cpu and matrix and cpu_time else None,
                phases=phases[i],
            )
        )
    return tuple(rows)


def _matrix_within_blocks(attribution: Attribution, totals: ModuleTotals, blocks: Sequence[Block]) -> Ints:
    """Matrix FLOPs of each part of a block in calls of the block; a checkpoint may run a part again alone."""
    tree = attribution.tree
    block_of = np.full(len(tree.modules), NOBODY, np.int64)
    for block in blocks:
        block_of[list(block.parts)] = block.module
    within = is_within(block_of[tree.module], tree.module, tree.nesting.parent)
    at = within & ~is_within_same(tree.module, tree.nesting.parent)
    return np.bincount(tree.module[at], totals.scope_matrix[at], len(tree.modules)).astype(np.int64)


def parts_of_block(block: Block, matrix_flops: Any) -> dict[str, int]:
    """Matrix FLOPs of the parts of a block, of those by module."""
    flops = dict.fromkeys(_PART_GROUPS, 0)
    for module, part in block.parts.items():
        for group, members in _PART_GROUPS.items():
            if part in members:
                flops[group] += round(matrix_flops[module] or 0)
    return flops


def _tflops(totals: ModuleTotals, index: int) -> float | None:
    """FLOPs of ops that launched GPU events ÷ GPU time; None where no such op is known."""
    time, matrix = int(totals.gpu_time[index]), int(totals.launched_matrix[index])
    return matrix / time / 1000 if time and matrix else None


def median_over_passes(per_pass: PerPass) -> list[float | None]:
    """Median over passes; None where the trace has no passes."""
    if not per_pass.shape[1]:
        return [None] * per_pass.shape[0]
    medians: list[float | None] = np.median(per_pass, axis=1).tolist()
    return medians


def median_us(per_pass_ns: PerPass) -> list[float | None]:
    return [None if value is None else value / 1000 for value in median_over_passes(per_pass_ns)]


def _parameters(module: Module, parameters: Mapping[int, int]) -> int | None:
    return parameters.get(module.table_index) if module.table_index is not None else None


def type_label(module: Module) -> str:
    """Its type; where only a path is known, its last part, or that of a numbered module's container."""
    if module.type:
        return module.type
    container, _, name = module.path.rpartition(".")
    return f"{container.rpartition('.')[2]}.*" if name.isdigit() and container else name
