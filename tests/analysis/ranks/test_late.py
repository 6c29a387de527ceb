"""Where a late rank lost time, in cases that are not the plain one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.analysis.ranks.traces import facts
from tests.builder import TraceBuilder
from tracekit.analysis.ranks import Job, combine, summarise
from tracekit.analysis.ranks.work_between import Pieces, work_between


def all_reduce(
    builder: TraceBuilder, number: int, start: float, end: float, world: int = 2, **other: object
) -> None:
    args = {**facts(world, number, **other), "correlation": number, "device": 0}
    builder.launch(number, start - 3, start - 2)
    builder.event("kernel", "ncclDevKernel_AllReduce", start, end, pid=0, tid=20, args=args)


def job_of(tmp_path: Path, builders: list[TraceBuilder]) -> Job:
    summaries = []
    for rank, builder in enumerate(builders):
        builder.range("ProfilerStep#0", 0, 1000)
        builder.metadata = {"distributedInfo": {"rank": rank, "world_size": len(builders)}}
        summaries.append(summarise(builder.write(tmp_path / f"{rank}.json")))
    return combine(summaries)


def test_a_host_that_is_slow_in_a_module(tmp_path: Path) -> None:
    builders = []
    for launched in (100, 400):  # rank 1 needs 300 µs more of Python in Slow_0
        builder = TraceBuilder().frame("Model_0", 10, launched + 50).frame("Slow_0", 20, launched + 40)
        builder.launch(50, 15).kernel(50, 20, 30)
        builder.launch(51, launched).kernel(51, launched + 5, launched + 25)
        all_reduce(builder, 0, launched + 25, 500)
        builders.append(builder)
    late = job_of(tmp_path, builders).late[1]
    place = late.places[0]
    assert (place.cause, place.module) == ("waiting_for_host", "Model_0.Slow_0")
    # The device is idle from 30 to when the second kernel starts.
    assert (place.own_us, place.others_us, place.lost_us) == (375, 75, 300)
    assert (late.last, late.delay_us) == (1, 300)


def test_a_host_that_is_slow_outside_modules(tmp_path: Path) -> None:
    builders = []
    for launched in (100, 400):
        builder = TraceBuilder().launch(50, 15).kernel(50, 20, 30)
        builder.frame("Model_0", launched - 5, launched + 50)
        builder.launch(51, launched).kernel(51, launched + 5, launched + 25)
        all_reduce(builder, 0, launched + 25, 500)
        builders.append(builder)
    job = job_of(tmp_path, builders)
    place = job.late[1].places[0]
    assert (place.cause, place.module, place.lost_us) == ("waiting_for_host", None, 300)
    assert "data loading" in str(next(one for one in job.findings if one.id == "ranks.straggler").advice)


def test_who_is_held_up_by_another_group_lost_nothing_itself(tmp_path: Path) -> None:
    """Ranks 0 and 1, and 2 and 3, meet in pairs; rank 3 is late there, so that 2 is late where all meet."""
    builders = []
    for rank, work in enumerate((100, 100, 100, 300)):
        pair = rank // 2 * 2
        group = {"Process Group Name": str(1 + rank // 2), "Process Group Ranks": [pair, pair + 1]}
        met = 330 if rank >= 2 else 130
        builder = TraceBuilder().launch(50, 2).kernel(50, 10, 10 + work)
        all_reduce(builder, 1, 10 + work, met, **group, **{"Group size": 2})
        all_reduce(builder, 2, met + rank, 400, world=4)
        builders.append(builder)
    job = job_of(tmp_path, builders)
    rows = {(job.groups[row.group].name, row.ranks): row for row in job.collectives}
    assert {key: row.matched for key, row in rows.items()} == {("0", 4): 1, ("1", 2): 1, ("2", 2): 1}
    late = job.late[3]
    # In its pair it costs 200. Where all meet, it comes 1 after rank 2, and 202 after the others' median:
    # it idled 3 since its pair met, the others 0, 1 and 2; for the rest it was late before.
    assert late.delay_us == 200 + 1
    assert [(one.cause, one.lost_us) for one in late.places] == [
        ("outside_modules", 200),
        ("earlier_collective", 202 - 2),
        ("waiting_for_host", 2),
    ]
    assert job.stragglers[0].cause == "outside_modules"


def test_modules_of_too_many_rows_are_joined_with_those_above() -> None:
    parent = np.array([-1, 0, 0, 1, 1])
    busy = Pieces(np.array([0, 10, 20, 30]), np.array([10, 20, 30, 40]), np.array([3, 4, 2, -1]))
    nothing = Pieces(*(np.empty(0, np.int64) for _ in range(3)))
    arrivals = np.array([15, 40])
    with pytest.MonkeyPatch.context() as patch:
        for most, level, expected in (
            (100, 2, {(0, 3): 10, (0, 4): 5, (1, 4): 5, (1, 2): 10, (1, -1): 10}),
            (4, 1, {(0, 1): 15, (1, 1): 5, (1, 2): 10, (1, -1): 10}),
            (3, 0, {(0, 0): 15, (1, 0): 15, (1, -1): 10}),
            (1, 0, {(0, 0): 15, (1, 0): 15, (1, -1): 10}),
        ):
            patch.setattr("tracekit.analysis.ranks.work_between.MOST_ROWS", most)
            work, deepest = work_between(arrivals, 0, busy, nothing, parent)
            rows = zip(work.window.tolist(), work.module.tolist(), strict=True)
            assert dict(zip(rows, work.busy.tolist(), strict=True)) == expected
            assert deepest == level
