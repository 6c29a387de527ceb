"""Which ops of a trace count, and what they cost: each piece of work once, however ops nest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.analysis.list_elements import LARGEST, element_bytes_of_lists
from tracekit.analysis.names import holds_for_names
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Floats,
    Mask,
    Nesting,
    has_ancestor,
    has_inside,
    holds_inside,
    numbered,
    pair_keys,
    sum_inside,
)
from tracekit.costs import Collective, Cost, cost_of, is_partial, is_wrapper
from tracekit.hardware import DeviceSpec, peak_key
from tracekit.trace import GPU_KINDS, Ints, Signature, Trace

# What cuBLAS, CUTLASS and cuDNN call kernels that round fp32 operands to TF32: "tf32" itself, and the
# shapes of the TF32 instructions mma.m16n8k4 and m16n8k8 (s1688).
TF32_KERNEL = re.compile(r"tf32|s1688(?!f16|bf16)", re.IGNORECASE)
_LARGEST_SUM = 1 << 61
# Copies between host and device, as CUPTI and roctracer name them: no memory of the device bounds them.
_HOST_COPY = re.compile(r"HtoD|DtoH|HostToDevice|DeviceToHost", re.IGNORECASE)


@dataclass(frozen=True)
class OpCosts:
    """What ops cost: columns per op of the attribution, and columns for the ops that count, which are few."""

    has_shapes: bool  # any op of the trace
    # Per op of the attribution:
    within_counted: Mask  # counts, or is inside one that does
    within_shapes: Mask  # has shapes, or is inside one that does
    gpu_time: Ints  # ns, with nested ops
    gpu_events: Ints  # with nested ops
    # Per op that counts:
    op: Ints  # position among the ops, ascending
    launched: Mask  # GPU events
    matrix: Ints
    vector: Ints
    bytes: Ints
    causal: Ints  # what causal masks leave of `matrix`, all of it where there is none
    knows_bytes: Mask
    bound: Floats  # ns at least on this device, NaN where unknown
    matrix_bound: Floats  # ns at peak FLOP/s, NaN where unknown
    compute_bound: Floats  # ns for all FLOPs, NaN where unknown
    compute_flops: Floats  # those that take this long: matrix FLOPs that masks leave, or vector FLOPs …
    compute_peak: Ints  # … and in `peaks` the type of the peak that they take it at, NOBODY without any
    over_network: Mask
    partial: Mask  # of which only a part is known
    copies_to_host: Mask  # or from it
    # Of all:
    peaks: tuple[str, ...]  # the types that the device has a peak of
    covered_gpu_time: int  # ns launched inside a counted op that has shapes
    coverable_gpu_time: int  # ns launched inside any op that has shapes

    @property
    def multiplies(self) -> Mask:
        """Counted ops with matrix FLOPs that launched GPU events."""
        return self.launched & (self.matrix > 0)

    @property
    def time(self) -> Ints:
        """GPU time of the ops that count, ns."""
        return np.asarray(self.gpu_time[self.op], np.int64)


def cost_ops(trace: Trace, attribution: Attribution, device: DeviceSpec | None) -> OpCosts:
    """The costs of all ops; each distinct signature is computed once."""
    ops, nesting = attribution.ops, attribution.op_nesting
    variants, variant = numbered(
        pair_keys(ops.signature, element_bytes_of_lists(trace, attribution), LARGEST + 1)
    )
    signature_of = [trace.signatures[code] for code in (variants // (LARGEST + 1)).tolist()]
    costs = list(map(_cost, signature_of, (variants % (LARGEST + 1)).tolist()))
    _drop_what_overflows(costs, np.bincount(variant, minlength=len(costs)).tolist())

    def flag(values: Sequence[bool]) -> Mask:
        return np.asarray(np.array(values, np.bool_)[variant], np.bool_)

    launched = attribution.gpu_op != NOBODY
    op = attribution.gpu_op[launched]
    duration = (trace.gpu_events.end - trace.gpu_events.start)[launched]
    gpu_events = sum_inside(np.bincount(op, minlength=len(ops)), nesting).astype(np.int32)
    gpu_time = sum_inside(np.bincount(op, duration, len(ops)).astype(np.int64), nesting)
    has_cost = flag([cost is not None for cost in costs])
    has_matrix = flag([cost is not None and cost.matrix > 0 for cost in costs])
    wraps = flag([is_wrapper(signature.name) for signature in signature_of])
    counted = _counted(nesting, has_cost, has_matrix, wraps, gpu_time)
    counted &= ~_given_up(trace.names, attribution, gpu_events)
    has_shape = flag([_has_shapes(signature) for signature in signature_of])
    within_shapes = has_shape | has_ancestor(has_shape, nesting)
    within_counted = counted | has_ancestor(counted, nesting)

    at = np.flatnonzero(counted)
    kind = variant[at]

    def per_op(values: Callable[[Cost], Any], dtype: type = np.int64) -> Any:
        return np.array([0 if cost is None else values(cost) or 0 for cost in costs], dtype)[kind]

    is_partial_kind = [
        cost is not None and (cost.partial or is_partial(signature.name, cost))
        for cost, signature in zip(costs, signature_of, strict=True)
    ]
    over_network = per_op(lambda cost: cost.over_network, np.bool_)
    partial = np.array(is_partial_kind, np.bool_)[kind]
    is_copy = trace.gpu_events.kind == GPU_KINDS.index("memcpy")
    copies_to_host = launched_any(is_copy & gpu_events_named(_HOST_COPY, trace), attribution)[at]
    uses_tf32 = launched_any(gpu_events_named(TF32_KERNEL, trace), attribution)[at].astype(np.intp)
    bounds, compute_peaks = _bounds(costs, device)
    matrix_bound, compute_bound, bound, compute_flops = bounds[:, uses_tf32, kind]
    bound[over_network | copies_to_host | partial] = np.nan
    coverable, covered = within_shapes[op], (within_shapes & within_counted)[op]
    return OpCosts(
        has_shapes=bool(has_shape.any()),
        within_counted=within_counted,
        within_shapes=within_shapes,
        gpu_time=gpu_time,
        gpu_events=gpu_events,
        op=at.astype(np.int32),
        launched=gpu_events[at] > 0,
        matrix=per_op(lambda cost: cost.matrix),
        vector=per_op(lambda cost: cost.vector),
        bytes=per_op(lambda cost: cost.bytes),
        causal=per_op(_causal),
        knows_bytes=per_op(lambda cost: cost.bytes is not None, np.bool_),
        bound=bound,
        matrix_bound=matrix_bound,
        compute_bound=compute_bound,
        compute_flops=compute_flops,
        compute_peak=compute_peaks[uses_tf32, kind],
        over_network=over_network,
        partial=partial,
        copies_to_host=copies_to_host,
        peaks=tuple(device.peaks) if device else (),
        covered_gpu_time=int(duration[covered].sum()),
        coverable_gpu_time=int(duration[coverable].sum()),
    )


def _cost(signature: Signature, list_element_bytes: int) -> Cost | None:
    collective = Collective(*signature.collective) if signature.collective is not None else None
    return cost_of(
        signature.name,
        signature.shapes,
        signature.dtypes,
        signature.concrete,
        list_element_bytes or None,
        collective,
    )


def _drop_what_overflows(costs: list[Cost | None], calls: Sequence[int]) -> None:
    """Takes away the largest costs where the sums over all ops would not fit into 64 bits."""
    for amount in ("matrix", "vector", "bytes"):
        sums = [(getattr(cost, amount, 0) or 0) * n for cost, n in zip(costs, calls, strict=True)]
        rest = sum(sums)
        for number in sorted(range(len(sums)), key=lambda one: -sums[one]):
            if rest < _LARGEST_SUM:
                break
            rest -= sums[number]
            costs[number] = None


def _causal(cost: Cost) -> int:
    return cost.matrix if cost.causal_matrix is None else cost.causal_matrix


def _has_shapes(signature: Signature) -> bool:
    """Whether the shapes of its inputs were recorded; those of tensors in lists once were not."""
    if not signature.shapes.startswith(b"["):  # not there, or in words of another profiler
        return False
    lists_are_empty = b"TensorList" in signature.dtypes and not signature.shapes.strip(b"[], \r\n\t")
    return not lists_are_empty


def gpu_events_named(pattern: re.Pattern[str], trace: Trace) -> Mask:
    """Per GPU event: whether the pattern is found in its name."""
    return holds_for_names(trace.gpu_events.name, trace, lambda name: pattern.search(name) is not None)


def launched_any(event: Mask, attribution: Attribution) -> Mask:
    """Per op whether it, or an op nested in it, launched any of the GPU events where `event` is true."""
    launchers = np.zeros(len(attribution.ops), np.bool_)
    launchers[attribution.gpu_op[event & (attribution.gpu_op != NOBODY)]] = True
    return holds_inside(launchers, attribution.op_nesting)


def _bounds(costs: Sequence[Cost | None], device: DeviceSpec | None) -> tuple[Floats, Ints]:
    """[4, without / with TF32, variant] bounds, and [without / with TF32, variant] what peak they are of.

    The bounds: ns of matrix FLOPs at peak, ns of all FLOPs at peak, ns at least, and the FLOPs that take the
    second of these; NaN where unknown. Their peak is a position in `device.peaks`. What a causal mask leaves
    out need not be computed. Vector FLOPs have the peak of the vector units in fp32, or in fp64 for such
    operands.
    """
    bounds = np.full((4, 2, len(costs)), np.nan)
    compute_peaks = np.full((2, len(costs)), NOBODY, np.int8)
    if device is None:
        return bounds, compute_peaks
    positions = {key: position for position, key in enumerate(device.peaks)}
    for number, cost in enumerate(costs):
        if cost is None:
            continue
        vector_key = "fp64" if cost.dtype == "double" else "fp32"
        vector_peak = device.peaks.get(vector_key)
        vector = cost.vector / vector_peak / 1e3 if vector_peak else 0.0
        for tf32 in (False, True):
            key = peak_key(device, cost.dtype, tensor_core_tf32=tf32) if cost.dtype else None
            peak = device.peaks[key] if key else None
            if cost.matrix and not peak:
                continue
            matrix, causal = (flops / peak / 1e3 if peak else 0.0 for flops in (cost.matrix, _causal(cost)))
            compute = max(causal, vector)
            flops = (_causal(cost) if causal >= vector else cost.vector) if compute else 0
            bounds[:2, int(tf32), number] = matrix, compute
            bounds[3, int(tf32), number] = flops
            if flops:
                compute_peaks[int(tf32), number] = positions[key if key and causal >= vector else vector_key]
            if device.bandwidth_gbs and cost.bytes is not None:
                bounds[2, int(tf32), number] = max(compute, cost.bytes / device.bandwidth_gbs)
    return bounds, compute_peaks


def _counted(nesting: Nesting, has_cost: Mask, has_matrix: Mask, wraps: Mask, gpu_time: Ints) -> Mask:
    """The outermost op with a cost counts; a wrapper only where what it does is not done below it.

    To a wrapper with matrix FLOPs only what has some is below it: of a product that runs as one unknown
    kernel after a copy, the copy is a part. One without yields to what takes most of its GPU time: filling
    a buffer is not the attention that it is filled for.
    """
    strong = has_cost & ~wraps
    strong &= ~has_ancestor(strong, nesting)
    wrapper = has_cost & wraps
    wrapper &= ~has_ancestor(strong, nesting)
    in_strong = sum_inside(np.where(strong, gpu_time, 0), nesting)
    done_below = holds_inside(strong, nesting) & (2 * in_strong >= gpu_time)
    empty = wrapper & np.where(has_matrix, ~holds_inside(strong & has_matrix, nesting), ~done_below)
    # Of wrappers in each other the outermost counts, and one with matrix FLOPs before those without.
    empty &= has_matrix | ~holds_inside(empty & has_matrix, nesting)
    empty &= ~has_ancestor(empty, nesting)
    result: Mask = empty | (strong & ~has_ancestor(empty, nesting))
    return result


def _given_up(names: Sequence[str], attribution: Attribution, gpu_events: Ints) -> Mask:
    """Ops that began and did not compute: with them a checkpoint that runs a forward again stops early.

    When the last tensor that the backward needs is at hand, it stops by an exception while the op that
    would use that tensor saves it (`_StopRecomputationError` in torch/utils/checkpoint.py): nothing has run
    inside by then but the detaching of what was saved, and nothing was launched.
    """
    ops, nesting = attribution.ops, attribution.op_nesting
    result: Mask = attribution.op_in_backward & (gpu_events == 0)
    if not result.any():
        return result
    computes = np.array([name not in ("aten::detach", "detach") for name in names], np.bool_)[ops.name]
    calls_others = sum_inside(computes, nesting) > computes
    return result & has_inside(nesting) & ~calls_others
