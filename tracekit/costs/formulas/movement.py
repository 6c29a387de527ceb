"""Copies, joins and rearrangements: every element read once and written once, no FLOPs.

Gathers and scatters are in `indexing`. Views move nothing and have no formula.
"""

from __future__ import annotations

from math import log2, prod

from tracekit.costs.formulas.tensors import (
    bytes_of,
    dtype_argument,
    elements,
    flag,
    moved,
    number,
    shape_of,
    sized,
    sizes_of,
)
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total


@register("aten::copy_", "aten::_copy_from", "aten::_copy_from_and_resize")
def copy(call: Call) -> Cost:
    """copy_(destination, source, …): types may differ, and the source may be broadcast."""
    source = call.dtype(1) if call.name == "aten::copy_" else call.dtype(0)
    return Cost(bytes=bytes_of(call, 0, 1), dtype=source)


@register("aten::clone", "aten::lift_fresh_copy", "aten::pixel_shuffle", "aten::pixel_unshuffle",
          "aten::channel_shuffle", "aten::native_channel_shuffle", "aten::_reshape_copy", "aten::view_copy",
          "aten::permute_copy", "aten::transpose_copy", "aten::t_copy", "aten::squeeze_copy",
          "aten::unsqueeze_copy", "aten::detach_copy", "aten::_conj_copy", wrapper=True)  # fmt: skip
def same_size(call: Call) -> Cost:
    """One tensor, as large as the result."""
    size = sized(elements(call, 0), call.dtype(0))
    return moved(call, 0, size, size)


@register("aten::_to_copy", wrapper=True)
def to_copy(call: Call) -> Cost:
    """(self, dtype, …)"""
    written = sized(elements(call, 0), dtype_argument(call, 1, call.dtype(0)))
    return moved(call, 0, bytes_of(call, 0), written)


@register("aten::cat", "aten::_cat", "aten::stack", "aten::_stack", "aten::concat", wrapper=True)
def cat(call: Call) -> Cost:
    """([tensors], dim): all that is read is written. Torch may copy them one by one: those copies count.

    Of a list whose shapes were not recorded, for being long, bytes are unknown.
    """
    if call.dtype(0) != "TensorList":
        raise UnknownCostError
    size = bytes_of(call, 0) if call.shapes[0] else None
    return Cost(bytes=total(size, size))


@register(
    "aten::split_with_sizes_copy", "aten::split_copy", "aten::unbind_copy", "aten::_chunk_cat", wrapper=True
)
def split_copy(call: Call) -> Cost:
    """(self or [tensors], …): all that is read is written."""
    if not call.is_tensor(0):
        return cat(call)
    size = bytes_of(call, 0)
    return Cost(bytes=total(size, size), dtype=call.dtype(0))


@register("aten::repeat", wrapper=True)
def repeat(call: Call) -> Cost:
    """(self, repeats)"""
    written = sized(elements(call, 0) * prod(sizes_of(call, 1)), call.dtype(0))
    return moved(call, 0, bytes_of(call, 0), written)


@register("aten::repeat_interleave")
def repeat_interleave(call: Call) -> Cost:
    """(repeats [n], output_size) → indices [output_size], of the repeats' type.

    With a tensor to repeat, it gathers by such indices, in an op of its own. Without a size, at least the
    repeats are read.
    """
    if call.is_tensor(1) or len(call.dtypes) != 2:
        raise UnknownCostError
    return moved(call, 0, bytes_of(call, 0), sized(int(number(call, 1, 0)), call.dtype(0)))


@register("aten::reflection_pad1d", "aten::reflection_pad2d", "aten::reflection_pad3d",
          "aten::replication_pad1d", "aten::replication_pad2d", "aten::replication_pad3d")  # fmt: skip
def pad(call: Call) -> Cost:
    """(self, padding): pairs of sizes, the last dimension first."""
    shape = list(shape_of(call, 0))
    padding = sizes_of(call, 1)
    for i in range(len(padding) // 2):
        shape[-1 - i] += padding[2 * i] + padding[2 * i + 1]
    return moved(call, 0, bytes_of(call, 0), sized(prod(shape), call.dtype(0)))


@register("aten::constant_pad_nd", wrapper=True)
def constant_pad(call: Call) -> Cost:
    return pad(call)


@register("aten::reflection_pad1d_backward", "aten::reflection_pad2d_backward",
          "aten::reflection_pad3d_backward", "aten::replication_pad1d_backward",
          "aten::replication_pad2d_backward", "aten::replication_pad3d_backward")  # fmt: skip
def pad_backward(call: Call) -> Cost:
    """(grad, self, padding): each gradient is added once; self is not read, only as large."""
    return moved(call, elements(call, 0), bytes_of(call, 0), bytes_of(call, 1))


@register("aten::im2col")
def im2col(call: Call) -> Cost:
    """(self [n, C, h, w], kernel, dilation, padding, stride) → [n, C · kernel, blocks]."""
    shape = shape_of(call, 0)
    kernel, dilation, padding, stride = (sizes_of(call, i) for i in range(1, 5))
    blocks = prod(
        (size + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i, size in enumerate(shape[-2:])
    )
    written = sized(prod(shape[:-2]) * prod(kernel) * blocks, call.dtype(0))
    return moved(call, 0, bytes_of(call, 0), written)


@register("aten::col2im")
def col2im(call: Call) -> Cost:
    """(self [n, C · kernel, blocks], output_size, kernel, …) → [n, C, *output_size]: 1 addition each."""
    shape = shape_of(call, 0)
    channels = prod(shape[:-1]) // prod(sizes_of(call, 2))
    written = sized(channels * prod(sizes_of(call, 1)), call.dtype(0))
    return moved(call, elements(call, 0), bytes_of(call, 0), written)


@register("aten::unfold_backward")
def unfold_backward(call: Call) -> Cost:
    """(grad, input_sizes, dim, size, step): each gradient is added once."""
    written = sized(prod(sizes_of(call, 1)), call.dtype(0))
    return moved(call, elements(call, 0), bytes_of(call, 0), written)


@register("aten::_fft_r2c", "aten::_fft_c2c", "aten::_fft_c2r")
def fft(call: Call) -> Cost:
    """(self, dims, normalization, onesided | forward | last_dim_size): 5 · N · log₂ n, of reals half.

    N points in all, n in each transform: the count of the FFTW authors' benchmarks ("mflops",
    fftw.org/speed), whatever the algorithm. Of a real transform half of the spectrum is kept or given.
    """
    shape = list(shape_of(call, 0))
    dims = [dim % len(shape) for dim in sizes_of(call, 1)]
    result = list(shape)
    if call.name == "aten::_fft_c2r":
        shape[dims[-1]] = result[dims[-1]] = int(number(call, 3))
    elif call.name == "aten::_fft_r2c" and flag(call, 3, True):
        result[dims[-1]] = result[dims[-1]] // 2 + 1
    is_real = call.name != "aten::_fft_c2c"
    length = prod(shape[dim] for dim in dims)
    flops = round((2.5 if is_real else 5) * prod(shape) * log2(length)) if length else 0
    read, dtype = bytes_of(call, 0), call.dtype(0) or ""
    if call.name == "aten::_fft_r2c":
        dtype = f"c10::complex<{dtype}>"
    elif call.name == "aten::_fft_c2r":
        dtype = dtype.removeprefix("c10::complex<").removesuffix(">")
    return moved(call, flops, read, sized(prod(result), dtype))


@register("aten::quantize_per_tensor", "aten::quantize_per_tensor_dynamic", "aten::quantize_per_channel")
def quantize(call: Call) -> Cost:
    """(self, scale, zero_point, [axis], dtype): divide, round, add, two comparisons: 5."""
    count = elements(call, 0)
    dtype = dtype_argument(call, len(call.dtypes) - 1, "c10::qint8")
    if call.name == "aten::quantize_per_tensor_dynamic":
        dtype = dtype_argument(call, 1, "c10::qint8")
    parameters = bytes_of(call, 1, 2)
    return moved(call, 5 * count, bytes_of(call, 0), parameters, sized(count, dtype))


@register("aten::dequantize")
def dequantize(call: Call) -> Cost:
    """Subtract, multiply: 2; the result is float."""
    count = elements(call, 0)
    return moved(call, 2 * count, bytes_of(call, 0), sized(count, "float"))


@register("aten::_nested_from_padded", "aten::_pack_padded_sequence", "aten::to_padded_tensor")
def packing(call: Call) -> Cost:
    """How much is kept is a matter of lengths, which a trace lacks: bytes unknown, 0 FLOPs."""
    shape_of(call, 0)
    return Cost(dtype=call.dtype(0))
