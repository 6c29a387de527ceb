"""Matrix products of engines and of quantization libraries against arithmetic on paper."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import (
    BF16_NUMBER,
    FLOPS,
    FP32,
    FP32_NUMBER,
    HALF,
    INT32,
    OUT,
    SCALE,
    UINT8,
    A,
    B,
    cost,
    fp8,
    int8,
    known,
    tensor,
)
from tracekit.costs import is_wrapper

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
    "ROCm's skinny product": (
        "_rocm_C::wvSplitK",
        [tensor(10, 6), tensor(4, 6), tensor(10), 304],
        FLOPS,
        2 * (A + B + 10 + OUT),
        OUT,
    ),
    "TensorRT-LLM fp8": (
        "trtllm::cublas_scaled_mm",
        [fp8(4, 6), fp8(6, 10), SCALE, SCALE, tensor(10), BF16_NUMBER, 0, None],
        FLOPS,
        A + B + 8 + 20 + 2 * OUT,
        2 * OUT,
    ),
    "TensorRT-LLM": (
        "trtllm::cublas_mm",
        [tensor(4, 6), tensor(6, 10), None, FP32_NUMBER, 0, None],
        FLOPS,
        2 * (A + B) + 4 * OUT,
        0,
    ),
    "TensorRT-LLM fp8 by blocks": (
        "trtllm::fp8_block_scaling_gemm",
        [fp8(4, 6), fp8(10, 6), tensor(4, dtype=FP32), tensor(1, dtype=FP32)],
        FLOPS,
        A + B + 16 + 4 + 2 * OUT,
        OUT,
    ),
    "flashinfer fp8": (
        "flashinfer::bmm_fp8",
        [tensor(999, dtype=UINT8), fp8(3, 4, 6), fp8(3, 6, 10), tensor(3, 4, 10), SCALE, SCALE],
        3 * FLOPS,
        3 * (A + B + 2 * OUT) + 8,
        3 * OUT,
    ),
    "torchao int8": (
        "torchao::int_scaled_matmul",
        [int8(4, 6), int8(6, 10), tensor(4, 1), tensor(1, 10)],
        FLOPS,
        A + B + 8 + 20 + 2 * OUT,
        2 * OUT,
    ),
    "torchao int8 without scales": (
        "torchao::int_matmul",
        [int8(4, 6), int8(6, 10)],
        FLOPS,
        A + B + 4 * OUT,
        0,
    ),
    "torchao int8 by int4": (
        "torchao::rowwise_scaled_linear_cutlass_s8s4",
        [int8(4, 6), tensor(4), int8(10, 3), tensor(10), None, None],
        FLOPS,
        A + 8 + 30 + 20 + 2 * OUT,
        2 * OUT,
    ),
    "torchao int4 by int4": (
        "torchao::rowwise_scaled_linear_cutlass_s4s4",
        [int8(4, 3), tensor(4), int8(10, 3), tensor(10), tensor(10), None],
        FLOPS,
        12 + 8 + 30 + 20 + 20 + 2 * OUT,
        3 * OUT,
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
}


@pytest.mark.parametrize("name", CASES)
def test_cost(name: str) -> None:
    op, arguments, matrix, size, vector = CASES[name]
    found = known(op, *arguments)
    assert (found.matrix, found.bytes, found.vector) == (matrix, size, vector)


def test_type_by_which_a_peak_is_chosen() -> None:
    packed = tensor(4, 3, dtype=UINT8), tensor(10, 3, dtype=UINT8), fp8(4), fp8(10), SCALE
    assert known("_C::cutlass_scaled_fp4_mm", tensor(4, 10), *packed).dtype == "c10::Float4_e2m1fn_x2"


def test_linears_of_engines_count_only_where_nothing_in_them_does() -> None:
    assert is_wrapper("aiter::gemm_a16w16")
    assert is_wrapper("vllm::rocm_unquantized_gemm")


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("_C::marlin_gemm", [tensor(4, 64), None, tensor(4, 256, dtype=INT32)]),
        ("_C::marlin_gemm", [tensor(5, 64), None, tensor(4, 256), tensor(1), 8, 4, 128, 64, True]),
        ("tex_ts::te_gemm_ts", [fp8(10, 6)]),
    ],
)
def test_what_does_not_fit_has_no_cost(op: str, arguments: list[Any]) -> None:
    assert cost(op, *arguments) is None
