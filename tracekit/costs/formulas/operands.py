"""Sizes of what matrix products read and write, where inputs are optional or the result's type is one.

It knows how torch numbers types and how Kineto records an absent input; it knows no op.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tracekit.costs.registry import Call, UnknownCostError, total

# Bytes per element by the number of a `torch.dtype`, which is how a trace holds one: c10/core/ScalarType.h.
SCALAR_TYPE_BYTES = {
    0: 1,  # uint8
    1: 1,  # int8
    2: 2,  # int16
    3: 4,  # int32
    4: 8,  # int64
    5: 2,  # float16
    6: 4,  # float32
    7: 8,  # float64
    9: 8,  # complex64
    10: 16,  # complex128
    11: 1,  # bool
    15: 2,  # bfloat16
    23: 1,  # float8_e5m2
    24: 1,  # float8_e4m3fn
    25: 1,  # float8_e5m2fnuz
    26: 1,  # float8_e4m3fnuz
    44: 1,  # float8_e8m0fnu
}

# Two 4-bit numbers an element: the shapes of such tensors are half as wide as the matrices that they hold.
FLOAT4_PAIR = "c10::Float4_e2m1fn_x2"


def element_bytes(call: Call, index: int) -> int | None:
    """Bytes of an element of input `index`, None for an unknown type."""
    return 1 if call.dtype(index) == FLOAT4_PAIR else call.element_bytes(index)


def present(call: Call, index: int) -> bool:
    """Whether the optional tensor that is input `index` was passed."""
    return call.is_tensor(index) or bool(index < len(call.shapes) and call.shapes[index])


def read_bytes(call: Call, *indices: int) -> int | None:
    """Bytes of these inputs, each read whole: 0 for what was not passed, None where a type is unknown."""
    return total(*(_bytes_of(call, index) for index in indices))


def _bytes_of(call: Call, index: int) -> int | None:
    if not present(call, index):
        return 0
    size = element_bytes(call, index)
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
    return SCALAR_TYPE_BYTES.get(number) if isinstance(number, int) else None


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
