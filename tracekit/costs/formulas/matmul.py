"""Matrix products of torch: 2·m·n·k FLOPs, as `torch.utils.flop_counter` counts them.

Adding a bias or another matrix, scaling and activations are vector FLOPs. A product of a matrix and a vector
(`mv`, `dot`) has no matrix FLOPs, as in `flop_counter`. Quantized products stand in `quantized_matmul`.
"""

from __future__ import annotations

from itertools import zip_longest
from math import prod

from tracekit.costs.formulas.operands import (
    FLOAT4_PAIR,
    of_size,
    out_dtype_bytes,
    present,
    read_bytes,
    scalar,
)
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total


def product(
    call: Call,
    a: int,
    b: int,
    shape_a: Shape,
    shape_b: Shape,
    out_element: int | None,
    *also_read: int,
    vector_per_output: int = 0,
) -> Cost:
    """The cost of [batch…, m, k] @ [batch…, k, n] whose operands are inputs `a` and `b` of the call.

    The result's elements have `out_element` bytes; of each, `vector_per_output` vector FLOPs are made, and
    the inputs `also_read` (bias, scales) are read whole. Batch dimensions broadcast from the right, as in
    numpy.
    """
    *batch_a, m, k = shape_a
    *batch_b, k_b, n = shape_b
    if k != k_b:
        raise UnknownCostError
    batch = prod(max(x, y) for x, y in zip_longest(reversed(batch_a), reversed(batch_b), fillvalue=1))
    outputs = batch * m * n
    if call.dtype(a) == FLOAT4_PAIR:
        k *= 2
    return Cost(
        matrix=2 * outputs * k,
        bytes=total(read_bytes(call, a, b, *also_read), of_size(outputs, out_element)),
        dtype=call.dtype(a),
        vector=vector_per_output * outputs,
    )


def _result_element(call: Call, index: int) -> int | None:
    """Of a product with a last input `index` that may be `out`, or the number of the result's type."""
    if call.is_tensor(index):
        return call.element_bytes(index)
    return out_dtype_bytes(call, index, call.element_bytes(0))


@register("aten::mm", "aten::mm.out")
def mm(call: Call) -> Cost:
    """(self [m, k], mat2 [k, n], out or out_dtype)"""
    return product(call, 0, 1, call.shape(0, 2), call.shape(1, 2), _result_element(call, 2))


@register("aten::bmm", "aten::bmm.out")
def bmm(call: Call) -> Cost:
    """(self [b, m, k], mat2 [b, k, n], out or out_dtype)"""
    return product(call, 0, 1, call.shape(0, 3), call.shape(1, 3), _result_element(call, 2))


def _added(call: Call, rank: int, scalars_at: int = 3) -> Cost:
    """β·self + α·(mat1 @ mat2): `self` is read at its own size, unless β is 0.

    One vector FLOP per output for the addition, one for each of α and β that is not 1 (nor 0).
    """
    beta, alpha = scalar(call, scalars_at, 1), scalar(call, scalars_at + 1, 1)
    per_output = (beta != 0) + (beta not in (0, 1)) + (alpha != 1)
    read = (0,) if beta != 0 else ()
    return product(
        call,
        1,
        2,
        call.shape(1, rank),
        call.shape(2, rank),
        call.element_bytes(0),
        *read,
        vector_per_output=per_output,
    )


def _typed(call: Call) -> int:
    """Where β stands: after the result's type in the overloads that have one."""
    return 4 if call.dtype(5) == "Scalar" else 3


@register("aten::addmm", "aten::addmm.out", "aten::addmm_")
def addmm(call: Call) -> Cost:
    """(self, mat1 [m, k], mat2 [k, n], β, α, out), or with out_dtype before β"""
    at = _typed(call)
    cost = _added(call, 2, at)
    if at == 3:
        return cost
    operand = call.element_bytes(0)
    wider = out_dtype_bytes(call, 3, operand)
    if cost.bytes is None or operand is None or wider is None:
        return Cost(cost.matrix, None, cost.dtype, cost.vector)
    outputs = call.shape(1)[0] * call.shape(2)[1]
    return Cost(cost.matrix, cost.bytes + outputs * (wider - operand), cost.dtype, cost.vector)


@register("aten::_addmm_activation")
def addmm_activation(call: Call) -> Cost:
    """(self, mat1, mat2, β, α, use_gelu): one more comparison per output for ReLU.

    GELU by its tanh form, as the epilogue of cuBLASLt computes it, takes 8: x + 0.044715·x³ (4), scaled (1),
    tanh (1), plus one (1), times half of x (1; the half of x is counted with the scaling).
    """
    cost = _added(call, 2)
    outputs = call.shape(1)[0] * call.shape(2)[1]
    activation = 8 if scalar(call, 5, False) else 1
    return Cost(cost.matrix, cost.bytes, cost.dtype, cost.vector + activation * outputs)


@register("aten::baddbmm", "aten::baddbmm.out", "aten::baddbmm_")
def baddbmm(call: Call) -> Cost:
    """(self, batch1 [b, m, k], batch2 [b, k, n], β, α)"""
    return _added(call, 3, _typed(call))


@register("aten::addbmm", "aten::addbmm.out", "aten::addbmm_")
def addbmm(call: Call) -> Cost:
    """(self, batch1 [b, m, k], batch2 [b, k, n], β, α): β·self + α·Σ of the products, one [m, n] matrix.

    It is computed as the one product [m, b·k] @ [b·k, n] is.
    """
    batch, m, k = call.shape(1, 3)
    batch_b, k_b, n = call.shape(2, 3)
    if batch != batch_b or k != k_b:
        raise UnknownCostError
    beta, alpha = scalar(call, 3, 1), scalar(call, 4, 1)
    per_output = (beta != 0) + (beta not in (0, 1)) + (alpha != 1)
    read = (0,) if beta != 0 else ()
    element = call.element_bytes(0)
    shapes = (m, batch * k), (batch * k, n)
    return product(call, 1, 2, *shapes, element, *read, vector_per_output=per_output)


@register("aten::_int_mm", "aten::_int_mm.out")
def int_mm(call: Call) -> Cost:
    """int8 [m, k] @ [k, n] → int32"""
    return product(call, 0, 1, call.shape(0, 2), call.shape(1, 2), 4)


@register("aten::_grouped_mm")
def grouped_mm(call: Call) -> Cost:
    """(self, mat2, offs, bias, out_dtype): groups of rows times a matrix each, whatever the group sizes.

    2-D × 3-D: [tokens, k] × [groups, k, n]; 3-D × 2-D: [groups, m, k] × [k, tokens]; 3-D × 3-D: as bmm;
    2-D × 2-D, grouped along k: [m, k] × [k, n] → [groups, m, n], every k counted once.

    A group without rows needs no matrix. Which groups have rows is not recorded, so as many matrices are
    read as can have: the fewer of groups and rows.
    """
    return grouped_product(call, 2, 3, out_dtype_bytes(call, 4, call.element_bytes(0)))


def grouped_product(
    call: Call, offsets: int, bias: int, out_element: int | None, *also_read: int, vector_per_output: int = 0
) -> Cost:
    """As `grouped_mm`, with the offsets and the bias as inputs of these positions."""
    a, b = call.shape(0), call.shape(1)
    k = a[-1]
    if b[-2] != k:
        raise UnknownCostError
    pair = 2 if call.dtype(0) == FLOAT4_PAIR else 1
    outputs = prod(a[:-1]) * b[-1]
    reads = [_groups_read(call, 0, b[-1] if len(b) == 2 else a[-2])]
    reads.append(_groups_read(call, 1, a[0] if len(a) == 2 else b[-1]))
    written = outputs
    if len(a) == 2 and len(b) == 2:
        reads = [read_bytes(call, 0), read_bytes(call, 1)]
        written *= call.shape(offsets, 1)[0]
    elif len(a) == 3 and len(b) == 3:
        reads = [read_bytes(call, 0), read_bytes(call, 1)]
    per_output = vector_per_output + present(call, bias)
    return Cost(
        matrix=2 * outputs * k * pair,
        bytes=total(*reads, read_bytes(call, offsets, bias, *also_read), of_size(written, out_element)),
        dtype=call.dtype(0),
        vector=per_output * written,
    )


def _groups_read(call: Call, index: int, rows: int) -> int | None:
    """Bytes of the matrices of input `index` that `rows` rows of other groups can meet; all of a 2-D one."""
    shape = call.shape(index)
    if len(shape) != 3:
        return read_bytes(call, index)
    return of_size(min(shape[0], rows) * shape[1] * shape[2], call.element_bytes(index))


@register("aten::linear", "aten::mkldnn_linear", wrapper=True)
def linear(call: Call) -> Cost:
    """(input […, k], weight [n, k], bias [n]); a weight without rows, [k], makes a product with a vector"""
    shape, weight = call.shape(0), call.shape(1)
    if len(weight) == 1:
        return matrix_times_vector(call, shape, weight)
    *rows, k = shape
    n, k_weight = call.shape(1, 2)
    shapes = (prod(rows), k), (k_weight, n)
    element, biased = call.element_bytes(0), present(call, 2)
    return product(call, 0, 1, *shapes, element, 2, vector_per_output=int(biased))


@register("mkldnn::_linear_pointwise")
def linear_pointwise(call: Call) -> Cost:
    """(X […, k], W [n, k], B, attr, …), or with another tensor to add after X: (X, other, W, B, attr).

    One vector FLOP per output for each of bias and other; those of `attr`, an activation, are not counted.
    """
    weight = 2 if call.is_tensor(2) and len(call.shape(2)) == 2 else 1
    *rows, k = call.shape(0)
    n, k_weight = call.shape(weight, 2)
    biased = present(call, weight + 1)
    also_read = [weight + 1] if weight == 1 else [1, weight + 1]
    shapes = (prod(rows), k), (k_weight, n)
    per_output = biased + (weight == 2)
    element = call.element_bytes(0)
    return product(call, 0, weight, *shapes, element, *also_read, vector_per_output=per_output)


def matrix_times_vector(call: Call, matrix: Shape, vector: Shape) -> Cost:
    """[…, k] · [k], inputs 0 and 1: no matrix FLOPs, as in `flop_counter`, but 2 vector FLOPs per product."""
    if matrix[-1] != vector[0]:
        raise UnknownCostError
    written = of_size(prod(matrix[:-1]), call.element_bytes(0))
    return Cost(bytes=total(read_bytes(call, 0, 1), written), dtype=call.dtype(0), vector=2 * prod(matrix))


@register("aten::matmul", "aten::matmul.out", wrapper=True)
def matmul(call: Call) -> Cost:
    """As numpy: a vector counts as one row or one column; batches broadcast.

    torch makes `mm` or `bmm` of a vector times a matrix, and `mv` or `dot` of anything times a vector.
    """
    a, b = call.shape(0), call.shape(1)
    if len(b) == 1:
        return matrix_times_vector(call, a, b)
    a = (1, *a) if len(a) == 1 else a
    if len(b) == 2 and len(a) > 2:
        a = (prod(a[:-1]), a[-1])
    return product(call, 0, 1, a, b, call.element_bytes(0))


@register("aten::linear_backward", "aten::mkldnn_linear_backward", wrapper=True)
def linear_backward(call: Call) -> Cost:
    """(self […, k], grad_output […, n], weight [n, k], output_mask): a product for each gradient asked for.

    The bias's gradient takes an addition of each element of grad_output.
    """
    x, grad, (n, k) = call.shape(0), call.shape(1), call.shape(2, 2)
    rows = prod(x[:-1])
    if x[-1] != k or prod(grad) != rows * n:
        raise UnknownCostError
    wants_input, wants_weight, wants_bias = call.value(3)
    element = call.element_bytes(0)
    traffic = [read_bytes(call, 1)]
    if wants_input:
        traffic += [read_bytes(call, 2), read_bytes(call, 0)]
    if wants_weight:
        traffic += [read_bytes(call, 0), read_bytes(call, 2)]
    if wants_bias:
        traffic.append(of_size(n, element))
    return Cost(
        2 * rows * n * k * (bool(wants_input) + bool(wants_weight)),
        total(*traffic),
        call.dtype(0),
        rows * n * bool(wants_bias),
    )


@register("aten::_sparse_semi_structured_linear")
def sparse_linear(call: Call) -> Cost:
    """(input […, k], weight [n, k/2], meta, bias, activation, out_dtype): half of the weights are zeros.

    Only products with the other half, which the compressed weight holds, are counted: a peak for dense
    matrices then is the bound that the hardware has for them.
    """
    *rows, k = call.shape(0)
    n, half = call.shape(1, 2)
    if 2 * half != k:
        raise UnknownCostError
    outputs = prod(rows) * n
    element = out_dtype_bytes(call, 5, call.element_bytes(0))
    return Cost(
        2 * outputs * half,
        total(read_bytes(call, 0, 1, 2, 3), of_size(outputs, element)),
        call.dtype(0),
        outputs * present(call, 3),
    )


@register("aten::_sparse_semi_structured_mm", "aten::_sparse_semi_structured_addmm")
def sparse_mm(call: Call) -> Cost:
    """(mat1 [m, k/2], meta, mat2 [k, n], out_dtype), counted as `sparse_linear`.

    `addmm` has before them what it adds, of the length m: (input, mat1, meta, mat2, α, β, out_dtype).
    """
    first = int(call.name.endswith("addmm"))
    m, half = call.shape(first, 2)
    k, n = call.shape(first + 2, 2)
    if 2 * half != k:
        raise UnknownCostError
    element = out_dtype_bytes(call, 6 if first else 3, call.element_bytes(first + 2))
    read = read_bytes(call, *range(first + 3))
    return Cost(2 * m * n * half, total(read, of_size(m * n, element)), call.dtype(first), m * n * first)


@register("aten::_cslt_sparse_mm")
def cslt_sparse_mm(call: Call) -> Cost:
    """(compressed_A [m, …], dense_B [k, n], bias [m], alpha, out_dtype, …), counted as `sparse_linear`."""
    m, (k, n) = call.shape(0)[0], call.shape(1, 2)
    element = out_dtype_bytes(call, 4, call.element_bytes(1))
    per_output = present(call, 2) + present(call, 3)
    return Cost(
        2 * m * n * (k // 2),
        total(read_bytes(call, 0, 1, 2, 3), of_size(m * n, element)),
        call.dtype(1),
        m * n * per_output,
    )
