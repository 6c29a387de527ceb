"""The collectives of a job by group, operation and size: how long they take, wait, and how fast they are."""

from __future__ import annotations

import msgspec
import numpy as np

from tracekit.analysis.ranks.clocks import Clocks
from tracekit.analysis.ranks.joined import Joined
from tracekit.analysis.ranks.kinds import bus_factor, message_bytes
from tracekit.analysis.ranks.matching import Matches, has_sequence, numbers_of
from tracekit.analysis.ranks.rank_collectives import UNKNOWN
from tracekit.analysis.ranks.schema import CollectiveRow, GroupRow
from tracekit.attribution import NOBODY, Floats, Mask
from tracekit.trace import Ints


def group_rows(joined: Joined) -> list[GroupRow]:
    """The groups in their order, and behind them one for collectives of unknown groups, if there are such."""
    rows = []
    for number, group in enumerate(joined.groups):
        places = np.unique(joined.place[joined.group == number]).tolist()
        rows.append(
            GroupRow(
                name=group.name,
                description=group.description,
                size=group.size,
                ranks=tuple(sorted(joined.ranks[place] for place in places)),
            )
        )
    if (joined.group == UNKNOWN).any():
        rows.append(GroupRow())
    return rows


def collective_rows(joined: Joined, matches: Matches, clocks: Clocks) -> list[CollectiveRow]:
    """Those that took most time first."""
    columns = _classes(joined, matches)
    which = numbers_of(*columns)
    start_skew = _start_skews(joined, matches, clocks)
    by_class = _by_group(which, int(which.max(initial=-1)) + 1)
    matches_by_class = _by_group(which[matches.last], len(by_class))
    is_matched = np.zeros(len(joined), np.bool_)
    is_matched[matches.row] = True
    rows = [
        _row(joined, matches, columns[:, own[0]].tolist(), own, met, is_matched, start_skew)
        for own, met in zip(by_class, matches_by_class, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda at: (-int(joined.duration[by_class[at]].sum()), at))
    return [rows[at] for at in order]


def _classes(joined: Joined, matches: Matches) -> Ints:
    """Per row, as columns: group, kind, type, bytes in and out; of a matched collective the largest of all.

    Ranks of an all-to-all have different sizes.
    """
    columns = np.stack((joined.group, joined.kind, joined.dtype, joined.bytes_in, joined.bytes_out))
    for column in columns[2:]:
        largest = np.full(len(matches), UNKNOWN)
        np.maximum.at(largest, matches.number, column[matches.row])
        column[matches.row] = largest[matches.number]
    return columns


def _by_group(number: Ints, count: int) -> list[Ints]:
    """For each number the positions that have it."""
    order = np.argsort(number, kind="stable")
    bounds = np.cumsum(np.bincount(number, minlength=count))
    return [np.asarray(one, np.int64) for one in np.split(order, bounds[:-1])][:count]


def _row(
    joined: Joined,
    matches: Matches,
    column: list[int],
    rows: Ints,
    own: Ints,
    is_matched: Mask,
    start_skew: Floats,
) -> CollectiveRow:
    """`rows` of `joined`, of which the matches `own` are made."""
    group, kind, dtype, size_in, size_out = column
    op = joined.kinds[kind]
    size = joined.groups[group].size if group != UNKNOWN else None
    n = size if size is not None else int(matches.count[own].max(initial=0)) or None
    size_of_message = message_bytes(op, _known(size_in), _known(size_out), n)
    alone = rows[~is_matched[rows]]
    row = CollectiveRow(
        group=group if group != UNKNOWN else len(joined.groups),
        op=op,
        dtype=None if dtype == UNKNOWN else joined.dtypes[dtype],
        module=_caller(joined, rows),
        bytes=size_of_message,
        count=len(own) + int(np.bincount(joined.place[alone]).max(initial=0)),
        matched=len(own),
        complete=int((matches.count[own] == size).sum()) if size is not None else 0,
        ranks=max(int(matches.count[own].max(initial=0)), 1 if len(rows) else 0),
        duration_us=float(np.median(joined.duration[rows])) / 1000,
    )
    if not len(own):
        return row
    transfer = float(np.median(matches.transfer[own]))
    speed = size_of_message / transfer if size_of_message and transfer else None  # bytes per ns are GB/s
    factor = bus_factor(op, n) if n is not None else None
    known_starts = start_skew[own][~np.isnan(start_skew[own])]
    return msgspec.structs.replace(
        row,
        matched_by="sequence" if has_sequence(joined)[rows].any() else "order",
        transfer_us=transfer / 1000,
        waiting_us=float(_waiting(matches, own)) / 1000,
        skew_mean_us=float(matches.skew[own].mean()) / 1000,
        skew_max_us=float(matches.skew[own].max()) / 1000,
        start_skew_mean_us=float(known_starts.mean()) / 1000 if len(known_starts) else None,
        algorithm_gbs=speed,
        bus_gbs=speed * factor if speed is not None and factor is not None else None,
    )


def _caller(joined: Joined, rows: Ints) -> str | None:
    calls = np.bincount(joined.module[rows] + 1)
    caller = int(calls.argmax()) - 1
    return None if caller == NOBODY else joined.modules.paths[caller]


def _waiting(matches: Matches, own: Ints) -> int:
    per_match = np.add.reduceat(matches.waiting, matches.first) if len(matches) else matches.waiting
    return int(per_match[own].sum())


def _start_skews(joined: Joined, matches: Matches, clocks: Clocks) -> Floats:
    """Last start − first start of each match, NaN where not all of its ranks share a clock."""
    if not len(matches):
        return np.empty(0)
    start, host = joined.start[matches.row], clocks.host[joined.place[matches.row]]
    ends = (np.maximum.reduceat(column, matches.first) for column in (start, host))
    begins = (np.minimum.reduceat(column, matches.first) for column in (start, host))
    (last, last_host), (first, first_host) = ends, begins
    return np.where(last_host == first_host, (last - first).astype(np.float64), np.nan)


def _known(size: int) -> int | None:
    return None if size == UNKNOWN else size
