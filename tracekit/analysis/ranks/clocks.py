"""By how much the clocks of ranks differ: all ranks are done with a collective at nearly the same moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.joined import Joined
from tracekit.analysis.ranks.matching import Matches, has_sequence, taken
from tracekit.attribution import Mask
from tracekit.trace import Ints

AGREE_NS = 100_000
"""Clocks that differ by less are taken for the same one: those of hosts agree to milliseconds at best."""


@dataclass(frozen=True)
class Clocks:
    offset: Ints  # of each place: ns that its clock is ahead of the first place's, 0 where unknown
    known: Mask
    host: Ints  # numbers: places with the same one have one clock

    @property
    def several_hosts(self) -> bool:
        return len(np.unique(self.host)) > 1


def compare_clocks(joined: Joined, matches: Matches) -> Clocks:
    """From the first place on, over ranks that met, to ranks that these met, and so on.

    An offset is the median over the collectives that a rank shares with ranks of known offset, of how much
    later than on these it ended by the rank's own clock. Ranks of one host have one clock: the median of
    theirs.
    """
    places = len(joined.summaries)
    offset, known = np.zeros(places, np.int64), np.zeros(places, np.bool_)
    known[:1] = True
    place, end = joined.place[matches.row], joined.end[matches.row]
    number, count = matches.number, len(matches)
    base = int(end.min(initial=0)) if len(end) else 0
    while True:
        told = known[place]
        knowing = np.bincount(number[told], minlength=count)
        asked = ~told & (knowing[number] > 0)
        if not asked.any():
            break
        common = (end[told] - base - offset[place[told]]).astype(np.float64)
        mean = np.bincount(number[told], common, count) / np.maximum(knowing, 1)
        ahead = end[asked] - base - np.rint(mean[number[asked]]).astype(np.int64)
        found, median = median_by(place[asked], ahead)
        offset[found], known[found] = median, True
    host = _hosts(joined, offset, known)
    at, median = median_by(host[known], offset[known])
    of_host = np.zeros(places + 1, np.int64)
    of_host[at] = median
    known |= np.isin(host, host[known])
    return Clocks(np.where(known, of_host[host] - of_host[host[:1]], 0), known, host)


def plausible(joined: Joined, matches: Matches) -> tuple[Matches, Clocks, int]:
    """The matches whose ranks were in the collective at one moment, the clocks, and how many others.

    Only what is matched by order can be wrong: a trace may lack some of its collectives.
    """
    clocks = compare_clocks(joined, matches)
    if not len(matches) or has_sequence(joined)[matches.row].all():
        return matches, clocks, 0
    place = joined.place[matches.row]
    known = clocks.known[place]
    start = np.where(known, joined.start[matches.row] - clocks.offset[place], np.iinfo(np.int64).min)
    end = np.where(known, joined.end[matches.row] - clocks.offset[place], np.iinfo(np.int64).max)
    latest, earliest = np.maximum.reduceat(start, matches.first), np.minimum.reduceat(end, matches.first)
    meets = (latest - AGREE_NS <= earliest) | has_sequence(joined)[matches.last]
    dropped = int((~meets).sum())
    if not dropped:
        return matches, clocks, 0
    kept = taken(matches, meets)
    return kept, compare_clocks(joined, kept), dropped


def _hosts(joined: Joined, offset: Ints, known: Mask) -> Ints:
    """A number for each place: of its host. Ranks of unnamed hosts have one if all their clocks agree."""
    numbers: dict[str, int] = {}
    host = np.array(
        [
            numbers.setdefault(f"host {one.host}" if one.host else f"place {place}", place)
            for place, one in enumerate(joined.summaries)
        ],
        np.int64,
    )
    unnamed = known & np.array([one.host is None for one in joined.summaries], np.bool_)
    if unnamed.any() and np.ptp(offset[unnamed]) <= AGREE_NS:
        host[unnamed] = host[unnamed][0]
    return host


def median_by(group: Ints, values: Ints) -> tuple[Ints, Ints]:
    """The groups, ascending, and the lower median of the values of each."""
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(np.append(first, len(group)))
    return group[first], values[first + (count - 1) // 2]
