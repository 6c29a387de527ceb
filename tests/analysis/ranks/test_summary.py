"""What a worker makes of the trace of one rank."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.analysis.ranks.traces import facts, rank_trace
from tests.builder import TraceBuilder
from tracekit.analysis.ranks import RankSummary, combine, decode, encode, summarise

# Two ranks, two steps: what Block_0 and Block_1 take, µs.
WORKS = [[(100.0, 200.0), (150.0, 200.0)], [(100.0, 200.0), (100.0, 100.0)]]
CORPUS = os.environ.get("TRACEKIT_CORPUS")


def summary(tmp_path: Path, builder: TraceBuilder) -> RankSummary:
    return summarise(builder.write(tmp_path / "trace.json"))


def micros(column: Any) -> list[float]:
    return [value / 1000 for value in column.tolist()]


def test_a_step_is_split_without_remainder(tmp_path: Path) -> None:
    steps = summary(tmp_path, rank_trace(0, WORKS)).steps
    # The other rank comes 50 µs later in the first step; in the second this one does.
    assert steps.number.tolist() == [5, 6]
    assert micros(steps.wall) == [1000, 1000]
    assert micros(steps.compute) == [300, 300]
    assert micros(steps.exposed) == [50 + 40, 40]
    assert micros(steps.overlapped) == [0, 0]
    assert micros(steps.copy) == [10, 10]
    assert micros(steps.idle) == [1000 - 300 - 90 - 10, 1000 - 300 - 40 - 10]


def test_who_it_is_and_what_it_called(tmp_path: Path) -> None:
    found = summary(tmp_path, rank_trace(1, WORKS, host="node7"))
    assert (found.rank, found.world_size, found.host) == (1, 2, "node7")
    assert (found.device, found.device_kind) == ("NVIDIA H100 80GB HBM3", "cuda")
    assert found.clock_base == 1_700_000_000_000_000_000
    assert found.step_source == "steps"
    calls = found.collectives
    assert [calls.kinds[kind] for kind in calls.kind] == ["allreduce", "allreduce"]
    assert [calls.groups[group] for group in calls.group] == [("0", "default_pg", "[0, 1]", 2)] * 2
    assert calls.sequence.tolist() == [0, 1]
    assert calls.bytes_in.tolist() == calls.bytes_out.tolist() == [20_000_000] * 2
    assert micros(calls.end - calls.start) == [40, 140]
    assert calls.step.tolist() == [5, 6]
    assert calls.module.tolist() == [-1, -1]


def test_time_of_modules_by_step_and_before_each_collective(tmp_path: Path) -> None:
    found = summary(tmp_path, rank_trace(1, WORKS))
    assert found.module_paths == ("Model_0", "Model_0.Block_0", "Model_0.Block_1")
    assert found.module_types == ("Model", "Block", "Block")
    assert found.module_parent.tolist() == [-1, 0, 0]
    times = found.module_steps
    rows = zip(times.step.tolist(), times.module.tolist(), micros(times.time), strict=True)
    assert sorted(rows) == [(0, 1, 150), (0, 2, 200), (1, 1, 100), (1, 2, 100)]
    work = found.work
    busy = {
        (window, module): us
        for window, module, us in zip(
            work.window.tolist(), work.module.tolist(), micros(work.busy), strict=True
        )
        if us
    }
    # Behind the first all-reduce stands the copy of the first step.
    assert busy == {(0, 1): 150, (0, 2): 200, (1, -1): 10, (1, 1): 100, (1, 2): 100}


def test_a_device_that_waits_for_its_host_waits_in_the_module_that_runs_there(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
    builder.frame("Model_0", 0, 90).frame("Slow_0", 20, 80)
    builder.launch(1, 5).kernel(1, 10, 30)
    builder.launch(2, 75).kernel(2, 78, 88)
    builder.launch(3, 85).kernel(3, 90, 95, name="ncclDevKernel_AllReduce_Sum_f32_RING_LL")
    found = summary(tmp_path, builder)
    modules = [*found.module_paths, None]
    idle = {modules[m]: us for m, us in zip(found.work.module, micros(found.work.idle), strict=True) if us}
    # Idle are 30 … 78, all in Slow_0, and 88 … 90, in Model_0.
    assert idle == {"Model_0.Slow_0": 48, "Model_0": 2}


def test_overlapped_communication_counts_once(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
    builder.launch(1, 1).launch(2, 2).launch(3, 3)
    builder.kernel(1, 10, 50)
    builder.kernel(2, 30, 70, name="rcclGenericKernel", stream=20)
    builder.kernel(3, 60, 65, stream=8)
    steps = summary(tmp_path, builder).steps
    assert micros(steps.compute) == [45]
    assert micros(steps.overlapped) == [20 + 5]
    assert micros(steps.exposed) == [40 - 25]
    assert micros(steps.idle) == [100 - 60]


def test_on_the_processor_ops_and_modules_compute_and_gloo_communicates(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
    builder.frame("Model_0", 10, 60).op("aten::mm", 20, 30)
    builder.op("c10d::allreduce_", 40, 41).range("gloo:all_reduce", 42, 80, tid=2)
    found = summary(tmp_path, builder)
    steps = found.steps
    # Nothing but the collective runs in 40 … 41 and 42 … 80; the module does from 10 to 40 and for 1 µs more.
    assert micros(steps.compute) == [31]
    assert micros(steps.exposed) == [39]
    assert micros(steps.idle) == [30]
    assert [found.module_paths[module] for module in found.collectives.module] == ["Model_0"]
    assert micros(found.module_steps.time) == [31]
    assert micros(found.collectives.end - found.collectives.start) == [38]


def test_an_op_that_calls_a_collective_may_wait_in_it(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
    builder.op("autograd::engine::evaluate_function: Reduce", 10, 90)
    builder.op("aten::mul", 12, 20).op("c10d::allreduce_", 20, 22).range("gloo:all_reduce", 22, 80, tid=2)
    steps = summary(tmp_path, builder).steps
    assert (micros(steps.compute), micros(steps.exposed)) == ([8], [60])


def test_bytes_and_back(tmp_path: Path) -> None:
    before = summary(tmp_path, rank_trace(0, WORKS))
    after = decode(encode(before))
    assert encode(after) == encode(before)
    for field in dataclasses.fields(RankSummary):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if isinstance(one, np.ndarray):
            assert one.tolist() == other.tolist()
        elif dataclasses.is_dataclass(one):
            for name, column in vars(one).items():
                assert list(column) == list(getattr(other, name)), (field.name, name)
        else:
            assert one == other


def test_other_bytes_are_no_summary(tmp_path: Path) -> None:
    data = encode(summary(tmp_path, rank_trace(0, WORKS)))
    for broken in (b"", b"tracekit.rank", data[:-5], b"x" + data, data[:20] + b"\0\0\0\0" + data[24:]):
        with pytest.raises(ValueError, match="summary"):
            decode(broken)


def test_a_summary_does_not_grow_with_events(tmp_path: Path) -> None:
    def size(kernels: int) -> int:
        builder = TraceBuilder().range("ProfilerStep#1", 0, 100_000).frame("Model_0", 0, 100_000)
        for number in range(kernels):
            builder.launch(number, 10 * number + 1).kernel(number, 10 * number + 3, 10 * number + 8)
        return len(encode(summary(tmp_path, builder)))

    # What grows are the digits of times, and that bins are not alike.
    assert size(8_000) < size(80) + 2_000


def test_devices_of_merged_traces_are_told_apart(tmp_path: Path) -> None:
    one, other = rank_trace(0, WORKS), rank_trace(1, WORKS)
    for event in other.events:
        if event["cat"] in ("kernel", "gpu_memcpy"):
            event["pid"], event["args"]["device"] = 1, 1
    one.events += other.events
    found = summary(tmp_path, one)
    assert found.devices == 2
    assert sorted(zip(found.steps.device.tolist(), micros(found.steps.compute), strict=True)) == [
        (0, 300),
        (0, 300),
        (1, 200),
        (1, 350),
    ]
    assert len(found.collectives) == 2
    assert any("merged" in str(warning) for warning in found.warnings)


def test_devices_whose_numbers_meet_are_kept_apart(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#1", 0, 100)
    for number, (pid, device, end) in enumerate(((0, 0, 20), (1, 0, 30), (2, 1, 40))):
        builder.launch(number, 5)
        args = {"correlation": number, "device": device}
        builder.event("kernel", "kernel", 10, end, pid=pid, tid=7, args=args)
    assert sorted(micros(summary(tmp_path, builder).steps.compute)) == [10, 20, 30]


def test_numbers_that_cannot_be_are_unknown(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#999999999999999999", 0, 8.9e15)
    known = facts(2, 2**62, **{"In msg nelems": 2**62, "Group size": 2**62, "Process Group Ranks": {"a": 1}})
    builder.launch(1, 5).event(
        "kernel", "nccl", 10, 20, pid=0, tid=7, args={**known, "correlation": 1, "device": 0}
    )
    builder.event("kernel", "nccl", 8e15, 8e15 + 1, pid=0, tid=7, args={"correlation": 2, "device": "x"})
    builder.metadata = {
        "distributedInfo": {"rank": -1, "world_size": 2**62, "pg_config": [{"pg_size": 10**30}, 7]},
        "baseTimeNanoseconds": 2**63 - 1,
        "host_name": ["node"],
    }
    found = summary(tmp_path, builder)
    assert (found.rank, found.world_size, found.host, found.clock_base) == (None, 2**62, None, None)
    calls = found.collectives
    assert (calls.bytes_in.tolist()[0], calls.bytes_out.tolist()[0]) == (-1, 20_000_000)
    assert [group.size for group in calls.groups] == [None]
    job = combine([decode(encode(found))] * 2)
    assert job.missing_ranks == ()
    json.loads(msgspec.json.encode(job))


@pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS is not set")
@pytest.mark.parametrize("rank", [0, 1])
def test_real_ranks_against_counting_microseconds(rank: int) -> None:
    """The trace has whole microseconds, so that each is one of the five things."""
    path = Path(CORPUS or "") / f"sampled_rank{rank}.json.gz"
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    steps = [one for one in events if one.get("cat") == "user_annotation" and "ProfilerStep" in one["name"]]
    steps.sort(key=lambda one: one["ts"])
    origin, until = steps[0]["ts"], int(steps[-1]["ts"] + steps[-1]["dur"]) + 1_000_000
    runs = {kind: np.zeros(until - origin, np.bool_) for kind in ("compute", "communication", "copy")}
    launches = {
        one["args"]["correlation"]: one
        for one in events
        if one.get("cat") in ("cuda_runtime", "cuda_driver") and one.get("ph") == "X"
    }
    last = [one["ts"] + one["dur"] for one in steps]
    for event in events:
        if event.get("cat") not in ("kernel", "gpu_memcpy", "gpu_memset"):
            continue
        begin, end = event["ts"], event["ts"] + event["dur"]
        kind = "copy" if event["cat"] != "kernel" else "compute"
        kind = "communication" if "nccl" in event["name"] else kind
        runs[kind][max(0, begin - origin) : max(0, int(end) - origin)] = True
        launch = launches.get(event["args"]["correlation"])
        for at, step in enumerate(steps):
            if launch and step["ts"] <= launch["ts"] <= step["ts"] + step["dur"]:
                last[at] = max(last[at], end)
    found = summarise(path).steps
    for at, step in enumerate(steps):
        end = min(last[at], steps[at + 1]["ts"]) if at + 1 < len(steps) else last[at]
        window = slice(step["ts"] - origin, int(end) - origin)
        compute, communication, copy = (runs[kind][window] for kind in runs)
        assert (found.wall[at], found.compute[at]) == (1000 * len(compute), 1000 * compute.sum())
        assert found.exposed[at] == 1000 * (communication & ~compute).sum()
        assert found.overlapped[at] == 1000 * (communication & compute).sum()
        assert found.copy[at] == 1000 * (copy & ~compute & ~communication).sum()
        assert found.idle[at] == 1000 * (~compute & ~communication & ~copy).sum()


def test_a_device_whose_number_cannot_be_has_that_of_its_place(tmp_path: Path) -> None:
    builder = rank_trace(0, [[(50.0, 50.0)]])
    for event in builder.events:
        if "device" in event.get("args", {}):
            event["args"]["device"] = 10**30
    one = decode(encode(summarise(builder.write(tmp_path / "t.json"))))
    assert one.steps.device.tolist() == [0]
