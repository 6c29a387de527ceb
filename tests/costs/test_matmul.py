"""Matrix products of torch against arithmetic on paper: FLOPs, bytes, vector FLOPs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import (
    BF16_NUMBER,
    FLOPS,
    FP8,
    FP32,
    FP32_NUMBER,
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
    tensors,
)

CASES: dict[str, tuple[str, list[Any], int, int, int]] = {
    # name: op, arguments, matrix FLOPs, bytes, vector FLOPs
    "mm": ("aten::mm", [tensor(4, 6), tensor(6, 10)], FLOPS, 2 * (A + B + OUT), 0),
    "mm into fp32": (
        "aten::mm",
        [tensor(4, 6), tensor(6, 10), tensor(4, 10, dtype=FP32)],
        FLOPS,
        2 * (A + B) + 4 * OUT,
        0,
    ),
    "mm with a type": (
        "aten::mm",
        [tensor(4, 6), tensor(6, 10), FP32_NUMBER],
        FLOPS,
        2 * (A + B) + 4 * OUT,
        0,
    ),
    "bias": (
        "aten::addmm",
        [tensor(10), tensor(4, 6), tensor(6, 10), 1, 1],
        FLOPS,
        2 * (10 + A + B + OUT),
        OUT,
    ),
    "addend of beta 0 is not read": (
        "aten::addmm",
        [tensor(4, 10), tensor(4, 6), tensor(6, 10), 0, 1],
        FLOPS,
        2 * (A + B + OUT),
        0,
    ),
    "scaled by beta and alpha": (
        "aten::addmm",
        [tensor(4, 10), tensor(4, 6), tensor(6, 10), 2, 3],
        FLOPS,
        2 * (OUT + A + B + OUT),
        3 * OUT,
    ),
    "addmm with a type": (
        "aten::addmm",
        [tensor(10), tensor(4, 6), tensor(6, 10), FP32_NUMBER, 1, 1],
        FLOPS,
        2 * (10 + A + B) + 4 * OUT,
        OUT,
    ),
    "bias and ReLU": (
        "aten::_addmm_activation",
        [tensor(10), tensor(4, 6), tensor(6, 10), 1, 1, False],
        FLOPS,
        2 * (10 + A + B + OUT),
        2 * OUT,
    ),
    "baddbmm": (
        "aten::baddbmm",
        [tensor(3, 1, 10), tensor(3, 4, 6), tensor(3, 6, 10), 1, 1],
        3 * FLOPS,
        2 * (30 + 3 * (A + B + OUT)),
        3 * OUT,
    ),
    "addbmm sums over the batch": (
        "aten::addbmm",
        [tensor(4, 10), tensor(3, 4, 6), tensor(3, 6, 10), 1, 1],
        3 * FLOPS,
        2 * (OUT + 3 * (A + B) + OUT),
        OUT,
    ),
    "linear": (
        "aten::linear",
        [tensor(2, 2, 6), tensor(10, 6), tensor(10)],
        FLOPS,
        2 * (A + B + 10 + OUT),
        OUT,
    ),
    "linear with one row of weights": (
        "aten::linear",
        [tensor(4, 6), tensor(6), None],
        0,
        2 * (A + 6 + 4),
        2 * A,
    ),
    "matrix times vector": ("aten::matmul", [tensor(4, 6), tensor(6)], 0, 2 * (A + 6 + 4), 2 * A),
    "int8": ("aten::_int_mm", [int8(4, 6), int8(6, 10)], FLOPS, A + B + 4 * OUT, 0),
    "fp8 to bf16, scale of each row and column": (
        "aten::_scaled_mm",
        [
            fp8(4, 6),
            fp8(6, 10),
            tensor(4, 1, dtype=FP32),
            tensor(1, 10, dtype=FP32),
            tensor(10),
            None,
            15,
            False,
        ],
        FLOPS,
        A + B + 4 * (4 + 10) + 2 * 10 + 2 * OUT,
        2 * OUT,
    ),
    "fp8 without a type stays fp8": (
        "aten::_scaled_mm",
        [fp8(4, 6), fp8(6, 10), SCALE, SCALE, None, None, None, False],
        FLOPS,
        A + B + 8 + OUT,
        OUT,
    ),
    # recipe 0: a scale in fp32 for the tensor; 3: e8m0 scales of one byte for blocks of 32
    "scales of two kinds": (
        "aten::_scaled_mm_v2",
        [
            fp8(4, 64),
            fp8(64, 10),
            tensors((1,)),
            [0],
            [0],
            tensors((10, 2)),
            [3],
            [0],
            None,
            BF16_NUMBER,
            [],
            False,
        ],
        2 * 4 * 64 * 10,
        4 * 64 + 64 * 10 + 4 + 20 + 2 * OUT,
        OUT,
    ),
    "float4, two to an element": (
        "aten::_scaled_mm",
        [
            tensor(4, 3, dtype="c10::Float4_e2m1fn_x2"),
            tensor(3, 10, dtype="c10::Float4_e2m1fn_x2"),
            fp8(4),
            fp8(10),
            None,
            None,
            BF16_NUMBER,
            False,
        ],
        FLOPS,
        12 + 30 + 4 + 10 + 2 * OUT,
        OUT,
    ),
    # 4 tokens and 8 experts: no more than 4 of their matrices can be needed
    "groups of rows": (
        "aten::_grouped_mm",
        [tensor(4, 6), tensor(8, 6, 10), tensor(8, dtype=INT32), None, None],
        FLOPS,
        2 * (A + 4 * B + OUT) + 4 * 8,
        0,
    ),
    "groups along k": (
        "aten::_grouped_mm",
        [tensor(4, 6), tensor(6, 10), tensor(3, dtype=INT32), None, None],
        FLOPS,
        2 * (A + B + 3 * OUT) + 4 * 3,
        0,
    ),
    "scaled groups of rows": (
        "aten::_scaled_grouped_mm",
        [
            fp8(4, 6),
            fp8(2, 6, 10),
            tensor(4, dtype=FP32),
            tensor(2, 10, dtype=FP32),
            tensor(2, dtype=INT32),
            None,
            None,
            None,
            False,
        ],
        FLOPS,
        A + 2 * B + 4 * (4 + 20) + 4 * 2 + 2 * OUT,
        OUT,
    ),
    # 6 · 10 weights of 4 bits in 30 bytes; a scale and a zero for each 2 of a column's 6
    "int4 on CPU": (
        "aten::_weight_int4pack_mm_for_cpu",
        [tensor(4, 6), tensor(10, 3, dtype=UINT8), 2, tensor(3, 10, 2)],
        FLOPS,
        2 * A + 30 + 2 * 60 + 2 * OUT,
        2 * B,
    ),
    "int8 weights": (
        "aten::_weight_int8pack_mm",
        [tensor(4, 6), int8(10, 6), tensor(10)],
        FLOPS,
        2 * A + B + 20 + 2 * OUT,
        OUT,
    ),
    "4-bit weights, dynamic": (
        "aten::_dyn_quant_matmul_4bit",
        [tensor(4, 6, dtype=FP32), tensor(50, dtype=UINT8), 6, 6, 10],
        FLOPS,
        4 * A + 50 + 4 * OUT,
        2 * A + OUT,
    ),
    # every second weight is a zero
    "2:4 sparse": (
        "aten::_sparse_semi_structured_linear",
        [tensor(4, 8), tensor(10, 4), tensor(10, 1, dtype="short"), tensor(10), None, None],
        2 * 4 * 10 * 4,
        2 * (32 + 40 + 10 + 10 + OUT),
        OUT,
    ),
    "gradients of a linear": (
        "aten::linear_backward",
        [tensor(4, 6), tensor(4, 10), tensor(10, 6), [True, True, True]],
        2 * FLOPS,
        2 * (OUT + (B + A) + (A + B) + 10),
        OUT,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cost(name: str) -> None:
    op, arguments, matrix, size, vector = CASES[name]
    found = known(op, *arguments)
    assert (found.matrix, found.bytes, found.vector) == (matrix, size, vector)


def test_gelu_after_a_product_takes_eight() -> None:
    found = known("aten::_addmm_activation", tensor(10), tensor(4, 6), tensor(6, 10), 1, 1, True)
    # x², x³, 0.044715·x³, + x, √(2/π)·, tanh, + 1, · x/2; and the bias
    assert found.vector == 8 * OUT + OUT


def test_type_by_which_a_peak_is_chosen() -> None:
    assert known("aten::_scaled_mm", fp8(4, 6), fp8(6, 10), SCALE, SCALE).dtype == FP8
    # weights of 8 bits become bf16 before the product
    assert known("aten::_weight_int8pack_mm", tensor(4, 6), int8(10, 6), tensor(10)).dtype == "c10::BFloat16"


def test_bytes_are_unknown_with_an_unknown_type() -> None:
    found = known("aten::mm", tensor(4, 6, dtype="c10::Unheard"), tensor(6, 10))
    assert (found.matrix, found.bytes) == (FLOPS, None)
    # a list of scales of a kind that has no size
    kinds = [tensors((1,)), [9], [0], tensors((1,)), [0], [0], None, BF16_NUMBER]
    assert known("aten::_scaled_mm_v2", fp8(4, 6), fp8(6, 10), *kinds).bytes is None


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("aten::addbmm", [tensor(4, 10), tensor(3, 4, 6), tensor(2, 6, 10), 1, 1]),
        ("aten::_sparse_semi_structured_linear", [tensor(4, 6), tensor(10, 6), tensor(10, 1)]),
    ],
)
def test_what_does_not_fit_has_no_cost(op: str, arguments: list[Any]) -> None:
    assert cost(op, *arguments) is None
