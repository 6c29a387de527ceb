"""Slices beside the kernels: whose events they hold, how they nest, and the FLOPs that they add up to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builder import TraceBuilder
from tracekit.analysis import Lanes, Report, analyze_lanes
from tracekit.analysis.lanes import CAUSES, Calls

TABLE = [
    {"index": 0, "path": "", "type": "Net"},
    {"index": 1, "path": "layers.0", "type": "Layer"},
    {"index": 2, "path": "layers.0.mlp", "type": "MLP"},
    {"index": 3, "path": "layers.1", "type": "Layer"},
    {"index": 4, "path": "layers.1.mlp", "type": "MLP"},
]
F = "float"


def lanes_of(builder: TraceBuilder, tmp_path: Path) -> tuple[Report, Lanes]:
    return analyze_lanes(builder.write(tmp_path / "t.json"))


def shown(report: Report, calls: Calls) -> list[tuple[str, float, float, int]]:
    """Path, start and end in µs, and events of each slice; "'" behind the path of a backward one."""
    return [
        (report.modules[module].path + ("'" if backward else ""), start / 1000, end / 1000, events)
        for module, backward, start, end, events in zip(
            *(getattr(calls, name).tolist() for name in ("module", "backward", "start", "end", "events")),
            strict=True,
        )
    ]


def model(at: float = 0.0, number: int = 0) -> TraceBuilder:
    """A pass of two layers with an MLP each; each layer launches a kernel before its MLP's two and one after.

    Kernels of 10 µs follow each other from 50 µs on, with a gap of 5 µs before the second layer's.
    """
    builder = TraceBuilder()
    return add_pass(builder, at, number)


def add_pass(builder: TraceBuilder, at: float, number: int) -> TraceBuilder:
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.scope("forward", str(number), at, at + 100).scope(0, "", at, at + 100)
    gpu, correlation = at + 50, 100 * number
    for layer in (0, 1):
        start = at + 10 + 40 * layer
        builder.scope(1 + 2 * layer, f"layers.{layer}", start, start + 30)
        builder.scope(2 + 2 * layer, f"layers.{layer}.mlp", start + 10, start + 20)
        gpu += 5 * layer
        for offset in (2, 12, 14, 22):
            correlation += 1
            builder.launch(correlation, start + offset).kernel(correlation, gpu, gpu + 10)
            gpu += 10
    return builder


def test_calls_nest_and_last_from_their_first_event_to_their_last(tmp_path: Path) -> None:
    report, lanes = lanes_of(model(), tmp_path)
    assert shown(report, lanes.modules) == [
        ("", 50, 135, 8),
        ("layers.0", 50, 90, 4),
        ("layers.0.mlp", 60, 80, 2),
        ("layers.1", 95, 135, 4),
        ("layers.1.mlp", 105, 125, 2),
    ]
    assert lanes.modules.gpu_time.tolist() == [80_000, 40_000, 20_000, 40_000, 20_000]
    assert shown(report, lanes.blocks) == [("layers.0", 50, 90, 4), ("layers.1", 95, 135, 4)]
    assert lanes.modules.stream.tolist() == [0] * 5


def test_a_call_is_cut_where_events_of_others_run_in_between(tmp_path: Path) -> None:
    builder = model()
    builder.launch(90, 200).kernel(90, 75, 75)  # outside modules, of no duration, in the MLP's second one
    report, lanes = lanes_of(builder, tmp_path)
    assert shown(report, lanes.modules)[:5] == [
        ("", 50, 75, 3),
        ("layers.0", 50, 75, 3),
        ("layers.0.mlp", 60, 75, 2),
        ("", 80, 135, 5),
        ("layers.0", 80, 90, 1),
    ]


def test_events_that_overlap_on_a_stream_leave_slices_that_do_not(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(1, "layers.0", 0, 10).scope(3, "layers.1", 20, 30)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.launch(1, 1).launch(2, 21).kernel(1, 40, 70).kernel(2, 60, 80)
    report, lanes = lanes_of(builder, tmp_path)
    assert shown(report, lanes.modules) == [("layers.0", 40, 60, 1), ("layers.1", 60, 80, 1)]
    assert lanes.modules.gpu_time.tolist() == [30_000, 20_000]


def test_streams_have_lanes_of_their_own(tmp_path: Path) -> None:
    builder = model()
    builder.launch(90, 13.5).kernel(90, 65, 130, stream=8)  # of the first layer
    report, lanes = lanes_of(builder, tmp_path)
    assert [(stream.device, stream.name) for stream in lanes.streams] == [(0, 7), (0, 8)]
    on_second = [
        row
        for row, stream in zip(shown(report, lanes.modules), lanes.modules.stream, strict=True)
        if stream == 1
    ]
    assert on_second == [("", 65, 130, 1), ("layers.0", 65, 130, 1)]


def test_calls_of_one_module_are_slices_of_their_own(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100)
    builder.metadata["tracekit"] = {"modules": TABLE}
    for call in (0, 1):
        builder.scope(1, "layers.0", 10 + 20 * call, 20 + 20 * call)
        builder.launch(call, 12 + 20 * call).kernel(call, 200 + 10 * call, 210 + 10 * call)
    report, lanes = lanes_of(builder, tmp_path)
    assert shown(report, lanes.modules)[1:] == [("layers.0", 200, 210, 1), ("layers.0", 210, 220, 1)]


def test_backward_stands_below_the_backward_of_what_is_around(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100).scope(1, "layers.0", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("aten::mm", 10, 20, sequence=7).launch(1, 12).kernel(1, 30, 40)
    builder.node("MmBackward0", 150, 180, 7, tid=2).launch(2, 160, tid=2).kernel(2, 170, 190)
    report, lanes = lanes_of(builder, tmp_path)
    assert shown(report, lanes.modules) == [
        ("", 30, 40, 1),
        ("layers.0", 30, 40, 1),
        ("'", 170, 190, 1),
        ("layers.0'", 170, 190, 1),
    ]


def test_what_is_run_again_stands_in_the_backward_of_who_checkpoints(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100).scope(1, "layers.0", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("CheckpointFunction", 2, 60, sequence=3).op("aten::mm", 10, 20)
    builder.launch(1, 12).kernel(1, 30, 40)
    builder.node("CheckpointFunctionBackward", 150, 250, 3, tid=2)
    builder.scope(1, "layers.0", 160, 190, tid=2).op("aten::mm", 165, 180, sequence=4, tid=2)
    builder.launch(2, 170, tid=2).kernel(2, 172, 180)
    builder.node("MmBackward0", 200, 240, 4, forward_thread=2, tid=2)
    builder.launch(3, 210, tid=2).kernel(3, 215, 225)
    report, lanes = lanes_of(builder, tmp_path)
    assert shown(report, lanes.modules) == [
        ("", 30, 40, 1),
        ("layers.0", 30, 40, 1),
        ("'", 172, 225, 2),
        ("layers.0", 172, 180, 1),
        ("layers.0'", 215, 225, 1),
    ]


def test_passes_on_the_device_until_the_next_one_starts_there(tmp_path: Path) -> None:
    builder = add_pass(model(), 300, 1)
    builder.launch(50, 99, 100).kernel(50, 340, 360, stream=8)  # the first pass ends in the second one
    _, lanes = lanes_of(builder, tmp_path)
    assert lanes.passes.number.tolist() == [0, 1]
    assert lanes.passes.start.tolist() == [50_000, 350_000]
    assert lanes.passes.end.tolist() == [350_000, 435_000]


def test_idle_time_and_whom_it_waits_for(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 1000).scope(1, "layers.0", 10, 60).scope(3, "layers.1", 100, 200)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.launch(1, 12).launch(2, 15).kernel(1, 20, 40).kernel(2, 45, 60)
    builder.event("cuda_runtime", "cudaStreamSynchronize", 50, 62, tid=1)
    builder.launch(3, 150).kernel(3, 155, 165)
    builder.launch(4, 1100).kernel(4, 1110, 1120)
    report, lanes = lanes_of(builder, tmp_path)
    idle = lanes.idle
    rows = [
        (start / 1000, end / 1000, CAUSES[cause], None if module < 0 else report.modules[module].path)
        for start, end, cause, module in zip(
            idle.start.tolist(), idle.end.tolist(), idle.cause.tolist(), idle.module.tolist(), strict=True
        )
    ]
    assert rows == [
        (40, 45, "queued", "layers.0"),
        (60, 72, "synchronisation", ""),  # called by the model's own code, at 50 to 62
        (72, 155, "launches", "layers.1"),
        (165, 1110, "launches", None),
    ]
    assert [lanes.names[call] if call >= 0 else None for call in idle.call.tolist()] == [
        None,
        "cudaStreamSynchronize",
        None,
        None,
    ]


def test_flops_of_an_op_are_spread_over_the_events_that_it_launched(tmp_path: Path) -> None:
    # 2 · 100 · 200 · 300 = 12,000,000 in 10 + 30 µs, of which the first 10 in the MLP's own scope.
    builder = TraceBuilder().scope(0, "", 0, 100).scope(1, "layers.0", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("aten::mm", 10, 40, [[100, 200], [200, 300]], [F, F]).op("inner", 15, 30)
    builder.launch(1, 20).launch(2, 35).kernel(1, 100, 110).kernel(2, 120, 150, stream=8)
    # 2 · 10 · 10 · 10 = 2,000 in 20 µs beside the second of them, outside all modules
    builder.op("aten::mm", 200, 220, [[10, 10], [10, 10]], [F, F]).launch(3, 205).kernel(3, 140, 160)
    _, lanes = lanes_of(builder, tmp_path)
    (rate,) = lanes.rates
    assert rate.time.tolist() == [100_000, 110_000, 120_000, 140_000, 150_000, 160_000]
    large, little = 12e6 / 40e-6 / 1e12, 2000 / 20e-6 / 1e12
    assert rate.tflops.tolist() == pytest.approx([large, 0, large, large + little, little, 0])
    assert rate.tflops[[1, 5]].tolist() == [0, 0]
    assert lanes.modules.matrix.tolist() == [3e6, 3e6, 9e6, 9e6]  # by stream
    assert lanes.modules.tflops.tolist() == pytest.approx([large] * 4)


def test_flops_of_events_without_duration_are_in_slices_only(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(1, "layers.0", 0, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("aten::mm", 10, 40, [[10, 10], [10, 10]], [F, F])
    builder.launch(1, 20).launch(2, 35).kernel(1, 100, 100).kernel(2, 120, 120)
    _, lanes = lanes_of(builder, tmp_path)
    assert lanes.rates == []
    assert lanes.modules.matrix.tolist() == [2000]
    assert np.isnan(lanes.modules.tflops[0])


def test_a_trace_without_modules_has_idle_time(tmp_path: Path) -> None:
    _, lanes = lanes_of(TraceBuilder().launch(1, 0).kernel(1, 5, 9).kernel(2, 11, 12), tmp_path)
    assert (len(lanes.passes), len(lanes.blocks), len(lanes.modules), len(lanes.idle)) == (0, 0, 0, 1)
    assert not lanes.knows_flops


def test_a_trace_without_a_gpu_has_nothing(tmp_path: Path) -> None:
    _, lanes = lanes_of(TraceBuilder().scope(0, "", 0, 9).op("aten::mm", 1, 2), tmp_path)
    assert (lanes.devices, lanes.streams, lanes.rates) == ([], [], [])
    assert (len(lanes.passes), len(lanes.blocks), len(lanes.modules), len(lanes.idle)) == (0, 0, 0, 0)
