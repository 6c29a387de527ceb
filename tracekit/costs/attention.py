"""Attention cores: 2·QKᵀ + 2·AV, no causal discount, query heads for GQA, as `torch.utils.flop_counter`."""

from __future__ import annotations

from math import prod

from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, tensor_bytes, total


def attention_flops(batch: int, heads: int, queries: int, keys: int, d_qk: int, d_v: int) -> int:
    """Scores [queries, d_qk] @ [d_qk, keys], then [queries, keys] @ [keys, d_v], per batch and head."""
    return 2 * batch * heads * queries * keys * (d_qk + d_v)


def attention_backward_flops(batch: int, heads: int, queries: int, keys: int, d_qk: int, d_v: int) -> int:
    """Scores again, then dV = Aᵀ·dO, dA = dO·Vᵀ, dQ = dS·K, dK = dSᵀ·Q: what a fused backward computes."""
    return 2 * batch * heads * queries * keys * (3 * d_qk + 2 * d_v)


def _cost(call: Call, matrix: int, query: int) -> Cost:
    query_shape, value_shape = call.shape(query), call.shape(query + 2)
    element = call.element_bytes(query)
    written = None if element is None else prod(query_shape[:-1]) * value_shape[-1] * element
    read = [tensor_bytes(call, query + i) for i in range(3)]
    return Cost(matrix, total(*read, written), call.dtype(query))


def _heads_first(call: Call, query: int) -> tuple[int, int, int, int, int, int]:
    """Sizes from q [b, h, s_q, d], k [b, h_k, s_k, d], v [b, h_k, s_k, d_v]."""
    q, k, v = (_with_batch(call.shape(query + i)) for i in range(3))
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise UnknownCostError
    return prod(q[:-3]), q[-3], q[-2], k[-2], q[-1], v[-1]


def _sequence_first(call: Call, query: int) -> tuple[int, int, int, int, int, int]:
    """Sizes from q [b, s_q, h, d], k [b, s_k, h_k, d], v [b, s_k, h_k, d_v]."""
    q, k, v = (call.shape(query + i, 4) for i in range(3))
    if q[-1] != k[-1] or k[1] != v[1]:
        raise UnknownCostError
    return q[0], q[2], q[1], k[1], q[-1], v[-1]


def _with_batch(shape: Shape) -> Shape:
    if len(shape) < 3:
        raise UnknownCostError
    return shape if len(shape) > 3 else (1, *shape)


@register(
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_fused_attention_overrideable",
    "aten::_cudnn_attention_forward",
)
def scaled_dot_product(call: Call) -> Cost:
    return _cost(call, attention_flops(*_heads_first(call, 0)), 0)


@register("aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention_math", wrapper=True)
def scaled_dot_product_wrapper(call: Call) -> Cost:
    return scaled_dot_product(call)


@register(
    "aten::_scaled_dot_product_flash_attention_backward",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    "aten::_scaled_dot_product_efficient_attention_backward",
    "aten::_scaled_dot_product_cudnn_attention_backward",
    "aten::_scaled_dot_product_fused_attention_overrideable_backward",
)
def scaled_dot_product_backward(call: Call) -> Cost:
    """(grad_out, query, key, value, …)"""
    cost = _cost(call, attention_backward_flops(*_heads_first(call, 1)), 1)
    return Cost(cost.matrix, None, cost.dtype)


@register("aten::_flash_attention_forward", "aten::_efficient_attention_forward")
def attention_forward(call: Call) -> Cost:
    """Called with q [b, s, h, d], unless lengths of packed sequences are passed, which a trace lacks."""
    return _cost(call, attention_flops(*_sequence_first(call, 0)), 0)


@register("flash_attn::_flash_attn_forward", "flash_attn_3::fwd", "flash_attn_3::_flash_attn_forward")
def flash_attn_forward(call: Call) -> Cost:
    return _cost(call, attention_flops(*_sequence_first(call, 0)), 0)


@register("flash_attn::_flash_attn_backward", "flash_attn_3::_flash_attn_backward")
def flash_attn_backward(call: Call) -> Cost:
    """(dout, q, k, v, …)"""
    cost = _cost(call, attention_backward_flops(*_sequence_first(call, 1)), 1)
    return Cost(cost.matrix, None, cost.dtype)


@register("flash_attn::_flash_attn_varlen_forward")
def flash_attn_varlen_forward(call: Call) -> Cost:
    """q [tokens, h, d] with cu_seqlens_q, cu_seqlens_k [sequences + 1]: known for one sequence only.

    The lengths of several are values of a tensor, which a trace does not record.
    """
    q, k, v = (call.shape(i, 3) for i in range(3))
    if call.shape(3, 1) != (2,) or call.shape(4, 1) != (2,):
        raise UnknownCostError
    return _cost(call, attention_flops(1, q[1], q[0], k[0], q[2], v[2]), 0)
