"""Who comes last to collectives, and on what it spent more time than the others before.

What a rank did between one collective and the next is compared with the median of the other ranks that it
met there, module by module. A rank that spent no more than they did was late already at the collective
before, which it shared with others: `earlier_collective`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.joined import Joined, lifted
from tracekit.analysis.ranks.matching import Matches
from tracekit.analysis.ranks.schema import Cause, LatePlace, LateRank
from tracekit.attribution import NOBODY, Floats, numbered, pair_keys, sum_by
from tracekit.trace import Ints

MOST_PLACES = 5  # in a report
_MOST_ROWS = 2_000_000  # of work that is compared
_NOTHING_LESS_NS = 1_000  # a difference that a report would not tell from none


@dataclass(frozen=True)
class Losses:
    """What each rank lost, by place, module and whether the device was idle; ns."""

    place: Ints
    module: Ints  # of `Joined.modules`, `NOBODY`
    idle: Ints  # 0 or 1
    lost: Floats
    own: Floats
    others: Floats
    earlier: Floats  # of each place: lost before, in collectives of others
    compared: int  # collectives before which work was compared, the costliest …
    delayed: int  # … of so many that somebody came last to


def late_ranks(joined: Joined, matches: Matches, losses: Losses) -> list[LateRank]:
    """Of each rank that met others."""
    places = len(joined.summaries)
    place_of_last = joined.place[matches.last]
    met = np.bincount(joined.place[matches.row], minlength=places)
    last = np.bincount(place_of_last, minlength=places)
    delay = np.bincount(place_of_last, matches.delay, places)
    waited = np.bincount(place_of_last[matches.number], matches.waiting, places)
    return [
        LateRank(
            rank=joined.ranks[place],
            collectives=int(met[place]),
            last=int(last[place]),
            waited_us=round(waited[place]) / 1000,
            delay_us=round(delay[place]) / 1000,
            places=tuple(late_places(joined, losses, place)),
        )
        for place in np.flatnonzero(met).tolist()
    ]


def late_places(joined: Joined, losses: Losses, place: int) -> list[LatePlace]:
    """The largest losses of a place."""
    at = np.flatnonzero(losses.place == place)
    at = at[np.argsort(-losses.lost[at], kind="stable")][:MOST_PLACES]
    rows = []
    for row in at.tolist():
        module = int(losses.module[row])
        cause: Cause = (
            "waiting_for_host" if losses.idle[row] else "outside_modules" if module == NOBODY else "module"
        )
        rows.append(
            LatePlace(
                cause=cause,
                module=None if module == NOBODY else joined.modules.paths[module],
                type=None if module == NOBODY else joined.modules.types[module],
                lost_us=round(losses.lost[row]) / 1000,
                own_us=round(losses.own[row]) / 1000,
                others_us=round(losses.others[row]) / 1000,
            )
        )
    earlier = float(losses.earlier[place])
    if earlier >= _NOTHING_LESS_NS:
        rows.append(
            LatePlace(cause="earlier_collective", lost_us=round(earlier) / 1000, own_us=0.0, others_us=0.0)
        )
    return sorted(rows, key=lambda one: -one.lost_us)[:MOST_PLACES]


def find_losses(joined: Joined, matches: Matches) -> Losses:
    """Compares the work before the collectives that cost most, as many as is reasonable."""
    chosen = _costliest(joined, matches)
    positions = _spread(matches.first[chosen], matches.count[chosen])
    which = np.repeat(np.arange(len(chosen)), matches.count[chosen])  # of `chosen`
    row = matches.row[positions]
    table = _work(joined, row)
    is_last = np.zeros(len(row), np.bool_)
    is_last[np.cumsum(matches.count[chosen]) - matches.count[chosen]] = True
    # Every piece of work in the windows before these collectives.
    of = table.row
    keys, cell = np.unique(pair_keys(which[of], table.item, len(table.items)), return_inverse=True)
    own = np.bincount(cell, np.where(is_last[of], table.time, 0), len(keys))
    number, item = np.divmod(keys, len(table.items))
    others = _median_of_others(
        cell[~is_last[of]], table.time[~is_last[of]], matches.count[chosen][number] - 1
    )
    excess = np.maximum(own - others, 0)
    excess[own == 0] = 0
    total = sum_by(number, excess, len(chosen))
    limit = matches.skew[chosen].astype(np.float64)
    share = np.minimum(1.0, limit / np.maximum(total, 1.0))
    lost = excess * share[number]
    waits = _median_waits(matches)[chosen]
    place = joined.place[matches.last[chosen]]
    earlier = sum_by(place, np.maximum(waits - total, 0), len(joined.summaries))
    some = lost > 0
    cells, which_cell = numbered(pair_keys(place[number[some]], item[some], len(table.items)))
    of_place, of_item = np.divmod(cells, len(table.items))
    module, idle = table.items[of_item].T
    return Losses(
        place=of_place,
        module=module,
        idle=idle,
        lost=sum_by(which_cell, lost[some], len(cells)),
        own=sum_by(which_cell, own[some], len(cells)),
        others=sum_by(which_cell, others[some], len(cells)),
        earlier=earlier,
        compared=len(chosen),
        delayed=int((matches.delay > 0).sum()),
    )


@dataclass(frozen=True)
class _Work:
    """Work in some windows."""

    row: Ints  # position of the window among those asked for
    item: Ints  # number of module and idle
    time: Ints
    items: Ints  # two columns: module, idle


def _work(joined: Joined, windows: Ints) -> _Work:
    """Of all ranks in those windows."""
    above = lifted(joined.modules, min((one.level for one in joined.summaries), default=0))
    position = np.full(len(joined), NOBODY)
    position[windows] = np.arange(len(windows))
    rows, items, times = ([np.empty(0, np.int64)] for _ in range(3))
    for place, one in enumerate(joined.summaries):
        work, names = one.work, above[joined.modules.of_place[place]]
        row = position[joined.first_row[place] :][work.window]
        for column, is_idle in ((work.busy, 0), (work.idle, 1)):
            some = (column > 0) & (row != NOBODY)
            rows.append(row[some])
            items.append(2 * (names[work.module[some]] + 1) + is_idle)
            times.append(column[some])
    row, time = np.concatenate(rows), np.concatenate(times)
    distinct, item = numbered(np.concatenate(items))
    cells, cell = numbered(pair_keys(row, item, max(1, len(distinct))))  # what was lifted is joined
    if not len(row):
        cells = cells[:0]
    row, item = np.divmod(cells, max(1, len(distinct)))
    summed = np.rint(sum_by(cell, time, len(cells))).astype(np.int64)
    return _Work(row, item, summed, np.stack((distinct // 2 - 1, distinct % 2), axis=1))


def _costliest(joined: Joined, matches: Matches) -> Ints:
    """The collectives with a delay, the costliest first, as long as not too many rows are to be compared."""
    order = np.argsort(-matches.delay, kind="stable")
    order = order[matches.delay[order] > 0]
    counts = [
        np.bincount(one.work.window, minlength=len(one.collectives))[: len(one.collectives)]
        for one in joined.summaries
    ]
    rows = np.concatenate([np.empty(0, np.int64), *counts])[matches.row]
    per_match = sum_by(matches.number, rows, len(matches))[order]
    kept: Ints = order[np.cumsum(per_match) <= _MOST_ROWS]
    return np.sort(kept)


def _spread(first: Ints, count: Ints) -> Ints:
    """All positions of ranges that start at `first` and are `count` long."""
    return np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)


def _median_of_others(cell: Ints, time: Ints, others: Ints) -> Floats:
    """For each cell the median of the times, one per other rank: those that have none have 0."""
    order = np.lexsort((time, cell))
    cell, time = cell[order], time[order]
    count = np.bincount(cell, minlength=len(others))
    first = np.cumsum(count) - count
    padded = np.append(time, 0)

    def at(position: Ints) -> Ints:
        place = position - (others - count)  # the zeros come first
        return np.where(place >= 0, padded[np.minimum(first + np.maximum(place, 0), len(time))], 0)

    return np.asarray(at(np.maximum(others - 1, 0) // 2) + at(others // 2), np.float64) / 2


def _median_waits(matches: Matches) -> Floats:
    """Of each collective, the median of what the others waited."""
    others = matches.count - 1
    low, high = matches.first + 1 + (others - 1) // 2, matches.first + 1 + others // 2
    return np.asarray(matches.waiting[low] + matches.waiting[high], np.float64) / 2


def concentrated(joined: Joined, losses: Losses, place: int, share: float = 0.5) -> tuple[int, float] | None:
    """The deepest module that, with all below it, holds more than `share` of what the place lost itself.

    And how much it holds, ns; None where no module does.
    """
    at = (losses.place == place) & (losses.module != NOBODY)
    modules = joined.modules
    total = sum_by(losses.module[at], losses.lost[at], len(modules.paths)).copy()
    for number in np.argsort(-modules.level, kind="stable").tolist():
        parent = int(modules.parent[number])
        if parent != NOBODY and total[number]:
            total[parent] += total[number]
    whole = float(losses.lost[losses.place == place].sum())
    holding = np.flatnonzero(total > share * whole)
    if not len(holding):
        return None
    deepest = max(holding.tolist(), key=lambda number: (modules.level[number], total[number]))
    return deepest, float(total[deepest])
