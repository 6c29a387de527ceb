"""Mean and spread over passes, by arithmetic on paper and by adding up."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tests.captures import generate
from tracekit.analysis import Report, analyze
from tracekit.analysis.schema import PassStatistics

CORPUS = os.environ.get("TRACEKIT_CORPUS")


def _steps(tmp_path: Path) -> Report:
    """Three training steps: a linear layer (10, 14, 12 µs), its backward (20 each), Adam (3, 4, 5)."""
    trace = TraceBuilder()
    trace.launch(90, 1).kernel(90, 2, 52, "copy_weights")  # before the first pass
    for number, (forward, optimizer) in enumerate(((10, 3), (14, 4), (12, 5))):
        start, first = 100 + 200 * number, 10 * number
        trace.frame("Net_0", start, start + 50)
        trace.frame("Linear_0", start + 10, start + 40)
        trace.op("aten::mm", start + 15, start + 35, sequence=7 + number)
        trace.launch(first, start + 20).kernel(first, start + 22, start + 22 + forward, "gemm")
        trace.op("MmBackward0", start + 60, start + 80, sequence=7 + number, forward_thread=1, tid=9)
        trace.launch(first + 1, start + 65, tid=9).kernel(first + 1, start + 66, start + 86, "gemm_t")
        trace.launch(first + 2, start + 100).kernel(first + 2, start + 101, start + 101 + optimizer, "adam")
    return analyze(trace.write(tmp_path / "t.json"))


def _of(report: Report, table: str, quantity: str, phase: str | None = None) -> PassStatistics:
    (found,) = (
        one for one in report.statistics if (one.table, one.quantity, one.phase) == (table, quantity, phase)
    )
    return found


def test_mean_and_spread_of_modules_and_of_what_is_outside(tmp_path: Path) -> None:
    report = _steps(tmp_path)
    linear = next(row for row, one in enumerate(report.modules) if one.name == "Linear_0")
    forward = _of(report, "modules", "gpu_self")
    # (10 + 14 + 12) ÷ 3; √((4 + 4 + 0) ÷ 2)
    assert forward.passes == 3
    assert dict(zip(forward.row, forward.mean_us, strict=True))[linear] == pytest.approx(12)
    assert forward.std_us is not None
    assert dict(zip(forward.row, forward.std_us, strict=True))[linear] == pytest.approx(2)
    backward = _of(report, "modules", "gpu_backward_self")
    assert dict(zip(backward.row, backward.mean_us, strict=True))[linear] == 20
    outside = _of(report, "outside", "gpu_self")
    assert (outside.row, outside.mean_us, outside.std_us) == ((0,), (4.0,), (1.0,))
    total = _of(report, "passes", "gpu_time")
    # 33, 38, 37: mean 36, √((9 + 4 + 1) ÷ 2); what ran before the first pass is in none.
    assert (total.mean_us, total.std_us) == ((36.0,), (pytest.approx(7**0.5),))


def test_a_row_that_is_not_in_every_pass_is_0_in_the_others(tmp_path: Path) -> None:
    trace = TraceBuilder()
    for number in range(2):
        start = 100 * number
        trace.frame("Net_0", start, start + 50)
        trace.launch(number, start + 10).kernel(number, start + 12, start + 22, "gemm")
    trace.launch(9, 130).kernel(9, 135, 141, "rare")
    report = analyze(trace.write(tmp_path / "t.json"))
    kernels = _of(report, "kernels", "gpu_self")
    rare = next(row for row, one in enumerate(report.kernels) if one.name == "rare")
    at = kernels.row.index(rare)
    assert kernels.std_us is not None
    # 0 and 6: mean 3, √(9 + 9)
    assert (kernels.mean_us[at], kernels.std_us[at]) == (3, pytest.approx(18**0.5))


def test_phases_have_their_own(tmp_path: Path) -> None:
    report = analyze(generate().write(tmp_path / "t.json.gz"))
    decode = _of(report, "passes", "gpu_time", "decode")
    assert (decode.passes, decode.mean_us, decode.std_us) == (3, (32.0,), (2.0,))  # 30, 32, 34
    latency = _of(report, "passes", "latency", "prefill")
    assert (latency.passes, latency.mean_us, latency.std_us) == (3, (450.0,), (50.0,))  # 400, 450, 500
    prefill = _of(report, "passes", "wall", "prefill")
    assert (prefill.passes, prefill.mean_us, prefill.std_us) == (1, (510.0,), None)


def test_kernels_of_modules_and_ops(tmp_path: Path) -> None:
    report = _steps(tmp_path)
    linear = next(row for row, one in enumerate(report.modules) if one.name == "Linear_0")
    mm = next(row for row, one in enumerate(report.ops) if one.name == "aten::mm")

    def used(table: str, wanted: int) -> set[tuple[str, int, float]]:
        use = getattr(report, table)
        rows = zip(use.row, use.kernel, use.calls, use.gpu_time_us, strict=True)
        return {(report.kernels[kernel].name, calls, us) for row, kernel, calls, us in rows if row == wanted}

    assert used("module_kernels", linear) == {("gemm", 3, 36), ("gemm_t", 3, 60)}
    assert used("op_kernels", mm) == {("gemm", 3, 36)}


def test_host_time_of_a_trace_without_gpu(tmp_path: Path) -> None:
    trace = TraceBuilder()
    trace.frame("Net_0", 0, 100)
    trace.op("aten::mm", 10, 60, sequence=5)
    trace.op("MmBackward0", 200, 230, sequence=5, forward_thread=1, tid=9)
    trace.op("aten::mm", 210, 220, tid=9)
    trace.op("Optimizer.step", 300, 307)
    report = analyze(trace.write(tmp_path / "t.json"))
    assert _of(report, "modules", "cpu_self").mean_us == (100.0,)
    assert _of(report, "modules", "cpu_backward_self").mean_us == (30.0,)
    assert _of(report, "outside", "cpu_self").mean_us == (7.0,)
    assert sum(_of(report, "ops", "cpu_self").mean_us) == 50 + 30 + 7


@pytest.mark.skipif(CORPUS is None, reason="TRACEKIT_CORPUS names no folder with traces")
@pytest.mark.parametrize("path", sorted(Path(CORPUS or ".").glob("*.json.gz")), ids=lambda one: one.name[:-8])
def test_tables_add_up_to_the_passes(path: Path) -> None:
    report = analyze(path)
    sums: dict[str, float] = defaultdict(float)
    for one in report.statistics:
        if one.quantity in ("gpu_self", "gpu_backward_self", "gpu_time") and one.table != "left_out":
            sums[one.table] += sum(one.mean_us)
    if not report.accounting.gpu_events:
        assert not any(sums.values())
        return
    total = sums["passes"]
    assert sums["modules"] + sums["outside"] == pytest.approx(total)
    assert sums["kernels"] == pytest.approx(total)
    assert sums["ops"] <= total * (1 + 1e-9)
    # Every GPU event is in one of the passes or is said to be left out.
    everything = sum(sum(one.mean_us) * one.passes for one in report.statistics if one.quantity == "gpu_time")
    assert everything == pytest.approx(report.accounting.gpu_time_us)


def test_what_is_in_no_pass_is_said(tmp_path: Path) -> None:
    left_out = _of(_steps(tmp_path), "left_out", "gpu_time")
    assert (left_out.row, left_out.mean_us) == ((1,), (50.0,))  # the weights that are copied before
