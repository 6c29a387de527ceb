"""Sizes of elements of tensors in lists: Kineto records no type for those, but their kernels' names do.

`CatArrayBatchedCopy<OpaqueType<2u>, …>` moves elements of two bytes, `BinaryOpListAlphaFunctor<float, …>`
adds floats.
"""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution import NOBODY, Attribution
from tracekit.trace import Ints, Trace

_OPAQUE = re.compile(r"OpaqueType<(\d{1,2})u?>")
_ELEMENT = re.compile(
    r"<(c10::BFloat16|c10::Half|c10::Float8_\w+|c10::complex<float>|double|float|long|int|short"
    r"|unsigned char|signed char|bool)(?= ?[,>])"
)
_BYTES = {
    "c10::BFloat16": 2,
    "c10::Half": 2,
    "c10::complex<float>": 8,
    "double": 8,
    "float": 4,
    "long": 8,
    "int": 4,
    "short": 2,
}
LARGEST = 16


def element_bytes_of_lists(trace: Trace, attribution: Attribution) -> Ints:
    """Per op of the attribution: bytes of an element of its lists, 0 without lists or where unknown."""
    takes_lists = np.array([b"TensorList" in one.dtypes for one in trace.signatures], np.bool_)
    result = np.zeros(len(attribution.ops), np.int8)
    op = attribution.gpu_op
    launched = np.flatnonzero(op != NOBODY)
    at = launched[takes_lists[attribution.ops.signature[op[launched]]]] if len(takes_lists) else launched[:0]
    names = trace.gpu_events.name[at]
    size_of = np.zeros(len(trace.names), np.int8)
    for code in np.unique(names).tolist():
        size_of[code] = element_bytes(trace.names[code])
    np.maximum.at(result, op[at], size_of[names])
    return result


def element_bytes(kernel: str) -> int:
    """Bytes of the elements that a kernel with this name works on, 0 where the name does not tell."""
    if match := _OPAQUE.search(kernel):
        size = int(match[1])
        return size if size <= LARGEST else 0
    match = _ELEMENT.search(kernel)
    return _BYTES.get(match[1], 1) if match else 0
