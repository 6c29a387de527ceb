"""Convolutions: 2 · outputs · inputs per output, forward and backward, as `torch.utils.flop_counter`.

Bytes: input, weight and bias are read, the output is written. Vector FLOPs: one per output for a bias, for
another tensor that is added, and for a ReLU. All forms of convolution are one formula over a table of where
their arguments stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tracekit.costs.formulas.operands import of_size, present, read_bytes
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total


def convolution_flops(x: Shape, weight: Shape, out: Shape, transposed: bool) -> int:
    """2 · batch · positions · C_out · C_in/groups · filter; positions are the input's if transposed.

    `x` [n, c_in, *in], `weight` [c_out, c_in/groups, *filter] (transposed: [c_in, c_out/groups, *filter]),
    `out` [n, c_out, *out].
    """
    batch = x[0]
    first, second, *window = weight
    positions = x[2:] if transposed else out[2:]
    return 2 * batch * prod(positions) * first * second * prod(window)


def output_shape(
    x: Shape,
    weight: Shape,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Shape:
    """The shape of the result, by the formulas in the documentation of `torch.nn.Conv2d` and its kin."""
    batch, _, *sizes = x
    dims = len(sizes)
    stride, padding, dilation, output_padding = (
        _per_dim(value, dims) for value in (stride, padding, dilation, output_padding)
    )
    if transposed:
        spatial = [
            (size - 1) * stride[i]
            - 2 * padding[i]
            + dilation[i] * (weight[2 + i] - 1)
            + output_padding[i]
            + 1
            for i, size in enumerate(sizes)
        ]
        return (batch, weight[1] * groups, *spatial)
    if 0 in stride:
        raise UnknownCostError
    spatial = [
        (size + 2 * padding[i] - dilation[i] * (weight[2 + i] - 1) - 1) // stride[i] + 1
        for i, size in enumerate(sizes)
    ]
    return (batch, weight[0], *spatial)


def _per_dim(value: Any, dims: int) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) == 1:
        values *= dims
    if len(values) < dims or not all(isinstance(v, int) for v in values):
        raise UnknownCostError
    return values


@dataclass(frozen=True)
class Arguments:
    """Where the arguments of a convolution stand; the input is the first, None what an op has not."""

    stride: int
    padding: int
    dilation: int | None = None
    groups: int | None = None
    bias: int | None = 2
    weight: int = 1
    added: int | None = None
    transposed: bool | int = False  # always, or by the value of an argument
    output_padding: int | None = None
    relu: bool = False


_FULL = Arguments(stride=3, padding=4, dilation=5, transposed=6, output_padding=7, groups=8)
_PADDING_FIRST = Arguments(padding=3, stride=4, dilation=5, groups=6)
_WINDOW = Arguments(bias=3, stride=4, padding=5, dilation=6)
_WINDOW_TRANSPOSED = Arguments(
    bias=3, stride=4, padding=5, output_padding=6, dilation=7, transposed=True, groups=None
)

# Strong ops, by their schemas in aten/src/ATen/native/native_functions.yaml (mkldnn:: in
# aten/src/ATen/native/mkldnn/RegisterMkldnnOpContextClass.cpp).
ARGUMENTS = {
    "aten::convolution": _FULL,
    "aten::_convolution": _FULL,
    "aten::convolution_overrideable": _FULL,
    "aten::cudnn_convolution": Arguments(padding=2, stride=3, dilation=4, groups=5, bias=None),
    "aten::cudnn_convolution_transpose": Arguments(
        padding=2, output_padding=3, stride=4, dilation=5, groups=6, bias=None, transposed=True
    ),
    "aten::cudnn_convolution_relu": Arguments(stride=3, padding=4, dilation=5, groups=6, relu=True),
    "aten::cudnn_convolution_add_relu": Arguments(
        added=2, bias=4, stride=5, padding=6, dilation=7, groups=8, relu=True
    ),
    "aten::miopen_convolution": _PADDING_FIRST,
    "aten::miopen_depthwise_convolution": _PADDING_FIRST,
    "aten::miopen_convolution_transpose": Arguments(
        padding=3, output_padding=4, stride=5, dilation=6, groups=7, transposed=True
    ),
    "aten::miopen_convolution_relu": Arguments(stride=3, padding=4, dilation=5, groups=6, relu=True),
    "aten::miopen_convolution_add_relu": Arguments(
        added=2, bias=4, stride=5, padding=6, dilation=7, groups=8, relu=True
    ),
    "aten::mkldnn_convolution": _PADDING_FIRST,
    "mkldnn::_convolution_pointwise": _PADDING_FIRST,
    "mkldnn::_convolution_transpose_pointwise": Arguments(
        padding=3, output_padding=4, stride=5, dilation=6, groups=7, transposed=True
    ),
    "aten::_conv_depthwise2d": _WINDOW,
    "aten::conv_depthwise3d": _WINDOW,
    "aten::slow_conv_dilated2d": _WINDOW,
    "aten::slow_conv_dilated3d": _WINDOW,
    "aten::thnn_conv2d": Arguments(bias=3, stride=4, padding=5),
    "aten::_slow_conv2d_forward": Arguments(bias=3, stride=4, padding=5),
    "aten::slow_conv3d": Arguments(bias=3, stride=4, padding=5),
    "aten::slow_conv3d_forward": Arguments(bias=3, stride=4, padding=5),
    "aten::slow_conv_transpose2d": _WINDOW_TRANSPOSED,
    "aten::slow_conv_transpose3d": _WINDOW_TRANSPOSED,
    "aten::_nnpack_spatial_convolution": Arguments(padding=3, stride=4),
}
# Composites of the above.
WRAPPER_ARGUMENTS = {
    **dict.fromkeys(
        ("aten::conv1d", "aten::conv2d", "aten::conv3d"),
        Arguments(stride=3, padding=4, dilation=5, groups=6),
    ),
    **dict.fromkeys(
        ("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d"),
        Arguments(stride=3, padding=4, output_padding=5, groups=6, dilation=7, transposed=True),
    ),
}


@register(*ARGUMENTS)
def convolution(call: Call) -> Cost:
    """(input [n, c_in, *in], weight, …): where the rest stands, `ARGUMENTS` tells by the op's name"""
    return _cost(call, ARGUMENTS[call.name])


@register(*WRAPPER_ARGUMENTS, wrapper=True)
def convolution_wrapper(call: Call) -> Cost:
    """As `convolution`; the input may lack the batch."""
    return _cost(call, WRAPPER_ARGUMENTS[call.name])


def _cost(call: Call, at: Arguments) -> Cost:
    if call.name.startswith("mkldnn::") and len(call.shapes[2]) > 1:
        # The overload that adds another tensor takes it before the weight.
        at = Arguments(padding=4, stride=5, dilation=6, groups=7, bias=3, weight=2, added=1)
    x, weight = call.shape(0), call.shape(at.weight)
    if len(x) == len(weight) - 1:
        x = (1, *x)
    transposed = at.transposed if isinstance(at.transposed, bool) else bool(call.value(at.transposed))
    out = output_shape(
        x,
        weight,
        call.value(at.stride),
        call.value(at.padding),
        [1] if at.dilation is None else call.value(at.dilation),
        transposed,
        [0] if at.output_padding is None else call.value(at.output_padding),
        1 if at.groups is None else call.value(at.groups),
    )
    optional = [index for index in (at.bias, at.added) if index is not None and present(call, index)]
    return Cost(
        matrix=convolution_flops(x, weight, out, transposed),
        bytes=total(read_bytes(call, 0, at.weight, *optional), of_size(prod(out), call.element_bytes(0))),
        dtype=call.dtype(0),
        vector=prod(out) * (len(optional) + at.relu),
    )


@register("aten::conv_tbc")
def conv_tbc(call: Call) -> Cost:
    """(input [time, batch, c_in], weight [window, c_in, c_out], bias [c_out], padding)"""
    (time, batch, c_in), (window, c_in_weight, c_out) = call.shape(0, 3), call.shape(1, 3)
    if c_in != c_in_weight:
        raise UnknownCostError
    outputs = (time + 2 * int(call.value(3)) - window + 1) * batch * c_out
    traffic = total(read_bytes(call, 0, 1, 2), of_size(outputs, call.element_bytes(0)))
    return Cost(2 * outputs * window * c_in, traffic, call.dtype(0), outputs)


@register("aten::convolution_backward", "aten::convolution_backward_overrideable")
def convolution_backward(call: Call) -> Cost:
    """(grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups,
    output_mask): one more convolution for each of the gradients of input and weight that is asked for.

    Each has the FLOPs of the forward convolution: the same products, summed along other axes. (For the
    weights of grouped convolutions, `flop_counter` counts `groups` times as many, as if they were dense.)
    grad_output is read, the weight for the input's gradient and the input for the weight's; the gradients
    asked for are written. The bias's takes an addition for each element of grad_output. `overrideable` has
    no bias_sizes.
    """
    grad, x, weight = call.shape(0), call.shape(1), call.shape(2)
    mask = 9 if call.name.endswith("overrideable") else 10
    transposed = bool(call.value(mask - 3))
    wants_input, wants_weight, wants_bias = call.value(mask)
    traffic = [read_bytes(call, 0)]
    if wants_input:
        traffic += [read_bytes(call, 2), read_bytes(call, 1)]
    if wants_weight:
        traffic += [read_bytes(call, 1), read_bytes(call, 2)]
    if wants_bias:
        traffic.append(of_size(grad[1], call.element_bytes(0)))
    return Cost(
        convolution_flops(x, weight, grad, transposed) * (bool(wants_input) + bool(wants_weight)),
        total(*traffic),
        call.dtype(1),
        prod(grad) * bool(wants_bias),
    )
