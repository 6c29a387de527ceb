"""Which collectives of different ranks are the same one, who came last to it, and how long the others waited.

Ranks that call the same collective have the same process group, sequence number, operation and size. Where
traces have no sequence numbers, the first of a kind in a step is the first on all ranks, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.joined import Joined, groups_are_known
from tracekit.analysis.ranks.kinds import MEETINGS, is_sized
from tracekit.analysis.ranks.rank_collectives import UNKNOWN
from tracekit.attribution import Mask, numbered, pair_keys
from tracekit.trace import Ints


@dataclass(frozen=True)
class Matches:
    """Collectives that several ranks are known to have taken part in; ns.

    The last to arrive waits for nobody, so it is the one that is done in the shortest time, and that is the
    time of the transfer; what the others take beyond it they wait. No two clocks are compared for this.
    """

    row: Ints  # of `Joined`, by collective and duration: of each collective the last to arrive is first
    number: Ints  # of the collective, for each of `row`
    first: Ints  # position in `row` of each collective's last to arrive
    count: Ints  # ranks in each
    transfer: Ints
    waiting: Ints  # for each of `row`
    delay: Ints  # by so much it would have ended earlier, had the last come with the last but one
    skew: Ints  # the longest wait

    def __len__(self) -> int:
        return len(self.first)

    @property
    def last(self) -> Ints:
        """The row of each collective's last to arrive."""
        return self.row[self.first]


def match(joined: Joined) -> Matches:
    """All collectives in which ranks meet and of which at least two traces tell."""
    meets = np.array([kind in MEETINGS for kind in joined.kinds], np.bool_)
    rows = np.flatnonzero(groups_are_known(joined) & np.append(meets, False)[joined.kind])
    number = _numbers(joined, rows)
    order = np.lexsort((joined.place[rows], joined.duration[rows], number))
    rows, number = rows[order], number[order]
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    count = np.diff(np.append(starts, len(rows)))
    kept = np.repeat(count > 1, count)
    rows, count = rows[kept], count[count > 1]
    return _matches(joined.duration[rows], rows, count)


def taken(matches: Matches, kept: Mask) -> Matches:
    """Some of the matches."""
    of_rows = kept[matches.number]
    duration = matches.transfer[matches.number] + matches.waiting
    return _matches(duration[of_rows], matches.row[of_rows], matches.count[kept])


def _matches(duration: Ints, rows: Ints, count: Ints) -> Matches:
    """Of rows that stand by collective and duration, `count` in each."""
    first = np.cumsum(count) - count
    number = np.repeat(np.arange(len(count)), count)
    transfer = duration[first]
    return Matches(
        row=rows,
        number=number,
        first=first,
        count=count,
        transfer=transfer,
        waiting=duration - transfer[number],
        delay=duration[first + 1] - transfer,
        skew=duration[first + count - 1] - transfer,
    )


def has_sequence(joined: Joined) -> Mask:
    """Per row."""
    return np.not_equal(joined.sequence, UNKNOWN)


def _numbers(joined: Joined, rows: Ints) -> Ints:
    """A number for each of `rows`, the same for the same collective."""
    in_steps = len({one.step_source for one in joined.summaries}) == 1
    sequence = joined.sequence[rows]
    step = np.where((sequence == UNKNOWN) & in_steps, joined.step[rows], UNKNOWN)
    sized = np.append([is_sized(kind) for kind in joined.kinds], False)[joined.kind[rows]].astype(np.bool_)
    size = np.where(sized, np.maximum(joined.bytes_in[rows], joined.bytes_out[rows]), UNKNOWN)
    key = numbers_of(joined.group[rows], joined.kind[rows], sequence, step, size)
    order = np.lexsort((joined.start[rows], joined.place[rows], key))
    ordered_key, ordered_place = key[order], joined.place[rows][order]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (ordered_key[1:] != ordered_key[:-1]) | (ordered_place[1:] != ordered_place[:-1])
    starts = np.flatnonzero(is_first)
    occurrence = np.empty(len(rows), np.int64)
    occurrence[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return numbers_of(key, occurrence)


def numbers_of(*columns: Ints) -> Ints:
    """For each row of the columns a number that equal rows share, from 0 on."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, codes = np.unique(column, return_inverse=True)
        _, key = numbered(pair_keys(key, codes, int(codes.max(initial=0)) + 1))
    return key
