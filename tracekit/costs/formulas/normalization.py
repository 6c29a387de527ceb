"""Normalisations and their gradients: vector FLOPs per element of the input, statistics apart.

Forward: sum, subtract the mean, square, sum, multiply by 1/σ: 5; with a weight 1 more, with a bias 1 more.
Statistics from elsewhere (running ones): subtract, multiply: 2. Backward: x̂ takes 2 (subtract, multiply),
Σ g and Σ g · x̂ 3, dx = (g − a − x̂ · b) / σ 4, the weight 1, its gradient 2, the bias's 1. These are the
equations of Ioffe & Szegedy (2015), section 3, and Ba et al. (2016); what depends on one row or channel only
is not counted.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import (
    bytes_of,
    elements,
    flag,
    flags_of,
    moved,
    number,
    shape_of,
    sized,
    sizes_of,
    wide,
)
from tracekit.costs.registry import Call, Cost, register, total


def _forward_flops(call: Call, weight: int, bias: int, statistics: bool = True) -> int:
    return (5 if statistics else 2) + call.is_tensor(weight) + call.is_tensor(bias)


def _backward(
    call: Call,
    grad: int,
    x: int,
    read: tuple[int, ...],
    weight: int,
    mask: tuple[bool, ...],
    bias: int | None,
) -> Cost:
    """Gradients by `mask`: of the input, the weight, the bias.

    A weight that is absent has no gradient; the bias's is as large as the weight, or input `bias`.
    """
    wants_input, wants_weight, wants_bias = mask
    has_weight = call.is_tensor(weight)
    flops = 2 + wants_input * (7 + has_weight) + has_weight * (2 * wants_weight + wants_bias)
    written = [
        bytes_of(call, x) if wants_input else 0,
        bytes_of(call, weight) if wants_weight else 0,
        bytes_of(call, weight if bias is None else bias) if wants_bias else 0,
    ]
    return moved(
        call, flops * elements(call, x), bytes_of(call, grad, x, *read), *written, dtype=call.dtype(x)
    )


def _rows(call: Call, normalized: int, weight: int) -> int:
    """Rows of a layer norm: what lies outside `normalized_shape`, which the weight has too."""
    shape = shape_of(call, 0)
    default = shape_of(call, weight) if call.is_tensor(weight) else shape[-1:]
    inner = prod(sizes_of(call, normalized, default))
    return prod(shape) // inner if inner else 0


@register("aten::native_layer_norm")
def layer_norm(call: Call) -> Cost:
    """(input, normalized_shape, weight, bias, eps) → output, mean and 1/σ of each row."""
    count = elements(call, 0)
    statistics = sized(2 * _rows(call, 1, 2), wide(call.dtype(0)))
    written = sized(count, call.dtype(0))
    return moved(call, _forward_flops(call, 2, 3) * count, bytes_of(call, 0, 2, 3), written, statistics)


@register("aten::native_layer_norm_backward")
def layer_norm_backward(call: Call) -> Cost:
    """(grad, input, normalized_shape, mean, rstd, weight, bias, output_mask)"""
    return _backward(call, 0, 1, (3, 4, 5), 5, flags_of(call, 7, 3), 6)


@register("aten::native_group_norm")
def group_norm(call: Call) -> Cost:
    """(input, weight, bias, N, C, HxW, group, eps) → output, mean and 1/σ of [N, group]."""
    count = elements(call, 0)
    groups = shape_of(call, 0)[0] * int(number(call, 6, 1))
    statistics = sized(2 * groups, wide(call.dtype(0)))
    written = sized(count, call.dtype(0))
    return moved(call, _forward_flops(call, 1, 2) * count, bytes_of(call, 0, 1, 2), written, statistics)


@register("aten::native_group_norm_backward")
def group_norm_backward(call: Call) -> Cost:
    """(grad, input, mean, rstd, weight, N, C, HxW, group, output_mask)"""
    return _backward(call, 0, 1, (2, 3, 4), 4, flags_of(call, 9, 3), None)


def _batch_norm(call: Call, training: bool, running: tuple[int, ...], saves: bool) -> Cost:
    """Batch statistics: updates the running ones, saves mean and 1/σ per channel. Else reads the running."""
    shape = shape_of(call, 0)
    channels = shape[1]
    statistics = sized(2 * channels, wide(call.dtype(0))) if saves else 0
    return moved(
        call,
        _forward_flops(call, 1, 2, statistics=training) * prod(shape),
        bytes_of(call, 0, 1, 2, *running),
        bytes_of(call, *running) if training else 0,
        sized(prod(shape), call.dtype(0)),
        statistics,
    )


@register("aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm")
def batch_norm(call: Call) -> Cost:
    """(input, weight, bias, running_mean, running_var, training, momentum, eps)"""
    training = flag(call, 5, True)
    return _batch_norm(call, training, (3, 4), saves=training)


@register("aten::_native_batch_norm_legit", "aten::_native_batch_norm_legit_functional")
def batch_norm_legit(call: Call) -> Cost:
    """As native_batch_norm, or, without statistics, (input, weight, bias, training, momentum, eps)."""
    if not call.is_tensor(3):
        return _batch_norm(call, flag(call, 3, True), (), saves=True)
    return batch_norm(call)


@register("aten::_native_batch_norm_legit_no_training", "aten::_batch_norm_no_update")
def batch_norm_inference(call: Call) -> Cost:
    """(input, weight, bias, running_mean, running_var, momentum, eps)"""
    return _batch_norm(call, False, (3, 4), saves=False)


@register("aten::_batch_norm_with_update", "aten::_batch_norm_with_update_functional")
def batch_norm_with_update(call: Call) -> Cost:
    """(input, weight, bias, running_mean, running_var, momentum, eps)"""
    return _batch_norm(call, True, (3, 4), saves=True)


@register("aten::native_batch_norm_backward")
def native_batch_norm_backward(call: Call) -> Cost:
    """(grad, input, weight, running_mean, running_var, save_mean, save_invstd, train, eps, output_mask)

    Trained with batch statistics the saved ones are read, else the running ones.
    """
    statistics = (5, 6) if flag(call, 7, True) else (3, 4)
    return _backward(call, 0, 1, (2, *statistics), 2, flags_of(call, 9, 3), None)


@register("aten::cudnn_batch_norm_backward", "aten::miopen_batch_norm_backward")
def library_batch_norm_backward(call: Call) -> Cost:
    """cuDNN: (input, grad, weight, running_mean, running_var, save_mean, save_var, eps, …); MIOpen alike."""
    return _backward(call, 1, 0, (2, 5, 6), 2, (True, True, True), None)


@register("aten::batch_norm_backward")
def batch_norm_backward(call: Call) -> Cost:
    """(grad, input, weight, running_mean, running_var, save_mean, save_var, update, eps, output_mask, …)"""
    statistics = (5, 6) if flag(call, 7, True) else (3, 4)
    return _backward(call, 0, 1, (2, *statistics), 2, flags_of(call, 9, 3), None)


@register("aten::batch_norm_stats")
def batch_norm_stats(call: Call) -> Cost:
    """(input, eps) → mean and 1/σ per channel, of one device's share: sum, subtract, square, sum: 4."""
    shape = shape_of(call, 0)
    return moved(call, 4 * prod(shape), bytes_of(call, 0), sized(2 * shape[1], wide(call.dtype(0))))


@register("aten::batch_norm_elemt")
def batch_norm_elemt(call: Call) -> Cost:
    """(input, weight, bias, mean, invstd, eps): normalises by statistics that are given."""
    count = elements(call, 0)
    flops = _forward_flops(call, 1, 2, statistics=False)
    return moved(call, flops * count, bytes_of(call, 0, 1, 2, 3, 4), sized(count, call.dtype(0)))


@register("aten::batch_norm_gather_stats_with_counts", "aten::batch_norm_gather_stats")
def batch_norm_gather_stats(call: Call) -> Cost:
    """(input, mean [ranks, C], invstd, running_mean, running_var, momentum, eps, counts): joins, 6 each."""
    channels = shape_of(call, 1)[-1]
    read, updated = bytes_of(call, 1, 2, 3, 4, 7), bytes_of(call, 3, 4)
    return moved(call, 6 * elements(call, 1), read, updated, sized(2 * channels, call.dtype(1)))


@register("aten::batch_norm_backward_reduce")
def batch_norm_backward_reduce(call: Call) -> Cost:
    """(grad, input, mean, invstd, weight, …) → Σ g, Σ g · (x − mean), gradients of weight and bias: 4."""
    channels = shape_of(call, 1)[1]
    written = sized(4 * channels, wide(call.dtype(1)))
    return moved(call, 4 * elements(call, 1), bytes_of(call, 0, 1, 2, 3, 4), written, dtype=call.dtype(1))


@register("aten::batch_norm_backward_elemt")
def batch_norm_backward_elemt(call: Call) -> Cost:
    """(grad, input, mean, invstd, weight, sum_dy, sum_dy_xmu, count): (g − a − (x − mean) · b) · c: 5."""
    read = bytes_of(call, *range(8))
    written = bytes_of(call, 1)
    return moved(call, 5 * elements(call, 1), read, written, dtype=call.dtype(1))


@register("aten::_fused_rms_norm")
def rms_norm(call: Call) -> Cost:
    """(input, normalized_shape, weight, eps) → output, 1/rms of each row: square, sum, multiply, weight: 4.

    Zhang & Sennrich (2019), eq. 4.
    """
    count = elements(call, 0)
    statistics = sized(_rows(call, 1, 2), wide(call.dtype(0)))
    flops = 3 + call.is_tensor(2)
    return moved(call, flops * count, bytes_of(call, 0, 2), sized(count, call.dtype(0)), statistics)


@register("aten::_fused_rms_norm_backward")
def rms_norm_backward(call: Call) -> Cost:
    """(grad, input, normalized_shape, rstd, weight, output_mask): x̂ = x · r: 1; of the input Σ g · x̂ 2,
    (g − x̂ · b) · r 3, the weight 1; of the weight 2."""
    wants_input, wants_weight = flags_of(call, 5, 2)
    has_weight = call.is_tensor(4)
    flops = 1 + wants_input * (5 + has_weight) + wants_weight * 2 * has_weight
    return moved(
        call,
        flops * elements(call, 1),
        bytes_of(call, 0, 1, 3, 4),
        bytes_of(call, 1) if wants_input else 0,
        bytes_of(call, 4) if wants_weight else 0,
        dtype=call.dtype(1),
    )


@register("aten::_weight_norm_interface")
def weight_norm(call: Call) -> Cost:
    """(v, g, dim) → g · v / ‖v‖ and the norms, as large as g: square, add, multiply: 3."""
    norms = sized(elements(call, 1), wide(call.dtype(1)))
    return moved(
        call, 3 * elements(call, 0), bytes_of(call, 0, 1), sized(elements(call, 0), call.dtype(0)), norms
    )


@register("aten::_weight_norm_interface_backward")
def weight_norm_backward(call: Call) -> Cost:
    """(grad, v, g, norms, dim) → gradients of v and g: Σ grad · v 2, then multiply, multiply, subtract: 5."""
    return moved(call, 5 * elements(call, 1), bytes_of(call, 0, 1, 2, 3), bytes_of(call, 1, 2))


@register("aten::renorm", "aten::renorm_")
def renorm(call: Call) -> Cost:
    """(self, p, dim, maxnorm): square, add, multiply: 3."""
    size = bytes_of(call, 0)
    return Cost(vector=3 * elements(call, 0), bytes=total(size, size), dtype=call.dtype(0))
