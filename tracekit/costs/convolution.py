"""Convolutions: 2 · outputs · inputs per output, forward and backward, as `torch.utils.flop_counter`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, tensor_bytes, total


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


def _cost(call: Call, x: Shape, weight: Shape, out: Shape, transposed: bool) -> Cost:
    element = call.element_bytes(0)
    written = None if element is None else prod(out) * element
    return Cost(
        matrix=convolution_flops(x, weight, out, transposed),
        bytes=total(tensor_bytes(call, 0), tensor_bytes(call, 1), written),
        dtype=call.dtype(0),
    )


@register("aten::convolution", "aten::_convolution", "aten::convolution_overrideable")
def convolution(call: Call) -> Cost:
    """(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)"""
    x, weight = call.shape(0), call.shape(1)
    transposed = bool(call.value(6))
    out = output_shape(
        x, weight, call.value(3), call.value(4), call.value(5), transposed, call.value(7), call.value(8)
    )
    return _cost(call, x, weight, out, transposed)


@register("aten::cudnn_convolution", "aten::mkldnn_convolution")
def backend_convolution(call: Call) -> Cost:
    """cuDNN: (input, weight, padding, stride, dilation, groups, …); MKL-DNN has a bias before padding."""
    at = 3 if call.name == "aten::mkldnn_convolution" else 2
    x, weight = call.shape(0), call.shape(1)
    padding, stride, dilation, groups = (call.value(at + i) for i in range(4))
    out = output_shape(x, weight, stride, padding, dilation, False, [0], groups)
    return _cost(call, x, weight, out, False)


@register("aten::miopen_convolution")
def miopen_convolution(call: Call) -> Cost:
    """(input, weight, bias, padding, stride, dilation, groups, …)"""
    x, weight = call.shape(0), call.shape(1)
    padding, stride, dilation, groups = (call.value(3 + i) for i in range(4))
    out = output_shape(x, weight, stride, padding, dilation, False, [0], groups)
    return _cost(call, x, weight, out, False)


@register("aten::conv1d", "aten::conv2d", "aten::conv3d", wrapper=True)
def conv(call: Call) -> Cost:
    """(input, weight, bias, stride, padding, dilation, groups)"""
    x, weight = call.shape(0), call.shape(1)
    if len(x) == len(weight) - 1:
        x = (1, *x)
    out = output_shape(x, weight, call.value(3), call.value(4), call.value(5), False, [0], call.value(6))
    return _cost(call, x, weight, out, False)


@register("aten::convolution_backward")
def convolution_backward(call: Call) -> Cost:
    """(grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups,
    output_mask): one more convolution for each of the gradients of input and weight that is asked for.

    Each has the FLOPs of the forward convolution: the same products, summed along other axes. (For the
    weights of grouped convolutions, `flop_counter` counts `groups` times as many, as if they were dense.)
    """
    grad, x, weight = call.shape(0), call.shape(1), call.shape(2)
    transposed = bool(call.value(7))
    wants_input, wants_weight = call.value(10)[:2]
    forward = convolution_flops(x, weight, grad, transposed)
    return Cost(
        forward * (bool(wants_input) + bool(wants_weight)),
        None,
        call.dtypes[1] if len(call.dtypes) > 1 else None,
    )
