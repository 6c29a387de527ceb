"""Jobs whose numbers a person can add up, as the analysis makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tracekit.analysis.ranks.schema import (
    CollectiveRow,
    GroupRow,
    HeatMap,
    Job,
    JobTime,
    LatePlace,
    LateRank,
    LostRank,
    ModuleSpread,
    RankRow,
    RankStep,
    Spread,
    Straggler,
)
from tracekit.analysis.schema import Finding
from tracekit.messages import N_

replaced = msgspec.structs.replace

STEPS = 2
COMPUTE, COMMUNICATION, COPY, IDLE = 6_000.0, 3_000.0, 200.0, 800.0  # µs of a step
EXTRA = 2_000.0  # compute of the straggler, which it waits less
OVERLAPPED, WAITING = 500.0, 2_000.0
HOSTILE = "<img src=x onerror=alert(1)>|`[a](javascript:b)`\u202e\x1b[31m\n# h"


def parts(is_late: bool, steps: int = 1) -> dict[str, float]:
    """10 ms a step, of which the straggler computes 8 and the others 6."""
    extra = EXTRA if is_late else 0.0
    return {
        "wall_us": steps * 10_000.0,
        "compute_us": steps * (COMPUTE + extra),
        "communication_exposed_us": steps * (COMMUNICATION - extra),
        "communication_overlapped_us": steps * OVERLAPPED,
        "copy_us": steps * COPY,
        "idle_us": steps * IDLE,
    }


def rank_row(rank: int, is_late: bool, **other: Any) -> RankRow:
    fields: dict[str, Any] = {
        "rank": rank,
        "path": f"traces/rank{rank}.json.gz",
        "host": f"node{rank // 8}",
        "device": "NVIDIA H100 80GB HBM3",
        "device_kind": "cuda",
        "bytes": 1_000_000,
        "events": 10_000,
        "skipped_events": 0,
        "steps": STEPS,
        "waiting_us": 0.0 if is_late else STEPS * WAITING,
        "clock_offset_us": 0.0,
    }
    return RankRow(**fields | parts(is_late, STEPS) | other)


def job(ranks: int = 4, late: int | None = 2, module: str = "model.layers.1.mlp", **other: Any) -> Job:
    """One rank is `late` to all 6 collectives, for which the others wait 2 ms a step."""
    rows = tuple(rank_row(rank, rank == late) for rank in range(ranks))
    steps = tuple(
        RankStep(rank=row.rank, device=0, step=5 + step, **parts(row.rank == late))
        for row in rows
        for step in range(STEPS)
    )
    place = LatePlace(
        cause="module", module=module, type="MLP", lost_us=3_900.0, own_us=9_900.0, others_us=6_000.0
    )
    others = [LateRank(rank=one, collectives=6, last=0, waited_us=0.0, delay_us=0.0) for one in range(ranks)]
    stragglers: tuple[Straggler, ...] = ()
    if late is not None:
        others[late] = LateRank(
            rank=late,
            collectives=6,
            last=6,
            waited_us=(ranks - 1) * STEPS * WAITING,
            delay_us=STEPS * WAITING,
            places=(place,),
        )
        stragglers = (
            Straggler(
                rank=late,
                delay_us=STEPS * WAITING,
                share=0.2,
                last_share=1.0,
                cause="module",
                module=module,
                lost_us=3_900.0,
            ),
        )
    fields: dict[str, Any] = {
        "world_size": ranks,
        "step_source": "steps",
        "ranks": rows,
        "time": JobTime(steps=STEPS, waiting_us=WAITING, **parts(False)),
        "steps": steps,
        "groups": (GroupRow(name="0", description="default_pg", size=ranks, ranks=tuple(range(ranks))),),
        "collectives": collectives(ranks),
        "late": tuple(others),
        "stragglers": stragglers,
        "modules": (spread(module, ranks, late or 0), spread("model.norm", ranks, 0, most=1_100.0)),
        "heat_map": heat_map(ranks),
        "findings": (finding(module),),
        "notes": (N_("{count} ranks share no clock", count=3),),
    }
    return Job(**fields | other)


def collectives(ranks: int, sizes: Sequence[int] = (1_000_000, 20_000_000)) -> tuple[CollectiveRow, ...]:
    return tuple(
        CollectiveRow(
            group=0,
            op="allreduce",
            dtype="bfloat16",
            module="model",
            bytes=size,
            count=4,
            matched=3,
            complete=3,
            ranks=ranks,
            matched_by="sequence",
            duration_us=1_500.0,
            transfer_us=500.0,
            waiting_us=12_000.0,
            skew_mean_us=1_000.0,
            skew_max_us=1_250.0,
            algorithm_gbs=size / 500.0 / 1e3,
            bus_gbs=size / 500.0 / 1e3 * 2 * (ranks - 1) / ranks if ranks > 1 else None,
        )
        for size in sizes
    )


def spread(path: str, ranks: int, slowest: int, most: float = 3_000.0) -> ModuleSpread:
    """1 ms on all ranks but the slowest."""
    mean = (1_000.0 * (ranks - 1) + most) / ranks
    own = Spread(min_us=1_000.0, median_us=1_000.0, mean_us=mean, max_us=most, min_rank=0, max_rank=slowest)
    return ModuleSpread(path=path, type="MLP", ranks=ranks, total=own, own=own)


def heat_map(ranks: int, bins: int = 4) -> HeatMap:
    """60 % compute, 30 % communication, 2 % copies, 8 % idle; of the first bin rank 0 has no record."""

    def rows(value: int) -> tuple[tuple[int | None, ...], ...]:
        return tuple(tuple(None if rank == at == 0 else value for at in range(bins)) for rank in range(ranks))

    return HeatMap(
        bin_us=5_000.0,
        bins=bins,
        ranks=tuple(range(ranks)),
        compute=rows(60),
        communication=rows(30),
        copy=rows(2),
        idle=rows(8),
    )


def finding(module: str) -> Finding:
    return Finding(
        id="ranks.straggler",
        severity="high",
        module=module,
        evidence=N_("it takes {time} ms in {module}", time="4.0", module=module),
        gain_us=2_000.0,
        advice=N_("look at {module}", module=module),
    )


def one() -> Job:
    """One trace: nobody waits for anybody."""
    alone = job(1, None)
    rows = tuple(replaced(row, waiting_us=None) for row in alone.ranks)
    unmatched = tuple(
        CollectiveRow(group=0, op="allreduce", count=4, matched=0, complete=0, ranks=1, duration_us=1_500.0)
        for _ in range(2)
    )
    assert alone.time is not None
    return replaced(
        alone,
        ranks=rows,
        late=(),
        collectives=unmatched,
        time=replaced(alone.time, waiting_us=None),
        world_size=None,
    )


def unmatched() -> Job:
    """Two ranks without a collective in common."""
    both = job(2, None)
    rows = tuple(replaced(row, waiting_us=None, clock_offset_us=None) for row in both.ranks)
    return replaced(both, ranks=rows, late=(), collectives=(), groups=(), world_size=None, findings=())


def incomplete() -> Job:
    """One trace could not be read, one is missing."""
    lost = LostRank(path="traces/rank4.json.gz", rank=4, reason=N_("{path}: is empty", path="rank4.json.gz"))
    return job(4, 2, world_size=6, missing_ranks=(5,), lost=(lost,))


def hostile() -> Job:
    """Every text of the traces is one that would do something if it were not escaped."""
    data = job(3, 1, module=HOSTILE)
    group = GroupRow(name=HOSTILE, description=HOSTILE, size=3, ranks=(0, 1, 2))
    rows = tuple(
        replaced(
            row,
            path=HOSTILE,
            host=HOSTILE,
            device=HOSTILE,
            warnings=(N_("{name} is odd", name=HOSTILE),),
        )
        for row in data.ranks
    )
    return replaced(
        data,
        ranks=rows,
        groups=(group,),
        collectives=tuple(
            replaced(row, op=HOSTILE, dtype=HOSTILE, module=HOSTILE) for row in data.collectives
        ),
        modules=tuple(replaced(row, path=HOSTILE, type=HOSTILE) for row in data.modules),
        lost=(LostRank(path=HOSTILE, reason=N_("{path}: is empty", path=HOSTILE)),),
        notes=(N_("{name} is not known", name=HOSTILE),),
    )


EMPTY = Job(ranks=())
ALL = {
    "job": job,
    "one": one,
    "unmatched": unmatched,
    "incomplete": incomplete,
    "hostile": hostile,
    "balanced": lambda: job(4, None),
    "empty": lambda: EMPTY,
}
