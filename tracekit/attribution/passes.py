"""Which intervals of time are forward passes of the whole model, and which pass a moment belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask, innermost, nest
from tracekit.attribution.modules import ModuleTree, take
from tracekit.trace import Intervals, Ints


@dataclass(frozen=True)
class Passes:
    """The scopes of the passes, in the order of time, all of them of one process.

    With `explicit` scopes around passes, what is launched within one belongs to it. Without, that is what
    modules launch: on the root's thread from one call of the root to the next, elsewhere while the root
    runs. (What a backward pass recomputes later, on its own thread, belongs to none.)
    """

    scopes: Intervals
    process_of_thread: Ints
    explicit: bool

    def __len__(self) -> int:
        return len(self.scopes)

    def containing(self, thread: Ints, start: Ints, end: Ints, in_module: Mask) -> Ints:
        """The pass of each interval, `NOBODY` outside all; `in_module`: it lies inside a module's scope."""
        if not len(self):
            return np.full(len(start), NOBODY, np.int64)
        scopes = self.scopes
        own_thread = innermost(nest(scopes), thread, start, end)
        latest = np.searchsorted(scopes.start, start, side="right") - 1
        same_process = self.process_of_thread[thread] == self.process_of_thread[scopes.thread[0]]
        runs = (latest != NOBODY) & (start <= scopes.end[latest]) & same_process
        if self.explicit:
            return np.where(own_thread != NOBODY, own_thread, np.where(runs, latest, NOBODY))
        on_root_thread = (latest != NOBODY) & (thread == scopes.thread[0])
        return np.where(in_module & (on_root_thread | runs), latest, NOBODY)


def find_passes(tree: ModuleTree, process_of_thread: Ints) -> Passes:
    """Capture's own scopes around passes, else the calls of the root.

    The root is the outermost module with the most descendants, on the thread that calls it first.
    """
    if len(tree.forwards):
        return Passes(_by_time(tree.forwards), process_of_thread, True)
    roots = [index for index, module in enumerate(tree.modules) if module.parent == NOBODY]
    if not roots:
        return Passes(tree.scopes, process_of_thread, False)
    descendants = _descendants(tree)
    root = max(roots, key=lambda index: descendants[index])
    is_call = (tree.module == root) & (tree.nesting.parent == NOBODY)
    calls = _by_time(take(tree.scopes, is_call))
    return Passes(take(calls, calls.thread == calls.thread[0]), process_of_thread, False)


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
