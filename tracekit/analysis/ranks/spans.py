"""Arithmetic of intervals of time, exact in integers: unions, what they cover, what two have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.attribution import Mask
from tracekit.trace import Ints


@dataclass(frozen=True)
class Spans:
    """Intervals that do not overlap, by start; ns."""

    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.start)

    def before(self, moment: Ints) -> Ints:
        """How much of them lies before each moment."""
        if not len(self):
            return np.zeros(len(moment), np.int64)
        total = np.concatenate(([0], np.cumsum(self.end - self.start)))
        begun = np.searchsorted(self.start, moment, side="right")
        still = np.where(begun > 0, np.maximum(self.end[begun - 1] - moment, 0), 0)
        return np.asarray(total[begun] - still, np.int64)

    def within(self, start: Ints, end: Ints) -> Ints:
        """How much of them lies in each interval."""
        return np.asarray(self.before(end) - self.before(start), np.int64)

    def gaps(self) -> Spans:
        """What lies between them."""
        return Spans(self.end[:-1], self.start[1:])

    def without(self, other: Spans) -> Spans:
        """What of them `other` does not cover."""
        if not len(self) or not len(other):
            return self
        low = min(int(self.start[0]), int(other.start[0]))
        high = max(int(self.end[-1]), int(other.end[-1]))
        start = np.concatenate(([low], other.end))
        end = np.concatenate((other.start, [high]))
        _, _, start, end = in_common(self.start, self.end, start, end)
        return Spans(start, end)


def union(start: Ints, end: Ints) -> Spans:
    """What any of the intervals covers; those that touch are one."""
    some = end > start
    start, end = start[some], end[some]
    if not len(start):
        return Spans(np.empty(0, np.int64), np.empty(0, np.int64))
    order = np.argsort(start, kind="stable")
    start, reached = start[order], np.maximum.accumulate(end[order])
    first = np.concatenate(([True], start[1:] > reached[:-1]))
    last = np.concatenate((first[1:], [True]))
    return Spans(start[first], reached[last])


def in_common(
    first_start: Ints, first_end: Ints, second_start: Ints, second_end: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """For each pair that overlaps: the place in the first, that in the second, start and end of the overlap.

    The second intervals do not overlap each other and are sorted.
    """
    low = np.searchsorted(second_end, first_start, side="right")
    high = np.searchsorted(second_start, first_end, side="left")
    count = np.maximum(high - low, 0)
    first = np.repeat(np.arange(len(first_start)), count)
    second = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count) + low[first]
    start = np.maximum(first_start[first], second_start[second])
    end = np.minimum(first_end[first], second_end[second])
    some: Mask = end > start
    return first[some], second[some], start[some], end[some]


@dataclass(frozen=True)
class Partition:
    """What a device does at each moment: it computes, else communicates, else copies, else it is idle."""

    compute: Spans
    computes_or_communicates: Spans
    communication: Spans
    busy: Spans

    @classmethod
    def of(cls, start: Ints, end: Ints, communicates: Mask, copies: Mask) -> Partition:
        computes = ~communicates & ~copies
        return cls(
            union(start[computes], end[computes]),
            union(start[~copies], end[~copies]),
            union(start[communicates], end[communicates]),
            union(start, end),
        )

    def split(self, start: Ints, end: Ints) -> dict[str, Ints]:
        """Of each interval, ns: the four parts that make it up, and how much of computing is overlapped."""
        compute = self.compute.within(start, end)
        both = self.computes_or_communicates.within(start, end)
        busy = self.busy.within(start, end)
        exposed = both - compute
        return {
            "compute": compute,
            "exposed": exposed,
            "overlapped": self.communication.within(start, end) - exposed,
            "copy": busy - both,
            "idle": end - start - busy,
        }
