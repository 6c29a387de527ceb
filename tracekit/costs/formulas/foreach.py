"""Ops on lists of tensors: `_foreach_*`, the fused optimizers, and gradient scaling.

A trace records the shapes of up to 30 tensors of a list, of longer lists none, and never the elements' type:
without the type bytes are None. Where torch falls back to one op per tensor, those are recorded and count.
"""

from __future__ import annotations

from tracekit.costs.formulas.elementwise import flops_per_element, is_in_place
from tracekit.costs.formulas.tensors import bytes_of, list_elements, shape_of, text
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

_PER_ELEMENT = {
    "add": 1,
    "sub": 1,
    "div": 1,
    "zero": 0,
    "copy": 0,
    "norm": 2,
    "max": 1,
    "addcmul": 2,
    "addcdiv": 3,
    "lerp": 3,
}
_TABLE = flops_per_element()


def _lists(call: Call) -> list[int]:
    return [i for i, dtype in enumerate(call.dtypes) if dtype == "TensorList" and i < len(call.shapes)]


@register("aten::_foreach_*", wrapper=True)
def foreach(call: Call) -> Cost:
    """As the op of that name on every tensor of the first list.

    All lists are read, and as much as the first is written; `zero_` reads none, `copy_` only its second;
    norms (square and add, 2) and maxima write one element per tensor.
    """
    name = call.name.removeprefix("aten::_foreach_").rstrip("_")
    if name in _PER_ELEMENT:
        flops = _PER_ELEMENT[name]
    elif name in _TABLE:
        flops = _TABLE[name][1]
    else:
        raise UnknownCostError
    if name in ("add", "sub") and text(call, 2) not in ("", "1", "1."):
        flops += 1  # alpha
    count = list_elements(call, 0)
    first = bytes_of(call, 0)
    others = bytes_of(call, *(i for i in _lists(call) if i), *_single_tensors(call))
    if name == "zero":
        return Cost(bytes=first)
    if name in ("norm", "max") and not is_in_place(call.name):
        size = call.element_bytes(0)
        return Cost(
            vector=flops * count,
            bytes=total(first, None if size is None else size * len(call.shape_list(0))),
        )
    read_first = 0 if name == "copy" else first
    return Cost(vector=flops * count, bytes=total(read_first, others, first))


def _single_tensors(call: Call) -> list[int]:
    return [i for i in range(1, len(call.dtypes)) if call.is_tensor(i)]


# A parameter's moments and steps, in Kingma & Ba (2015), Algorithm 1: m ← β₁m + (1 − β₁)g: 3;
# v ← β₂v + (1 − β₂)g²: 4; both corrected: 2; √v̂ + ε: 2; p ← p − lr · m̂ / √v̂: 3.
_ADAM_FLOPS = 14


@register("aten::_fused_adam_", "aten::_fused_adamw_")
def fused_adam(call: Call) -> Cost:
    """(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, …): 14 FLOPs per parameter.

    2 for weight decay and 1 for AMSGrad's maximum are not told apart and left out. Parameters and moments
    are read and written, gradients read; the steps, one number per tensor, too small to count.
    """
    count = list_elements(call, 0)
    states = [0, 2, 3]
    if len(call.shapes) > 4 and call.shapes[4]:  # AMSGrad
        states.append(4)
    written = bytes_of(call, *states)
    return Cost(vector=_ADAM_FLOPS * count, bytes=total(written, written, bytes_of(call, 1)))


@register("aten::_fused_sgd_")
def fused_sgd(call: Call) -> Cost:
    """(params, grads, momentum_buffers, …): p − lr · g: 2; with momentum, b ← μb + g: 4."""
    with_momentum = len(call.shapes) > 2 and bool(call.shapes[2])
    written = bytes_of(call, *([0, 2] if with_momentum else [0]))
    return Cost(
        vector=(4 if with_momentum else 2) * list_elements(call, 0),
        bytes=total(written, written, bytes_of(call, 1)),
    )


@register("aten::_fused_adagrad_")
def fused_adagrad(call: Call) -> Cost:
    """(params, grads, state_sums, state_steps, …): s ← s + g²: 2; p − lr · g / (√s + ε): 5."""
    written = bytes_of(call, 0, 2)
    return Cost(vector=7 * list_elements(call, 0), bytes=total(written, written, bytes_of(call, 1)))


@register("aten::_amp_foreach_non_finite_check_and_unscale_")
def unscale(call: Call) -> Cost:
    """(gradients, found_inf, inv_scale): compare, multiply: 2 per element, read and written."""
    size = bytes_of(call, 0)
    return Cost(vector=2 * list_elements(call, 0), bytes=total(size, size))


@register("aten::_amp_update_scale_")
def update_scale(call: Call) -> Cost:
    """(scale, growth_tracker, found_inf, …): three numbers; the first two are written."""
    shape_of(call, 0)
    return Cost(vector=2, bytes=total(bytes_of(call, 0, 1, 2), bytes_of(call, 0, 1)), dtype=call.dtype(0))
