"""Elementwise ops: a table of vector FLOPs per element of the result, and one formula for all of them.

Every row names ops by their number of tensor operands and by the type of their result. An in-place variant
(`add_`) and a call that is given its result (`out=`, recorded as one more input under the same name) follow
from the row. It must not know which kernels compute them.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import (
    as_float,
    broadcast,
    bytes_of,
    category,
    promoted,
    shape_of,
    sized,
    text,
)
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

SAME, FLOATING, BOOLEAN, OF_FIRST = "same", "floating", "boolean", "of first"

# {(operands, type of the result): {FLOPs per element of the result: ops}}. Operands are the leading inputs,
# tensors or numbers. `SAME` is the promoted type of the operands, `FLOATING` makes integers float.
TABLE = {
    (1, SAME): {
        0: "positive tril triu flip roll rot90 view_as_complex_copy",
        1: "neg abs sign sgn floor ceil round trunc frac relu bitwise_not conj_physical threshold",
        2: "leaky_relu hardtanh softshrink hardshrink nan_to_num",  # compare, multiply; two comparisons
        3: "elu",  # compare, expm1, multiply
    },
    (1, FLOATING): {
        1: "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh "
        "acosh atanh erf erfc erfinv sigmoid reciprocal lgamma digamma i0 special_i0e special_i1 special_i1e "
        "special_ndtri special_log_ndtr special_erfcx deg2rad rad2deg mvlgamma polygamma",
        2: "silu sinc special_entr",  # sigmoid, multiply
        3: "logit softplus",  # subtract, divide, log; exp, log1p, compare
        4: "hardsigmoid mish",  # add, clamp to both sides, divide; exp, log1p, tanh, multiply
        5: "hardswish",  # as hardsigmoid, multiply
    },
    (1, BOOLEAN): {1: "logical_not isnan isinf isfinite isposinf isneginf signbit"},
    (2, SAME): {
        0: "complex polar",
        1: "mul multiply clamp_min clamp_max maximum minimum fmax fmin fmod remainder floor_divide pow "
        "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift "
        "__and__ __or__ __xor__ __lshift__ __rshift__ __iand__ "
        "__ior__ __ixor__ __ilshift__ __irshift__ gcd lcm heaviside nextafter ldexp",
        2: "_prelu_kernel",  # compare, multiply
        3: "linalg_cross",  # two multiplications, subtract
    },
    (2, FLOATING): {
        1: "true_divide atan2 copysign",
        2: "xlogy special_xlog1py special_zeta",  # log, multiply
        4: "hypot",  # two squares, add, sqrt
        5: "logaddexp logaddexp2",  # max, subtract, exp, log1p, add
    },
    (2, BOOLEAN): {1: "eq ne lt le gt ge logical_and logical_or logical_xor isclose not_equal less greater"},
    (2, OF_FIRST): {
        0: "masked_fill",
        1: "threshold_backward",  # compare
        2: "leaky_relu_backward hardtanh_backward hardshrink_backward softshrink_backward",
        # g · y · (1 − y), g · (1 − y²)
        3: "sigmoid_backward tanh_backward hardsigmoid_backward logit_backward",
        4: "elu_backward",  # compare, exp, two multiplications
        # two compare, divide, add, multiply; compare, exp, add, multiply, divide
        5: "hardswish_backward softplus_backward",
        6: "silu_backward",  # g · s · (1 + x · (1 − s)), s = sigmoid(x)
        10: "mish_backward",  # exp, log1p, tanh, sigmoid, and g · (t + x · s · (1 − t²))
    },
    (3, SAME): {
        2: "addcmul",  # multiply twice or once, add: `value` is 1 more often than not
        3: "addcdiv",  # with its factor, as optimizers call it
    },
    (3, OF_FIRST): {3: "lerp"},  # subtract, multiply, add
}


def is_in_place(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or name.startswith("aten::__i")


def elementwise(call: Call, operands: int, flops: int, result: str) -> Cost:
    """Operands read at their own size, the result written at the size that they broadcast to."""
    operands = min(operands, len(call.dtypes))
    tensors = [i for i in range(operands) if call.is_tensor(i)]
    if not tensors:
        raise UnknownCostError
    if is_in_place(call.name):
        shape, dtype = shape_of(call, 0), call.dtype(0)
    else:
        shape = broadcast(shape_of(call, i) for i in tensors)
        given = [call.dtype(i) for i in range(operands, len(call.dtypes)) if call.is_tensor(i)]
        dtype = given[-1] if given else result_type(call, operands, result)
    count = prod(shape)
    return Cost(
        vector=flops * count,
        bytes=total(bytes_of(call, *tensors), sized(count, dtype)),
        dtype=_computed_in(call, operands),
    )


def result_type(call: Call, operands: int, result: str) -> str | None:
    if result == BOOLEAN:
        return "bool"
    if result == OF_FIRST:
        return call.dtype(0)
    dtype = promoted(call, range(operands))
    return as_float(dtype) if result == FLOATING else dtype


def _computed_in(call: Call, operands: int) -> str | None:
    return promoted(call, range(operands)) or call.dtype(0)


def flops_per_element() -> dict[str, tuple[int, int, str]]:
    """{name without namespace: (operands, FLOPs per element, type of the result)}, in-place ones apart."""
    return {
        name: (operands, flops, result)
        for (operands, result), rows in TABLE.items()
        for flops, names in rows.items()
        for name in names.split()
    }


def _register_table() -> None:
    for name, (operands, flops, result) in flops_per_element().items():

        def formula(call: Call, operands: int = operands, flops: int = flops, result: str = result) -> Cost:
            return elementwise(call, operands, flops, result)

        names = (name,) if name.startswith("__") else (name, f"{name}_")
        register(*(f"aten::{each}" for each in names))(formula)


_register_table()


@register("aten::add", "aten::add_", "aten::sub", "aten::sub_", "aten::rsub")
def add(call: Call) -> Cost:
    """self ± alpha · other: 1 FLOP, 2 where alpha was recorded and is not 1."""
    return elementwise(call, 2, 1 if text(call, 2) in ("", "1", "1.") else 2, SAME)


@register("aten::div", "aten::div_", "aten::divide", "aten::divide_")
def div(call: Call) -> Cost:
    """(self, other, [rounding_mode]): 1 FLOP, and 1 for rounding, which keeps integers integers."""
    rounds = len(call.dtypes) > 2 and not call.is_tensor(2)
    return elementwise(call, 2, 2 if rounds else 1, SAME if rounds else FLOATING)


@register("aten::clamp", "aten::clamp_")
def clamp(call: Call) -> Cost:
    """(self, min, max), numbers or tensors or None: 1 comparison for each bound that is given."""
    return elementwise(call, 3, sum(call.dtype(i) is not None for i in (1, 2)), SAME)


@register("aten::where")
def where(call: Call) -> Cost:
    """(condition, self, other): selects, 0 FLOPs. (condition) alone is composed of other ops."""
    if len(call.dtypes) < 3:
        raise UnknownCostError
    count = prod(broadcast(shape_of(call, i) for i in range(3) if i == 0 or call.is_tensor(i)))
    given = call.dtype(3) if call.is_tensor(3) else None
    dtype = given or promoted(call, (1, 2))
    return Cost(bytes=total(bytes_of(call, 0, 1, 2), sized(count, dtype)), dtype=dtype)


@register("aten::gelu", "aten::gelu_")
def gelu(call: Call) -> Cost:
    """0.5 · x · (1 + erf(x / √2)): 5. The tanh approximation takes 9; a trace may not tell which it was."""
    return elementwise(call, 1, 9 if "tanh" in text(call, 1) else 5, FLOATING)


@register("aten::gelu_backward")
def gelu_backward(call: Call) -> Cost:
    """g · (cdf(x) + x · pdf(x)): 4 for cdf (as gelu's), 4 for pdf (square, scale, exp, scale), 3 to join."""
    return elementwise(call, 2, 11, OF_FIRST)


@register("aten::glu")
def glu(call: Call) -> Cost:
    """Halves a · sigmoid(b): 2 per element of the result, which is half as large as the input."""
    count = prod(shape_of(call, 0)) // 2
    return Cost(
        vector=2 * count, bytes=total(bytes_of(call, 0), sized(count, call.dtype(0))), dtype=call.dtype(0)
    )


@register("aten::glu_backward")
def glu_backward(call: Call) -> Cost:
    """(grad, self, dim): sigmoid, g · s, and g · a · s · (1 − s): 5 per element of grad."""
    count = prod(shape_of(call, 0))
    return Cost(
        vector=5 * count,
        bytes=total(bytes_of(call, 0, 1), sized(2 * count, call.dtype(0))),
        dtype=call.dtype(1),
    )


@register("aten::log_sigmoid_forward")
def log_sigmoid_forward(call: Call) -> Cost:
    """min(x, 0) − log1p(exp(−|x|)): 6. The buffer that a CPU fills besides is not counted."""
    return elementwise(call, 1, 6, SAME)


@register("aten::log_sigmoid_backward")
def log_sigmoid_backward(call: Call) -> Cost:
    """(grad, self, buffer): g · sigmoid(−x), from z = exp(−|x|): negate twice, exp, compare, add, ÷, ×."""
    return elementwise(call, 2, 7, OF_FIRST)


@register("aten::_prelu_kernel_backward")
def prelu_backward(call: Call) -> Cost:
    """(grad, self, weight) → gradients of both: compare, two multiplications."""
    count = prod(shape_of(call, 1))
    written = sized(2 * count, call.dtype(1))
    return Cost(vector=3 * count, bytes=total(bytes_of(call, 0, 1, 2), written), dtype=call.dtype(1))


@register("aten::rrelu_with_noise", "aten::rrelu_with_noise_")
def rrelu(call: Call) -> Cost:
    """(self, noise, …): compare, multiply; the noise is written."""
    count = prod(shape_of(call, 0))
    return Cost(
        vector=2 * count,
        bytes=total(bytes_of(call, 0, 1), sized(count, call.dtype(0))),
        dtype=call.dtype(0),
    )


@register("aten::abs", "aten::abs_", "aten::angle")
def magnitude(call: Call) -> Cost:
    """1 FLOP; of complex numbers two squares, add, sqrt, and half of an element is written."""
    dtype = call.dtype(0)
    if category(dtype) != category("c10::complex<float>"):
        return elementwise(call, 1, 1, FLOATING if call.name == "aten::angle" else SAME)
    count = prod(shape_of(call, 0))
    read = bytes_of(call, 0)
    return Cost(vector=4 * count, bytes=None if read is None else read + read // 2, dtype=dtype)


@register("aten::fake_quantize_per_tensor_affine_cachemask",
          "aten::fake_quantize_per_channel_affine_cachemask",
          "aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams")  # fmt: skip
def fake_quantize(call: Call) -> Cost:
    """Divide, add, round, two comparisons, subtract, multiply: 7. Writes the result and a mask of bools."""
    count = prod(shape_of(call, 0))
    dtype = call.dtype(0)
    return Cost(
        vector=7 * count, bytes=total(bytes_of(call, 0, 1, 2), sized(count, dtype), count), dtype=dtype
    )


@register("aten::_transform_bias_rescale_qkv")
def transform_bias_rescale_qkv(call: Call) -> Cost:
    """(qkv, bias, heads): adds the bias, scales q (a third): 4 per 3 elements."""
    count = prod(shape_of(call, 0))
    written = sized(count, call.dtype(0))
    return Cost(vector=4 * count // 3, bytes=total(bytes_of(call, 0, 1), written), dtype=call.dtype(0))
