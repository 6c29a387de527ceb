"""GPU busy, idle and span: unions of intervals, per group and device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tracekit.attribution import moments, numbered, pair_keys
from tracekit.trace import Ints


class Occupancy(NamedTuple):
    """In ns, summed over devices."""

    busy: int
    idle: int
    span: int


class Occupancies(NamedTuple):
    """An `Occupancy` of each group, as columns."""

    busy: Ints
    idle: Ints
    span: Ints


def occupancy(start: Ints, end: Ints, device: Ints) -> Occupancy:
    """The union of the intervals on each device, its gaps, and first start to last end."""
    columns = occupancy_by_group(start, end, device, np.zeros(len(start), np.int32), 1)
    return Occupancy(*(int(column[0]) for column in columns))


def occupancy_by_group(start: Ints, end: Ints, device: Ints, group: Ints, groups: int) -> Occupancies:
    """`occupancy` of the intervals of each group 0 … groups-1."""
    devices = int(device.max(initial=0)) + 1
    distinct, segment = numbered(pair_keys(group, device, devices))
    order = by_segment_and_start(segment, start)
    start, segment = start[order], segment[order]
    reached = latest_end(segment, end[order])
    gap = np.maximum(start[1:] - reached[:-1], 0) * (segment[1:] == segment[:-1])
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    last = np.append(first[1:], len(order))[: len(first)] - 1
    span, idle = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    np.add.at(span, distinct // devices, reached[last] - start[first])
    np.add.at(idle, distinct // devices, np.add.reduceat(np.append(gap, 0), first))
    return Occupancies(span - idle, idle, span)


def by_segment_and_start(segment: Ints, start: Ints) -> Ints:
    """The order of intervals by the numbers of their segments, then by start; as in the file where equal."""
    (key,) = moments((segment, start))
    return np.argsort(key, kind="stable").astype(np.int32)


def latest_end(segment: Ints, end: Ints) -> Ints:
    """Of intervals that are sorted by segment, the latest end of each and those before it in its segment."""
    (key,) = moments((segment, end))
    is_latest = key == np.maximum.accumulate(key)
    at = np.maximum.accumulate(np.where(is_latest, np.arange(len(key), dtype=np.int32), 0))
    return end[at]
