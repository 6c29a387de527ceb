"""How the figures of a job were worked out, and what could not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from tracekit.analysis.ranks.clocks import Clocks
from tracekit.analysis.ranks.columns import RankSummary
from tracekit.analysis.ranks.joined import Joined
from tracekit.analysis.ranks.late import Losses
from tracekit.analysis.ranks.matching import Matches, has_sequence
from tracekit.analysis.ranks.rank_collectives import UNKNOWN
from tracekit.analysis.ranks.spreads import MOST_MODULES
from tracekit.messages import N_, Message


def job_notes(
    joined: Joined,
    matches: Matches,
    clocks: Clocks,
    summaries: Sequence[RankSummary],
    losses: Losses,
    left_out: int,
    dropped: int,
) -> Iterator[Message]:
    """`left_out`: modules that have no row; `dropped`: matches that are none by the clocks."""
    yield from _about_ranks(joined, summaries)
    if not len(joined):
        yield N_("no trace has a collective: ranks are compared by their times alone")
    else:
        yield from _about_matching(joined, matches)
        if dropped:
            yield N_(
                "{count} collectives that would be the same by their order did not run at the same time: "
                "they are compared with no other rank's (the traces lack some, or begin at different ones)",
                count=dropped,
            )
        yield from _about_clocks(joined, matches, clocks)
    if losses.compared < losses.delayed:
        yield N_(
            "where late ranks lost time is taken from the {compared} costliest of {delayed} collectives",
            compared=losses.compared,
            delayed=losses.delayed,
        )
    if left_out:
        yield N_(
            "the {most} modules with most time have rows, {left_out} others do not",
            most=MOST_MODULES,
            left_out=left_out,
        )


def _about_ranks(joined: Joined, summaries: Sequence[RankSummary]) -> Iterator[Message]:
    unnumbered = sum(one.rank is None for one in summaries)
    if unnumbered:
        yield N_("{count} traces do not tell their rank: they are numbered in their order", count=unnumbered)
    twice = [rank for rank, count in Counter(joined.ranks).items() if count > 1]
    if twice:
        yield N_("several traces say that they are of rank {ranks}: each counts as one", ranks=twice[:10])
    worlds = sorted({one.world_size for one in summaries if one.world_size is not None})
    if len(worlds) > 1:
        yield N_("the traces are of jobs of different sizes ({sizes} ranks)", sizes=worlds[:10])
    if len({one.step_source for one in summaries}) > 1:
        yield N_("not all traces have the steps of torch's profiler: steps of ranks are not the same thing")


def _about_matching(joined: Joined, matches: Matches) -> Iterator[Message]:
    if len(joined.summaries) == 1:
        yield N_("there is one trace: who waits for whom takes those of other ranks")
    elif not len(matches):
        yield N_("no collective was found on more than one rank: who waits for whom is unknown")
    elif not has_sequence(joined)[matches.row].all():
        yield N_(
            "the traces do not number all collectives: those without a number are matched by their order in "
            "a step, by process group, operation and size"
        )
    if any(joined.groups[group].name is None for group in np.unique(joined.group[joined.group != UNKNOWN])):
        yield N_("the traces do not name process groups: collectives are taken as those of one group")
    unknown = int((joined.group == UNKNOWN).sum())
    if unknown:
        yield N_(
            "{count} collectives do not tell which of several process groups they are of: they are compared "
            "with no other rank's",
            count=unknown,
        )


def _about_clocks(joined: Joined, matches: Matches, clocks: Clocks) -> Iterator[Message]:
    if not len(matches):
        return
    if clocks.several_hosts:
        yield N_(
            "clocks of different hosts are aligned by the ends of collectives, at which all ranks are done "
            "at once: their offsets are medians, up to {most} ms",
            most=round(float(np.abs(clocks.offset).max()) / 1e6, 3),
        )
    unknown = int((~clocks.known).sum())
    if unknown:
        yield N_(
            "{count} ranks share no collective with the others: their clocks cannot be compared, on the map "
            "they begin with the first rank",
            count=unknown,
        )
