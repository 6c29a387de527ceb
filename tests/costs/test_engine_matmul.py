"""Matrix products of engines and of quantization libraries against arithmetic on paper."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import (
    BF16_NUMBER,
    FP8,
    FP32,
    HALF,
    INT8,
    INT32,
    UINT8,
    cost,
    known,
    tensor,
)
from tracekit.costs import is_wrapper

# [4, 6] @ [6, 10] throughout, if nothing else is said: 2 · 4 · 6 · 10 FLOPs, 40 results.
FLOPS = 2 * 4 * 6 * 10
A, B, OUT = 24, 60, 40  # elements
SCALE = tensor(dtype=FP32)


def fp8(*shape: int) -> dict[str, Any]:
    return tensor(*shape, dtype=FP8)


def int8(*shape: int) -> dict[str, Any]:
    return tensor(*shape, dtype=INT8)


CASES: dict[str, tuple[str, list[Any], int, int, int]] = {
    # name: op, arguments, matrix FLOPs, bytes, vector FLOPs
    "vLLM fp8": (
        "_C::cutlass_scaled_mm",
        [tensor(4, 10), fp8(4, 6), fp8(6, 10), SCALE, tensor(10, dtype=FP32), None],
        FLOPS,
        A + B + 4 + 40 + 2 * OUT,
        OUT,
    ),
    "fp4": (
        "_C::cutlass_scaled_fp4_mm",
        [
            tensor(4, 10),
            tensor(4, 3, dtype=UINT8),
            tensor(10, 3, dtype=UINT8),
            fp8(128, 4),
            fp8(128, 4),
            SCALE,
        ],
        FLOPS,
        12 + 30 + 512 + 512 + 4 + 2 * OUT,
        OUT,
    ),
    "SGLang fp8": (
        "sgl_kernel::fp8_scaled_mm",
        [fp8(4, 6), fp8(6, 10), tensor(4, dtype=FP32), tensor(10, dtype=FP32), BF16_NUMBER, tensor(10)],
        FLOPS,
        A + B + 16 + 40 + 20 + 2 * OUT,
        2 * OUT,
    ),
    # [8, 2] int32 holds 8 · 16 weights of 4 bits
    "awq": (
        "_C::awq_gemm",
        [
            tensor(4, 8, dtype=HALF),
            tensor(8, 2, dtype=INT32),
            tensor(1, 16, dtype=HALF),
            tensor(1, 2, dtype=INT32),
            8,
        ],
        2 * 4 * 8 * 16,
        2 * 32 + 4 * 16 + 2 * 16 + 4 * 2 + 2 * 64,
        2 * 128,
    ),
    "marlin": (
        "_C::marlin_gemm",
        [
            tensor(4, 64),
            None,
            tensor(4, 256, dtype=INT32),
            None,
            tensor(1, 128),
            None,
            None,
            None,
            None,
            None,
            tensor(512, dtype=INT32),
            8,
            4,
            128,
            64,
            True,
            False,
            True,
            False,
        ],
        2 * 4 * 128 * 64,
        2 * 256 + 4 * 1024 + 2 * 128 + 2 * 512,
        128 * 64,
    ),
    "an older marlin": (
        "_C::gptq_marlin_gemm",
        [
            tensor(4, 64),
            tensor(4, 256, dtype=INT32),
            tensor(1, 128),
            None,
            None,
            None,
            tensor(512, dtype=INT32),
            8,
            4,
            128,
            64,
            True,
            False,
            True,
        ],
        2 * 4 * 128 * 64,
        2 * 256 + 4 * 1024 + 2 * 128 + 2 * 512,
        128 * 64,
    ),
    "machete": (
        "_C::machete_mm",
        [tensor(4, 64), tensor(8, 128, dtype=INT32), 8, None, tensor(1, 128), None, 64, None, None, None],
        2 * 4 * 128 * 64,
        2 * 256 + 4 * 1024 + 2 * 128 + 2 * 512,
        128 * 64,
    ),
    "aiter linear": (
        "aiter::gemm_a16w16",
        [tensor(4, 6), tensor(10, 6), None, BF16_NUMBER, None, None, None],
        FLOPS,
        2 * (A + B + OUT),
        0,
    ),
    "aiter fp8": (
        "aiter::gemm_a8w8_blockscale",
        [fp8(4, 6), fp8(10, 6), tensor(4, 1, dtype=FP32), tensor(1, 1, dtype=FP32), BF16_NUMBER, False],
        FLOPS,
        A + B + 16 + 4 + 2 * OUT,
        OUT,
    ),
    "aiter fp4": (
        "aiter::gemm_a4w4",
        [
            tensor(4, 3, dtype=UINT8),
            tensor(10, 3, dtype=UINT8),
            tensor(4, dtype=UINT8),
            tensor(10, dtype=UINT8),
        ],
        FLOPS,
        12 + 30 + 4 + 10 + 2 * OUT,
        OUT,
    ),
    "bitsandbytes int8": (
        "bitsandbytes::int8_scaled_mm",
        [int8(2, 2, 6), int8(10, 6), tensor(4, dtype=FP32), tensor(10, dtype=FP32), None, None],
        FLOPS,
        A + B + 16 + 40 + 2 * OUT,
        2 * OUT,
    ),
    "bitsandbytes nf4": (
        "bitsandbytes::gemv_4bit",
        [
            tensor(1, 1, 6),
            tensor(30, 1, dtype=UINT8),
            [10, 6],
            tensor(1, dtype=FP32),
            tensor(16, dtype=FP32),
            64,
        ],
        2 * 6 * 10,
        12 + 30 + 4 + 64 + 20,
        60,
    ),
    "bitsandbytes dequantizing": (
        "bitsandbytes::dequantize_4bit",
        [tensor(30, 1, dtype=UINT8), tensor(1, dtype=FP32), 64, "nf4", [10, 6], BF16_NUMBER],
        0,
        30 + 4 + 120,
        60,
    ),
    # by columns: A is transposed [n, k], B [m, k]; fp8 into bf16, with a bias
    "Transformer Engine": (
        "tex_ts::te_gemm_ts",
        [
            fp8(10, 6),
            tensor(1, dtype=FP32),
            0,
            0,
            1,
            fp8(4, 6),
            tensor(1, dtype=FP32),
            0,
            0,
            0,
            tensor(4, 10),
            tensor(0, dtype=FP32),
            0,
            tensor(0, dtype=FP32),
            tensor(10),
            0,
            tensor(0),
            0,
            tensor(1000, dtype=UINT8),
            1000,
            0,
            1,
        ],
        FLOPS,
        A + B + 4 + 4 + 20 + 2 * OUT,
        OUT,
    ),
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
        FLOPS,
        A + 2 * B + 2 * OUT,
        OUT,
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
    packed = tensor(4, 3, dtype=UINT8), tensor(10, 3, dtype=UINT8), fp8(4), fp8(10), SCALE
    assert known("_C::cutlass_scaled_fp4_mm", tensor(4, 10), *packed).dtype == "c10::Float4_e2m1fn_x2"
    router = tensor(3, 2, dtype=FP32), tensor(3, 2, dtype=INT32)
    # rows become fp8 for experts in fp8, and experts of 4 bits become the rows' type
    experts = fp8(4, 10, 8), fp8(4, 8, 5)
    assert known("vllm::fused_moe", tensor(3, 8), *experts, *router).dtype == FP8
    experts = tensor(4, 12, 4, dtype=UINT8), tensor(4, 8, 3, dtype=UINT8)
    assert known("vllm::fused_moe", tensor(3, 8), *experts, *router).dtype == "c10::BFloat16"


def test_linears_of_engines_count_only_where_nothing_in_them_does() -> None:
    assert is_wrapper("aiter::gemm_a16w16")
    assert is_wrapper("vllm::rocm_unquantized_gemm")


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("_C::marlin_gemm", [tensor(4, 64), None, tensor(4, 256, dtype=INT32)]),
        ("_C::marlin_gemm", [tensor(5, 64), None, tensor(4, 256), tensor(1), 8, 4, 128, 64, True]),
        ("vllm::fused_moe", [tensor(3, 8), tensor(4, 7, 8), tensor(4, 8, 5), tensor(3, 2), tensor(3, 2)]),
        ("tex_ts::te_gemm_ts", [fp8(10, 6)]),
    ],
)
def test_what_does_not_fit_has_no_cost(op: str, arguments: list[Any]) -> None:
    assert cost(op, *arguments) is None
