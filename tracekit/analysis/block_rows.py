"""Rows of the report about blocks, their parts, and the parts of all blocks of a kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tracekit.analysis.block_parts import PARTS
from tracekit.analysis.module_rows import Measured, median_over_passes, median_us, parameters_of, tflops_of
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import BlockKindRow, BlockPart, BlockPhase, BlockRow

Cell = tuple[int, int]  # block, part


def block_rows(measured: Measured, phases: Mapping[int, tuple[BlockPhase, ...]]) -> tuple[BlockRow, ...]:
    """One row per block, by stack and index."""
    attribution, totals, work = measured.attribution, measured.totals, measured.work
    has_shapes, modules = measured.knows_flops, attribution.tree.modules
    gpu_median, cpu_median = median_us(totals.gpu_time_per_pass), median_us(totals.cpu_time_per_pass)
    matrix_median = median_over_passes(totals.matrix_per_pass)
    headroom = measured.headroom_per_pass_us(work.bounded_time_per_pass, work.bound_per_pass)
    rows = []
    for number, block in enumerate(measured.blocks):
        i = block.module
        flops, per_pass = measured.parts.groups(number), measured.parts.groups_per_pass(number)
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
                parameters=parameters_of(modules[i], measured.parameters),
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
                attention_flops_per_pass=per_pass["attention"] if has_passes and knows_parts else None,
                ffn_flops_per_pass=per_pass["ffn"] if has_passes and knows_parts else None,
                mixer_flops_per_pass=per_pass["mixer"] if has_passes and knows_parts else None,
                tflops=tflops_of(totals, i) if has_shapes else None,
                cpu_gflops=matrix / cpu_time if measured.on_cpu and matrix and cpu_time else None,
                headroom_per_pass_us=headroom[i],
                headroom_share=measured.share_of_wall(headroom[i]),
                gpu_idle_us=float(work.modules.idle[i]) / 1000 if totals.gpu_events.any() else None,
                parts=tuple(_parts(measured, number)) if block.knows_parts else (),
                phases=phases[i],
                **roofline_fields(work.modules, i, matrix if has_shapes else None, int(totals.gpu_time[i])),
            )
        )
    return tuple(rows)


def _parts(measured: Measured, number: int) -> Iterator[BlockPart]:
    for part, name in enumerate(PARTS):
        if measured.parts.calls[number, part]:
            yield BlockPart(part=name, **_figures(measured, [(number, part)]))


def block_kind_rows(measured: Measured) -> tuple[BlockKindRow, ...]:
    """Of each stack and kind a row per part and one of the whole; then the same of all blocks together."""
    parts, blocks = measured.parts, measured.blocks
    groups: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for number, block in enumerate(blocks):
        if block.knows_parts:
            groups[block.stack, block.kind].append(number)
    if len(groups) > 1:
        groups[None, None] = [number for numbers in list(groups.values()) for number in numbers]
    every = sorted({number for numbers in groups.values() for number in numbers})
    whole_time = int(parts.gpu_time[every].sum())
    rows = []
    for (stack, kind), numbers in groups.items():
        present = [part for part in range(len(PARTS)) if parts.calls[numbers, part].any()]
        for part in [*present, None]:
            cells = [(n, p) for n in numbers for p in (present if part is None else [part])]
            time = sum(int(parts.gpu_time[cell]) for cell in cells)
            rows.append(
                BlockKindRow(
                    stack=stack,
                    kind=kind,
                    part=None if part is None else PARTS[part],
                    blocks=len({n for n, p in cells if parts.calls[n, p]}),
                    time_share=time / whole_time if whole_time else None,
                    **_figures(measured, cells),
                )
            )
    return tuple(rows)


def _figures(measured: Measured, cells: Sequence[Cell]) -> dict[str, Any]:
    """The fields of `schema.PartFigures` for the sum of some parts of blocks."""
    parts, has_shapes = measured.parts, measured.knows_flops
    at = tuple(np.array(cells).T)

    def summed(column: Any) -> Any:
        return column[at].sum(axis=0, keepdims=True)

    time, matrix = int(summed(parts.gpu_time)[0]), int(summed(parts.matrix)[0])
    launched = int(summed(parts.launched_matrix)[0])
    flops = median_over_passes(summed(parts.matrix_per_pass))[0] if has_shapes else None
    headroom = measured.headroom_per_pass_us(
        summed(parts.bounded_time_per_pass), summed(parts.bound_per_pass)
    )
    return {
        "gpu_time_us": time / 1000,
        "gpu_time_per_pass_us": median_us(summed(parts.gpu_time_per_pass))[0],
        "cpu_time_us": int(summed(parts.cpu_time)[0]) / 1000,
        "matrix_flops": matrix if has_shapes else None,
        "matrix_flops_per_pass": None if flops is None else round(flops),
        "tflops": launched / time / 1000 if has_shapes and launched and time else None,
        "headroom_per_pass_us": headroom[0],
        **roofline_fields(parts.work.each(summed), 0, matrix if has_shapes else None, time),
    }
