"""The GPU in the median pass: its events, and who is to blame for each interval in which it is idle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit.analysis import Report, analyze, timeline
from tracekit.analysis.schema import Timeline, TimelineGap, TimelineStream

TABLE = [
    {"index": 0, "path": "", "type": "Net"},
    {"index": 1, "path": "a", "type": "A"},
    {"index": 2, "path": "b", "type": "B"},
    {"index": 3, "path": "b.norm", "type": "Norm"},
]


def one_pass(builder: TraceBuilder, at: float, number: int = 0, longer: float = 0.0) -> TraceBuilder:
    """A pass of 200 µs whose last kernel ends at 150: gaps of 20 at its start, of 5 and of 50 µs.

    The host launches the second kernel in time and the third late, after a call that waits for 15 µs.
    """
    builder.metadata["tracekit"] = {"modules": TABLE}
    first = 10 * number
    builder.scope("forward", str(number), at, at + 200 + longer).scope(0, "", at, at + 200 + longer)
    builder.scope(1, "a", at + 10, at + 70).launch(first + 1, at + 12).launch(first + 2, at + 15)
    builder.event("cuda_runtime", "cudaStreamSynchronize", at + 50, at + 65)
    builder.scope(2, "b", at + 100, at + 160).launch(first + 3, at + 105)
    builder.scope(3, "b.norm", at + 107, at + 150).launch(first + 4, at + 108)
    builder.kernel(first + 1, at + 20, at + 40, "gemm").kernel(first + 2, at + 45, at + 60, "add")
    builder.kernel(first + 3, at + 110, at + 150, "gemm")
    return builder.kernel(first + 4, at + 120, at + 140, "norm", stream=8)


def analyzed(builder: TraceBuilder, tmp_path: Path) -> tuple[Report, Timeline]:
    report = analyze(builder.write(tmp_path / "t.json"))
    assert report.timeline is not None
    return report, report.timeline


def paths(report: Report, rows: tuple[int | None, ...]) -> list[str | None]:
    return [None if row is None else report.modules[row].path for row in rows]


def test_events_of_the_pass_by_start(tmp_path: Path) -> None:
    report, found = analyzed(one_pass(TraceBuilder(), 1000), tmp_path)
    assert (found.pass_index, found.start_us, found.wall_us) == (0, 0, 200)
    assert found.streams == (TimelineStream(0, 7), TimelineStream(0, 8))
    events = found.events
    assert events.start_us == (20, 45, 110, 120)
    assert events.duration_us == (20, 15, 40, 20)
    assert events.stream == (0, 0, 0, 1)
    assert [found.kernels[one] for one in events.kernel] == ["gemm", "add", "gemm", "norm"]
    assert paths(report, events.module) == ["a", "a", "b", "b.norm"]
    assert events.count == (1, 1, 1, 1)


def test_every_idle_interval_and_who_is_to_blame(tmp_path: Path) -> None:
    report, found = analyzed(one_pass(TraceBuilder(), 1000), tmp_path)
    rows = {row.path: index for index, row in enumerate(report.modules)}
    a, b = rows["a"], rows["b"]
    assert found.gaps == (
        TimelineGap(0, 20, 0, "launches", a, None),
        TimelineGap(40, 5, 0, "queued", a, None),
        TimelineGap(60, 15, 0, "synchronisation", b, "cudaStreamSynchronize"),
        TimelineGap(75, 35, 0, "launches", b, None),
    )
    # Before its first event a pass is not yet idle in its row.
    assert sum(gap.duration_us for gap in found.gaps) == 20 + report.passes[0].gpu_idle_us
    assert (found.gaps_left_out, found.gaps_left_out_us) == (0, 0)


def test_a_call_that_waited_before_the_pass_is_not_to_blame_for_its_start(tmp_path: Path) -> None:
    builder = TraceBuilder().event("cuda_runtime", "cudaDeviceSynchronize", 990, 999)
    builder.launch(99, 900).kernel(99, 950, 998, "warmup")
    _, found = analyzed(one_pass(builder, 1000), tmp_path)
    assert (found.gaps[0].start_us, found.gaps[0].duration_us, found.gaps[0].cause) == (0, 20, "launches")


def test_the_device_is_not_idle_while_it_computes_something_else(tmp_path: Path) -> None:
    builder = one_pass(TraceBuilder(), 1000)
    builder.launch(98, 900).kernel(98, 990, 1013, "earlier", stream=9)  # before the pass, and into it
    builder.launch(99, 900, tid=2).kernel(99, 1070, 1080, "aside", stream=9)
    report, found = analyzed(builder, tmp_path)
    # 13 of the first 20 µs; of the 50 the first 10, which nothing in the pass ends, and the last 30. A call
    # on the thread that fills a gap is over when this one begins.
    assert [(gap.start_us, gap.duration_us, gap.cause) for gap in found.gaps] == [
        (13, 7, "queued"),  # launched at 12, when it had something to do
        (40, 5, "queued"),
        (60, 10, "queued"),
        (80, 30, "launches"),
    ]
    assert found.gaps[2].module is None
    assert len(found.events.start_us) == 4
    assert report.passes[0].gpu_idle_us == 55


def test_the_pass_is_the_median_one_and_the_lower_of_two(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for number, longer in enumerate((300.0, 0.0, 100.0, 50.0)):
        one_pass(builder, 1000 * (number + 1), number, longer)
    report, found = analyzed(builder, tmp_path)
    assert [one.wall_us for one in report.passes] == [500, 200, 300, 250]
    assert (found.pass_index, found.start_us, found.wall_us) == (3, 3000, 250)
    assert found.events.start_us[0] == 20


def test_backward_events_stand_at_the_module_whose_backward_they_are(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 300).scope(0, "", 0, 100).scope(1, "a", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("aten::mm", 10, 20, sequence=7).launch(1, 12).kernel(1, 30, 40)
    builder.node("MmBackward0", 150, 180, 7, tid=2).launch(2, 160, tid=2).kernel(2, 170, 190)
    builder.launch(3, 200).kernel(3, 210, 215)
    report, found = analyzed(builder, tmp_path)
    assert paths(report, found.events.module) == ["a", "a", None]
    assert [gap.cause for gap in found.gaps] == ["launches"] * 3
    assert paths(report, tuple(gap.module for gap in found.gaps)) == ["a", "a", None]


def test_without_passes_it_is_the_whole_trace(tmp_path: Path) -> None:
    builder = TraceBuilder().op("aten::mm", 0, 10).launch(1, 5).launch(2, 60)
    builder.kernel(1, 50, 70).kernel(2, 75, 80, device=1).kernel(77, 90, 95)
    report, found = analyzed(builder, tmp_path)
    assert (found.pass_index, found.start_us, found.wall_us) == (None, 50, 45)
    assert found.streams == (TimelineStream(0, 7), TimelineStream(1, 7))
    # A device is not idle before its own first event, and nobody knows who launched the last one.
    assert found.gaps == (TimelineGap(20, 20, 0, "queued", None, None),)
    assert report.time.gpu_idle_us == 20


def test_late_launches_without_passes(tmp_path: Path) -> None:
    builder = TraceBuilder().launch(1, 5).launch(2, 100).kernel(1, 50, 70).kernel(2, 110, 120)
    _, found = analyzed(builder, tmp_path)
    assert found.gaps == (TimelineGap(20, 40, 0, "launches", None, None),)


def test_devices_of_two_processes_that_have_one_number(tmp_path: Path) -> None:
    builder = TraceBuilder().launch(1, 5).launch(2, 6, pid=2, tid=2).kernel(1, 10, 20)
    builder.event("kernel", "k", 30, 50, pid=9, tid="s", args={"correlation": 2, "device": 0, "stream": 7})
    _, found = analyzed(builder, tmp_path)
    assert found.streams == (TimelineStream(0, 7), TimelineStream(1, "s"))
    assert found.gaps == ()


def test_a_trace_without_a_gpu_has_none(tmp_path: Path) -> None:
    assert analyze(TraceBuilder().op("aten::mm", 0, 10).write(tmp_path / "t.json")).timeline is None


def test_a_pass_without_gpu_events_is_not_drawn(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.scope("forward", "0", 0, 10).scope("forward", "1", 20, 50).scope("forward", "2", 60, 160)
    builder.scope(0, "", 62, 150).launch(1, 70).kernel(1, 75, 95)
    _, found = analyzed(builder, tmp_path)
    assert (found.pass_index, found.start_us, found.events.start_us) == (2, 60, (15,))


def many(runs: list[tuple[str, int]]) -> TraceBuilder:
    """Kernels of 2 µs every 10, in the order of `runs`: a module and how many of it."""
    builder = TraceBuilder().scope("forward", "0", 0, 100_000).scope(0, "", 0, 100_000)
    builder.metadata["tracekit"] = {"modules": TABLE}
    index = {row["path"]: row["index"] for row in TABLE}
    number = 0
    for path, count in runs:
        start = 10.0 * number + 10
        for outer in ("b", "b.norm") if path == "b.norm" else (path,):
            builder.scope(index[outer], outer, start, start + 10 * count - 1)
        for _ in range(count):
            number += 1
            builder.launch(number, 10 * number + 1)
            builder.kernel(number, 10 * number + 3, 10 * number + (6 if number == 2 else 5), f"k{number}")
    return builder


def test_too_many_events_are_merged_within_their_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_EVENTS", 4)
    report, found = analyzed(many([("a", 4), ("b", 2)]), tmp_path)
    assert paths(report, found.events.module) == ["a", "a", "b"]
    assert found.events.start_us == (13, 33, 53)
    assert found.events.duration_us == (5, 4, 4)
    assert found.events.count == (2, 2, 2)
    assert [found.kernels[one] for one in found.events.kernel] == ["k2", "k3", "k5"]
    assert sum(found.events.duration_us) == report.passes[0].gpu_time_us


def test_then_with_those_of_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_EVENTS", 2)
    report, found = analyzed(many([("a", 1), ("b", 1), ("b.norm", 1), ("b", 1), ("b.norm", 1)]), tmp_path)
    assert paths(report, found.events.module) == ["a", "b"]
    assert found.events.count == (1, 4)
    assert found.events.duration_us == (2, 9)


def test_and_at_last_with_those_of_other_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_EVENTS", 2)
    builder = TraceBuilder().scope("forward", "0", 0, 1000)
    builder.metadata["tracekit"] = {"modules": TABLE}
    for number in range(6):  # every second one outside the model
        start = 100.0 * number
        if number % 2:
            builder.scope(0, "", start, start + 50)
        builder.launch(number, start + 10).kernel(number, start + 20, start + 30 + number)
    report, found = analyzed(builder, tmp_path)
    assert found.events.count == (4, 2)
    assert found.events.duration_us == (10 + 11 + 12 + 13, 14 + 15)
    assert paths(report, found.events.module) == ["", ""]  # where the longest is


def test_the_longest_gaps_are_kept_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_GAPS", 2)
    _, found = analyzed(one_pass(TraceBuilder(), 1000), tmp_path)
    assert [(gap.start_us, gap.duration_us) for gap in found.gaps] == [(0, 20), (75, 35)]
    assert (found.gaps_left_out, found.gaps_left_out_us) == (2, 20)
