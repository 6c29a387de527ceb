"""Operators held against their like in the same trace, costs that are missing, collectives, late starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.findings.timeline import B, Timeline

# 2 · 4096 · 4096 · 4096 FLOPs at 989.4 TFLOP/s
PRODUCT = [[4096, 4096], [4096, 4096]]
BOUND_US = 2 * 4096**3 / 989.4e6


def products(slow_us: float, fast_us: float) -> Timeline:
    line = Timeline()
    with line.forward():
        for us, dims in ((slow_us, [[4096, 4096], [4096, 8192]]), (fast_us, PRODUCT)):
            for _ in range(4):
                line.op("aten::mm", dims, B, us)
    return line


def test_a_product_that_is_slower_than_its_like(tmp_path: Path) -> None:
    # Of the wide ones four take 2000 µs and reach 28% of the bound; of the others 200 µs and 69 %.
    (found,) = products(1000, 200).findings(tmp_path, "op.behind_its_like")
    reached, like = 2 * BOUND_US / 1000, BOUND_US / 200
    assert found.gain_us == pytest.approx(4 * 1000 * (1 - reached / like))
    assert found.severity == "high"
    assert found.evidence.values["best"] == "aten::mm"


def test_products_of_one_speed(tmp_path: Path) -> None:
    assert not products(420, 200).findings(tmp_path, "op.behind_its_like")


def test_products_of_other_sizes_are_not_compared(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for us, dims in ((20, [[512, 4096], [4096, 1024]]), (200, PRODUCT)):
            for _ in range(40):
                line.op("aten::mm", dims, B, us)
    assert not line.findings(tmp_path, "op.behind_its_like")


def with_unknown(us: float, op: str | None, dims: list[list[int]] | None) -> Timeline:
    """A product of 100 µs, and 10 µs and `us` of kernels that an op, or none, launches."""
    line = Timeline()
    with line.forward(), line.module("mixer", "Mixer"):
        line.op("aten::mm", PRODUCT, B, 100)
        if op is None:
            line.launch(us, "mystery_kernel")
        else:
            line.op(op, dims or [], B, us)
    return line


def test_an_operator_without_a_formula(tmp_path: Path) -> None:
    (found,) = with_unknown(100, "mylib::scan", [[8]]).findings(tmp_path, "costs.unknown")
    assert str(found.evidence).startswith("50% of the GPU time of operators with shapes")
    assert "mylib::scan" in str(found.evidence)


def test_one_that_takes_hardly_any_time(tmp_path: Path) -> None:
    assert not with_unknown(1, "mylib::scan", [[8]]).findings(tmp_path, "costs.unknown")


def test_kernels_that_no_operator_launched(tmp_path: Path) -> None:
    (found,) = with_unknown(100, None, None).findings(tmp_path, "costs.hidden")
    assert str(found.evidence).startswith("50% of the GPU time")
    assert "mystery_kernel" in str(found.evidence)
    assert not with_unknown(5, None, None).findings(tmp_path, "costs.hidden")


def test_attention_of_unknown_lengths(tmp_path: Path) -> None:
    dims = [[8192, 64, 64], [8192, 8, 64], [8192, 8, 64], [8192, 64, 64]]
    line = Timeline()
    with line.forward():
        line.op("vllm::unified_attention_with_output", dims, B, 50)
    (found,) = line.findings(tmp_path, "flops.unknown_lengths")
    assert "0.05 ms" in str(found.evidence)
    line = Timeline()
    with line.forward():
        line.op("aten::_scaled_dot_product_flash_attention", [[2, 8, 64, 64]] * 3, B, 50)
    assert not line.findings(tmp_path, "flops.unknown_lengths")


def test_data_in_a_cache_beats_the_memory(tmp_path: Path) -> None:
    """16 MB are written and as many read in 5 µs, for which memory takes 10."""
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [[2048, 4096]], B, 5)
    (found,) = line.findings(tmp_path, "bound.beaten")
    assert found.evidence.values["share"] == f"{2 * 2 * 2048 * 4096 / 3350e3 / 5 * 100:.0f}"
    assert not line.findings(tmp_path, "bound.peak_exceeded")


def test_nothing_beats_the_peak_of_the_right_device(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::mm", PRODUCT, B, BOUND_US / 2)
    assert line.findings(tmp_path, "bound.peak_exceeded")
    assert not line.findings(tmp_path, "bound.beaten")


def test_a_causal_kernel_need_not_compute_what_the_mask_hides(tmp_path: Path) -> None:
    """4 · 16 · 8192² · 128 FLOPs are 556 µs at the peak; a causal kernel can do with half."""
    q = [1, 16, 8192, 128]
    line = Timeline()
    with line.forward():
        values = ["", "", "", "0.", "True", "False", ""]
        line.op("aten::_scaled_dot_product_flash_attention", [q, q, q, [], [], [], []], B, 400, values)
    assert not line.findings(tmp_path, "bound.peak_exceeded")


def collectives(beside: bool) -> Timeline:
    """100 µs of computation and 100 of a collective, one beside the other or one after the other."""
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [[4096, 4096]], B, 100)
        start = line.gpu_free - (100 if beside else 0)
        line.builder.launch(99, line.now).kernel(99, start, start + 100, "ncclDevKernel_AllReduce", stream=8)
        line.gpu_free = start + 100
    return line


def test_collectives_that_nothing_hides(tmp_path: Path) -> None:
    (found,) = collectives(beside=False).findings(tmp_path, "network.time")
    assert found.gain_us == pytest.approx(100)
    assert str(found.evidence).startswith("collectives take 50% of the GPU time (0.1 ms")


def test_collectives_beside_computation_win_nothing(tmp_path: Path) -> None:
    (found,) = collectives(beside=True).findings(tmp_path, "network.time")
    assert found.gain_us == 0
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [[4096, 4096]], B, 100)
    assert not line.findings(tmp_path, "network.time")


@pytest.mark.parametrize(("before_us", "is_late"), [(5000, True), (1, False)])
def test_passes_that_are_queued_behind_others(tmp_path: Path, before_us: float, is_late: bool) -> None:
    line = Timeline()
    line.launch(before_us)
    for number in range(3):
        start = line.now
        with line.forward(number):
            line.op("aten::relu", [[4096, 4096]], B, 5)
        line.now = start + 20  # nobody waits for the end of a pass
    found = line.findings(tmp_path, "pass.late_start")
    assert bool(found) == is_late
    assert all(one.gain_us is None for one in found)


def test_an_empty_queue_at_the_start_is_a_note(tmp_path: Path) -> None:
    """Kernels of 5 µs that the host launches every 20, then long ones: the queue is never empty again."""
    line = Timeline()
    with line.forward():
        for _ in range(5):
            line.now += 20
            line.op("aten::relu", [[100, 100]], B, 5)
        for _ in range(5):
            line.op("aten::mm", PRODUCT, B, 500)
    (found,) = line.findings(tmp_path, "gpu.idle")
    assert found.severity == "note"
    assert "at the start" in str(found.advice)
