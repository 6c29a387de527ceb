"""The time of each module over the ranks that ran it."""

from __future__ import annotations

import numpy as np

from tracekit.analysis.ranks.joined import Joined
from tracekit.analysis.ranks.schema import ModuleSpread, Spread
from tracekit.attribution import Floats, sum_by, sum_upwards
from tracekit.trace import Ints

MOST_MODULES = 2_000
"""Of which a job tells; those with most time."""


def module_spreads(joined: Joined) -> tuple[list[ModuleSpread], int]:
    """In the order of the model, and how many modules are left out."""
    modules = joined.modules
    count = len(modules.paths)
    if not count:
        return [], 0
    sums = np.zeros(count)
    for place in range(len(joined.summaries)):
        sums += _times(joined, place)[1]
    chosen = np.flatnonzero(sums > 0)
    left_out = max(0, len(chosen) - MOST_MODULES)
    chosen = np.sort(chosen[np.argsort(-sums[chosen], kind="stable")][:MOST_MODULES])
    own, total = (np.empty((len(joined.summaries), len(chosen))) for _ in range(2))
    for place in range(len(joined.summaries)):
        of_own, of_total = _times(joined, place)
        own[place], total[place] = of_own[chosen], of_total[chosen]
    rows = []
    for column, number in enumerate(chosen.tolist()):
        ran = np.flatnonzero(total[:, column] > 0)
        rows.append(
            ModuleSpread(
                path=modules.paths[number],
                type=modules.types[number],
                ranks=len(ran),
                total=_spread(total[ran, column], ran, joined),
                own=_spread(own[ran, column], ran, joined),
            )
        )
    return rows, left_out


def _times(joined: Joined, place: int) -> tuple[Floats, Floats]:
    """Of each module on one rank, µs per step: without and with its children."""
    modules, one = joined.modules, joined.summaries[place]
    steps = max(1, len(np.unique(one.steps.start)))
    time = one.module_steps
    own = sum_by(joined.modules.of_place[place][time.module], time.time, len(modules.paths)).copy()
    own /= 1000 * steps
    return own, sum_upwards(own, modules.parent, modules.level)


def _spread(times: Floats, places: Ints, joined: Joined) -> Spread:
    low, high = int(times.argmin()), int(times.argmax())
    return Spread(
        min_us=float(times[low]),
        median_us=float(np.median(times)),
        mean_us=float(times.mean()),
        max_us=float(times[high]),
        min_rank=joined.ranks[places[low]],
        max_rank=joined.ranks[places[high]],
    )
