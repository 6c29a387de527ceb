"""What inference engines do around their products: KV-cache writes, quantisation, routing to experts.

Signatures are those of vLLM (csrc/torch_bindings.cpp, csrc/moe/torch_bindings.cpp) and SGLang
(sgl-kernel/csrc/common_extension.cc; `sglang::store_cache` as real traces hold it).
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.fused import DYNAMIC_QUANTISATION, STATIC_QUANTISATION
from tracekit.costs.formulas.tensors import elements
from tracekit.costs.formulas.traffic import moved
from tracekit.costs.registry import Call, Cost, register, total


def _written(call: Call, cache: int, count: int) -> int | None:
    size = call.element_bytes(cache)
    return None if size is None else count * size


@register(
    "_C_cache_ops::reshape_and_cache",
    "_C_cache_ops::reshape_and_cache_flash",
    "sglang::store_cache",
)
def store_keys_and_values(call: Call) -> Cost:
    """(keys [tokens, …], values [tokens, …], key cache, value cache, slots [stored tokens], …).

    Of the tokens that have a slot keys and values are read and stored as the caches' type; keys may be
    padded beyond them. Converting the type is no FLOP.
    """
    stored = elements(call, 4)
    per_token = [prod(call.shape(index)[1:]) for index in (0, 1)]
    read = [_written(call, index, stored * per_token[index]) for index in (0, 1)]
    written = [_written(call, index + 2, stored * per_token[index]) for index in (0, 1)]
    return Cost(bytes=total(*read, *written, moved(call, 4)), dtype=call.dtype(0))


@register("_C_cache_ops::concat_and_cache_mla")
def store_latents(call: Call) -> Cost:
    """(latents [tokens, r], rotated keys [tokens, p], cache [blocks, block size, r + p], slots, …)"""
    stored = elements(call, 3)
    sizes = [prod(call.shape(index)[1:]) * stored for index in (0, 1)]
    read = [_written(call, index, sizes[index]) for index in (0, 1)]
    return Cost(bytes=total(*read, _written(call, 2, sum(sizes)), moved(call, 3)), dtype=call.dtype(0))


@register("_C::static_scaled_fp8_quant", "_C::static_scaled_int8_quant")
def quantise_by_scale(call: Call) -> Cost:
    """(result, input, scale, …)"""
    return _passed_once(call, (0, 1, 2), 1, STATIC_QUANTISATION)


def _passed_once(call: Call, passed: tuple[int, ...], source: int, per_element: int) -> Cost:
    return Cost(
        bytes=moved(call, *passed), dtype=call.dtype(source), vector=per_element * elements(call, source)
    )


@register(
    "_C::dynamic_scaled_fp8_quant",
    "_C::dynamic_per_token_scaled_fp8_quant",
    "_C::dynamic_scaled_int8_quant",
)
def quantise(call: Call) -> Cost:
    """(result, input, scale that is written, …); a scale for the whole tensor takes a second pass over the
    input, which the least does not count."""
    return _passed_once(call, (0, 1, 2), 1, DYNAMIC_QUANTISATION)


@register(
    "sgl_kernel::sgl_per_token_group_quant_fp8",
    "sgl_kernel::sgl_per_token_group_quant_int8",
    "sgl_kernel::sgl_per_token_group_quant_8bit",
    "sgl_kernel::sgl_per_token_quant_fp8",
    "sgl_kernel::sgl_per_tensor_quant_fp8",
    "_C::per_token_group_fp8_quant",
    "_C::per_token_group_quant_int8",
)
def quantise_in_groups(call: Call) -> Cost:
    """(input, result, scales, …)"""
    static = call.name.endswith("per_tensor_quant_fp8") and call.value(3) is True
    return _passed_once(call, (0, 1, 2), 0, STATIC_QUANTISATION if static else DYNAMIC_QUANTISATION)


@register("sgl_kernel::scaled_fp4_quant")
def quantise_to_4_bits(call: Call) -> Cost:
    """(result, two elements a byte; input; scales of blocks, written; scale of the tensor)"""
    return _passed_once(call, (0, 1, 2, 3), 1, DYNAMIC_QUANTISATION)


@register("_moe_C::topk_softmax", "sgl_kernel::topk_softmax")
def top_experts(call: Call) -> Cost:
    """vLLM: (weights, expert ids, source rows, gate [tokens, experts], …); SGLang: without source rows.

    Softmax (max, subtract, exp, sum, divide) and at least one comparison: 6 an element of the gate.
    """
    gate = 3 if call.name.startswith("_moe_C") else 2
    return _passed_once(call, tuple(range(gate + 1)), gate, 6)


@register(
    "_moe_C::moe_align_block_size", "_moe_C::sgl_moe_align_block_size", "sgl_kernel::moe_align_block_size"
)
def sort_by_expert(call: Call) -> Cost:
    """(expert ids [tokens, k], experts, block size, sorted ids, experts of blocks, count, …): each id is
    counted once (an addition), each of the results written once, as long as they were allocated."""
    return _passed_once(call, (0, 3, 4, 5), 0, 1)


@register("_moe_C::moe_sum")
def sum_of_experts(call: Call) -> Cost:
    """(input [tokens, k, d], output [tokens, d])"""
    return _passed_once(call, (0, 1), 0, 1)


@register("sgl_kernel::shuffle_rows")
def shuffle_rows(call: Call) -> Cost:
    """(input, source row of each row, output): as many rows are read as are written."""
    return Cost(bytes=moved(call, 1, 2, 2), dtype=call.dtype(0))


@register("sgl_kernel::merge_state", "sgl_kernel::merge_state_v2", "_C::merge_attn_states")
def merge_attention(call: Call) -> Cost:
    """SGLang: (v_a, s_a, v_b, s_b, merged v, merged s); vLLM: (output, its lse or None, prefix output, prefix
    lse, suffix output, suffix lse, …). Two weights and their sum: 3 an element of the output; those of the
    few log-sum-exps are left out."""
    return _passed_once(call, (0, 1, 2, 3, 4, 5), 0, 3)
