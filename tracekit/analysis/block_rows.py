"""Rows of the report about blocks, their parts, and the parts of all blocks of a kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from tracekit.analysis.block_parts import PARTS
from tracekit.analysis.module_rows import Measured, parameters_of, tflops_of
from tracekit.analysis.per_pass import PerPass
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import BlockKindRow, BlockPart, BlockPhase, BlockRow
from tracekit.attribution import Floats, sum_by
from tracekit.trace import Ints


def block_rows(measured: Measured, phases: Mapping[int, tuple[BlockPhase, ...]]) -> tuple[BlockRow, ...]:
    """One row per block, by stack and index."""
    attribution, totals, work = measured.attribution, measured.totals, measured.work
    has_shapes, modules = measured.knows_flops, attribution.tree.modules
    on_gpu = bool(totals.gpu_events.any())
    gpu_median, cpu_median = totals.gpu_time_per_pass.medians_us(), totals.cpu_time_per_pass.medians_us()
    matrix_median = totals.matrix_per_pass.medians()
    headroom = measured.headroom_per_pass_us(work.bounded_time_per_pass, work.bound_per_pass)
    parts = _parts(measured)
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
                gpu_idle_us=float(work.modules.idle[i]) / 1000 if on_gpu else None,
                parts=tuple(parts[number]) if block.knows_parts else (),
                phases=phases[i],
                **roofline_fields(work.modules, i, matrix if has_shapes else None, int(totals.gpu_time[i])),
            )
        )
    return tuple(rows)


def _parts(measured: Measured) -> dict[int, list[BlockPart]]:
    """The parts of each block."""
    present = np.flatnonzero(measured.parts.calls.reshape(-1))
    found: dict[int, list[BlockPart]] = defaultdict(list)
    figures = _figures(measured, present, np.arange(len(present)), len(present))
    for cell, own in zip(present.tolist(), figures, strict=True):
        found[cell // len(PARTS)].append(BlockPart(part=PARTS[cell % len(PARTS)], **own))
    return found


def block_kind_rows(measured: Measured) -> tuple[BlockKindRow, ...]:
    """Of each stack and kind a row per part and one of the whole; then the same of all blocks together."""
    parts = measured.parts
    kinds: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for number, block in enumerate(measured.blocks):
        if block.knows_parts:
            kinds[block.stack, block.kind].append(number)
    whole_time = int(parts.gpu_time[sorted(chain(*kinds.values()))].sum()) if kinds else 0
    if len(kinds) > 1:
        kinds[None, None] = sorted(chain(*kinds.values()))
    members: list[tuple[str | None, str | None, str | None, Ints]] = []
    for (stack, kind), numbers in kinds.items():
        called = parts.calls[numbers] > 0
        for part in [*np.flatnonzero(called.any(axis=0)).tolist(), None]:
            at, of = np.nonzero(called if part is None else called & (np.arange(len(PARTS)) == part))
            name = None if part is None else PARTS[part]
            if len(at):
                members.append((stack, kind, name, np.array(numbers)[at] * len(PARTS) + of))
    cells = np.concatenate([own for *_, own in members]) if members else np.zeros(0, np.int64)
    group = np.repeat(np.arange(len(members)), [len(own) for *_, own in members])
    figures = _figures(measured, cells, group, len(members))
    return tuple(
        BlockKindRow(
            stack=stack,
            kind=kind,
            part=part,
            blocks=len(np.unique(own // len(PARTS))),
            time_share=own_figures["gpu_time_us"] * 1000 / whole_time if whole_time else None,
            **own_figures,
        )
        for (stack, kind, part, own), own_figures in zip(members, figures, strict=True)
    )


def _figures(measured: Measured, cells: Ints, group: Ints, groups: int) -> list[dict[str, Any]]:
    """The fields of `schema.PartFigures` for each of `groups` sums of cells of [block, part]."""
    parts, has_shapes = measured.parts, measured.knows_flops

    def summed(column: Any) -> Floats:
        return sum_by(group, column.reshape(-1)[cells], groups)

    def per_pass(column: PerPass) -> PerPass:
        return column.summed(cells, group, groups)

    time, matrix, launched, cpu_time = (
        summed(column).tolist()
        for column in (parts.gpu_time, parts.matrix, parts.launched_matrix, parts.cpu_time)
    )
    time_per_pass = per_pass(parts.gpu_time_per_pass).medians_us()
    cpu_time_per_pass = per_pass(parts.cpu_time_per_pass).medians_us()
    flops = per_pass(parts.matrix_per_pass).medians()
    headroom = measured.headroom_per_pass_us(
        per_pass(parts.bounded_time_per_pass), per_pass(parts.bound_per_pass)
    )
    work = parts.work.each(summed)
    return [
        {
            "gpu_time_us": time[i] / 1000,
            "gpu_time_per_pass_us": time_per_pass[i],
            "cpu_time_us": cpu_time[i] / 1000,
            "cpu_time_per_pass_us": cpu_time_per_pass[i],
            "matrix_flops": int(matrix[i]) if has_shapes else None,
            "matrix_flops_per_pass": round(flops[i] or 0) if has_shapes and flops[i] is not None else None,
            "tflops": launched[i] / time[i] / 1000 if has_shapes and launched[i] and time[i] else None,
            "headroom_per_pass_us": headroom[i],
            **roofline_fields(work, i, int(matrix[i]) if has_shapes else None, int(time[i])),
        }
        for i in range(groups)
    ]
