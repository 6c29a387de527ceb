"""What each module did between one collective of a rank and the next: where a late rank lost time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.spans import in_common
from tracekit.attribution import depths, numbered, pair_keys, sum_by
from tracekit.trace import Ints

MOST_ROWS = 40_000
"""What a summary holds at most: below, modules' rows are joined with their parents', level by level."""


@dataclass(frozen=True)
class Pieces:
    """Time that modules took, as intervals; ns."""

    start: Ints
    end: Ints
    module: Ints  # `NOBODY` for none


@dataclass(frozen=True)
class Work:
    """Per window and module, by window; ns. Window k lies before collective k, behind the one before it."""

    window: Ints
    module: Ints  # `NOBODY` for none
    busy: Ints  # work of the module, on the device or, without one, on the CPU
    idle: Ints  # the device, or the CPU, had nothing to do, and the host was in the module

    def __len__(self) -> int:
        return len(self.window)


def work_between(arrivals: Ints, begin: int, busy: Pieces, idle: Pieces, parent: Ints) -> tuple[Work, int]:
    """The work in the windows that the sorted `arrivals` end, the first of which starts at `begin`.

    Work of several streams is added up. Also the deepest level of modules that has rows of its own:
    `parent` is that of each module, and a root is of level 0.
    """
    bounds = np.concatenate(([begin], np.maximum(arrivals, begin)))
    modules = len(parent) + 1
    cells, times = [], []
    for pieces in (busy, idle):
        piece, window, start, end = in_common(pieces.start, pieces.end, bounds[:-1], bounds[1:])
        cells.append(pair_keys(window, pieces.module[piece] + 1, modules))
        times.append(end - start)
    is_idle = np.repeat([False, True], [len(cells[0]), len(cells[1])])
    cell, time = np.concatenate(cells), np.concatenate(times)
    level = depths(parent)
    deepest = int(level.max(initial=0))
    distinct, number = numbered(cell)
    while len(distinct) > MOST_ROWS and deepest:
        deepest -= 1
        above = np.concatenate(([0], np.where(level > deepest, parent, np.arange(len(parent))) + 1))
        window, module = np.divmod(distinct, modules)
        distinct, joined = numbered(pair_keys(window, above[module], modules))
        number = joined[number]
    window, module = np.divmod(distinct, modules)
    sums = [sum_by(number[at], time[at], len(distinct)) for at in (~is_idle, is_idle)]
    return Work(window, module - 1, *(np.rint(column).astype(np.int64) for column in sums)), deepest
