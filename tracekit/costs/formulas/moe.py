"""Products of mixtures of experts: every routed row, tokens × top-k, meets one expert's matrices.

An expert that gets no row is not read. Which do is not recorded, so the experts' matrices are counted as many
as can be needed: the fewer of experts and routed rows. Padding of the rows to blocks is not counted.

Vector FLOPs of a fused layer: 3 per element between the products for a gated activation (a sigmoid, two
multiplications), 1 without a gate; and 2 per element of what the second product gives (times the router's
weight, added to the token's sum).
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.engine_matmul import marlin_sizes
from tracekit.costs.formulas.operands import (
    FLOAT4_PAIR,
    is_integer,
    of_size,
    read_bytes,
    scalars,
)
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total


def experts_read(call: Call, index: int, rows: int) -> int | None:
    """Bytes of the experts' matrices [experts, …] that are input `index`, as many as `rows` rows can meet."""
    shape = call.shape(index)
    return of_size(min(shape[0], rows) * prod(shape[1:]), call.element_bytes(index))


@register(
    "vllm::fused_moe",
    "vllm::inplace_fused_experts",
    "vllm::outplace_fused_experts",
    "sglang::inplace_fused_experts",
    "sglang::outplace_fused_experts",
    "aiter::fused_moe_",
    "vllm::rocm_aiter_fused_moe",
)
def fused_experts(call: Call) -> Cost:
    """(hidden [tokens, h], w1 [experts, 2·inner, h], w2 [experts, h, inner], weights, ids [tokens, top-k]).

    Without a gate w1 has `inner` rows. Weights of 4 bits are packed along their last axis: how many to an
    element, h of `hidden` tells. With weights of 8 bits the rows are turned to their type first. vLLM,
    layers/fused_moe/fused_moe.py; SGLang, layers/moe/fused_moe_triton/fused_moe.py; aiter/fused_moe.py.
    """
    tokens, hidden = call.shape(0, 2)
    experts, rows_1, packed = call.shape(1, 3)
    experts_2, hidden_2, packed_inner = call.shape(2, 3)
    top_k = call.shape(4, 2)[1]
    if experts != experts_2 or hidden_2 != hidden or not packed or hidden % packed:
        raise UnknownCostError
    inner = packed_inner * (hidden // packed)
    if rows_1 not in (inner, 2 * inner):
        raise UnknownCostError
    routed = tokens * top_k
    traffic = total(
        read_bytes(call, 0, 3, 4),
        experts_read(call, 1, routed),
        experts_read(call, 2, routed),
        of_size(tokens * hidden, call.element_bytes(0)),
    )
    return Cost(
        matrix=2 * routed * hidden * (rows_1 + inner),
        bytes=traffic,
        dtype=call.dtype(1) if packed == hidden and call.element_bytes(1) == 1 else call.dtype(0),
        vector=routed * (inner * (3 if rows_1 == 2 * inner else 1) + 2 * hidden),
    )


def _grouped(call: Call, out: int, a: int, b: int, packed: int = 1, dtype: str | None = None) -> Cost:
    """Routed rows `a` [rows, k] with an expert each of `b` into `out` [rows, n]; one scaling per output."""
    (rows, n), (rows_a, k) = call.shape(out, 2), call.shape(a, 2)
    weights: Shape = call.shape(b, 3)
    if rows != rows_a or n not in weights[1:]:
        raise UnknownCostError
    traffic = total(read_bytes(call, a), experts_read(call, b, rows), read_bytes(call, out))
    return Cost(2 * rows * n * k * packed, traffic, dtype or call.dtype(a), rows * n)


@register("_C::cutlass_moe_mm")
def cutlass_moe_mm(call: Call) -> Cost:
    """(out [rows, n], a [rows, k], b [experts, …], a_scales, b_scales, …): vLLM, csrc/torch_bindings.cpp"""
    return _grouped(call, 0, 1, 2)


@register("_C::cutlass_fp4_group_mm", "sgl_kernel::cutlass_fp4_group_mm")
def cutlass_fp4_group_mm(call: Call) -> Cost:
    """(out [rows, n], a [rows, k/2], b [experts, n, k/2], …), two numbers in each byte of a and b.

    vLLM, csrc/torch_bindings.cpp; SGLang, sgl-kernel/csrc/common_extension.cc.
    """
    return _grouped(call, 0, 1, 2, packed=2, dtype=FLOAT4_PAIR)


@register("sgl_kernel::fp8_blockwise_scaled_grouped_mm")
def fp8_blockwise_scaled_grouped_mm(call: Call) -> Cost:
    """(out, five of pointers, a [rows, k], b [experts, …], …): SGLang, sgl-kernel/csrc/common_extension.cc"""
    return _grouped(call, 0, 6, 7)


@register("sgl_kernel::cutlass_w4a8_moe_mm")
def cutlass_w4a8_moe_mm(call: Call) -> Cost:
    """(d [rows, n], a [rows, k], b [experts, n, k/2], …): SGLang, sgl-kernel/csrc/common_extension.cc"""
    return _grouped(call, 0, 1, 2)


@register(
    "_moe_C::moe_wna16_marlin_gemm",
    "sgl_kernel::moe_wna16_marlin_gemm",
    "gptqmodel_marlin_moe::moe_wna16_marlin_gemm",
)
def moe_wna16_marlin_gemm(call: Call) -> Cost:
    """(a [m, k], c, weights [experts, …], …, moe_block_size, top_k, mul_topk_weights, …, m, n, k, …).

    Every row of `a` goes to `top_k` experts: the second product of a layer has a row for each expert already
    and a `top_k` of 1. vLLM, csrc/moe/torch_bindings.cpp; SGLang, sgl-kernel/csrc/common_extension.cc.
    """
    m, n, k, at = marlin_sizes(call)
    values = scalars(call)
    # Before the sizes, one type further: (block size, top-k, a bool) are the first two integers and a bool.
    top_k = next(
        (
            values[i + 1]
            for i in range(at - 2)
            if is_integer(values[i]) and is_integer(values[i + 1]) and isinstance(values[i + 2], bool)
        ),
        None,
    )
    if top_k is None or call.shape(0, 2) != (m, k):
        raise UnknownCostError
    routed = m * top_k
    traffic = total(
        read_bytes(call, 0),
        experts_read(call, 2, routed),
        of_size(routed * n, call.element_bytes(0)),
    )
    return Cost(2 * routed * n * k, traffic, call.dtype(0), min(call.shape(2)[0], routed) * n * k)
