"""Attention over the cache of an inference engine: paged attention, MLA, and the engines' own entry ops.

Which keys a sequence has in the cache is the value of a tensor, which a trace does not hold. So `matrix` is
0, since it must not be a guess, and the bytes are what is certain: the query is read, the output is written,
and of keys and values each new token's own are read. `is_partial` tells such costs.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.attention import bytes_alone
from tracekit.costs.formulas.attention_engines import PACKED_OPS
from tracekit.costs.formulas.operands import is_integer, of_size, read_bytes, scalars
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total


@register("_C::paged_attention_v1")
def paged_attention_v1(call: Call) -> Cost:
    """(out, query [sequences, h, d], key and value pages, num_kv_heads, …): vLLM, csrc/torch_bindings.cpp"""
    return _paged(call, 0, 1, 2, 3, call.value(4))


@register("_C::paged_attention_v2", "_rocm_C::paged_attention", "aiter::paged_attention_rocm")
def paged_attention_v2(call: Call) -> Cost:
    """(out, exp_sums, max_logits, tmp_out, query, key pages, value pages, num_kv_heads, …).

    vLLM, csrc/torch_bindings.cpp and csrc/rocm/torch_bindings.cpp; aiter/ops/attention.py.
    """
    return _paged(call, 0, 4, 5, 6, call.value(7))


@register("aiter::paged_attention_v1", "aiter::paged_attention_ragged")
def aiter_paged_attention(call: Call) -> Cost:
    """(out, workspace, query, key pages, value pages, …): aiter/ops/attention.py.

    Which axis of the pages counts heads is text, which a trace may lack: at least one head is read.
    """
    return _paged(call, 0, 2, 3, 4, 1)


@register("aiter::pa_fwd_asm", "aiter::pa_fwd_naive")
def aiter_pa_fwd(call: Call) -> Cost:
    """(query [sequences, h, d], key pages [pages, h_k, …], value pages, …): aiter/ops/attention.py"""
    return _paged(call, 0, 0, 1, 2, call.shape(1)[1])


def _paged(call: Call, out: int, query: int, keys: int, values: int, kv_heads: int) -> Cost:
    """One token of each sequence with pages of keys and values, of which its own are certain to be read."""
    tokens = prod(call.shape(query)[:-2])
    elements = tokens * kv_heads
    traffic = [
        read_bytes(call, query, out),
        of_size(elements * call.shape(query)[-1], call.element_bytes(keys)),
        of_size(elements * call.shape(out)[-1], call.element_bytes(values)),
    ]
    return bytes_alone(call.dtype(query), *traffic)


@register("_C::sm100_cutlass_mla_decode")
def vllm_mla_decode(call: Call) -> Cost:
    """(out, lse, q_nope, q_pe, pages of latents [pages, page, d], …): vLLM, csrc/torch_bindings.cpp"""
    return _latent(call, 2, (0, 1, 2, 3), 4, 0)


@register("sgl_kernel::cutlass_mla_decode")
def sgl_mla_decode(call: Call) -> Cost:
    """(out, q_nope, q_pe, latents [pages, page, d], …): SGLang, sgl-kernel/csrc/common_extension.cc"""
    return _latent(call, 1, (0, 1, 2), 3, 0)


@register("sgl_kernel::fwd_kvcache_mla", "_flashmla_C::fwd_kvcache_mla")
def flash_mla(call: Call) -> Cost:
    """(q [b, s, h, d], pages of latents [pages, page, 1, d], …, head_size_v, …) → output and log-sum-exp.

    SGLang, sgl-kernel/csrc/flashmla_extension.cc; vLLM, third_party/flashmla. The first integer is the width
    of the values, which are the first part of the latents.
    """
    batch, queries, heads, _ = call.shape(0, 4)
    d_v = next((value for value in scalars(call) if is_integer(value)), None)
    if d_v is None:
        raise UnknownCostError
    rows = batch * queries * heads
    element = call.element_bytes(0)
    return _latent(call, 0, (0,), 1, total(of_size(rows * d_v, element), 4 * rows))


@register("aiter::mla_decode_stage1_asm_fwd")
def aiter_mla_decode(call: Call) -> Cost:
    """(Q [tokens, h, d], pages of latents [pages, page, h_k, d], …): aiter/ops/attention.py.

    Its output is split by the work's plan, which is not recorded: reading alone is counted.
    """
    return _latent(call, 0, (0,), 1, 0)


def _latent(call: Call, query: int, moved: tuple[int, ...], cache: int, written: int | None) -> Cost:
    """MLA in the space of latents: the inputs `moved`, one latent for each query's token, and `written`."""
    tokens = prod(call.shape(query)[:-2])
    latents = of_size(tokens * call.shape(cache)[-1], call.element_bytes(cache))
    return bytes_alone(call.dtype(query), read_bytes(call, *moved), latents, written)


@register(
    "vllm::unified_attention",
    "vllm::unified_attention_with_output",
    "sglang::unified_attention_with_output",
    wrapper=True,
)
def unified_attention(call: Call) -> Cost:
    """(query, key, value, output or layer's name, …) of new tokens; the cache is the layer's.

    vLLM, model_executor/layers/attention/attention.py (earlier attention/layer.py); SGLang,
    srt/layers/radix_attention.py. A recorded kernel's op within it tells more.
    """
    written = 3 if call.name.endswith("_with_output") else 0
    return bytes_alone(call.dtype(0), read_bytes(call, 0, 1, 2, written))


@register("vllm::unified_mla_attention", "vllm::unified_mla_attention_with_output", wrapper=True)
def unified_mla_attention(call: Call) -> Cost:
    """(q, latents, k_pe, output or layer's name, …): vLLM, layers/attention/mla_attention.py.

    Without the output among the inputs its width is not recorded: reading alone is counted.
    """
    written = (3,) if call.name.endswith("_with_output") else ()
    return bytes_alone(call.dtype(0), read_bytes(call, 0, 1, 2, *written))


LENGTHS_NOT_RECORDED = PACKED_OPS | {
    "_C::paged_attention_v1",
    "_C::paged_attention_v2",
    "_rocm_C::paged_attention",
    "aiter::paged_attention_rocm",
    "aiter::paged_attention_v1",
    "aiter::paged_attention_ragged",
    "aiter::pa_fwd_asm",
    "aiter::pa_fwd_naive",
    "_C::sm100_cutlass_mla_decode",
    "sgl_kernel::cutlass_mla_decode",
    "sgl_kernel::fwd_kvcache_mla",
    "_flashmla_C::fwd_kvcache_mla",
    "aiter::mla_decode_stage1_asm_fwd",
    "vllm::unified_attention",
    "vllm::unified_attention_with_output",
    "sglang::unified_attention_with_output",
    "vllm::unified_mla_attention",
    "vllm::unified_mla_attention_with_output",
}
"""Ops whose matrix FLOPs follow from lengths that a trace may lack."""


def is_partial(name: str, cost: Cost) -> bool:
    """Whether a cost lacks the FLOPs of an attention, whose lengths were not recorded."""
    return name in LENGTHS_NOT_RECORDED and cost.matrix == 0
