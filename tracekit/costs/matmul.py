"""Matrix products: 2·m·n·k FLOPs, no bias add, as `torch.utils.flop_counter` counts them."""

from __future__ import annotations

from itertools import zip_longest
from math import prod

from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, tensor_bytes, total


def gemm(call: Call, a: int, b: int, shape_a: Shape, shape_b: Shape) -> Cost:
    """The cost of [batch…, m, k] @ [batch…, k, n], whose operands are inputs `a` and `b` of the call."""
    *batch_a, m, k = shape_a
    *batch_b, k_b, n = shape_b
    if k != k_b:
        raise UnknownCostError
    # Batch dimensions broadcast from the right, as in numpy.
    batch = prod(max(x, y) for x, y in zip_longest(reversed(batch_a), reversed(batch_b), fillvalue=1))
    element = call.element_bytes(a)
    written = None if element is None else batch * m * n * element
    return Cost(
        matrix=2 * batch * m * n * k,
        bytes=total(tensor_bytes(call, a), tensor_bytes(call, b), written),
        dtype=call.dtype(a),
    )


@register("aten::mm", "aten::mm.out", "aten::_int_mm", "aten::_scaled_mm", "aten::_scaled_mm_v2")
def mm(call: Call) -> Cost:
    return gemm(call, 0, 1, call.shape(0, 2), call.shape(1, 2))


@register("aten::addmm", "aten::addmm.out", "aten::_addmm_activation")
def addmm(call: Call) -> Cost:
    return gemm(call, 1, 2, call.shape(1, 2), call.shape(2, 2))


@register("aten::bmm", "aten::bmm.out")
def bmm(call: Call) -> Cost:
    return gemm(call, 0, 1, call.shape(0, 3), call.shape(1, 3))


@register("aten::baddbmm", "aten::baddbmm.out", "aten::addbmm")
def baddbmm(call: Call) -> Cost:
    return gemm(call, 1, 2, call.shape(1, 3), call.shape(2, 3))


@register("aten::_grouped_mm", "aten::_scaled_grouped_mm")
def grouped_mm(call: Call) -> Cost:
    """Groups of rows times a matrix each: every row meets one [k, n] matrix, whatever the group sizes.

    2-D × 3-D: [tokens, k] × [groups, k, n]; 3-D × 3-D: as bmm; 2-D × 2-D, grouped along k:
    [m, k] × [k, n] → [groups, m, n], every k counted once.
    """
    a, b = call.shape(0), call.shape(1)
    if len(a) == 2 and len(b) == 3:
        a, b = a, b[1:]
    elif len(a) == 3 and len(b) == 2:
        a, b = a[1:], b
    cost = gemm(call, 0, 1, a, b)
    return Cost(cost.matrix, None, cost.dtype)


@register(
    "aten::linear", "aten::mkldnn_linear", "aten::_mkldnn_linear", "mkldnn::_linear_pointwise", wrapper=True
)
def linear(call: Call) -> Cost:
    """[…, k] @ [n, k]ᵀ."""
    *rows, k = call.shape(0)
    n, k_weight = call.shape(1, 2)
    return gemm(call, 0, 1, (prod(rows), k), (k_weight, n))


@register("aten::matmul", "aten::matmul.out", wrapper=True)
def matmul(call: Call) -> Cost:
    """As numpy: vectors count as one row or one column; batches broadcast."""
    a, b = call.shape(0), call.shape(1)
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    if len(b) == 2 and len(a) > 2:
        a = (prod(a[:-1]), a[-1])
    return gemm(call, 0, 1, a, b)
