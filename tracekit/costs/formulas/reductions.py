"""Reductions, scans, sorts and softmax: one vector FLOP per input element for each reduction.

Results are as large as the reduced dimensions leave. Where those were not recorded (old traces have no
values), a result counts as one element: the input's traffic is the least, and nearly all.
"""

from __future__ import annotations

from math import log2, prod

from tracekit.costs.formulas.elementwise import SAME, elementwise
from tracekit.costs.formulas.tensors import (
    as_float,
    broadcast,
    bytes_of,
    category,
    dtype_argument,
    elements,
    flag,
    moved,
    number,
    shape_of,
    sized,
    sizes_of,
)
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total


def first_tensor(call: Call) -> int:
    """The index of the first tensor: old TorchScript calls were recorded with what lay below on the stack."""
    for index in range(len(call.dtypes)):
        if call.is_tensor(index):
            return index
    raise UnknownCostError


def remaining(shape: Shape, dims: Shape | None) -> int:
    """Elements that reducing `dims` leaves; all dims where there are none, or where it is unknown which."""
    reduced = {dim % len(shape) for dim in dims} if dims and shape else set(range(len(shape)))
    return prod(size for dim, size in enumerate(shape) if dim not in reduced)


def _dims(call: Call, index: int) -> Shape | None:
    return sizes_of(call, index, ()) if call.dtype(index) in ("Scalar", "ScalarList") else None


def _given(call: Call, start: int) -> str | None:
    """The type of a result that the call was given (`out=`)."""
    given = [call.dtype(i) for i in range(start, len(call.dtypes)) if call.is_tensor(i)]
    return given[0] if given else None


def _reduction(call: Call, flops: int, dims: Shape | None, dtype: str | None, results: int = 1) -> Cost:
    """Reads the input, writes `results` tensors of what the reduction leaves."""
    shape = shape_of(call, 0)
    written = sized(results * remaining(shape, dims), dtype)
    return Cost(vector=flops * prod(shape), bytes=total(bytes_of(call, 0), written), dtype=call.dtype(0))


@register("aten::sum", "aten::prod", "aten::nansum", "aten::mean", "aten::nanmean")
def sum_or_mean(call: Call) -> Cost:
    """(self, [dtype]) or (self, dims, keepdim, [dtype], [out]): 1 per element; sums of integers are long."""
    whole = len(call.dtypes) <= 2
    inferred = call.dtype(0)
    if "mean" not in call.name and category(inferred) < category("float"):
        inferred = "long int"
    dtype = _given(call, 1) or dtype_argument(call, 1 if whole else 3, inferred)
    return _reduction(call, 1, None if whole else _dims(call, 1), dtype)


@register("aten::amax", "aten::amin")
def extremum(call: Call) -> Cost:
    """(self, dims, keepdim): 1 comparison."""
    return _reduction(call, 1, _dims(call, 1), call.dtype(0))


@register("aten::max", "aten::min", "aten::mode", "aten::median", "aten::nanmedian", "aten::kthvalue")
def extremum_with_index(call: Call) -> Cost:
    """(self), (self, other) as `maximum`, or (self, [k], dim, keepdim) → values and long indices.

    1 comparison per element; finding the k-th takes more, by the algorithm.
    """
    at = 2 if call.name == "aten::kthvalue" else 1
    if len(call.dtypes) == 1:
        return _reduction(call, 1, None, call.dtype(0))
    if call.is_tensor(1):
        if len(call.dtypes) == 2 and call.shapes[1] == [0] and shape_of(call, 0):
            return _reduction(call, 1, None, call.dtype(1))  # given its result
        return elementwise(call, 2, 1, SAME)
    values = _reduction(call, 1, _dims(call, at), call.dtype(0))
    indices = sized(remaining(shape_of(call, 0), _dims(call, at)), "long int")
    return Cost(vector=values.vector, bytes=total(values.bytes, indices), dtype=values.dtype)


@register("aten::aminmax", "aten::_aminmax")
def both_extrema(call: Call) -> Cost:
    """(self, dim, keepdim): 2 comparisons."""
    return _reduction(call, 2, _dims(call, 1), call.dtype(0), results=2)


@register("aten::argmax", "aten::argmin")
def index_of_extremum(call: Call) -> Cost:
    """(self, dim, keepdim) → long indices: 1 comparison."""
    return _reduction(call, 1, _dims(call, 1), "long int")


@register("aten::any", "aten::all")
def any_or_all(call: Call) -> Cost:
    """(self, [dims, keepdim]) → bool, of bytes bytes: 1."""
    dtype = "unsigned char" if call.dtype(0) == "unsigned char" else "bool"
    return _reduction(call, 1, _dims(call, 1), dtype)


@register("aten::count_nonzero")
def count_nonzero(call: Call) -> Cost:
    """(self, dims) → long: compare, add: 2."""
    return _reduction(call, 2, _dims(call, 1), "long int")


@register("aten::linalg_vector_norm", "aten::norm")
def norm(call: Call) -> Cost:
    """(self, ord, dims, keepdim, dtype): square (or abs), add: 2."""
    return _reduction(call, 2, _dims(call, 2), dtype_argument(call, 4, call.dtype(0)))


@register("aten::var", "aten::std")
def variance(call: Call) -> Cost:
    """(self, [unbiased]) or (self, dims, correction, keepdim): sum, subtract, square, sum: 4."""
    return _reduction(call, 4, _dims(call, 1) if len(call.dtypes) > 2 else None, call.dtype(0))


@register("aten::var_mean", "aten::std_mean")
def variance_and_mean(call: Call) -> Cost:
    return _reduction(call, 4, _dims(call, 1) if len(call.dtypes) > 2 else None, call.dtype(0), results=2)


@register("aten::dot", "aten::vdot")
def dot(call: Call) -> Cost:
    """Multiply, add: 2 per pair, and vector FLOPs, since `torch.utils.flop_counter` counts no such op."""
    written = sized(1, call.dtype(0))
    return moved(call, 2 * elements(call, 0), bytes_of(call, 0, 1), written)


@register("aten::cumsum", "aten::cumprod", "aten::logcumsumexp", "aten::_logcumsumexp", "aten::cumsum_")
def scan(call: Call) -> Cost:
    """(self, dim, [dtype], [out]): 1 per element; integers become long.

    logcumsumexp: max, subtract, exp, log1p, add: 5.
    """
    at = first_tensor(call)
    count = elements(call, at)
    inferred = call.dtype(at)
    if category(inferred) < category("float") and not call.name.endswith("_"):
        inferred = "long int"
    dtype = _given(call, at + 1) or dtype_argument(call, at + 2, inferred)
    flops = 5 if "log" in call.name else 1
    return moved(call, flops * count, bytes_of(call, at), sized(count, dtype), dtype=call.dtype(at))


@register("aten::_cummax_helper", "aten::_cummin_helper")
def scan_extremum(call: Call) -> Cost:
    """(self, values, indices, dim): 1 comparison; values and indices are written."""
    return moved(call, elements(call, 0), bytes_of(call, 0, 1, 2))


@register("aten::sort", "aten::msort")
def sort(call: Call) -> Cost:
    """(self, [stable], dim, descending) → values and long indices: n · log₂ n comparisons of a row of n."""
    shape = shape_of(call, 0)
    at = 2 if len(call.dtypes) > 3 and not call.is_tensor(3) else 1
    dim = int(number(call, at, -1)) if shape else 0
    row = shape[dim] if shape else 1
    return _sorted(call, prod(shape), row)


def _sorted(call: Call, count: int, row: int) -> Cost:
    comparisons = round(count * log2(row)) if row else 0
    written = total(sized(count, call.dtype(0)), sized(count, "long int"))
    return moved(call, comparisons, bytes_of(call, 0), written)


@register("aten::argsort", wrapper=True)
def argsort(call: Call) -> Cost:
    """Sorts, and keeps the indices."""
    return sort(call)


@register("aten::topk")
def topk(call: Call) -> Cost:
    """(self, k, dim, …) → values and long indices: each element is compared once, at least."""
    shape = shape_of(call, 0)
    k = int(number(call, 1, 1))
    row = shape[int(number(call, 2, -1))] if shape else 1
    count = prod(shape) // max(row, 1) * k
    written = total(sized(count, call.dtype(0)), sized(count, "long int"))
    return moved(call, prod(shape), bytes_of(call, 0), written)


@register("aten::_unique2", "aten::_unique", "aten::unique_dim", "aten::unique_consecutive",
          "aten::nonzero", "aten::bincount", "aten::masked_select", "aten::histc",
          "aten::_histogramdd*")  # fmt: skip
def data_dependent(call: Call) -> Cost:
    """Ops whose result is as large as their data says: 1 comparison per element, the input's traffic."""
    return moved(call, elements(call, 0), bytes_of(call, 0, 1))


@register("aten::searchsorted", "aten::bucketize")
def searchsorted(call: Call) -> Cost:
    """searchsorted(boundaries, values, out_int32), bucketize(values, boundaries, out_int32): ⌈log₂⌉ each."""
    values, boundaries = (1, 0) if call.name == "aten::searchsorted" else (0, 1)
    if call.dtype(values) == "Scalar":
        return moved(call, 0, bytes_of(call, boundaries), 8)
    count, row = elements(call, values), shape_of(call, boundaries)[-1]
    dtype = "int" if flag(call, 2, False) else "long int"
    return moved(call, count * row.bit_length(), bytes_of(call, 0, 1), sized(count, dtype))


@register("aten::_softmax", "aten::_log_softmax", "aten::_safe_softmax")
def softmax(call: Call) -> Cost:
    """(self, dim, half_to_float): max, subtract, exp, sum, divide (log_softmax: subtract): 5."""
    count = elements(call, 0)
    dtype = "float" if call.name != "aten::_safe_softmax" and flag(call, 2, False) else call.dtype(0)
    return moved(call, 5 * count, bytes_of(call, 0), sized(count, _given(call, 1) or dtype))


@register("aten::_masked_softmax")
def masked_softmax(call: Call) -> Cost:
    """(self, mask, …): as softmax; the mask is read too."""
    count = elements(call, 0)
    return moved(call, 5 * count, bytes_of(call, 0, 1), sized(count, call.dtype(0)))


@register("aten::_softmax_backward_data", "aten::_log_softmax_backward_data")
def softmax_backward(call: Call) -> Cost:
    """(grad, output, dim, input_dtype): y · (g − Σ g · y): 4; of log_softmax g − exp(y) · Σ g: 4."""
    count = elements(call, 0)
    dtype = dtype_argument(call, 3, call.dtype(0))
    return moved(call, 4 * count, bytes_of(call, 0, 1), sized(count, dtype), dtype=call.dtype(1))


@register("aten::_masked_softmax_backward")
def masked_softmax_backward(call: Call) -> Cost:
    """(grad, output, mask, dim)"""
    count = elements(call, 0)
    return moved(call, 4 * count, bytes_of(call, 0, 1, 2), sized(count, call.dtype(0)))


@register("aten::trace")
def trace(call: Call) -> Cost:
    """Reads and adds up the diagonal."""
    diagonal = min(call.shape(0, 2))
    return moved(call, diagonal, sized(diagonal, call.dtype(0)), sized(1, call.dtype(0)))


@register("aten::equal")
def equal(call: Call) -> Cost:
    """Compares every pair, and writes nothing to the device's memory."""
    return moved(call, elements(call, 0), bytes_of(call, 0, 1))


@register("aten::_cdist_forward", "aten::_euclidean_dist")
def cdist(call: Call) -> Cost:
    """(x1 […, p, m], x2 […, r, m], …): subtract, abs or square, add per pair of elements: 3."""
    *batch_a, p, m = shape_of(call, 0)
    *batch_b, r, _ = shape_of(call, 1)
    pairs = prod(broadcast([tuple(batch_a), tuple(batch_b)])) * p * r
    return moved(call, 3 * pairs * m, bytes_of(call, 0, 1), sized(pairs, call.dtype(0)))


@register("aten::cosine_similarity", wrapper=True)
def cosine_similarity(call: Call) -> Cost:
    """(x1, x2, dim, eps): three products that are summed: 6 per pair."""
    shape = broadcast([shape_of(call, 0), shape_of(call, 1)])
    written = sized(remaining(shape, _dims(call, 2)), as_float(call.dtype(0)))
    return moved(call, 6 * prod(shape), bytes_of(call, 0, 1), written)


@register("aten::_local_scalar_dense")
def local_scalar(call: Call) -> Cost:
    """Reads one element; the number goes to the host."""
    return moved(call, 0, bytes_of(call, 0) if call.is_tensor(0) else None)
