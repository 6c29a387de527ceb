"""Which rows of a job are shown, and what those make that are not; shared by all outputs.

Times of ranks are those of a step: means over the steps and devices of a rank, so that they can be set beside
each other where ranks recorded different numbers of steps.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.schema import (
    CollectiveRow,
    HeatMap,
    Job,
    LateRank,
    ModuleSpread,
    RankRow,
    Straggler,
)

# The fields that make up a step, in the order in which bars are stacked.
PARTS = ("compute", "communication", "copy", "idle")


@dataclass(frozen=True)
class Split:
    """A step, µs: compute + communication + copy + idle = wall, communication being what is exposed."""

    wall: float
    compute: float
    communication: float
    copy: float
    idle: float
    overlapped: float
    waiting: float | None  # None: nothing could be matched

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """As in `PARTS`."""
        return self.compute, self.communication, self.copy, self.idle


@dataclass(frozen=True)
class Rank:
    """A rank with its step, what it waits for, and how it is late; `step` is None where it recorded none."""

    row: RankRow
    step: Split | None
    late: LateRank | None
    straggler: Straggler | None

    @property
    def last_share(self) -> float | None:
        """Of the collectives in which it met others, in how many it was the last."""
        return self.late.last / self.late.collectives if self.late and self.late.collectives else None


def ranks_of(job: Job) -> list[Rank]:
    """All of them, by their numbers."""
    late = {one.rank: one for one in job.late}
    stragglers = {one.rank: one for one in job.stragglers}
    return [Rank(row, _step(row), late.get(row.rank), stragglers.get(row.rank)) for row in job.ranks]


def _step(row: RankRow) -> Split | None:
    count = row.steps * row.devices
    if not count:
        return None
    return Split(
        wall=row.wall_us / count,
        compute=row.compute_us / count,
        communication=row.communication_exposed_us / count,
        copy=row.copy_us / count,
        idle=row.idle_us / count,
        overlapped=row.communication_overlapped_us / count,
        waiting=None if row.waiting_us is None else row.waiting_us / count,
    )


def mean_step(ranks: Iterable[Rank]) -> Split | None:
    """The mean over ranks, which adds up as each does."""
    steps = [one.step for one in ranks if one.step is not None]
    if not steps:
        return None
    known = [one.waiting for one in steps if one.waiting is not None]
    means = {
        name: statistics.fmean(getattr(one, name) for one in steps) for name in ("wall", *PARTS, "overlapped")
    }
    return Split(**means, waiting=statistics.fmean(known) if known else None)


def extremes(ranks: Sequence[Rank], most: int) -> list[Rank]:
    """At most so many, by their numbers: stragglers, and those with the most and the least of something."""
    if len(ranks) <= most:
        return list(ranks)
    columns: list[Callable[[Split], float]] = [
        lambda step: -step.compute,
        lambda step: step.compute,
        lambda step: -step.communication,
        lambda step: -step.idle,
    ]
    timed = [(one.row.rank, one.step) for one in ranks if one.step is not None]
    orders = [sorted(timed, key=lambda pair: key(pair[1])) for key in columns]
    late = sorted((one.straggler.delay_us, one.row.rank) for one in ranks if one.straggler is not None)
    chosen = {rank for _delay, rank in late[::-1][: most // 2]}
    for turn in zip(*orders, strict=True):
        for rank, _step_of_rank in turn:
            if len(chosen) < most:
                chosen.add(rank)
    return [one for one in ranks if one.row.rank in chosen]


def slowest_median_fastest(ranks: Sequence[Rank]) -> list[Rank]:
    """By the time of compute, without repeating one where there are fewer than three."""
    timed = sorted(
        ((one.step.compute, at) for at, one in enumerate(ranks) if one.step is not None), reverse=True
    )
    chosen = [timed[0], timed[len(timed) // 2], timed[-1]] if timed else []
    return [ranks[at] for _compute, at in dict.fromkeys(chosen)]


def by_delay(job: Job) -> list[LateRank]:
    """Those that held others up, the worst first."""
    return sorted((one for one in job.late if one.last), key=lambda one: (-one.delay_us, -one.last, one.rank))


def by_imbalance(job: Job) -> list[ModuleSpread]:
    """Modules of several ranks, those first whose own work takes the slowest rank most above the mean."""
    rows = [row for row in job.modules if row.ranks > 1 and row.own.max_us > 0]
    return sorted(rows, key=lambda row: -(row.own.max_us - row.own.mean_us))


@dataclass(frozen=True)
class StepFigures:
    """One step over the ranks, and their devices, that recorded it; µs."""

    step: int
    ranks: int
    least_wall: float
    median_wall: float
    most_wall: float
    slowest: int  # the rank of `most_wall`
    median_compute: float
    most_compute: float
    busiest: int  # the rank of `most_compute`
    median_communication: float
    median_idle: float


def steps_of(job: Job) -> list[StepFigures]:
    """By their numbers."""
    if not job.steps:
        return []
    number = np.array([one.step for one in job.steps])
    rank = np.array([one.rank for one in job.steps])
    wall, compute, communication, idle = (
        np.array([getattr(one, name) for one in job.steps])
        for name in ("wall_us", "compute_us", "communication_exposed_us", "idle_us")
    )
    order = np.argsort(number, kind="stable")
    distinct, first = np.unique(number[order], return_index=True)
    rows = []
    for step, at in zip(distinct.tolist(), np.split(order, first[1:]), strict=True):
        slowest, busiest = at[int(wall[at].argmax())], at[int(compute[at].argmax())]
        rows.append(
            StepFigures(
                step=step,
                ranks=len(np.unique(rank[at])),
                least_wall=float(wall[at].min()),
                median_wall=float(np.median(wall[at])),
                most_wall=float(wall[slowest]),
                slowest=int(rank[slowest]),
                median_compute=float(np.median(compute[at])),
                most_compute=float(compute[busiest]),
                busiest=int(rank[busiest]),
                median_communication=float(np.median(communication[at])),
                median_idle=float(np.median(idle[at])),
            )
        )
    return rows


def longest_steps(steps: Sequence[StepFigures], most: int) -> list[StepFigures]:
    """At most so many, in their order: the ones that took longest."""
    longest = sorted(steps, key=lambda one: -one.most_wall)[:most]
    return sorted(longest, key=lambda one: one.step)


@dataclass(frozen=True)
class Point:
    """Bus bandwidth of collectives of one size; several groups of ranks have a median."""

    bytes: int
    median_gbs: float
    least_gbs: float
    most_gbs: float
    groups: int
    count: int  # matched collectives


@dataclass(frozen=True)
class Curve:
    """Bus bandwidth over size, of one operation in groups of one size."""

    op: str
    group_size: int | None
    points: Sequence[Point]


def curves_of(job: Job) -> list[Curve]:
    """Those with most collectives first."""
    found: dict[tuple[str, int | None], dict[int, list[CollectiveRow]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in job.collectives:
        if row.bus_gbs and row.bytes and math.isfinite(row.bus_gbs):
            size = job.groups[row.group].size if row.group < len(job.groups) else None
            found[row.op, size or row.ranks][row.bytes].append(row)
    curves = [
        Curve(op, size, [_point(own, rows) for own, rows in sorted(sizes.items())])
        for (op, size), sizes in found.items()
    ]
    return sorted(curves, key=lambda one: (-sum(point.count for point in one.points), one.op))


def _point(size: int, rows: Sequence[CollectiveRow]) -> Point:
    speeds = [row.bus_gbs for row in rows if row.bus_gbs is not None]
    return Point(
        bytes=size,
        median_gbs=statistics.median(speeds),
        least_gbs=min(speeds),
        most_gbs=max(speeds),
        groups=len({row.group for row in rows}),
        count=sum(row.matched for row in rows),
    )


def has_several_sizes(curves: Sequence[Curve]) -> bool:
    """Whether there is anything to be seen over size."""
    return len({point.bytes for curve in curves for point in curve.points}) > 1


Percent = list[list[float]]


def heat_rows(heat: HeatMap, part: str, most: int) -> tuple[Percent, int]:
    """Percent of each bin, a row for each rank or for so many ranks that follow each other: their maximum.

    Returns the rows, with NaN for what is unknown, and how many ranks a row stands for.
    """
    per_row = max(1, -(-len(heat.ranks) // most))
    values = np.array(
        [[math.nan if one is None else one for one in row] for row in getattr(heat, part)], np.float64
    ).reshape(len(heat.ranks), heat.bins)
    if per_row == 1:
        rows: Percent = values.tolist()
        return rows, 1
    firsts = range(0, len(values), per_row)
    return [np.fmax.reduce(values[at : at + per_row], axis=0).tolist() for at in firsts], per_row
