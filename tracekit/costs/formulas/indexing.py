"""Gathers and scatters: what is picked is read or written, with its indices; a table is not read whole.

Scatters in place read what they add to; those that return a new tensor copy all of it first. A trace does
not record the shapes of index tensors in lists of optional tensors (`x[i, j]`): `index` picks an unknown
number of elements, and `index_put` those that its values tell, at least.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import bytes_of, elements, moved, number, shape_of, sized, text
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total


def _rows_picked(call: Call, dim: int, count: int) -> int:
    """Elements in `count` slices of the first input along its dimension `dim`."""
    shape = shape_of(call, 0)
    return count * (prod(shape) // shape[dim] if shape and shape[dim] else 1)


def _dim(call: Call, index: int) -> int:
    """The recorded dimension; without it 0 of vectors, and unknown of others."""
    return int(number(call, index, 0 if len(shape_of(call, 0)) < 2 else None))


@register("aten::index_select")
def index_select(call: Call) -> Cost:
    """(self, dim, index [n]): n slices are read and written."""
    picked = sized(_rows_picked(call, _dim(call, 1), elements(call, 2)), call.dtype(0))
    return moved(call, 0, picked, bytes_of(call, 2), picked)


@register("aten::embedding", wrapper=True)
def embedding(call: Call) -> Cost:
    """(weight [rows, d], indices, …): the rows of the indices are read and written."""
    picked = sized(_rows_picked(call, 0, elements(call, 1)), call.dtype(0))
    return moved(call, 0, picked, bytes_of(call, 1), picked)


@register("aten::embedding_dense_backward")
def embedding_dense_backward(call: Call) -> Cost:
    """(grad […, d], indices, num_weights, …) → [num_weights, d]: 1 addition per gradient.

    Without the number of rows, as large as the gradients at least are: nothing but what is read.
    """
    grad = shape_of(call, 0)
    written = sized(int(number(call, 2, 0)) * grad[-1], call.dtype(0))
    return moved(call, prod(grad), bytes_of(call, 0, 1), written)


@register("aten::_embedding_bag", "aten::_embedding_bag_forward_only")
def embedding_bag(call: Call) -> Cost:
    """(weight [rows, d], indices, offsets, …) → [bags, d]: 1 addition per element gathered.

    With `include_last_offset` there is a bag less than offsets. The bookkeeping of bags is not counted.
    """
    width = shape_of(call, 0)[-1]
    gathered = elements(call, 1) * width
    last = text(call, 7) == "True"
    bags = sized((elements(call, 2) - last) * width, call.dtype(0))
    read = sized(gathered, call.dtype(0))
    return moved(call, gathered, read, bytes_of(call, 1, 2), bags)


@register("aten::_embedding_bag_dense_backward")
def embedding_bag_dense_backward(call: Call) -> Cost:
    """(grad [bags, d], indices, offset2bag, bag_size, maximum_indices, num_weights, …) → [num_weights, d]."""
    width = shape_of(call, 0)[-1]
    written = sized(int(number(call, 5, 0)) * width, call.dtype(0))
    return moved(call, elements(call, 1) * width, bytes_of(call, 0, 1, 2), written)


@register("aten::embedding_renorm_")
def embedding_renorm(call: Call) -> Cost:
    """(weight, indices, max_norm, norm_type): square, add, multiply: 3 per element of the rows, at most."""
    picked = _rows_picked(call, 0, elements(call, 1))
    size = sized(picked, call.dtype(0))
    return moved(call, 3 * picked, size, bytes_of(call, 1), size)


@register("aten::gather")
def gather(call: Call) -> Cost:
    """(self, dim, index, …): an element for each index."""
    picked = sized(elements(call, 2), call.dtype(0))
    return moved(call, 0, picked, bytes_of(call, 2), picked)


@register("aten::take", "aten::take_along_dim")
def take(call: Call) -> Cost:
    """(self, index, …): an element for each index."""
    picked = sized(elements(call, 1), call.dtype(0))
    return moved(call, 0, picked, bytes_of(call, 1), picked)


@register("aten::index", "aten::_unsafe_index")
def index(call: Call) -> Cost:
    """(self, indices): the number of elements is not recorded: bytes unknown, 0 FLOPs."""
    shape_of(call, 0)
    return Cost(dtype=call.dtype(0))


@register("aten::_index_put_impl_", "aten::_unsafe_index_put")
def index_put(call: Call) -> Cost:
    """(self, indices, values, accumulate, …): values are read and written; accumulated, added: 1.

    Values that are broadcast over the indices, and the indices themselves, come on top.
    """
    accumulates = text(call, 3) == "True"
    values = elements(call, 2)
    touched = sized(values, call.dtype(0))
    return moved(call, values * accumulates, bytes_of(call, 2), touched, touched if accumulates else 0)


@register("aten::index_put_", "aten::index_put", wrapper=True)
def index_put_wrapper(call: Call) -> Cost:
    return index_put(call)


def _scatter(call: Call, picked: int, read: int | None, adds: bool) -> Cost:
    """Into `picked` elements; an op that is not in place copies the first input before."""
    touched = sized(picked, call.dtype(0))
    if call.name.endswith("_"):
        traffic = total(touched, touched) if adds else touched
    else:
        whole = bytes_of(call, 0)
        traffic = total(whole, whole)
    return moved(call, picked * adds, read, traffic)


@register("aten::scatter", "aten::scatter_", "aten::scatter_add", "aten::scatter_add_",
          "aten::scatter_reduce", "aten::scatter_reduce_")  # fmt: skip
def scatter(call: Call) -> Cost:
    """(self, dim, index, src or value, [reduce], …): as many elements of src as index has.

    Adding or another reduction: 1 FLOP each, and the elements are read before they are written.
    """
    picked = elements(call, 2)
    source = sized(picked, call.dtype(3)) if call.is_tensor(3) and shape_of(call, 3) else bytes_of(call, 3)
    names = call.name.removeprefix("aten::").rstrip("_")
    reduces = names != "scatter" or (len(call.dtypes) > 4 and not call.is_tensor(4))
    return _scatter(call, picked, total(bytes_of(call, 2), source), reduces)


@register("aten::index_add", "aten::index_add_", "aten::index_reduce", "aten::index_reduce_")
def index_add(call: Call) -> Cost:
    """(self, dim, index, source, …): 1 FLOP per element of the source."""
    return _scatter(call, elements(call, 3), bytes_of(call, 2, 3), adds=True)


@register("aten::index_copy", "aten::index_copy_")
def index_copy(call: Call) -> Cost:
    """(self, dim, index, source)"""
    return _scatter(call, elements(call, 3), bytes_of(call, 2, 3), adds=False)


@register("aten::index_fill_", "aten::index_fill")
def index_fill(call: Call) -> Cost:
    """(self, dim, index, value): slices are written."""
    picked = _rows_picked(call, _dim(call, 1), elements(call, 2))
    return _scatter(call, picked, bytes_of(call, 2, 3), adds=False)


@register("aten::put_")
def put(call: Call) -> Cost:
    """(self, index, source, accumulate)"""
    accumulates = text(call, 3) == "True"
    return _scatter(call, elements(call, 1), bytes_of(call, 1, 2), accumulates)


@register("aten::masked_scatter_", "aten::masked_scatter")
def masked_scatter(call: Call) -> Cost:
    """(self, mask, source): how much of the source is taken is unknown; self and mask are the least."""
    size = sized(elements(call, 0), call.dtype(0))
    return moved(call, 0, size, bytes_of(call, 1), size)


@register("aten::select_scatter", "aten::slice_scatter", "aten::diagonal_scatter", wrapper=True)
def view_scatter(call: Call) -> Cost:
    """(self, src, …): self is copied, src written into it."""
    if not call.is_tensor(1):
        raise UnknownCostError
    size = sized(elements(call, 0), call.dtype(0))
    return moved(call, 0, size, bytes_of(call, 1), size)
