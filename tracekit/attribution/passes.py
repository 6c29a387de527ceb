"""Which intervals of time are forward passes of the whole model, and which pass a moment belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask, Nesting, innermost_from, last_started, nest
from tracekit.attribution.modules import ModuleTree, take
from tracekit.trace import Intervals, Ints


@dataclass(frozen=True)
class Passes:
    """The scopes of the passes, in the order of time, all of them of one process.

    With `explicit` scopes around passes, what is launched within one belongs to it. Without, that is what
    modules launch: on a thread that calls the root from one call to the next, elsewhere while the root
    runs. What a backward pass runs again belongs to none, on whichever thread.
    """

    scopes: Intervals
    process_of_thread: Ints
    explicit: bool

    def __len__(self) -> int:
        return len(self.scopes)

    @cached_property
    def _nesting(self) -> Nesting:
        return nest(self.scopes)

    def containing(self, intervals: Intervals, in_module: Mask, in_backward: Mask) -> Ints:
        """The pass of each interval, `NOBODY` outside all.

        `in_module`: it lies inside a module's scope; `in_backward`: in an autograd node.
        """
        thread, start = intervals.thread, intervals.start
        if not len(self):
            return np.full(len(start), NOBODY, np.int32)
        before = last_started(self._nesting, thread, start)
        around = innermost_from(self._nesting, before, intervals.end)
        if self.explicit:
            found, elsewhere = around, np.flatnonzero(around == NOBODY)
        else:
            found = np.where(around != NOBODY, around, np.where(in_backward, NOBODY, before))
            found[~in_module] = NOBODY
            elsewhere = np.flatnonzero(in_module & (before == NOBODY))
        found[elsewhere] = self._running(thread[elsewhere], start[elsewhere])
        return found

    def _running(self, thread: Ints, moment: Ints) -> Ints:
        """The pass that runs at each moment, on whichever thread of the process; else `NOBODY`."""
        scopes = self.scopes
        latest = np.searchsorted(scopes.start, moment, side="right").astype(np.int32) - np.int32(1)
        same_process = self.process_of_thread[thread] == self.process_of_thread[scopes.thread[0]]
        runs = (latest != NOBODY) & (moment <= scopes.end[latest]) & same_process
        return np.where(runs, latest, NOBODY)


def find_passes(tree: ModuleTree, process_of_thread: Ints, in_backward: Mask) -> Passes:
    """Capture's own scopes around passes, else the calls of the root.

    The root is the outermost module with the most descendants, in the process that calls it first. A call
    of it `in_backward` (per scope: it lies in an autograd node) is run again and is no pass.
    """
    if len(tree.forwards):
        return Passes(_by_time(tree.forwards), process_of_thread, True)
    roots = [index for index, module in enumerate(tree.modules) if module.parent == NOBODY]
    if not roots:
        return Passes(tree.scopes, process_of_thread, False)
    descendants = _descendants(tree)
    root = max(roots, key=lambda index: descendants[index])
    is_call = (tree.module == root) & (tree.nesting.parent == NOBODY)
    first_runs = is_call & ~in_backward
    calls = _by_time(take(tree.scopes, first_runs if first_runs.any() else is_call))
    process = process_of_thread[calls.thread]
    return Passes(take(calls, process == process[0]), process_of_thread, False)


def _by_time(intervals: Intervals) -> Intervals:
    order = np.argsort(intervals.start, kind="stable")
    return Intervals(
        intervals.name[order], intervals.thread[order], intervals.start[order], intervals.end[order]
    )


def _descendants(tree: ModuleTree) -> list[int]:
    """How many modules stand below each; parents come before their children in the list."""
    counts = [0] * len(tree.modules)
    for index in range(len(tree.modules) - 1, -1, -1):
        parent = tree.modules[index].parent
        if parent != NOBODY:
            counts[parent] += counts[index] + 1
    return counts
