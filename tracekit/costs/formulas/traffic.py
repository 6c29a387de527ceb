"""Bytes of fused ops whose inputs say which tensors are read and which are written.

For ops with output arguments, as inference engines write them, nearly all that is needed is which inputs
a kernel passes over, and how often. It knows no op.
"""

from __future__ import annotations

from tracekit.costs.formulas.tensors import elements
from tracekit.costs.registry import Call, UnknownCostError, total


def moved(call: Call, *indices: int) -> int | None:
    """Bytes of the tensors at these inputs, each read or written once; None where a type is unknown.

    An index given twice counts twice: an operand that is changed in place is read and written. An input
    that is None in the call (an optional one) moves nothing.
    """
    sizes: list[int | None] = []
    for index in indices:
        if index >= len(call.dtypes) or not call.dtypes[index]:
            continue
        element = call.element_bytes(index)
        sizes.append(None if element is None else elements(call, index) * element)
    return total(*sizes)


def size(call: Call, index: int) -> int:
    """The positive number that is input `index`; raises `UnknownCostError` where there is none."""
    value = call.value(index)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnknownCostError
    return value


def tensor_indices(call: Call) -> list[int]:
    """The inputs that are single tensors with dimensions.

    Profilers before torch 2.7 record only the tensors among the inputs of an autograd function, later ones
    record all inputs: counting tensors alone reads both.
    """
    return [index for index, shape in enumerate(call.shapes) if shape and call.is_tensor(index)]
