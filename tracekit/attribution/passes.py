"""Which intervals of time are forward passes of the whole model, and which pass a moment belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask
from tracekit.attribution.modules import ModuleTree
from tracekit.trace import Ints


@dataclass(frozen=True)
class Passes:
    """Passes by time. `start`, `end` (ns): the pass's own scope.

    With `explicit` scopes around passes, what is launched within them belongs to a pass. Without, that
    is whatever a module launches from one call of the root to the next.
    """

    start: Ints
    end: Ints
    thread: Ints
    explicit: bool

    def __len__(self) -> int:
        return len(self.start)

    def of_moments(self, start: Ints, in_module: Mask) -> Ints:
        """The pass of what starts at `start` (ns), `NOBODY` outside all; `in_module`: inside a scope."""
        if not len(self):
            return np.full(len(start), NOBODY, np.int64)
        index = np.searchsorted(self.start, start, side="right") - 1
        if self.explicit:
            within = (index >= 0) & (start <= self.end[index])
        else:
            index = np.maximum(index, 0)  # what runs before the first root call belongs to it
            within = in_module
        return np.where(within, index, NOBODY)


def find_passes(tree: ModuleTree) -> Passes:
    """Capture's own scopes around passes, else the calls of the root.

    The root is the outermost module with the most descendants, on the thread that calls it first.
    """
    forwards = tree.forwards
    if len(forwards):
        order = np.argsort(forwards.start, kind="stable")
        return Passes(forwards.start[order], forwards.end[order], forwards.thread[order], True)
    scopes = tree.scopes
    outermost = np.flatnonzero(tree.nesting.parent == NOBODY)
    roots = [index for index, module in enumerate(tree.modules) if module.parent == NOBODY]
    descendants = _descendants(tree)
    if not roots:
        nothing = np.empty(0, np.int64)
        return Passes(nothing, nothing, nothing, False)
    root = max(roots, key=lambda index: descendants[index])
    calls = outermost[tree.module[outermost] == root]
    calls = calls[np.argsort(scopes.start[calls], kind="stable")]
    calls = calls[scopes.thread[calls] == scopes.thread[calls[0]]]
    return Passes(scopes.start[calls], scopes.end[calls], scopes.thread[calls], False)


def _descendants(tree: ModuleTree) -> list[int]:
    """How many modules stand below each; parents come before their children in the list."""
    counts = [0] * len(tree.modules)
    for index in range(len(tree.modules) - 1, -1, -1):
        parent = tree.modules[index].parent
        if parent != NOBODY:
            counts[parent] += counts[index] + 1
    return counts
