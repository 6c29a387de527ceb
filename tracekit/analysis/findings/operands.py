"""What single kernels that a compiler could fuse read and write, by how they were called.

Pointwise operators, reductions, normalisations over a dimension, copies and concatenations: what PyTorch's
own compiler turns into loops that it fuses (torch/_inductor/lowering.py, `make_pointwise`, `make_reduction`).
A trace records the shapes of inputs alone; that of the output follows from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from typing import Any, TypeGuard

import msgspec

from tracekit.costs.registry import DTYPE_BYTES
from tracekit.trace import Signature

# A shape with more elements is that of no tensor.
MOST_ELEMENTS = 1 << 45
_COMPARISONS = frozenset(
    ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "isnan", "isinf"]
)
_POINTWISE = _COMPARISONS | frozenset(
    [
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "pow",
        "neg",
        "abs",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "square",
        "sign",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "silu",
        "gelu",
        "relu",
        "leaky_relu",
        "elu",
        "mish",
        "softplus",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "erf",
        "clamp",
        "clamp_min",
        "clamp_max",
        "minimum",
        "maximum",
        "where",
        "masked_fill",
        "addcmul",
        "addcdiv",
        "lerp",
        "bitwise_and",
        "bitwise_or",
        "bitwise_not",
        "tril",
        "triu",
        "floor",
        "ceil",
        "round",
        "threshold",
    ]
)
_NORMALISATIONS = frozenset(("_softmax", "_log_softmax"))
_REDUCTIONS = frozenset(["mean", "sum", "amax", "amin", "var", "std", "prod"])
_NUMBERS = frozenset(("", "Scalar", "ScalarList", "GenericList", "Tuple", "TensorList"))
# Wider types first, as torch promotes them.
_PROMOTION = ("c10::complex<double>", "c10::complex<float>", "double", "float", "c10::BFloat16", "c10::Half")


@dataclass(eq=False)
class Tensor:
    """`dtype` is None where a trace does not say, which is so for tensors in lists."""

    shape: tuple[int, ...]
    dtype: str | None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * DTYPE_BYTES.get(self.dtype or "", 0)


@dataclass(frozen=True)
class Operands:
    reads: tuple[Tensor, ...]
    writes: Tensor | None  # None where its shape is unknown
    only_copies: bool = False  # without a change of type


def short_name(name: str) -> str:
    """ "add" of "aten::add_", "aten::add.out" and "aten::add"."""
    return name.removeprefix("aten::").partition(".")[0].rstrip("_") if name.startswith("aten::") else ""


def tensors_of(signature: Signature) -> tuple[Tensor | None, ...]:
    """The inputs in their order, None for what is no single tensor."""
    shapes, dtypes = _decoded(signature.shapes), _decoded(signature.dtypes)
    return tuple(
        Tensor(tuple(shape), dtype)
        if isinstance(dtype, str) and dtype not in _NUMBERS and _is_shape(shape)
        else None
        for shape, dtype in zip(shapes, dtypes, strict=False)
    )


def operands_of(signature: Signature) -> Operands | None:
    """What the op reads and writes; None where it is none of those that fuse, or its shapes are unknown."""
    name = short_name(signature.name)
    if name == "cat":
        return _concatenation(signature)
    inputs = tensors_of(signature)
    tensors = tuple(one for one in inputs if one is not None)
    if not tensors:
        return None
    if name == "copy":
        if len(tensors) < 2 or inputs[0] is None:
            return None
        target, source = tensors[0], tensors[1]
        return Operands((source,), Tensor(*_fields(target)), source.dtype == target.dtype)
    if name in _POINTWISE:
        shape = _broadcast([one.shape for one in tensors])
        dtype = "bool" if name in _COMPARISONS else _promoted(tensors)
        return None if shape is None else Operands(tensors, Tensor(shape, dtype))
    if name in _NORMALISATIONS:
        return Operands(tensors[:1], Tensor(*_fields(tensors[0])))
    if name in _REDUCTIONS:
        return Operands(tensors[:1], _reduced(tensors[0], signature))
    return None


def _concatenation(signature: Signature) -> Operands | None:
    shapes = _decoded(signature.shapes)
    parts = [tuple(one) for one in shapes[0] if _is_shape(one)] if shapes and _is_list(shapes[0]) else []
    values = _values(signature)
    dim = values[1] if len(values) > 1 else 0
    if not parts or not isinstance(dim, int) or len({len(one) for one in parts}) > 1 or not parts[0]:
        return None
    dim %= len(parts[0])
    joined = tuple(sum(one[i] for one in parts) if i == dim else size for i, size in enumerate(parts[0]))
    return Operands(tuple(Tensor(one, None) for one in parts), Tensor(joined, None))


def _reduced(tensor: Tensor, signature: Signature) -> Tensor | None:
    values = _values(signature)
    dims = values[1] if len(values) > 1 else None
    keeps = values[2] is True if len(values) > 2 else False
    if isinstance(dims, int) and not isinstance(dims, bool):
        dims = [dims]
    if not _is_list(dims) or not all(isinstance(dim, int) for dim in dims) or not tensor.shape:
        return None
    gone = {dim % len(tensor.shape) for dim in dims} or set(range(len(tensor.shape)))
    shape = tuple(1 if i in gone else size for i, size in enumerate(tensor.shape) if keeps or i not in gone)
    return Tensor(shape, tensor.dtype)


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """As numpy: from the right, sizes of 1 stretch; None for shapes that do not fit."""
    result = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        stretched = {size for size in sizes if size != 1} or {1}
        if len(stretched) > 1:
            return None
        result.append(stretched.pop())
    return tuple(reversed(result))


def _promoted(tensors: Sequence[Tensor]) -> str | None:
    """The type of a result of these; numbers and tensors without dimensions have no say beside others."""
    deciding = [one.dtype for one in tensors if one.shape] or [one.dtype for one in tensors]
    return next((dtype for dtype in _PROMOTION if dtype in deciding), deciding[-1])


def _fields(tensor: Tensor) -> tuple[tuple[int, ...], str | None]:
    return tensor.shape, tensor.dtype


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_shape(value: Any) -> bool:
    return (
        _is_list(value)
        and all(type(size) is int and 0 <= size < MOST_ELEMENTS for size in value)
        and prod(value) < MOST_ELEMENTS
    )


def _decoded(text: bytes) -> Sequence[Any]:
    try:
        value = msgspec.json.decode(text) if text else ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return value if isinstance(value, list) else ()


def _values(signature: Signature) -> list[Any]:
    """The inputs that are no tensors; None for what is none or cannot be read."""
    return [_value(text) for text in _decoded(signature.concrete)]


def _value(text: Any) -> Any:
    try:
        return msgspec.json.decode(text.replace("True", "true").replace("False", "false")) if text else None
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError, RecursionError):
        return None
