"""Ops of recommendation models: FBGEMM's embedding lookups, sparse features, quantised communication.

Signatures are those of pytorch/FBGEMM (fbgemm_gpu/src/sparse_ops, quantize_ops, split_embeddings_utils and
the generated lookup functions). Much of what these ops move is data (lengths, placements, which rows are
cached): where the size cannot be known, what is proven to be moved counts, and the docstring says so.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import elements
from tracekit.costs.formulas.traffic import moved, size
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

_SCALE_AND_BIAS = 8  # bytes of the two floats at the end of a row that is quantised to 8 bits


@register("fbgemm::FloatToFP8RowwiseQuantized")
def to_fp8_rows(call: Call) -> Cost:
    """(input [rows, d], forward) → bytes [rows, d up to a multiple of 4, + 8].

    Absolute value, max, scale: 3 an element.
    """
    *rows, columns = call.shape(0)
    written = prod(rows) * ((columns + 3) // 4 * 4 + _SCALE_AND_BIAS)
    return Cost(bytes=total(moved(call, 0), written), dtype=call.dtype(0), vector=3 * elements(call, 0))


@register("fbgemm::FP8RowwiseQuantizedToFloat")
def from_fp8_rows(call: Call) -> Cost:
    """(input, bytes [rows, d + 8], forward, …) → float [rows, d]: one product an element."""
    *rows, columns = call.shape(0)
    if columns <= _SCALE_AND_BIAS:
        raise UnknownCostError
    count = prod(rows) * (columns - _SCALE_AND_BIAS)
    return Cost(bytes=total(moved(call, 0), 4 * count), dtype="float", vector=count)


@register("fbgemm::FloatToHFP8Quantized")
def to_hybrid_fp8(call: Call) -> Cost:
    """(input, exponent bits, bias, largest value) → a byte each: a comparison and a product an element."""
    count = elements(call, 0)
    return Cost(bytes=total(moved(call, 0), count), dtype=call.dtype(0), vector=2 * count)


@register("fbgemm::HFP8QuantizedToFloat")
def from_hybrid_fp8(call: Call) -> Cost:
    """(input, bytes, exponent bits, bias) → float: one product an element."""
    count = elements(call, 0)
    return Cost(bytes=total(moved(call, 0), 4 * count), dtype="float", vector=count)


@register("fbgemm::permute_2D_sparse_data", "fbgemm::permute_sparse_features")
def permute_sparse_data(call: Call) -> Cost:
    """(permute [p], lengths [t, b], indices [n], weights [n] or None, how many indices it gives or None).

    Lengths of p features are read and written, and their indices and weights. How many those are is data
    unless it is given; if p ≥ t, all n are counted once, as if every feature was taken at least once, else
    none.
    """
    permuted, (features, batch) = elements(call, 0), call.shape(1, 2)
    of_lengths = call.element_bytes(1)
    lengths = None if of_lengths is None else 2 * permuted * batch * of_lengths
    element = total(*(call.element_bytes(index) for index in (2, 3) if call.dtype(index)))
    if len(call.values) > 4 and call.values[4]:
        count = size(call, 4)
    else:
        count = elements(call, 2) if permuted >= features else 0
    carried = None if element is None else 2 * count * element
    return Cost(bytes=total(moved(call, 0), lengths, carried), dtype=call.dtype(2))


@register("fbgemm::permute_pooled_embs_auto_grad", "fbgemm::permute_pooled_embs")
def permute_pooled_embeddings(call: Call) -> Cost:
    """(pooled [batch, total d], offsets, permutation, inverse offsets, inverse permutation) → like pooled"""
    return Cost(bytes=moved(call, 0, 0, 1, 2, 3, 4), dtype=call.dtype(0))


@register("torch::autograd::CppNode<fbgemm_gpu::PermutePooledEmbsFunction*")
def permute_pooled_embeddings_backward(call: Call) -> Cost:
    """(gradient): permuted back."""
    return Cost(bytes=moved(call, 0, 0), dtype=call.dtype(0))


@register("fbgemm::bounds_check_indices", "fb::bounds_check_indices")
def check_bounds(call: Call) -> Cost:
    """(rows of tables, indices, offsets, mode, …): two comparisons an index; only wrong ones are written."""
    return Cost(bytes=moved(call, 0, 1, 2), dtype=call.dtype(1), vector=2 * elements(call, 1))


@register(
    "fbgemm::asynchronous_complete_cumsum",
    "fbgemm::asynchronous_inclusive_cumsum",
    "fbgemm::asynchronous_exclusive_cumsum",
    "fb::asynchronous_complete_cumsum",
)
def running_sum(call: Call) -> Cost:
    """(lengths [n]) → [n + 1] (complete) or [n]"""
    written = moved(call, 0)
    if "complete" in call.name:
        written = total(written, call.element_bytes(0))
    return Cost(bytes=total(moved(call, 0), written), dtype=call.dtype(0), vector=elements(call, 0))


@register("fbgemm::lengths_range", "fb::lengths_range*")
def ranges_of_lengths(call: Call) -> Cost:
    """(lengths [n], …) → as many numbers as the lengths sum up to, which is data: proven is that the
    lengths are read."""
    return Cost(bytes=moved(call, 0), dtype=call.dtype(0))


@register("fb::offsets_range")
def ranges_of_offsets(call: Call) -> Cost:
    """(offsets, ranges): as recorded; each is read or written once."""
    return Cost(bytes=moved(call, 0, 1), dtype=call.dtype(0))


@register(
    "fbgemm::jagged_to_padded_dense", "fbgemm::jagged_to_padded_dense_forward", "fbgemm::jagged_2d_to_dense"
)
def jagged_to_dense(call: Call) -> Cost:
    """(values [n, …], offsets of each jagged dimension, longest lengths, …) → [batch, longest…, …].

    Rows beyond the longest length are not read, so no more is read than is written.
    """
    values = call.shape(0)
    (offsets,) = call.shape_list(1)[0] if call.dtype(1) == "TensorList" else call.shape(1, 1)
    longest = call.value(2)
    sizes = longest if isinstance(longest, list) else [longest]
    element = call.element_bytes(0)
    if not offsets or element is None or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise UnknownCostError
    written = (offsets - 1) * prod(sizes) * prod(values[1:])
    return Cost(bytes=(min(prod(values), written) + written) * element, dtype=call.dtype(0))


@register("fbgemm::jagged_dense_elementwise_add_jagged_output")
def add_dense_to_jagged(call: Call) -> Cost:
    """(values, offsets, dense) → like values; of dense only what stands beside a value is read."""
    return Cost(bytes=moved(call, 0, 0, 0), dtype=call.dtype(0), vector=elements(call, 0))


@register(
    *(
        f"fbgemm::split_embedding_codegen_lookup_{optimizer}_function"
        for optimizer in (
            "adagrad",
            "adam",
            "lamb",
            "lars_sgd",
            "partial_rowwise_adam",
            "rowwise_adagrad",
            "sgd",
        )
    )
)
def embedding_lookup(call: Call) -> Cost:
    """(placeholder, weights on the device, in unified memory, cached; placements [t], offsets of the weights,
    offsets of the widths, sum of the widths, largest width, …, indices [n] (11), offsets of the bags
    [t·b + 1] (12), pooling mode (sum 0, mean 1, none 2), weights of the indices or None (14), …): t tables,
    b samples.

    Of the tables only n rows are read. Their widths are data, unless there is one table or all are as wide
    as the largest; then reading n rows, adding them up (weighted) and writing b bags of all tables (without
    pooling n rows) in float32 counts. Otherwise only what is proven: that the indices, their weights and
    the bags' offsets are read.
    """
    proven = total(moved(call, 11, 12, 14))
    try:
        tables, total_width, largest = elements(call, 4), size(call, 7), size(call, 8)
        pooled = call.value(13) != 2
    except UnknownCostError:
        return Cost(bytes=proven, dtype=call.dtype(1), partial=True)
    if not tables or (tables != 1 and largest * tables != total_width):
        return Cost(bytes=proven, dtype=call.dtype(1), partial=True)
    gathered = elements(call, 11) * (total_width // tables)
    bags = max(0, elements(call, 12) - 1) // tables * total_width
    weights = 1 if elements(call, 1) else 2
    element = call.element_bytes(weights)
    read = None if element is None else gathered * element
    per_element = int(pooled) + bool(call.dtype(14))
    return Cost(
        bytes=total(proven, read, 4 * (bags if pooled else gathered)),
        dtype=call.dtype(weights),
        vector=per_element * gathered,
    )


@register("torch::autograd::CppNode<SplitLookupFunction*")
def embedding_lookup_backward(call: Call) -> Cost:
    """(gradient [b, sum of widths]): proven is that it is read. The optimizer's step on the rows that were
    looked up, which this op also makes, is not counted: neither rows nor widths are recorded with it."""
    return Cost(bytes=moved(call, 0), dtype=call.dtype(0), partial=True)
