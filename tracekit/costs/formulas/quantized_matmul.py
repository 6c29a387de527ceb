"""Torch's own products of quantized matrices: 2·m·n·k FLOPs, of the matrices as they were before packing.

Scales and zero points are read as they were passed. Vector FLOPs, at least: one multiplication by a scale for
every output, or one for every weight (two with zero points) where weights are turned back before the product;
one addition per output for a bias. Those of engines and of quantization libraries stand in `engine_matmul`.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.matmul import grouped_product, product
from tracekit.costs.formulas.operands import of_size, out_dtype_bytes, present, read_bytes
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

# Bytes of a scale by the number of a `torch.nn.functional.ScalingType`: fp32, but e4m3 for blocks of 16
# elements and e8m0 for blocks of 32.
_SCALE_BYTES = {0: 4, 1: 4, 2: 1, 3: 1, 4: 4, 5: 4}


@register("aten::_scaled_mm", "aten::_scaled_mm.out")
def scaled_mm(call: Call) -> Cost:
    """(self [m, k], mat2 [k, n], scale_a, scale_b, bias, scale_result, out_dtype, use_fast_accum, out)

    Without `out_dtype` the result has the type of `self`.
    """
    element = out_dtype_bytes(call, 6, call.element_bytes(0))
    per_output = 1 + present(call, 4)
    shapes = call.shape(0, 2), call.shape(1, 2)
    return product(call, 0, 1, *shapes, element, 2, 3, 4, 5, vector_per_output=per_output)


def _scale_list_bytes(call: Call, scales: int) -> int | None:
    """Bytes of a list of scales, whose kinds are the next input."""
    kinds = call.value(scales + 1)
    sizes = [_SCALE_BYTES.get(kind) for kind in kinds]
    return total(*map(of_size, map(prod, call.shape_list(scales)), sizes))


@register("aten::_scaled_mm_v2")
def scaled_mm_v2(call: Call) -> Cost:
    """(self, mat2, scale_a[], recipe_a[], swizzle_a[], scale_b[], recipe_b[], swizzle_b[], bias, out_dtype)

    The recipes name the kinds of scales, `torch.nn.functional.ScalingType`.
    """
    element = out_dtype_bytes(call, 9, call.element_bytes(0))
    per_output = 1 + present(call, 8)
    shapes = call.shape(0, 2), call.shape(1, 2)
    cost = product(call, 0, 1, *shapes, element, 8, vector_per_output=per_output)
    return Cost(cost.matrix, _with_scales(call, cost.bytes, 2, 5), cost.dtype, cost.vector)


def _with_scales(call: Call, size: int | None, *scales: int) -> int | None:
    try:
        return total(size, *(_scale_list_bytes(call, index) for index in scales))
    except (UnknownCostError, TypeError):
        return None


@register("aten::_scaled_grouped_mm")
def scaled_grouped_mm(call: Call) -> Cost:
    """(self, mat2, scale_a, scale_b, offs, bias, scale_result, out_dtype, …), groups as in `grouped_mm`.

    Without `out_dtype` the result is bf16.
    """
    return grouped_product(call, 4, 5, out_dtype_bytes(call, 7, 2), 2, 3, 6, vector_per_output=1)


@register("aten::_scaled_grouped_mm_v2")
def scaled_grouped_mm_v2(call: Call) -> Cost:
    """(self, mat2, scale_a[], recipe_a[], swizzle_a[], scale_b[], recipe_b[], swizzle_b[], offs, bias,
    out_dtype, …), as `scaled_grouped_mm`"""
    cost = grouped_product(call, 8, 9, out_dtype_bytes(call, 10, 2), vector_per_output=1)
    return Cost(cost.matrix, _with_scales(call, cost.bytes, 2, 5), cost.dtype, cost.vector)


def weight_only(
    call: Call, x: int, m: int, n: int, k: int, out_element: int | None, *read: int, vector: int = 0
) -> Cost:
    """[m, k] @ [k, n] of the activations, input `x`, with packed weights, which are among the inputs `read`.

    The product is made of activations and weights that were turned into their type, which is the cost's.
    """
    return Cost(
        2 * m * n * k,
        total(read_bytes(call, x, *read), of_size(m * n, out_element)),
        call.dtype(x),
        vector,
    )


@register("aten::_weight_int4pack_mm", "aten::_weight_int4pack_mm_for_cpu")
def weight_int4pack_mm(call: Call) -> Cost:
    """(self [m, k], packed weights, group size, scales and zeros [k/group, n, 2]).

    A zero point subtracted and a scale multiplied for every weight: 2.
    """
    (m, k), n = call.shape(0, 2), call.shape(3, 3)[1]
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 3, vector=2 * n * k)


@register("aten::_weight_int4pack_mm_with_scales_and_zeros")
def weight_int4pack_mm_with_scales_and_zeros(call: Call) -> Cost:
    """(self [m, k], packed weights [n, …], group size, scales, zeros), counted as `weight_int4pack_mm`"""
    (m, k), n = call.shape(0, 2), call.shape(1, 2)[0]
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 3, 4, vector=2 * n * k)


@register("aten::_weight_int8pack_mm")
def weight_int8pack_mm(call: Call) -> Cost:
    """(self [m, k], weights [n, k], scales [n]): every output times the scale of its column"""
    (m, k), (n, k_weight) = call.shape(0, 2), call.shape(1, 2)
    if k != k_weight:
        raise UnknownCostError
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 2, vector=m * n)


@register("aten::_dyn_quant_matmul_4bit")
def dyn_quant_matmul_4bit(call: Call) -> Cost:
    """(input [m, k], packed weights with their scales, block size, k, n).

    The input is quantized within: a comparison for its range and a multiplication for each element.
    """
    (*rows, k), n = call.shape(0), call.value(4)
    if k != call.value(3):
        raise UnknownCostError
    m = prod(rows)
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, vector=2 * m * k + m * n)


@register("quantized::linear_dynamic_fp16_unpacked_weight", "onednn::linear_dynamic_fp16")
def linear_of_unpacked_weight(call: Call) -> Cost:
    """(X […, k], weight, bias); fbgemm's weight is [n, k], that of oneDNN [k, n] after packing.

    The other `quantized::linear…` take their weights as an object, of which a trace holds no shape.
    """
    *rows, k = call.shape(0)
    first, second = call.shape(1, 2)
    n = first if second == k else second
    if k not in (first, second):
        raise UnknownCostError
    m = prod(rows)
    vector = m * n * present(call, 2)
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 2, vector=vector)
