"""Attention cores of torch: `scaled_dot_product_attention` and the kernels beneath it, forward and backward.

Bytes: query, key, value and a bias are read, the output and, where the op returns it, the log-sum-exp (fp32,
one per query and head) are written; backward, all of these and the output's gradient are read, and the
gradients of query, key and value are written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from tracekit.costs.formulas.attention_arithmetic import (
    CAUSAL,
    Mask,
    Sizes,
    attention_backward_flops,
    attention_cost,
    attention_flops,
)
from tracekit.costs.formulas.operands import is_integer, of_size, present, read_bytes, scalar
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total

__all__ = ["attention_backward_flops", "attention_cost", "attention_flops"]


def heads_first(call: Call, query: int) -> Sizes:
    """Sizes from q [b, h, s_q, d], k [b, h_k, s_k, d], v [b, h_k, s_k, d_v]."""
    q, k, v = (_with_batch(call.shape(query + i)) for i in range(3))
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise UnknownCostError
    return Sizes(prod(q[:-3]), q[-3], q[-2], k[-2], q[-1], v[-1])


def sequence_first(call: Call, query: int) -> Sizes:
    """Sizes from q [b, s_q, h, d], k [b, s_k, h_k, d], v [b, s_k, h_k, d_v]."""
    q, k, v = (call.shape(query + i, 4) for i in range(3))
    if q[-1] != k[-1] or k[1] != v[1]:
        raise UnknownCostError
    return Sizes(q[0], q[2], q[1], k[1], q[-1], v[-1])


def _with_batch(shape: Shape) -> Shape:
    if len(shape) < 3:
        raise UnknownCostError
    return shape if len(shape) > 3 else (1, *shape)


def packed(call: Call, query: int, cu_queries: int, cu_keys: int, max_at: int) -> Sizes | None:
    """Sizes of packed sequences, q [tokens, h, d] (or [1, tokens, h, d]), None if no lengths are proven.

    The lengths are values of the tensors at `cu_queries` and `cu_keys` [sequences + 1], which a trace does
    not hold. One sequence has all tokens; of several, the longest lengths, inputs `max_at` and the next,
    times their number equal the tokens only if all are equally long.
    """
    all_tokens = unpacked(call, query)
    if not (present(call, cu_queries) and present(call, cu_keys)):
        return None
    sequences = call.shape(cu_queries, 1)[0] - 1
    if call.shape(cu_keys, 1)[0] - 1 != sequences or sequences < 1:
        raise UnknownCostError
    if sequences == 1:
        return all_tokens
    queries, keys = scalar(call, max_at, None), scalar(call, max_at + 1, None)
    if not (is_integer(queries) and is_integer(keys)):
        return None
    if queries * sequences != all_tokens.queries or keys * sequences != all_tokens.keys:
        return None
    return replace(all_tokens, batch=sequences, queries=queries, keys=keys)


def unpacked(call: Call, query: int) -> Sizes:
    """The sizes of packed sequences as if they were one: right for all that is read and written."""
    q, k, v = (_without_batch(call.shape(query + i)) for i in range(3))
    if q[-1] != k[-1] or k[0] != v[0]:
        raise UnknownCostError
    return Sizes(1, q[1], q[0], k[0], q[-1], v[-1])


def _without_batch(shape: Shape) -> Shape:
    if len(shape) == 4 and shape[0] == 1:
        return shape[1:]
    if len(shape) != 3:
        raise UnknownCostError
    return shape


def bytes_alone(dtype: str | None, *parts: int | None) -> Cost:
    """A cost whose FLOPs are not recorded; raises `UnknownCostError` where the bytes are not either."""
    traffic = total(*parts)
    if traffic is None:
        raise UnknownCostError
    return Cost(bytes=traffic, dtype=dtype)


def cost_if_known(
    sizes: Sizes | None,
    dtype: str | None,
    traffic: list[int | None],
    mask: Mask | None,
    backward: bool = False,
) -> Cost:
    """`attention_cost`, or the bytes alone of sequences whose lengths are not recorded."""
    if sizes is None:
        return bytes_alone(dtype, *traffic)
    return attention_cost(sizes, dtype, traffic, mask, backward)


def log_sum_exp_bytes(sizes: Sizes) -> int:
    return 4 * sizes.batch * sizes.heads * sizes.queries


def output_bytes(call: Call, query: int, sizes: Sizes) -> int | None:
    """Bytes of an output of the query's type."""
    elements = sizes.batch * sizes.heads * sizes.queries * sizes.d_v
    return of_size(elements, call.element_bytes(query))


def causal(call: Call, index: int, mask: Mask = CAUSAL) -> Mask | None:
    """The mask, if input `index` says so."""
    return mask if scalar(call, index, False) is True else None


@dataclass(frozen=True)
class Forward:
    """Where a forward has its causal flag, its bias, and whether it returns the log-sum-exp."""

    is_causal: int
    bias: int | None = None
    log_sum_exp: bool | int = True  # always, never, or by the value of an argument


# aten/src/ATen/native/native_functions.yaml
FORWARD = {
    "aten::_scaled_dot_product_flash_attention": Forward(4),
    "aten::_scaled_dot_product_flash_attention_for_cpu": Forward(4, bias=5),
    "aten::_scaled_dot_product_efficient_attention": Forward(6, bias=3, log_sum_exp=4),
    "aten::_scaled_dot_product_cudnn_attention": Forward(6, bias=3, log_sum_exp=4),
    "aten::_scaled_dot_product_fused_attention_overrideable": Forward(5, bias=3),
}
WRAPPER = Forward(5, bias=3, log_sum_exp=False)


def _forward(call: Call, at: Forward) -> Cost:
    if call.name == "aten::_scaled_dot_product_flash_attention" and present(call, 3):
        at = Forward(7)  # the quantized overload has three scales before the dropout
    sizes = heads_first(call, 0)
    returns = at.log_sum_exp
    if not isinstance(returns, bool):
        returns = bool(scalar(call, returns, False))
    traffic = [
        read_bytes(call, 0, 1, 2, *(() if at.bias is None else (at.bias,))),
        output_bytes(call, 0, sizes),
        log_sum_exp_bytes(sizes) if returns else 0,
    ]
    return attention_cost(sizes, call.dtype(0), traffic, causal(call, at.is_causal))


@register(*FORWARD)
def scaled_dot_product(call: Call) -> Cost:
    """(query [b, h, s_q, d], key [b, h_k, s_k, d], value [b, h_k, s_k, d_v], …)"""
    return _forward(call, FORWARD[call.name])


@register("aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention_math", wrapper=True)
def scaled_dot_product_wrapper(call: Call) -> Cost:
    """(query, key, value, attn_mask, dropout, is_causal, …)"""
    return _forward(call, WRAPPER)


@dataclass(frozen=True)
class Backward:
    """Where a backward, which begins (grad_out, query, key, value), has the rest.

    `bias_wanted`: a list of four flags, the last of which asks for the gradient of the bias.
    """

    out: int
    is_causal: int
    bias: int | None = None
    bias_wanted: int | None = None


BACKWARD = {
    "aten::_scaled_dot_product_flash_attention_backward": Backward(4, 11),
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": Backward(4, 7, bias=8),
    "aten::_scaled_dot_product_efficient_attention_backward": Backward(5, 11, bias=4, bias_wanted=10),
    "aten::_scaled_dot_product_cudnn_attention_backward": Backward(4, 14, bias=8),
    "aten::_scaled_dot_product_fused_attention_overrideable_backward": Backward(6, 13, bias=4, bias_wanted=5),
}


@register(*BACKWARD)
def scaled_dot_product_backward(call: Call) -> Cost:
    """(grad_out, query, key, value, …); the log-sum-exp stands after the output"""
    at = BACKWARD[call.name]
    sizes = heads_first(call, 1)
    bias = () if at.bias is None else (at.bias,)
    traffic = backward_traffic(call, 1, at.out, at.out + 1, *bias)
    if at.bias_wanted is not None and scalar(call, at.bias_wanted, [False])[-1]:
        traffic.append(read_bytes(call, *bias))
    return attention_cost(sizes, call.dtype(1), traffic, causal(call, at.is_causal), backward=True)


def backward_traffic(call: Call, query: int, *also_read: int) -> list[int | None]:
    """grad_out (just before the query), query, key, value and more read; three gradients written."""
    inputs = (query, query + 1, query + 2)
    return [read_bytes(call, query - 1, *inputs, *also_read), read_bytes(call, *inputs)]


def window(left: object, right: object, is_causal: bool, bottom_right: bool = True) -> Mask | None:
    """The mask of a sliding window, negative where unbounded, and of a causal flag, which ends it at 0."""
    to_left = left if is_integer(left) and isinstance(left, int) and left >= 0 else None
    to_right = right if is_integer(right) and isinstance(right, int) and right >= 0 else None
    if is_causal:
        to_right = 0
    if to_left is None and to_right is None:
        return None
    return Mask(to_left, to_right, bottom_right)


@register("aten::_cudnn_attention_forward")
def cudnn_attention_forward(call: Call) -> Cost:
    """(query, key, value, bias, cum_seq_q, cum_seq_k, max_q, max_k, log_sumexp, dropout, is_causal, …)"""
    is_packed = present(call, 4)
    moved = unpacked(call, 0) if is_packed else heads_first(call, 0)
    returned = log_sum_exp_bytes(moved) if scalar(call, 8, False) else 0
    traffic = [read_bytes(call, 0, 1, 2, 3, 4, 5), output_bytes(call, 0, moved), returned]
    sizes = packed(call, 0, 4, 5, 6) if is_packed else moved
    return cost_if_known(sizes, call.dtype(0), traffic, causal(call, 10))


@register("aten::_flash_attention_forward")
def flash_attention_forward(call: Call) -> Cost:
    """(query [b, s, h, d], key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout, is_causal, debug, scale,
    window_left, window_right, seqused_k, …); the quantized overload has three scales after `debug`.

    With cum_seq the query is [tokens, h, d]. Lengths in use, of a cache, are not recorded.
    """
    shift = 3 if len(call.shapes) == 18 else 0
    if present(call, 13 + shift) or (not shift and present(call, 15)):
        raise UnknownCostError
    is_packed = present(call, 3)
    moved = unpacked(call, 0) if is_packed else sequence_first(call, 0)
    mask = window(
        scalar(call, 11 + shift, None), scalar(call, 12 + shift, None), scalar(call, 8, False) is True
    )
    traffic = [read_bytes(call, 0, 1, 2, 3, 4), output_bytes(call, 0, moved), log_sum_exp_bytes(moved)]
    sizes = packed(call, 0, 3, 4, 5) if is_packed else moved
    return cost_if_known(sizes, call.dtype(0), traffic, mask)


@register("aten::_flash_attention_backward")
def flash_attention_backward(call: Call) -> Cost:
    """(grad_out, query, key, value, out, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, dropout, is_causal,
    rng_state, unused, scale, window_left, window_right)"""
    is_packed = len(call.shape(1)) == 3
    sizes = packed(call, 1, 6, 7, 8) if is_packed else sequence_first(call, 1)
    mask = window(scalar(call, 15, None), scalar(call, 16, None), scalar(call, 11, False) is True)
    traffic = backward_traffic(call, 1, 4, 5, *((6, 7) if is_packed else ()))
    return cost_if_known(sizes, call.dtype(1), traffic, mask, backward=True)


def custom_mask(call: Call, index: int, window_at: int) -> Mask | None:
    """What `custom_mask_type` says: 1 causal from the top left, 2 from the bottom right; with a window.

    The window is of the last `window_size` keys, the query's own included:
    aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h.
    """
    kind, size = scalar(call, index, 0), scalar(call, window_at, None)
    left = size - 1 if is_integer(size) and size > 0 else None
    if kind in (1, 2):
        return Mask(left, 0, bottom_right=kind == 2)
    return None


@register("aten::_efficient_attention_forward")
def efficient_attention_forward(call: Call) -> Cost:
    """(query [b, s, h, d], key, value, bias, cu_seqlens_q, cu_seqlens_k, max_q, max_k, dropout,
    custom_mask_type, compute_log_sumexp, scale, seqlen_k, window_size).

    With cu_seqlens the query is [1, tokens, h, d]; lengths in use, `seqlen_k`, are not recorded.
    """
    if present(call, 12):
        raise UnknownCostError
    is_packed = present(call, 4)
    moved = unpacked(call, 0) if is_packed else sequence_first(call, 0)
    returned = log_sum_exp_bytes(moved) if scalar(call, 10, False) else 0
    traffic = [read_bytes(call, 0, 1, 2, 3, 4, 5), output_bytes(call, 0, moved), returned]
    sizes = packed(call, 0, 4, 5, 6) if is_packed else moved
    return cost_if_known(sizes, call.dtype(0), traffic, custom_mask(call, 9, 13))


@register("aten::_efficient_attention_backward")
def efficient_attention_backward(call: Call) -> Cost:
    """(grad_out, query, key, value, bias, out, cu_seqlens_q, cu_seqlens_k, max_q, max_k, logsumexp, dropout,
    seed, offset, custom_mask_type, bias_requires_grad, scale, num_splits_key, window_size, …)"""
    sizes = packed(call, 1, 6, 7, 8) if present(call, 6) else sequence_first(call, 1)
    traffic = backward_traffic(call, 1, 4, 5, 6, 7, 10)
    if scalar(call, 15, False):
        traffic.append(read_bytes(call, 4))
    return cost_if_known(sizes, call.dtype(1), traffic, custom_mask(call, 14, 18), backward=True)


PACKED_OPS = frozenset(
    (
        "aten::_cudnn_attention_forward",
        "aten::_flash_attention_forward",
        "aten::_flash_attention_backward",
        "aten::_efficient_attention_forward",
        "aten::_efficient_attention_backward",
    )
)
"""Ops whose matrix FLOPs follow from lengths that a trace may lack."""
