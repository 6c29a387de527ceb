"""What the summaries of all ranks come to together, with numbers from arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.analysis.ranks.traces import facts, rank_trace
from tests.builder import TraceBuilder
from tracekit.analysis.ranks import Job, LostRank, RankSummary, combine, decode, encode, summarise
from tracekit.messages import N_

# Four ranks, three steps; Block_0 and Block_1 take µs. Rank 2 needs 60 more in Block_1 in the last two steps.
EVEN = (100.0, 200.0)
WORKS = [
    [EVEN, EVEN, EVEN, (110.0, 200.0)],
    [EVEN, EVEN, (100.0, 260.0), (100.0, 210.0)],
    [EVEN, EVEN, (100.0, 260.0), EVEN],
]

Summarised = Callable[..., RankSummary]


@pytest.fixture
def summarised(tmp_path: Path) -> Summarised:
    def of(builder: TraceBuilder, name: str = "trace") -> RankSummary:
        return summarise(builder.write(tmp_path / f"{name}.json"))

    return of


def job_of(summarised: Summarised, works: Any = WORKS, **options: Any) -> Job:
    return combine([summarised(rank_trace(rank, works, **options)) for rank in range(len(works[0]))])


def test_waiting_is_told_from_transfer(summarised: Summarised) -> None:
    job = job_of(summarised)
    (row,) = job.collectives
    assert (row.op, row.dtype, row.bytes) == ("allreduce", "float", 20_000_000)
    assert (row.count, row.matched, row.complete, row.ranks) == (3, 3, 3, 4)
    assert row.matched_by == "sequence"
    assert row.transfer_us == 40
    # The others wait 10 each for rank 3, then 60, 60 and 50 for rank 2, then 60 each.
    assert row.waiting_us == 3 * 10 + (60 + 60 + 50) + 3 * 60
    assert row.skew_mean_us == pytest.approx((10 + 60 + 60) / 3)
    assert row.skew_max_us == 60
    assert row.algorithm_gbs == pytest.approx(20e6 / 40e-6 / 1e9)
    assert row.bus_gbs == pytest.approx(500 * 2 * 3 / 4)
    assert [one.waiting_us for one in job.ranks] == [130, 130, 10, 50 + 60]
    assert job.groups == (msgspec.structs.replace(job.groups[0], ranks=(0, 1, 2, 3)),)
    assert (job.groups[0].name, job.groups[0].size) == ("0", 4)


def test_who_is_late_and_where(summarised: Summarised) -> None:
    job = job_of(summarised)
    assert [(one.rank, one.collectives, one.last) for one in job.late] == [
        (0, 3, 0),
        (1, 3, 0),
        (2, 3, 2),
        (3, 3, 1),
    ]
    late = job.late[2]
    assert late.waited_us == (60 + 60 + 50) + 3 * 60
    # With the last but one it would have come 50 and then 60 earlier.
    assert late.delay_us == 50 + 60
    place = late.places[0]
    assert (place.cause, place.module, place.type) == ("module", "Model_0.Block_1", "Block")
    # The others' medians are 200 of (200, 200, 210) and 200.
    assert (place.own_us, place.others_us, place.lost_us) == (520, 400, 120)
    assert job.late[3].places[0].module == "Model_0.Block_0"


def test_the_straggler_and_what_is_found(summarised: Summarised) -> None:
    job = job_of(summarised)
    worst = job.stragglers[0]
    assert (worst.rank, worst.module, worst.cause) == (2, "Model_0.Block_1", "module")
    assert worst.share == pytest.approx(110 / 3000)
    assert worst.last_share == pytest.approx(2 / 3)
    assert worst.lost_us == 120
    # Rank 3 costs 10 of 3000, which is less than one in a hundred.
    assert len(job.stragglers) == 1
    finding = next(one for one in job.findings if one.id == "ranks.straggler")
    assert finding.module == "Model_0.Block_1"
    assert finding.gain_us == pytest.approx(110 / 3)
    assert "rank 2 comes last to 67%" in str(finding.evidence)
    assert "Model_0.Block_1" in str(finding.advice)


def test_ranks_and_steps_split_their_time(summarised: Summarised) -> None:
    job = job_of(summarised)
    assert [one.compute_us for one in job.ranks] == [900, 900, 1020, 920]
    for row in (*job.ranks, *job.steps):
        parts = row.compute_us + row.communication_exposed_us + row.copy_us + row.idle_us
        assert parts == row.wall_us
    assert [(one.rank, one.step) for one in job.steps] == [(r, s) for r in range(4) for s in (5, 6, 7)]
    assert job.time is not None
    assert (job.time.steps, job.time.wall_us) == (3, 1000)
    assert job.time.compute_us == pytest.approx((900 + 920) / 2 / 3)


def test_imbalance_of_modules(summarised: Summarised) -> None:
    job = job_of(summarised)
    rows = {row.path: row for row in job.modules}
    block = rows["Model_0.Block_1"]
    assert block.ranks == 4
    assert (block.own.min_us, block.own.median_us) == (200, pytest.approx((200 + 610 / 3) / 2))
    assert (block.own.max_us, block.own.max_rank) == (240, 2)
    assert block.own.mean_us == pytest.approx((600 + 600 + 720 + 610) / 3 / 4)
    assert block.own.imbalance == pytest.approx(240 / block.own.mean_us - 1)
    assert rows["Model_0"].total.max_us == pytest.approx(1020 / 3)
    assert [row.path for row in job.modules] == ["Model_0", "Model_0.Block_0", "Model_0.Block_1"]


def test_a_pipeline_has_modules_on_some_ranks_only(summarised: Summarised) -> None:
    stages = []
    for rank, module in enumerate(("First_0", "First_0", "Second_0", "Second_0")):
        builder = TraceBuilder().range("ProfilerStep#1", 0, 100).frame(module, 0, 50)
        builder.launch(1, 5).kernel(1, 10, 20 + 5 * rank)
        builder.metadata = {"distributedInfo": {"rank": rank, "world_size": 4}}
        stages.append(summarised(builder))
    rows = {row.path: row for row in combine(stages).modules}
    assert {path: (row.ranks, row.own.min_us, row.own.max_us) for path, row in rows.items()} == {
        "First_0": (2, 10, 15),
        "Second_0": (2, 20, 25),
    }
    assert (rows["Second_0"].own.min_rank, rows["Second_0"].own.max_rank) == (2, 3)


def test_without_sequence_numbers_the_order_in_a_step_tells(summarised: Summarised) -> None:
    job = job_of(summarised, has_sequence=False)
    (row,) = job.collectives
    assert (row.matched, row.matched_by, row.transfer_us) == (3, "order", 40)
    assert any("do not number all collectives" in str(note) for note in job.notes)


def test_a_rank_that_recorded_fewer_steps_is_matched_where_it_did(summarised: Summarised) -> None:
    summaries = [summarised(rank_trace(rank, WORKS, has_sequence=False)) for rank in range(3)]
    summaries.append(summarised(rank_trace(3, WORKS, has_sequence=False, steps=2)))
    (row,) = combine(summaries).collectives
    assert (row.matched, row.complete) == (3, 2)


def test_what_matches_by_order_only_is_no_match_at_another_time(summarised: Summarised) -> None:
    summaries = []
    for rank in range(2):
        builder = TraceBuilder()
        builder.metadata = {"distributedInfo": {"rank": rank, "world_size": 2}}
        for step in range(4):
            at = 1000 * step
            builder.range(f"ProfilerStep#{step}", at, at + 1000)
            # Of the last step, the second trace lacks the first all-reduce.
            for number, start in enumerate((100, 500)[rank if step == 3 else 0 :]):
                correlation = 10 * step + number
                args = {**facts(2), "correlation": correlation, "device": 0}
                builder.launch(correlation, at + start - 10)
                builder.event("kernel", "nccl", at + start, at + start + 40, pid=0, tid=7, args=args)
        summaries.append(summarised(builder))
    job = combine(summaries)
    # Six in the first three steps, and of the last one the first of rank 0 and the second of rank 1 are none.
    assert job.collectives[0].matched == 6
    assert [str(note)[:15] for note in job.notes if "at the same time" in str(note)] == ["1 collectives t"]


def test_clocks_of_hosts_are_compared_by_the_ends_of_collectives(summarised: Summarised) -> None:
    ahead = [0.0, 0.0, 7_000.0, 7_000.0]
    summaries = [
        summarised(rank_trace(rank, WORKS, clock_ahead=ahead[rank], host=f"node{rank // 2}"))
        for rank in range(4)
    ]
    job = combine(summaries)
    assert [one.clock_offset_us for one in job.ranks] == ahead
    assert any("aligned by the ends" in str(note) and "7.0 ms" in str(note) for note in job.notes)
    # What waiting is does not depend on clocks.
    assert [one.waiting_us for one in job.ranks] == [130, 130, 10, 110]
    assert job.collectives[0].start_skew_mean_us is None
    heat = job.heat_map
    assert heat is not None
    assert heat.bin_us * heat.bins == pytest.approx(3000)


def test_on_one_clock_starts_tell_the_same(summarised: Summarised) -> None:
    (row,) = job_of(summarised, host="node0").collectives
    assert row.start_skew_mean_us == row.skew_mean_us


def test_the_map_shows_who_waits_and_when(summarised: Summarised) -> None:
    job = job_of(summarised)
    heat = job.heat_map
    assert heat is not None
    assert heat.ranks == (0, 1, 2, 3)
    assert heat.bin_us == 3000 / heat.bins
    for row in range(4):
        for parts in zip(
            heat.compute[row], heat.communication[row], heat.copy[row], heat.idle[row], strict=True
        ):
            assert sum(part or 0 for part in parts) == 100
        shares = [sum(part or 0 for part in heat.compute[row]) / heat.bins / 100]
        assert shares[0] == pytest.approx(job.ranks[row].compute_us / 3000, abs=0.01)


def test_ranks_that_are_missing_lost_or_unnamed(summarised: Summarised) -> None:
    summaries = [summarised(rank_trace(rank, WORKS)) for rank in (3, 1)]
    reason = N_("it is no trace")
    job = combine(summaries, [LostRank(path="r0.json", rank=0, reason=reason)])
    assert [one.rank for one in job.ranks] == [1, 3]
    assert (job.world_size, job.missing_ranks) == (4, (2,))
    assert job.lost[0].reason == reason
    assert (job.collectives[0].matched, job.collectives[0].complete) == (3, 0)
    unnamed = combine([replace(one, rank=None) for one in summaries])
    assert [one.rank for one in unnamed.ranks] == [0, 1]
    assert any("do not tell their rank" in str(note) for note in unnamed.notes)


def test_a_size_that_leaves_out_a_rank_is_none(summarised: Summarised) -> None:
    """As of processes that each say that they are alone, and whose ranks their files tell."""
    summaries = [replace(summarised(rank_trace(rank, WORKS)), world_size=1) for rank in (0, 2)]
    job = combine(summaries)
    assert (job.world_size, job.missing_ranks) == (None, ())


def test_collectives_that_are_no_meeting_are_counted_only(summarised: Summarised) -> None:
    summaries = []
    for rank in range(2):
        builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
        for number, kind in enumerate(("broadcast", "send", "allgather")):
            known = facts(2, number, **{"Collective name": kind, "In msg nelems": 10, "Out msg nelems": 20})
            args = {**known, "correlation": number, "device": 0}
            at = 10 + 20 * number
            builder.launch(number, at - 5)
            builder.event("kernel", "ncclDevKernel", at, at + 8 + rank, pid=0, tid=7, args=args)
        builder.metadata = {"distributedInfo": {"rank": rank, "world_size": 2}}
        summaries.append(summarised(builder))
    rows = {row.op: row for row in combine(summaries).collectives}
    assert {op: (row.count, row.matched) for op, row in rows.items()} == {
        "broadcast": (1, 0),
        "send": (1, 0),
        "allgather": (1, 1),
    }
    gather = rows["allgather"]
    # S is the gathered side, 20 floats; half of it comes from the other rank.
    assert gather.bytes == 80
    assert gather.bus_gbs == pytest.approx(80 / 8000 / 2)
    assert rows["broadcast"].algorithm_gbs is None


def test_no_ranks_and_no_collectives() -> None:
    assert combine([]) == Job(ranks=(), notes=combine([]).notes)


def test_a_rank_without_anything(summarised: Summarised) -> None:
    job = combine([summarised(TraceBuilder().op("aten::mm", 5, 5))])
    assert job.ranks[0].wall_us == 0
    assert job.heat_map is None


def test_many_ranks_made_of_one(summarised: Summarised) -> None:
    """256 ranks of 32 hosts; in each step rank 77 needs 500 µs more in Block_0, and comes as much later."""
    works = [[EVEN, EVEN]] * 4
    summary = decode(encode(summarised(rank_trace(0, works))))
    calls = summary.collectives
    late = summary.work.busy + np.where(summary.work.module == 1, 500_000, 0)
    summaries = []
    for rank in range(256):
        is_late = rank == 77
        start = calls.start + (0 if is_late else -500_000)
        work = replace(summary.work, busy=late) if is_late else summary.work
        summaries.append(
            replace(
                summary,
                rank=rank,
                world_size=256,
                host=f"node{rank // 8}",
                origin=summary.origin + 1_000_000 * (rank // 8),
                collectives=replace(calls, start=start),
                work=work,
            )
        )
    job = combine(summaries)
    assert [(one.rank, one.module, one.delay_us) for one in job.stragglers] == [
        (77, "Model_0.Block_0", 4 * 500)
    ]
    assert [one.clock_offset_us for one in job.ranks] == [1000.0 * (rank // 8) for rank in range(256)]
    (row,) = job.collectives
    assert (row.matched, row.ranks, row.transfer_us) == (4, 256, 40)
    assert row.waiting_us == 255 * 4 * 500
    msgspec.json.decode(msgspec.json.encode(job))
