"""The innermost enclosing interval on the same thread: the one function that all attribution stands on.

Works for any intervals, nested or partly overlapping, with no Python loop over them. It rests on this:
let X be the last interval that starts no later than q. If X does not enclose q, then X ends before q does,
so whatever encloses q encloses X too. The answer for q is therefore X or the answer for one of X's own
enclosing intervals, and following those pointers, halving the way at each step, finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    """Intervals sorted by thread, then start, outer before inner; and the parent of each.

    `order[k]` is the k-th interval's position in the original columns; `parent` and `depth` are in the
    original numbering (`NOBODY` and 0 for the outermost).
    """

    thread: Ints
    start: Ints
    end: Ints
    order: Ints
    sorted_parent: Ints
    parent: Ints
    depth: Ints


def nest(intervals: Intervals) -> Nesting:
    """The nesting of `intervals`; of two equal ones, the first in the file encloses the other."""
    thread, start, end = intervals.thread, intervals.start, intervals.end
    count = len(start)
    if _is_sorted(thread, start, end):
        order = np.arange(count, dtype=np.int32)
    else:
        order = np.lexsort((-end, start, thread)).astype(np.int32)
        thread, start, end = thread[order], start[order], end[order]
    candidate = np.arange(-1, count - 1, dtype=np.int32)
    if count:
        candidate[np.r_[True, thread[1:] != thread[:-1]]] = NOBODY
    pending = np.flatnonzero(candidate != NOBODY)
    while len(pending):
        pending = pending[end[candidate[pending]] < end[pending]]
        candidate[pending] = candidate[candidate[pending]]
        pending = pending[candidate[pending] != NOBODY]
    parent = np.full(count, NOBODY, np.int32)
    has_parent = candidate != NOBODY
    parent[order[has_parent]] = order[candidate[has_parent]]
    return Nesting(thread, start, end, order, candidate, parent, depths(parent))


def _is_sorted(thread: Ints, start: Ints, end: Ints) -> bool:
    """Whether the intervals are in the order of `Nesting`, as those of one thread often are."""
    later = (start[1:] > start[:-1]) | ((start[1:] == start[:-1]) & (end[1:] <= end[:-1]))
    return bool(np.all((thread[1:] > thread[:-1]) | ((thread[1:] == thread[:-1]) & later)))


def depths(parent: Ints) -> Ints:
    """How many intervals enclose each, by the parent of each."""
    depth = np.zeros(len(parent), np.int32)
    ancestor = parent.copy()
    pending = np.flatnonzero(ancestor != NOBODY)
    while len(pending):
        depth[pending] += 1
        ancestor[pending] = parent[ancestor[pending]]
        pending = pending[ancestor[pending] != NOBODY]
    return depth


def nearest(flag: Mask, parent: Ints) -> Ints:
    """The nearest flagged one of each interval and those that enclose it, by their parents; or `NOBODY`."""
    count = len(parent)
    step = np.where(flag, np.arange(count), np.where(parent == NOBODY, count, parent))
    leads_to = np.append(step, count)
    while not np.array_equal(further := leads_to[leads_to], leads_to):
        leads_to = further
    return np.where(leads_to[:count] == count, NOBODY, leads_to[:count])


def innermost(nesting: Nesting, thread: Ints, start: Ints, end: Ints) -> Ints:
    """For each query interval, the innermost of the nested intervals that encloses it, else `NOBODY`.

    An interval encloses a query if it starts no later and ends no earlier. Where two touch at a point that
    is the whole query, the later one has it.
    """
    found = _last_started(nesting, thread, start)
    pending = np.flatnonzero(found != NOBODY)
    while len(pending):
        pending = pending[nesting.end[found[pending]] < end[pending]]
        found[pending] = nesting.sorted_parent[found[pending]]
        pending = pending[found[pending] != NOBODY]
    result = np.full(len(found), NOBODY, np.int32)
    inside = found != NOBODY
    result[inside] = nesting.order[found[inside]]
    return result


def _last_started(nesting: Nesting, thread: Ints, start: Ints) -> Ints:
    """The last interval in sorted order, on the query's thread, that starts no later than the query."""
    key = _keys(nesting, thread, start)

    found = np.searchsorted(key(nesting.thread, nesting.start), key(thread, start), side="right") - 1
    inside = found >= 0
    inside[inside] = nesting.thread[found[inside]] == thread[inside]
    return np.where(inside, found, NOBODY)


def _keys(nesting: Nesting, thread: Ints, start: Ints) -> Callable[[Ints, Ints], Ints]:
    """What gives intervals of the nesting, and queries, numbers in the order of their threads and starts."""
    if not len(start) or not len(nesting.start):
        return lambda of_thread, of_start: np.zeros(len(of_start), np.int64)
    first = min(int(start.min()), int(nesting.start.min()))
    span = max(int(start.max()), int(nesting.start.max())) - first + 1
    threads = max(int(thread.max()), int(nesting.thread.max())) + 1
    if span * threads < _LARGEST_KEY:
        return lambda of_thread, of_start: of_thread.astype(np.int64) * span + (of_start - first)
    times = np.sort(np.concatenate((nesting.start, start)))
    stride = len(times) + 1
    return lambda of_thread, of_start: of_thread.astype(np.int64) * stride + np.searchsorted(times, of_start)


def sum_by(number: Ints, values: Any, count: int) -> Floats:
    """For each of `count` numbers the sum of the values that have it."""
    return np.bincount(number, values, count).astype(np.float64, copy=False)


def sum_upwards(values: Numbers, parent: Ints, depth: Ints) -> Numbers:
    """Each interval's value with those of all intervals inside it."""
    total: Numbers = values.copy()
    for level in range(int(depth.max(initial=0)), 0, -1):
        at = np.flatnonzero(depth == level)
        np.add.at(total, parent[at], total[at])
    return total


def has_ancestor(flag: Mask, parent: Ints) -> Mask:
    """Whether any interval that encloses this one is flagged."""
    return _any_ancestor(parent, lambda _, ancestor: flag[ancestor])


def is_within_same(label: Ints, parent: Ints) -> Mask:
    """Whether any interval that encloses this one has the same label: a call within itself."""
    return is_within(label, label, parent)


def is_within(wanted: Ints, label: Ints, parent: Ints) -> Mask:
    """Whether any interval that encloses this one has the label that this one wants."""
    return _any_ancestor(parent, lambda inner, ancestor: label[ancestor] == wanted[inner])


def _any_ancestor(parent: Ints, holds: Callable[[Ints, Ints], Mask]) -> Mask:
    """Whether `holds(inner, ancestor)`, on columns of indices, for any ancestor of each interval."""
    result = np.zeros(len(parent), np.bool_)
    ancestor = parent.copy()
    pending = np.flatnonzero(ancestor != NOBODY)
    while len(pending):
        result[pending] = holds(pending, ancestor[pending])
        pending = pending[~result[pending]]
        ancestor[pending] = parent[ancestor[pending]]
        pending = pending[ancestor[pending] != NOBODY]
    return result
