"""Linear attention, delta rules and RWKV: a state [K, V] for each head that every position updates and reads.

In chunks of C positions the work is matrix products (Yang et al. 2024, arXiv 2312.06635, gated linear
attention; arXiv 2406.06484 and 2412.06464, delta rule and its gated form); position by position it is
elementwise and counts as vector FLOPs. The order of arguments is that of fla-org/flash-linear-attention
(fla/ops/*/chunk.py, fused_recurrent.py; q and k [b, t, h, K], v [b, t, h_v, V], or h before t) and
BlinkDL/RWKV-LM (its model.py of each version). Exponentials and sums of the gates are of lower order and left
out. A backward has no formula, since the size of K is not recorded with it; engines' ops that record only
hidden states or an opaque layer (`vllm::linear_attention`, `vllm::gdn_attention`) have none either.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

from tracekit.costs.formulas.tensors import elements
from tracekit.costs.formulas.traffic import moved, tensor_indices
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

# rows (positions · heads), chunk, pairs of positions that one of them is in, K, V → matrix FLOPs
_ChunkFlops: TypeAlias = Callable[[int, int, float, int, int], float]


def linear_attention_flops(rows: int, chunk: int, pairs: float, k: int, v: int) -> float:
    """QKᵀ and its product with V in the chunk; the state that enters it, read by Q; what leaves it, KᵀV."""
    return 2 * rows * (pairs * (k + v) + 2 * k * v)


def triangle_inverse_flops(rows: int, chunk: int) -> float:
    """C·(C−1)·(C−2)/6 products, each added, for a unit triangle of C rows by substitution."""
    return rows * (chunk - 1) * (chunk - 2) / 3


def delta_rule_flops(rows: int, chunk: int, pairs: float, k: int, v: int) -> float:
    """Besides: KKᵀ in the chunk, the inverse T of its triangle, T·K and T·V (the WY form of a product of
    Householder matrices), and what the state knows of the keys already."""
    more = 2 * rows * (pairs * (2 * k + v) + k * v)
    return linear_attention_flops(rows, chunk, pairs, k, v) + more + triangle_inverse_flops(rows, chunk)


def dplr_flops(rows: int, chunk: int, pairs: float, k: int, v: int) -> float:
    """S·(diag(w) + a·bᵀ) + v·kᵀ: q and a times k and b, the inverse T of one of these four, T·a, T times what
    a and k make of V (T's product with a triangle, that with V), two products with values for the output;
    the states that k and b leave, read by q and a."""
    in_chunk = pairs * (5 * k + 3 * v) + pairs * chunk
    return 2 * rows * (in_chunk + 4 * k * v) + triangle_inverse_flops(rows, chunk)


def _sizes(call: Call, q: int, v: int) -> tuple[int, int, int, int]:
    """(positions and value heads, positions of a sequence, K, V) from q [b, t, h, K] and v [b, t, h_v, V]."""
    q_shape, v_shape = call.shape(q, 4), call.shape(v, 4)
    length = max(q_shape[1:3])
    if q_shape[0] != v_shape[0] or length < 1:
        raise UnknownCostError
    return prod(v_shape[:3]), length, q_shape[3], v_shape[3]


def _bytes(call: Call, tensors: list[int], v: int) -> int | None:
    """Every tensor read once, a result like v written; a final state is left out: whether it is wanted is
    a flag that old profilers do not record."""
    return total(moved(call, *tensors), moved(call, v))


# Formula, fla's chunk size where the call tells none, and where fla 0.6 passes it.
_CHUNKED: dict[str, tuple[_ChunkFlops, int, int | None]] = {
    "ChunkSimpleGLAFunction": (linear_attention_flops, 64, 11),
    "ChunkGLAFunction": (linear_attention_flops, 64, None),
    "ChunkRetentionFunction": (linear_attention_flops, 64, None),
    "ChunkLinearAttentionFunction": (linear_attention_flops, 64, None),
    "FusedChunkFunction": (linear_attention_flops, 64, None),
    "ChunkRWKV6Function": (linear_attention_flops, 64, 10),
    "ChunkDeltaRuleFunction": (delta_rule_flops, 64, 10),
    "ChunkGatedDeltaRuleFunction": (delta_rule_flops, 64, 19),
    "ChunkKDAFunction": (delta_rule_flops, 64, 19),
    "ChunkDPLRDeltaRuleFunction": (dplr_flops, 16, 13),
}


@register(*_CHUNKED)
def in_chunks(call: Call) -> Cost:
    """(q, k, v, gates, …): matrix FLOPs of every value head; of the products inside a chunk of C positions a
    causal mask leaves (C + 1)/2 of C."""
    tensors = tensor_indices(call)
    q, _, v = tensors[:3]
    rows, length, k, width = _sizes(call, q, v)
    flops, default, place = _CHUNKED[call.name]
    chunk = min(_chunk_size(call, place) or default, length)
    return Cost(
        matrix=round(flops(rows, chunk, chunk, k, width)),
        bytes=_bytes(call, tensors, v),
        dtype=call.dtype(q),
        causal_matrix=round(flops(rows, chunk, (chunk + 1) / 2, k, width)),
    )


def _chunk_size(call: Call, place: int | None) -> int | None:
    """The argument, if there is a number there that can be one: its place differs between versions."""
    if place is None or call.dtype(place) != "Scalar":
        return None
    value = call.value(place)
    return value if isinstance(value, int) and value in (16, 32, 64, 128, 256) else None


# For each element of the state and position.
_LINEAR = 4  # k·v, add; q·S, add
_GATED = 5  # and the decay of S
_DELTA = 7  # and k·S, add: what the state knows already
_RWKV6 = 7  # k·v; times the bonus u, plus S, times r, add; decay of S, add
_DPLR = 9  # a·S, add; decay, that times b, add, k·v, add; q·S, add


@register("FusedRecurrentFunction")
def step_by_step(call: Call) -> Cost:
    """(q, k, v, …): the class's name in several of fla's ops; counted is what all of them do: k·v is added to
    the state, and q reads it."""
    return _recurrent(call, _LINEAR)


@register("FusedRecurrentGatedDeltaRuleFunction")
def gated_delta_rule_step_by_step(call: Call) -> Cost:
    """(q, k, v, g, β, …)"""
    return _recurrent(call, _DELTA)


@register("FusedRecurrentRWKV6Function")
def rwkv6_step_by_step(call: Call) -> Cost:
    """(r, k, v, w, u, …)"""
    return _recurrent(call, _RWKV6)


@register("FusedRecurrentDPLRDeltaRuleFunction")
def dplr_step_by_step(call: Call) -> Cost:
    """(q, k, v, a, b, gk, …)"""
    return _recurrent(call, _DPLR)


def _recurrent(call: Call, per_element: int) -> Cost:
    tensors = tensor_indices(call)
    q, _, v = tensors[:3]
    rows, _, k, width = _sizes(call, q, v)
    return Cost(bytes=_bytes(call, tensors, v), dtype=call.dtype(q), vector=per_element * rows * k * width)


@register("sgl_kernel::lightning_attention_decode")
def lightning_attention_step(call: Call) -> Cost:
    """(q, k [b, h, 1, d], v [b, h, 1, e], state [b, h, d, e], slope [h], output, new state)"""
    return Cost(
        bytes=moved(call, 0, 1, 2, 3, 4, 5, 6), dtype=call.dtype(0), vector=_GATED * elements(call, 3)
    )


@register("WKV")
def rwkv4(call: Call) -> Cost:
    """([batch, time, channels,] w [c], u [c], k [b, t, c], v [b, t, c]) → like k.

    A channel and step: the larger exponent, two differences and their exponentials for the output (with the
    bonus added: 6), two weighted sums and their quotient (6); the same six for the state, with two sums (5).
    """
    w, u, k, v = tensor_indices(call)[:4]
    if call.shape(w, 1) != call.shape(u, 1) or call.shape(k, 3) != call.shape(v, 3):
        raise UnknownCostError
    return Cost(bytes=moved(call, w, u, k, v, k), dtype=call.dtype(k), vector=23 * elements(call, k))


@register("WKV_6")
def rwkv6(call: Call) -> Cost:
    """([batch, time, channels, heads,] r, k, v, w [b, t, c], u [h, n]) → [b, t, c]"""
    r, k, v, w, u = tensor_indices(call)[:5]
    head_size = call.shape(u, 2)[1]
    call.shape(r, 3)
    return Cost(
        bytes=moved(call, r, k, v, w, u, r),
        dtype=call.dtype(r),
        vector=_RWKV6 * elements(call, r) * head_size,
    )


@register("WindBackstepping")
def rwkv7(call: Call) -> Cost:
    """(w, q, k, v, z, b [b, t, h, n]) → like v: RWKV-7. (`WKV_7` does not record the size of the heads.)"""
    tensors = tensor_indices(call)[:6]
    head_size = call.shape(tensors[0], 4)[3]
    return Cost(
        bytes=moved(call, *tensors, tensors[3]),
        dtype=call.dtype(tensors[1]),
        vector=_DPLR * elements(call, tensors[0]) * head_size,
    )
