"""What would be won where: the time above the bound of modules that stand at the same place in all blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tracekit.analysis.gaps import Gaps
from tracekit.analysis.module_rows import Measured
from tracekit.analysis.per_pass import PerPass
from tracekit.analysis.places import places
from tracekit.analysis.roofline import limit_of
from tracekit.analysis.schema import HeadroomRow
from tracekit.analysis.work import OpWork
from tracekit.attribution import NOBODY, sum_by


def headroom_rows(
    measured: Measured, gaps: Gaps, ops: OpWork, idle_us: Sequence[float]
) -> tuple[HeadroomRow, ...]:
    """The places with most to win first; nothing for a device without figures, except what the host costs.

    Per pass (median), or over the whole trace where it has no passes; `ops` has a row per op,
    `idle_us` what the GPU is idle between the first and the last event of each pass.
    """
    tree, work, self_time = measured.attribution.tree, measured.work, measured.totals.gpu_self_time
    groups: dict[str, list[int]] = defaultdict(list)
    for index, place in enumerate(places(tree)):
        groups[place].append(index)
    has_passes = work.own_bound_per_pass.passes > 0
    above_bound = work.own_bounded_time_per_pass.above(work.own_bound_per_pass)
    bounds, times, headrooms = (
        _medians_of_sums(column, list(groups.values()))
        for column in (work.own_bound_per_pass, work.own_time_per_pass, above_bound)
    )
    group = np.empty(len(tree.modules), np.int32)
    for position, members in enumerate(groups.values()):
        group[members] = position
    own = work.own.each(lambda column: sum_by(group, column, len(groups)))
    own_time = sum_by(group, self_time, len(groups))
    rows = []
    for position, (place, members) in enumerate(groups.items()):
        bounded = float(own.bounded_time[position])
        if not bounded:
            continue
        if has_passes:
            bound, time, headroom = (one[position] for one in (bounds, times, headrooms))
        else:
            bound_ns = float(work.own.bound[members].sum())  # of fractions numpy's own sum loses least
            bound, time = bound_ns / 1000, float(own_time[position]) / 1000
            headroom = (bounded - bound_ns) / 1000
        types = {tree.modules[index].type for index in members}
        rows.append(
            HeadroomRow(
                kind="modules",
                place=place,
                type=types.pop() if len(types) == 1 else None,
                modules=len(members),
                gpu_time_us=time,
                bound_us=bound,
                headroom_us=max(0.0, headroom),
                share=measured.share_of_wall(max(0.0, headroom)) if has_passes else None,
                limited_by=limit_of(own, position, int(own_time[position])),
            )
        )
    rows += _outside(measured, ops)
    rows += _host(measured, gaps, idle_us)
    return tuple(sorted(rows, key=lambda row: -row.headroom_us))


def _outside(measured: Measured, ops: OpWork) -> list[HeadroomRow]:
    """What is launched in no module's forward: the mean over passes, since not all of it is in one."""
    attribution, rows = measured.attribution, []
    if not measured.of_pass.all():
        return []
    outside = attribution.op_scope == NOBODY
    backward = outside & (attribution.op_backward_scope != NOBODY)
    passes = len(attribution.passes)
    for kind, at in (("modules_backward", backward), ("outside_modules", outside & ~backward)):
        own = ops.total_where(at)
        bounded, bound = float(own.bounded_time[0]), float(own.bound[0])
        if bounded:
            headroom = max(0.0, bounded - bound) / 1000 / max(1, passes)
            rows.append(
                HeadroomRow(
                    kind=kind,
                    place="",
                    type=None,
                    modules=0,
                    gpu_time_us=bounded / 1000 / max(1, passes),
                    bound_us=bound / 1000 / max(1, passes),
                    headroom_us=headroom,
                    share=measured.share_of_wall(headroom) if passes else None,
                    limited_by=limit_of(own, 0, int(bounded)),
                )
            )
    return rows


def _host(measured: Measured, gaps: Gaps, idle_us: Sequence[float]) -> list[HeadroomRow]:
    """What the GPU waits for launches, after calls that waited for it, and between queued kernels."""
    count = len(measured.attribution.passes)
    rows = []
    launches, synchronisation = (
        sum_by(gaps.number, lost, count) for lost in (gaps.lost_to_launches, gaps.lost_to_it)
    )
    queued = np.maximum(np.array(idle_us, np.float64) * 1000 - launches - synchronisation, 0)
    for kind, of_pass in (("launches", launches), ("synchronisation", synchronisation), ("queued", queued)):
        own_passes = of_pass[measured.of_pass] / gaps.devices
        idle = float(np.median(own_passes)) / 1000 if len(own_passes) else None
        if idle:
            rows.append(
                HeadroomRow(
                    kind=kind,
                    place="",
                    type=None,
                    modules=0,
                    gpu_time_us=0.0,
                    bound_us=None,
                    headroom_us=idle,
                    share=measured.share_of_wall(idle),
                    limited_by="latency" if kind == "queued" else "host",
                )
            )
    return rows


def _medians_of_sums(per_pass: PerPass, groups: Sequence[list[int]]) -> list[float]:
    """µs: the median over passes of what the modules of each group take together."""
    if per_pass.passes == 1:  # of one pass numpy's own sum loses least
        of_module = per_pass.totals()
        return [float(of_module[members].sum()) / 1000 for members in groups]
    group = np.repeat(np.arange(len(groups)), [len(members) for members in groups])
    members = np.array([member for members in groups for member in members], np.int64)
    return [median or 0.0 for median in per_pass.summed(members, group, len(groups)).medians_us()]
