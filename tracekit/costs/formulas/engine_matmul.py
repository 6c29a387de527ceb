"""Matrix products of inference engines and of libraries for quantization: vLLM, SGLang, aiter and others.

Counted as torch's own in `quantized_matmul`. The order of the arguments is that of the libraries' schemas,
whose file is named with each formula. Experts' products stand in `moe`.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.matmul import product
from tracekit.costs.formulas.operands import (
    FLOAT4_PAIR,
    is_integer,
    of_size,
    out_dtype_bytes,
    present,
    read_bytes,
    scalars,
)
from tracekit.costs.formulas.quantized_matmul import weight_only
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total


@register("_C::cutlass_scaled_mm")
def cutlass_scaled_mm(call: Call) -> Cost:
    """(out [m, n], a [m, k], b [k, n], a_scales, b_scales, bias): vLLM, csrc/torch_bindings.cpp"""
    per_output = 1 + present(call, 5)
    shapes = call.shape(1, 2), call.shape(2, 2)
    return product(call, 1, 2, *shapes, call.element_bytes(0), 3, 4, 5, vector_per_output=per_output)


@register("_C::cutlass_scaled_mm_azp")
def cutlass_scaled_mm_azp(call: Call) -> Cost:
    """(out, a, b, a_scales, b_scales, azp_adj [n], azp, bias): vLLM, csrc/torch_bindings.cpp.

    The correction for a's zero point: one addition more per output, one multiplication where it has its own
    zero point for every row.
    """
    per_output = 2 + present(call, 6) + present(call, 7)
    shapes = call.shape(1, 2), call.shape(2, 2)
    out = call.element_bytes(0)
    return product(call, 1, 2, *shapes, out, 3, 4, 5, 6, 7, vector_per_output=per_output)


@register("_C::cutlass_scaled_fp4_mm", "sgl_kernel::cutlass_scaled_fp4_mm")
def cutlass_scaled_fp4_mm(call: Call) -> Cost:
    """(out [m, n], a [m, k/2], b [n, k/2], block_scale_a, block_scale_b, alpha): two numbers in each byte.

    vLLM, csrc/torch_bindings.cpp; SGLang, sgl-kernel/csrc/common_extension.cc.
    """
    (m, half), (n, half_b) = call.shape(1, 2), call.shape(2, 2)
    if half != half_b:
        raise UnknownCostError
    traffic = total(read_bytes(call, 1, 2, 3, 4, 5), of_size(m * n, call.element_bytes(0)))
    return Cost(2 * m * n * 2 * half, traffic, FLOAT4_PAIR, m * n)


@register("sgl_kernel::int8_scaled_mm", "sgl_kernel::fp8_scaled_mm", "sgl_kernel::fp8_blockwise_scaled_mm")
def sgl_scaled_mm(call: Call) -> Cost:
    """(a [m, k], b [k, n], scales_a, scales_b, out_dtype, bias; blockwise has none).

    SGLang, sgl-kernel/csrc/common_extension.cc.
    """
    per_output = 1 + present(call, 5)
    shapes = call.shape(0, 2), call.shape(1, 2)
    element = out_dtype_bytes(call, 4, None)
    return product(call, 0, 1, *shapes, element, 2, 3, 5, vector_per_output=per_output)


@register("sgl_kernel::dsv3_fused_a_gemm", "_C::dsv3_fused_a_gemm", "sgl_kernel::dsv3_router_gemm")
def dsv3_gemm(call: Call) -> Cost:
    """(output [m, n], a [m, k], b): SGLang, sgl-kernel/csrc/common_extension.cc; b is read whole"""
    (m, n), (m_a, k) = call.shape(0, 2), call.shape(1, 2)
    if m != m_a or prod(call.shape(2, 2)) != n * k:
        raise UnknownCostError
    return weight_only(call, 1, m, n, k, call.element_bytes(0), 2)


@register("_C::awq_gemm")
def awq_gemm(call: Call) -> Cost:
    """(a [m, k], weights [k, n/8], eight of 4 bits each, scales [k/group, n], zeros): vLLM, _custom_ops.py"""
    (m, k), n = call.shape(0, 2), call.shape(1, 2)[1] * 8
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 2, 3, vector=2 * n * k)


@register("_C::gptq_gemm", "sgl_kernel::gptq_gemm")
def gptq_gemm(call: Call) -> Cost:
    """(a [m, k], weights [k/pack, n], zeros, scales [k/group, n], g_idx, …): vLLM, csrc/torch_bindings.cpp"""
    (m, k), n = call.shape(0, 2), call.shape(1, 2)[1]
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 2, 3, 4, vector=2 * n * k)


@register("_C::machete_mm")
def machete_mm(call: Call) -> Cost:
    """(a [m, k], b [k/pack, n], b_type, out_type, group_scales, group_zeros, group_size, channel_scales,
    token_scales, schedule): vLLM, csrc/torch_bindings.cpp and _custom_ops.py"""
    (m, k), n = call.shape(0, 2), call.shape(1, 2)[1]
    element = out_dtype_bytes(call, 3, call.element_bytes(0))
    vector = n * k * (present(call, 4) + present(call, 5)) + m * n * (present(call, 7) + present(call, 8))
    return weight_only(call, 0, m, n, k, element, 1, 4, 5, 7, 8, vector=vector)


@register("_C::allspark_w8a16_gemm")
def allspark_w8a16_gemm(call: Call) -> Cost:
    """(a [m, k], weights, scales, zeros, n, …): vLLM, csrc/torch_bindings.cpp"""
    (m, k), n = call.shape(0, 2), call.value(4)
    vector = n * k * (1 + present(call, 3))
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 2, 3, vector=vector)


@register("_C::ggml_mul_mat_a8", "_C::ggml_mul_mat_vec_a8")
def ggml_mul_mat(call: Call) -> Cost:
    """(packed weights with their scales, x [m, k], type, n): vLLM, csrc/torch_bindings.cpp"""
    (m, k), n = call.shape(1, 2), call.value(3)
    return weight_only(call, 1, m, n, k, call.element_bytes(1), 0, vector=n * k)


def marlin_sizes(call: Call) -> tuple[int, int, int, int]:
    """m, n, k and the index of m: the three integers between a fourth, the type of weights, and a bool.

    The tensors before them differ from version to version; these four and the bools after them do not.
    """
    values = scalars(call)
    for at in range(1, len(values) - 3):
        if all(map(is_integer, values[at - 1 : at + 3])) and isinstance(values[at + 3], bool):
            m, n, k = values[at : at + 3]
            return m, n, k, at
    raise UnknownCostError


@register("_C::marlin_gemm", "_C::gptq_marlin_gemm", "sgl_kernel::gptq_marlin_gemm")
def marlin_gemm(call: Call) -> Cost:
    """(a [m, k], c, weights, bias, scales, …, workspace, b_type, m, n, k, is_k_full, …).

    vLLM, csrc/torch_bindings.cpp; SGLang, sgl-kernel/csrc/common_extension.cc. Older ones have no c, which
    is where the result goes, and no bias. The workspace, of some locks, is not counted.
    """
    m, n, k, at = marlin_sizes(call)
    if call.shape(0, 2) != (m, k):
        raise UnknownCostError
    read = [index for index in range(1, at - 2) if not _is_result(call, index, (m, n))]
    return weight_only(call, 0, m, n, k, call.element_bytes(0), *read, vector=n * k)


def _is_result(call: Call, index: int, shape: tuple[int, int]) -> bool:
    return index == 1 and tuple(call.shapes[1]) == shape and call.dtype(1) == call.dtype(0)


@register("aiter::gemm_a16w16", "vllm::rocm_unquantized_gemm", wrapper=True)
def engine_linear(call: Call) -> Cost:
    """(x […, k], weight [n, k], bias, …): aiter/tuned_gemm.py; vLLM, model_executor/layers/utils.py.

    They choose between kernels of their own and torch's `linear`, which is recorded within them.
    """
    *rows, k = call.shape(0)
    n, k_weight = call.shape(1, 2)
    if k != k_weight:
        raise UnknownCostError
    element = call.element_bytes(0)
    if call.name.startswith("aiter"):
        element = out_dtype_bytes(call, 3, element)
    outputs = prod(rows) * n
    vector = outputs * present(call, 2)
    return weight_only(call, 0, prod(rows), n, k, element, 1, 2, vector=vector)


@register(
    "aiter::gemm_a8w8",
    "aiter::gemm_a8w8_ck",
    "aiter::gemm_a8w8_bpreshuffle",
    "aiter::gemm_a8w8_blockscale",
    "aiter::gemm_a8w8_blockscale_ck",
    "aiter::gemm_a4w4",
    "vllm::rocm_aiter_gemm_a8w8",
    "vllm::rocm_aiter_gemm_a8w8_blockscale",
)
def aiter_gemm(call: Call) -> Cost:
    """(x [m, k], weight [n, k], x_scale, w_scale, …), of 4-bit numbers two in each element: k/2.

    aiter/ops/gemm_op_a8w8.py and gemm_op_a4w4.py; vLLM, _aiter_ops.py. Results are bf16 or fp16.
    """
    (m, k), (n, k_weight) = call.shape(0, 2), call.shape(1, 2)
    if k != k_weight:
        raise UnknownCostError
    four_bits = call.name.endswith("a4w4")
    traffic = total(read_bytes(call, 0, 1, 2, 3), m * n * 2)
    dtype = FLOAT4_PAIR if four_bits else call.dtype(0)
    return Cost(2 * m * n * k * (2 if four_bits else 1), traffic, dtype, m * n)


@register("_rocm_C::LLMM1", "_rocm_C::wvSplitK", "_rocm_C::wvSplitKrc")
def rocm_skinny_gemm(call: Call) -> Cost:
    """(weight [n, k], x [m, k], bias, compute units): vLLM, csrc/rocm/torch_bindings.cpp"""
    (n, k), (m, k_x) = call.shape(0, 2), call.shape(1, 2)
    if k != k_x:
        raise UnknownCostError
    vector = m * n * present(call, 2)
    return weight_only(call, 1, m, n, k, call.element_bytes(1), 0, 2, vector=vector)


@register("trtllm::cublas_scaled_mm")
def trtllm_scaled_mm(call: Call) -> Cost:
    """(a [m, k], b [k, n], scale_a, scale_b, bias, out_dtype, …): TensorRT-LLM, thop/cublasScaledMM.cpp"""
    element = out_dtype_bytes(call, 5, call.element_bytes(0))
    per_output = 1 + present(call, 4)
    shapes = call.shape(0, 2), call.shape(1, 2)
    return product(call, 0, 1, *shapes, element, 2, 3, 4, vector_per_output=per_output)


@register("trtllm::cublas_mm")
def trtllm_mm(call: Call) -> Cost:
    """(a [m, k], b [k, n], bias, out_dtype, …): TensorRT-LLM, thop/cublasScaledMM.cpp"""
    element = out_dtype_bytes(call, 3, call.element_bytes(0))
    per_output = int(present(call, 2))
    shapes = call.shape(0, 2), call.shape(1, 2)
    return product(call, 0, 1, *shapes, element, 2, vector_per_output=per_output)


@register("trtllm::fp8_block_scaling_gemm")
def trtllm_block_scaling_gemm(call: Call) -> Cost:
    """(mat1 [m, k], mat2 [n, k], scales of both) → bf16: TensorRT-LLM, thop/fp8BlockScalingGemm.cpp"""
    shape, (n, k) = call.shape(0, 2), call.shape(1, 2)
    return product(call, 0, 1, shape, (k, n), 2, 2, 3, vector_per_output=1)


@register("flashinfer::bmm_fp8")
def flashinfer_bmm_fp8(call: Call) -> Cost:
    """(workspace, A [b, m, k], B [b, k, n], D, scale of A, of B): flashinfer/gemm.py"""
    shapes = call.shape(1, 3), call.shape(2, 3)
    return product(call, 1, 2, *shapes, call.element_bytes(3), 4, 5, vector_per_output=1)


@register("torchao::int_matmul", "torchao::int_scaled_matmul")
def torchao_int_matmul(call: Call) -> Cost:
    """int8 (a [m, k], b [k, n], scales …) → int32, or the scales' type: torchao/kernel/intmm_triton.py"""
    element = call.element_bytes(2) if present(call, 2) else 4
    per_output = present(call, 2) + present(call, 3)
    shapes = call.shape(0, 2), call.shape(1, 2)
    return product(call, 0, 1, *shapes, element, 2, 3, vector_per_output=per_output)


@register("torchao::rowwise_scaled_linear_cutlass_s8s4", "torchao::rowwise_scaled_linear_cutlass_s4s4")
def torchao_rowwise_scaled_linear(call: Call) -> Cost:
    """(x […, k] of 8 bits or, two to an element, of 4, x_scale, weight [n, k/2], its scale, bias, out_dtype).

    torchao/ops.py. Without out_dtype the result has the type of the scales of x. Every output is multiplied
    by the scales of its row and of its column: 2.
    """
    *rows, width = call.shape(0)
    n, half = call.shape(2, 2)
    if width != (half if call.name.endswith("s4s4") else 2 * half):
        raise UnknownCostError
    outputs = prod(rows) * n
    element = out_dtype_bytes(call, 5, call.element_bytes(1))
    traffic = total(read_bytes(call, 0, 1, 2, 3, 4), of_size(outputs, element))
    return Cost(2 * outputs * 2 * half, traffic, call.dtype(0), outputs * (2 + present(call, 4)))


@register("bitsandbytes::int8_linear_matmul", "bitsandbytes::int8_linear_matmul.out")
def int8_linear_matmul(call: Call) -> Cost:
    """(A […, k], B [n, k]) → int32: bitsandbytes/_ops.py"""
    *rows, k = call.shape(0)
    n, k_b = call.shape(1, 2)
    return product(call, 0, 1, (prod(rows), k), (k_b, n), 4)


@register("bitsandbytes::int8_scaled_mm")
def int8_scaled_mm(call: Call) -> Cost:
    """(A […, k], B [n, k], row_stats, col_stats, bias, dtype), fp16 without dtype: bitsandbytes/_ops.py.

    Every output times the statistics of its row and of its column: 2.
    """
    *rows, k = call.shape(0)
    n, k_b = call.shape(1, 2)
    element = out_dtype_bytes(call, 5, 2)
    per_output = 2 + present(call, 4)
    shapes = (prod(rows), k), (k_b, n)
    return product(call, 0, 1, *shapes, element, 2, 3, 4, vector_per_output=per_output)


@register("bitsandbytes::int8_mm_dequant")
def int8_mm_dequant(call: Call) -> Cost:
    """(A int32, row_stats, col_stats, dtype, bias), fp16 without dtype: 2 multiplications per element"""
    elements = prod(call.shape(0))
    written = of_size(elements, out_dtype_bytes(call, 3, 2))
    traffic = total(read_bytes(call, 0, 1, 2, 4), written)
    return Cost(0, traffic, "float", elements * (2 + present(call, 4)))


@register("bitsandbytes::gemv_4bit", "bitsandbytes::gemv_4bit.out")
@register("bitsandbytes::gemm_4bit")
def gemm_4bit(call: Call) -> Cost:
    """(A […, k], B packed, shape of B [n, k], absmax, …): bitsandbytes/_ops.py.

    `gemv` is followed by (code, blocksize), `gemm` by (blocksize, quant_type, bias, absmax_8bit, …). Every
    weight is a number from a table times the scale of its block: 1.
    """
    *rows, k = call.shape(0)
    n, k_weight = call.value(2)
    if k != k_weight:
        raise UnknownCostError
    m = prod(rows)
    if "gemm" in call.name:
        vector = n * k + m * n * present(call, 6)
        return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 3, 6, 7, 8, 9, vector=vector)
    return weight_only(call, 0, m, n, k, call.element_bytes(0), 1, 3, 4, vector=n * k)


@register("bitsandbytes::dequantize_4bit", "bitsandbytes::dequantize_4bit.out")
def dequantize_4bit(call: Call) -> Cost:
    """(A, absmax, blocksize, quant_type, shape, dtype): one multiplication per weight"""
    elements = prod(call.value(4))
    written = of_size(elements, out_dtype_bytes(call, 5, None))
    return Cost(0, total(read_bytes(call, 0, 1), written), "float", elements)


@register("tex_ts::te_gemm_ts")
def te_gemm(call: Call) -> Cost:
    """(A, A_scale, …, transa 4, B 5, B_scale, …, transb 9, D 10, …, bias 14, …, accumulate 20, …).

    Transformer Engine, transformer_engine/pytorch/csrc/ts_fp8_op.cpp. As in cuBLAS, matrices are by columns:
    A is [n, k] in torch's order if transposed, else [k, n], and B is [k, m] if transposed, else [m, k].
    """
    a, b, out = call.shape(0, 2), call.shape(5, 2), call.shape(10)
    n, k = a if call.value(4) else (a[1], a[0])
    k_b, m = b if call.value(9) else (b[1], b[0])
    if k != k_b or prod(out) != m * n:
        raise UnknownCostError
    accumulates = bool(call.value(20))
    has_bias = present(call, 14) and prod(call.shapes[14]) > 0
    read = (0, 1, 5, 6, *((10,) if accumulates else ()), 14)
    traffic = total(read_bytes(call, *read), of_size(m * n, call.element_bytes(10)))
    return Cost(2 * m * n * k, traffic, call.dtype(0), m * n * (has_bias + accumulates))
