"""The numbers of real traces, as an independent brute-force reference found them."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tracekit.analysis import Report, analyze

CORPUS = os.environ.get("TRACEKIT_CORPUS")
EXPECTED: dict[str, Any] = json.loads((Path(CORPUS) / "expected.json").read_text()) if CORPUS else {}

pytestmark = pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS names no folder of real traces")
every_trace = pytest.mark.parametrize("name", EXPECTED or ["none"])


@cache
def report_of(name: str) -> Report:
    return analyze(Path(CORPUS or "") / name)


def close(value: float) -> Any:
    return pytest.approx(value, abs=0.01, rel=1e-6)


@every_trace
def test_accounting_adds_up_and_equals_the_reference(name: str) -> None:
    accounting, expected = report_of(name).accounting, EXPECTED[name]
    parts = {
        "modules_forward": [accounting.modules_forward],
        "outside_modules": [accounting.outside_modules, accounting.modules_backward],
        "launched_before_trace": [accounting.launched_before_trace],
    }
    for part, shares in parts.items():
        assert sum(share.events for share in shares) == expected["accounting"][part]["events"]
        assert sum(share.us for share in shares) == close(expected["accounting"][part]["us"])
    assert accounting.gpu_events == expected["gpu_events"]
    assert accounting.gpu_events == sum(share.events for shares in parts.values() for share in shares)
    assert accounting.gpu_time_us == close(sum(share.us for shares in parts.values() for share in shares))


@every_trace
def test_nothing_that_keeps_its_bound_stands_above_the_roof(name: str) -> None:
    report = report_of(name)
    highest = max((roof.tflops for roof in report.flops.roofs), default=0.0)
    for row in (*report.ops, *report.modules, *report.types):
        if row.roofline_tflops is None or row.roofline_intensity is None or row.beats_bound:
            continue
        roof = min(highest, row.roofline_intensity * (report.device.bandwidth_gbs or 0.0) / 1000)
        assert row.roofline_tflops <= roof * (1 + 1e-9)


# GPU events and µs of each backward, and of modules in it with their children, as a loop over the JSON that
# knows arrows alone, or sequence numbers alone, finds them. The other traces have no modules or no backward.
BACKWARD: dict[str, tuple[int, float, dict[str, tuple[int, float]]]] = {
    "mi300x_norm_layers_fwd_bwd.json.gz": (
        70,
        478.928,
        {
            "Net_0": (64, 456.138),  # without the loss
            "MSELoss_0": (6, 22.790),
            "LayerNorm_0": (6, 97.820),  # three steps, with a kernel for the gradients of weight and bias …
            "LayerNorm_1": (3, 73.627),  # … and without, as it has none
            "BatchNorm2d_1": (3, 34.048),
            "GroupNorm_0": (15, 58.271),
        },
    ),
    "mi300x_resnet_ddp_checkpoint_train.json.gz": (
        828,
        9062.755,
        {
            "DistributedDataParallel_0": (828, 9062.755),
            "Sequential_5": (204, 1567.827),  # checkpointed: its forward runs again within the backward
            "MaxPool2d_0": (6, 246.153),
            "Linear_0": (9, 68.431),
        },
    ),
}


@every_trace
def test_backward_of_modules(name: str) -> None:
    report = report_of(name)
    events, us, modules = BACKWARD.get(name, (0, 0.0, {}))
    share = report.accounting.modules_backward
    assert (share.events, share.us) == (events, close(us))
    rows = {row.name: row for row in report.modules}
    found = {module: (rows[module].backward_kernels, rows[module].gpu_backward_time_us) for module in modules}
    assert found == {module: (kernels, close(time)) for module, (kernels, time) in modules.items()}
    by_kind = {row.kind: row.gpu_self_time_us for row in report.types}
    assert by_kind.get("modules_backward", 0.0) == close(us)
    for rows_of_backward in (report.modules, [row for row in report.types if row.kind == "modules"]):
        assert sum(row.gpu_backward_self_time_us or 0.0 for row in rows_of_backward) == close(us)
    assert all((row.gpu_backward_time_us is None) == (name not in BACKWARD) for row in report.modules)


@every_trace
def test_gpu_time_busy_and_span(name: str) -> None:
    time, expected = report_of(name).time, EXPECTED[name]
    assert time.gpu_time_us == close(expected["gpu_time_us"])
    assert time.gpu_busy_us == close(expected["gpu_busy_us"])
    assert time.gpu_span_us == close(expected["gpu_span_us"])
    assert time.gpu_busy_us + time.gpu_idle_us == close(time.gpu_span_us)


@every_trace
def test_gpu_time_of_every_module(name: str) -> None:
    found = {row.name: row.gpu_time_us for row in report_of(name).modules if row.gpu_time_us}
    assert found == {module: close(us) for module, us in EXPECTED[name]["modules_gpu_time_us"].items()}


@every_trace
def test_matrix_flops_by_op(name: str) -> None:
    report, expected = report_of(name), EXPECTED[name]
    assert (report.flops.matrix is None) == (expected["matrix_flops"] is None)
    found: Counter[str] = Counter()
    for row in report.ops:
        found[row.name] += row.matrix_flops or 0
    known = expected["matrix_flops_by_op"]
    assert {op: found[op] for op in known} == known
    assert sum(found.values()) == (report.flops.matrix or 0)


@every_trace
def test_parts_are_no_larger_than_the_whole(name: str) -> None:
    report = report_of(name)
    total = report.time.gpu_time_us
    assert sum(row.gpu_self_time_us for row in report.types) == close(total)
    assert sum(row.gpu_time_us for row in report.kernels) == close(total)
    assert sum(row.kernels for row in report.types if row.kind != "modules") <= report.accounting.gpu_events
    assert all(row.gpu_self_time_us <= row.gpu_time_us + 0.01 for row in report.modules)
    for row in report.passes:
        assert row.gpu_busy_us <= row.gpu_time_us + 0.01
        assert row.gpu_time_us <= total + 0.01
    peaks = report.device.peaks
    for op in report.ops:
        if peaks and op.tflops:
            assert op.tflops <= max(peaks.values())
    assert report.flops.peak_share is None or report.flops.peak_share <= 1


def test_cpu_only_trace_says_so() -> None:
    report = report_of("cpu_only_train.json.gz")
    assert report.device.kind == "cpu"
    assert any(finding.id == "trace.no_gpu" for finding in report.findings)
    assert all(row.gpu_time_us == 0 for row in report.ops)
    assert sum(row.cpu_time_us for row in report.ops) > 0


def test_gpu_only_trace_has_kernels_and_says_why_there_are_no_modules() -> None:
    report = report_of("mi210_gpu_only.json.gz")
    assert sum(row.calls for row in report.kernels) == 562
    assert report.modules == ()
    assert any(finding.id == "trace.no_modules" for finding in report.findings)


@pytest.mark.parametrize(
    ("name", "passes", "blocks"),
    [
        ("h100_bert_small.json.gz", 1, [("transformer", 4)]),
        ("h100_qwen1.5_0.5b.json.gz", 1, [("transformer", 24)]),
        ("h100_vit_base.json.gz", 1, [("transformer", 12)]),
        ("mi300x_sglang_qwen3_8b_prefill.json.gz", 1, [("transformer", 36)]),
        ("mi300x_norm_layers_fwd_bwd.json.gz", 3, []),
        ("mi300x_resnet_ddp_checkpoint_train.json.gz", 3, [("convolution", 8)]),
    ],
)
def test_passes_and_blocks(name: str, passes: int, blocks: list[tuple[str, int]]) -> None:
    report = report_of(name)
    assert report.time.passes == passes
    assert Counter(row.kind for row in report.blocks) == dict(blocks)


@every_trace
def test_nothing_is_faster_than_the_device_unless_the_report_says_so(name: str) -> None:
    report = report_of(name)
    peak = max((report.device.peaks or {}).values(), default=float("inf"))
    bandwidth = report.device.bandwidth_gbs or float("inf")
    rows = [*report.ops, *report.modules, *report.types, *report.blocks]
    rows += [part for block in report.blocks for part in block.parts]
    said = {finding.id for finding in report.findings}
    for row in rows:
        assert (getattr(row, "tflops", None) or 0) < peak
        if row.beats_bound:
            assert row.bound_share is not None
            assert "bound.beaten" in said or row.bound_share < 1.02
        else:
            assert (row.gbs or 0) <= bandwidth
            assert (row.bound_share or 0) <= 1
        assert (row.headroom_us or 0) >= 0


@every_trace
def test_nearly_all_time_of_ops_with_shapes_has_a_cost(name: str) -> None:
    report = report_of(name)
    covered = report.flops.covered_gpu_time_share
    assert covered is None or covered >= 0.98
    # What has no cost is listed, so that nothing is lost: with what has one it is all of the GPU time.
    costed = sum(row.gpu_self_time_us for row in report.ops) - sum(
        row.gpu_time_us for row in report.uncosted if row.op is not None
    )
    uncosted = sum(row.gpu_time_us for row in report.uncosted)
    assert costed >= -0.01
    assert costed + uncosted == close(report.accounting.gpu_time_us)


@every_trace
def test_timeline_holds_every_event_of_its_pass_and_all_of_its_idle_time(name: str) -> None:
    report = report_of(name)
    found = report.timeline
    assert (found is None) == (report.accounting.gpu_events == 0)
    if found is None:
        return
    chosen = None if found.pass_index is None else report.passes[found.pass_index]
    assert sum(found.events.count) == (chosen.kernels if chosen else report.accounting.gpu_events)
    assert sum(found.events.duration_us) == close(chosen.gpu_time_us if chosen else report.time.gpu_time_us)
    first = min(found.events.start_us)
    assert len({stream.device for stream in found.streams}) == 1
    idle = sum(gap.duration_us for gap in found.gaps if gap.start_us >= first) + found.gaps_left_out_us
    # µs of events of no pass, or another one, in the gaps between the pass's own; as a loop over all finds.
    aside = {
        "mi300x_norm_layers_fwd_bwd.json.gz": 4.365,
        "mi300x_sglang_qwen3_8b_prefill.json.gz": 5.527,
        "mi300x_vllm_gpt_oss_piecewise.json.gz": 5.438,
    }
    own = chosen.gpu_idle_us if chosen else report.time.gpu_idle_us
    assert idle + (aside.get(name, 0.0) if chosen else 0.0) == close(own)
