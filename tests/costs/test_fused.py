"""Fused ops of engines and libraries, many with calls of real traces, against sums on paper."""

# ruff: noqa: E501 (tables of calls, one a line)

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Cost, cost_of

B, F, I, L, S, Q = "c10::BFloat16", "float", "int", "long int", "Scalar", "c10::Float8_e4m3fn"  # noqa: E741


def cost(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost:
    found = cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values or [])))
    assert found is not None
    return found


X = 15360 * 4096


@pytest.mark.parametrize(
    ("name", "dims", "types", "passed", "vector"),
    [
        # out, input, weight
        ("aiter::rmsnorm", [[15360, 4096], [15360, 4096], [4096], []], [B, B, B, S], 2 * X + 4096, 4 * X),
        ("_C::rms_norm", [[15360, 4096], [15360, 4096], [4096], []], [B, B, B, S], 2 * X + 4096, 4 * X),
        # out, input, residual in and out, weight
        ("aiter::add_rmsnorm", [*[[15360, 4096]] * 4, [4096], []], [*[B] * 5, S], 4 * X + 4096, 5 * X),
        ("aiter::rmsnorm2d_fwd", [[15360, 4096], [4096], []], [B, B, S], 2 * X + 4096, 4 * X),
        # input and residual are read and overwritten
        ("_C::fused_add_rms_norm", [[15360, 4096], [15360, 4096], [4096], []], [B, B, B, S], 4 * X + 4096, 5 * X),
        ("sgl_kernel::silu_and_mul", [[8, 100], [8, 200]], [B, B], 2400, 3 * 800),
        ("_C::gelu_and_mul", [[8, 100], [8, 200]], [B, B], 2400, 6 * 800),
        ("_C::gelu_new", [[8, 100], [8, 100]], [B, B], 1600, 9 * 800),
        ("LigerSiLUMulFunction", [[8, 100], [8, 100]], [B, B], 2400, 3 * 800),
        ("LigerSiLUMulFunctionBackward", [[8, 100]], [B], 4000, 9 * 800),
        # old profilers record the tensors alone, new ones every input
        ("LigerRMSNormFunction", [[8, 100], [100]], [B, B], 1700, 4 * 800),
        ("LigerRMSNormFunction", [[8, 100], [100], [], []], [B, B, S, S], 1700, 4 * 800),
        ("FusedLayerNormAffineFunction", [[8, 100], [100], [100]], [B, B, B], 1800, 7 * 800),
        ("FusedLayerNormFunction", [[8, 100], [], []], [B, "ScalarList", S], 1600, 5 * 800),
        ("LigerRMSNormFunctionBackward", [[8, 100]], [B], 2400, 9 * 800),
        ("DropoutAddLayerNormFn", [[8, 100], [8, 100], [100], [100]], [B] * 4, 2600, 8 * 800),
        ("DropoutAddLayerNormFn", [[8, 100], [], [100], []], [B, "", B, ""], 1700, 4 * 800),
        ("LigerCrossEntropyFunction", [[8, 100], [8]], [B, "short"], 808, 4 * 800),
        ("aiter::rope_cached_fwd_impl", [[16, 2, 4, 8], [16, 2, 4, 8], [16, 1, 1, 4], [16, 1, 1, 4], []], [B, B, B, B, S], 2 * 1024 + 128, 3 * 1024),
        ("LigerRopeFunction", [[2, 8, 16, 64], [2, 2, 16, 64], [1, 16, 64], [1, 16, 64]], [B] * 4, 2 * 20480 + 2048, 3 * 20480),
        ("sgl_kernel::shuffle_rows", [[1000, 16], [30], [30, 16]], [B, B, B], 30 + 960, 0),
        ("_moe_C::moe_sum", [[10, 4, 16], [10, 16]], [B, B], 640 + 160, 640),
        ("sgl_kernel::merge_state_v2", [[10, 4, 16], [10, 4]] * 3, [B] * 6, 3 * 680, 3 * 640),
    ],
)  # fmt: skip
def test_tensors_of_16_bits(name: str, dims: list[Any], types: list[str], passed: int, vector: int) -> None:
    assert cost(name, dims, types) == Cost(bytes=2 * passed, dtype=B, vector=vector)


def test_rms_norm_does_what_is_counted() -> None:
    """Four passes over the elements, counted as they are made."""
    count = 0

    def each(values: list[float]) -> list[float]:
        nonlocal count
        count += len(values)
        return values

    rows = [[1.0, -2.0, 2.0], [0.5, 4.0, 1.0]]
    for row in rows:
        squares = each([x * x for x in row])
        mean = sum(each(squares)) / len(row)
        scaled = each([x * mean**-0.5 for x in row])
        each([x * weight for x, weight in zip(scaled, (1.0, 2.0, 3.0), strict=True)])
    assert cost("_C::rms_norm", [[2, 3], [2, 3], [3], []], [F, F, F, S]).vector == count


def test_rotary_embedding() -> None:
    dims = [[15360], [15360, 4096], [15360, 1024], [], [41216, 128], []]
    found = cost("sgl_kernel::rotary_embedding", dims, [L, B, B, S, B, S], ["", "", "", "128", "", "True"])
    turned = 15360 * 5120
    # positions; q and k read and written; a row of 128 a position
    assert found.bytes == 15360 * 8 + 2 * 2 * turned + 15360 * 128 * 2
    # each pair: 4 products, an addition, a subtraction
    assert found.vector == turned // 2 * 6
    # half of each head is turned, and there are no more rows than the cache has
    dims[4] = [100, 64]
    found = cost("_C::rotary_embedding", dims, [L, B, B, S, B, S], ["", "", "", "128", "", "True"])
    assert found.vector == turned // 2 * 6 // 2
    assert found.bytes == 15360 * 8 + 2 * 2 * turned + 100 * 64 * 2


def test_flash_attention_rotary_reads_the_rows_of_its_positions() -> None:
    found = cost("ApplyRotaryEmb", [[2, 16, 4, 64], [100, 16], [100, 16], [], []], [B, B, B, S, S])
    assert found.bytes == 2 * (2 * 8192 + 2 * 16 * 16)
    assert found.vector == 3 * 8192 // 2


@pytest.mark.parametrize(
    ("name", "dims", "types", "expected"),
    [
        # 8192 tokens of 8 heads of 64 into paged caches
        (
            "_C_cache_ops::reshape_and_cache_flash",
            [[8192, 8, 64]] * 2 + [[224304, 32, 8, 64]] * 2 + [[8192], [], [], []],
            [B, B, B, B, L, "", F, F],
            8192 * (4 * 512 * 2 + 8),
        ),
        # only 46 of the padded tokens have a slot; the cache is of 8 bits
        (
            "_C_cache_ops::reshape_and_cache_flash",
            [[64, 8, 64]] * 2 + [[224304, 32, 8, 64]] * 2 + [[46], [], [], []],
            [B, B, "unsigned char", "unsigned char", L, "", F, F],
            46 * (2 * 512 * 2 + 2 * 512 + 8),
        ),
        (
            "sglang::store_cache",
            [[15360, 1024]] * 2 + [[835874, 1024]] * 2 + [[15360], [], []],
            [B, B, B, B, L, S, S],
            15360 * (4 * 1024 * 2 + 8),
        ),
        (
            "_C_cache_ops::concat_and_cache_mla",
            [[32, 512], [32, 64], [100, 16, 576], [32], [], []],
            [B, B, B, L, "", F],
            32 * (2 * 576 * 2 + 8),
        ),
    ],
)
def test_cache_writes(name: str, dims: list[Any], types: list[str], expected: int) -> None:
    assert cost(name, dims, types) == Cost(bytes=expected, dtype=B)


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "size", "vector"),
    [
        # one scale for all, given or found
        ("_C::static_scaled_fp8_quant", [[8, 64], [8, 64], [1]], [Q, B, F], [], 3 * 512 + 4, 3 * 512),
        ("_C::dynamic_scaled_fp8_quant", [[8, 64], [8, 64], [1]], [Q, B, F], [], 3 * 512 + 4, 5 * 512),
        ("sgl_kernel::sgl_per_token_group_quant_fp8", [[8, 64], [8, 64], [8, 2]], [B, Q, F], [], 3 * 512 + 64, 5 * 512),
        ("sgl_kernel::sgl_per_tensor_quant_fp8", [[8, 64], [8, 64], [1], []], [B, Q, F, S], ["", "", "", "True"], 3 * 512 + 4, 3 * 512),
        ("_C::rms_norm_dynamic_per_token_quant", [[8, 64], [8, 64], [64], [8, 1], [], [], [8, 64]], [Q, B, B, F, S, "", B], [], 512 + 2 * (512 + 64 + 1024) + 32, 10 * 512),
        # weights, ids, source rows, gate of 128 experts
        ("_moe_C::topk_softmax", [[8, 4], [8, 4], [8, 4], [8, 128]], [F, I, I, F], [], 4 * (3 * 32 + 1024), 6 * 1024),
        ("sgl_kernel::topk_softmax", [[8, 4], [8, 4], [8, 128], []], [F, I, F, S], [], 4 * (2 * 32 + 1024), 6 * 1024),
        ("_moe_C::moe_align_block_size", [[8, 4], [], [], [96], [6], [1]], [I, S, S, I, I, I], [], 4 * (32 + 96 + 6 + 1), 32),
    ],
)  # fmt: skip
def test_quantisation_and_routing(
    name: str, dims: list[Any], types: list[str], values: list[str], size: int, vector: int
) -> None:
    found = cost(name, dims, types, values)
    assert (found.bytes, found.vector) == (size, vector)


@pytest.mark.parametrize(
    ("name", "dims", "types"),
    [
        ("_C::rms_norm", [], []),
        ("_C::silu_and_mul", [[8, 100]], [B]),
        ("_C::rotary_embedding", [[8], [8, 64], [8, 64], [], [100, 64]], [L, B, B, S, B]),  # no head size
        ("LigerRopeFunction", [[8, 64]], [B]),
        ("sglang::store_cache", [[8, 64]] * 4, [B] * 4),
    ],
)
def test_what_cannot_be_known_has_no_cost(name: str, dims: list[Any], types: list[str]) -> None:
    assert cost_of(name, json.dumps(dims).encode(), json.dumps(types).encode(), b"") is None
