"""Ops that make elements of nothing: filling, counting up, random numbers, dropout.

The arithmetic of the random generator itself is not counted: it is the library's choice, not the op's.
"""

from __future__ import annotations

from math import ceil, prod

from tracekit.costs.formulas.tensors import (
    as_float,
    bytes_of,
    dtype_argument,
    elements,
    number,
    shape_of,
    sized,
)
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total


@register("aten::fill_", "aten::zero_", "aten::fill")
def fill(call: Call) -> Cost:
    """(self, value): written, not read; a value that is a tensor is read."""
    return Cost(bytes=bytes_of(call, 0, 1), dtype=call.dtype(0))


_FLOPS = {
    "uniform_": 2,  # scale, shift
    "normal_": 2,
    "random_": 1,  # remainder
    "bernoulli_": 1,  # compare
    "exponential_": 2,  # log, divide
    "geometric_": 3,  # log, divide, ceil
    "cauchy_": 3,  # tan, scale, shift
    "log_normal_": 3,  # exp, scale, shift
}


@register(*(f"aten::{name}" for name in _FLOPS))
def random_in_place(call: Call) -> Cost:
    """Written, not read; probabilities that are a tensor are read."""
    flops = _FLOPS[call.name.removeprefix("aten::")]
    return Cost(vector=flops * elements(call, 0), bytes=bytes_of(call, 0, 1), dtype=call.dtype(0))


@register("aten::bernoulli", "aten::poisson", "aten::_standard_gamma", "aten::binomial")
def random_from_parameters(call: Call) -> Cost:
    """(self, …): one draw per parameter, compared: 1."""
    count = elements(call, 0)
    given = [call.dtype(i) for i in range(1, len(call.dtypes)) if call.is_tensor(i)]
    written = sized(count, given[-1] if given else call.dtype(0))
    return Cost(vector=count, bytes=total(bytes_of(call, 0), written), dtype=call.dtype(0))


@register("aten::native_dropout", "aten::_fused_dropout")
def native_dropout(call: Call) -> Cost:
    """Compare, mask, scale: 3. Writes the result and a mask of one byte per element."""
    count = elements(call, 0)
    return Cost(
        vector=3 * count,
        bytes=total(bytes_of(call, 0), sized(count, call.dtype(0)), count),
        dtype=call.dtype(0),
    )


@register("aten::native_dropout_backward", "aten::_masked_scale")
def native_dropout_backward(call: Call) -> Cost:
    """(grad, mask, scale): 2 multiplications."""
    count = elements(call, 0)
    written = sized(count, call.dtype(0))
    return Cost(vector=2 * count, bytes=total(bytes_of(call, 0, 1), written), dtype=call.dtype(0))


@register("aten::arange", "aten::range")
def arange(call: Call) -> Cost:
    """(start, end, step, out): start + i · step, 2. The outer call, without `out`, holds this one."""
    if not call.is_tensor(3):
        raise UnknownCostError
    start, end, step = (number(call, i) for i in range(3))
    if not step:
        raise UnknownCostError
    count = max((end - start) / step, 0)
    count = ceil(count) if call.name == "aten::arange" else int(count) + 1  # `range` includes the end
    return Cost(vector=2 * count, bytes=sized(count, call.dtype(3)), dtype=call.dtype(3))


@register("aten::linspace", "aten::logspace")
def linspace(call: Call) -> Cost:
    """(start, end, steps, [base], out): start + i · step, 2; logspace raises a base to it, 3.

    The outer call, without `out`, holds this one.
    """
    out = len(call.dtypes) - 1
    if not call.is_tensor(out):
        raise UnknownCostError
    count = int(number(call, 2))
    flops = 3 if call.name == "aten::logspace" else 2
    return Cost(vector=flops * count, bytes=sized(count, call.dtype(out)), dtype=call.dtype(out))


@register("aten::randperm")
def randperm(call: Call) -> Cost:
    """(n, …, out): n numbers, sorted by n random keys or shuffled: 1 FLOP each, at least."""
    out = len(call.dtypes) - 1
    if not call.is_tensor(out):
        raise UnknownCostError
    count = int(number(call, 0))
    return Cost(vector=count, bytes=sized(count, call.dtype(out)), dtype=call.dtype(out))


@register("aten::eye")
def eye(call: Call) -> Cost:
    """(n, [m], out)"""
    out = len(call.dtypes) - 1
    if not call.is_tensor(out):
        raise UnknownCostError
    n = int(number(call, 0))
    m = int(number(call, 1)) if out == 2 else n
    return Cost(bytes=sized(n * m, call.dtype(out)), dtype=call.dtype(out))


@register("aten::tril_indices", "aten::triu_indices")
def triangle_indices(call: Call) -> Cost:
    """(row, col, offset, dtype, …): two indices for each element of the triangle, offset 0 or otherwise."""
    rows, columns, offset = (int(number(call, i)) for i in range(3))
    lower = sum(min(max(row + offset + 1, 0), columns) for row in range(rows))
    upper = sum(columns - min(max(row + offset, 0), columns) for row in range(rows))
    dtype = dtype_argument(call, 3, "long int")
    return Cost(bytes=sized(2 * (lower if "tril" in call.name else upper), dtype), dtype=dtype)


@register("aten::multinomial")
def multinomial(call: Call) -> Cost:
    """(probabilities […, n], num_samples, replacement): sums up and compares every probability once, 2."""
    shape = shape_of(call, 0)
    samples = prod(shape[:-1]) * int(number(call, 1, 1))
    return Cost(
        vector=2 * prod(shape),
        bytes=total(bytes_of(call, 0), sized(samples, "long int")),
        dtype=as_float(call.dtype(0)),
    )
