"""GPU busy, idle and span: unions of intervals, per group and device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tracekit.trace import Ints


class Occupancy(NamedTuple):
    """In ns, summed over devices."""

    busy: int
    idle: int
    span: int


def occupancy(start: Ints, end: Ints, device: Ints) -> Occupancy:
    """The union of the intervals on each device, its gaps, and first start to last end."""
    busy = span = 0
    for one in np.unique(device):
        at = device == one
        order = np.argsort(start[at], kind="stable")
        begin, reached = start[at][order], np.maximum.accumulate(end[at][order])
        gaps = np.maximum(begin[1:] - reached[:-1], 0)
        total = int(reached[-1] - begin[0])
        span += total
        busy += total - int(gaps.sum())
    return Occupancy(busy, span - busy, span)


def occupancy_by_group(start: Ints, end: Ints, device: Ints, group: Ints, groups: int) -> list[Occupancy]:
    """`occupancy` of the intervals of each group 0 … groups-1; other groups are left out."""
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(groups + 1))
    return [
        occupancy(start[at], end[at], device[at])
        for at in (order[edges[i] : edges[i + 1]] for i in range(groups))
    ]
