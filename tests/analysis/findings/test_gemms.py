"""Products in the wrong type, of the wrong size, or too small; peaks are those of an H100's datasheet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.findings.timeline import B, F, Timeline

SQUARE = [[4096, 4096], [4096, 4096]]


def of_one_product(types: str, gpu_us: float, kernel: str, device: str = "NVIDIA H100 80GB HBM3") -> Timeline:
    line = Timeline(device)
    with line.forward(), line.module("proj", "Linear"):
        line.op("aten::mm", SQUARE, types, gpu_us, kernel=kernel)
    return line


def test_fp32_products_without_tensor_cores(tmp_path: Path) -> None:
    (found,) = of_one_product(F, 2500, "ampere_sgemm_128x64_nn").findings(tmp_path, "gemm.fp32")
    # 494.7 TFLOP/s of TF32 beside 66.9: what is left of the time is that share of it.
    assert found.gain_us == pytest.approx(2500 * (1 - 66.9 / 494.7))
    assert (found.severity, found.module) == ("high", "proj")


def test_the_gain_of_tf32_leaves_what_tf32_takes(tmp_path: Path) -> None:
    (found,) = of_one_product(F, 300, "simt_sgemm").findings(tmp_path, "gemm.fp32")  # faster than fp32 can
    assert found.gain_us == pytest.approx(300 - 2 * 4096**3 / 494.7e6)


def test_kernels_of_amd_do_not_say_what_they_round_to(tmp_path: Path) -> None:
    line = of_one_product(F, 2500, "Cijk_Ailk_Bljk_SB", "AMD Instinct MI300X")  # which knows TF32
    for event in line.builder.events:
        event["name"] = event["name"].replace("cudaLaunchKernel", "hipLaunchKernel")
    line.builder.metadata["deviceProperties"][0]["totalGlobalMem"] = 206141652992
    assert not line.findings(tmp_path, "gemm.fp32")


@pytest.mark.parametrize(
    ("types", "kernel"),
    [(F, "sm80_xmma_gemm_f32f32_tf32f32_f32_tn"), (F, "cutlass_80_tensorop_s1688gemm"), (B, "ampere_bf16")],
)
def test_products_that_use_tensor_cores(tmp_path: Path, types: str, kernel: str) -> None:
    assert not of_one_product(types, 2500, kernel).findings(tmp_path, "gemm.fp32")


def test_a_device_that_knows_no_tf32(tmp_path: Path) -> None:
    line = of_one_product(F, 2500, "Cijk_Ailk_Bljk_SB", "AMD Instinct MI250X")
    assert not line.findings(tmp_path, "gemm.fp32")


def test_fp32_products_that_take_no_time(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::bmm", [[1, 32, 1], [1, 1, 512]], F, 4).op("aten::mm", SQUARE, B, 1000)
    assert not line.findings(tmp_path, "gemm.fp32")


def products(*sizes: tuple[int, int, int, float], kernel: str = "gemm") -> Timeline:
    line = Timeline()
    with line.forward():
        for m, n, k, gpu_us in sizes:
            with line.module(f"proj_{m}_{n}_{k}", "Linear"):
                line.op("aten::mm", [[m, k], [k, n]], B, gpu_us, kernel=kernel)
    return line


def test_products_of_odd_sizes_are_slower_than_even_ones(tmp_path: Path) -> None:
    line = products((4096, 4096, 1024, 50), (4096, 4095, 1024, 100))
    (found,) = line.findings(tmp_path, "gemm.misaligned")
    assert found.gain_us == pytest.approx(100 - 50 * 4095 / 4096)
    assert found.module == "proj_4096_4095_1024"


@pytest.mark.parametrize("size", [(4095, 4096, 1024, 100), (4096, 4104, 1024, 100), (4096, 4095, 1024, 50)])
def test_even_products_and_odd_ones_that_are_as_fast(
    tmp_path: Path, size: tuple[int, int, int, float]
) -> None:
    assert not products((4096, 4096, 1024, 50), size).findings(tmp_path, "gemm.misaligned")


def test_odd_products_with_none_to_compare(tmp_path: Path) -> None:
    line = products((128, 128, 128, 5), (4096, 4096, 1023, 100), kernel="cutlass_bf16_s16816gemm_tn_align1")
    (found,) = line.findings(tmp_path, "gemm.misaligned")
    assert (found.gain_us, found.severity) == (None, "low")
    assert "align1" in str(found.evidence)


def qkv(layers: int, gpu_us: float = 6, between: bool = False) -> Timeline:
    line = Timeline()
    with line.forward():
        for layer in range(layers):
            with line.module(f"layers.{layer}.attn", "Attention"):
                for name, width in (("q", 512), ("k", 128), ("v", 128)):
                    with line.module(f"layers.{layer}.attn.{name}", "Linear"):
                        line.op("aten::mm", [[64, 512], [512, width]], B, gpu_us)
                    if between:
                        line.op("aten::relu", [[64, 512]], B, 2)
    return line


def test_small_products_of_one_input_would_be_one(tmp_path: Path) -> None:
    found = qkv(4).findings(tmp_path, "gemm.tiny")
    # Three of 6 µs each become one that takes no less than 6.
    assert sum(one.gain_us or 0 for one in found) == pytest.approx(4 * 12)
    assert {one.module for one in found} == {"layers.*.attn"}


@pytest.mark.parametrize("line", [qkv(2), qkv(4, gpu_us=12), qkv(4, between=True)])
def test_few_products_long_ones_and_those_that_may_depend_on_each_other(
    tmp_path: Path, line: Timeline
) -> None:
    assert not line.findings(tmp_path, "gemm.tiny")


def test_experts_one_after_the_other_would_be_one_product(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward(), line.module("moe", "MoE"):
        for expert in range(8):
            with line.module(f"moe.experts.{expert}", "MLP"):
                for name, size in (("up", (512, 1024)), ("down", (1024, 512))):
                    with line.module(f"moe.experts.{expert}.{name}", "Linear"):
                        line.op("aten::mm", [[16 + expert, size[0]], list(size)], B, 6)
                    line.op("aten::relu", [[16 + expert, size[1]]], B, 2)
    found = line.findings(tmp_path, "gemm.tiny")
    # Eight up and eight down projections of 6 µs: each eight become one.
    assert sum(one.gain_us or 0 for one in found) == pytest.approx(2 * (48 - 6))
    assert {one.module for one in found} == {"moe"}
