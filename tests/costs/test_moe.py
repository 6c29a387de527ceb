"""Experts' products against arithmetic on paper: FLOPs, bytes, vector FLOPs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import FP8, FP32, INT32, UINT8, cost, known, tensor


def fp8(*shape: int) -> dict[str, Any]:
    return tensor(*shape, dtype=FP8)


CASES: dict[str, tuple[str, list[Any], int, int, int]] = {
    # name: op, arguments, matrix FLOPs, bytes, vector FLOPs
    # 3 tokens go to 2 of 4 experts: 6 rows of 8 → 2 · 5, gated to 5, → 8; all 4 experts can be met
    "experts": (
        "vllm::inplace_fused_experts",
        [
            tensor(3, 8),
            tensor(4, 10, 8),
            tensor(4, 8, 5),
            tensor(3, 2, dtype=FP32),
            tensor(3, 2, dtype=INT32),
        ],
        2 * 6 * (8 * 10 + 5 * 8),
        2 * 24 + 2 * 4 * (80 + 40) + 4 * 6 + 4 * 6 + 2 * 24,
        6 * (5 * 3 + 8 * 2),
    ),
    # one token can meet no more than its 2 experts
    "few rows meet few experts": (
        "aiter::fused_moe_",
        [
            tensor(1, 8),
            tensor(64, 10, 8),
            tensor(64, 8, 5),
            tensor(1, 2, dtype=FP32),
            tensor(1, 2, dtype=INT32),
        ],
        2 * 2 * 120,
        2 * 8 + 2 * 2 * 120 + 4 * 2 + 4 * 2 + 2 * 8,
        2 * (5 * 3 + 8 * 2),
    ),
    "experts of 4 bits": (
        "sglang::outplace_fused_experts",
        [
            tensor(3, 8),
            tensor(4, 12, 4, dtype=UINT8),
            tensor(4, 8, 3, dtype=UINT8),
            tensor(3, 2, dtype=FP32),
            tensor(3, 2, dtype=INT32),
        ],
        2 * 6 * (8 * 12 + 6 * 8),
        2 * 24 + 4 * (48 + 24) + 4 * 6 + 4 * 6 + 2 * 24,
        6 * (6 * 3 + 8 * 2),
    ),
    "grouped rows of experts": (
        "_C::cutlass_moe_mm",
        [tensor(4, 10), fp8(4, 6), fp8(2, 6, 10), tensor(4, dtype=FP32), tensor(2, dtype=FP32)],
        # [4, 6] @ [6, 10]
        2 * 4 * 6 * 10,
        24 + 2 * 60 + 2 * 40,
        40,
    ),
    # 4 rows, each to 2 of 3 experts, with 64 · 128 weights of 4 bits
    "experts by marlin": (
        "_moe_C::moe_wna16_marlin_gemm",
        [
            tensor(4, 64),
            None,
            tensor(3, 4, 256, dtype=INT32),
            None,
            tensor(3, 1, 128),
            None,
            None,
            None,
            None,
            None,
            tensor(512, dtype=INT32),
            tensor(64, dtype=INT32),
            tensor(4, dtype=INT32),
            tensor(1, dtype=INT32),
            tensor(4, 2, dtype=FP32),
            16,
            2,
            False,
            8,
            4,
            128,
            64,
            True,
            False,
            True,
            False,
            -1,
            -1,
            -1,
        ],
        2 * 8 * 128 * 64,
        2 * 256 + 4 * 3 * 1024 + 2 * 8 * 128,
        3 * 128 * 64,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cost(name: str) -> None:
    op, arguments, matrix, size, vector = CASES[name]
    found = known(op, *arguments)
    assert (found.matrix, found.bytes, found.vector) == (matrix, size, vector)


def test_type_by_which_a_peak_is_chosen() -> None:
    router = tensor(3, 2, dtype=FP32), tensor(3, 2, dtype=INT32)
    # rows become fp8 for experts in fp8, and experts of 4 bits become the rows' type
    experts = fp8(4, 10, 8), fp8(4, 8, 5)
    assert known("vllm::fused_moe", tensor(3, 8), *experts, *router).dtype == FP8
    experts = tensor(4, 12, 4, dtype=UINT8), tensor(4, 8, 3, dtype=UINT8)
    assert known("vllm::fused_moe", tensor(3, 8), *experts, *router).dtype == "c10::BFloat16"


def test_experts_that_do_not_fit_have_no_cost() -> None:
    router = tensor(3, 2), tensor(3, 2)
    assert cost("vllm::fused_moe", tensor(3, 8), tensor(4, 7, 8), tensor(4, 8, 5), *router) is None
    assert cost("vllm::fused_moe", tensor(3, 8), tensor(4, 10, 8), tensor(3, 8, 5), *router) is None
    assert cost("vllm::fused_moe", tensor(3, 8), tensor(4, 10, 0), tensor(4, 8, 0), *router) is None
