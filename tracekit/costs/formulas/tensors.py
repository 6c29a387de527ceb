"""What formulas ask about the tensors of a call: elements, bytes, and the shape and type of a result.

Torch's rules of broadcasting and type promotion stand here, as its documentation states them ("Broadcasting
semantics", and "Type promotion" under `torch.dtype`). Nothing here knows what an op computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from tracekit.costs.registry import DTYPE_BYTES, Call, Cost, Shape, UnknownCostError, total

# From the numbers of `c10::ScalarType` (c10/core/ScalarType.h), by which a call's dtype argument is recorded.
SCALAR_TYPES = {
    0: "unsigned char",
    1: "signed char",
    2: "short int",
    3: "int",
    4: "long int",
    5: "c10::Half",
    6: "float",
    7: "double",
    8: "c10::complex<c10::Half>",
    9: "c10::complex<float>",
    10: "c10::complex<double>",
    11: "bool",
    12: "c10::qint8",
    13: "c10::quint8",
    14: "c10::qint32",
    15: "c10::BFloat16",
    23: "c10::Float8_e5m2",
    24: "c10::Float8_e4m3fn",
    25: "c10::Float8_e5m2fnuz",
    26: "c10::Float8_e4m3fnuz",
    44: "c10::Float8_e8m0fnu",
}

BOOL, INTEGER, FLOAT, COMPLEX = range(4)
_DEFAULTS = {BOOL: "bool", INTEGER: "long int", FLOAT: "float", COMPLEX: "c10::complex<float>"}


def shape_of(call: Call, index: int) -> Shape:
    """The shape of the tensor that is input `index`, `()` of one without dimensions."""
    if not call.is_tensor(index) or index >= len(call.shapes):
        raise UnknownCostError
    shape = call.shapes[index]
    if not all(isinstance(size, int) for size in shape):
        raise UnknownCostError
    return tuple(shape)


def elements(call: Call, index: int) -> int:
    return prod(shape_of(call, index))


def list_elements(call: Call, index: int) -> int:
    """Elements of all tensors in the list that is input `index`."""
    return sum(map(prod, call.shape_list(index)))


def sized(count: int, dtype: str | None) -> int | None:
    """Bytes of `count` elements, None for an unknown type."""
    size = DTYPE_BYTES.get(dtype or "")
    return None if size is None else count * size


def bytes_of(call: Call, *indices: int) -> int | None:
    """Bytes of the tensors and lists of tensors at `indices`; 0 for what is neither or is absent."""
    sizes: list[int | None] = []
    for index in indices:
        if call.dtype(index) == "TensorList":
            size = call.element_bytes(index)
            sizes.append(None if size is None else list_elements(call, index) * size)
        elif call.is_tensor(index):
            sizes.append(sized(elements(call, index), call.dtype(index)))
    return total(*sizes)


def moved(call: Call, vector: int, *sizes: int | None, dtype: str | None = None) -> Cost:
    """A cost of vector FLOPs and the bytes `sizes`; the first input's type where none is given."""
    return Cost(vector=vector, bytes=total(*sizes), dtype=dtype or call.dtype(0))


def text(call: Call, index: int) -> str:
    """The recorded text of a non-tensor input, empty where there is none."""
    return call.values[index] if index < len(call.values) else ""


def number(call: Call, index: int, default: float | None = None) -> float:
    """A number, which Kineto may write `2.`; the default, or `UnknownCostError`, where none was recorded."""
    try:
        return float(text(call, index))
    except ValueError:
        if default is None:
            raise UnknownCostError from None
        return default


def flag(call: Call, index: int, default: bool) -> bool:
    return {"True": True, "1": True, "False": False, "0": False}.get(text(call, index), default)


def sizes_of(call: Call, index: int, default: Shape | None = None) -> Shape:
    """A list of integers, or one; the default, or `UnknownCostError`, where none was recorded."""
    try:
        value = call.value(index)
    except UnknownCostError:
        if default is None:
            raise
        return default
    values = tuple(value) if isinstance(value, list) else (value,)
    if not all(isinstance(size, int) for size in values):
        raise UnknownCostError
    return values


def flags_of(call: Call, index: int, count: int) -> tuple[bool, ...]:
    """An output mask of `count` flags; all set where it was not recorded."""
    try:
        mask = call.value(index)
    except UnknownCostError:
        return (True,) * count
    if not isinstance(mask, list) or len(mask) != count:
        raise UnknownCostError
    return tuple(map(bool, mask))


def dtype_argument(call: Call, index: int, default: str | None) -> str | None:
    """The dtype that a call was given as input `index`, as Kineto spells types."""
    code = text(call, index)
    return SCALAR_TYPES.get(int(code)) if code.isdigit() else default


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """The shape that all broadcast to: aligned at the right, sizes of 1 stretched."""
    result: list[int] = []
    for shape in shapes:
        reverse = shape[::-1]
        result += [1] * (len(reverse) - len(result))
        for i, size in enumerate(reverse):
            if size != result[i] and 1 not in (size, result[i]):
                raise UnknownCostError
            result[i] = size if result[i] == 1 else result[i]
    return tuple(result[::-1])


def category(dtype: str | None) -> int:
    if dtype == "bool":
        return BOOL
    name = dtype or ""
    if "complex" in name:
        return COMPLEX
    return FLOAT if name in ("float", "double", "c10::Half") or "loat" in name else INTEGER


def _scalar_category(value: str) -> int:
    """Of a number from its text; numbers that were not recorded count as bool, which promotes nothing."""
    if value in ("", "True", "False"):
        return BOOL
    if "j" in value:
        return COMPLEX
    return FLOAT if not value.lstrip("-").isdigit() else INTEGER


def _promote(a: str, b: str) -> str:
    """The common type of two tensors' types, neither of which is of lower standing than the other."""
    if a == b:
        return a
    category_a, category_b = category(a), category(b)
    if category_a != category_b:
        low, high = (a, b) if category_a < category_b else (b, a)
        if category(high) == COMPLEX and category(low) == FLOAT and low != "c10::Half":
            wide_enough = "c10::complex<double>" if low == "double" else "c10::complex<float>"
            return max(high, wide_enough, key=lambda dtype: DTYPE_BYTES.get(dtype, 0))
        return high
    size_a, size_b = DTYPE_BYTES.get(a, 0), DTYPE_BYTES.get(b, 0)
    if size_a != size_b:
        return a if size_a > size_b else b
    return {2: "float", 1: "short int"}.get(size_a, a) if {a, b} & _UNLIKE else a


_UNLIKE = {"c10::BFloat16", "unsigned char"}  # beside another type of the same size


def promoted(call: Call, indices: Iterable[int]) -> str | None:
    """The type that torch gives the result of operands `indices`: tensors and numbers.

    Tensors without dimensions, and below them numbers, decide only where their category (bool, integer,
    float, complex) is above that of the tensors that have some. A Python number beside a tensor is often
    recorded as a tensor of one `double` or `long int`: such count as numbers, so become the default types.
    """
    with_dims: str | None = None
    without: str | None = None
    numbers = -1
    for index in indices:
        dtype = call.dtype(index)
        if dtype == "Scalar":
            numbers = max(numbers, _scalar_category(text(call, index)))
        elif dtype is None or not call.is_tensor(index):
            continue
        elif shape_of(call, index):
            with_dims = dtype if with_dims is None else _promote(with_dims, dtype)
        elif dtype in ("double", "long int", "c10::complex<double>"):
            numbers = max(numbers, category(dtype))
        else:
            without = dtype if without is None else _promote(without, dtype)
    result = with_dims
    if without is not None and (result is None or category(without) > category(result)):
        result = without
    if numbers >= 0 and (result is None or numbers > category(result)):
        all_wide = result is None and any(call.dtype(index) == "double" for index in indices)
        if numbers == COMPLEX and result in ("c10::Half", "double"):
            return f"c10::complex<{result}>"
        result = "double" if all_wide and numbers == FLOAT else _DEFAULTS[numbers]
    return result


def as_float(dtype: str | None) -> str | None:
    """The type in which torch divides or takes exp: integers become the default float."""
    return "float" if dtype is not None and category(dtype) < FLOAT else dtype


def wide(dtype: str | None) -> str | None:
    """The type of statistics: GPU kernels keep those of half types in float."""
    return "float" if dtype in ("c10::Half", "c10::BFloat16") else dtype
