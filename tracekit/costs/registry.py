"""The registry of cost formulas: a formula is a small function of how an op was called.

It knows nothing of traces, modules or devices. Users add their own with `register`, in the same way.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, TypeAlias

import msgspec

Shape: TypeAlias = tuple[int, ...]

# Bytes per element by the type names that Kineto records: C++ spells the names of the plain types, older
# versions of torch shorten them. Types of less than a byte are packed, and a shape counts whole bytes.
DTYPE_BYTES = {
    "double": 8,
    "float": 4,
    "c10::Half": 2,
    "c10::BFloat16": 2,
    "c10::Float8_e4m3fn": 1,
    "c10::Float8_e4m3fnuz": 1,
    "c10::Float8_e5m2": 1,
    "c10::Float8_e5m2fnuz": 1,
    "c10::Float8_e8m0fnu": 1,
    "c10::Float4_e2m1fn_x2": 1,
    "long": 8,
    "long int": 8,
    "long long": 8,
    "int": 4,
    "short": 2,
    "short int": 2,
    "signed char": 1,
    "char": 1,
    "unsigned char": 1,
    "unsigned short": 2,
    "short unsigned int": 2,
    "unsigned int": 4,
    "unsigned long": 8,
    "long unsigned int": 8,
    "bool": 1,
    "c10::complex<c10::Half>": 4,
    "c10::complex<float>": 8,
    "c10::complex<double>": 16,
    "c10::qint8": 1,
    "c10::quint8": 1,
    "c10::qint32": 4,
    "c10::quint4x2": 1,
    "c10::quint2x4": 1,
    "c10::bits1x8": 1,
    "c10::bits2x4": 1,
    "c10::bits4x2": 1,
    "c10::bits8": 1,
    "c10::bits16": 2,
}


LARGEST_COUNT = 1 << 53  # of one call


class UnknownCostError(Exception):
    """Raised by a formula whose op was recorded without what the formula needs."""


@dataclass(frozen=True)
class Collective:
    """What torch records of a collective beside its inputs; None where it does not."""

    name: str  # "allreduce", "_allgather_base", "all_to_all", …
    in_elements: int | None = None
    out_elements: int | None = None
    dtype: str | None = None  # "Float", "BFloat16", …
    group_size: int | None = None


@dataclass(frozen=True)
class Call:
    """How an op was called, as the profiler recorded it (`record_shapes=True`).

    `shapes[i]` is the shape of input i, `()` for tensors without dimensions and for what is no tensor, a
    tuple of shapes for a list of tensors; `dtypes[i]` its type as Kineto spells it: `"Scalar"` or
    `"ScalarList"` for numbers, `""` for None, `"TensorList"` for a list, whose elements' type is not
    recorded; `values[i]` the text of a non-tensor input. Missing entries are absent, not empty: use
    `shape`, `shape_list` and `value`, which raise `UnknownCostError`, and `dtype`.
    """

    name: str
    shapes: tuple[Any, ...] = ()
    dtypes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    list_element_bytes: int | None = None  # of tensors in lists, as the names of their kernels tell
    collective: Collective | None = None

    def shape(self, index: int, rank: int | None = None) -> Shape:
        """The shape of input `index`; raises `UnknownCostError` without one, or of another rank."""
        if index >= len(self.shapes):
            raise UnknownCostError
        shape = self.shapes[index]
        if not shape or not all(isinstance(size, int) for size in shape) or rank not in (None, len(shape)):
            raise UnknownCostError
        return tuple(shape)

    def shape_list(self, index: int) -> tuple[Shape, ...]:
        """The shapes of the tensors in the list that is input `index`; raises `UnknownCostError`."""
        shapes = self.shapes[index] if index < len(self.shapes) else ()
        if not shapes or not all(isinstance(shape, tuple | list) for shape in shapes):
            raise UnknownCostError
        if not all(isinstance(size, int) for shape in shapes for size in shape):
            raise UnknownCostError
        return tuple(map(tuple, shapes))

    def is_tensor(self, index: int) -> bool:
        """Whether input `index` is one tensor; one of no dimensions too."""
        return self.dtype(index) not in (None, "Scalar", "ScalarList", "TensorList", "GenericList", "Tuple")

    def dtype(self, index: int) -> str | None:
        """The type of input `index` as Kineto spells it, None where it was not recorded."""
        return (self.dtypes[index] or None) if index < len(self.dtypes) else None

    def element_bytes(self, index: int) -> int | None:
        """Size of an element of input `index` in bytes, None for an unknown type."""
        dtype = self.dtype(index) or ""
        return self.list_element_bytes if dtype == "TensorList" else DTYPE_BYTES.get(dtype)

    def value(self, index: int) -> Any:
        """The non-tensor input `index`: a number, bool or list; raises `UnknownCostError` without one."""
        if index >= len(self.values) or not self.values[index]:
            raise UnknownCostError
        text = self.values[index].replace("True", "true").replace("False", "false").replace("None", "null")
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise UnknownCostError from None


@dataclass(frozen=True)
class Cost:
    """What one call of an op takes, at least.

    `matrix`: matrix FLOPs, as `torch.utils.flop_counter` counts them. `bytes`: every input read once and
    every output written once, None where a size is unknown; of a gather only what is gathered. `dtype`: of
    the operands, as Kineto spells it, by which a device's peak is chosen. `vector`: vector FLOPs; every
    addition, multiplication, division and comparison of an element is one, and so is every elementary
    function (exp, log, sqrt, rsqrt, tanh, erf, sigmoid), as XLA's HloCostAnalysis counts; moving or casting
    an element is none. `causal_matrix`: what a causal mask leaves of `matrix`, None where there is no mask.
    `over_network`: the bytes are those that one device sends, and no memory bandwidth bounds them.
    `partial`: only a part of what the op does is proven by what was recorded, so that it has no bound.
    """

    matrix: int = 0
    bytes: int | None = None
    dtype: str | None = None
    vector: int = 0
    causal_matrix: int | None = None
    over_network: bool = False
    partial: bool = False


Formula: TypeAlias = Callable[[Call], Cost]


@dataclass(frozen=True)
class Entry:
    formula: Formula
    wrapper: bool


_entries: dict[str, Entry] = {}
_prefixes: dict[str, Entry] = {}


def register(*names: str, wrapper: bool = False) -> Callable[[Formula], Formula]:
    """Registers a formula for the ops `names`; a name that ends in `*` stands for all that begin so.

    The outermost op with a formula hides what is nested in it. A `wrapper` counts only where nothing
    below it does. A whole name goes before a prefix, a long prefix before a short one, and the formula
    that was registered last before earlier ones of the same name.
    """

    def decorate(formula: Formula) -> Formula:
        for name in names:
            if name.endswith("*"):
                _prefixes[name[:-1]] = Entry(formula, wrapper)
            else:
                _entries[name] = Entry(formula, wrapper)
        return formula

    return decorate


def has_formula(name: str) -> bool:
    """Whether a formula is registered for the op `name`."""
    return name in _entries or _entry_by_prefix(name) is not None


def is_wrapper(name: str) -> bool:
    entry = _entries.get(name) or _entry_by_prefix(name)
    return entry is not None and entry.wrapper


def _entry_by_prefix(name: str) -> Entry | None:
    fitting = [prefix for prefix in _prefixes if name.startswith(prefix)]
    return _prefixes[max(fitting, key=len)] if fitting else None


def cost_of(
    name: str,
    shapes: bytes,
    dtypes: bytes,
    concrete: bytes,
    list_element_bytes: int | None = None,
    collective: Collective | None = None,
) -> Cost | None:
    """The cost of an op from its raw JSON columns; None without a formula or what the formula needs."""
    entry = _entries.get(name) or _entry_by_prefix(name)
    if entry is None or not (shapes or collective):
        return None
    call = Call(name, _decode(shapes), _texts(dtypes), _texts(concrete), list_element_bytes, collective)
    try:
        return _checked(entry.formula(call))
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException:  # whatever a formula of a user's does with inputs that it did not foresee
        return None


def _checked(cost: object) -> Cost | None:
    """The cost with plain numbers; None where it is none, or has what no cost can have."""
    if not isinstance(cost, Cost) or not isinstance(cost.dtype, str | None):
        return None
    matrix, vector = operator.index(cost.matrix), operator.index(cost.vector)
    size = None if cost.bytes is None else operator.index(cost.bytes)
    causal = None if cost.causal_matrix is None else operator.index(cost.causal_matrix)
    if not all(0 <= count <= LARGEST_COUNT for count in (matrix, vector, size or 0, causal or 0)):
        return None
    if causal is not None and causal > matrix:
        return None
    return Cost(matrix, size, cost.dtype, vector, causal, cost.over_network is True, cost.partial is True)


@contextmanager
def restored() -> Iterator[None]:
    """Leaves the registry as it was: for formulas that are of one analysis only."""
    entries, prefixes = dict(_entries), dict(_prefixes)
    try:
        yield
    finally:
        for registered, kept in ((_entries, entries), (_prefixes, prefixes)):
            registered.clear()
            registered.update(kept)


@cache
def _decoder() -> msgspec.json.Decoder[tuple[Any, ...]]:
    return msgspec.json.Decoder(tuple[Any, ...])


def _decode(text: bytes) -> tuple[Any, ...]:
    if not text:
        return ()
    try:
        return _decoder().decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def _texts(text: bytes) -> tuple[str, ...]:
    return tuple(value if isinstance(value, str) else "" for value in _decode(text))


def tensor_bytes(call: Call, index: int) -> int | None:
    """Bytes of the tensor that is input `index`, None where unknown."""
    size = call.element_bytes(index)
    return None if size is None else prod(call.shape(index)) * size


def total(*sizes: int | None) -> int | None:
    """The sum, None where a part is unknown."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
