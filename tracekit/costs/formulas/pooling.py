"""Pooling, interpolation and sampling on grids: the windows of an image, and what each result takes.

A result's size follows from recorded values. Old traces have none: then the input's traffic is the least.
"""

from __future__ import annotations

from math import ceil, prod

from tracekit.costs.formulas.tensors import bytes_of, elements, flag, moved, number, shape_of, sized, sizes_of
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register


def pooled_size(size: int, kernel: int, stride: int, padding: int, dilation: int, rounds_up: bool) -> int:
    """Results along one dimension, by the formula in the documentation of `torch.nn.MaxPool2d`.

    A window must begin inside the input or its left padding, even when rounding up.
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    result = (ceil(span / stride) if rounds_up else span // stride) + 1
    if rounds_up and (result - 1) * stride >= size + padding:
        result -= 1
    return result


def _each(sizes: Shape, dims: int) -> Shape:
    return sizes * dims if len(sizes) == 1 else sizes


def _pooled(call: Call, dims: int, dilated: bool) -> tuple[int, int]:
    """Results, and elements per window; inputs are (self, kernel, stride, padding, [dilation], ceil_mode)."""
    shape = shape_of(call, 0)
    kernel = _each(sizes_of(call, 1), dims)
    stride = _each(sizes_of(call, 2, ()) or kernel, dims)
    padding = _each(sizes_of(call, 3, (0,)), dims)
    dilation = _each(sizes_of(call, 4, (1,)) if dilated else (1,), dims)
    rounds_up = flag(call, 5 if dilated else 4, False)
    spatial = [
        pooled_size(size, kernel[i], stride[i], padding[i], dilation[i], rounds_up)
        for i, size in enumerate(shape[-dims:])
    ]
    return prod(shape[:-dims]) * prod(spatial), prod(kernel)


def _dims(name: str) -> int:
    return next((dims for dims in (1, 2, 3) if f"{dims}d" in name), 2)


@register("aten::max_pool2d_with_indices", "aten::max_pool3d_with_indices")
def max_pool(call: Call) -> Cost:
    """1 comparison per element of each window; writes the maxima and their long indices."""
    try:
        results, window = _pooled(call, _dims(call.name), dilated=True)
    except UnknownCostError:
        return moved(call, elements(call, 0), bytes_of(call, 0))
    written = sized(results, call.dtype(0)), sized(results, "long int")
    return moved(call, results * window, bytes_of(call, 0), *written)


@register("aten::max_pool2d", "aten::mkldnn_max_pool2d", "aten::mkldnn_max_pool3d", wrapper=True)
def max_pool_without_indices(call: Call) -> Cost:
    results, window = _pooled(call, _dims(call.name), dilated=True)
    return moved(call, results * window, bytes_of(call, 0), sized(results, call.dtype(0)))


@register("aten::avg_pool2d", "aten::avg_pool3d")
def avg_pool(call: Call) -> Cost:
    """(self, kernel, stride, padding, ceil_mode, …): 1 addition per element of each window."""
    try:
        results, window = _pooled(call, _dims(call.name), dilated=False)
    except UnknownCostError:
        return moved(call, elements(call, 0), bytes_of(call, 0))
    return moved(call, results * window, bytes_of(call, 0), sized(results, call.dtype(0)))


@register("aten::_adaptive_avg_pool2d", "aten::_adaptive_avg_pool3d", "aten::adaptive_max_pool2d",
          "aten::adaptive_max_pool3d")  # fmt: skip
def adaptive_pool(call: Call) -> Cost:
    """(self, output_size): 1 per element of the input, which the windows cover; maxima have indices."""
    shape = shape_of(call, 0)
    try:
        sizes = _each(sizes_of(call, 1), _dims(call.name))
        results = prod(shape[: -len(sizes)]) * prod(sizes)
    except UnknownCostError:
        results = 0
    indices = sized(results, "long int") if "max" in call.name else 0
    return moved(call, prod(shape), bytes_of(call, 0), sized(results, call.dtype(0)), indices)


@register("aten::max_pool2d_with_indices_backward", "aten::max_pool3d_with_indices_backward",
          "aten::adaptive_max_pool2d_backward", "aten::adaptive_max_pool3d_backward")  # fmt: skip
def max_pool_backward(call: Call) -> Cost:
    """(grad, self, …, indices): 1 addition per gradient; the input is not read, only as large."""
    indices = [i for i in range(2, len(call.dtypes)) if call.is_tensor(i)]
    read = bytes_of(call, 0, *indices[:1])
    return moved(call, elements(call, 0), read, bytes_of(call, 1), dtype=call.dtype(1))


@register("aten::avg_pool2d_backward", "aten::avg_pool3d_backward", "aten::_adaptive_avg_pool2d_backward",
          "aten::_adaptive_avg_pool3d_backward")  # fmt: skip
def avg_pool_backward(call: Call) -> Cost:
    """(grad, self, kernel, …): divide once, add to every element of a window; the input is not read."""
    try:
        window = 0 if "adaptive" in call.name else prod(_each(sizes_of(call, 2), _dims(call.name)))
    except UnknownCostError:
        window = 0
    flops = elements(call, 0) * (window + 1) if window else max(elements(call, 0), elements(call, 1))
    return moved(call, flops, bytes_of(call, 0), bytes_of(call, 1), dtype=call.dtype(1))


# Weighted sums of the neighbours: n multiplications, n − 1 additions; weights are not counted.
_INTERPOLATION = {
    "upsample_nearest1d": 0,
    "upsample_nearest2d": 0,
    "upsample_nearest3d": 0,
    "_upsample_nearest_exact1d": 0,
    "_upsample_nearest_exact2d": 0,
    "_upsample_nearest_exact3d": 0,
    "upsample_linear1d": 3,
    "upsample_bilinear2d": 7,
    "_upsample_bilinear2d_aa": 7,
    "upsample_bicubic2d": 31,
    "_upsample_bicubic2d_aa": 31,
    "upsample_trilinear3d": 15,
}


@register(*(f"aten::{name}" for name in _INTERPOLATION))
def upsample(call: Call) -> Cost:
    """(input [n, C, *in], output_size, …) → [n, C, *output_size].

    Calls with scale factors instead of a size hold one with the size.
    """
    shape = shape_of(call, 0)
    sizes = sizes_of(call, 1)
    count = prod(shape[: -len(sizes)]) * prod(sizes)
    flops = _INTERPOLATION[call.name.removeprefix("aten::")]
    return moved(call, flops * count, bytes_of(call, 0), sized(count, call.dtype(0)))


@register(*(f"aten::{name}_backward" for name in _INTERPOLATION))
def upsample_backward(call: Call) -> Cost:
    """(grad, output_size, input_size, …): each gradient spreads over the neighbours, times weight, added."""
    name = call.name.removeprefix("aten::").removesuffix("_backward")
    flops = _INTERPOLATION[name] + 1
    written = sized(prod(sizes_of(call, 2)), call.dtype(0))
    return moved(call, flops * elements(call, 0), bytes_of(call, 0), written)


@register("aten::grid_sampler_2d", "aten::grid_sampler_3d", "aten::cudnn_grid_sampler",
          "aten::_grid_sampler_2d_cpu_fallback")  # fmt: skip
def grid_sampler(call: Call) -> Cost:
    """(input [n, C, *in], grid [n, *out, dims], mode, …) → [n, C, *out].

    Nearest (mode 1) copies; otherwise as linear interpolation, 7 in two dimensions, 15 in three.
    """
    count, grid = shape_of(call, 0)[1] * prod(shape_of(call, 1)[:-1]), shape_of(call, 1)
    flops = {0: 7 if grid[-1] == 2 else 15, 1: 0, 2: 31}.get(int(number(call, 2, 0)), 0)
    return moved(call, flops * count, bytes_of(call, 0, 1), sized(count, call.dtype(0)))


@register("aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward")
def grid_sampler_backward(call: Call) -> Cost:
    """(grad, input, grid, …) → gradients of both; per gradient twice the forward's products, at least."""
    flops = 14 if shape_of(call, 2)[-1] == 2 else 30
    return moved(
        call, flops * elements(call, 0), bytes_of(call, 0, 1, 2), bytes_of(call, 1, 2), dtype=call.dtype(1)
    )
