"""State-space models: Mamba's selective scan, Mamba-2's scan in chunks, and the convolution before them.

Sources: Gu & Dao 2023 (arXiv 2312.00752, algorithm 2), Dao & Gu 2024 (arXiv 2405.21060, section 6); the
order of arguments is that of state-spaces/mamba (mamba_ssm/ops/selective_scan_interface.py,
ops/triton/ssd_combined.py), Dao-AILab/causal-conv1d (cpp_functions.py, causal_conv1d_interface.py) and vLLM
(csrc/torch_bindings.cpp). Autograd functions are recorded under their class's name; of a backward only the
gradients that enter it, without the size of the state: what is proven to move counts for the scan, and a
backward of the chunked scan, whose products would be left out, has no formula. Mixers of engines that record
only hidden states (`vllm::mamba_mixer2`) have none either.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import elements
from tracekit.costs.formulas.traffic import moved, size, tensor_indices
from tracekit.costs.registry import Call, Cost, UnknownCostError, register, total

# For each element of the state: Δ·A, exp, ΔB·u, A·h, add; h·C, add.
_SCAN = 7
_SOFTPLUS, _SILU = 3, 2  # exp, add, log; sigmoid, multiply


def selective_scan_flops(channels: int, steps: int, state: int) -> int:
    """Vector FLOPs of h = exp(Δ·A)·h + Δ·u·B, y = h·C for all channels and steps; Δ·u once for a state."""
    return channels * steps * (_SCAN * state + 1)


def causal_conv1d_flops(channels: int, steps: int, width: int) -> int:
    """Matrix FLOPs, as of the depthwise `aten::convolution` that it stands for: 2 for each weight."""
    return 2 * channels * steps * width


def chunk_pairs(length: int, chunk: int) -> tuple[int, int]:
    """(pairs of positions in a common chunk, those of them that a causal mask leaves)."""
    whole, rest = divmod(length, chunk)
    return (
        whole * chunk**2 + rest**2,
        whole * chunk * (chunk + 1) // 2 + rest * (rest + 1) // 2,
    )


def ssd_flops(pairs: int, batch: int, length: int, heads: int, p: int, groups: int, n: int) -> int:
    """Matrix FLOPs of the chunked scan: C·Bᵀ in each chunk (a group shares it), that times x, each chunk's
    state Bᵀ·x, and C times the state that enters it."""
    in_chunks = 2 * batch * pairs * (groups * n + heads * p)
    states = 2 * 2 * batch * length * heads * p * n
    return in_chunks + states


def _ssd(
    batch: int, length: int, heads: int, p: int, groups: int, n: int, chunk: int
) -> tuple[int, int, int]:
    """(matrix FLOPs, what of them is causal, vector FLOPs) of the chunked scan.

    Vector: of each pair of positions and head the decay (subtract, exp) and two products with it; Δ·A and
    its running sum; B scaled by decay and Δ; states of chunks decayed and added.
    """
    pairs, causal = chunk_pairs(length, chunk)
    chunks = -(-length // chunk)
    vector = batch * heads * (4 * pairs + 2 * length + 2 * length * n + 2 * chunks * p * n)
    return (
        ssd_flops(pairs, batch, length, heads, p, groups, n),
        ssd_flops(causal, batch, length, heads, p, groups, n),
        vector,
    )


def _scan_cost(call: Call, tensors: list[int], softplus: bool) -> Cost:
    """Of u, Δ, A, B, C and then, where they are given, D [d], z (like u), the bias of Δ [d], in this order.

    D is a product and an addition, the bias an addition (and of only one [d] it is not known which it is),
    z a SiLU and a product. Real A only.
    """
    u, _, a = tensors[:3]
    if len(tensors) < 5 or (call.dtype(a) or "").startswith("c10::complex"):
        raise UnknownCostError
    count, state = elements(call, u), call.shape(a, 2)[1]
    optional = [call.shape(index) for index in tensors[5:]]
    gates = optional.count(call.shape(u))
    per_element = (0, 1, 3)[len(optional) - gates] + gates * (_SILU + 1) + softplus * _SOFTPLUS
    return Cost(
        bytes=moved(call, *tensors, u),
        dtype=call.dtype(u),
        vector=selective_scan_flops(1, count, state) + per_element * count,
    )


def _flag(call: Call, index: int) -> bool:
    """A flag among the inputs; False where it was not recorded."""
    return index < len(call.values) and call.values[index] in ("True", "1")


@register("SelectiveScanFn")
def selective_scan(call: Call) -> Cost:
    """(u [b, d, l], Δ [b, d, l], A [d, n], B and C [d, n] or [b, (g,) n, l], D [d] or None, z [b, d, l] or
    None, bias of Δ [d] or None, softplus, …) → [b, d, l]"""
    u = call.shape(0, 3)
    tensors = [
        index
        for index in tensor_indices(call)
        if index < 5 or call.shape(index) in (u, (u[1],))  # no offsets of packed sequences
    ]
    return _scan_cost(call, tensors, _flag(call, 8))


@register("_C::selective_scan_fwd")
def engine_selective_scan(call: Call) -> Cost:
    """(u, Δ, A, B, C, D or None, z or None, bias of Δ or None, softplus, query starts, …): u is [b, d, l], or
    [d, tokens] for packed sequences; the result takes the place of Δ or of z. The states of the sequences
    are read and written besides: how many is data for packed ones, and they are left out.
    """
    return _scan_cost(call, [index for index in range(8) if call.dtype(index)], _flag(call, 8))


@register("SelectiveScanFnBackward")
def selective_scan_backward(call: Call) -> Cost:
    """(gradient [b, d, l], …): proven is that it, u and Δ are read and two gradients of their size written;
    B, C and the state are left out, since their sizes are not recorded, and with them all FLOPs."""
    call.shape(0, 3)
    return Cost(bytes=moved(call, 0, 0, 0, 0, 0), dtype=call.dtype(0))


@register("MambaInnerFn")
def mamba_block(call: Call) -> Cost:
    """(xz [b, 2·d, l], convolution [d, 1, w], its bias [d] or None, x_proj [r + 2·n, d], Δ_proj [d, r],
    out_proj [e, d], its bias or None, A [d, n], …, D, bias of Δ) → [b, l, e].

    The products that it runs as aten ops are counted here, so that they and the kernels that are no ops
    make one piece of work. Bytes are those of the whole: what passes between its parts is left out.
    """
    tensors = tensor_indices(call)
    batch, both, length = call.shape(tensors[0], 3)
    dim, width = both // 2, call.shape(tensors[1])[-1]
    matrices = [call.shape(index) for index in tensors[2:] if len(call.shape(index)) == 2]
    x_proj, dt_proj, out_proj, a = matrices[:4]
    if x_proj[1] != dim or dt_proj[0] != dim or out_proj[1] != dim or a[0] != dim:
        raise UnknownCostError
    steps = batch * length
    element = call.element_bytes(tensors[0])
    written = None if element is None else steps * out_proj[0] * element
    # convolution's SiLU; softplus and bias of Δ; D; gate
    around = steps * dim * (_SILU + _SOFTPLUS + 1 + 2 + _SILU + 1)
    return Cost(
        matrix=causal_conv1d_flops(dim, steps, width)
        + 2 * steps * sum(map(prod, (x_proj, dt_proj, out_proj))),
        bytes=total(moved(call, *tensors), written),
        dtype=call.dtype(tensors[0]),
        vector=selective_scan_flops(dim, steps, a[1]) + around,
    )


def _convolution(call: Call, x: int, weight: int, passed: tuple[int, ...], silu: bool) -> Cost:
    count = elements(call, x)
    return Cost(
        matrix=causal_conv1d_flops(1, count, call.shape(weight)[-1]),
        bytes=moved(call, *passed),
        dtype=call.dtype(x),
        vector=_SILU * count if silu else 0,
    )


@register("CausalConv1dFn", wrapper=True)
def causal_convolution(call: Call) -> Cost:
    """(x [b, d, l], weight [d, w], bias [d] or None, …) → like x. Its newer versions hold an op that counts.

    Which activation follows is a string, which old profilers do not record: it is left out.
    """
    x, weight, *others = tensor_indices(call)
    bias = tuple(index for index in others if call.shape(index) == call.shape(weight)[:1])
    return _convolution(call, x, weight, (x, x, weight, *bias), False)


@register("CausalConv1dFnBackward", wrapper=True)
def causal_convolution_backward(call: Call) -> Cost:
    """(gradient): proven is that it and x are read and a gradient of their size written. The width is not
    recorded, and with it the FLOPs. Its newer versions hold an op that counts."""
    call.shape(0, 3)
    return Cost(bytes=moved(call, 0, 0, 0), dtype=call.dtype(0))


@register("DaoAILab::_causal_conv1d_fwd_cpp")
def causal_convolution_op(call: Call) -> Cost:
    """(x, weight, bias or None, sequence ids, initial states, out, final states, SiLU)"""
    return _convolution(call, 0, 1, (0, 1, 2, 3, 4, 5, 6), _flag(call, 7))


@register("DaoAILab::_causal_conv1d_bwd_cpp")
def causal_convolution_backward_op(call: Call) -> Cost:
    """(x, weight, bias, gradient, sequence ids, initial states, gradient of final states, dx, dweight, dbias,
    dinitial states, SiLU, …): the products of the forward once for x and once for the weights; with SiLU
    the convolution again, and the 6 FLOPs of its derivative."""
    silu = _flag(call, 11)
    once = causal_conv1d_flops(1, elements(call, 0), call.shape(1)[-1])
    return Cost(
        matrix=(3 if silu else 2) * once,
        bytes=moved(call, *range(11)),
        dtype=call.dtype(0),
        vector=6 * elements(call, 0) if silu else 0,
    )


@register("DaoAILab::_causal_conv1d_update_cpp")
def causal_convolution_step(call: Call) -> Cost:
    """(x [b, d] or [b, d, l], state [slots, d, ≥ w − 1], weight [d, w], bias or None, out, SiLU, …): a state
    for each of b sequences is read and written."""
    cost = _convolution(call, 0, 2, (0, 2, 3, 4), _flag(call, 5))
    return _with_states(call, cost, 1)


@register("_C::causal_conv1d_update")
def engine_causal_convolution_step(call: Call) -> Cost:
    """(x, changed in place; states; weight; bias or None; SiLU; …)"""
    cost = _convolution(call, 0, 2, (0, 0, 2, 3), _flag(call, 4))
    return _with_states(call, cost, 1)


def _with_states(call: Call, cost: Cost, states: int) -> Cost:
    element = call.element_bytes(states)
    moved_states = None if element is None else 2 * call.shape(0)[0] * prod(call.shape(states)[1:]) * element
    return Cost(cost.matrix, total(cost.bytes, moved_states), cost.dtype, cost.vector)


@register("_C::causal_conv1d_fwd")
def engine_causal_convolution(call: Call) -> Cost:
    """(x [d, tokens] or [b, d, l], changed in place; weight; bias or None; states; query starts; cache slots;
    which have a state; SiLU; …). The states are small beside x, and how many is data: left out."""
    return _convolution(call, 0, 1, (0, 0, 1, 2), _flag(call, 7))


@register("MambaChunkScanCombinedFn")
def chunked_scan(call: Call) -> Cost:
    """(x [b, l, h, p], Δ [b, l, h], A [h], B and C [b, l, g, n], chunk size, D, z [b, l, h, p], …) → like x.

    Where the chunk size was not recorded (old profilers leave out what is no tensor) the recurrence is
    counted in its place, as vector FLOPs: h = a·h + B·Δx, y = C·h, 5 for each element of the state.
    """
    tensors = tensor_indices(call)
    x, dt, _, b, c = tensors[:5]
    batch, length, heads, p = call.shape(x, 4)
    groups, n = call.shape(b, 4)[2:]
    if call.shape(dt, 3) != (batch, length, heads) or call.shape(c) != call.shape(b):
        raise UnknownCostError
    count = elements(call, x)
    # Δ·x; exp of the decays; D·x added where there is a D, gated where there is a z
    vector = count + batch * length * heads
    others = [call.shape(index) for index in tensors[5:]]
    records_numbers = call.dtype(5) == "Scalar"
    has_d = bool(call.dtype(6)) if records_numbers else others[:1] in ([(heads,)], [(heads, p)])
    vector += 2 * count * has_d + (_SILU + 1) * count * (call.shape(x) in others)
    traffic = moved(call, *tensors, x)
    if not records_numbers:
        recurrence = 5 * batch * length * heads * p * n
        return Cost(bytes=traffic, dtype=call.dtype(x), vector=vector + recurrence)
    matrix, causal, around = _ssd(batch, length, heads, p, groups, n, size(call, 5))
    return Cost(matrix, traffic, call.dtype(x), vector + around, causal)


@register("MambaSplitConv1dScanCombinedFn")
def mamba2_block(call: Call) -> Cost:
    """(zxbcdt [b, l, …], convolution [c, w], its bias, bias of Δ [h], A [h], D, chunk size, initial states,
    sequence ids, limits, …, weight of a norm (12) or None, epsilon, out_proj [e, d] (14) or None, its bias,
    head size, groups, …), c = h·p + 2·g·n → [b, l, e] or [b, l, h·p].

    Convolution, chunked scan, gate, norm and projection in one. Needs a profiler that records numbers.
    """
    batch, length, _ = call.shape(0, 3)
    channels, width = call.shape(1)[0], call.shape(1)[-1]
    heads, head_size, groups, chunk = call.shape(4, 1)[0], size(call, 16), size(call, 17), size(call, 6)
    dim, steps = heads * head_size, batch * length
    n = (channels - dim) // groups // 2
    if n <= 0:
        raise UnknownCostError
    matrix, causal, vector = _ssd(batch, length, heads, head_size, groups, n, chunk)
    dense, out = causal_conv1d_flops(channels, steps, width), dim
    if call.dtype(14):
        dense += 2 * steps * prod(call.shape(14, 2))
        out = call.shape(14)[0]
    # SiLU of the convolution; Δ·x, D·x added, gate; softplus of Δ with its bias, exp of the decay; norm
    vector += steps * (_SILU * channels + (1 + 2 + _SILU + 1) * dim + (_SOFTPLUS + 2) * heads)
    vector += 4 * steps * dim if call.dtype(12) else 0
    element = call.element_bytes(0)
    written = None if element is None else steps * out * element
    return Cost(
        matrix=dense + matrix,
        bytes=total(moved(call, *tensor_indices(call)), written),
        dtype=call.dtype(0),
        vector=vector,
        causal_matrix=dense + causal,
    )
