"""Triton kernels that `torch.compile` wrote, from the arguments that the profiler records with their launch.

Inductor names a kernel after its kind and the aten ops fused in it, in alphabetical order and each once:
`triton_poi_fused_add_cos_sin_0` is pointwise, `triton_red_…` and `triton_per_…` reduce (in a loop, in one
pass), `triton_tem_…` fills a template with a matrix product or attention in it
(torch/_inductor/codegen/triton.py, utils.py: get_fused_kernel_name). Its arguments are the tensors that it
reads and writes, then the numbers of elements that it runs over, reduced ones last. It knows no trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from math import prod

from tracekit.costs.formulas.traffic import tensor_indices
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total

_NAME = re.compile(r"triton_(?P<kind>[a-z]+)_fused_?(?P<ops>.*?)_?\d*$")

# Vector FLOPs per element by the names of aten ops; the counts are spelled out where they are no plain one.
_ONE = """abs acos acosh add amax amin any argmax argmin asin atan atan2 avg_pool2d ceil clamp_max
clamp_min cos cosh cumprod cumsum div embedding_dense_backward eq erf erfc erfinv exp exp2 expm1 floor
floor_divide fmod ge gt index_add le log log10 log1p log2 logcumsumexp logical_not lt max maximum mean min
minimum mul nansum ne neg pow prod reciprocal relu remainder round rsqrt rsub scatter_add sigmoid sign sin
sinh sqrt square sub sum tan tanh threshold_backward trunc"""
_FLOPS = dict.fromkeys(_ONE.split(), 1) | {
    "_fused_rms_norm": 4,  # square, sum, two multiplications
    "_log_softmax": 5,  # max, subtract, exp, sum, subtract
    "_log_softmax_backward_data": 4,  # sum, exp, multiply, subtract
    "_native_batch_norm_legit": 7,
    "_native_batch_norm_legit_functional": 7,
    "_native_batch_norm_legit_no_training": 4,  # subtract, multiply, scale, shift
    "_safe_softmax": 5,
    "_softmax": 5,  # max, subtract, exp, sum, divide
    "_softmax_backward_data": 4,  # multiply, sum, multiply, subtract
    "addcdiv": 3,
    "addcmul": 3,
    "clamp": 2,
    "elu": 3,
    "gelu": 5,  # scale, erf, add, halve, multiply
    "gelu_backward": 11,  # the same but the last; a square, two scales, exp; then multiply, add, multiply
    "hardsigmoid": 4,
    "hardswish": 5,
    "hardtanh": 2,
    "leaky_relu": 2,
    "lerp": 3,
    "logaddexp": 4,
    "mse_loss": 3,
    "native_batch_norm": 7,
    "native_dropout": 3,  # compare a random number, mask, scale
    "native_dropout_backward": 2,
    "native_group_norm": 7,
    "native_layer_norm": 7,  # sum, subtract, square, sum, multiply, scale, shift
    "sigmoid_backward": 3,
    "silu": 2,  # sigmoid, multiply
    "silu_backward": 6,  # sigmoid, subtract, multiply, add, two multiplications
    "softplus": 3,
    "std": 4,
    "tanh_backward": 3,
    "var": 4,  # sum, subtract, square, sum
    "var_mean": 4,
}
# Ops that move and do not compute, of more than one word: or a word of theirs would count for an op.
_MOVES = """
    _adaptive_avg_pool2d_backward _reshape_alias _to_copy _unsafe_index _unsafe_index_put _unsafe_view
    as_strided as_strided_scatter bitwise_and bitwise_not bitwise_or constant_pad_nd diagonal_scatter
    empty_like empty_strided full_like index_put index_select logical_and logical_or masked_fill
    masked_scatter max_pool2d_with_indices max_pool2d_with_indices_backward new_empty new_full new_ones
    new_zeros nll_loss_backward nll_loss_forward ones_like rand_like randn_like reflection_pad2d
    repeat_interleave scalar_tensor select_backward select_scatter slice_backward slice_scatter
    split_with_sizes zeros_like"""
_KNOWN = {*_MOVES.split(), *_FLOPS}
_LONGEST = max(name.count("_") + 1 for name in _KNOWN)
# In a reduction these stand behind the sum, one for each result.
_OF_RESULTS = {"rsqrt", "sqrt", "reciprocal"}


def fused_ops(name: str) -> list[str]:
    """The aten ops in a kernel's name: `_unsafe_view`, `mul` and `silu` of `…_fused__unsafe_view_mul_silu_2`.

    Names are joined with the letter that they may hold, so the longest known one is taken at each place;
    an unknown word stands for itself.
    """
    match = _NAME.match(name)
    words = match["ops"].split("_") if match else []
    ops, at = [], 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            op = "_".join(words[at : at + length])
            if length == 1 or op in _KNOWN:
                break
        at += length
        if op:
            ops.append(op)
    return ops


def _numels(call: Call) -> list[int]:
    """The numbers behind the tensors, at the end of the arguments."""
    numels: list[int] = []
    for index in reversed(range(len(call.shapes))):
        if call.dtype(index) != "Scalar":
            break
        value = call.value(index)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            break
        numels.insert(0, value)
    if not numels:
        raise UnknownCostError
    return numels


def iterated_elements(call: Call, reduces: bool) -> tuple[int, int]:
    """(elements that a kernel runs over, results of its reduction); the same for a pointwise kernel.

    Sizes of dynamic shapes may stand before the numbers of elements, and a kernel may be tiled in two or
    three dimensions: the product of the most trailing numbers that is the size of a tensor is taken, else
    of the fewest that there must be.
    """
    numels = _numels(call)
    sizes = {prod(call.shape(index)) for index in tensor_indices(call)}
    fewest = 2 if reduces else 1
    if len(numels) < fewest:
        raise UnknownCostError
    fitting = [n for n in range(fewest, min(3, len(numels)) + 1) if prod(numels[-n:]) in sizes]
    used = numels[-max(fitting, default=fewest) :]
    return prod(used), prod(used[:-1]) if reduces else prod(used)


def _tensor_bytes(call: Call, at_most: int | None = None) -> int | None:
    sizes = []
    for index in tensor_indices(call):
        count, element = prod(call.shape(index)), call.element_bytes(index)
        sizes.append(None if element is None else min(count, at_most or count) * element)
    return total(*sizes) if sizes else None


def _dtype(call: Call) -> str | None:
    return next((call.dtype(index) for index in tensor_indices(call)), None)


@register("triton_poi_fused_*", "triton_red_fused_*", "triton_per_fused_*")
def pointwise_or_reduction(call: Call) -> Cost:
    """Bytes: every tensor argument once, and of one with more elements than the kernel runs over (it gathers
    or slices) no more than it runs over. That an `in_out_ptr` is both read and written is not recorded:
    such an operand counts once, and the true least is more.

    Vector FLOPs: the ops in the name, each for all elements that the kernel runs over. An op that stands
    in it several times counts once; one in a reduction that touches only the results counts for all
    elements, but for roots, which always do.
    """
    reduces = not call.name.startswith("triton_poi")
    ran_over, results = iterated_elements(call, reduces)
    vector = sum(
        _FLOPS.get(op, 0) * (results if reduces and op in _OF_RESULTS else ran_over)
        for op in fused_ops(call.name)
    )
    return Cost(bytes=_tensor_bytes(call, ran_over), dtype=_dtype(call), vector=vector)


def _shapes(call: Call) -> list[Shape]:
    return [call.shape(index) for index in tensor_indices(call)]


def _products(shapes: list[Shape]) -> Iterator[tuple[int, int]]:
    """(FLOPs, elements of the result) of neighbours that fit as [b, m, k] @ [b, k, n] or [m, k] @ [k, n]."""
    for a, b in pairwise(shapes):
        if len(a) == len(b) in (2, 3) and a[:-2] == b[:-2] and a[-1] == b[-2]:
            result = prod(a[:-1]) * b[-1]
            yield 2 * result * a[-1], result


@register("triton_tem_fused_*")
def template(call: Call) -> Cost:
    """A template's operands come first in its arguments, in the order of its `def_kernel`; a bias may stand
    before them, operands of the fused prologue and epilogue and the result behind.

    The product is that of the first neighbours whose shapes fit and whose result is as large as a later
    tensor (torch/_inductor/kernel/mm.py, bmm.py: A, B; mm_plus_mm.py: A, B, C, D). Convolution: X
    [n, c, …], W [o, c/groups, …] and an output [n, o, …] (conv.py). Vector FLOPs of what is fused with it
    are not counted: what it runs over is not recorded.
    """
    if "flex_attention" in call.name:
        matrix = _flex_attention(call)
    elif "convolution" in call.name:
        matrix = _convolution(_shapes(call))
    else:
        matrix = _matrix_product(_shapes(call), twice="mm_plus_mm" in call.name)
    return Cost(matrix, _tensor_bytes(call), _dtype(call))


def _matrix_product(shapes: list[Shape], twice: bool) -> int:
    sizes = [prod(shape) for shape in shapes]
    fitting = [flops for flops, result in _products(shapes) if result in sizes[2:]]
    if not fitting:
        raise UnknownCostError
    return fitting[0] * (2 if twice else 1)


def _convolution(shapes: list[Shape]) -> int:
    """2 · outputs · products of each: W holds the channels of one group."""
    for x, weight in pairwise(shapes):
        if len(x) != len(weight) or len(x) < 3:
            continue
        outputs = [s for s in shapes if len(s) == len(x) and s[:2] == (x[0], weight[0]) and s != weight]
        if outputs:
            return 2 * prod(outputs[-1]) * prod(weight[1:])
    raise UnknownCostError


def _flex_attention(call: Call) -> int:
    """Q [b, h, q, d] (decoding: [b, h_kv, h/h_kv, q, d]), K [b, h_kv, k, d], V [b, h_kv, k, dv].

    2·b·h·q·k·(d + dv) as `torch.utils.flop_counter`, as if no block were masked: which are is data. The
    backward template computes the scores again, then dV, dA, dQ and dK (flex_backwards.py.jinja).
    """
    q, k, v = _shapes(call)[:3]
    if len(k) != 4 or len(q) not in (4, 5) or q[-1] != k[-1]:
        raise UnknownCostError
    times = 3 * q[-1] + 2 * v[-1] if "backward" in call.name else q[-1] + v[-1]
    return 2 * prod(q[:-1]) * k[-2] * times
