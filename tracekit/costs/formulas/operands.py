"""Sizes of what matrix products read and write, where inputs are optional or the result's type is one.

It knows how torch numbers types and how Kineto records an absent input; it knows no op.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tracekit.costs.formulas.tensors import SCALAR_TYPES
from tracekit.costs.registry import DTYPE_BYTES, Call, UnknownCostError, total

# Two 4-bit numbers an element: the shapes of such tensors are half as wide as the matrices that they hold.
FLOAT4_PAIR = "c10::Float4_e2m1fn_x2"


def present(call: Call, index: int) -> bool:
    """Whether the optional tensor that is input `index` was passed."""
    return call.is_tensor(index) or bool(index < len(call.shapes) and call.shapes[index])


def read_bytes(call: Call, *indices: int) -> int | None:
    """Bytes of these inputs, each read whole: 0 for what was not passed, None where a type is unknown."""
    return total(*(_bytes_of(call, index) for index in indices))


def _bytes_of(call: Call, index: int) -> int | None:
    if not present(call, index):
        return 0
    size = call.element_bytes(index)
    shape = call.shapes[index] if index < len(call.shapes) else ()
    if any(not isinstance(length, int) for length in shape):
        return None if size is None else sum(map(prod, call.shape_list(index))) * size
    return None if size is None else prod(shape) * size


def of_size(elements: int, size: int | None) -> int | None:
    """Bytes of so many elements of a size, None where that is unknown."""
    return None if size is None else elements * size


def out_dtype_bytes(call: Call, index: int, otherwise: int | None) -> int | None:
    """Bytes of an element of a result whose type is the optional input `index`, else of size `otherwise`."""
    if index >= len(call.values):
        return None if call.shapes[index : index + 1] else otherwise
    if not call.values[index]:
        return otherwise
    number = call.value(index)
    return DTYPE_BYTES.get(SCALAR_TYPES.get(number, "")) if isinstance(number, int) else None


def scalar(call: Call, index: int, otherwise: Any) -> Any:
    """The non-tensor input `index`, or its default where the trace holds none."""
    try:
        return call.value(index)
    except UnknownCostError:
        return otherwise


def scalars(call: Call) -> list[Any]:
    """Every input's number, bool or list, None for tensors and for text, in the order of the inputs."""
    return [scalar(call, index, None) for index in range(len(call.values))]


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
