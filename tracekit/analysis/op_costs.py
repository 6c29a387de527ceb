"""Which ops of a trace count, and what they cost: each piece of work once, however ops nest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracekit.attribution import NOBODY, Attribution, Mask, has_ancestor, sum_upwards
from tracekit.costs import Cost, cost_of, is_wrapper
from tracekit.hardware import DeviceSpec, peak_for
from tracekit.trace import Ints, Trace

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# What cuBLAS, CUTLASS and cuDNN call kernels that round fp32 operands to TF32: "tf32" itself, and the
# shapes of the TF32 instructions mma.m16n8k4 and m16n8k8 (s1688).
_TF32_KERNEL = re.compile(r"tf32|s1688(?!f16|bf16)", re.IGNORECASE)


@dataclass(frozen=True)
class OpCosts:
    """Per op of the attribution; FLOPs and bytes are 0 where the op is not the one that counts."""

    has_shapes: bool  # any op of the trace
    counted: Mask
    matrix: Ints
    bytes: Ints
    knows_bytes: Mask
    gpu_time: Ints  # ns, with nested ops
    gpu_self_time: Ints
    gpu_events: Ints  # with nested ops
    bound: Floats  # ns at least on this device, NaN where unknown
    matrix_bound: Floats  # ns at peak FLOP/s, NaN where unknown
    covered_gpu_time: int  # ns launched inside a counted op that has shapes
    coverable_gpu_time: int  # ns launched inside any op that has shapes

    @property
    def launched(self) -> Mask:
        """Counted ops that launched GPU events."""
        return self.counted & (self.gpu_events > 0)


def cost_ops(trace: Trace, attribution: Attribution, device: DeviceSpec | None) -> OpCosts:
    """The costs of all ops; each distinct signature is computed once."""
    ops, nesting = attribution.ops, attribution.op_nesting
    costs: dict[int, Cost] = {}
    for code in np.unique(ops.signature).tolist():
        signature = trace.signatures[code]
        cost = cost_of(signature.name, signature.shapes, signature.dtypes, signature.concrete)
        if cost is not None:
            costs[code] = cost
    wraps = np.array([is_wrapper(signature.name) for signature in trace.signatures], np.bool_)
    shaped = np.array([bool(signature.shapes) for signature in trace.signatures], np.bool_)

    def per_signature(values: dict[int, int]) -> Ints:
        column = np.zeros(len(trace.signatures), np.int64)
        column[list(values)] = list(values.values())
        return column[ops.signature]

    events = trace.gpu_events
    duration = events.end - events.start
    launched = attribution.gpu_op != NOBODY
    op = attribution.gpu_op[launched]
    gpu_events = sum_upwards(np.bincount(op, minlength=len(ops)), nesting.parent, nesting.depth)

    has_cost = per_signature(dict.fromkeys(costs, 1)) > 0
    counted = _counted(attribution, has_cost, wraps[ops.signature])
    counted &= ~_given_up(trace.names, attribution, gpu_events)
    matrix = np.where(counted, per_signature({code: cost.matrix for code, cost in costs.items()}), 0)
    sizes = {code: cost.bytes for code, cost in costs.items() if cost.bytes is not None}
    knows_bytes = counted & (per_signature(dict.fromkeys(sizes, 1)) > 0)
    traffic = np.where(knows_bytes, per_signature(sizes), 0)

    self_time = np.bincount(op, duration[launched], len(ops)).astype(np.int64)
    tf32_name = np.array([bool(_TF32_KERNEL.search(name)) for name in trace.names], np.bool_)
    tf32_events = np.bincount(op, tf32_name[events.name[launched]], len(ops)).astype(np.int64)
    uses_tf32 = sum_upwards(tf32_events, nesting.parent, nesting.depth) > 0

    bounds = _bounds(len(trace.signatures), costs, device)[:, uses_tf32.astype(np.int64), ops.signature]
    matrix_bound, bound = np.where(counted, bounds, np.nan)

    has_shape = shaped[ops.signature]
    within_shape = has_shape | has_ancestor(has_shape, nesting.parent)
    within_counted = counted | has_ancestor(counted, nesting.parent)
    return OpCosts(
        has_shapes=bool(has_shape.any()),
        counted=counted,
        matrix=matrix,
        bytes=traffic,
        knows_bytes=knows_bytes,
        gpu_time=sum_upwards(self_time, nesting.parent, nesting.depth),
        gpu_self_time=self_time,
        gpu_events=gpu_events,
        bound=bound,
        matrix_bound=matrix_bound,
        covered_gpu_time=int(self_time[within_shape & within_counted].sum()),
        coverable_gpu_time=int(self_time[within_shape].sum()),
    )


def _bounds(signatures: int, costs: dict[int, Cost], device: DeviceSpec | None) -> Floats:
    """[at peak FLOP/s / at least, without / with TF32, signature], in ns; NaN where unknown."""
    bounds = np.full((2, 2, signatures), np.nan)
    for code, cost in costs.items() if device else ():
        for tf32 in (False, True):
            peak = peak_for(device, cost.dtype, tensor_core_tf32=tf32) if device and cost.dtype else None
            if device is None or not peak:
                continue
            compute = cost.matrix / (peak * 1e12) * 1e9
            bounds[0, int(tf32), code] = compute
            if device.bandwidth_gbs and cost.bytes is not None:
                bounds[1, int(tf32), code] = max(compute, cost.bytes / device.bandwidth_gbs)
    return bounds


def _counted(attribution: Attribution, has_cost: Mask, wraps: Mask) -> Mask:
    """The outermost op with a cost counts; a wrapper only where nothing below it does."""
    nesting = attribution.op_nesting
    strong = has_cost & ~wraps
    hidden = has_ancestor(strong, nesting.parent)
    counted = strong & ~hidden
    contains = sum_upwards(counted.astype(np.int64), nesting.parent, nesting.depth) > 0
    empty_wrapper = has_cost & wraps & ~hidden & ~contains
    result: Mask = counted | (empty_wrapper & ~has_ancestor(empty_wrapper, nesting.parent))
    return result


def _given_up(names: Sequence[str], attribution: Attribution, gpu_events: Ints) -> Mask:
    """Ops that began and did not compute: with them a checkpoint that runs a forward again stops early.

    When the last tensor that the backward needs is at hand, it stops by an exception while the op that
    would use that tensor saves it (`_StopRecomputationError` in torch/utils/checkpoint.py): nothing has run
    inside by then but the detaching of what was saved, and nothing was launched.
    """
    ops, nesting = attribution.ops, attribution.op_nesting
    is_detach = np.array([name in ("aten::detach", "detach") for name in names], np.bool_)[ops.name]
    inside = sum_upwards(np.ones(len(ops), np.int64), nesting.parent, nesting.depth) - 1
    detaching = sum_upwards(is_detach.astype(np.int64), nesting.parent, nesting.depth) - is_detach
    result: Mask = attribution.op_in_backward & (gpu_events == 0) & (inside > 0) & (detaching == inside)
    return result
