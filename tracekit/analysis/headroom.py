"""What would be won where: the time above the bound of modules that stand at the same place in all blocks."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from tracekit.analysis.idle import HostGaps
from tracekit.analysis.module_rows import Measured, median_us
from tracekit.analysis.roofline import roofline_fields
from tracekit.analysis.schema import HeadroomRow
from tracekit.attribution import NOBODY, Floats, ModuleTree, sum_by

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)")
_OBJECT_NUMBER = re.compile(r"_\d+$")


def headroom_rows(measured: Measured, gaps: HostGaps) -> tuple[HeadroomRow, ...]:
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


def _host(measured: Measured, gaps: HostGaps) -> list[HeadroomRow]:
    count = len(measured.attribution.passes)
    if not len(gaps) or not count:
        return []
    idle = sum_by(measured.attribution.gpu_pass[gaps.event], gaps.end - gaps.start, count)
    per_pass = _median_of_sum(idle[np.newaxis, :])
    return [
        HeadroomRow(
            kind="host",
            place="",
            type=None,
            modules=0,
            gpu_time_us=0.0,
            bound_us=None,
            headroom_us=per_pass,
            share=measured.share_of_wall(per_pass),
            limited_by="host",
        )
    ]


def _median_of_sum(per_pass: Floats) -> float:
    """µs: the median over passes of what some modules take together."""
    return median_us(per_pass.sum(axis=0, keepdims=True))[0] or 0.0


def places(tree: ModuleTree) -> list[str]:
    """Where each module stands, the same for its like in all blocks.

    By path with `*` for numbers; frames, which number objects, give their types, `Linear#2` for the second
    of several such in one parent.
    """
    if tree.source != "frames":
        return [_NUMBER.sub("*", module.path) for module in tree.modules]
    order: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, module in enumerate(tree.modules):
        order[module.parent, _OBJECT_NUMBER.sub("", module.name)].append(index)
    names = [""] * len(tree.modules)
    for (parent, name), members in order.items():
        # Layers are alike, whichever they are; the projections of one layer are not.
        alike = all(_has_children(tree, index) for index in members) or parent == NOBODY
        for number, index in enumerate(members, 1):
            names[index] = name if alike or len(members) == 1 else f"{name}#{number}"
    found: list[str] = []
    for index, module in enumerate(tree.modules):
        found.append(names[index] if module.parent == NOBODY else f"{found[module.parent]}.{names[index]}")
    return found


def _has_children(tree: ModuleTree, index: int) -> bool:
    return tree.modules[index + 1].parent == index if index + 1 < len(tree.modules) else False
