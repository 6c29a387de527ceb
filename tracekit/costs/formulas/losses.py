"""Losses and their gradients; a reduced loss is one element and takes one more FLOP per element.

Composites such as `cross_entropy_loss` or `kl_div` dispatch to ops that are recorded, and have no formula.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import broadcast, bytes_of, elements, moved, number, shape_of, sized
from tracekit.costs.registry import Call, Cost, register

# FLOPs per pair of input and target, before reduction, and of the gradient.
_POINTWISE = {
    "mse_loss": (2, 3),  # subtract, square; subtract, two multiplications
    "smooth_l1_loss": (6, 6),  # subtract, abs, compare, square, scale, subtract
    "huber_loss": (6, 5),
    "soft_margin_loss": (4, 6),  # multiply, negate, exp, log1p; besides add, divide
    "binary_cross_entropy": (8, 6),  # 2 logs, 2 clamps, subtract, 2 multiplications, add; Eq. in BCELoss
}


def _reduces(call: Call, index: int) -> bool:
    """By `at::Reduction`: 0 none, 1 mean, 2 sum; a loss is reduced where that was not recorded."""
    return number(call, index, 1) != 0


@register(*(f"aten::{name}" for name in _POINTWISE))
def pointwise_loss(call: Call) -> Cost:
    """(input, target, [weight], reduction, …)"""
    shape = broadcast([shape_of(call, 0), shape_of(call, 1)])
    weighted = call.name == "aten::binary_cross_entropy"
    flops = _POINTWISE[call.name.removeprefix("aten::")][0]
    count = prod(shape)
    reduces = _reduces(call, 3 if weighted else 2)
    read = bytes_of(call, 0, 1, 2) if weighted else bytes_of(call, 0, 1)
    return moved(call, (flops + reduces) * count, read, sized(1 if reduces else count, call.dtype(0)))


@register(*(f"aten::{name}_backward" for name in _POINTWISE))
def pointwise_loss_backward(call: Call) -> Cost:
    """(grad, input, target, [weight], reduction, …) → the gradient of the input."""
    name = call.name.removeprefix("aten::").removesuffix("_backward")
    count = prod(broadcast([shape_of(call, 1), shape_of(call, 2)]))
    operands = (0, 1, 2, 3) if name == "binary_cross_entropy" else (0, 1, 2)
    flops = _POINTWISE[name][1]
    return moved(
        call, flops * count, bytes_of(call, *operands), sized(count, call.dtype(1)), dtype=call.dtype(1)
    )


@register("aten::nll_loss_forward", "aten::nll_loss2d_forward")
def nll_loss(call: Call) -> Cost:
    """(input [n, C, …], target [n, …], weight, reduction, ignore_index) → loss, total_weight.

    Per target: one element of the input is gathered, with its class's weight, and multiplied, added: 2.
    """
    targets = elements(call, 1)
    gathered = sized(targets, call.dtype(0))
    weights = sized(targets, call.dtype(2)) if call.is_tensor(2) else 0
    written = sized((1 if _reduces(call, 3) else targets) + 1, call.dtype(0))
    return moved(call, 2 * targets, gathered, bytes_of(call, 1), weights, written)


@register("aten::nll_loss_backward", "aten::nll_loss2d_backward")
def nll_loss_backward(call: Call) -> Cost:
    """(grad, input, target, weight, reduction, ignore_index, total_weight): 2 per target; all is written.

    The input is not read: only its shape counts.
    """
    targets = elements(call, 2)
    weights = sized(targets, call.dtype(3)) if call.is_tensor(3) else 0
    written = bytes_of(call, 1)
    return moved(call, 2 * targets, bytes_of(call, 0, 2, 6), weights, written, dtype=call.dtype(1))


@register("aten::multi_margin_loss", "aten::multilabel_margin_loss_forward")
def margin_loss(call: Call) -> Cost:
    """(input [n, C], target, …): subtract, add the margin, compare, add: 4 per element of the input."""
    return moved(call, 4 * elements(call, 0), bytes_of(call, 0, 1), sized(1, call.dtype(0)))


@register("aten::_ctc_loss", "aten::_cudnn_ctc_loss")
def ctc_loss(call: Call) -> Cost:
    """(log_probs [T, n, C], targets [n, S], …): alpha [n, T, 2S + 1], three exp, two adds, log: 7 each.

    The recursion of Graves et al. (2006), eq. 6. Targets joined in one row leave S unknown: the traffic.
    """
    probabilities, targets = shape_of(call, 0), shape_of(call, 1)
    states = 2 * targets[-1] + 1 if len(targets) == 2 else 0
    alpha = prod(probabilities[:2]) * states
    return moved(call, 7 * alpha, bytes_of(call, 0, 1, 2, 3), sized(alpha, call.dtype(0)))
