"""`combine`: the summaries of all ranks → what is said about the job."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from tracekit.analysis.ranks.clocks import Clocks, plausible
from tracekit.analysis.ranks.collective_rows import collective_rows, group_rows
from tracekit.analysis.ranks.columns import RankSummary
from tracekit.analysis.ranks.heat import heat_map
from tracekit.analysis.ranks.job_findings import job_findings
from tracekit.analysis.ranks.job_notes import job_notes
from tracekit.analysis.ranks.joined import Joined, join
from tracekit.analysis.ranks.late import Losses, concentrated, find_losses, late_ranks
from tracekit.analysis.ranks.matching import Matches, match
from tracekit.analysis.ranks.schema import Job, JobTime, LateRank, LostRank, RankRow, RankStep, Straggler
from tracekit.analysis.ranks.spreads import module_spreads
from tracekit.attribution import sum_by

STRAGGLER_SHARE = 0.01
"""Of the time of the steps: a rank that costs the others less is none."""

_LARGEST_WORLD = 100_000  # of which it is listed who is missing
_OWN_SHARE = 0.5  # of what a rank was late before: it lost no less itself

_PARTS = {
    "wall_us": "wall",
    "compute_us": "compute",
    "communication_exposed_us": "exposed",
    "communication_overlapped_us": "overlapped",
    "copy_us": "copy",
    "idle_us": "idle",
}


def combine(summaries: Sequence[RankSummary], lost: Sequence[LostRank] = ()) -> Job:
    """The job that the summaries are of, in the order of their ranks.

    A summary without a rank gets the next number that no other has. `lost`: traces of which there is none.
    """
    numbered = _numbered(summaries)
    ranks = [rank for rank, _ in numbered]
    joined = join([one for _, one in numbered], ranks)
    matches, clocks, dropped = plausible(joined, match(joined))
    losses = find_losses(joined, matches)
    modules, left_out = module_spreads(joined)
    world = _world_size(joined)
    sources = {one.step_source for one in joined.summaries}
    late = late_ranks(joined, matches, losses)
    rows = _rank_rows(joined, matches, clocks)
    job = Job(
        world_size=world,
        missing_ranks=_missing(world, ranks, lost),
        step_source=sources.pop() if len(sources) == 1 else None,
        ranks=rows,
        lost=tuple(lost),
        time=_time(rows),
        steps=_steps(joined),
        groups=tuple(group_rows(joined)),
        collectives=tuple(collective_rows(joined, matches, clocks)) if len(joined) else (),
        late=tuple(late),
        stragglers=_stragglers(joined, losses, late, rows),
        modules=tuple(modules),
        heat_map=heat_map(joined, clocks),
        notes=tuple(job_notes(joined, matches, clocks, summaries, losses, left_out, dropped)),
    )
    return msgspec.structs.replace(job, findings=tuple(job_findings(job)))


def _world_size(joined: Joined) -> int | None:
    """What the traces say it is; None where it leaves out a rank that is there.

    A process that torch was not told of any job in says 1.
    """
    worlds = [one.world_size for one in joined.summaries if one.world_size is not None]
    largest = max(worlds, default=0)
    return largest if largest > max(joined.ranks, default=0) else None


def _numbered(summaries: Sequence[RankSummary]) -> list[tuple[int, RankSummary]]:
    taken = {one.rank for one in summaries}
    following = 0
    rows = []
    for one in summaries:
        rank = one.rank
        if rank is None:
            while following in taken:
                following += 1
            rank = following
            taken.add(rank)
        rows.append((rank, one))
    return sorted(rows, key=lambda row: row[0])


def _missing(world: int | None, ranks: Sequence[int], lost: Sequence[LostRank]) -> tuple[int, ...]:
    known = {*ranks, *(one.rank for one in lost)}
    return (
        ()
        if world is None or world > _LARGEST_WORLD
        else tuple(rank for rank in range(world) if rank not in known)
    )


def _sums(one: RankSummary) -> dict[str, float]:
    """Over steps and devices, µs."""
    return {name: int(getattr(one.steps, column).sum()) / 1000 for name, column in _PARTS.items()}


def _rank_rows(joined: Joined, matches: Matches, clocks: Clocks) -> tuple[RankRow, ...]:
    places = len(joined.summaries)
    place = joined.place[matches.row]
    waiting = sum_by(place, matches.waiting, places)
    met = np.bincount(place, minlength=places)
    return tuple(
        RankRow(
            rank=joined.ranks[at],
            path=one.path,
            host=one.host,
            device=one.device,
            device_kind=one.device_kind,
            bytes=one.size_bytes,
            events=one.events,
            skipped_events=one.skipped_events,
            warnings=one.warnings,
            module_source=one.module_source,
            devices=one.devices,
            steps=len(np.unique(one.steps.start)),
            **_sums(one),
            waiting_us=round(waiting[at]) / 1000 if met[at] else None,
            clock_offset_us=int(clocks.offset[at]) / 1000 if clocks.known[at] and places > 1 else None,
        )
        for at, one in enumerate(joined.summaries)
    )


def _steps(joined: Joined) -> tuple[RankStep, ...]:
    rows = []
    for rank, one in zip(joined.ranks, joined.summaries, strict=True):
        parts = {name: (getattr(one.steps, of) / 1000).tolist() for name, of in _PARTS.items()}
        for at, (device, step) in enumerate(
            zip(one.steps.device.tolist(), one.steps.number.tolist(), strict=True)
        ):
            values = {name: column[at] for name, column in parts.items()}
            rows.append(RankStep(rank=rank, device=device, step=step, **values))
    return tuple(rows)


def _time(rows: Sequence[RankRow]) -> JobTime | None:
    rows = [row for row in rows if row.steps]
    if not rows:
        return None

    def median(name: str, of: Sequence[RankRow]) -> float:
        return float(np.median([getattr(row, name) / (row.steps * row.devices) for row in of]))

    met = [row for row in rows if row.waiting_us is not None]
    return JobTime(
        steps=min(row.steps for row in rows),
        **{name: median(name, rows) for name in _PARTS},
        waiting_us=median("waiting_us", met) if met else None,
    )


def _stragglers(
    joined: Joined, losses: Losses, late: Sequence[LateRank], rows: Sequence[RankRow]
) -> tuple[Straggler, ...]:
    """Ranks without which the steps would have taken noticeably less time."""
    wall = float(np.median([row.wall_us / row.devices for row in rows])) if rows else 0.0
    place_of_rank = {rank: place for place, rank in enumerate(joined.ranks)}
    found = []
    for one in late:
        if not wall or one.delay_us < STRAGGLER_SHARE * wall:
            continue
        found.append(_straggler(one, one.delay_us / wall, joined, losses, place_of_rank[one.rank]))
    return tuple(sorted(found, key=lambda one: -one.delay_us))


def _straggler(late: LateRank, share: float, joined: Joined, losses: Losses, place: int) -> Straggler:
    """What it lost itself says more of it than that it was late before, unless that is by far the most."""
    own = [one for one in late.places if one.cause != "earlier_collective"]
    earlier = [one for one in late.places if one.cause == "earlier_collective"]
    is_own = sum(one.lost_us for one in own) >= _OWN_SHARE * sum(one.lost_us for one in earlier)
    places = own if is_own and own else earlier
    worst = places[0] if places else None
    module, lost_us = None, worst.lost_us if worst else None
    if worst and worst.module is not None and (holding := concentrated(joined, losses, place)):
        module, lost_us = joined.modules.paths[holding[0]], round(holding[1]) / 1000
    return Straggler(
        rank=late.rank,
        delay_us=late.delay_us,
        share=share,
        last_share=late.last / late.collectives,
        cause=worst.cause if worst else None,
        module=module,
        lost_us=lost_us,
    )
