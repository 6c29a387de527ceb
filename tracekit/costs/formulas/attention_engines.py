"""Attention of flash-attn 2 and 3, xformers and aiter, of sequences padded to one length or packed.

How long each packed sequence is, is the value of a tensor, which a trace does not hold. Where the shapes
prove it (one sequence, or all equally long), the cost is exact. Else `matrix` is 0, since it must not be a
guess, and the bytes are those of all that is read and written; of keys and values in the pages of a cache,
each new token's own are certain to be read. `cached_attention.is_partial` tells.

The file that holds a library's schema is named with each formula.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from tracekit.costs.formulas.attention import PACKED_OPS as TORCH_PACKED_OPS
from tracekit.costs.formulas.attention import (
    backward_traffic,
    bytes_alone,
    cost_if_known,
    custom_mask,
    log_sum_exp_bytes,
    output_bytes,
    packed,
    sequence_first,
    unpacked,
    window,
)
from tracekit.costs.formulas.attention_arithmetic import Mask, Sizes, attention_cost
from tracekit.costs.formulas.operands import (
    is_integer,
    of_size,
    present,
    read_bytes,
    scalar,
    scalars,
)
from tracekit.costs.registry import Call, Cost, register


def mask_of(call: Call) -> Mask | None:
    """The mask by the causal flag: of all these libraries' calls the first bool before a window's two ends.

    Where a window is passed as a tuple, or there is none, a trace has the flag alone: the first bool.
    """
    values = scalars(call)
    for flag, left, right in zip(values, values[1:], values[2:], strict=False):
        if isinstance(flag, bool) and is_integer(left) and is_integer(right):
            return window(left, right, flag)
    flag = next((value for value in values if isinstance(value, bool)), False)
    return window(None, None, flag)


def _output_bytes(call: Call, sizes: Sizes, query: int = 0) -> int | None:
    """Of an output of the query's type, or of 16 bits where the query has 8."""
    written = output_bytes(call, query, sizes)
    return 2 * written if written is not None and call.element_bytes(query) == 1 else written


def dense(call: Call, log_sum_exp: bool = True) -> Cost:
    """(q [b, s_q, h, d], k [b, s_k, h_k, d], v, …)"""
    sizes = sequence_first(call, 0)
    returned = log_sum_exp_bytes(sizes) if log_sum_exp else 0
    traffic = [read_bytes(call, 0, 1, 2), _output_bytes(call, sizes), returned]
    return attention_cost(sizes, call.dtype(0), traffic, mask_of(call))


@register("flash_attn::_flash_attn_forward", "flashattn::_flash_attn_forward")
def flash_attn_forward(call: Call) -> Cost:
    """(q, k, v, dropout, scale, causal, window_left, window_right, …): flash_attn/flash_attn_interface.py"""
    return dense(call)


@register("aiter::mha_fwd", "aiter::fmha_v3_fwd")
def aiter_mha_fwd(call: Call) -> Cost:
    """(q, k, v, dropout, scale, causal, window_left, window_right, return_lse, …): aiter/ops/mha.py"""
    returns = [value for value in scalars(call)[6:] if isinstance(value, bool)]
    return dense(call, log_sum_exp=bool(returns and returns[0]))


@register("FlashAttnFunc", wrapper=True)
def flash_attn_func(call: Call) -> Cost:
    """The autograd function of flash-attn and of FlashAttention-3: (q, k, v, …, causal, …)"""
    return dense(call)


@register("FlashAttnQKVPackedFunc", "FlashAttnKVPackedFunc", wrapper=True)
def flash_attn_packed_func(call: Call) -> Cost:
    """(qkv [b, s, 3, h, d], …) or (q [b, s, h, d], kv [b, s_k, 2, h_k, d], …): flash_attn_interface.py"""
    batch, keys, parts, heads, d = call.shape(0, 5) if "QKV" in call.name else call.shape(1, 5)
    if parts == 3:
        sizes = Sizes(batch, heads, keys, keys, d, d)
        read = read_bytes(call, 0)
    else:
        batch, queries, heads, d = call.shape(0, 4)
        sizes = Sizes(batch, heads, queries, keys, d, d)
        read = read_bytes(call, 0, 1)
    traffic = [read, _output_bytes(call, sizes), log_sum_exp_bytes(sizes)]
    return attention_cost(sizes, call.dtype(0), traffic, mask_of(call))


@register("flash_attn::_flash_attn_backward", "flashattn::_flash_attn_backward", "aiter::mha_bwd")
@register("aiter::fmha_v3_bwd")
def flash_attn_backward(call: Call) -> Cost:
    """(dout, q, k, v, out, lse, …): flash_attn/flash_attn_interface.py; aiter/ops/mha.py"""
    traffic = backward_traffic(call, 1, 4, 5)
    return attention_cost(sequence_first(call, 1), call.dtype(1), traffic, mask_of(call), backward=True)


@dataclass(frozen=True)
class Packed:
    """Where a call with packed sequences has their bounds, and what leaves the lengths to a tensor."""

    cu_queries: int
    cu_keys: int
    max_length: int  # of queries; that of keys is the next
    lengths: tuple[int, ...] = ()  # page tables, lengths in use: with any of them keys are a cache
    query: int = 0

    def is_cached(self, call: Call) -> bool:
        """Whether keys are those of a cache, of which some are used: pages have an axis more."""
        return any(present(call, index) for index in self.lengths) or len(call.shape(self.query + 1)) != 3

    def sizes(self, call: Call) -> Sizes | None:
        """None where the lengths are not recorded."""
        if self.is_cached(call):
            return None
        return packed(call, self.query, self.cu_queries, self.cu_keys, self.max_length)


# flash_attn/flash_attn_interface.py; vllm-project/flash-attention, csrc/flash_attn/flash_api_torch_lib.cpp;
# aiter/ops/mha.py
PACKED = {
    "flash_attn::_flash_attn_varlen_forward": Packed(3, 4, 5, lengths=(15, 16, 17)),
    "flashattn::_flash_attn_varlen_forward": Packed(3, 4, 5, lengths=(15, 16, 17)),
    "_vllm_fa2_C::varlen_fwd": Packed(4, 5, 10, lengths=(6, 7, 8)),
    "aiter::mha_varlen_fwd": Packed(3, 4, 5),
    "aiter::fmha_v3_varlen_fwd": Packed(3, 4, 5),
}
PACKED_WRAPPERS = {"FlashAttnVarlenFunc": Packed(3, 4, 5, lengths=(15,))}
PACKED_BACKWARD = {
    "flash_attn::_flash_attn_varlen_backward": Packed(9, 10, 11, query=1),
    "flashattn::_flash_attn_varlen_backward": Packed(9, 10, 11, query=1),
}


@register(*PACKED)
def packed_forward(call: Call) -> Cost:
    """(q [tokens, h, d], k [tokens, h_k, d] or pages [pages, page, h_k, d], v, …), bounds as in `PACKED`"""
    return _packed_forward(call, PACKED[call.name])


@register(*PACKED_WRAPPERS, wrapper=True)
def packed_forward_wrapper(call: Call) -> Cost:
    return _packed_forward(call, PACKED_WRAPPERS[call.name])


def _packed_forward(call: Call, at: Packed) -> Cost:
    if at.is_cached(call):
        return cached(call, log_sum_exp=True)
    moved = unpacked(call, 0)
    traffic = [
        read_bytes(call, 0, 1, 2, at.cu_queries, at.cu_keys),
        _output_bytes(call, moved),
        log_sum_exp_bytes(moved),
    ]
    return cost_if_known(at.sizes(call), call.dtype(0), traffic, mask_of(call))


def cached(call: Call, log_sum_exp: bool) -> Cost:
    """(q […, h, d], caches of k and v that end [h_k, d], …): of them the new tokens' are certainly read."""
    tokens, (heads, d) = prod(call.shape(0)[:-2]), call.shape(0)[-2:]
    moved = Sizes(1, heads, tokens, tokens, d, call.shape(2)[-1])
    new = [of_size(tokens * prod(call.shape(i)[-2:]), call.element_bytes(i)) for i in (1, 2)]
    returned = log_sum_exp_bytes(moved) if log_sum_exp else 0
    return bytes_alone(call.dtype(0), read_bytes(call, 0), *new, _output_bytes(call, moved), returned)


@register(*PACKED_BACKWARD)
def packed_backward(call: Call) -> Cost:
    """(dout, q [tokens, h, d], k, v, out, lse, …), bounds as in `PACKED_BACKWARD`"""
    sizes = PACKED_BACKWARD[call.name].sizes(call)
    return cost_if_known(sizes, call.dtype(1), backward_traffic(call, 1, 4, 5), mask_of(call), backward=True)


@register("aiter::mha_batch_prefill")
def mha_batch_prefill(call: Call) -> Cost:
    """(q [tokens, h, d], pages of k [pages, …, h_k, d], of v, cu_seqlens_q, kv_indptr, kv_page_indices, …).

    aiter/ops/mha.py. Keys are those on the pages that the indices name, a tensor's values.
    """
    return cached(call, log_sum_exp=False)


FLASH_ATTN_3 = (
    "flash_attn_3::fwd",
    "flash_attn_3::_flash_attn_forward",
    "_vllm_fa3_C::fwd",
    "sgl_kernel::fwd",
)


@register(*FLASH_ATTN_3)
def flash_attn_3_forward(call: Call) -> Cost:
    """(q, k, v, k_new, v_new, q_v, out, cu_seqlens_q 7, cu_seqlens_k, cu_seqlens_k_new, seqused_q, seqused_k,
    max_q 12, max_k, page_table 14, kv_batch_idx, leftpad_k, …): hopper/flash_api.cpp.

    With `q_v` the scores are q·kᵀ + q_v·vᵀ.
    """
    at = Packed(7, 8, 12, lengths=(3, 10, 11, 14, 15, 16))
    if any(present(call, index) for index in at.lengths):
        return cached(call, log_sum_exp=True)
    is_packed = present(call, 7)
    moved = unpacked(call, 0) if is_packed else sequence_first(call, 0)
    sizes = at.sizes(call) if is_packed else moved
    if sizes is not None and present(call, 5):
        sizes = replace(sizes, d_qk=sizes.d_qk + call.shape(5)[-1])
    traffic = [read_bytes(call, 0, 1, 2, 5, 7, 8), _output_bytes(call, moved), log_sum_exp_bytes(moved)]
    return cost_if_known(sizes, call.dtype(0), traffic, mask_of(call))


@register("flash_attn_3::_flash_attn_backward", "flash_attn_3::bwd")
def flash_attn_3_backward(call: Call) -> Cost:
    """(dout, q, k, v, out, lse, …): hopper/flash_attn_interface.py, in which cu_seqlens follow, and the op
    beneath it, in which they follow the three gradients."""
    at = Packed(9, 10, 13, query=1) if call.name.endswith("bwd") else Packed(6, 7, 10, query=1)
    is_packed = present(call, at.cu_queries)
    sizes = at.sizes(call) if is_packed else sequence_first(call, 1)
    return cost_if_known(sizes, call.dtype(1), backward_traffic(call, 1, 4, 5), mask_of(call), backward=True)


@register("xformers::efficient_attention_forward_cutlass")
def xformers_cutlass(call: Call) -> Cost:
    """(query [b, s, h, d], key, value, bias, seqstart_q, seqstart_k, max_q, …, custom_mask_type 9, …).

    xformers/csrc/attention/attention.cpp: versions with max_k have 14 inputs, those without 13; after the
    scale come seqlen_k and window_size. With seqstart the query is [1, tokens, h, d].
    """
    has_max_keys = len(call.shapes) > 13
    lengths, returns, window_at = (12, 10, 13) if has_max_keys else (11, 8, 12)
    is_packed = present(call, 4)
    moved = unpacked(call, 0) if is_packed else sequence_first(call, 0)
    returned = log_sum_exp_bytes(moved) if scalar(call, returns, False) else 0
    traffic = [read_bytes(call, 0, 1, 2, 3, 4, 5), output_bytes(call, 0, moved), returned]
    sizes: Sizes | None = moved
    if is_packed:
        # Without the longest length of keys, several sequences prove nothing.
        proves = has_max_keys or call.shape(4, 1) == (2,)
        sizes = packed(call, 0, 4, 5, 6) if proves and not present(call, lengths) else None
    return cost_if_known(sizes, call.dtype(0), traffic, custom_mask(call, 9, window_at))


@register("xformers_flash::flash_fwd")
def xformers_flash(call: Call) -> Cost:
    """(query, key, value, cu_seqlens_q, cu_seqlens_k, seqused_k, max_q, max_k, …, is_causal, …).

    xformers/ops/fmha/flash.py. Older versions lack seqused_k; without cu_seqlens the query is [b, s, h, d].
    """
    has_lengths = not is_integer(scalar(call, 5, None))
    at = Packed(3, 4, 6, lengths=(5, 14)) if has_lengths else Packed(3, 4, 5)
    return _packed_forward(call, at) if present(call, 3) else dense(call)


PACKED_OPS = TORCH_PACKED_OPS | frozenset(
    (
        *PACKED,
        *PACKED_WRAPPERS,
        *PACKED_BACKWARD,
        *FLASH_ATTN_3,
        "aiter::mha_batch_prefill",
        "flash_attn_3::_flash_attn_backward",
        "flash_attn_3::bwd",
        "xformers::efficient_attention_forward_cutlass",
        "xformers_flash::flash_fwd",
    )
)
"""Ops whose matrix FLOPs follow from lengths that a trace may lack."""
