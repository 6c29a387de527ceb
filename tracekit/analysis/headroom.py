"""What would be won where: the time above the bound of modules that stand at the same place in all blocks."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tracekit.analysis.gaps import Gaps
from tracekit.analysis.module_rows import Measured, median_us
from tracekit.analysis.places import places
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import HeadroomRow
from tracekit.attribution import Floats, sum_by


def headroom_rows(measured: Measured, gaps: Gaps) -> tuple[HeadroomRow, ...]:
    """The places with most to win first; nothing for a device without figures, except what the host costs.

    Per pass (median), or over the whole trace where it has no passes.
    """
    tree, work, self_time = measured.attribution.tree, measured.work, measured.totals.gpu_self_time
    groups: dict[str, list[int]] = defaultdict(list)
    for index, place in enumerate(places(tree)):
        groups[place].append(index)
    has_passes = work.own_bound_per_pass.shape[1] > 0
    rows = []
    for place, members in groups.items():
        own = work.own.each(lambda column, at=members: column[at].sum(keepdims=True))  # type: ignore[misc]
        bounded = float(own.bounded_time[0])
        if not bounded:
            continue
        if has_passes:
            bound = _median_of_sum(work.own_bound_per_pass[members])
            time = _median_of_sum(work.own_time_per_pass[members])
            headroom = _median_of_sum(
                work.own_bounded_time_per_pass[members] - work.own_bound_per_pass[members]
            )
        else:
            bound, time = float(own.bound[0]) / 1000, float(self_time[members].sum()) / 1000
            headroom = (bounded - float(own.bound[0])) / 1000
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
                limited_by=roofline_fields(own, 0, 0, int(self_time[members].sum()))["limited_by"],
            )
        )
    rows += _host(measured, gaps)
    return tuple(sorted(rows, key=lambda row: -row.headroom_us))


def _host(measured: Measured, gaps: Gaps) -> list[HeadroomRow]:
    """What the GPU waits for launches, and after calls that waited for it."""
    count = len(measured.attribution.passes)
    rows = []
    for kind, lost in (("launches", gaps.lost_to_launches), ("synchronisation", gaps.lost_to_it)):
        of_pass = sum_by(gaps.number, lost, count)[measured.of_pass]
        idle = median_us(of_pass[np.newaxis, :])[0]
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
                    limited_by="host",
                )
            )
    return rows


def _median_of_sum(per_pass: Floats) -> float:
    """µs: the median over passes of what some modules take together."""
    return median_us(per_pass.sum(axis=0, keepdims=True))[0] or 0.0
