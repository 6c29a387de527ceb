"""Gaps on the GPU: whose they are, and that no µs is told twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.findings.timeline import B, Timeline


def slow_host() -> Timeline:
    """Two passes of ten kernels each, the host late before each but the first."""
    line = Timeline()
    for number in range(2):
        with line.forward(number):
            for layer in range(10):
                with line.module(f"layers.{layer}", "Layer"):
                    if layer:
                        line.now += 50
                    line.op("aten::relu", [[1000, 1000]], B, gpu_us=5)
                line.now += 13
    return line


def test_idle_for_want_of_launches_names_whose_code_ran(tmp_path: Path) -> None:
    (found,) = slow_host().findings(tmp_path, "gpu.idle")
    # From launch to launch 50 in a layer, 13 in the root, 5 an op, 2 into and out of a scope; for 5 of these
    # 70 µs a kernel runs. Nine times.
    assert found.gain_us == pytest.approx(9 * 65)
    assert found.severity == "high"
    # A kernel ends 2 µs after its layer, so of the gap 11 µs are the root's and 54 the next layer's.
    assert str(found.evidence).endswith("the CPU is then in code of layers.* (83%), Root (17%)")


def test_a_gpu_that_is_kept_busy_is_not_idle(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for _ in range(10):
            line.op("aten::relu", [[1000, 1000]], B, gpu_us=50)
    assert not line.findings(tmp_path, "gpu.idle")


def test_a_queued_kernel_that_waits_for_something_else_is_not_the_hosts(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for _ in range(10):
            line.op("aten::relu", [[1000, 1000]], B, gpu_us=50)
            line.gpu_free += 50  # another stream, say: the next one is queued long before
    assert not line.findings(tmp_path, "gpu.idle")


def test_idle_that_only_the_profiler_makes_is_not_told(tmp_path: Path) -> None:
    line = slow_host()
    line.builder.metadata["tracekit"]["latencies_us"] = [51.0, 50.0, 52.0]  # as long as the kernels take
    assert not line.findings(tmp_path, "gpu.idle")


def test_a_wait_within_a_pass_costs_what_the_gpu_idles_after_it(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for _ in range(5):
            line.op("aten::relu", [[1000, 1000]], B, gpu_us=100)
        with line.module("router", "Router"):
            line.wait()
            line.now += 40
            line.op("aten::relu", [[1000, 1000]], B, gpu_us=100)
    line.wait("cudaDeviceSynchronize", None)
    report = line.findings(tmp_path, "gpu.synchronisation")
    (found,) = report
    # The kernel before ends, the call returns 1 µs later, the op 1 and the next 1 after that; 40 µs of work,
    # and the next kernel starts 3 µs into its op.
    assert found.gain_us == pytest.approx(1 + 2 + 40 + 3)
    assert found.module == "router"
    assert "aten::item" in str(found.evidence)
    assert "cudaStreamSynchronize" in str(found.evidence)
    assert not line.findings(tmp_path, "gpu.idle")  # the same µs


def test_of_the_gap_after_a_short_wait_most_is_not_its_fault(tmp_path: Path) -> None:
    line = slow_host()
    with line.forward(2):
        line.op("aten::relu", [[1000, 1000]], B, gpu_us=3)
        line.now += 20  # the GPU is long idle when the host asks
        line.wait()
        line.now += 500
        line.op("aten::relu", [[1000, 1000]], B, gpu_us=3)
    (found,) = line.findings(tmp_path, "gpu.synchronisation")
    assert found.severity == "note"
    assert found.gain_us is None


def test_who_waits_around_passes_measures(tmp_path: Path) -> None:
    line = Timeline()
    line.wait("cudaDeviceSynchronize", None)
    with line.forward():
        line.op("aten::relu", [[1000, 1000]], B).op("aten::relu", [[1000, 1000]], B)
    line.wait("cudaDeviceSynchronize", None)
    line.wait("cudaStreamSynchronize", "aten::item")  # a loss that is printed
    assert not line.findings(tmp_path, "gpu.synchronisation")


def test_a_wait_of_a_pass_that_no_module_and_no_op_makes_is_of_who_measures(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [[1000, 1000]], B).op("aten::relu", [[1000, 1000]], B)
    start = line.builder.events[-1]["ts"]  # of the scope around the pass, 1 µs before the model
    line.builder.event("cuda_runtime", "cudaDeviceSynchronize", start + 0.2, start + 0.8)
    assert not line.findings(tmp_path, "gpu.synchronisation")


def test_a_copy_that_seems_to_end_after_the_call_that_waited_for_it(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [[1000, 1000]], B, gpu_us=300)
        line.wait("hipMemcpyWithStream")
        call = line.builder.events[-2]
        call["dur"] -= 3  # it returns 2 µs before the kernel ends
        line.op("aten::relu", [[1000, 1000]], B, gpu_us=10)
    (found,) = line.findings(tmp_path, "gpu.synchronisation")
    assert found.gain_us == pytest.approx(1 + 2 + 3)  # as it would be with equal clocks


def test_a_pass_that_sticks_out_is_not_what_a_pass_idles(tmp_path: Path) -> None:
    line = Timeline()
    for number in range(4):
        with line.forward(number):
            for _ in range(3):
                line.now += 900 if number == 0 else 0
                line.op("aten::relu", [[1000, 1000]], B, gpu_us=50)
    assert not line.findings(tmp_path, "gpu.idle")
