"""Each formula against arithmetic on paper."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Cost, cost_of

B, N, L, I, D = "c10::BFloat16", "", "long int", "int", "float"  # noqa: E741


def cost(
    name: str, dims: list[Any], types: list[str] | None = None, values: list[str] | None = None
) -> Cost | None:
    encode = lambda value: b"" if value is None else json.dumps(value).encode()  # noqa: E731
    return cost_of(name, encode(dims), encode(types), encode(values))


def flops(
    name: str, dims: list[Any], types: list[str] | None = None, values: list[str] | None = None
) -> int | None:
    found = cost(name, dims, types, values)
    return None if found is None else found.matrix


@pytest.mark.parametrize(
    ("name", "dims", "expected"),
    [
        ("aten::mm", [[2, 3], [3, 5]], 2 * 2 * 3 * 5),
        ("aten::addmm", [[5], [2, 3], [3, 5], [], []], 60),
        ("aten::bmm", [[7, 2, 3], [7, 3, 5]], 420),
        ("aten::baddbmm", [[7, 2, 5], [7, 2, 3], [7, 3, 5], [], []], 420),
        ("aten::_scaled_mm", [[16, 32], [32, 64], [], [], [], [], [], []], 2 * 16 * 32 * 64),
        ("aten::linear", [[4, 2, 3], [5, 3], [5]], 4 * 60),
        ("aten::linear", [[3], [5, 3], []], 30),
        ("aten::matmul", [[4, 2, 3], [3, 5]], 240),
        ("aten::matmul", [[4, 1, 2, 3], [6, 3, 5]], 4 * 6 * 60),
        # a vector on the right makes no matrix product, one on the left a matrix of one row
        ("aten::matmul", [[3], [3]], 0),
        ("aten::matmul", [[3], [3, 5]], 30),
        # 10 rows, each times one of 4 matrices of 3 × 5
        ("aten::_grouped_mm", [[10, 3], [4, 3, 5], [4]], 300),
        ("aten::_grouped_mm", [[4, 2, 3], [4, 3, 5], []], 240),
        # gradient of the weights: [3, 10] × [10, 5], split along the 10
        ("aten::_grouped_mm", [[3, 10], [10, 5], [4]], 300),
        # 1 batch, 8 query heads over 2 key heads, 16 × 32 scores, 64 per head
        (
            "aten::_scaled_dot_product_flash_attention",
            [[1, 8, 16, 64], [1, 2, 32, 64], [1, 2, 32, 64]],
            4 * 8 * 16 * 32 * 64,
        ),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", [[2, 4, 8, 16]] * 3, 4 * 2 * 4 * 8 * 8 * 16),
        ("aten::_scaled_dot_product_efficient_attention", [[2, 4, 8, 16]] * 3, 4 * 2 * 4 * 8 * 8 * 16),
        ("aten::_scaled_dot_product_cudnn_attention", [[2, 4, 8, 16]] * 3, 4 * 2 * 4 * 8 * 8 * 16),
        # MLA: 192 for the scores, 128 for the values
        (
            "aten::_scaled_dot_product_flash_attention",
            [[1, 2, 8, 192], [1, 2, 8, 192], [1, 2, 8, 128]],
            2 * 2 * 64 * 320,
        ),
        ("aten::_scaled_dot_product_flash_attention_backward", [[1, 2, 8, 16]] * 4, 5 * 2 * 2 * 64 * 16),
        ("aten::_flash_attention_forward", [[2, 8, 4, 16]] * 3, 4 * 2 * 4 * 8 * 8 * 16),
        (
            "flash_attn::_flash_attn_forward",
            [[2, 8, 4, 16], [2, 32, 1, 16], [2, 32, 1, 16]],
            4 * 2 * 4 * 8 * 32 * 16,
        ),
        ("flash_attn::_flash_attn_backward", [[2, 8, 4, 16]] * 4, 10 * 2 * 4 * 8 * 8 * 16),
        ("flash_attn::_flash_attn_varlen_forward", [[8, 4, 16]] * 3 + [[2], [2]], 4 * 4 * 8 * 8 * 16),
    ],
)
def test_products(name: str, dims: list[Any], expected: int) -> None:
    assert flops(name, dims) == expected


CONV = ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1"]


@pytest.mark.parametrize(
    ("name", "dims", "values", "expected"),
    [
        # 8 × 8 → 4 × 4 outputs of 6 channels, each from 3 · 3 · 3 inputs
        ("aten::convolution", [[2, 3, 8, 8], [6, 3, 3, 3], [6]], CONV, 2 * 2 * 16 * 6 * 27),
        ("aten::_convolution", [[2, 3, 8, 8], [6, 3, 3, 3], [6]], [*CONV, "False"], 2 * 2 * 16 * 6 * 27),
        # depthwise: 4 groups, each output from 1 · 3 inputs; "same" length 10
        ("aten::convolution", [[1, 4, 10], [4, 1, 3], []], ["", "", "", "[1]", "[1]", "[1]", "False", "[0]", "4"], 2 * 10 * 4 * 3),
        # transposed: each of 8 · 8 inputs of 6 channels spreads over 3 channels of 2 × 2
        ("aten::convolution", [[1, 6, 8, 8], [6, 3, 2, 2], []], ["", "", "", "[2, 2]", "[0, 0]", "[1, 1]", "True", "[0, 0]", "1"], 2 * 64 * 6 * 12),
        ("aten::conv2d", [[2, 3, 8, 8], [6, 3, 3, 3], [6]], ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "1"], 2 * 2 * 16 * 6 * 27),
        ("aten::cudnn_convolution", [[2, 3, 8, 8], [6, 3, 3, 3]], ["", "", "[1, 1]", "[2, 2]", "[1, 1]", "1"], 2 * 2 * 16 * 6 * 27),
        ("aten::miopen_convolution", [[2, 3, 8, 8], [6, 3, 3, 3], []], ["", "", "", "[1, 1]", "[2, 2]", "[1, 1]", "1"], 2 * 2 * 16 * 6 * 27),
        # gradients of input and weight: two more of the forward's 5184 · 2 · 2
        ("aten::convolution_backward", [[2, 6, 4, 4], [2, 3, 8, 8], [6, 3, 3, 3]], ["", "", "", "[6]", *CONV[3:], "[True, True, True]"], 2 * 2 * 2 * 16 * 6 * 27),
        ("aten::convolution_backward", [[2, 6, 4, 4], [2, 3, 8, 8], [6, 3, 3, 3]], ["", "", "", "[6]", *CONV[3:], "[False, True, True]"], 2 * 2 * 16 * 6 * 27),
    ],
)  # fmt: skip
def test_convolutions(name: str, dims: list[Any], values: list[str], expected: int) -> None:
    assert flops(name, dims, None, values) == expected


def test_bytes_are_inputs_read_once_and_outputs_written_once() -> None:
    found = cost("aten::mm", [[2, 3], [3, 5]], [B, B])
    assert found == Cost(60, 2 * (6 + 15 + 10), B)
    found = cost(
        "aten::_scaled_dot_product_flash_attention", [[1, 8, 16, 64], [1, 2, 32, 64], [1, 2, 32, 64]], [B] * 3
    )
    assert found is not None
    # q, k, v, output; the log-sum-exp of 8 heads and 16 queries in fp32
    assert found.bytes == 2 * (8 * 16 * 64 + 2 * 2 * 32 * 64 + 8 * 16 * 64) + 4 * 8 * 16


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("aten::view", [[2], []]),  # no formula
        ("aten::add", [[2], [2]]),  # no types
        ("aten::mm", []),
        ("aten::mm", [[2, 3]]),
        ("aten::mm", [[2, 3], [4, 5]]),  # does not fit
        ("aten::mm", [[], []]),
        ("aten::mm", [[[2, 3]], [[3, 5]]]),  # lists of tensors
        ("aten::mm", {"a": 1}),
        ("aten::convolution", [[2, 3, 8, 8], [6, 3, 3, 3], [6]]),  # no stride
        ("flash_attn::_flash_attn_varlen_forward", [[8, 4, 16]] * 3 + [[5], [5]]),  # lengths of 4 sequences
    ],
)
def test_what_cannot_be_known_has_no_cost(name: str, dims: Any) -> None:
    assert cost(name, dims) is None
