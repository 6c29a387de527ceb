"""Fused norms, activations and rotary embeddings of inference engines and of training libraries.

Signatures are those of vLLM (csrc/torch_bindings.cpp: `_C`), SGLang (sgl-kernel/csrc/common_extension.cc:
`sgl_kernel`), AITER (aiter/ops/rmsnorm.py, activation.py, rope.py), FlashInfer (flashinfer/norm.py,
activation.py), apex (apex/normalization/fused_layer_norm.py), Liger (liger_kernel/ops) and flash-attention
(flash_attn/layers/rotary.py, ops/layer_norm.py). Autograd functions are recorded under the name of their
class; of a backward only the gradients that enter it are recorded, so what it reads beside them is worked
out from their sizes. Functions that run their matrix products as aten ops, such as Liger's fused linear
cross-entropy, have no formula: their products count themselves.

Vector FLOPs of an element: RMS norm 4 (square, sum, times 1/rms, times weight), layer norm 7 (sum, subtract,
square, sum, times 1/std, times weight, plus bias); a fused residual adds 1; quantising with a known scale 3
(multiply, two to clamp), with a scale to be found 5 (absolute value, max, and these).
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import elements
from tracekit.costs.formulas.traffic import moved, size, tensor_indices
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

RMS_NORM, LAYER_NORM, RESIDUAL, STATIC_QUANTISATION, DYNAMIC_QUANTISATION = 4, 7, 1, 3, 5

# SiLU is a sigmoid and a product. GELU by erf: scale, erf, add, halve, multiply; by tanh: two products to
# cube, scale, add, scale, tanh, add, halve, multiply.
_SILU, _GELU, _GELU_TANH = 2, 5, 9
_ACTIVATIONS = {
    "silu_and_mul": _SILU + 1,
    "mul_and_silu": _SILU + 1,
    "gelu_and_mul": _GELU + 1,
    "gelu_tanh_and_mul": _GELU_TANH + 1,
    "fatrelu_and_mul": 2,  # compare, multiply
    "swigluoai_and_mul": 8,  # clamp the gate (1) and the other (2), scale, sigmoid, multiply, add, multiply
    "gelu_new": _GELU_TANH,
    "gelu_fast": _GELU_TANH,
    "gelu_quick": 3,  # scale, sigmoid, multiply
    "scaled_silu_and_mul": _SILU + 2,
    "silu_and_mul_quant": _SILU + 1 + STATIC_QUANTISATION,
    "silu_and_mul_per_block_quant": _SILU + 1 + DYNAMIC_QUANTISATION,
}


def _cost(call: Call, passed: tuple[int, ...], vector: int, main: int) -> Cost:
    """Of tensors that are passed over, of the type of the one that there must be."""
    if not call.is_tensor(main):
        raise UnknownCostError
    return Cost(bytes=moved(call, *passed), dtype=call.dtype(main), vector=vector)


@register(
    "_C::rms_norm",
    "sgl_kernel::rmsnorm",
    "sgl_kernel::gemma_rmsnorm",
    "aiter::rmsnorm",
    "aiter::rms_norm_cu",
    "flashinfer::rmsnorm",
)
def rms_norm(call: Call) -> Cost:
    """(out, input, weight, epsilon, …)"""
    return _cost(call, (0, 1, 2), RMS_NORM * elements(call, 1), 1)


@register("aiter::rms_norm", "aiter::rmsnorm2d_fwd")
def rms_norm_that_returns(call: Call) -> Cost:
    """(input, weight, epsilon, …) → like input"""
    return _cost(call, (0, 0, 1), RMS_NORM * elements(call, 0), 0)


@register(
    "_C::fused_add_rms_norm",
    "sgl_kernel::fused_add_rmsnorm",
    "sgl_kernel::gemma_fused_add_rmsnorm",
    "aiter::fused_add_rms_norm_cu",
    "flashinfer::fused_add_rmsnorm",
)
def add_rms_norm_in_place(call: Call) -> Cost:
    """(input, residual, weight, epsilon, …): input and residual are both read and overwritten."""
    return _cost(call, (0, 0, 1, 1, 2), (RMS_NORM + RESIDUAL) * elements(call, 0), 0)


@register("aiter::add_rmsnorm", "aiter::rmsnorm2d_fwd_with_add")
def add_rms_norm(call: Call) -> Cost:
    """(out, input, residual in, residual out, weight, epsilon, …)"""
    return _cost(call, (0, 1, 2, 3, 4), (RMS_NORM + RESIDUAL) * elements(call, 1), 1)


@register("_C::rms_norm_static_fp8_quant")
def rms_norm_static_quantised(call: Call) -> Cost:
    """(result, input, weight, scale, epsilon)"""
    return _cost(call, (0, 1, 2, 3), (RMS_NORM + STATIC_QUANTISATION) * elements(call, 1), 1)


@register("_C::fused_add_rms_norm_static_fp8_quant")
def add_rms_norm_static_quantised(call: Call) -> Cost:
    """(result, input, residual, weight, scale, epsilon): the residual is read and overwritten."""
    vector = (RMS_NORM + RESIDUAL + STATIC_QUANTISATION) * elements(call, 1)
    return _cost(call, (0, 1, 2, 2, 3, 4), vector, 1)


@register("_C::rms_norm_dynamic_per_token_quant", "_C::rms_norm_per_block_quant")
def rms_norm_dynamic_quantised(call: Call) -> Cost:
    """(result, input, weight, scale, epsilon, scale bound or None, residual or None, …)"""
    residual = RESIDUAL if call.dtype(6) else 0
    vector = (RMS_NORM + residual + DYNAMIC_QUANTISATION) * elements(call, 1)
    return _cost(call, (0, 1, 2, 3, 5, 6, 6), vector, 1)


@register("aiter::rmsnorm_quant")
def aiter_rms_norm_quantised(call: Call) -> Cost:
    """(out, input, scale, weight, epsilon, …)"""
    return _cost(call, (0, 1, 2, 3), (RMS_NORM + DYNAMIC_QUANTISATION) * elements(call, 1), 1)


@register("aiter::add_rmsnorm_quant")
def aiter_add_rms_norm_quantised(call: Call) -> Cost:
    """(out, input, residual in, residual out, scale, weight, epsilon, …)"""
    vector = (RMS_NORM + RESIDUAL + DYNAMIC_QUANTISATION) * elements(call, 1)
    return _cost(call, (0, 1, 2, 3, 4, 5), vector, 1)


@register(
    *(f"_C::{name}" for name in _ACTIVATIONS if name != "scaled_silu_and_mul"),
    *(f"sgl_kernel::{name}" for name in ("silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul")),
    *(f"flashinfer::{name}" for name in ("silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul")),
    "aiter::silu_and_mul",
    "aiter::scaled_silu_and_mul",
    "aiter::gelu_and_mul",
    "aiter::gelu_tanh_and_mul",
    "aiter::gelu_fast",
)
def activation(call: Call) -> Cost:
    """(out [t, d], input [t, 2·d] (gate and the other) or [t, d], scale or scales if it quantises)"""
    name = call.name.partition("::")[2]
    return _cost(call, (0, 1, 2), _ACTIVATIONS[name] * elements(call, 0), 1)


@register("LigerSiLUMulFunction", "LigerGELUMulFunction", "SwiGLUFunction")
def gated_activation(call: Call) -> Cost:
    """(gate, other) of one shape → the same; GELU by tanh. (Liger swiglu.py, geglu.py; fla activations.)"""
    gate, other = tensor_indices(call)[:2]
    per_element = (_GELU_TANH if "GELU" in call.name else _SILU) + 1
    return _cost(call, (gate, gate, other), per_element * elements(call, gate), gate)


@register("LigerSiLUMulFunctionBackward", "SwiGLUFunctionBackward")
def silu_mul_backward(call: Call) -> Cost:
    """(gradient g): reads g, gate a and other b, writes two gradients: 5 tensors of the size of g.

    s = sigmoid(a), a·s, times g for b; 1−s, times a, plus 1, times s, times b, times g for a: 9.
    """
    return _cost(call, (0, 0, 0, 0, 0), 9 * elements(call, 0), 0)


@register(
    "FusedLayerNormAffineFunction",
    "FusedLayerNormAffineMixedDtypesFunction",
    "FusedLayerNormFunction",
    "FusedRMSNormAffineFunction",
    "FusedRMSNormAffineMixedDtypesFunction",
    "FusedRMSNormFunction",
    "LigerLayerNormFunction",
    "LigerRMSNormFunction",
)
def norm_function(call: Call) -> Cost:
    """(input, weight and bias if there are, …) → like input; one statistic or two a row are left out."""
    x, *parameters = tensor_indices(call)[:3]
    per_element = RMS_NORM if "RMS" in call.name else LAYER_NORM
    # Without weights there is nothing to scale and shift with.
    per_element -= (1 if "RMS" in call.name else 2) - len(parameters)
    return _cost(call, (x, x, *parameters), per_element * elements(call, x), x)


@register("LigerFusedAddRMSNormFunction")
def liger_add_rms_norm(call: Call) -> Cost:
    """(x, residual, weight, …) → norm and sum, both like x."""
    x, residual, weight = tensor_indices(call)[:3]
    passed = (x, x, residual, residual, weight)
    return _cost(call, passed, (RMS_NORM + RESIDUAL) * elements(call, x), x)


@register(
    "FusedLayerNormAffineFunctionBackward",
    "FusedLayerNormAffineMixedDtypesFunctionBackward",
    "FusedRMSNormAffineFunctionBackward",
    "FusedRMSNormAffineMixedDtypesFunctionBackward",
    "LigerLayerNormFunctionBackward",
    "LigerRMSNormFunctionBackward",
)
def norm_backward(call: Call) -> Cost:
    """(gradient g): reads g and the input x, writes a gradient of their size; those of the weights are small.

    RMS: m = g·w, y = x/rms, m·y, its sum, y times that, subtract, over rms; g·y, its sum: 9. A layer norm
    subtracts the mean first, and sums and subtracts m and sums g too: 13.
    """
    return _cost(call, (0, 0, 0), (9 if "RMS" in call.name else 13) * elements(call, 0), 0)


@register("DropoutAddLayerNormFn")
def dropout_add_norm(call: Call) -> Cost:
    """(x, residual or None, weight, bias or None, …) → like x: a layer norm, without a bias an RMS norm.

    Whether a mask of the dropout and the sum are kept is not recorded by old profilers: left out.
    """
    x, *others = tensor_indices(call)
    residual = [index for index in others if call.shape(index) == call.shape(x)]
    parameters = [index for index in others if call.shape(index) == call.shape(x)[-1:]][:2]
    per_element = (LAYER_NORM if len(parameters) == 2 else RMS_NORM) + RESIDUAL * len(residual)
    return _cost(call, (x, x, *residual, *parameters), per_element * elements(call, x), x)


@register("LigerCrossEntropyFunction", "SoftmaxCrossEntropyLossFn", "CrossEntropyLoss")
def cross_entropy(call: Call) -> Cost:
    """(logits [tokens, vocabulary], target, …): max, subtract, exp, sum: 4 an element. (Liger; flash_attn
    losses/cross_entropy.py and ops/triton/cross_entropy.py.)

    Where gradients are wanted Liger also puts them in the place of the logits, in the same call; whether
    they are is not recorded, so that is not counted.
    """
    logits, target = tensor_indices(call)[:2]
    return _cost(call, (logits, target), 4 * elements(call, logits), logits)


# A pair is turned by four products, an addition and a subtraction.
_ROTATION = 3


def _rotation_flops(elements_of_heads: int, rotated: int, head_size: int) -> int:
    """Of heads of which only the first `rotated` elements are turned."""
    if head_size < 1:
        raise UnknownCostError
    return _ROTATION * elements_of_heads * rotated // head_size


def _rows_bytes(call: Call, table: int, rows: int) -> int | None:
    """Bytes of `rows` rows of a table, each at most once."""
    element = call.element_bytes(table)
    shape = call.shape(table)
    return None if element is None else min(prod(shape), rows * shape[-1]) * element


@register("_C::rotary_embedding", "sgl_kernel::rotary_embedding")
def rotary_embedding(call: Call) -> Cost:
    """(positions, query, key or None, head size, cos_sin_cache [positions, rotated size], is_neox): in place.

    Of the cache a row for each position is read, as if all positions differed.
    """
    head_size, rotated = size(call, 3), call.shape(4, 2)[1]
    turned = elements(call, 1) + (elements(call, 2) if call.dtype(2) else 0)
    traffic = total(moved(call, 0, 1, 1, 2, 2), _rows_bytes(call, 4, elements(call, 0)))
    return Cost(bytes=traffic, dtype=call.dtype(1), vector=_rotation_flops(turned, rotated, head_size))


@register("sgl_kernel::apply_rope_pos_ids_cos_sin_cache")
def rotary_by_position(call: Call) -> Cost:
    """(q, k, q_rope, k_rope, cos_sin_cache, positions, interleave, …, v, k buffer, v buffer, locations):
    q and k [tokens, heads, d]; with buffers of the KV cache, k_rope and v are stored there as well."""
    rotated = call.shape(4, 2)[1]
    turned = elements(call, 0) + elements(call, 1)
    stored = (3, 9, 9, 12) if call.dtype(9) else ()
    traffic = total(moved(call, 0, 1, 2, 3, 5, *stored), _rows_bytes(call, 4, elements(call, 5)))
    return Cost(
        bytes=traffic, dtype=call.dtype(0), vector=_rotation_flops(turned, rotated, call.shape(0)[-1])
    )


@register(
    "aiter::rope_fwd_impl",
    "aiter::rope_bwd_impl",
    "aiter::rope_cached_fwd_impl",
    "aiter::rope_cached_bwd_impl",
)
def aiter_rotary(call: Call) -> Cost:
    """(output, input, freqs or cos and sin, …): an angle's cos and sin, if not given, are 2 more of freqs."""
    cached = "cached" in call.name
    angles = 0 if cached else 2 * elements(call, 2)
    passed = (0, 1, 2, 3) if cached else (0, 1, 2)
    return _cost(call, passed, _ROTATION * elements(call, 1) + angles, 1)


@register(
    "aiter::rope_2c_fwd_impl",
    "aiter::rope_2c_bwd_impl",
    "aiter::rope_cached_2c_fwd_impl",
    "aiter::rope_cached_2c_bwd_impl",
)
def aiter_rotary_of_two(call: Call) -> Cost:
    """(output x, output y, input x, input y, freqs or cos and sin, …)"""
    cached = "cached" in call.name
    angles = 0 if cached else 2 * elements(call, 4)
    passed = (0, 1, 2, 3, 4, 5) if cached else (0, 1, 2, 3, 4)
    return _cost(call, passed, _ROTATION * (elements(call, 2) + elements(call, 3)) + angles, 2)


@register("aiter::rope_cached_positions_2c_fwd_impl")
def aiter_rotary_by_position(call: Call) -> Cost:
    """(output x, output y, input x, input y, cos, sin, positions, …): of cos and sin a row a position."""
    rows = elements(call, 6)
    traffic = total(moved(call, 0, 1, 2, 3, 6), _rows_bytes(call, 4, rows), _rows_bytes(call, 5, rows))
    turned = elements(call, 2) + elements(call, 3)
    return Cost(bytes=traffic, dtype=call.dtype(2), vector=_ROTATION * turned)


@register("ApplyRotaryEmb")
def flash_attention_rotary(call: Call) -> Cost:
    """(x [batch, sequence, heads, d] or [tokens, heads, d], cos and sin [sequence, rotated/2], …)"""
    x, cos, sin = tensor_indices(call)[:3]
    rows = call.shape(x)[-3]
    traffic = total(moved(call, x, x), _rows_bytes(call, cos, rows), _rows_bytes(call, sin, rows))
    vector = _rotation_flops(elements(call, x), 2 * call.shape(cos)[-1], call.shape(x)[-1])
    return Cost(bytes=traffic, dtype=call.dtype(x), vector=vector)


@register("LigerRopeFunction")
def liger_rotary(call: Call) -> Cost:
    """(q, k, cos, sin, …): q and k in place, the whole of their last dimension."""
    q, k, cos, sin = tensor_indices(call)[:4]
    return _cost(call, (q, q, k, k, cos, sin), _ROTATION * (elements(call, q) + elements(call, k)), q)


@register("LigerRopeFunctionBackward")
def liger_rotary_backward(call: Call) -> Cost:
    """(gradients of q and k), turned back in place; cos and sin are small beside them."""
    return _cost(call, (0, 0, 1, 1), _ROTATION * (elements(call, 0) + elements(call, 1)), 0)
