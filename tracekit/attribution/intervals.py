"""The innermost enclosing interval on the same thread: the one function that all attribution stands on.

Works for any intervals, nested or partly overlapping, with no Python loop over them. It rests on this:
let X be the last interval that starts no later than q. If X does not enclose q, then X ends before q does,
so whatever encloses q encloses X too. The answer for q is therefore X or the answer for one of X's own
enclosing intervals, and following those pointers, halving the way at each step, finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np

from tracekit.trace import Intervals, Ints

NOBODY = -1
_LARGEST_KEY = 1 << 62

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Numbers = TypeVar("Numbers", Ints, Floats)


@dataclass(frozen=True)
class Nesting:
    """Who encloses whom: the parent of each interval, and an order in which it stands before what is inside.

    That order is by thread, then start, outer before inner. `order[k]` is the k-th interval's position in the
    columns. What an interval encloses, and no other encloses further in, stands right behind it, up to the
    place `behind`; that is so for partly overlapping intervals too, since the one that starts later has
    whatever lies in both.
    """

    intervals: Intervals
    order: Ints
    is_sorted: bool  # the columns are in this order themselves, so that `order` counts from 0 on
    parent: Ints  # by position in the columns, `NOBODY` for the outermost
    behind: Ints  # by place in the order: the first place behind all that is inside

    @cached_property
    def depth(self) -> Ints:
        """How many intervals enclose each, by position in the columns."""
        ended = np.cumsum(np.bincount(self.behind, minlength=1)[: len(self.order)])
        depth: Ints = self.in_columns(np.arange(len(ended), dtype=np.int32) - ended.astype(np.int32))
        return depth

    def in_order(self, column: Any) -> Any:
        """The values of a column in the order of the nesting."""
        return column if self.is_sorted else column[self.order]

    def in_columns(self, values: Any) -> Any:
        """What `in_order` undoes."""
        if self.is_sorted:
            return values
        column = np.empty_like(values)
        column[self.order] = values
        return column


def nest(intervals: Intervals) -> Nesting:
    """The nesting of `intervals`; of two equal ones, the first in the file encloses the other."""
    count = len(intervals)
    order, is_sorted = _outer_first(intervals)
    thread, end = (one if is_sorted else one[order] for one in (intervals.thread, intervals.end))
    candidate = np.arange(-1, count - 1, dtype=np.int32)
    candidate[_is_outermost(thread, end)] = NOBODY
    pending = np.flatnonzero((candidate[1:] != NOBODY) & (end[:-1] < end[1:])) + 1
    while len(pending):  # each has a parent, which encloses its candidate too
        candidate[pending] = candidate[candidate[pending]]
        pending = pending[end[candidate[pending]] < end[pending]]
    behind = _behind(candidate)
    if is_sorted:
        return Nesting(intervals, order, True, candidate, behind)
    parent = np.empty_like(candidate)
    parent[order] = np.where(candidate == NOBODY, NOBODY, order[candidate])
    return Nesting(intervals, order, False, parent, behind)


def _outer_first(intervals: Intervals) -> tuple[Ints, bool]:
    """The order of a nesting, and whether the intervals are in it already, as those of one thread often are.

    Few intervals start together: one stable sort, and another of those that do, is cheaper than one by three
    columns. It is next to nothing for intervals that are sorted thread by thread.
    """
    (key,) = moments((intervals.thread, intervals.start))
    order = np.argsort(key, kind="stable").astype(np.int32)
    key, end = key[order], intervals.end[order]
    same = key[1:] == key[:-1]
    if (same & (end[1:] > end[:-1])).any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        order[tied] = order[tied][np.lexsort((-end[tied], key[tied]))]
    return order, bool((order[1:] > order[:-1]).all())


def _is_outermost(thread: Ints, end: Ints) -> Mask:
    """Whether all intervals before each, in the order of a nesting, end before it does on its thread."""
    (key,) = moments((thread, end))
    result = np.ones(len(key), np.bool_)
    result[1:] = np.maximum.accumulate(key)[:-1] < key[1:]
    return result


def _behind(parent: Ints) -> Ints:
    """The place behind the last that is inside each, by parents in the order of a nesting."""
    last = np.arange(len(parent), dtype=np.int32)
    inner = np.flatnonzero(parent != NOBODY)
    last[parent[inner]] = inner  # of several children the last one is what stays
    return np.asarray(ends_of(last) + 1, np.int32)


def ends_of(leads_to: Ints) -> Ints:
    """Where each chain of steps ends; what leads to itself is an end."""
    while not np.array_equal(further := leads_to[leads_to], leads_to):
        leads_to = further
    return leads_to


def depths(parent: Ints) -> Ints:
    """How many ancestors each has, by the parent of each."""
    depth: Ints = (parent != NOBODY).astype(np.int32)
    ancestor = parent.copy()
    pending = np.flatnonzero(ancestor != NOBODY)
    while len(pending):
        above = ancestor[pending]
        depth[pending] += depth[above]
        ancestor[pending] = ancestor[above]
        pending = pending[ancestor[pending] != NOBODY]
    return depth


def nearest(flag: Mask, parent: Ints) -> Ints:
    """The nearest flagged one of each interval and those that enclose it, by their parents; or `NOBODY`."""
    count = len(parent)
    step = np.where(flag, np.arange(count, dtype=np.int32), np.where(parent == NOBODY, count, parent))
    leads_to = ends_of(np.append(step, count))[:count]
    return np.where(leads_to == count, NOBODY, leads_to)


def innermost(nesting: Nesting, thread: Ints, start: Ints, end: Ints) -> Ints:
    """For each query interval, the innermost of the nested intervals that encloses it, else `NOBODY`.

    An interval encloses a query if it starts no later and ends no earlier. Where two touch at a point that
    is the whole query, the later one has it.
    """
    return innermost_from(nesting, last_started(nesting, thread, start), end)


def innermost_from(nesting: Nesting, last: Ints, end: Ints) -> Ints:
    """`innermost` of queries of which `last_started` is known already."""
    found: Ints = last.copy()
    outer_end, parent = nesting.intervals.end, nesting.parent
    pending = np.flatnonzero(found != NOBODY)
    while len(pending):
        pending = pending[outer_end[found[pending]] < end[pending]]
        found[pending] = parent[found[pending]]
        pending = pending[found[pending] != NOBODY]
    return found


def last_started(nesting: Nesting, thread: Ints, start: Ints) -> Ints:
    """The last interval in the order of the nesting, on the query's thread, that starts no later than it."""
    of, count = nesting.intervals, len(nesting.order)
    if not count:
        return np.full(len(start), NOBODY, np.int32)
    key, asked = moments((of.thread, of.start), (thread, start))
    place = np.searchsorted(nesting.in_order(key), asked, side="right").astype(np.int32) - np.int32(1)
    found: Ints = place if nesting.is_sorted else nesting.order[place]
    found[(place == NOBODY) | (of.thread[found] != thread)] = NOBODY
    return found


def moments(*columns: tuple[Ints, Ints]) -> list[Ints]:
    """For each pair of columns of threads and times (ns) one column of numbers in their order."""
    threads = 1 + max((int(thread.max()) for thread, _ in columns if len(thread)), default=0)
    first = min((int(time.min()) for _, time in columns if len(time)), default=0)
    span = 1 + max((int(time.max()) for _, time in columns if len(time)), default=0) - first
    if threads * span >= _LARGEST_KEY:
        times = np.unique(np.concatenate([time for _, time in columns]))
        return [pair_keys(thread, np.searchsorted(times, time), len(times)) for thread, time in columns]
    keys = []
    for thread, time in columns:
        key = thread.astype(np.int64)
        key *= span
        key -= first
        key += time
        keys.append(key)
    return keys


def inverse(order: Sequence[int] | Ints) -> Ints:
    """At which position of `order` each number stands."""
    position = np.empty(len(order), np.int32)
    position[np.asarray(order, np.int64)] = np.arange(len(order))
    return position


def pair_keys(major: Ints, minor: Ints, minors: int) -> Ints:
    """A number for each pair of two numbers, of which the second are below `minors`; in the order of pairs.

    Columns of indices have 32 bits, in which products of them do not fit.
    """
    key = major.astype(np.int64)
    key *= minors
    key += minor
    return key


def sum_by(number: Ints, values: Any, count: int) -> Floats:
    """For each of `count` numbers the sum of the values that have it."""
    if not np.any(values):
        return np.zeros(count)  # takes no memory before it is written to
    return np.bincount(number, values, count).astype(np.float64, copy=False)


def sum_inside(values: Any, nesting: Nesting) -> Ints:
    """Each interval's whole number with those of all intervals inside it."""
    if not values.any():
        return np.zeros(len(values), np.int64)
    running = np.zeros(len(values) + 1, np.int64)
    np.cumsum(nesting.in_order(values), out=running[1:])
    return np.asarray(nesting.in_columns(running[nesting.behind] - running[:-1]), np.int64)


def has_inside(nesting: Nesting) -> Mask:
    """Whether each interval encloses any other."""
    nothing = np.arange(1, len(nesting.order) + 1, dtype=np.int32)
    return np.asarray(nesting.in_columns(nesting.behind > nothing), np.bool_)


def holds_inside(flag: Mask, nesting: Nesting) -> Mask:
    """Whether an interval is flagged, or any of those inside it."""
    running = np.zeros(len(flag) + 1, np.int32)
    np.cumsum(nesting.in_order(flag), out=running[1:])
    return np.asarray(nesting.in_columns(running[nesting.behind] > running[:-1]), np.bool_)


def sum_upwards(values: Numbers, parent: Ints, depth: Ints) -> Numbers:
    """Each one's value with those of all below it, by parents and depths: what `sum_inside` cannot do.

    That is, for floats, whose differences are not exact, and for trees that are no nesting.
    """
    if not values.any():
        return np.zeros_like(values)
    total: Numbers = values.copy()
    by_depth = np.argsort(depth, kind="stable")
    levels = np.split(by_depth, np.cumsum(np.bincount(depth, minlength=1))[:-1])
    for at in levels[:0:-1]:
        np.add.at(total, parent[at], total[at])
    return total


def own_time(nesting: Nesting) -> Ints:
    """Of the time (ns) of each interval, that in which no interval inside it runs.

    Intervals that overlap in part, as in broken traces or of coroutines that take turns on a thread, share no
    moment either: it belongs to the one that started last of those that run then. So no time is negative, and
    all of them add up to the time in which any interval runs.
    """
    of, parent = nesting.intervals, nesting.parent
    duration = of.end - of.start
    if not _overlaps_in_part(nesting):
        inner = parent != NOBODY
        return duration - np.bincount(parent[inner], duration[inner], len(duration)).astype(np.int64)
    (edge,) = moments((np.tile(of.thread, 2), np.concatenate((of.start, of.end))))
    edge = np.argsort(edge, kind="stable")
    thread, time = np.tile(of.thread, 2)[edge], np.concatenate((of.start, of.end))[edge]
    lasts = (thread[1:] == thread[:-1]) & (time[1:] > time[:-1])
    thread, start, end = thread[1:][lasts], time[:-1][lasts], time[1:][lasts]
    runs = innermost(nesting, thread, start, end)
    return np.bincount(runs[runs != NOBODY], (end - start)[runs != NOBODY], len(duration)).astype(np.int64)


def _overlaps_in_part(nesting: Nesting) -> bool:
    """Whether an interval begins while another one runs on its thread that ends before it does."""
    thread, start, end = (
        nesting.in_order(getattr(nesting.intervals, name)) for name in ("thread", "start", "end")
    )
    following = nesting.behind[nesting.behind < len(end)]
    before = np.flatnonzero(nesting.behind < len(end))
    return bool(np.any((thread[following] == thread[before]) & (start[following] < end[before])))


def has_ancestor(flag: Mask, nesting: Nesting) -> Mask:
    """Whether any interval that encloses this one is flagged."""
    reached = np.maximum.accumulate(np.where(nesting.in_order(flag), nesting.behind, 0))
    result = np.zeros(len(flag), np.bool_)
    result[1:] = reached[:-1] > np.arange(1, len(flag), dtype=np.int32)
    return np.asarray(nesting.in_columns(result), np.bool_)


def is_within_same(label: Ints, parent: Ints) -> Mask:
    """Whether any interval that encloses this one has the same label: a call within itself."""
    result = np.zeros(len(parent), np.bool_)
    pending = np.flatnonzero(parent != NOBODY)
    ancestor = parent[pending]
    while len(pending):
        same = label[ancestor] == label[pending]
        result[pending[same]] = True
        ancestor = np.where(same, NOBODY, parent[ancestor])
        goes_on = ancestor != NOBODY
        pending, ancestor = pending[goes_on], ancestor[goes_on]
    return result


def numbered(keys: Ints) -> tuple[Ints, Ints]:
    """The distinct keys (none negative), ascending, and for each key its number among them."""
    greatest = int(keys.max(initial=0))
    if greatest > len(keys):  # what is counted by key would take more room than the keys
        distinct, number = np.unique(keys, return_inverse=True)
        return distinct, number.astype(np.int32)
    distinct = np.flatnonzero(np.bincount(keys, minlength=1))
    number = np.zeros(greatest + 1, np.int32)
    number[distinct] = np.arange(len(distinct))
    return distinct, number[keys]
