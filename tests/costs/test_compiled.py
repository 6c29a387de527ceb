"""Kernels of `torch.compile`, with the calls that real traces hold, against sums on paper."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Cost, cost_of
from tracekit.costs.formulas.compiled import fused_ops

B, F, S = "c10::BFloat16", "float", "Scalar"


def cost(name: str, dims: list[Any], types: list[str], values: list[str]) -> Cost:
    found = cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values)))
    assert found is not None
    return found


def kernel(name: str, shapes: list[list[int]], numels: list[int], dtype: str = B) -> Cost:
    dims = [*shapes, *([] for _ in numels)]
    types = [dtype] * len(shapes) + [S] * len(numels)
    return cost(name, dims, types, [""] * len(shapes) + [str(n) for n in numels])


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        ("triton_poi_fused_add_cos_sin_0", ["add", "cos", "sin"]),
        ("triton_poi_fused__unsafe_view_mul_silu_2", ["_unsafe_view", "mul", "silu"]),
        ("triton_red_fused__to_copy_native_layer_norm_12", ["_to_copy", "native_layer_norm"]),
        ("triton_per_fused__log_softmax__softmax_add_3", ["_log_softmax", "_softmax", "add"]),
        ("triton_poi_fused_index_put_silu_backward_1", ["index_put", "silu_backward"]),
        ("triton_poi_fused_0", []),
    ],
)
def test_ops_in_a_name(name: str, ops: list[str]) -> None:
    assert fused_ops(name) == ops


def test_pointwise() -> None:
    # 100 elements, two read and one written as float32; add, cos and sin of each
    assert kernel("triton_poi_fused_add_cos_sin_0", [[10, 10]] * 3, [100], F) == Cost(
        bytes=3 * 100 * 4, dtype=F, vector=300
    )


def test_pointwise_of_views() -> None:
    n = 8 * 4096 * 8192
    found = kernel("triton_poi_fused__unsafe_view_mul_silu_2", [[8, 4096, 8192], [32768, 8192]], [n])
    # silu is sigmoid and a product, then the product with the gate
    assert found == Cost(bytes=2 * n * 2, dtype=B, vector=3 * n)


def test_reduction() -> None:
    rows, columns = 8 * 4096, 2048
    n = rows * columns
    found = kernel(
        "triton_red_fused_add_mean_mul_pow_rsqrt_0",
        [[8, 4096, 2048], [2048], [8, 4096, 2048]],
        [rows, columns],
    )
    # add, mean, mul, pow of every element; one root a row
    assert found == Cost(bytes=2 * (2 * n + columns), dtype=B, vector=4 * n + rows)


def test_a_gather_reads_no_more_than_it_runs_over() -> None:
    # 6 rows of 32 from a table of 1000, by 6 indices
    dims: list[Any] = [[6], [1000, 32], [6, 32], []]
    found = cost("triton_poi_fused_embedding_0", dims, ["long int", B, B, S], ["", "", "", "192"])
    assert found.bytes == 6 * 8 + 2 * 192 * 2


def test_tiles_and_sizes_of_dynamic_shapes_before_the_numbers_of_elements() -> None:
    assert kernel("triton_poi_fused_add_0", [[4, 6], [6, 4], [4, 6]], [4, 6]).vector == 24
    # ks0 = 3, then 24 elements
    assert kernel("triton_poi_fused_add_0", [[4, 6], [4, 6], [4, 6]], [3, 24]).vector == 24


@pytest.mark.parametrize(
    ("name", "shapes", "expected"),
    [
        ("triton_tem_fused_mm_0", [[64, 32], [32, 48], [64, 48]], 2 * 64 * 32 * 48),
        # bias, A, B, result
        ("triton_tem_fused_addmm_1", [[48], [64, 32], [32, 48], [64, 48]], 2 * 64 * 32 * 48),
        # the result is seen through a view, an operand of the epilogue stands before it
        ("triton_tem_fused_add_mm_2", [[64, 32], [32, 48], [8, 8, 48], [8, 8, 48]], 2 * 64 * 32 * 48),
        ("triton_tem_fused_bmm_3", [[5, 64, 32], [5, 32, 48], [5, 64, 48]], 5 * 2 * 64 * 32 * 48),
        ("triton_tem_fused_convolution_4", [[2, 3, 8, 8], [6, 3, 3, 3], [2, 6, 4, 4]], 2 * 2 * 16 * 6 * 27),
        # q, k, v, log-sum-exp: 2 of 8 heads hold keys and values
        (
            "triton_tem_fused_flex_attention_5",
            [[1, 8, 16, 64], [1, 2, 32, 64], [1, 2, 32, 48], [1, 8, 16], [1, 8, 16, 48]],
            2 * 8 * 16 * 32 * (64 + 48),
        ),
        # decoding: the heads that share keys in an axis of their own
        (
            "triton_tem_fused_flex_attention_6",
            [[1, 2, 4, 1, 64], [1, 2, 32, 64], [1, 2, 32, 64], [1, 2, 4, 1]],
            2 * 8 * 1 * 32 * 128,
        ),
        (
            "triton_tem_fused_flex_attention_backward_7",
            [[1, 8, 16, 64], [1, 8, 32, 64], [1, 8, 32, 64], [1, 8, 16]],
            5 * 2 * 8 * 16 * 32 * 64,
        ),
    ],
)
def test_templates(name: str, shapes: list[list[int]], expected: int) -> None:
    found = kernel(name, shapes, [8, 1, 1])
    assert found.matrix == expected
    assert found.dtype == B


def test_bytes_of_a_template_are_its_tensors() -> None:
    assert kernel("triton_tem_fused_mm_0", [[64, 32], [32, 48], [64, 48]], []).bytes == 2 * (
        64 * 32 + 32 * 48 + 64 * 48
    )


@pytest.mark.parametrize(
    ("name", "dims", "types", "values"),
    [
        ("triton_poi_fused_add_0", [[10], [10]], [B, B], ["", ""]),
        ("triton_red_fused_sum_0", [[10], [1], []], [B, B, S], ["", "", "10"]),
        ("triton_tem_fused_mm_0", [[64, 32], [16, 48], [64, 48]], [B] * 3, [""] * 3),
        ("triton_tem_fused_flex_attention_0", [[64, 32]], [B], [""]),
    ],
)
def test_what_cannot_be_known_has_no_cost(
    name: str, dims: list[Any], types: list[str], values: list[str]
) -> None:
    assert cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values))) is None
