"""Chains that a compiler would fuse, with the bytes counted by hand, and copies that take each other back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.findings.timeline import B, F, Timeline

BYTES_PER_US = 3350e3  # of the H100: 3350 GB/s
N = 8 * 1024 * 4096  # elements of the states
ROWS = 8 * 1024
STATES, MEANS = [8, 1024, 4096], [8, 1024, 1]


def norm(line: Timeline) -> None:
    """An RMSNorm in eager PyTorch, 400 µs on the GPU."""
    copied = ["", "", "False"]
    line.op("aten::copy_", [STATES, STATES, []], [F, B, "Scalar"], 60, copied)
    line.op("aten::pow", [STATES, []], F, 85, ["", "2"])
    line.op("aten::mean", [STATES, [], [], []], [F, "ScalarList", "Scalar", ""], 45, ["", "[-1]", "True", ""])
    line.op("aten::add", [MEANS, [], []], [F, "double", "Scalar"], 2, ["", "1e-6", "1"])
    line.op("aten::rsqrt", [MEANS], F, 2)
    line.op("aten::mul", [STATES, MEANS], F, 96)
    line.op("aten::copy_", [STATES, STATES, []], [B, F, "Scalar"], 60, copied)
    line.op("aten::mul", [[4096], STATES], B, 50)


def test_a_norm_in_eight_kernels_would_be_one(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for layer in range(2):
            with line.module(f"layers.{layer}.norm", "RMSNorm"):
                norm(line)
            line.op("aten::mm", [[8192, 4096], [4096, 4096]], B, 500)
    (found,) = line.findings(tmp_path, "kernels.unfused")
    # Read again: the fp32 states by pow and mul, the squares, the product (4 bytes each), the rounded (2);
    # written for nothing: the states, squares, product (4 each), the rounded ones (2). Of the means each of
    # three is written and read once.
    saved = (3 * 4 + 4 + 2 + 3 * 4 + 2) * N + 3 * 2 * 4 * ROWS
    assert found.evidence.values["saved"] == f"{2 * saved / 1e6:,.0f}"
    # As it is: 6 + 8 + 4 + 8 + 6 + 4 bytes an element, six times 4 of the means, and the weight.
    traffic = 36 * N + 24 * ROWS + 2 * 4096
    assert found.evidence.values["traffic"] == f"{2 * traffic / 1e6:,.0f}"
    # The rest at the rate at which these kernels move what they do.
    assert found.gain_us == pytest.approx(2 * 400 * saved / traffic)
    assert (found.module, found.evidence.values["modules"]) == ("layers.*.norm", 2)
    assert found.evidence.values["ops"] == "copy → pow → mean → add → rsqrt → mul → copy → mul"
    assert found.severity == "high"  # 711 of 1,800 µs


def test_the_gain_is_no_more_than_the_time_over_that_of_the_fused_kernel(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():  # 10 N bytes moved, as fast as in a cache; a fused kernel moves 6 N: 60 µs
        line.op("aten::mul", [STATES, STATES], B, 40).op("aten::relu", [STATES], B, 30)
        line.op("aten::mm", [[8192, 4096], [4096, 4096]], B, 100)
    (found,) = line.findings(tmp_path, "kernels.unfused")
    assert found.gain_us == pytest.approx(70 - 6 * N / BYTES_PER_US)


def test_queries_and_keys_are_two_chains(tmp_path: Path) -> None:
    states, half, angles = [4, 16, 2048, 128], [4, 16, 2048, 64], [1, 1, 2048, 128]
    line = Timeline()
    with line.forward(), line.module("attn", "Attention"):
        for _ in ("queries", "keys"):
            line.op("aten::mul", [states, angles], B, 100)
            line.op("aten::neg", [half], B, 50)
            line.op("aten::cat", [[half, half], []], ["TensorList", "Scalar"], 100, ["", "-1"])
            line.op("aten::mul", [states, angles], B, 100)
            line.op("aten::add", [states, states, []], B, 100)
    (found,) = line.findings(tmp_path, "kernels.unfused")
    # Written and read once each: two products, what is concatenated, and the half that is negated.
    saved = 2 * 2 * 2 * (3 * 4 * 16 * 2048 * 128 + 4 * 16 * 2048 * 64)
    whole, small = 2 * 4 * 16 * 2048 * 128, 2 * 2048 * 128
    # 450 µs: two products by angles, a negation of a half, halves that are joined, and a sum
    traffic = 2 * (2 * whole + small) + whole + 2 * whole + 3 * whole
    assert found.gain_us == pytest.approx(2 * 450 * (saved / 2) / traffic)
    assert found.evidence.values["chains"] == "2"


def test_kernels_that_do_not_follow_each_other_are_no_chain(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for index in range(4):  # a product between, and each in a module of its own
            line.op("aten::mm", [[8192, 4096], [4096, 4096]], B, 100).op("aten::relu", [STATES], B, 50)
            with line.module(f"act{index}"):
                line.op("aten::relu", [STATES], B, 50)
    assert not line.findings(tmp_path, "kernels.unfused")


def test_a_kernel_of_no_op_between_two_ends_a_chain(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::relu", [STATES], B, 50)
        line.launch(50, "somebody's own kernel")
        line.now += 2
        line.op("aten::relu", [STATES], B, 50)
    assert not line.findings(tmp_path, "kernels.unfused")


def test_kernels_on_different_tensors_are_no_chain(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for size in range(4000, 4008):
            line.op("aten::relu", [[8192, size]], B, 50)
        for _ in range(3):  # queries, keys and values made contiguous
            line.op("aten::copy_", [STATES, STATES, []], [B, B, "Scalar"], 50)
    assert not line.findings(tmp_path, "kernels.unfused")


def test_without_a_device_there_is_no_telling_what_a_chain_costs(tmp_path: Path) -> None:
    line = Timeline("some other GPU")
    with line.forward():
        norm(line)
    assert not line.findings(tmp_path, "kernels.unfused")


def cast(line: Timeline, target: str, source: str, shape: list[int]) -> None:
    line.op("aten::copy_", [shape, shape, []], [target, source, "Scalar"], 30)


def test_a_cast_there_and_back_is_for_nothing(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward(), line.module("norm", "Norm"):
        line.op("aten::relu", [STATES], B, 500)
        cast(line, F, B, STATES)
        cast(line, B, F, STATES)
    (found,) = line.findings(tmp_path, "copies.undone")
    assert (found.gain_us, found.module) == (60, "norm")
    assert "from BFloat16 to float" in str(found.evidence)


def test_casts_with_work_between_them_or_of_other_shapes_are_not(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        cast(line, F, B, STATES)
        line.op("aten::exp", [STATES], F, 30)
        cast(line, B, F, STATES)
        line.op("aten::mm", [[8192, 4096], [4096, 4096]], B, 100)
        cast(line, F, B, STATES)
        cast(line, B, F, [8, 4096, 1024])
        line.op("aten::mm", [[8192, 4096], [4096, 4096]], B, 100)
        cast(line, F, B, STATES)
        cast(line, F, B, STATES)
    assert not line.findings(tmp_path, "copies.undone")


def test_a_tensor_that_goes_to_the_host_and_back(tmp_path: Path) -> None:
    line = Timeline()
    copy = [STATES, STATES, []], [B, B, "Scalar"], 300.0, None
    with line.forward():
        line.op("aten::copy_", *copy, "Memcpy DtoH (Device -> Pinned)", "gpu_memcpy")
        line.op("aten::copy_", *copy, "Memcpy HtoD (Pinned -> Device)", "gpu_memcpy")
    (found,) = line.findings(tmp_path, "copies.undone")
    assert found.gain_us == 600
    assert "from GPU to CPU" in str(found.evidence)
